// One question to name servers that behave, and that do not: who is believed, who is asked next, and how long it takes.
#include "tests/engine/net/dns_world.h"

#include "engine/net/dns_exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct dns_world world;
    struct q_resolv_conf conf;
    struct q_dns_env env;
    struct q_dns_exchange exchange;
    bool is_done, is_quiet;
    struct q_error error;
    uint64_t done_ms; // since it began
    uint64_t began_ns;
    char log[1024]; // one word for each query: which server, how
};

static struct fixture *f;
static struct dnswire wire;

static void on_done(struct q_dns_exchange *exchange, struct q_error error) {
    assert_ptr_equal(exchange, &f->exchange);
    assert_false(f->is_done);
    f->is_done = true;
    f->error = error;
    f->done_ms = (f->world.loop.now_ns - f->began_ns) / Q_NS_PER_MS;
}

static void on_quiet(struct q_dns_exchange *exchange) {
    assert_true(q_dns_exchange_is_quiet(exchange));
    f->is_quiet = true;
}

static const struct q_dns_exchange_events k_events = {.on_done = on_done, .on_quiet = on_quiet};

static void note(const struct dns_query *query) {
    size_t at = strlen(f->log);
    snprintf(f->log + at, sizeof f->log - at, "%s%c%s%s", at > 0 ? " " : "", query->server[7],
             query->is_tcp ? "tcp" : "udp", dnswire_has_opt(query->bytes, query->len) ? "" : "-");
}

static int set_up(void **state) {
    (void)state;
    f = calloc(1, sizeof *f);
    dns_world_open(&f->world);
    q_resolv_conf_parse(&f->conf, Q_SLICE("nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n"), Q_SLICE(""), NULL,
                        NULL);
    f->env = (struct q_dns_env){.loop = &f->world.loop, .alloc = dns_world_alloc(&f->world), .id_key = {3, 4}};
    q_dns_exchange_init(&f->exchange, &f->env, &k_events);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    dns_world_close(&f->world);
    free(f);
    return 0;
}

static void begin(void (*on_query)(struct dns_query *query)) {
    f->world.on_query = on_query;
    f->began_ns = f->world.loop.now_ns;
    f->is_done = f->is_quiet = false;
    f->log[0] = 0;
    q_dns_exchange_begin(&f->exchange, Q_SLICE("a.example"), Q_DNS_A, &f->conf, 0);
    assert_false(f->is_done || f->is_quiet); // never from inside
}

static void ask(void (*on_query)(struct dns_query *query)) {
    begin(on_query);
    dns_world_until(&f->world, &f->is_quiet);
}

