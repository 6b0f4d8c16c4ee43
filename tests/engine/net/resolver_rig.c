#include "tests/engine/net/resolver_rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct resolver_rig *rig;

uint64_t rig_ms(void) { return (rig->world.now_ns - rig->opened_ns) / Q_NS_PER_MS; }

// --- files -----------------------------------------------------------------------------------------------------------

void rig_write(const char *path, const char *text) {
    char fresh[700];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(fresh, path), 0);
}

static size_t read_real(struct dns_world *world, const char *path, char *into, size_t size) {
    (void)world;
    FILE *file = fopen(path, "r");
    size_t len = file == NULL ? 0 : fread(into, 1, size, file);
    if (file != NULL) {
        fclose(file);
    }
    return len;
}

void rig_open(const char *hosts, const char *resolv_conf, const struct q_resolver_options *options) {
    static const struct q_resolver_options k_usual = {
        .cache = {.entries_max = 100, .bytes_max = 100000, .ttl_max_s = 300, .negative_ttl_max_s = 60}};
    const char *folder = getenv("TEST_TMPDIR");
    rig = calloc(1, sizeof *rig);
    snprintf(rig->folder, sizeof rig->folder, "%s/names-XXXXXX", folder == NULL ? "/tmp" : folder);
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->hosts_path, sizeof rig->hosts_path, "%s/hosts", rig->folder);
    snprintf(rig->resolv_conf_path, sizeof rig->resolv_conf_path, "%s/resolv.conf", rig->folder);
    if (hosts != NULL) {
        rig_write(rig->hosts_path, hosts);
    }
    rig_write(rig->resolv_conf_path, resolv_conf);
    dns_world_open(&rig->world);
    rig->world.on_query = rig_serve;
    rig->world.on_read = read_real;
    rig->opened_ns = rig->world.now_ns;
    struct q_name_files_options paths = {.hosts_path = rig->hosts_path, .resolv_conf_path = rig->resolv_conf_path};
    assert_false(q_error_is(q_name_files_load(&rig->files, dns_world_alloc(&rig->world), &paths)));
    q_resolver_init(&rig->resolver, dns_world_alloc(&rig->world), &rig->world.loop, &rig->files,
                    options == NULL ? &k_usual : options);
}

void rig_close(void) {
    if (!rig->is_closed) {
        q_resolver_close(&rig->resolver);
    }
    for (int i = 0; i < 100 && !q_resolver_is_quiet(&rig->resolver); i++) {
        q_loop_tick(&rig->world.loop, false);
    }
    assert_true(q_resolver_is_quiet(&rig->resolver));
    assert_int_equal(rig->resolver.num_asking, 0);
    q_name_cache_validate(&rig->resolver.cache);
    q_resolver_deinit(&rig->resolver);
    q_name_files_deinit(&rig->files);
    dns_world_close(&rig->world);
    unlink(rig->hosts_path);
    unlink(rig->resolv_conf_path);
    rmdir(rig->folder);
    free(rig);
    rig = NULL;
}

// --- requests --------------------------------------------------------------------------------------------------------

static void add(struct asker *asker, const char *text) {
    size_t at = strlen(asker->told);
    snprintf(asker->told + at, sizeof asker->told - at, "%s", text);
}

