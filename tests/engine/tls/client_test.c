// What a config says becomes what a stream is to be, by one context for all that use it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "engine/tls/client.h"
#include "engine/tls/config.h"
#include "engine/tls/interned.h"
#include "tests/engine/tls/contexts_rig.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"

#include <openssl/ssl.h>

static struct q_cert *the_root;

static struct q_tls_builder *new_builder(void) {
    struct q_tls_builder *builder;
    assert_int_equal(q_tls_builder_new(&builder, q_alloc_libc()).code, 0);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(the_root->pem)).code, 0);
    return builder;
}

static struct q_handle intern(struct q_tls_builder *builder) {
    struct q_tls_config *config;
    struct q_handle tls;
    assert_int_equal(q_tls_builder_freeze(builder, &config).code, 0);
    q_tls_builder_destroy(builder);
    assert_int_equal(q_tls_intern(config, &tls).code, 0);
    return tls;
}

struct bench {
    struct scene *scene;
    struct q_chunk_budget budget;
    struct q_chunk_pool chunks;
    struct q_failalloc *memory;
    struct q_tls_client client;
};

static void open_bench(struct bench *bench) {
    *bench = (struct bench){.scene = scene_open(), .budget = {.limit = 1 << 20}, .memory = q_failalloc_new()};
    const struct q_alloc *alloc = q_failalloc_alloc(bench->memory);
    q_chunk_pool_init(&bench->chunks, alloc, &bench->budget, 16384, 1);
    assert_true(q_tls_client_init(&bench->client, alloc, &bench->scene->loop, &bench->chunks));
}

static void close_bench(struct bench *bench) {
    q_tls_client_deinit(&bench->client);
    q_chunk_pool_deinit(&bench->chunks);
    q_failalloc_free(bench->memory); // and nothing is left
    scene_close(bench->scene);
}

static struct q_handle enter(struct bench *bench, struct q_handle tls) {
    struct q_handle context;
    assert_int_equal(q_tls_client_enter(&bench->client, tls, &context).code, 0);
    return context;
}

static struct q_tls_params params_of(struct bench *bench, struct q_handle context, const char *name, bool is_address) {
    struct q_tls_peer peer = {.name = q_slice_of_string(name), .is_address = is_address};
    struct q_tls_params params;
    q_tls_client_params(&bench->client, context, &peer, &params);
    assert_non_null(params.context);
    return params;
}

static void assert_names(const struct q_tls_params *params, const char *server_name, const char *verify_name) {
    assert_true(q_slice_equal(params->server_name, q_slice_of_string(server_name)));
    assert_true(q_slice_equal(params->verify_name, q_slice_of_string(verify_name)));
}

static void equal_configs_share_a_context(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench);
    struct q_handle tls = intern(new_builder());
    struct q_handle equal = intern(new_builder());
    struct q_handle first = enter(&bench, tls);
    struct q_handle second = enter(&bench, equal);
    assert_ptr_equal(params_of(&bench, first, "a", false).context, params_of(&bench, second, "a", false).context);
    assert_int_equal(bench.client.contexts.stats.builds, 1);
    q_tls_client_leave(&bench.client, first);
    q_tls_client_leave(&bench.client, second);
    q_tls_let_go(tls);
    q_tls_let_go(equal);
    close_bench(&bench);
}

// Connections may outlive whoever asked for them.
static void a_context_holds_its_config(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench);
    struct q_handle tls = intern(new_builder());
    struct q_handle context = enter(&bench, tls);
    q_tls_let_go(tls);
    struct q_tls_params params = params_of(&bench, context, "a.example", false);
    assert_non_null(params.verify->roots);
    assert_false(params.verify->skips_path);
    assert_false(params.verify->skips_name);
    q_tls_client_leave(&bench.client, context);
    close_bench(&bench);
}