static void expect_found(const char *address) {
    char text[64];
    assert_true(f->is_done);
    assert_int_equal(f->error.code, Q_ERR_OK);
    assert_int_equal(f->exchange.answer.verdict, Q_DNS_FOUND);
    const uint8_t *bytes = f->exchange.answer.addresses[0];
    snprintf(text, sizeof text, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
    assert_string_equal(text, address);
}

static void expect_error(enum q_error_code code) {
    assert_true(f->is_done);
    assert_int_equal(f->error.code, code);
    assert_int_equal(f->error.phase, Q_PHASE_RESOLVE);
    assert_int_equal(f->error.retry_safe, 1);
}

static void answer_well(const struct dns_query *query, uint64_t delay_ms) {
    dnswire_answer(&wire, query->bytes, query->len, DNS_OK);
    dnswire_a(&wire, "@", 60, "10.9.9.9");
    dns_reply(query, &wire, delay_ms);
}

static void answer_code(const struct dns_query *query, unsigned rcode) {
    dnswire_answer(&wire, query->bytes, query->len, rcode);
    dns_reply(query, &wire, 1);
}

// --- servers ---------------------------------------------------------------------------------------------------------

static void good(struct dns_query *query) {
    note(query);
    answer_well(query, 20);
}

static void the_first_server_is_asked_by_udp_and_believed(void **state) {
    (void)state;
    ask(good);
    expect_found("10.9.9.9");
    assert_string_equal(f->log, "1udp");
    assert_in_range(f->done_ms, 20, 22);
    ask(good); // and again
    expect_found("10.9.9.9");
    assert_int_equal(f->world.num_sockets, 2);
}

static void mute(struct dns_query *query) { note(query); }

static void mute_servers_are_asked_in_turn_for_as_many_rounds_as_are_set(void **state) {
    (void)state;
    ask(mute);
    expect_error(Q_ERR_NAME_SERVERS_SILENT);
    assert_string_equal(f->log, "1udp 2udp 3udp 1udp 2udp 3udp");
    assert_in_range(f->done_ms, 30000, 30020);
    assert_int_equal(f->env.stats.timeouts, 6);
    assert_int_equal(f->world.most_open, 1); // a socket goes before the next comes
    f->conf.attempts = 1;
    f->conf.timeout_s = 1;
    f->conf.num_servers = 2;
    begin(mute);
    dns_world_until(&f->world, &f->is_quiet);
    assert_string_equal(f->log, "1udp 2udp");
    assert_in_range(f->done_ms, 2000, 2010);
}

static uint16_t ids[64];
static unsigned num_ids;

static void collect_ids(struct dns_query *query) { ids[num_ids++] = (uint16_t)(query->bytes[0] << 8 | query->bytes[1]); }

static void each_try_has_an_id_of_its_own(void **state) {
    (void)state;
    num_ids = 0;
    f->conf.attempts = 5;
    ask(collect_ids);
    ask(collect_ids);
    assert_int_equal(num_ids, 30);
    for (unsigned i = 0; i < num_ids; i++) {
        for (unsigned k = 0; k < i; k++) {
            assert_int_not_equal(ids[i], ids[k]);
        }
        assert_true(i == 0 || (uint16_t)(ids[i] - ids[i - 1]) > 1); // nor the next number
    }
}

static void only_the_last_is_well(struct dns_query *query) {
    note(query);
    switch (query->server[7]) {
    case '1': answer_code(query, DNS_SERVFAIL); break;
    case '2': answer_code(query, DNS_REFUSED); break;
    default: answer_well(query, 1); break;
    }
}

static void a_server_that_fails_gives_way_to_the_next_at_once(void **state) {
    (void)state;
    ask(only_the_last_is_well);
    expect_found("10.9.9.9");
    assert_string_equal(f->log, "1udp 2udp 3udp");
    assert_in_range(f->done_ms, 0, 10);
}

static void all_fail(struct dns_query *query) {
    note(query);
    if (query->server[7] == '1') {
        answer_code(query, DNS_SERVFAIL);
    } else if (query->server[7] == '2') {
        dns_fail(query, ECONNREFUSED, 1);
    } else {
        answer_code(query, DNS_REFUSED);
    }
}

static void the_most_telling_failure_is_told(void **state) {
    (void)state;
    ask(all_fail);
    expect_error(Q_ERR_NAME_SERVER_FAILED);
    assert_string_equal(f->log, "1udp 2udp 3udp 1udp 2udp 3udp");
    f->conf.servers[0] = f->conf.servers[1];
    ask(all_fail);
    expect_error(Q_ERR_NAME_SERVER_REFUSED);
    f->conf.num_servers = 1;
    ask(all_fail);
    expect_error(Q_ERR_NAME_SERVERS_SILENT);
    assert_int_equal(f->error.os_errno, ECONNREFUSED);
    assert_in_range(f->done_ms, 0, 10); // the kernel said that nobody is there
}

static void cuts_udp(struct dns_query *query) {
    note(query);
    dnswire_answer(&wire, query->bytes, query->len, DNS_OK);
    if (!query->is_tcp) {
        wire.bytes[2] |= DNS_FLAG_TC >> 8;
        dns_reply(query, &wire, 1);
        return;
    }
    for (int i = 0; i < 60; i++) {
        dnswire_a(&wire, "@", 60, "10.8.8.8");
    }
    dns_reply(query, &wire, 1);
}

static void a_cut_answer_is_fetched_by_tcp_from_the_same_server(void **state) {
    (void)state;
    ask(cuts_udp);
    expect_found("10.8.8.8");
    assert_int_equal(f->exchange.answer.count, 60);
    assert_string_equal(f->log, "1udp 1tcp");
    assert_int_equal(f->env.stats.by_tcp, 1);
    f->conf.use_vc = true;
    ask(good);
    assert_string_equal(f->log, "1tcp");
}

static void piecewise(struct dns_query *query) {
    note(query);
    uint8_t bytes[600];
    dnswire_answer(&wire, query->bytes, query->len, DNS_OK);
    dnswire_a(&wire, "@", 60, "10.8.8.8");
    bytes[0] = (uint8_t)(wire.len >> 8);
    bytes[1] = (uint8_t)wire.len;
    memcpy(bytes + 2, wire.bytes, wire.len);
    for (size_t i = 0; i < wire.len + 2; i++) {
        dns_reply_bytes(query, bytes + i, 1, i + 1);
    }
}

static void an_answer_by_tcp_may_come_byte_by_byte(void **state) {
    (void)state;
    f->conf.use_vc = true;
    ask(piecewise);
    expect_found("10.8.8.8");
    assert_string_equal(f->log, "1tcp");
}

static void breaks_tcp(struct dns_query *query) {
    note(query);
    switch (query->server[7]) {
    case '1': // ends in the middle
        dns_reply_bytes(query, "\0\x40""abc", 5, 1);
        dns_end(query, 2);
        break;
    case '2': dns_reply_bytes(query, "\0\0", 2, 1); break; // nothing
    default: // an answer to somebody else
        dnswire_begin(&wire, 1, DNS_FLAG_QR, "other.example", DNS_A);
        dns_reply(query, &wire, 1);
        break;
    }
}

static void tcp_that_breaks_off_or_talks_nonsense_gives_way(void **state) {
    (void)state;
    f->conf.use_vc = true;
    ask(breaks_tcp);
    expect_error(Q_ERR_NAME_BAD_ANSWER);
    assert_string_equal(f->log, "1tcp 2tcp 3tcp 1tcp 2tcp 3tcp");
}

static void knows_no_edns(struct dns_query *query) {
    note(query);
    if (dnswire_has_opt(query->bytes, query->len)) {
        answer_code(query, DNS_FORMERR);
    } else {
        answer_well(query, 1);
    }
}

static void a_server_without_edns_is_asked_without(void **state) {
    (void)state;
    ask(knows_no_edns);
    expect_found("10.9.9.9");
    assert_string_equal(f->log, "1udp 1udp-");
    assert_in_range(f->done_ms, 0, 10);
}

static void formerr_for_all(struct dns_query *query) {
    note(query);
    answer_code(query, DNS_FORMERR);
}

static void a_server_that_understands_nothing_gives_way(void **state) {
    (void)state;
    f->conf.attempts = 1;
    ask(formerr_for_all);
    expect_error(Q_ERR_NAME_SERVER_FAILED);
    assert_string_equal(f->log, "1udp 1udp- 2udp- 3udp-");
}

// --- who is no server ------------------------------------------------------------------------------------------------

static void spoof(const struct dns_query *query, uint16_t id, const char *name, uint16_t type, uint64_t delay_ms) {
    dnswire_begin(&wire, id, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA, name, type);
    dnswire_a(&wire, "@", 86400, "6.6.6.6");
    dns_reply(query, &wire, delay_ms);
}

static void spoofed(struct dns_query *query) {
    note(query);
    uint16_t id = (uint16_t)(query->bytes[0] << 8 | query->bytes[1]);
    spoof(query, (uint16_t)(id + 1), "a.example", DNS_A, 1);
    spoof(query, id, "b.example", DNS_A, 2);
    spoof(query, id, "a.example", DNS_AAAA, 3);
    dns_reply_bytes(query, "x", 1, 4);
    dns_reply_bytes(query, query->bytes, query->len, 5); // the query itself
    dns_end(query, 6);                                   // an empty datagram
    answer_well(query, 20);
}

static void what_is_no_answer_is_dropped_and_the_wait_goes_on(void **state) {
    (void)state;
    ask(spoofed);
    expect_found("10.9.9.9");
    assert_string_equal(f->log, "1udp");
    assert_int_equal(f->env.stats.strange, 6);
    assert_in_range(f->done_ms, 20, 22);
}

static void flooded(struct dns_query *query) {
    note(query);
    if (query->is_tcp) {
        answer_well(query, 1);
        return;
    }
    for (uint16_t i = 0; i < 100; i++) {
        spoof(query, (uint16_t)((query->bytes[0] << 8 | query->bytes[1]) + 1 + i), "a.example", DNS_A, 1 + i);
    }
}

static void who_guesses_too_often_sends_it_to_tcp(void **state) {
    (void)state;
    ask(flooded);
    expect_found("10.9.9.9");
    assert_string_equal(f->log, "1udp 1tcp");
    assert_int_equal(f->env.stats.strange, Q_DNS_STRANGE_MAX + 1);
}

static void late_twice(struct dns_query *query) {
    note(query);
    if (query->server[7] == '1') {
        answer_well(query, 5500); // behind the timeout
        answer_well(query, 5600);
    } else {
        answer_well(query, 3000);
        answer_well(query, 3000); // twice
    }
}

static void what_comes_too_late_finds_nobody(void **state) {
    (void)state;
    ask(late_twice);
    expect_found("10.9.9.9");
    assert_string_equal(f->log, "1udp 2udp");
    assert_in_range(f->done_ms, 8000, 8005);
    assert_int_equal(f->env.stats.strange, 0);
}

static void nonsense(struct dns_query *query) {
    note(query);
    dnswire_answer(&wire, query->bytes, query->len, DNS_OK);
    dnswire_bytes(&wire, "\xc0\xff\0\1\0\1", 6);
    dnswire_count(&wire, DNS_ANSWERS, 1);
    dns_reply(query, &wire, 1);
}

static void an_answer_that_is_no_dns_gives_way(void **state) {
    (void)state;
    ask(nonsense);
    expect_error(Q_ERR_NAME_BAD_ANSWER);
    assert_string_equal(f->log, "1udp 2udp 3udp 1udp 2udp 3udp");
}

// --- ends ------------------------------------------------------------------------------------------------------------

static int refuse_all(struct dns_world *world, const char *server, bool is_tcp) {
    (void)world;
    (void)server;
    (void)is_tcp;
    return ENETUNREACH;
}

static void without_a_network_it_is_over_at_once(void **state) {
    (void)state;
    f->world.on_connect = refuse_all;
    ask(mute);
    expect_error(Q_ERR_NAME_SERVERS_SILENT);
    assert_int_equal(f->error.os_errno, ENETUNREACH);
    assert_in_range(f->done_ms, 0, 20);
}

static void without_a_slot_it_says_so(void **state) {
    (void)state;
    f->world.slots_max = 0;
    ask(mute);
    expect_error(Q_ERR_FD_LIMIT);
}

static void without_memory_for_tcp_the_next_server_is_asked(void **state) {
    (void)state;
    f->conf.use_vc = true;
    begin(good);
    q_failalloc_fail_at(f->world.memory, 1);
    dns_world_until(&f->world, &f->is_quiet);
    expect_found("10.9.9.9");
    assert_string_equal(f->log, "1tcp 2tcp");
}

static void a_stop_ends_it_wherever_it_is(void **state) {
    (void)state;
    static void (*const k_servers[])(struct dns_query *query) = {mute, cuts_udp, good, all_fail, spoofed};
    for (size_t i = 0; i < Q_COUNT_OF(k_servers); i++) {
        for (int ticks = 0; ticks < 12; ticks++) {
            begin(k_servers[i]);
            for (int k = 0; k < ticks && !f->is_done; k++) {
                q_loop_tick(&f->world.loop, true);
            }
            bool was_done = f->is_done;
            q_dns_exchange_stop(&f->exchange);
            q_dns_exchange_stop(&f->exchange);
            if (!q_dns_exchange_is_quiet(&f->exchange)) {
                dns_world_until(&f->world, &f->is_quiet);
            }
            assert_int_equal(f->is_done, was_done);
            dns_world_run(&f->world, 10000);
            assert_int_equal(f->is_done, was_done);
        }
    }
    f->world.slots_max = 0;
    begin(mute);
    q_dns_exchange_stop(&f->exchange);
    dns_world_until(&f->world, &f->is_quiet);
    assert_false(f->is_done);
}

// --- carried by somebody else ----------------------------------------------------------------------------------------------

struct carrier {
    struct q_dns_carrier carrier; // first
    struct q_dns_parcel *parcel;
    struct dns_query query; // as if it had come to a server
    unsigned num_asked, num_canceled;
};

static struct carrier carrier;

static void carry(struct q_dns_carrier *it, struct q_dns_parcel *parcel, struct q_slice query) {
    assert_ptr_equal(it, &carrier.carrier);
    assert_null(carrier.parcel);
    carrier.parcel = parcel;
    carrier.num_asked++;
    carrier.query.len = query.len;
    memcpy(carrier.query.bytes, query.ptr, query.len);
    assert_int_equal(carrier.query.bytes[0] | carrier.query.bytes[1], 0); // the same for all who ask
}

static void drop_parcel(struct q_dns_carrier *it, struct q_dns_parcel *parcel) {
    assert_ptr_equal(it, &carrier.carrier);
    assert_ptr_equal(parcel, carrier.parcel);
    carrier.parcel = NULL;
    carrier.num_canceled++;
}

static const struct q_dns_carrier_vtable k_carrier = {.ask = carry, .cancel = drop_parcel};

static void bring(struct q_slice message, struct q_error error) {
    struct q_dns_parcel *parcel = carrier.parcel;
    carrier.parcel = NULL;
    parcel->on_answer(parcel, message, error);
}

static void begin_carried(void) {
    carrier = (struct carrier){.carrier = {.v = &k_carrier}};
    f->env.carrier = &carrier.carrier;
    f->conf.num_servers = 0; // nobody is asked but through it
    begin(mute);
    assert_int_equal(carrier.num_asked, 1);
}

static void queries_may_be_carried_by_somebody_else(void **state) {
    (void)state;
    begin_carried();
    dnswire_answer(&wire, carrier.query.bytes, carrier.query.len, DNS_OK);
    dnswire_a(&wire, "@", 60, "10.9.9.9");
    bring(q_slice_make(wire.bytes, wire.len), Q_OK);
    expect_found("10.9.9.9");
    assert_true(f->is_quiet);
    // Nonsense and failures count as those of a server.
    begin_carried();
    bring(Q_SLICE("nonsense"), Q_OK);
    assert_int_equal(carrier.num_asked, 2);
    bring((struct q_slice){0}, q_error_make(Q_ERR_CONNECT_REFUSED, Q_PHASE_CONNECT));
    expect_error(Q_ERR_NAME_BAD_ANSWER);
    assert_true(f->is_quiet);
    // So does silence.
    begin_carried();
    dns_world_until(&f->world, &f->is_quiet);
    expect_error(Q_ERR_NAME_SERVERS_SILENT);
    assert_int_equal(carrier.num_asked, 2);
    assert_int_equal(carrier.num_canceled, 2);
    // A stop cancels.
    begin_carried();
    q_dns_exchange_stop(&f->exchange);
    assert_true(f->is_quiet && !f->is_done);
    assert_int_equal(carrier.num_canceled, 1);
    assert_int_equal(f->world.num_sockets, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        TEST(the_first_server_is_asked_by_udp_and_believed),
        TEST(mute_servers_are_asked_in_turn_for_as_many_rounds_as_are_set),
        TEST(each_try_has_an_id_of_its_own),
        TEST(a_server_that_fails_gives_way_to_the_next_at_once),
        TEST(the_most_telling_failure_is_told),
        TEST(a_cut_answer_is_fetched_by_tcp_from_the_same_server),
        TEST(an_answer_by_tcp_may_come_byte_by_byte),
        TEST(tcp_that_breaks_off_or_talks_nonsense_gives_way),
        TEST(a_server_without_edns_is_asked_without),
        TEST(a_server_that_understands_nothing_gives_way),
        TEST(what_is_no_answer_is_dropped_and_the_wait_goes_on),
        TEST(who_guesses_too_often_sends_it_to_tcp),
        TEST(what_comes_too_late_finds_nobody),
        TEST(an_answer_that_is_no_dns_gives_way),
        TEST(without_a_network_it_is_over_at_once),
        TEST(without_a_slot_it_says_so),
        TEST(without_memory_for_tcp_the_next_server_is_asked),
        TEST(a_stop_ends_it_wherever_it_is),
        TEST(queries_may_be_carried_by_somebody_else),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}
