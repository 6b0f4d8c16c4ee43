#include "engine/wire/url_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// expect_socket and expect give `raw` to the parser in a block of just the promised size. NULL: it must be refused.
static void expect_socket(const char *raw, const char *expected) {
    struct q_host host;
    size_t raw_len = strlen(raw);
    char *text = malloc(raw_len + Q_HOST_TEXT_ROOM);
    enum q_error_code code = q_host_parse_socket(q_slice_make(raw, raw_len), text, &host);
    if (code != (expected == NULL ? Q_ERR_INVALID_URL : Q_ERR_OK)) {
        fail_msg("socket '%s' was %s", raw, code == Q_ERR_OK ? "taken" : "refused");
    }
    if (code == Q_ERR_OK) {
        assert_int_equal(host.kind, Q_HOST_SOCKET);
        assert_int_equal(host.text_len, strlen(expected));
        assert_memory_equal(text, expected, host.text_len);
    }
    free(text);
}

static void expect(const char *raw, const char *expected, enum q_host_kind kind) {
    struct q_host host;
    size_t raw_len = strlen(raw);
    char *text = malloc(raw_len + Q_HOST_TEXT_ROOM);
    enum q_error_code code = q_host_parse(q_slice_make(raw, raw_len), text, &host);
    bool valid = code == Q_ERR_OK;
    assert_true(valid || code == Q_ERR_INVALID_URL);
    if (valid != (expected != NULL)) {
        fail_msg("host '%s' was %s", raw, valid ? "taken" : "refused");
    }
    if (valid) {
        assert_int_equal(host.kind, kind);
        assert_int_equal(host.text_len, strlen(expected));
        assert_memory_equal(text, expected, host.text_len);
    }
    free(text);
}

static void names_are_decoded_and_lower_cased(void **state) {
    (void)state;
    expect("Example.COM", "example.com", Q_HOST_NAME);
    expect("ex%61mple.%43om", "example.com", Q_HOST_NAME);
    expect("a_b-c.d!$&'()*+,;=~", "a_b-c.d!$&'()*+,;=~", Q_HOST_NAME);
    expect("example.com.", "example.com.", Q_HOST_NAME);
    expect("xn--mnchen-3ya.de", "xn--mnchen-3ya.de", Q_HOST_NAME);
    expect("a..b", "a..b", Q_HOST_NAME);
    expect(".", ".", Q_HOST_NAME);
    expect("1.2.3.4a", "1.2.3.4a", Q_HOST_NAME);
    expect("0xg", "0xg", Q_HOST_NAME);
    expect("1e2", "1e2", Q_HOST_NAME);
}

#ifndef Q_WITHOUT_IDN2
static void international_names_become_ascii(void **state) {
    (void)state;
    expect("m\xc3\xbcnchen.de", "xn--mnchen-3ya.de", Q_HOST_NAME);
    expect("M%C3%9cNCHEN.de", "xn--mnchen-3ya.de", Q_HOST_NAME); // decoded first
    expect("\xc3%bc.de", "xn--tda.de", Q_HOST_NAME);
    expect("XN--TDA.De", "xn--tda.de", Q_HOST_NAME);
    expect("%78n--tda", "xn--tda", Q_HOST_NAME);
    expect("㌀㌀", "xn--ccka7ib6bc21ad", Q_HOST_NAME); // longer than it was
    expect("１.２.３.４", "1.2.3.4", Q_HOST_IPV4);
    expect("0x７f。1", "127.0.0.1", Q_HOST_IPV4);
    expect("\xc3\xbc.1", NULL, 0); // ends in a number
    expect("xn--a", NULL, 0);
    expect("%C3", NULL, 0);
    expect("\xff", NULL, 0);
    expect("%C2%AD", NULL, 0); // nothing is left
    expect("a%EF%BC%85b", NULL, 0);
    expect("\xc3\xbc%20a", NULL, 0);
    expect("\xc3\xbc.a%25", NULL, 0);
    expect("\xc3\xbc.a%00", NULL, 0);
    expect("\xc3\xbc%00.a", NULL, 0);
}
#endif

static void forbidden_bytes_are_refused_plain_and_encoded(void **state) {
    (void)state;
    for (int byte = 1; byte < 256; byte++) {
        bool allowed = byte > 0x20 && byte < 0x7f && strchr("#/:<>?@[\\]^|%", byte) == NULL;
        char plain[] = {'a', (char)byte, 'b', 0};
        char lower[] = {'a', q_ascii_lower((char)byte), 'b', 0};
        expect(plain, allowed ? lower : NULL, Q_HOST_NAME);
        static const char k_hex[] = "0123456789abcdef";
        char encoded[] = {'a', '%', k_hex[byte >> 4], k_hex[byte & 15], 'b', 0};
        expect(encoded, allowed ? lower : NULL, Q_HOST_NAME);
    }
    expect("a%00b", NULL, 0);
    expect("a%b", NULL, 0);
    expect("a%2", NULL, 0);
    expect("", NULL, 0);
}

