// Addresses: literals in, text out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/check.h"
#include "engine/net/address.h"

static void a_literal_is_read_and_written_back(void **state) {
    (void)state;
    static const struct {
        const char *literal;
        uint16_t port;
        const char *text;
    } k_cases[] = {
        {"127.0.0.1", 80, "127.0.0.1:80"},
        {"0.0.0.0", 0, "0.0.0.0:0"},
        {"255.255.255.255", 65535, "255.255.255.255:65535"},
        {"::1", 8080, "[::1]:8080"},
        {"::", 1, "[::]:1"},
        {"2001:DB8:0:0:0:0:0:1", 443, "[2001:db8::1]:443"},
        {"::ffff:1.2.3.4", 80, "[::ffff:1.2.3.4]:80"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct q_address address;
        char text[Q_ADDRESS_TEXT_MAX];
        assert_true(q_address_parse(q_slice_of_string(k_cases[i].literal), k_cases[i].port, &address));
        assert_int_equal(q_address_text(&address, text), strlen(k_cases[i].text));
        assert_string_equal(text, k_cases[i].text);
    }
}

static void what_is_no_literal_is_refused(void **state) {
    (void)state;
    static const char *const k_cases[] = {"",          " 127.0.0.1",  "127.0.0.1 ",
                                          "127.0.0",   "127.0.0.1.2", "256.0.0.1",
                                          "127.1",     "0x7f.0.0.1",  "1.2.3.4:5",
                                          "localhost", "[::1]",       "fe80::1%1",
                                          "::1%lo",    ":::",         "1:2:3:4:5:6:7:8:9",
                                          "::g",       "1::2::3",     "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555"};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct q_address address;
        memset(&address, 0x5a, sizeof address);
        assert_false(q_address_parse(q_slice_of_string(k_cases[i]), 80, &address));
        assert_int_equal(address.len, 0x5a5a5a5a); // untouched
    }
}

static void a_literal_with_a_nul_inside_is_refused(void **state) {
    (void)state;
    struct q_address address;
    assert_false(q_address_parse(Q_SLICE("127.0.0.1\0"), 80, &address));
    assert_false(q_address_parse(Q_SLICE("127.0.0.1\0evil"), 80, &address));
}

static void bytes_and_literals_give_the_same_address(void **state) {
    (void)state;
    struct q_address parsed;
    struct q_address made = q_address_v4((const uint8_t[4]){10, 1, 2, 3}, 99);
    assert_true(q_address_parse(Q_SLICE("10.1.2.3"), 99, &parsed));
    assert_memory_equal(&made, &parsed, sizeof made);
    assert_int_equal(made.len, sizeof(struct sockaddr_in));
    made = q_address_v6((const uint8_t[16]){0xfe, 0x80, [15] = 9}, 99);
    assert_true(q_address_parse(Q_SLICE("fe80::9"), 99, &parsed));
    assert_memory_equal(&made, &parsed, sizeof made);
    assert_int_equal(made.len, sizeof(struct sockaddr_in6));
}

static void a_port_can_be_changed_and_nothing_else_changes(void **state) {
    (void)state;
    char text[Q_ADDRESS_TEXT_MAX];
    struct q_address address, other;
    assert_true(q_address_parse(Q_SLICE("1.2.3.4"), 1, &address));
    other = q_address_with_port(&address, 65534);
    q_address_text(&other, text);
    assert_string_equal(text, "1.2.3.4:65534");
    q_address_text(&address, text);
    assert_string_equal(text, "1.2.3.4:1");
    assert_true(q_address_parse(Q_SLICE("::2"), 1, &address));
    other = q_address_with_port(&address, 256);
    q_address_text(&other, text);
    assert_string_equal(text, "[::2]:256");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_is_read_and_written_back),
        cmocka_unit_test(what_is_no_literal_is_refused),
        cmocka_unit_test(a_literal_with_a_nul_inside_is_refused),
        cmocka_unit_test(bytes_and_literals_give_the_same_address),
        cmocka_unit_test(a_port_can_be_changed_and_nothing_else_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
