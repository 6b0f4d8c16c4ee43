// resolv.conf: what each line says, which mistakes are passed over, and the bounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/net/resolv_conf.h"

static struct q_resolv_conf conf;

static uint32_t zone_of(const void *context, struct q_slice name) {
    (void)context;
    return q_slice_equal(name, Q_SLICE("eth0")) ? 7 : 0;
}

static void parse(const char *text) {
    q_resolv_conf_parse(&conf, q_slice_of_string(text), Q_SLICE(""), zone_of, NULL);
}

static const char *servers(void) {
    static char text[Q_RESOLV_SERVERS_MAX * Q_ADDRESS_TEXT_MAX];
    size_t at = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < conf.num_servers; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s", i > 0 ? " " : "");
        at += q_address_text(&conf.servers[i], text + at);
    }
    return text;
}

static const char *search(void) {
    static char text[Q_RESOLV_SEARCH_TEXT_MAX + Q_RESOLV_SEARCH_MAX];
    size_t at = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < conf.num_search; i++) {
        struct q_slice domain = q_resolv_conf_search(&conf, i);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s", i > 0 ? " " : "", (int)domain.len, domain.ptr);
    }
    return text;
}

static void without_a_file_this_machine_is_asked_as_libc_does(void **state) {
    (void)state;
    parse("");
    assert_string_equal(servers(), "127.0.0.1:53");
    assert_string_equal(search(), "");
    assert_int_equal(conf.ndots, 1);
    assert_int_equal(conf.timeout_s, 5);
    assert_int_equal(conf.attempts, 2);
    assert_false(conf.rotate || conf.use_vc || conf.single_request || conf.no_aaaa);
}

static void the_first_three_servers_that_can_be_read_are_asked(void **state) {
    (void)state;
    parse("nameserver 10.0.0.1\nnameserver nonsense\n nameserver\t2001:db8::1\nnameserver\nnameserver 10.0.0.3 and more\n"
          "nameserver 10.0.0.4\n");
    assert_string_equal(servers(), "10.0.0.1:53 [2001:db8::1]:53 10.0.0.3:53");
}

static void a_server_may_be_behind_an_interface(void **state) {
    (void)state;
    parse("nameserver fe80::1%eth0\nnameserver fe80::2%9\nnameserver fe80::3%nosuch\nnameserver 10.0.0.1%eth0\n");
    assert_int_equal(conf.num_servers, 2);
    assert_int_equal(conf.servers[0].u.v6.sin6_scope_id, 7);
    assert_int_equal(conf.servers[1].u.v6.sin6_scope_id, 9);
    // Read again where interfaces cannot be asked for, what was known is known.
    struct q_resolv_conf again;
    q_resolv_conf_parse(&again, Q_SLICE("nameserver 10.0.0.1\nnameserver fe80::5%eth0\nnameserver fe80::5%eth1\n"), Q_SLICE(""),
                        q_resolv_conf_zone, &conf);
    assert_int_equal(again.num_servers, 2);
    assert_int_equal(again.servers[1].u.v6.sin6_scope_id, 7);
    assert_string_equal(again.zones[1].name, "eth0");
    // Also in place.
    q_resolv_conf_parse(&again, Q_SLICE("nameserver fe80::6%eth0\n"), Q_SLICE(""), q_resolv_conf_zone, &again);
    assert_int_equal(again.servers[0].u.v6.sin6_scope_id, 7);
}

static void the_last_search_or_domain_line_holds(void **state) {
    (void)state;
    parse("search a.example b.example\n");
    assert_string_equal(search(), "a.example b.example");
    parse("search a.example b.example\ndomain C.Example.\n");
    assert_string_equal(search(), "c.example");
    parse("domain c.example other\nsearch x y. .z .\n");
    assert_string_equal(search(), "x y z");
    parse("search a\nsearch\n");
    assert_string_equal(search(), "");
}

static void without_one_the_machines_own_domain_is_searched(void **state) {
    (void)state;
    q_resolv_conf_parse(&conf, Q_SLICE("nameserver 1.1.1.1\n"), Q_SLICE("host.Some.Example"), NULL, NULL);
    assert_string_equal(search(), "some.example");
    q_resolv_conf_parse(&conf, Q_SLICE("search .\n"), Q_SLICE("host.some.example"), NULL, NULL);
    assert_string_equal(search(), "");
    q_resolv_conf_parse(&conf, Q_SLICE(""), Q_SLICE("host"), NULL, NULL);
    assert_string_equal(search(), "");
}

static void options_are_read_and_clamped_and_others_passed_over(void **state) {
    (void)state;
    parse("options ndots:3 timeout:2 attempts:4 rotate use-vc single-request no-aaaa\n");
    assert_int_equal(conf.ndots, 3);
    assert_int_equal(conf.timeout_s, 2);
    assert_int_equal(conf.attempts, 4);
    assert_true(conf.rotate && conf.use_vc && conf.single_request && conf.no_aaaa);
    parse("options ndots:99 timeout:0 attempts:0\noptions timeout:4000000000000 attempts:7\n");
    assert_int_equal(conf.ndots, Q_RESOLV_NDOTS_MAX);
    assert_int_equal(conf.timeout_s, Q_RESOLV_TIMEOUT_MAX);
    assert_int_equal(conf.attempts, Q_RESOLV_ATTEMPTS_MAX);
    parse("options timeout:0 ndots:0\n");
    assert_int_equal(conf.timeout_s, 1);
    assert_int_equal(conf.ndots, 0);
    parse("options debug edns0 trust-ad single-request-reopen inet6 ndots ndots: ndots:x ndots:-1 ndots:1x timeout:+2 "
          "rotate:1 Rotate xrotate no-aaaa2\n");
    assert_int_equal(conf.ndots, 1);
    assert_int_equal(conf.timeout_s, 5);
    assert_false(conf.rotate || conf.use_vc || conf.single_request || conf.no_aaaa);
}

