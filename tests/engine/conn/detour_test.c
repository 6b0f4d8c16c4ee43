// Detours: which rule counts, where it leads, and that what goes elsewhere is another origin.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/conn/detour.h"
#include "tests/support/failalloc.h"

static struct q_error add(struct q_detours *detours, const char *host, uint16_t port, const char *to_host,
                          uint16_t to_port) {
    struct q_detour_rule rule = {.host = q_slice_of_string(host),
                                 .port = port,
                                 .to_host = q_slice_of_string(to_host),
                                 .to_port = to_port};
    return q_detours_add(detours, q_alloc_libc(), &rule);
}

static struct q_origin origin_of(const char *text, const struct q_detours *detours) {
    struct q_url url;
    struct q_origin origin;
    assert_false(q_error_is(q_url_parse(q_alloc_libc(), q_slice_of_string(text), &url)));
    assert_false(q_error_is(q_origin_build(&origin, q_alloc_libc(), &url)));
    q_url_deinit(&url);
    assert_false(q_error_is(q_detours_apply(detours, &origin)));
    return origin;
}

static void the_first_rule_that_matches_counts(void **state) {
    static const struct {
        const char *url;
        const char *host;
        uint16_t port;
        enum q_host_kind kind;
        uint8_t address[16]; // of a literal
    } k_rows[] = {
        {"http://a.test/", "127.0.0.1", 8080, Q_HOST_IPV4, {127, 0, 0, 1}}, // host and port both given
        {"http://A.test:81/", "::1", 81, Q_HOST_IPV6, {[15] = 1}},          // another port of it: keeps the port
        {"http://b.test:99/", "b.test", 7, Q_HOST_NAME, {0}},               // another host: keeps the host
        {"http://c.test/", "c.test", 80, Q_HOST_NAME, {0}},                 // none
        {"http://127.0.0.9/", "d.test", 1, Q_HOST_NAME, {0}},               // a literal is a host like any other
        {"http://[::9]/", "e.test", 2, Q_HOST_NAME, {0}},
        {"http://127.0.0.8:99/", "127.0.0.8", 7, Q_HOST_IPV4, {127, 0, 0, 8}},
    };
    struct q_detours detours = {0};
    (void)state;
    assert_false(q_error_is(add(&detours, "a.TEST", 80, "127.1", 8080)));
    assert_false(q_error_is(add(&detours, "a.test", 80, "127.0.0.2", 1)));
    assert_false(q_error_is(add(&detours, "a.test", 0, "[::1]", 0)));
    assert_false(q_error_is(add(&detours, "", 99, "", 7)));
    assert_false(q_error_is(add(&detours, "127.0.0.9", 0, "D.test", 1)));
    assert_false(q_error_is(add(&detours, "::9", 0, "e.test", 2)));
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_origin origin = origin_of(k_rows[i].url, &detours);
        assert_true(q_slice_equal(origin.peer.host, q_slice_of_string(k_rows[i].host)));
        assert_int_equal(origin.peer.port, k_rows[i].port);
        assert_int_equal(origin.peer.host_kind, k_rows[i].kind);
        if (k_rows[i].kind != Q_HOST_NAME) {
            size_t len = k_rows[i].kind == Q_HOST_IPV4 ? 4 : 16;
            assert_memory_equal(origin.peer.address, k_rows[i].address, len);
        }
        q_origin_deinit(&origin);
    }
    q_detours_deinit(&detours, q_alloc_libc());
}

static void a_socket_is_never_led_elsewhere(void **state) {
    struct q_detours detours = {0};
    (void)state;
    assert_false(q_error_is(add(&detours, "", 0, "127.0.0.1", 1)));
    struct q_origin origin = origin_of("http+unix://%2Frun%2Fx/", &detours);
    assert_int_equal(origin.peer.host_kind, Q_HOST_SOCKET);
    assert_true(q_slice_equal(origin.peer.host, origin.host));
    q_origin_deinit(&origin);
    q_detours_deinit(&detours, q_alloc_libc());
}