static void names_are_told_and_addresses_are_not(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench);
    struct q_handle tls = intern(new_builder());
    struct q_handle context = enter(&bench, tls);
    struct q_tls_params params = params_of(&bench, context, "a.example", false);
    assert_names(&params, "a.example", "a.example");
    params = params_of(&bench, context, "a.example.", false);
    assert_names(&params, "a.example", "a.example");
    params = params_of(&bench, context, "127.0.0.1", true);
    assert_names(&params, "", "127.0.0.1");
    params = params_of(&bench, context, "[::1]", true);
    assert_names(&params, "", "::1");
    assert_int_equal(params.handshake_ns, Q_TLS_HANDSHAKE_NS); // a mute server is told from one that is not there
    q_tls_client_leave(&bench.client, context);
    q_tls_let_go(tls);
    close_bench(&bench);
}

static void a_config_may_have_names_of_its_own(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench);
    struct q_tls_builder *builder = new_builder();
    assert_int_equal(q_tls_builder_set_sni(builder, Q_TLS_SNI_NAME, Q_SLICE("front.example")).code, 0);
    assert_int_equal(q_tls_builder_set_verify_name(builder, Q_SLICE("back.example")).code, 0);
    struct q_handle tls = intern(builder);
    struct q_handle context = enter(&bench, tls);
    struct q_tls_params params = params_of(&bench, context, "127.0.0.1", true);
    assert_names(&params, "front.example", "back.example");
    q_tls_client_leave(&bench.client, context);
    q_tls_let_go(tls);
    builder = new_builder();
    assert_int_equal(q_tls_builder_set_sni(builder, Q_TLS_SNI_OFF, (struct q_slice){0}).code, 0);
    tls = intern(builder);
    context = enter(&bench, tls);
    params = params_of(&bench, context, "a.example", false);
    assert_names(&params, "", "a.example");
    q_tls_client_leave(&bench.client, context);
    q_tls_let_go(tls);
    close_bench(&bench);
}

static void what_is_not_verified_was_asked_for(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench);
    struct q_tls_builder *builder = new_builder();
    assert_int_equal(q_tls_builder_set_verify(builder, Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING).code, 0);
    struct q_handle tls = intern(builder);
    struct q_handle context = enter(&bench, tls);
    struct q_tls_params params = params_of(&bench, context, "a.example", false);
    assert_true(params.verify->skips_path);
    assert_true(params.verify->skips_name);
    q_tls_client_leave(&bench.client, context);
    q_tls_let_go(tls);
    close_bench(&bench);
}

// A connection that goes ahead stands before its handshake is over, and nobody can be asked then.
static void who_asks_the_host_does_not_go_ahead(void **state) {
    enum { NEITHER, VERIFY, SIGN, CASES };
    (void)state;
    const struct q_tls_point point = {.serial = 7};
    struct q_cert *leaf = q_certs_make(the_root, &(struct q_certs_spec){.common_name = "client", .key_number = 2});
    const struct q_tls_source chain = {.value = q_slice_of_string(leaf->pem)};
    for (int what = 0; what < CASES; what++) {
        struct bench bench;
        open_bench(&bench);
        struct q_tls_builder *builder = new_builder();
        assert_int_equal(q_tls_builder_set_switch(builder, Q_TLS_EARLY_DATA, true).code, 0);
        if (what == VERIFY) {
            assert_int_equal(q_tls_builder_set_verify_point(builder, &point, Q_TLS_ASKS_IF_GOOD).code, 0);
        } else if (what == SIGN) {
            assert_int_equal(q_tls_builder_set_identity_point(builder, chain, &point).code, 0);
        }
        struct q_handle tls = intern(builder);
        struct q_handle context = enter(&bench, tls);
        assert_int_equal(params_of(&bench, context, "a.example", false).may_go_ahead, what == NEITHER);
        q_tls_client_leave(&bench.client, context);
        q_tls_let_go(tls);
        close_bench(&bench);
    }
    q_certs_free(leaf);
}

