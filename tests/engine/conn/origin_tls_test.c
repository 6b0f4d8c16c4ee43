// How TLS is spoken is a part of a connection's identity: what one config trusts is never lent to another.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/conn/origin.h"
#include "engine/tls/config.h"
#include "engine/tls/interned.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"

static struct q_cert *the_root;

static struct q_handle new_tls(uint32_t verify, const char *verify_name) {
    struct q_tls_builder *builder;
    struct q_tls_config *config;
    struct q_handle tls;
    assert_int_equal(q_tls_builder_new(&builder, q_alloc_libc()).code, 0);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(the_root->pem)).code, 0);
    assert_int_equal(q_tls_builder_set_verify(builder, verify).code, 0);
    assert_int_equal(q_tls_builder_set_verify_name(builder, q_slice_of_string(verify_name)).code, 0);
    assert_int_equal(q_tls_builder_freeze(builder, &config).code, 0);
    q_tls_builder_destroy(builder);
    assert_int_equal(q_tls_intern(config, &tls).code, 0);
    return tls;
}

static struct q_origin new_origin(const struct q_alloc *alloc, struct q_handle tls) {
    struct q_url url;
    struct q_origin origin;
    assert_int_equal(q_url_parse(q_alloc_libc(), Q_SLICE("https://a.example/"), &url).code, 0);
    assert_int_equal(q_origin_build(&origin, alloc, &url).code, 0);
    q_url_deinit(&url);
    if (!q_tls_is_none(tls)) {
        assert_int_equal(q_origin_set_tls(&origin, tls).code, 0);
    }
    return origin;
}

static void each_config_has_origins_of_its_own(void **state) {
    enum { NUM = 4 };
    (void)state;
    struct q_handle tls[NUM] = {
        {0},
        new_tls(Q_TLS_VERIFY_FULL, ""),
        new_tls(Q_TLS_VERIFY_FULL, "b.example"),
        new_tls(Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING, ""),
    };
    struct q_origin origins[NUM];
    for (int i = 0; i < NUM; i++) {
        origins[i] = new_origin(q_alloc_libc(), tls[i]);
        for (int j = 0; j < i; j++) {
            assert_false(q_origin_equal(&origins[i], &origins[j]));
        }
    }
    for (int i = 0; i < NUM; i++) {
        q_origin_deinit(&origins[i]);
        q_tls_let_go(tls[i]);
    }
}

static void equal_configs_share_their_connections(void **state) {
    (void)state;
    struct q_handle tls = new_tls(Q_TLS_VERIFY_FULL, "b.example");
    struct q_handle equal = new_tls(Q_TLS_VERIFY_FULL, "b.example");
    struct q_origin origin = new_origin(q_alloc_libc(), tls);
    struct q_origin other = new_origin(q_alloc_libc(), equal);
    assert_true(q_origin_equal(&origin, &other));
    q_origin_deinit(&origin);
    q_origin_deinit(&other);
    q_tls_let_go(tls);
    q_tls_let_go(equal);
}

// A config that has ended and an equal one made anew: the same trust, so the same connections.
static void the_key_is_the_digest_and_not_the_handle(void **state) {
    (void)state;
    struct q_handle first = new_tls(Q_TLS_VERIFY_FULL, "b.example");
    struct q_origin origin = new_origin(q_alloc_libc(), first);
    q_tls_let_go(first);
    struct q_handle second = new_tls(Q_TLS_VERIFY_FULL, "b.example");
    assert_true(first.index != second.index || first.generation != second.generation);
    struct q_origin other = new_origin(q_alloc_libc(), second);
    assert_true(q_origin_equal(&origin, &other));
    q_origin_deinit(&origin);
    q_origin_deinit(&other);
    q_tls_let_go(second);
}

static void without_memory_the_origin_is_as_it_was(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    struct q_handle tls = new_tls(Q_TLS_VERIFY_FULL, "");
    struct q_origin origin = new_origin(q_failalloc_alloc(failalloc), (struct q_handle){0});
    size_t len = origin.key.len;
    q_failalloc_fail_at(failalloc, 1);
    assert_int_equal(q_origin_set_tls(&origin, tls).code, Q_ERR_NO_MEMORY);
    assert_int_equal(origin.key.len, len);
    assert_true(q_tls_is_none(origin.tls));
    q_origin_deinit(&origin);
    q_tls_let_go(tls);
    q_failalloc_free(failalloc);
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
        cmocka_unit_test(each_config_has_origins_of_its_own),
        cmocka_unit_test(equal_configs_share_their_connections),
        cmocka_unit_test(the_key_is_the_digest_and_not_the_handle),
        cmocka_unit_test(without_memory_the_origin_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