static void ipv4_has_many_spellings_and_one_normal_form(void **state) {
    (void)state;
    expect("127.0.0.1", "127.0.0.1", Q_HOST_IPV4);
    expect("127.0.0.1.", "127.0.0.1", Q_HOST_IPV4);
    expect("127.1", "127.0.0.1", Q_HOST_IPV4);
    expect("1.2.3", "1.2.0.3", Q_HOST_IPV4);
    expect("2130706433", "127.0.0.1", Q_HOST_IPV4);
    expect("0x7F.0.0.1", "127.0.0.1", Q_HOST_IPV4);
    expect("0X7f000001", "127.0.0.1", Q_HOST_IPV4);
    expect("0177.0.0.01", "127.0.0.1", Q_HOST_IPV4);
    expect("0", "0.0.0.0", Q_HOST_IPV4);
    expect("0x", "0.0.0.0", Q_HOST_IPV4);
    expect("0x.0x.0", "0.0.0.0", Q_HOST_IPV4);
    expect("255.255.255.255", "255.255.255.255", Q_HOST_IPV4);
    expect("4294967295", "255.255.255.255", Q_HOST_IPV4);
    expect("1.16777215", "1.255.255.255", Q_HOST_IPV4);
    expect("1%2e2.3.4", "1.2.3.4", Q_HOST_IPV4);
}

static void what_ends_in_a_number_is_an_address_or_an_error(void **state) {
    (void)state;
    expect("1.2.3.4.5", NULL, 0);
    expect("256.0.0.1", NULL, 0);
    expect("1.2.3.256", NULL, 0);
    expect("1.256.3", NULL, 0);
    expect("1.2.65536", NULL, 0);
    expect("1.16777216", NULL, 0);
    expect("4294967296", NULL, 0);
    expect("99999999999999999999999999", NULL, 0);
    expect("0xffffffffffffffffffffffffffffffff", NULL, 0);
    expect("1..2", NULL, 0);
    expect(".1", NULL, 0);
    expect("a.1", NULL, 0);
    expect("a.0x1", NULL, 0);
    expect("a.08", NULL, 0);
    expect("08", NULL, 0);
    expect("1.2.3.4..", "1.2.3.4..", Q_HOST_NAME); // the last part is empty: a name after all
}