static void without_memory_there_is_no_context_and_nothing_is_left(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench);
    struct q_handle tls = intern(new_builder());
    struct q_handle context;
    unsigned failures = 0;
    for (uint64_t nth = 1;; nth++) {
        q_failalloc_fail_at(bench.memory, nth);
        struct q_error error = q_tls_client_enter(&bench.client, tls, &context);
        if (!q_error_is(error)) {
            break;
        }
        assert_int_equal(error.code, Q_ERR_NO_MEMORY);
        failures++;
    }
    q_failalloc_fail_at(bench.memory, 0);
    assert_true(failures > 0);
    q_tls_client_leave(&bench.client, context);
    q_tls_let_go(tls);
    close_bench(&bench);
}

// A lock inside it may be held by a thread that the child does not have.
static void a_parents_config_is_not_entered_in_a_child(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench);
    struct q_handle tls = intern(new_builder());
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct q_handle context;
        struct q_error error = q_tls_client_enter(&bench.client, tls, &context);
        _exit(error.code == Q_ERR_FORKED && error.phase == Q_PHASE_TLS ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    q_tls_client_leave(&bench.client, enter(&bench, tls)); // nothing has changed here
    q_tls_let_go(tls);
    close_bench(&bench);
}

static uint64_t num_looked_at(const struct bench *bench) {
    return bench->client.sessions.stats.kept + bench->client.sessions.stats.refused;
}

static void give_session(struct bench *bench, struct q_handle context) {
    struct q_tls_user user = {.context = context, .audience = Q_SLICE("a.example")};
    SSL_SESSION *session = SSL_SESSION_new(params_of(bench, context, "a.example", false).context);
    assert_non_null(session);
    q_tls_client_keep_session(&bench->client, &user, session);
}

// What runs goes on with the context that it has, and leaves nothing to those that come later.
static void what_is_invalidated_serves_nobody_who_comes_later(void **state) {
    (void)state;
    for (int all = 0; all < 2; all++) {
        struct bench bench;
        open_bench(&bench);
        struct q_handle tls = intern(new_builder());
        struct q_tls_builder *builder = new_builder();
        assert_int_equal(q_tls_builder_set_switch(builder, Q_TLS_GREASE, true).code, 0);
        struct q_handle other = intern(builder);
        struct q_handle context = enter(&bench, tls);
        struct q_handle others = enter(&bench, other);
        give_session(&bench, context);
        assert_int_equal(num_looked_at(&bench), 1);
        q_tls_client_invalidate(&bench.client, all ? (struct q_handle){0} : tls);
        assert_int_equal(bench.client.sessions.stats.sessions, 0);
        give_session(&bench, context);
        assert_int_equal(num_looked_at(&bench), 1);
        struct q_handle fresh = enter(&bench, tls);
        assert_int_not_equal(fresh.index, context.index);
        give_session(&bench, fresh);
        give_session(&bench, others);
        assert_int_equal(num_looked_at(&bench), all ? 2 : 3);
        q_tls_client_leave(&bench.client, context);
        q_tls_client_leave(&bench.client, others);
        q_tls_client_leave(&bench.client, fresh);
        q_tls_let_go(tls);
        q_tls_let_go(other);
        close_bench(&bench);
    }
}

static int set_up(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, "root", 1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    q_certs_free(the_root);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_configs_share_a_context),
        cmocka_unit_test(a_context_holds_its_config),
        cmocka_unit_test(names_are_told_and_addresses_are_not),
        cmocka_unit_test(a_config_may_have_names_of_its_own),
        cmocka_unit_test(what_is_not_verified_was_asked_for),
        cmocka_unit_test(who_asks_the_host_does_not_go_ahead),
        cmocka_unit_test(without_memory_there_is_no_context_and_nothing_is_left),
        cmocka_unit_test(what_is_invalidated_serves_nobody_who_comes_later),
        cmocka_unit_test(a_parents_config_is_not_entered_in_a_child),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
