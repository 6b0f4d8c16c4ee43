// Dial options: ranges, and what a socket is set to.
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "engine/net/dial_options.h"

// The value that an option is set to; `absent` when it is not.
static int value_of(const struct q_dial_options *options, bool is_bound, int level, int name, int absent) {
    struct q_io_option list[Q_DIAL_SOCKET_OPTIONS_MAX];
    uint32_t count = q_dial_options_list(options, is_bound, list);
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].level == level && list[i].name == name) {
            return list[i].text != NULL ? (int)strlen(list[i].text) : list[i].value;
        }
    }
    return absent;
}

static void the_defaults_are_on(void **state) {
    (void)state;
    const struct q_dial_options options = {0};
    assert_true(q_dial_options_is_default(&options));
    assert_int_equal(q_dial_options_check(&options).code, Q_ERR_OK);
    assert_int_equal(value_of(&options, false, IPPROTO_TCP, TCP_NODELAY, -1), 1);
    assert_int_equal(value_of(&options, false, SOL_SOCKET, SO_KEEPALIVE, -1), 1);
    assert_int_equal(value_of(&options, false, IPPROTO_TCP, TCP_KEEPIDLE, -1), 60);
    assert_int_equal(value_of(&options, false, IPPROTO_TCP, TCP_KEEPINTVL, -1), 15);
    assert_int_equal(value_of(&options, false, IPPROTO_TCP, TCP_KEEPCNT, -1), 4);
    assert_int_equal(value_of(&options, false, IPPROTO_TCP, TCP_USER_TIMEOUT, -1), 120000);
    assert_int_equal(value_of(&options, false, SOL_SOCKET, SO_MARK, -1), -1);
    assert_int_equal(value_of(&options, false, SOL_SOCKET, SO_BINDTODEVICE, -1), -1);
    assert_int_equal(value_of(&options, false, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, -1), -1);
    assert_int_equal(value_of(&options, false, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, -1), -1);
    assert_int_equal(value_of(&options, true, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, -1), 1);
}

static void each_is_set_as_asked(void **state) {
    (void)state;
    const struct q_dial_options options = {.flags = Q_DIAL_NAGLE | Q_DIAL_FAST_OPEN, .mark = 9, .keepalive_idle_s = 3,
                                           .keepalive_interval_s = 4, .keepalive_count = 5, .user_timeout_ms = 6,
                                           .device = "eth0"};
    assert_false(q_dial_options_is_default(&options));
    assert_int_equal(q_dial_options_check(&options).code, Q_ERR_OK);
    assert_int_equal(value_of(&options, true, IPPROTO_TCP, TCP_NODELAY, -1), -1);
    assert_int_equal(value_of(&options, true, IPPROTO_TCP, TCP_KEEPIDLE, -1), 3);
    assert_int_equal(value_of(&options, true, IPPROTO_TCP, TCP_KEEPINTVL, -1), 4);
    assert_int_equal(value_of(&options, true, IPPROTO_TCP, TCP_KEEPCNT, -1), 5);
    assert_int_equal(value_of(&options, true, IPPROTO_TCP, TCP_USER_TIMEOUT, -1), 6);
    assert_int_equal(value_of(&options, true, SOL_SOCKET, SO_MARK, -1), 9);
    assert_int_equal(value_of(&options, true, SOL_SOCKET, SO_BINDTODEVICE, -1), 4);
    assert_int_equal(value_of(&options, true, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, -1), 1);
    const struct q_dial_options off = {.keepalive_idle_s = Q_DIAL_OFF, .user_timeout_ms = Q_DIAL_OFF};
    assert_int_equal(q_dial_options_check(&off).code, Q_ERR_OK);
    assert_int_equal(value_of(&off, false, SOL_SOCKET, SO_KEEPALIVE, -1), -1);
    assert_int_equal(value_of(&off, false, IPPROTO_TCP, TCP_USER_TIMEOUT, -1), -1);
}

static void what_is_out_of_range_is_refused(void **state) {
    (void)state;
    static const struct q_dial_options k_wrong[] = {
        {.families = 4}, {.flags = 4}, {.pace_ms = 99}, {.pace_ms = 2001}, {.keepalive_idle_s = 32768},
        {.keepalive_interval_s = 32768}, {.keepalive_count = 128}, {.user_timeout_ms = 86400001},
        {.device = "a/b"}, {.device = "abcdefghijklmnop"}, {.device = "a\0b"},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_wrong); i++) {
        assert_int_equal(q_dial_options_check(&k_wrong[i]).code, Q_ERR_INVALID_ARGUMENT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_on),
        cmocka_unit_test(each_is_set_as_asked),
        cmocka_unit_test(what_is_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
