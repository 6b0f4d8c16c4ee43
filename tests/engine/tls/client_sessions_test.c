// Sessions that a server has given: which of them a stream shows to a server, and what a client keeps of them and gives.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "engine/tls/client.h"
#include "engine/tls/config.h"
#include "engine/tls/interned.h"
#include "tests/engine/tls/contexts_rig.h"
#include "tests/engine/tls/tls_rig.h"

static const uint16_t k_versions[] = {0x0303, 0x0304};

// --- streams ---------------------------------------------------------------------------------------------------------

static void end(struct tls_rig *rig) {
    tls_rig_close(rig);
    tls_rig_free(rig);
}

// A session with all that the library has in it. One reference is the caller's.
static SSL_SESSION *session_of(struct tls_rig *rig) {
    tls_rig_open(rig);
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_say(rig, "x", 1, 0);
    tls_rig_run(rig);
    assert_non_null(rig->session);
    SSL_SESSION *session = rig->session;
    rig->session = NULL;
    return session;
}

// A rig whose server knows the tickets of `first`'s.
static struct tls_rig *rig_beside(struct tls_rig *first, uint16_t version) {
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = version, .server_is_mute = true});
    rig->server = SSL_new(first->server_context);
    SSL_set_accept_state(rig->server);
    SSL_set_bio(rig->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(rig->server), -1);
    return rig;
}

static bool is_resumed(const struct tls_rig *rig) {
    struct q_tls_facts facts;
    q_tls_stream_facts(&rig->tls, &facts);
    return facts.is_resumed;
}

static void a_stream_takes_a_session_when_the_one_below_stands(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
        SSL_SESSION *session = session_of(rig);
        struct tls_rig *failed = rig_beside(rig, k_versions[i]);
        failed->offer = session;
        failed->wire.connect_error = q_error_make(Q_ERR_CONNECTION_RESET, Q_PHASE_CONNECT);
        tls_rig_connect(failed);
        tls_rig_run(failed);
        assert_ptr_equal(failed->offer, session); // which nobody has seen
        assert_null(failed->useless);
        failed->offer = NULL;
        end(failed);
        struct tls_rig *second = rig_beside(rig, k_versions[i]);
        second->offer = session;
        tls_rig_open(second);
        assert_null(second->offer);
        assert_null(second->useless);
        assert_true(is_resumed(second));
        end(second);
        end(rig);
    }
}

static void a_session_that_the_server_does_not_take_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
        SSL_SESSION *session = session_of(rig);
        struct tls_rig *second = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]}); // it has keys of its own
        second->offer = session;
        tls_rig_open(second);
        assert_false(is_resumed(second));
        assert_ptr_equal(second->useless, session);
        end(second);
        end(rig);
    }
}

static void a_session_whose_handshake_failed_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
        SSL_SESSION *session = session_of(rig);
        struct tls_rig *second = rig_beside(rig, k_versions[i]);
        second->offer = session;
        second->wire.limit = 20;
        tls_rig_end(second, Q_OK);
        tls_rig_connect(second);
        tls_rig_run(second);
        assert_int_equal(second->connect_error.code, Q_ERR_TLS_TRUNCATED);
        assert_ptr_equal(second->useless, session);
        end(second);
        end(rig);
    }
}

// The library is told an age, and never looks at a clock of its own.
static void a_session_that_is_too_old_is_not_shown(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
        SSL_SESSION *session = session_of(rig);
        assert_int_equal(SSL_SESSION_get_time(session), Q_SESSIONS_CLOCK_S);
        SSL_SESSION_set_time(session, Q_SESSIONS_CLOCK_S - SSL_SESSION_get_timeout(session));
        struct tls_rig *second = rig_beside(rig, k_versions[i]);
        second->offer = session;
        tls_rig_open(second);
        assert_false(is_resumed(second));
        end(second);
        end(rig);
    }
}

// --- a client --------------------------------------------------------------------------------------------------------

struct bench {
    struct scene *scene;
    struct q_chunk_budget budget;
    struct q_chunk_pool chunks;
    struct q_tls_client client;
    struct tls_rig *rig; // what gives sessions
};

static void open_bench(struct bench *bench, const struct tls_rig_options *options) {
    *bench = (struct bench){.scene = scene_open(), .budget = {.limit = 1 << 20}, .rig = tls_rig_new(options)};
    q_chunk_pool_init(&bench->chunks, q_alloc_libc(), &bench->budget, 16384, 1);
    assert_true(q_tls_client_init(&bench->client, q_alloc_libc(), &bench->scene->loop, &bench->chunks));
}

static void close_bench(struct bench *bench) {
    end(bench->rig);
    q_tls_client_deinit(&bench->client);
    q_chunk_pool_deinit(&bench->chunks);
    scene_close(bench->scene);
}

// One use of a context of a config that trusts `root`.
static struct q_tls_user enter(struct bench *bench, const struct q_cert *root, bool has_tickets) {
    struct q_tls_builder *builder;
    struct q_tls_config *config;
    struct q_handle tls;
    struct q_tls_user user = {.audience = Q_SLICE("a.example 443")};
    assert_int_equal(q_tls_builder_new(&builder, q_alloc_libc()).code, 0);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(root->pem)).code, 0);
    assert_int_equal(q_tls_builder_set_switch(builder, Q_TLS_TICKETS, has_tickets).code, 0);
    assert_int_equal(q_tls_builder_freeze(builder, &config).code, 0);
    q_tls_builder_destroy(builder);
    assert_int_equal(q_tls_intern(config, &tls).code, 0);
    assert_int_equal(q_tls_client_enter(&bench->client, tls, &user.context).code, 0);
    q_tls_let_go(tls);
    return user;
}