static void on_answer(struct q_resolve *request, const struct q_resolve_answer *answer) {
    struct asker *asker = q_container_of(request, struct asker, request);
    bool is_v6 = answer->family == Q_RESOLVE_V6;
    assert_false(asker->is_over);
    assert_int_equal(answer->is_last, request->of == NULL);
    assert_int_equal(answer->count == 0, q_error_is(answer->error));
    add(asker, asker->told[0] == 0 ? "" : " ");
    add(asker, is_v6 ? "6:" : "4:");
    for (uint32_t i = 0; i < answer->count; i++) {
        char text[INET6_ADDRSTRLEN];
        add(asker, i > 0 ? "," : "");
        add(asker, inet_ntop(is_v6 ? AF_INET6 : AF_INET, answer->addresses[i], text, sizeof text));
    }
    if (answer->count == 0) {
        assert_int_equal(answer->error.phase, Q_PHASE_RESOLVE);
        assert_int_equal(answer->error.retry_safe, 1);
        add(asker, q_error_name(answer->error.code) + strlen("QUOIT_ERR_"));
    }
    add(asker, answer->is_stale ? "!" : "");
    asker->num_answers++;
    asker->error = answer->error;
    asker->ttl_s = answer->ttl_s;
    asker->at_ms = rig_ms();
    asker->first_ms = asker->num_answers == 1 ? asker->at_ms : asker->first_ms;
    asker->is_over = answer->is_last;
    if (asker->then != NULL) {
        asker->then(asker);
    }
}

static const struct q_resolve_events k_events = {.on_answer = on_answer};

struct asker *rig_ask_for(unsigned index, const char *name, uint16_t port, unsigned families) {
    struct asker *asker = &rig->askers[index];
    void (*then)(struct asker *) = asker->then;
    assert_true(asker->request.of == NULL);
    *asker = (struct asker){.request = {.events = &k_events}, .then = then};
    q_resolve_ask(&rig->resolver.names, &asker->request, q_slice_of_string(name), port, families);
    assert_int_equal(asker->num_answers, 0); // never from inside
    return asker;
}

struct asker *rig_ask(unsigned index, const char *name) { return rig_ask_for(index, name, 80, Q_RESOLVE_BOTH); }

const char *rig_look(const char *name) {
    struct asker *asker = rig_ask(63, name);
    dns_world_until(&rig->world, &asker->is_over);
    return asker->told;
}

// --- servers ---------------------------------------------------------------------------------------------------------

void rig_note(struct dns_query *query) {
    size_t at = strlen(rig->log);
    snprintf(rig->log + at, sizeof rig->log - at, "%s%s/%s", at > 0 ? " " : "", query->name,
             query->type == DNS_A ? "A" : "AAAA");
    at = strlen(rig->log);
    if (query->server[7] != '1') {
        snprintf(rig->log + at, sizeof rig->log - at, "@%c", query->server[7]);
    }
}

static bool begins(const struct dns_query *query, const char *text) {
    return strncmp(query->name, text, strlen(text)) == 0;
}

// By the first label: "both", "four", "six" have addresses (for 60 s); "none" exists without; "fails" and "mute" as they say;
// "slow4" and "slow6" have both, of which one comes 300 ms late; "no6" has IPv4, and its IPv6 is never answered; "short" has
// both for 1 s; "vague" does not exist, for nobody says how long. Whatever else does not exist, for 30 s.
void rig_serve(struct dns_query *query) {
    static struct dnswire wire;
    rig_note(query);
    bool is_v4 = query->type == DNS_A;
    bool has_both = begins(query, "both.") || begins(query, "slow") || begins(query, "short.");
    if (begins(query, "mute.") || (begins(query, "no6.") && !is_v4)) {
        return;
    }
    bool exists = has_both || begins(query, "four.") || begins(query, "six.") || begins(query, "none.") || begins(query, "no6.");
    dnswire_answer(&wire, query->bytes, query->len, begins(query, "fails.") ? DNS_SERVFAIL : exists ? DNS_OK : DNS_NXDOMAIN);
    uint32_t ttl = begins(query, "short.") ? 1 : 60;
    if (is_v4 && (has_both || begins(query, "four.") || begins(query, "no6."))) {
        dnswire_a(&wire, "@", ttl, "10.0.0.4");
    } else if (!is_v4 && (has_both || begins(query, "six."))) {
        dnswire_aaaa(&wire, "@", ttl, "2001:db8::6");
    } else if (!begins(query, "fails.") && !begins(query, "vague.")) {
        dnswire_soa(&wire, "example", 900, 30);
    }
    dns_reply(query, &wire, begins(query, is_v4 ? "slow4." : "slow6.") ? 300 : 10);
}
