#include "tests/sim/tls_route.h"

#include "engine/base/check.h"
#include "tests/sim/route.h"
#include "tests/support/deterministic/deterministic.h"
#include "tests/support/libmemory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THE_YEAR_9999 INT64_C(253402300799) // clocks jump far

static struct q_cert *the_root;
static struct q_cert *the_leaf;

// Once, and at the same place of every process.
static void make_certificates(void) {
    if (the_root == NULL) {
        q_deterministic_reset(0);
        the_root = q_certs_make(NULL, &(struct q_certs_spec){.common_name = "simulated root",
                                                             .is_ca = true,
                                                             .not_after = THE_YEAR_9999,
                                                             .key_number = 1});
        the_leaf = q_certs_make(the_root, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1",
                                                                 .not_after = THE_YEAR_9999,
                                                                 .key_number = 2});
    }
}

const struct q_cert *tls_route_root(void) {
    make_certificates();
    return the_root;
}

const struct q_cert *tls_route_leaf(void) {
    make_certificates();
    return the_leaf;
}

static struct quoit_tls *new_settings(const char *sni, bool is_lax, bool goes_early) {
    const struct q_cert *root = tls_route_root();
    struct quoit_tls *tls;
    Q_CHECK(quoit_tls_new(&tls) == QUOIT_OK &&
            quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, root->pem, strlen(root->pem)) == QUOIT_OK);
    if (is_lax) {
        Q_CHECK(quoit_tls_set_verify(tls, QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING) == QUOIT_OK);
    }
    if (sni != NULL) {
        Q_CHECK(quoit_tls_set_sni(tls, QUOIT_TLS_SNI_NAME, sni, strlen(sni)) == QUOIT_OK);
    }
    Q_CHECK(quoit_tls_set_switch(tls, QUOIT_TLS_EARLY_DATA, goes_early) == QUOIT_OK);
    Q_CHECK(quoit_tls_freeze(tls, NULL) == QUOIT_OK);
    return tls;
}

struct quoit_tls *tls_route_settings(void) { return new_settings(NULL, false, false); }

static uint64_t the_turn; // of the configurations, in random worlds; 0: there is one for everything

// Requests hold them, and they die between them.
static const struct quoit_tls *settings(void) {
    uint64_t turn = the_turn == 0 ? 1 : the_turn++;
    q_libmemory_suspend(true);
    const struct quoit_tls *tls = new_settings(turn % 7 == 0 ? "other.example" : NULL, turn % 5 == 0, turn % 2 == 0);
    q_libmemory_suspend(false);
    return tls;
}

// What the process draws once for all (the key of the digests) is drawn before the first run.
static void begin(uint64_t seed) {
    static bool is_warm;
    if (!is_warm) {
        is_warm = true;
        quoit_tls_release(tls_route_settings());
    }
    the_turn = seed == 0 ? 0 : seed; // the stands' kernels have none
    q_deterministic_reset(seed + 1);
}

static void draw_fault(struct q_sim *sim, struct q_simtls_script *script) {
    if (q_sim_chance(sim, 25)) {
        script->fault = (enum q_simtls_fault)q_sim_between(sim, Q_SIMTLS_FIN, Q_SIMTLS_GARBLE, 0);
        script->is_fault_at_record = q_sim_chance(sim, 30);
        uint64_t most = script->is_fault_at_record ? 12 : q_sim_chance(sim, 50) ? 1500 : 20000;
        script->fault_at = q_sim_between(sim, 0, most, 0);
        script->silence_ns = 300 * Q_NS_PER_MS; // or nothing would ever end
    } else if (q_sim_chance(sim, 10)) {
        script->alert_at = q_sim_between(sim, 1, 2000, 0);
    } else if (q_sim_chance(sim, 10)) {
        script->num_floods = (unsigned)q_sim_between(sim, 1, 30, 0);
        script->flood = Q_SIMTLS_EMPTY; // what is allowed in both versions
    }
    script->end = q_sim_chance(sim, 30) ? Q_SIMTLS_RUDE : Q_SIMTLS_GOODBYE;
}

