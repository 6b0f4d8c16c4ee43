// Settings: what a host holds of a configuration is counted, frozen once, corrected after a failure, and never more than a
// name behind that.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/tls/config.h"
#include "engine/tls/interned.h"
#include "engine/tls/registry.h"
#include "engine/tls/settings.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"

#define LAX Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING

static struct quoit_tls *new_settings(const struct q_alloc *alloc) {
    struct quoit_tls *tls = NULL;
    assert_int_equal(q_tls_settings_new(&tls, alloc).code, 0);
    return tls;
}

static struct q_tls_builder *builder_of(struct quoit_tls *tls) {
    struct q_tls_builder *builder = NULL;
    assert_int_equal(q_tls_settings_builder(tls, &builder).code, 0);
    return builder;
}

// Settings that need no trust store; `name` tells them apart.
static struct quoit_tls *lax_settings(const struct q_alloc *alloc, const char *name) {
    struct quoit_tls *tls = new_settings(alloc);
    assert_int_equal(q_tls_builder_set_verify(builder_of(tls), LAX).code, 0);
    assert_int_equal(q_tls_builder_set_sni(builder_of(tls), Q_TLS_SNI_NAME, q_slice_of_string(name)).code, 0);
    return tls;
}

static uint32_t num_interned(void) { return q_registry_get_stats(q_registry_process()).entries; }

static void they_are_a_builder_and_then_a_name(void **state) {
    (void)state;
    uint32_t before = num_interned();
    struct q_tls_builder *builder;
    struct quoit_tls *tls = lax_settings(q_alloc_libc(), "a.example");
    assert_int_equal(q_tls_settings_check(tls).code, Q_ERR_NOT_FROZEN);
    assert_int_equal(q_tls_settings_freeze(tls).code, 0);
    assert_int_equal(num_interned(), before + 1);
    assert_int_equal(q_tls_settings_check(tls).code, 0);
    assert_int_equal(q_tls_settings_builder(tls, &builder).code, Q_ERR_FROZEN);
    const struct q_tls_policy *policy = q_tls_config_policy(q_tls_config_of(q_tls_settings_handle(tls)));
    assert_string_equal(policy->sni_name.ptr, "a.example");
    struct q_handle handle = q_tls_settings_handle(tls);
    assert_int_equal(q_tls_settings_freeze(tls).code, 0); // nothing happens
    assert_ptr_equal(q_tls_config_of(handle), q_tls_config_of(q_tls_settings_handle(tls)));
    assert_int_equal(num_interned(), before + 1);
    assert_string_equal(q_tls_settings_detail(tls), "");
    assert_true(q_tls_settings_release(tls));
    assert_int_equal(num_interned(), before);
}

static void nothing_is_left_of_a_builder_that_is_frozen(void **state) {
    (void)state;
    struct q_failalloc *memory = q_failalloc_new();
    struct quoit_tls *tls = lax_settings(q_failalloc_alloc(memory), "b.example");
    uint64_t building = q_failalloc_live_bytes(memory);
    assert_int_equal(q_tls_settings_freeze(tls).code, 0);
    assert_true(q_failalloc_live_bytes(memory) < 1024); // the settings, the config and its texts
    assert_true(building > 4096);
    assert_true(q_tls_settings_release(tls));
    assert_true(q_failalloc_check(memory, NULL, 0));
    q_failalloc_free(memory);
}

static void equal_settings_are_one_config(void **state) {
    (void)state;
    uint32_t before = num_interned();
    struct quoit_tls *one = lax_settings(q_alloc_libc(), "a.example");
    struct quoit_tls *two = lax_settings(q_alloc_libc(), "A.example");
    struct quoit_tls *other = lax_settings(q_alloc_libc(), "b.example");
    assert_int_equal(q_tls_settings_freeze(one).code, 0);
    assert_int_equal(q_tls_settings_freeze(two).code, 0);
    assert_int_equal(q_tls_settings_freeze(other).code, 0);
    assert_ptr_equal(q_tls_config_of(q_tls_settings_handle(one)), q_tls_config_of(q_tls_settings_handle(two)));
    assert_ptr_not_equal(q_tls_config_of(q_tls_settings_handle(one)), q_tls_config_of(q_tls_settings_handle(other)));
    assert_int_equal(num_interned(), before + 2);
    assert_true(q_tls_settings_release(one));
    assert_int_equal(num_interned(), before + 2); // the second one's
    assert_true(q_tls_settings_release(two));
    assert_true(q_tls_settings_release(other));
    assert_int_equal(num_interned(), before);
}