static void ipv6_is_written_in_its_shortest_form(void **state) {
    (void)state;
    expect("[::]", "::", Q_HOST_IPV6);
    expect("[::1]", "::1", Q_HOST_IPV6);
    expect("[1::]", "1::", Q_HOST_IPV6);
    expect("[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8", Q_HOST_IPV6);
    expect("[0001:0:0:0:0:0:0:ABCD]", "1::abcd", Q_HOST_IPV6);
    expect("[1:0:0:2:0:0:0:3]", "1:0:0:2::3", Q_HOST_IPV6);
    expect("[1:0:0:2:0:0:3:4]", "1::2:0:0:3:4", Q_HOST_IPV6); // the first of two equal gaps
    expect("[1:0:2:3:4:5:6:7]", "1:0:2:3:4:5:6:7", Q_HOST_IPV6);
    expect("[1::3:4:5:6:7:8]", "1:0:3:4:5:6:7:8", Q_HOST_IPV6);
    expect("[::1:2:3:4:5:6:7]", "0:1:2:3:4:5:6:7", Q_HOST_IPV6);
    expect("[1:2:3:4:5:6:7::]", "1:2:3:4:5:6:7:0", Q_HOST_IPV6);
    expect("[0:0:1::]", "0:0:1::", Q_HOST_IPV6);
    expect("[::1.2.3.4]", "::102:304", Q_HOST_IPV6);
    expect("[::ffff:255.0.0.1]", "::ffff:ff00:1", Q_HOST_IPV6);
    expect("[1:2:3:4:5:6:1.2.3.4]", "1:2:3:4:5:6:102:304", Q_HOST_IPV6);
    expect("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Q_HOST_IPV6);
}

static void what_is_no_ipv6_is_refused(void **state) {
    (void)state;
    static const char *const k_bad[] = {
        "[]",
        "[:]",
        "[::",
        "::1]",
        "[",
        "]",
        "[::1]x",
        "[1]",
        "[1:2]",
        "[:1]",
        "[1:]",
        "[:::]",
        "[1:::2]",
        "[::1::2]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1:2:3:4:5:6:7:8::]",
        "[::1:2:3:4:5:6:7:8]",
        "[1::2:3:4:5:6:7:8]",
        "[12345::]",
        "[g::]",
        "[::1%25eth0]",
        "[::1 ]",
        "[::1.2.3]",
        "[::1.2.3.4.5]",
        "[::1.2.3.256]",
        "[::1.2.3.04]",
        "[::.1.2.3]",
        "[::1.2.3.4:5]",
        "[1:2:3:4:5:6:7:1.2.3.4]",
        "[::1:2:3:4:5:6:1.2.3.4]",
        "[::1..2.3]",
        "[::a.1.1.1]",
        "[%3A%3A1]",
        "[::1.2.3.]",
        "[1.2.3.4]",
    };
    for (size_t i = 0; i < sizeof(k_bad) / sizeof(k_bad[0]); i++) {
        expect(k_bad[i], NULL, 0);
    }
}

static void addresses_are_given_in_network_order(void **state) {
    (void)state;
    char text[Q_HOST_TEXT_ROOM + 32];
    struct q_host host;
    assert_int_equal(q_host_parse(Q_SLICE("1.2.3.4"), text, &host), Q_ERR_OK);
    assert_memory_equal(host.address, "\1\2\3\4\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(q_host_parse(Q_SLICE("[1:2::abcd]"), text, &host), Q_ERR_OK);
    assert_memory_equal(host.address, "\0\1\0\2\0\0\0\0\0\0\0\0\0\0\xab\xcd", 16);
}

static void a_socket_has_one_spelling(void **state) {
    (void)state;
    expect_socket("%2Frun%2Fserver.sock", "%2Frun%2Fserver.sock");
    expect_socket("%2frun%2fserver.sock", "%2Frun%2Fserver.sock");
    expect_socket("%2F%72un%2Fserver%2Esock", "%2Frun%2Fserver.sock");
    expect_socket("%2FRun", "%2FRun"); // paths have case
    expect_socket("%2Fa%2F..%2Fb%2F", "%2Fa%2F..%2Fb%2F"); // and are the kernel's to resolve
    expect_socket("%2F", NULL);
    expect_socket("%2Fa-b_c~d!$&'()*+,;=", "%2Fa-b_c~d%21%24%26%27%28%29%2A%2B%2C%3B%3D");
    expect_socket("%2F%25%3A%40%5B%3f%23%0A%20", "%2F%25%3A%40%5B%3F%23%0A%20");
    expect_socket("%2F\xc3\xbc%FF", "%2F%C3%BC%FF");
    expect_socket("%00name", "%00name"); // abstract
    expect_socket("%00%2Fx%ff", "%00%2Fx%FF");
}

static void what_is_no_socket_is_refused(void **state) {
    (void)state;
    static const char *const k_bad[] = {
        "",        "run",     "localhost", ".%2Fx",  "%2E%2Fx",  "..%2Fx", // relative
        "@name",   "%40name",                                             // an abstract name begins with %00
        "%00",     "%00a%00", "%2Fa%00",   "%2F%00", "%00%00",            // NUL elsewhere, or alone
        "%2Fa%",   "%2Fa%2",  "%2Fa%zz",   "%",                           // broken escapes
        "%2Fa b",  "%2Fa:b",  "%2Fa[b]",   "%2Fa<",  "%2Fa|b",   "%2F\x7f", // raw delimiters
        "[%2Fx]",  "[::1]",
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        expect_socket(k_bad[i], NULL);
    }
    struct q_host host;
    char text[Q_HOST_TEXT_ROOM + 8];
    assert_int_equal(q_host_parse_socket(q_slice_make("%2Fa\0b", 6), text, &host), Q_ERR_INVALID_URL);
}

static void a_socket_fits_into_sun_path(void **state) {
    (void)state;
    char raw[3 * Q_HOST_SOCKET_MAX + 8];
    for (int is_abstract = 0; is_abstract < 2; is_abstract++) {
        for (size_t letters = Q_HOST_SOCKET_MAX - 4; letters < Q_HOST_SOCKET_MAX + 4; letters++) {
            // The path's NUL, or the abstract name's, counts.
            bool fits = 1 + letters + !is_abstract <= Q_HOST_SOCKET_MAX;
            memset(raw, 'x', sizeof(raw));
            memcpy(raw, is_abstract ? "%00" : "%2F", 3);
            raw[3 + letters] = 0;
            expect_socket(raw, fits ? raw : NULL);
        }
    }
    for (size_t i = 0; i < Q_HOST_SOCKET_MAX; i++) { // as long as it gets
        memcpy(raw + 3 * i, i == 0 ? "%00" : "%FF", 3);
    }
    raw[3 * Q_HOST_SOCKET_MAX] = 0;
    expect_socket(raw, raw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_decoded_and_lower_cased),
#ifndef Q_WITHOUT_IDN2
        cmocka_unit_test(international_names_become_ascii),
#endif
        cmocka_unit_test(forbidden_bytes_are_refused_plain_and_encoded),
        cmocka_unit_test(ipv4_has_many_spellings_and_one_normal_form),
        cmocka_unit_test(what_ends_in_a_number_is_an_address_or_an_error),
        cmocka_unit_test(ipv6_is_written_in_its_shortest_form),
        cmocka_unit_test(what_is_no_ipv6_is_refused),
        cmocka_unit_test(addresses_are_given_in_network_order),
        cmocka_unit_test(a_socket_has_one_spelling),
        cmocka_unit_test(what_is_no_socket_is_refused),
        cmocka_unit_test(a_socket_fits_into_sun_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