static void leave(struct bench *bench, const struct q_tls_user *user) { q_tls_client_leave(&bench->client, user->context); }

static SSL_SESSION *take(struct bench *bench, const struct q_tls_user *user) {
    return q_tls_client_take_session(&bench->client, user, Q_SLICE("a.example"));
}

static void what_a_server_gave_is_for_the_next_connection(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        open_bench(&bench, &(struct tls_rig_options){.version = k_versions[i]});
        struct q_tls_user user = enter(&bench, bench.rig->root, true);
        assert_null(take(&bench, &user));
        SSL_SESSION *session = session_of(bench.rig);
        q_tls_client_keep_session(&bench.client, &user, session);
        struct q_tls_user other = user;
        other.audience = Q_SLICE("a.example 444");
        assert_null(take(&bench, &other));
        struct q_tls_user strange = enter(&bench, bench.rig->leaf, true);
        assert_null(take(&bench, &strange));
        leave(&bench, &strange);
        leave(&bench, &user); // the context may go meanwhile
        user = enter(&bench, bench.rig->root, true);
        SSL_SESSION *taken = take(&bench, &user);
        assert_ptr_equal(taken, session);
        q_tls_client_drop_session(&bench.client, &user, taken);
        SSL_SESSION_free(taken);
        assert_null(take(&bench, &user));
        leave(&bench, &user);
        close_bench(&bench);
    }
}

static void without_tickets_nothing_is_kept(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench, &(struct tls_rig_options){0});
    struct q_tls_user user = enter(&bench, bench.rig->root, false);
    q_tls_client_keep_session(&bench.client, &user, session_of(bench.rig));
    assert_int_equal(bench.client.sessions.stats.kept, 0);
    assert_null(take(&bench, &user));
    leave(&bench, &user);
    close_bench(&bench);
}

static int64_t tell_2020(const struct q_clock *clock) {
    (void)clock;
    return Q_CERTS_2020 + 120;
}

// The certificate was good when the session was made, and is over now: whoever is there may have another.
static void certificates_are_looked_at_again_before_a_session_is_shown(void **state) {
    (void)state;
    struct bench bench;
    struct tls_rig *maker = tls_rig_new(&(struct tls_rig_options){0});
    struct q_cert *old = q_certs_make(maker->middle, &(struct q_certs_spec){
        .alt_names = "DNS:a.example", .not_after = Q_CERTS_2020 + 3600, .key_number = 5});
    open_bench(&bench, &(struct tls_rig_options){.leaf = old});
    bench.rig->policy.now_s = Q_CERTS_2020 + 60; // when it was good
    struct q_tls_user user = enter(&bench, bench.rig->root, true);
    q_tls_client_keep_session(&bench.client, &user, session_of(bench.rig));
    bench.scene->clock.calendar_s = tell_2020;
    SSL_SESSION *session = take(&bench, &user);
    assert_non_null(session);
    q_tls_client_keep_session(&bench.client, &user, session);
    bench.scene->clock.calendar_s = NULL; // the system's, which is years later
    assert_int_equal(bench.client.sessions.stats.sessions, 1);
    assert_null(take(&bench, &user));
    assert_int_equal(bench.client.sessions.stats.sessions, 0);
    leave(&bench, &user);
    close_bench(&bench);
    q_certs_free(old);
    end(maker);
}

static void a_session_of_a_chain_that_was_never_trusted_is_not_shown(void **state) {
    (void)state;
    struct bench bench;
    struct q_cert *other = q_certs_authority(NULL, "other", 30);
    open_bench(&bench, &(struct tls_rig_options){0});
    struct q_tls_user user = enter(&bench, other, true);
    SSL_SESSION *session = session_of(bench.rig);
    (void)SSL_SESSION_up_ref(session);
    q_tls_client_keep_session(&bench.client, &user, session);
    assert_null(take(&bench, &user));
    leave(&bench, &user);
    user = enter(&bench, bench.rig->root, true);
    q_tls_client_keep_session(&bench.client, &user, session);
    assert_null(q_tls_client_take_session(&bench.client, &user, Q_SLICE("b.example"))); // not its name
    assert_int_equal(bench.client.sessions.stats.sessions, 0);
    leave(&bench, &user);
    close_bench(&bench);
    q_certs_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_takes_a_session_when_the_one_below_stands),
        cmocka_unit_test(a_session_that_the_server_does_not_take_is_told),
        cmocka_unit_test(a_session_whose_handshake_failed_is_told),
        cmocka_unit_test(a_session_that_is_too_old_is_not_shown),
        cmocka_unit_test(what_a_server_gave_is_for_the_next_connection),
        cmocka_unit_test(without_tickets_nothing_is_kept),
        cmocka_unit_test(certificates_are_looked_at_again_before_a_session_is_shown),
        cmocka_unit_test(a_session_of_a_chain_that_was_never_trusted_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