// Equal origins share connections, so whatever says where they go must tell them apart, and nothing else may.
static void what_goes_elsewhere_is_another_origin(void **state) {
    static const struct {
        const char *to_host;
        uint16_t to_port;
    } k_targets[] = {{"", 0}, {"b.test", 0}, {"", 81}, {"b.test", 81}, {"127.0.0.1", 0}, {"::1", 0}, {"b.tes", 0}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_targets); i++) {
        for (size_t k = 0; k < Q_COUNT_OF(k_targets); k++) {
            struct q_detours left = {0};
            struct q_detours right = {0};
            assert_false(q_error_is(add(&left, "a.test", 0, k_targets[i].to_host, k_targets[i].to_port)));
            assert_false(q_error_is(add(&right, "", 80, k_targets[k].to_host, k_targets[k].to_port)));
            struct q_origin a = origin_of("http://a.test/", &left);
            struct q_origin b = origin_of("http://a.test/", &right);
            assert_int_equal(q_origin_equal(&a, &b), i == k);
            q_origin_deinit(&a);
            q_origin_deinit(&b);
            q_detours_deinit(&left, q_alloc_libc());
            q_detours_deinit(&right, q_alloc_libc());
        }
    }
    struct q_detours same = {0};
    struct q_detours none = {0};
    assert_false(q_error_is(add(&same, "", 0, "A.test", 80)));
    struct q_origin a = origin_of("http://a.test/", &same);
    struct q_origin b = origin_of("http://a.test/", &none);
    assert_true(q_origin_equal(&a, &b)); // it leads where the origin is
    q_origin_deinit(&a);
    q_origin_deinit(&b);
    q_detours_deinit(&same, q_alloc_libc());
}

static void what_is_no_host_is_refused(void **state) {
    static const char *const k_wrong[] = {"a b", "a/b", "1.2.3.256", "[::1", "::g", "a\r\nb", "a:b", "xn--"};
    char longest[Q_DETOUR_HOST_BYTES_MAX + 2];
    struct q_detours detours = {0};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_wrong); i++) {
        assert_int_equal(add(&detours, k_wrong[i], 1, "", 2).code, Q_ERR_INVALID_ARGUMENT);
        assert_int_equal(add(&detours, "", 1, k_wrong[i], 2).code, Q_ERR_INVALID_ARGUMENT);
    }
    memset(longest, 'a', sizeof longest);
    longest[Q_DETOUR_HOST_BYTES_MAX + 1] = 0;
    assert_int_equal(add(&detours, longest, 1, "", 2).code, Q_ERR_INVALID_ARGUMENT);
    longest[Q_DETOUR_HOST_BYTES_MAX] = 0;
    for (unsigned i = 0; i < Q_DETOURS_MAX; i++) {
        assert_false(q_error_is(add(&detours, longest, 1, longest, 2)));
    }
    assert_int_equal(add(&detours, "a", 1, "b", 2).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(detours.count, Q_DETOURS_MAX);
    q_detours_deinit(&detours, q_alloc_libc());
}

static struct q_error go_the_whole_way(const struct q_alloc *alloc, const struct q_url *url) {
    struct q_detour_rule rule = {.host = Q_SLICE("a.test"), .to_host = Q_SLICE("b.test"), .to_port = 1};
    struct q_detours detours = {0};
    struct q_detours copy = {0};
    struct q_origin origin = {0};
    struct q_error error = q_detours_add(&detours, alloc, &rule);
    if (!q_error_is(error)) {
        error = q_detours_copy(&detours, alloc, &copy);
    }
    if (!q_error_is(error)) {
        error = q_origin_build(&origin, alloc, url);
    }
    if (!q_error_is(error)) {
        error = q_detours_apply(&copy, &origin);
        assert_int_equal(origin.peer.port, q_error_is(error) ? 80 : 1);
        assert_true(q_slice_equal(origin.host, Q_SLICE("a.test")));
    }
    q_origin_deinit(&origin);
    q_detours_deinit(&copy, alloc);
    q_detours_deinit(&detours, alloc);
    return error;
}

static void every_failing_allocation_is_an_error_and_leaves_nothing(void **state) {
    struct q_failalloc *failing = q_failalloc_new();
    struct q_url url;
    char leaks[200];
    bool has_failed = true;
    (void)state;
    assert_false(q_error_is(q_url_parse(q_alloc_libc(), Q_SLICE("http://a.test/"), &url)));
    for (uint64_t nth = 1; has_failed; nth++) {
        q_failalloc_fail_at(failing, nth);
        struct q_error error = go_the_whole_way(q_failalloc_alloc(failing), &url);
        has_failed = q_failalloc_failed(failing);
        assert_int_equal(error.code, has_failed ? Q_ERR_NO_MEMORY : Q_ERR_OK);
        assert_true(q_failalloc_check(failing, leaks, sizeof leaks));
    }
    assert_true(q_failalloc_calls(failing) > 4);
    q_failalloc_free(failing);
    q_url_deinit(&url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rule_that_matches_counts),
        cmocka_unit_test(a_socket_is_never_led_elsewhere),
        cmocka_unit_test(what_goes_elsewhere_is_another_origin),
        cmocka_unit_test(what_is_no_host_is_refused),
        cmocka_unit_test(every_failing_allocation_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
