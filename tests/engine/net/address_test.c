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

static void what_is_told_of_an_address_is_its_family_port_and_octets(void **state) {
    (void)state;
    struct q_address address;
    assert_true(q_address_parse(Q_SLICE("192.0.2.7"), 8080, &address));
    struct q_endpoint endpoint = q_address_endpoint(&address);
    assert_int_equal(endpoint.family, Q_ENDPOINT_V4);
    assert_int_equal(endpoint.port, 8080);
    assert_memory_equal(endpoint.ip, "\xc0\x00\x02\x07\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_true(q_address_parse(Q_SLICE("2001:db8::7"), 443, &address));
    endpoint = q_address_endpoint(&address);
    assert_int_equal(endpoint.family, Q_ENDPOINT_V6);
    assert_int_equal(endpoint.port, 443);
    assert_memory_equal(endpoint.ip, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16);
    struct q_address back = q_endpoint_address(&endpoint);
    assert_int_equal(back.len, address.len);
    assert_memory_equal(&back.u.v6, &address.u.v6, sizeof address.u.v6);
    assert_true(q_address_unix(Q_SLICE("/run/x"), &address));
    endpoint = q_address_endpoint(&address);
    assert_int_equal(endpoint.family, Q_ENDPOINT_UNIX);
    assert_int_equal(endpoint.port, 0);
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

static void a_unix_address_is_a_path_with_a_nul_or_an_abstract_name_without(void **state) {
    (void)state;
    static const struct {
        struct q_slice name;
        size_t path_len;
        const char *text;
    } k_rows[] = {
        {{"/run/x", 6}, 7, "unix:/run/x"},
        {{"/", 1}, 2, "unix:/"},
        {{"\0x", 2}, 2, "unix:@x"},
        {{"\0x/y z\x01\xff", 8}, 8, "unix:@x/y?z??"},
        {{"/\n@\x7f", 4}, 5, "unix:/?@?"},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_address address;
        char text[Q_ADDRESS_TEXT_MAX];
        assert_true(q_address_unix(k_rows[i].name, &address));
        assert_int_equal(address.u.any.sa_family, AF_UNIX);
        assert_int_equal(address.len, offsetof(struct sockaddr_un, sun_path) + k_rows[i].path_len);
        assert_memory_equal(address.u.local.sun_path, k_rows[i].name.ptr, k_rows[i].name.len);
        assert_int_equal(q_address_text(&address, text), strlen(k_rows[i].text));
        assert_string_equal(text, k_rows[i].text);
    }
}

static void what_is_no_unix_address_is_refused(void **state) {
    (void)state;
    struct q_address address;
    assert_false(q_address_unix((struct q_slice){0}, &address));
    assert_false(q_address_unix(Q_SLICE("\0"), &address));
    assert_false(q_address_unix(Q_SLICE("\0\0"), &address));
    assert_false(q_address_unix(Q_SLICE("/a\0"), &address));
    assert_false(q_address_unix(Q_SLICE("/a\0b"), &address));
    assert_false(q_address_unix(Q_SLICE("\0a\0"), &address));
}

static void a_unix_address_fits_into_sun_path_and_its_text(void **state) {
    (void)state;
    char name[200];
    char text[Q_ADDRESS_TEXT_MAX];
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
    for (int is_abstract = 0; is_abstract < 2; is_abstract++) {
        memset(name, 'x', sizeof name);
        name[0] = is_abstract ? 0 : '/';
        struct q_address address;
        size_t longest = room - !is_abstract;
        assert_true(q_address_unix(q_slice_make(name, longest), &address));
        assert_int_equal(address.len, sizeof(struct sockaddr_un));
        assert_int_equal(q_address_text(&address, text), 5 + longest);
        assert_int_equal(strlen(text), 5 + longest);
        assert_false(q_address_unix(q_slice_make(name, longest + 1), &address));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_is_read_and_written_back),
        cmocka_unit_test(what_is_no_literal_is_refused),
        cmocka_unit_test(what_is_told_of_an_address_is_its_family_port_and_octets),
        cmocka_unit_test(a_literal_with_a_nul_inside_is_refused),
        cmocka_unit_test(bytes_and_literals_give_the_same_address),
        cmocka_unit_test(a_unix_address_is_a_path_with_a_nul_or_an_abstract_name_without),
        cmocka_unit_test(what_is_no_unix_address_is_refused),
        cmocka_unit_test(a_unix_address_fits_into_sun_path_and_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