static void what_holds_the_config_outlives_the_settings(void **state) {
    (void)state;
    struct quoit_tls *tls = lax_settings(q_alloc_libc(), "a.example");
    assert_int_equal(q_tls_settings_freeze(tls).code, 0);
    struct q_handle handle = q_tls_settings_handle(tls);
    q_tls_hold(handle);
    assert_true(q_tls_settings_release(tls));
    assert_string_equal(q_tls_config_policy(q_tls_config_of(handle))->sni_name.ptr, "a.example");
    q_tls_let_go(handle);
}

static void a_failed_freeze_is_told_and_corrected(void **state) {
    (void)state;
    struct quoit_tls *tls = lax_settings(q_alloc_libc(), "a.example");
    const struct q_tls_source missing = {.is_file = true, .value = Q_SLICE("/nowhere/at/all.pem")};
    const struct q_tls_source none = {0};
    assert_int_equal(q_tls_builder_set_identity(builder_of(tls), missing, none, Q_SLICE("")).code, 0);
    struct q_error error = q_tls_settings_freeze(tls);
    assert_int_equal(error.code, Q_ERR_TLS_FILE);
    assert_true(error.os_errno > 0);
    assert_string_equal(q_tls_settings_detail(tls), "/nowhere/at/all.pem (ENOENT)");
    assert_int_equal(q_tls_settings_check(tls).code, Q_ERR_NOT_FROZEN);
    assert_int_equal(q_tls_builder_set_identity(builder_of(tls), none, none, Q_SLICE("")).code, 0);
    assert_int_equal(q_tls_settings_freeze(tls).code, 0);
    assert_string_equal(q_tls_settings_detail(tls), "");
    assert_true(q_tls_settings_release(tls));
}

static void holds_are_counted(void **state) {
    (void)state;
    struct quoit_tls *tls = lax_settings(q_alloc_libc(), "a.example");
    assert_int_equal(q_tls_settings_freeze(tls).code, 0);
    assert_true(q_tls_settings_acquire(tls));
    assert_true(q_tls_settings_release(tls));
    assert_true(q_tls_settings_is_hosts(tls));
    assert_int_equal(q_tls_settings_check(tls).code, 0);
    assert_true(q_tls_settings_release(tls));
    assert_false(q_tls_settings_is_hosts(NULL));
    assert_false(q_tls_settings_acquire(NULL));
    assert_false(q_tls_settings_release(NULL));
    assert_int_equal(q_tls_settings_check(NULL).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_settings_freeze(NULL).code, Q_ERR_INVALID_ARGUMENT);
    assert_string_equal(q_tls_settings_detail(NULL), "");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // which rightly see a use of freed memory
// No promise, but what is to be expected: nobody has been given its memory in between.
static void a_use_behind_the_last_release_does_nothing(void **state) {
    (void)state;
    uint32_t before = num_interned();
    struct q_tls_builder *builder;
    struct quoit_tls *tls = lax_settings(q_alloc_libc(), "a.example");
    assert_int_equal(q_tls_settings_freeze(tls).code, 0);
    assert_true(q_tls_settings_release(tls));
    assert_false(q_tls_settings_release(tls));
    assert_false(q_tls_settings_acquire(tls));
    assert_false(q_tls_settings_is_hosts(tls));
    assert_int_equal(q_tls_settings_check(tls).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_settings_freeze(tls).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_settings_builder(tls, &builder).code, Q_ERR_INVALID_ARGUMENT);
    assert_string_equal(q_tls_settings_detail(tls), "");
    assert_int_equal(num_interned(), before);
}
#endif

static void they_may_be_given_up_before_they_are_frozen(void **state) {
    (void)state;
    struct q_failalloc *memory = q_failalloc_new();
    struct quoit_tls *tls = lax_settings(q_failalloc_alloc(memory), "a.example");
    assert_true(q_tls_settings_release(tls));
    assert_true(q_failalloc_check(memory, NULL, 0));
    q_failalloc_free(memory);
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    struct q_failalloc *memory = q_failalloc_new();
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed; nth++) {
        struct quoit_tls *tls = NULL;
        q_failalloc_fail_at(memory, nth);
        int32_t code = q_tls_settings_new(&tls, q_failalloc_alloc(memory)).code;
        if (code == 0) {
            code = q_tls_builder_set_verify(builder_of(tls), LAX).code;
            assert_int_equal(code, 0);
            code = q_tls_settings_freeze(tls).code;
        }
        has_failed = q_failalloc_failed(memory);
        assert_int_equal(code, has_failed ? Q_ERR_NO_MEMORY : 0);
        q_failalloc_fail_at(memory, 0);
        if (tls != NULL) {
            assert_int_equal(q_tls_settings_freeze(tls).code, 0); // there is memory again
            assert_true(q_tls_settings_release(tls));
        }
        assert_true(q_failalloc_check(memory, NULL, 0));
    }
    q_failalloc_free(memory);
}

