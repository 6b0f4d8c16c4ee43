// Equal configs are one, for as long as somebody holds it, and nothing names it behind that.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/tls/config.h"
#include "engine/tls/interned.h"
#include "engine/tls/registry.h"
#include "tests/engine/base/dies.h"
#include "tests/support/certs.h"

static struct q_cert *the_root;

static struct q_tls_config *new_config(const char *verify_name) {
    struct q_tls_builder *builder;
    struct q_tls_config *config;
    assert_int_equal(q_tls_builder_new(&builder, q_alloc_libc()).code, 0);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(the_root->pem)).code, 0);
    assert_int_equal(q_tls_builder_set_verify_name(builder, q_slice_of_string(verify_name)).code, 0);
    assert_int_equal(q_tls_builder_freeze(builder, &config).code, 0);
    q_tls_builder_destroy(builder);
    return config;
}

static struct q_handle intern(const char *verify_name) {
    struct q_handle tls;
    assert_int_equal(q_tls_intern(new_config(verify_name), &tls).code, 0);
    assert_false(q_tls_is_none(tls));
    return tls;
}

static bool are_one(struct q_handle a, struct q_handle b) {
    return a.index == b.index && a.generation == b.generation;
}

static void equal_configs_are_one(void **state) {
    (void)state;
    struct q_handle first = intern("a.example");
    struct q_handle second = intern("a.example");
    struct q_handle other = intern("b.example");
    assert_true(are_one(first, second));
    assert_ptr_equal(q_tls_config_of(first), q_tls_config_of(second));
    assert_false(are_one(first, other));
    assert_ptr_not_equal(q_tls_config_of(first), q_tls_config_of(other));
    q_tls_let_go(first);
    assert_non_null(q_tls_config_of(second));
    q_tls_let_go(second);
    q_tls_let_go(other);
}

static void a_handle_outlives_its_config_and_names_nothing(void **state) {
    (void)state;
    struct q_handle old = intern("a.example");
    q_tls_let_go(old);
    assert_null(q_registry_upgrade(q_registry_process(), old));
    struct q_handle next = intern("a.example");
    assert_false(are_one(old, next)); // an equal one, and not it
    assert_null(q_registry_upgrade(q_registry_process(), old));
    q_tls_let_go(next);
}

static void each_hold_counts(void **state) {
    (void)state;
    struct q_handle tls = intern("a.example");
    q_tls_hold(tls);
    q_tls_let_go(tls);
    assert_non_null(q_tls_config_of(tls));
    q_tls_let_go(tls);
    assert_int_equal(q_registry_get_stats(q_registry_process()).entries, 0);
}

static void hold_what_has_ended(void *argument) { q_tls_hold(*(struct q_handle *)argument); }
static void let_go_of_what_has_ended(void *argument) { q_tls_let_go(*(struct q_handle *)argument); }

static void a_hold_too_few_is_found_out(void **state) {
    (void)state;
    struct q_handle tls = intern("a.example");
    q_tls_let_go(tls);
    assert_true(dies_saying(hold_what_has_ended, &tls, "broken invariant"));
    assert_true(dies_saying(let_go_of_what_has_ended, &tls, "broken invariant"));
}

static void no_config_is_held_by_nobody(void **state) {
    (void)state;
    struct q_handle none = {0};
    assert_true(q_tls_is_none(none));
    q_tls_hold(none);
    q_tls_let_go(none);
    q_tls_let_go(none);
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
        cmocka_unit_test(equal_configs_are_one),
        cmocka_unit_test(a_handle_outlives_its_config_and_names_nothing),
        cmocka_unit_test(each_hold_counts),
        cmocka_unit_test(a_hold_too_few_is_found_out),
        cmocka_unit_test(no_config_is_held_by_nobody),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