static void comments_and_unknown_lines_are_skipped(void **state) {
    (void)state;
    parse("# nameserver 1.1.1.1\n; nameserver 1.1.1.2\nsortlist 1.2.3.4\nnameservers 1.1.1.3\n\n\r\n"
          "nameserver 1.1.1.4 # one\nnameserver 1.1.1.5;two\nsearch a # b\noptions rotate ; no-aaaa\r\n");
    assert_string_equal(servers(), "1.1.1.4:53 1.1.1.5:53");
    assert_string_equal(search(), "a");
    assert_true(conf.rotate);
    assert_false(conf.no_aaaa);
}

static void too_many_or_too_long_domains_are_left_out(void **state) {
    (void)state;
    static char text[20000];
    size_t at = (size_t)sprintf(text, "search");
    for (int i = 0; i < 50; i++) {
        at += (size_t)sprintf(text + at, " d%d", i);
    }
    parse(text);
    assert_int_equal(conf.num_search, Q_RESOLV_SEARCH_MAX);
    at = (size_t)sprintf(text, "search ");
    memset(text + at, 'a', 254);
    sprintf(text + at + 254, " fine");
    parse(text);
    assert_string_equal(search(), "fine");
    at = (size_t)sprintf(text, "search");
    for (int i = 0; i < 20; i++) {
        at += (size_t)sprintf(text + at, " %0200d", i);
    }
    parse(text);
    assert_int_equal(conf.num_search, Q_RESOLV_SEARCH_TEXT_MAX / 200);
}

static void a_server_of_the_hosts_own_may_have_a_port(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *want; // NULL: refused
    } k_cases[] = {
        {"10.0.0.1", "10.0.0.1:53"}, {"10.0.0.1:5353", "10.0.0.1:5353"}, {"::1", "[::1]:53"},
        {"[::1]", "[::1]:53"},       {"[::1]:5353", "[::1]:5353"},       {"fe80::1%eth0", "[fe80::1]:53"},
        {"[fe80::1%9]:54", "[fe80::1]:54"},
        {"", NULL}, {"x", NULL}, {"10.0.0.1:", NULL}, {"10.0.0.1:0", NULL}, {"10.0.0.1:65536", NULL},
        {"10.0.0.1:x", NULL}, {"[::1", NULL}, {"[::1]5353", NULL}, {"[::1]:", NULL}, {"[10.0.0.1]x", NULL},
        {"fe80::1%", NULL}, {"fe80::1%../x", NULL}, {"fe80::1%0", NULL}, {"fe80::1%4294967296", NULL},
        {"fe80::1%averyveryverylongname", NULL}, {"10.0.0.1%1", NULL}, {"10.0.0.1 ", NULL},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct q_address address;
        char text[Q_ADDRESS_TEXT_MAX];
        bool was_read = q_resolv_server_parse(q_slice_of_string(k_cases[i].text), zone_of, NULL, &address);
        assert_int_equal(was_read, k_cases[i].want != NULL);
        if (was_read) {
            q_address_text(&address, text);
            assert_string_equal(text, k_cases[i].want);
        }
    }
}

static void any_bytes_are_read_without_harm(void **state) {
    (void)state;
    static const char *const k_pieces[] = {"nameserver ", "search ", "domain ", "options ", "ndots:", "rotate", "\n",
                                           "#", ";", " ", "::1", "%", "10.0.0.1", "a.b", ".", "9", "\t", "\r", "[", "]:"};
    struct q_random random;
    q_random_seed(&random, 3);
    for (int i = 0; i < 20000; i++) {
        char text[128];
        size_t len = 0;
        while (len < 100) {
            const char *piece = k_pieces[q_random_below(&random, Q_COUNT_OF(k_pieces))];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
            if (q_random_below(&random, 12) == 0) {
                text[len++] = (char)q_random_next(&random);
            }
        }
        char *copy = malloc(len);
        memcpy(copy, text, len);
        q_resolv_conf_parse(&conf, q_slice_make(copy, len), Q_SLICE("h.x"), zone_of, NULL);
        free(copy);
        assert_true(conf.num_servers >= 1 && conf.num_servers <= Q_RESOLV_FILE_SERVERS_MAX);
        assert_true(conf.ndots <= Q_RESOLV_NDOTS_MAX && conf.timeout_s >= 1 && conf.attempts >= 1);
    }
}

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        cmocka_unit_test(without_a_file_this_machine_is_asked_as_libc_does),
        cmocka_unit_test(the_first_three_servers_that_can_be_read_are_asked),
        cmocka_unit_test(a_server_may_be_behind_an_interface),
        cmocka_unit_test(the_last_search_or_domain_line_holds),
        cmocka_unit_test(without_one_the_machines_own_domain_is_searched),
        cmocka_unit_test(options_are_read_and_clamped_and_others_passed_over),
        cmocka_unit_test(comments_and_unknown_lines_are_skipped),
        cmocka_unit_test(too_many_or_too_long_domains_are_left_out),
        cmocka_unit_test(a_server_of_the_hosts_own_may_have_a_port),
        cmocka_unit_test(any_bytes_are_read_without_harm),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}