// Good servers differ too.
static void draw_script(void *context, struct q_sim_conn *conn, struct q_simtls_script *script) {
    struct q_sim *sim = q_sim_conn_sim(conn);
    static const size_t k_pieces[] = {1, 2, 5, 6, 100, 1000};
    static const size_t k_records[] = {1, 16, 512, 1000, 4096};
    if (q_sim_chance(sim, 15)) {
        script->piece = k_pieces[q_sim_between(sim, 2, 5, 0)];
        script->piece = q_sim_chance(sim, 10) ? k_pieces[q_sim_between(sim, 0, 1, 0)] : script->piece;
        script->piece_until = 100 * script->piece;
        script->piece_delay_ns = q_sim_between(sim, 1, 2000, 0);
    }
    if (q_sim_chance(sim, 20)) {
        script->record_max = k_records[q_sim_between(sim, 1, 4, 0)];
    }
    if (q_sim_chance(sim, 20)) {
        script->flight_delay_ns = q_sim_between(sim, 1, 10 * Q_NS_PER_MS, 0);
    }
    if (q_sim_chance(sim, 15)) {
        script->num_updates = (unsigned)q_sim_between(sim, 1, 3, 0);
        script->asks_updates = q_sim_chance(sim, 50);
    }
    script->early = Q_SIMTLS_REJECT; // who takes it and closes at once resets, with the rest of the handshake unread
    bool is_moody = context != NULL;
    if (is_moody) {
        script->early = q_sim_chance(sim, 10) ? Q_SIMTLS_EARLY_FIN : script->early;
        draw_fault(sim, script);
    }
}

struct q_simtls_options tls_route_options(struct q_sim *sim, bool is_moody) {
    static bool the_moody;
    static const uint16_t k_versions[] = {0, 0x0303, 0x0304};
    return (struct q_simtls_options){
        .chain = {tls_route_leaf()},
        .version = k_versions[q_sim_between(sim, 0, 2, 0)],
        .has_no_tickets = q_sim_chance(sim, 20),
        .takes_early = q_sim_chance(sim, 50),
        .on_library = q_libmemory_suspend,
        .on_open = q_sim_is_plain(sim) ? NULL : draw_script,
        .context = is_moody ? &the_moody : NULL,
    };
}

static void (*the_tap)(void *context, const struct q_sim_conn *conn, bool is_to_client, const char *data, size_t len);
static void *the_tap_context;

void tls_route_tap(void (*tap)(void *context, const struct q_sim_conn *conn, bool is_to_client, const char *data, size_t len),
                   void *context) {
    the_tap = tap;
    the_tap_context = context;
}

static void *open_front(struct q_sim *sim, bool is_moody, const struct q_sim_filter **out_filter) {
    struct q_simtls_options options = tls_route_options(sim, is_moody);
    *out_filter = q_simtls_filter();
    q_sim_tap(sim, the_tap, the_tap_context);
    return q_simtls_new(sim, &options);
}

static const char *close_front(void *front) {
    static char text[160];
    const struct q_simtls_stats *stats = q_simtls_stats(front);
    text[0] = '\0';
    if (stats->faults > 0) {
        snprintf(text, sizeof text, "%s", stats->first_fault);
    }
    q_simtls_free(front);
    return text[0] == '\0' ? NULL : text;
}

// What a moody server's scripts come to: one wrong bit may make any mistake of it, also in a certificate.
static bool may_fail_with(int32_t code) {
    return quoit_error_category(code) == QUOIT_CATEGORY_TLS && code != QUOIT_ERR_TLS_NO_TRUST_STORE;
}

static const struct sim_route k_route = {
    .scheme = "https",
    .begin = begin,
    .open = open_front,
    .close = close_front,
    .settings = settings,
    .fail_memory_at = q_libmemory_fail_at,
    .may_fail_with = may_fail_with,
};

static void __attribute__((constructor)) take(void) { sim_route = &k_route; }