// --- no room -------------------------------------------------------------------------------------------------------

static void no_release(void *content) { (void)content; }

// Fills the process's registry. A last number is left out, for the test to take away: the digest is its number.
static struct q_handle *fill_registry(uint32_t *out_num) {
    struct q_registry *registry = q_registry_process();
    struct q_handle *handles = calloc(Q_REGISTRY_ENTRIES_MAX, sizeof *handles);
    uint32_t num = 0;
    assert_non_null(handles);
    for (;;) {
        uint8_t digest[Q_REGISTRY_DIGEST_LEN] = {0};
        void *content;
        memcpy(digest, &num, sizeof num);
        enum q_intern_result result =
            q_registry_intern(registry, digest, handles, no_release, &handles[num], &content);
        if (result == Q_INTERN_FULL) {
            break;
        }
        assert_int_equal(result, Q_INTERN_MADE);
        num++;
    }
    *out_num = num;
    return handles;
}

static void without_room_it_is_kept_and_frozen_when_there_is_some(void **state) {
    (void)state;
    struct q_failalloc *memory = q_failalloc_new();
    struct q_tls_builder *builder;
    uint32_t num;
    struct q_handle *handles = fill_registry(&num);
    struct quoit_tls *tls = lax_settings(q_failalloc_alloc(memory), "a.example");
    struct quoit_tls *given_up = lax_settings(q_failalloc_alloc(memory), "b.example");
    assert_int_equal(q_tls_settings_freeze(tls).code, Q_ERR_TLS_CONFIGS_MAX);
    assert_int_equal(q_tls_settings_freeze(tls).code, Q_ERR_TLS_CONFIGS_MAX);
    assert_int_equal(q_tls_settings_freeze(given_up).code, Q_ERR_TLS_CONFIGS_MAX);
    assert_int_equal(q_tls_settings_check(tls).code, Q_ERR_NOT_FROZEN);
    assert_int_equal(q_tls_settings_builder(tls, &builder).code, 0);
    assert_int_equal(q_tls_builder_set_groups(builder, Q_SLICE("X25519")).code, Q_ERR_FROZEN);
    assert_true(q_tls_settings_release(given_up));
    q_registry_drop(q_registry_process(), handles[--num]);
    assert_int_equal(q_tls_settings_freeze(tls).code, 0);
    assert_string_equal(q_tls_config_policy(q_tls_config_of(q_tls_settings_handle(tls)))->sni_name.ptr, "a.example");
    assert_true(q_tls_settings_release(tls));
    while (num > 0) {
        q_registry_drop(q_registry_process(), handles[--num]);
    }
    free(handles);
    assert_true(q_failalloc_check(memory, NULL, 0));
    q_failalloc_free(memory);
}

// --- fork ----------------------------------------------------------------------------------------------------------

// The code with which a child ends that does `act`.
static int in_child(int (*act)(struct quoit_tls *tls), struct quoit_tls *tls) {
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(act(tls));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int use_frozen(struct quoit_tls *tls) {
    bool is_refused = q_tls_settings_check(tls).code == Q_ERR_FORKED && q_tls_settings_freeze(tls).code == Q_ERR_FORKED;
    return is_refused && q_tls_settings_release(tls) ? 0 : 1;
}

static int freeze_and_use(struct quoit_tls *tls) {
    bool is_used = q_tls_settings_freeze(tls).code == 0 && q_tls_settings_check(tls).code == 0;
    return is_used && q_tls_settings_release(tls) ? 0 : 1;
}

static void a_child_uses_what_it_has_frozen_itself(void **state) {
    (void)state;
    struct quoit_tls *tls = lax_settings(q_alloc_libc(), "a.example");
    assert_int_equal(in_child(freeze_and_use, tls), 0); // built before, frozen behind the fork
    assert_int_equal(q_tls_settings_freeze(tls).code, 0);
    assert_int_equal(in_child(use_frozen, tls), 0);
    assert_int_equal(q_tls_settings_check(tls).code, 0); // the parent does not notice
    assert_true(q_tls_settings_release(tls));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_a_builder_and_then_a_name),
        cmocka_unit_test(nothing_is_left_of_a_builder_that_is_frozen),
        cmocka_unit_test(equal_settings_are_one_config),
        cmocka_unit_test(what_holds_the_config_outlives_the_settings),
        cmocka_unit_test(a_failed_freeze_is_told_and_corrected),
        cmocka_unit_test(holds_are_counted),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_use_behind_the_last_release_does_nothing),
#endif
        cmocka_unit_test(they_may_be_given_up_before_they_are_frozen),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(without_room_it_is_kept_and_frozen_when_there_is_some),
        cmocka_unit_test(a_child_uses_what_it_has_frozen_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
