// From an origin to whom is dialled.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/conn/target.h"

static struct q_origin origin_of(const char *text) {
    struct q_url url;
    struct q_origin origin;
    assert_int_equal(q_url_parse(q_alloc_libc(), q_slice_of_string(text), &url).code, Q_ERR_OK);
    assert_int_equal(q_origin_build(&origin, q_alloc_libc(), &url).code, Q_ERR_OK);
    q_url_deinit(&url);
    return origin;
}

static void assert_goes_to(const struct q_origin *origin, const char *text) {
    char got[Q_ADDRESS_TEXT_MAX];
    struct q_dial_target target = q_target_of(origin, 5);
    assert_int_equal(target.name.len, 0);
    q_address_text(&target.address, got);
    assert_string_equal(got, text);
}

static void each_kind_of_peer_is_found(void **state) {
    (void)state;
    struct q_origin origin = origin_of("http://name.example:81/");
    struct q_dial_target target = q_target_of(&origin, 5);
    assert_true(q_slice_equal(target.name, Q_SLICE("name.example")));
    assert_int_equal(target.port, 81);
    assert_int_equal(target.winner, 5);
    assert_ptr_equal(target.options, &origin.dial);
    assert_int_equal(q_origin_set_vsock(&origin, 2, 70000).code, Q_ERR_OK);
    assert_goes_to(&origin, "vsock:2:70000");
    q_origin_deinit(&origin);
    origin = origin_of("http://name.example/");
    assert_int_equal(q_origin_set_socket(&origin, q_slice_make("\0a b", 4)).code, Q_ERR_OK);
    assert_goes_to(&origin, "unix:@a?b");
    q_origin_deinit(&origin);
    origin = origin_of("http://192.0.2.1/");
    assert_goes_to(&origin, "192.0.2.1:80");
    q_origin_deinit(&origin);
    origin = origin_of("https://[::1]/");
    assert_goes_to(&origin, "[::1]:443");
    q_origin_deinit(&origin);
    origin = origin_of("http+unix://%2Frun%2Fx/");
    assert_goes_to(&origin, "unix:/run/x");
    q_origin_deinit(&origin);
}

// Every field of how sockets are made is a part of the key.
static void whatever_differs_in_dialling_differs_in_the_key(void **state) {
    (void)state;
    static const struct q_dial_options k_options[] = {
        {0}, {.families = 1}, {.flags = 1}, {.pace_ms = 100}, {.mark = 1}, {.keepalive_idle_s = 1}, {.keepalive_interval_s = 1},
        {.keepalive_count = 1}, {.user_timeout_ms = 1}, {.device = "a"}, {.device = "b"}, {.mark = 2},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_options); i++) {
        for (size_t k = 0; k < Q_COUNT_OF(k_options); k++) {
            struct q_origin left = origin_of("http://a/"), right = origin_of("http://a/");
            if (i > 0) {
                assert_int_equal(q_origin_set_dial(&left, &k_options[i]).code, Q_ERR_OK);
            }
            if (k > 0) {
                assert_int_equal(q_origin_set_dial(&right, &k_options[k]).code, Q_ERR_OK);
            }
            assert_int_equal(q_origin_equal(&left, &right), i == k);
            q_origin_deinit(&left);
            q_origin_deinit(&right);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_peer_is_found),
        cmocka_unit_test(whatever_differs_in_dialling_differs_in_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
