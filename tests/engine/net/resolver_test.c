// The resolver: where names are looked for, what is kept, who shares a lookup, and how it ends.
#include "tests/engine/net/resolver_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS "nameserver 10.0.0.1\nnameserver 10.0.0.2\n"

static void an_address_of_each_family_is_told_when_it_is_there(void **state) {
    (void)state;
    rig_open("", SERVERS, NULL);
    assert_string_equal(rig_look("both.example"), "6:2001:db8::6 4:10.0.0.4");
    assert_string_equal(rig->log, "both.example/AAAA both.example/A");
    assert_string_equal(rig_look("slow6.example"), "4:10.0.0.4 6:2001:db8::6");
    struct asker *asker = &rig->askers[63];
    assert_in_range(asker->at_ms - asker->first_ms, 285, 295); // the first was told at once
    assert_string_equal(rig_look("slow4.example"), "6:2001:db8::6 4:10.0.0.4");
    assert_string_equal(rig_look("four.example"), "6:NAME_NO_ADDRESS 4:10.0.0.4");
    assert_string_equal(rig_look("six.example"), "6:2001:db8::6 4:NAME_NO_ADDRESS");
    assert_string_equal(rig_look("none.example"), "6:NAME_NO_ADDRESS 4:NAME_NO_ADDRESS");
    assert_string_equal(rig_look("nowhere.example"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    rig_close();
}

static void one_family_alone_is_asked_for_alone(void **state) {
    (void)state;
    rig_open("", SERVERS, NULL);
    struct asker *asker = rig_ask_for(0, "both.example", 80, Q_RESOLVE_V4);
    dns_world_until(&rig->world, &asker->is_over);
    assert_string_equal(asker->told, "4:10.0.0.4");
    assert_string_equal(rig->log, "both.example/A");
    // The other one is asked for when it is wanted.
    assert_string_equal(rig_look("both.example"), "4:10.0.0.4 6:2001:db8::6");
    assert_string_equal(rig->log, "both.example/A both.example/AAAA");
    rig_close();
}

static void names_of_this_machine_never_leave_it(void **state) {
    (void)state;
    rig_open("6.6.6.6 localhost evil.localhost x.invalid\n", SERVERS, NULL);
    assert_string_equal(rig_look("localhost"), "6:::1 4:127.0.0.1");
    assert_string_equal(rig_look("localhost."), "6:::1 4:127.0.0.1");
    assert_string_equal(rig_look("a.b.localhost"), "6:::1 4:127.0.0.1");
    assert_string_equal(rig_look("invalid"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig_look("x.invalid"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig_look("x.onion"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig_look("a b"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig_look("a..b"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig_look(""), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    char name[300];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_string_equal(rig_look(name), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig->log, "");
    assert_string_equal(rig_look("notlocalhost"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig->log, "notlocalhost/AAAA notlocalhost/A");
    rig_close();
}

static void the_hosts_file_goes_before_the_servers_as_a_whole(void **state) {
    (void)state;
    rig_open("10.1.1.1 both.example here\n10.1.1.2 here\n::7 here\n", SERVERS, NULL);
    assert_string_equal(rig_look("here"), "6:::7 4:10.1.1.1,10.1.1.2");
    assert_string_equal(rig_look("both.example"), "6:NAME_NO_ADDRESS 4:10.1.1.1");
    assert_string_equal(rig_look("both.example."), "6:NAME_NO_ADDRESS 4:10.1.1.1");
    assert_string_equal(rig->log, "");
    rig_close();
}

static void static_addresses_go_before_everything_for_their_port(void **state) {
    (void)state;
    static const struct q_static_name k_names[] = {
        {.name = {"both.example", 12}, .port = 80, .address = {9, 9, 9, 9}},
        {.name = {"both.example", 12}, .port = 80, .is_v6 = true, .address = {[15] = 9}},
        {.name = {"any.example", 11}, .port = 0, .address = {9, 9, 9, 8}},
    };
    struct q_resolver_options options = {.statics = k_names, .num_statics = 3};
    rig_open("10.1.1.1 both.example\n", SERVERS, &options);
    assert_string_equal(rig_look("both.example"), "6:::9 4:9.9.9.9");
    assert_string_equal(rig_look("any.example"), "6:NAME_NO_ADDRESS 4:9.9.9.8");
    struct asker *asker = rig_ask_for(0, "both.example", 81, Q_RESOLVE_BOTH);
    dns_world_until(&rig->world, &asker->is_over);
    assert_string_equal(asker->told, "6:NAME_NO_ADDRESS 4:10.1.1.1");
    rig_close();
}

// --- the cache ---------------------------------------------------------------------------------------------------------

static void what_was_said_holds_for_its_time(void **state) {
    (void)state;
    rig_open("", SERVERS, NULL);
    rig_look("both.example");
    rig->log[0] = 0;
    uint64_t before_ms = rig_ms();
    assert_string_equal(rig_look("both.example"), "6:2001:db8::6 4:10.0.0.4");
    assert_string_equal(rig_look("both.example."), "6:2001:db8::6 4:10.0.0.4"); // the root's dot makes no other name
    assert_in_range(rig_ms() - before_ms, 0, 2);
    assert_string_equal(rig->log, "");
    assert_int_equal(rig->resolver.stats.hits, 4);
    dns_world_run(&rig->world, 58000);
    rig_look("both.example");
    assert_string_equal(rig->log, "");
    assert_in_range(rig->askers[63].ttl_s, 0, 2);
    dns_world_run(&rig->world, 3000);
    rig_look("both.example");
    assert_string_equal(rig->log, "both.example/AAAA both.example/A");
    rig_close();
}

static void what_is_not_there_is_remembered_as_long_as_the_soa_says(void **state) {
    (void)state;
    rig_open("", SERVERS, NULL);
    rig_look("nowhere.example");
    rig_look("four.example");
    rig->log[0] = 0;
    assert_string_equal(rig_look("nowhere.example"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig_look("four.example"), "6:NAME_NO_ADDRESS 4:10.0.0.4");
    assert_string_equal(rig->log, "");
    dns_world_run(&rig->world, 31000);
    rig_look("nowhere.example");
    assert_string_equal(rig->log, "nowhere.example/AAAA nowhere.example/A");
    rig->log[0] = 0;
    rig_look("four.example");
    assert_string_equal(rig->log, "four.example/AAAA"); // the address holds on
    // Without an SOA it holds for nobody but who asked.
    rig_look("vague.example");
    rig->log[0] = 0;
    assert_string_equal(rig_look("vague.example"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    assert_string_equal(rig->log, "vague.example/AAAA vague.example/A");
    rig_close();
}

static void failures_are_not_remembered(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\noptions attempts:1\n", NULL);
    assert_string_equal(rig_look("fails.example"), "6:NAME_SERVER_FAILED 4:NAME_SERVER_FAILED");
    rig->log[0] = 0;
    rig_look("fails.example");
    assert_string_equal(rig->log, "fails.example/AAAA fails.example/A");
    assert_string_equal(rig_look("mute.example"), "6:NAME_SERVERS_SILENT 4:NAME_SERVERS_SILENT");
    rig_close();
}

static void spoofed(struct dns_query *query) {
    static struct dnswire wire;
    rig_note(query);
    uint16_t id = (uint16_t)(query->bytes[0] << 8 | query->bytes[1]);
    for (uint16_t i = 0; i < 8; i++) {
        bool is_other = (i & 1) != 0;
        dnswire_begin(&wire, is_other ? id : (uint16_t)(id + 1 + i), DNS_FLAG_QR, is_other ? "bank.example" : query->name,
                      query->type);
        if (query->type == DNS_A) {
            dnswire_a(&wire, "@", 86400, "6.6.6.6");
            dnswire_a(&wire, "bank.example", 86400, "6.6.6.6");
        } else {
            dnswire_aaaa(&wire, "@", 86400, "6::6");
            dnswire_aaaa(&wire, "bank.example", 86400, "6::6");
        }
        dns_reply(query, &wire, i);
    }
    // And the true server slips in what it was not asked for.
    dnswire_answer(&wire, query->bytes, query->len, DNS_OK);
    if (query->type == DNS_A) {
        dnswire_a(&wire, "@", 60, "10.0.0.4");
        dnswire_a(&wire, "bank.example", 86400, "6.6.6.6");
    } else {
        dnswire_aaaa(&wire, "@", 60, "2001:db8::6");
        dnswire_aaaa(&wire, "bank.example", 86400, "6::6");
    }
    dnswire_record(&wire, DNS_ADDITIONALS, "bank.example", DNS_A, 86400, "\6\6\6\6", 4);
    dns_reply(query, &wire, 20);
}

static void spoofed_answers_never_enter_the_cache(void **state) {
    (void)state;
    rig_open("", SERVERS, NULL);
    rig->world.on_query = spoofed;
    assert_string_equal(rig_look("shop.example"), "6:2001:db8::6 4:10.0.0.4");
    assert_int_equal(rig->resolver.cache.num_entries, 2);
    assert_int_equal(rig->resolver.env.stats.strange, 16);
    assert_string_equal(rig_look("shop.example"), "6:2001:db8::6 4:10.0.0.4");
    rig->world.on_query = rig_serve;
    assert_string_equal(rig_look("bank.example"), "6:NAME_NOT_FOUND 4:NAME_NOT_FOUND");
    rig_close();
}

// --- sharing -----------------------------------------------------------------------------------------------------------

static void identical_lookups_are_one(void **state) {
    (void)state;
    rig_open("", SERVERS, NULL);
    for (unsigned i = 0; i < 20; i++) {
        rig_ask(i, "slow6.example");
    }
    dns_world_run(&rig->world, 100);
    rig_ask(20, "slow6.example"); // when one family is known
    dns_world_until(&rig->world, &rig->askers[20].is_over);
    for (unsigned i = 0; i <= 20; i++) {
        assert_string_equal(rig->askers[i].told, "4:10.0.0.4 6:2001:db8::6");
    }
    assert_string_equal(rig->log, "slow6.example/AAAA slow6.example/A");
    assert_int_equal(rig->resolver.stats.merged, 20);
    dns_world_run(&rig->world, 5);
    assert_int_equal(rig->resolver.num_lookups, 0);
    rig_close();
}

static void each_waiter_is_cancelled_alone_and_the_last_one_takes_the_query_along(void **state) {
    (void)state;
    rig_open("", SERVERS, NULL);
    for (unsigned i = 0; i < 3; i++) {
        rig_ask(i, "slow4.example");
    }
    dns_world_run(&rig->world, 100); // IPv6 is known
    q_resolve_cancel(&rig->resolver.names, &rig->askers[1].request);
    q_resolve_cancel(&rig->resolver.names, &rig->askers[1].request); // nothing to cancel
    dns_world_run(&rig->world, 1000);
    assert_string_equal(rig->askers[0].told, "6:2001:db8::6 4:10.0.0.4");
    assert_string_equal(rig->askers[1].told, "6:2001:db8::6");
    assert_string_equal(rig->askers[2].told, "6:2001:db8::6 4:10.0.0.4");
    rig_ask(0, "mute.example");
    rig_ask(1, "mute.example");
    dns_world_run(&rig->world, 100);
    assert_int_equal(rig->world.stats.slots_open, 2);
    q_resolve_cancel(&rig->resolver.names, &rig->askers[0].request);
    dns_world_run(&rig->world, 1);
    assert_int_equal(rig->world.stats.slots_open, 2);
    q_resolve_cancel(&rig->resolver.names, &rig->askers[1].request);
    dns_world_run(&rig->world, 1);
    assert_int_equal(rig->world.stats.slots_open, 0);
    assert_int_equal(rig->resolver.num_lookups, 0);
    assert_int_equal(rig->askers[0].num_answers + rig->askers[1].num_answers, 0);
    // Before its task has run, too.
    rig_ask(0, "mute.example");
    q_resolve_cancel(&rig->resolver.names, &rig->askers[0].request);
    assert_int_equal(rig->resolver.num_lookups, 0);
    rig_close();
}

static void cancel_all(struct asker *asker) {
    for (unsigned i = 0; i < 4; i++) {
        if (&rig->askers[i] != asker || !asker->is_over) {
            q_resolve_cancel(&rig->resolver.names, &rig->askers[i].request);
        }
    }
}

static void ask_again(struct asker *asker) {
    if (asker->is_over && asker->request.families == 0 && asker->num_answers == 2) {
        asker->then = NULL;
        rig_ask((unsigned)(asker - rig->askers), "both.example");
    }
}

static void waiters_may_cancel_and_ask_from_inside_of_an_answer(void **state) {
    (void)state;
    rig_open("", SERVERS, NULL);
    rig->askers[0].then = cancel_all;
    for (unsigned i = 0; i < 4; i++) {
        rig_ask(i, "slow4.example");
    }
    dns_world_run(&rig->world, 2000);
    assert_int_equal(rig->askers[0].num_answers, 1);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(rig->askers[i].num_answers, 0);
    }
    assert_int_equal(rig->resolver.num_lookups, 0);
    rig->askers[0].then = ask_again;
    rig_ask(0, "four.example");
    dns_world_run(&rig->world, 2000);
    assert_string_equal(rig->askers[0].told, "6:2001:db8::6 4:10.0.0.4");
    rig_close();
}

static void only_so_many_ask_at_a_time_and_the_others_stand_in_line(void **state) {
    (void)state;
    static struct asker many[3 * Q_RESOLVER_ASKING_MAX];
    rig_open("", SERVERS, NULL);
    rig_ask(0, "mute.example");
    const struct q_resolve_events *events = rig->askers[0].request.events;
    q_resolve_cancel(&rig->resolver.names, &rig->askers[0].request);
    memset(many, 0, sizeof many);
    for (unsigned i = 0; i < Q_COUNT_OF(many); i++) {
        char name[64];
        snprintf(name, sizeof name, "slow6.n%u.example", i);
        many[i].request.events = events;
        q_resolve_ask(&rig->resolver.names, &many[i].request, q_slice_of_string(name), 80, Q_RESOLVE_BOTH);
    }
    dns_world_run(&rig->world, 5000);
    for (unsigned i = 0; i < Q_COUNT_OF(many); i++) {
        assert_string_equal(many[i].told, "4:10.0.0.4 6:2001:db8::6");
        assert_in_range(many[i].at_ms, 300 * (i / Q_RESOLVER_ASKING_MAX), 320 * (i / Q_RESOLVER_ASKING_MAX + 1));
    }
    assert_int_equal(rig->world.most_open, 2 * Q_RESOLVER_ASKING_MAX);
    rig_close();
}

static void who_stands_in_line_can_leave_it(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\noptions attempts:1 timeout:1\n", NULL);
    static struct asker many[Q_RESOLVER_ASKING_MAX + 2];
    rig_ask(0, "both.example");
    const struct q_resolve_events *events = rig->askers[0].request.events;
    q_resolve_cancel(&rig->resolver.names, &rig->askers[0].request);
    memset(many, 0, sizeof many);
    for (unsigned i = 0; i < Q_COUNT_OF(many); i++) {
        char name[64];
        snprintf(name, sizeof name, "mute.n%u.example", i);
        many[i].request.events = events;
        q_resolve_ask(&rig->resolver.names, &many[i].request, q_slice_of_string(name), 80, Q_RESOLVE_V4);
    }
    dns_world_run(&rig->world, 100);
    q_resolve_cancel(&rig->resolver.names, &many[Q_RESOLVER_ASKING_MAX].request);
    dns_world_run(&rig->world, 3000);
    assert_int_equal(many[Q_RESOLVER_ASKING_MAX].num_answers, 0);
    assert_in_range(many[Q_RESOLVER_ASKING_MAX + 1].at_ms, 2000, 2110);
    rig_close();
}

// --- stale answers -----------------------------------------------------------------------------------------------------

static const struct q_resolver_options k_stale = {
    .cache = {.entries_max = 100, .bytes_max = 100000, .ttl_max_s = 300, .negative_ttl_max_s = 60, .stale_s = 3600}};

static void goes_mute(struct dns_query *query) { rig_note(query); }

static void without_an_answer_what_was_known_before_is_told_in_time(void **state) {
    (void)state;
    rig_open("", SERVERS, &k_stale);
    rig_look("short.example");
    dns_world_run(&rig->world, 5000);
    rig->world.on_query = goes_mute;
    uint64_t before_ms = rig_ms();
    assert_string_equal(rig_look("short.example"), "6:2001:db8::6! 4:10.0.0.4!");
    assert_in_range(rig_ms() - before_ms, 1800, 1810);
    // The lookup goes on without a waiter, until the servers are found mute.
    assert_int_equal(rig->resolver.num_lookups, 1);
    dns_world_run(&rig->world, 30000);
    assert_int_equal(rig->resolver.num_lookups, 0);
    // From then on they are left alone for a while.
    before_ms = rig_ms();
    assert_string_equal(rig_look("short.example"), "6:2001:db8::6! 4:10.0.0.4!");
    assert_in_range(rig_ms() - before_ms, 0, 10);
    // And asked again; what they say holds.
    dns_world_run(&rig->world, 31000);
    rig->world.on_query = rig_serve;
    assert_string_equal(rig_look("short.example"), "6:2001:db8::6 4:10.0.0.4");
    // But not for ever.
    rig->world.on_query = goes_mute;
    dns_world_run(&rig->world, 3700000);
    assert_string_equal(rig_look("short.example"), "6:NAME_SERVERS_SILENT 4:NAME_SERVERS_SILENT");
    rig_close();
}

static void fails(struct dns_query *query) {
    static struct dnswire wire;
    rig_note(query);
    dnswire_answer(&wire, query->bytes, query->len, DNS_SERVFAIL);
    dns_reply(query, &wire, 1);
}

static void servers_that_fail_do_not_take_what_was_known(void **state) {
    (void)state;
    rig_open("", SERVERS, &k_stale);
    rig_look("short.example");
    dns_world_run(&rig->world, 5000);
    rig->world.on_query = fails;
    uint64_t before_ms = rig_ms();
    assert_string_equal(rig_look("short.example"), "6:2001:db8::6! 4:10.0.0.4!");
    assert_in_range(rig_ms() - before_ms, 0, 20);
    rig_close();
    // Unless nobody wants that.
    rig_open("", SERVERS, NULL);
    rig_look("short.example");
    dns_world_run(&rig->world, 5000);
    rig->world.on_query = fails;
    assert_string_equal(rig_look("short.example"), "6:NAME_SERVER_FAILED 4:NAME_SERVER_FAILED");
    rig_close();
}

// --- files -------------------------------------------------------------------------------------------------------------

static void an_edit_of_the_hosts_file_is_seen(void **state) {
    (void)state;
    rig_open("10.1.1.1 here\n", SERVERS, NULL);
    assert_string_equal(rig_look("here"), "6:NAME_NO_ADDRESS 4:10.1.1.1");
    rig_write(rig->hosts_path, "10.1.1.2 here\n::8 here\n");
    assert_string_equal(rig_look("here"), "6:NAME_NO_ADDRESS 4:10.1.1.1"); // looked at not long ago
    dns_world_run(&rig->world, 6000);
    assert_string_equal(rig_look("here"), "6:::8 4:10.1.1.2"); // by the very lookup that finds it changed
    assert_int_equal(rig->files.num_reloads, 1);
    dns_world_run(&rig->world, 6000);
    assert_string_equal(rig_look("here"), "6:::8 4:10.1.1.2");
    assert_int_equal(rig->files.num_reloads, 1);
    rig_close();
}

static void other_servers_know_other_things(void **state) {
    (void)state;
    rig_open("", "nameserver 10.0.0.1\n", NULL);
    rig_look("both.example");
    rig->log[0] = 0;
    rig_ask(0, "slow6.example");
    dns_world_run(&rig->world, 6000);
    rig_ask(0, "mute.example"); // goes on with the servers that it began with
    dns_world_run(&rig->world, 6000);
    rig_write(rig->resolv_conf_path, "nameserver 10.0.0.3\n");
    rig->log[0] = 0;
    rig_look("both.example"); // what the old ones said is forgotten
    assert_string_equal(rig->log, "both.example/AAAA@3 both.example/A@3");
    dns_world_until(&rig->world, &rig->askers[0].is_over);
    assert_string_equal(rig->askers[0].told, "6:NAME_SERVERS_SILENT 4:NAME_SERVERS_SILENT");
    rig_close();
}

// --- ends --------------------------------------------------------------------------------------------------------------

static void a_close_ends_everything_in_whatever_state_it_is(void **state) {
    (void)state;
    static const uint64_t k_times_ms[] = {0, 0, 0, 0, 1, 9, 11, 12, 100, 305, 1799, 1801, 4999, 5001};
    for (int ticks = 0; ticks < (int)Q_COUNT_OF(k_times_ms); ticks++) {
        rig_open("", SERVERS, &k_stale);
        rig_ask(0, "slow6.example");
        rig_ask(1, "mute.example");
        rig_ask(2, "both.example");
        rig_ask(3, "both.example");
        rig_ask(4, "");
        for (int i = 0; i < ticks; i++) {
            q_loop_tick(&rig->world.loop, false);
        }
        if (k_times_ms[ticks] > 0) {
            dns_world_run(&rig->world, k_times_ms[ticks]);
        }
        unsigned before = 0;
        for (unsigned i = 0; i < 5; i++) {
            before += rig->askers[i].num_answers;
        }
        q_resolver_close(&rig->resolver);
        rig->is_closed = true;
        rig_ask(5, "both.example"); // too late
        dns_world_run(&rig->world, 1000);
        assert_string_equal(rig->askers[5].told, "6:CLOSED 4:CLOSED");
        for (unsigned i = 0; i < 5; i++) {
            before -= rig->askers[i].num_answers;
            assert_null(rig->askers[i].request.of);
        }
        assert_int_equal(before, 0);
        rig_close();
    }
}

static void without_memory_each_lookup_ends_with_an_error_or_well(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        rig_open("", "nameserver 10.0.0.1\noptions use-vc attempts:1\n", NULL);
        q_failalloc_fail_at(rig->world.memory, n);
        rig_look("both.example");
        const char *told = rig->askers[63].told;
        assert_true(strstr(told, "10.0.0.4") != NULL || strstr(told, "NO_MEMORY") != NULL);
        rig_look("nowhere.example");
        bool was_last = !q_failalloc_failed(rig->world.memory);
        rig_close();
        if (was_last) {
            return;
        }
    }
    fail_msg("it allocates without end");
}

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        cmocka_unit_test(an_address_of_each_family_is_told_when_it_is_there),
        cmocka_unit_test(one_family_alone_is_asked_for_alone),
        cmocka_unit_test(names_of_this_machine_never_leave_it),
        cmocka_unit_test(the_hosts_file_goes_before_the_servers_as_a_whole),
        cmocka_unit_test(static_addresses_go_before_everything_for_their_port),
        cmocka_unit_test(what_was_said_holds_for_its_time),
        cmocka_unit_test(what_is_not_there_is_remembered_as_long_as_the_soa_says),
        cmocka_unit_test(failures_are_not_remembered),
        cmocka_unit_test(spoofed_answers_never_enter_the_cache),
        cmocka_unit_test(identical_lookups_are_one),
        cmocka_unit_test(each_waiter_is_cancelled_alone_and_the_last_one_takes_the_query_along),
        cmocka_unit_test(waiters_may_cancel_and_ask_from_inside_of_an_answer),
        cmocka_unit_test(only_so_many_ask_at_a_time_and_the_others_stand_in_line),
        cmocka_unit_test(who_stands_in_line_can_leave_it),
        cmocka_unit_test(without_an_answer_what_was_known_before_is_told_in_time),
        cmocka_unit_test(servers_that_fail_do_not_take_what_was_known),
        cmocka_unit_test(an_edit_of_the_hosts_file_is_seen),
        cmocka_unit_test(other_servers_know_other_things),
        cmocka_unit_test(a_close_ends_everything_in_whatever_state_it_is),
        cmocka_unit_test(without_memory_each_lookup_ends_with_an_error_or_well),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}
