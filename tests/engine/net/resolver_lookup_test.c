// Along the candidates of a name: the search list and ndots, what stops it, and the options of resolv.conf.
#include "tests/engine/net/resolver_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_short_name_is_tried_under_each_domain_and_then_as_it_is(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\nsearch a.example b.example\n", NULL);
    assert_string_equal(rig_look("x"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig->log, "x.a.example/AAAA x.a.example/A x.b.example/AAAA x.b.example/A x/AAAA x/A");
    rig->log[0] = 0;
    assert_string_equal(rig_look("x.y"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig->log, "x.y/AAAA x.y/A x.y.a.example/AAAA x.y.a.example/A x.y.b.example/AAAA x.y.b.example/A");
    rig->log[0] = 0;
    rig_look("z.");
    assert_string_equal(rig->log, "z/AAAA z/A");
    rig_close();
}

static void ndots_says_what_is_short(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\nsearch a.example\noptions ndots:2\n", NULL);
    rig_look("x.y");
    assert_string_equal(rig->log, "x.y.a.example/AAAA x.y.a.example/A x.y/AAAA x.y/A");
    rig->log[0] = 0;
    rig_look("x.y.z");
    assert_string_equal(rig->log, "x.y.z/AAAA x.y.z/A x.y.z.a.example/AAAA x.y.z.a.example/A");
    rig_close();
    rig_open("", "nameserver 10.0.0.1\nsearch a.example\noptions ndots:0\n", NULL);
    rig_look("x");
    assert_string_equal(rig->log, "x/AAAA x/A x.a.example/AAAA x.a.example/A");
    rig_close();
}

static void the_first_that_has_an_address_is_it(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\nsearch a.example b.example\n", NULL);
    assert_string_equal(rig_look("four"), "6:NAME_NO_ADDRESS 4:10.0.0.4");
    assert_string_equal(rig->log, "four.a.example/AAAA four.a.example/A");
    rig->log[0] = 0;
    // One that exists without any goes on, and tells it at the end.
    assert_string_equal(rig_look("none"), "6:NAME_NO_ADDRESS 4:NAME_NO_ADDRESS");
    rig_close();
}

static void fails_under_a(struct dns_query *query) {
    static struct dnswire wire;
    rig_note(query);
    bool is_broken = strstr(query->name, ".a.example") != NULL;
    dnswire_answer(&wire, query->bytes, query->len, is_broken ? DNS_SERVFAIL : DNS_NXDOMAIN);
    if (strcmp(query->name, "host.b.example") == 0) {
        dnswire_answer(&wire, query->bytes, query->len, DNS_OK);
        if (query->type == DNS_A) {
            dnswire_a(&wire, "@", 60, "10.0.0.7");
        }
    }
    dns_reply(query, &wire, 1);
}

static void a_domain_that_fails_does_not_hide_the_others_but_is_told_in_the_end(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\nsearch a.example b.example\noptions attempts:1\n", NULL);
    rig->world.on_query = fails_under_a;
    assert_string_equal(rig_look("host"), "6:NAME_NO_ADDRESS 4:10.0.0.7");
    assert_string_equal(rig_look("other"), "6:NAME_SERVER_FAILED 4:NAME_SERVER_FAILED");
    rig_close();
}

static void mute_servers_end_it(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\nsearch a.example b.example\noptions attempts:1 timeout:1\n", NULL);
    assert_string_equal(rig_look("mute"), "6:NAME_SERVERS_SILENT 4:NAME_SERVERS_SILENT");
    assert_string_equal(rig->log, "mute.a.example/AAAA mute.a.example/A");
    assert_in_range(rig_ms(), 1000, 1010);
    rig_close();
}

static void one_family_that_is_never_answered_does_not_keep_the_other_back(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\noptions attempts:1 timeout:2\n", NULL);
    assert_string_equal(rig_look("no6.example"), "4:10.0.0.4 6:NAME_SERVERS_SILENT");
    assert_in_range(rig->askers[63].first_ms, 10, 15);
    assert_in_range(rig->askers[63].at_ms, 2000, 2010);
    rig_close();
}

static void a_candidate_that_is_known_is_not_asked_for_again(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\nsearch a.example\n", NULL);
    rig_look("x");
    rig->log[0] = 0;
    assert_string_equal(rig_look("x.a.example."), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig_look("x"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig->log, "");
    rig_close();
}

static void servers_may_be_asked_for_one_family_at_a_time(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\noptions single-request\n", NULL);
    assert_string_equal(rig_look("slow6.example"), "6:2001:db8::6 4:10.0.0.4");
    assert_int_equal(rig->world.most_open, 1);
    assert_in_range(rig_ms(), 310, 320);
    rig_close();
}

static void ipv6_may_be_left_out(void **state) {
    (void)state;
    rig_open("::7 here\n", "nameserver 10.0.0.1\noptions no-aaaa\n", NULL);
    assert_string_equal(rig_look("both.example"), "6:NAME_NO_ADDRESS 4:10.0.0.4");
    assert_string_equal(rig->log, "both.example/A");
    assert_string_equal(rig_look("here"), "6:::7 4:NAME_NO_ADDRESS");
    struct asker *asker = rig_ask_for(0, "both.example", 80, Q_RESOLVE_V6);
    dns_world_until(&rig->world, &asker->is_over);
    assert_string_equal(asker->told, "6:NAME_NO_ADDRESS");
    rig_close();
}

static void servers_may_take_turns(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\nnameserver 10.0.0.2\noptions rotate\n", NULL);
    struct asker *asker = NULL;
    for (unsigned i = 0; i < 4; i++) {
        static const char *const k_names[] = {"four.a", "four.b", "four.c", "four.d"};
        asker = rig_ask_for(i, k_names[i], 80, Q_RESOLVE_V4);
        dns_world_until(&rig->world, &asker->is_over);
    }
    assert_string_equal(rig->log, "four.a/A four.b/A@2 four.c/A four.d/A@2");
    rig_close();
}

static void a_candidate_longer_than_a_name_is_passed_over(void **state) {
    (void)state;
    char name[240];
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = i % 50 == 49 ? '.' : 'x';
    }
    name[sizeof name - 1] = 0;
    rig_open("", "nameserver 10.0.0.1\nsearch a.very.long.domain b.example\n", NULL);
    rig_look(name);
    assert_int_equal(rig->world.num_queries, 4); // as it is, and under the short one
    rig_close();
}

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        cmocka_unit_test(a_short_name_is_tried_under_each_domain_and_then_as_it_is),
        cmocka_unit_test(ndots_says_what_is_short),
        cmocka_unit_test(the_first_that_has_an_address_is_it),
        cmocka_unit_test(a_domain_that_fails_does_not_hide_the_others_but_is_told_in_the_end),
        cmocka_unit_test(mute_servers_end_it),
        cmocka_unit_test(one_family_that_is_never_answered_does_not_keep_the_other_back),
        cmocka_unit_test(a_candidate_that_is_known_is_not_asked_for_again),
        cmocka_unit_test(servers_may_be_asked_for_one_family_at_a_time),
        cmocka_unit_test(ipv6_may_be_left_out),
        cmocka_unit_test(servers_may_take_turns),
        cmocka_unit_test(a_candidate_longer_than_a_name_is_passed_over),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}
