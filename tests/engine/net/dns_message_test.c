// DNS messages: what a query is made of, which answers are believed, what they say, and that no bytes do harm. Where an
// answer is in order, c-ares reads the same from it.
#define CARES_NO_DEPRECATED
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ares.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/random.h"
#include "engine/net/dns_message.h"
#include "tests/support/dnswire.h"

static struct dnswire wire;
static struct q_dns_query query;
static struct q_dns_answer answer;

static void ask(const char *name, enum q_dns_type type) {
    assert_true(q_dns_name_check(q_slice_of_string(name)));
    assert_false(q_error_is(q_dns_query_make(&query, q_slice_of_string(name), type, 0x1234, true)));
    dnswire_answer(&wire, query.bytes, query.len, DNS_OK);
}

// Reads a copy that ends where memory does, so that a look behind the end is seen.
static int read_bytes(const uint8_t *bytes, size_t len, bool is_tcp) {
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, bytes, len);
    q_dns_answer_read(&answer, &query, q_slice_make(copy, len), is_tcp);
    free(copy);
    return answer.verdict;
}

static int read_wire(void) { return read_bytes(wire.bytes, wire.len, false); }

static const char *address_at(uint32_t index) {
    static char text[INET6_ADDRSTRLEN];
    assert_true(index < answer.count);
    return inet_ntop(query.type == Q_DNS_A ? AF_INET : AF_INET6, answer.addresses[index], text, sizeof text);
}

static void a_query_asks_for_one_name_recursively_and_says_what_it_takes(void **state) {
    (void)state;
    static const uint8_t k_want[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 'a', 2, 'b', 'c', 0, 0, 28, 0, 1,
                                     0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0};
    assert_false(q_error_is(q_dns_query_make(&query, Q_SLICE("a.bc"), Q_DNS_AAAA, 0x1234, true)));
    assert_int_equal(query.len, sizeof k_want);
    assert_memory_equal(query.bytes, k_want, sizeof k_want);
    assert_int_equal(query.question_len, 10);
    // The root's dot adds nothing; without EDNS there is no further record.
    assert_false(q_error_is(q_dns_query_make(&query, Q_SLICE("a.bc."), Q_DNS_A, 0xffff, false)));
    assert_int_equal(query.len, 22);
    assert_int_equal(query.question_len, 10);
    assert_int_equal(query.bytes[0], 0xff);
    assert_int_equal(query.bytes[19], Q_DNS_A);
    assert_int_equal(query.bytes[11], 0);
}

static void names_that_cannot_be_are_not_asked_for(void **state) {
    (void)state;
    char label[80];
    memset(label, 'a', sizeof label);
    char name[300];
    static const char *const k_bad[] = {"", ".", "..", ".a", "a..", "a..b", "a b", "a\\.b", "a\tb", "\x7f", "\xc3\xa4"};
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        assert_false(q_dns_name_check(q_slice_of_string(k_bad[i])));
    }
    assert_false(q_dns_name_check(q_slice_make("a\0b", 3)));
    assert_true(q_dns_name_check(q_slice_make(label, 63)));
    assert_false(q_dns_name_check(q_slice_make(label, 64)));
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = i % 50 == 49 ? '.' : 'x';
    }
    assert_true(q_dns_name_check(q_slice_make(name, 253)));
    assert_false(q_dns_name_check(q_slice_make(name, 254)));
    name[253] = '.';
    assert_true(q_dns_name_check(q_slice_make(name, 254)));
    // The longest is a query that fits.
    assert_false(q_error_is(q_dns_query_make(&query, q_slice_make(name, 254), Q_DNS_A, 1, true)));
    assert_int_equal(query.len, 12 + 255 + 4 + 11);
    assert_true(q_dns_name_check(Q_SLICE("_sip._tcp.x-1.example")));
    struct q_error error = q_dns_query_make(&query, Q_SLICE("hidden.onion"), Q_DNS_A, 1, true);
    assert_int_equal(error.code, Q_ERR_NAME_NOT_FOUND); // RFC 7686
    assert_int_equal(error.phase, Q_PHASE_RESOLVE);
    assert_int_equal(error.retry_safe, 1);
}

static void addresses_are_given_in_the_order_of_the_answer_with_the_least_ttl(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    dnswire_a(&wire, "@", 300, "10.0.0.2");
    dnswire_a(&wire, "a.EXAMPLE", 60, "10.0.0.1");
    dnswire_a(&wire, "@", 400, "10.0.0.3");
    dnswire_opt(&wire, 0);
    assert_int_equal(read_wire(), Q_DNS_FOUND);
    assert_int_equal(answer.count, 3);
    assert_string_equal(address_at(0), "10.0.0.2");
    assert_string_equal(address_at(1), "10.0.0.1");
    assert_string_equal(address_at(2), "10.0.0.3");
    assert_true(answer.has_ttl);
    assert_int_equal(answer.ttl_s, 60);
    ask("six.example", Q_DNS_AAAA);
    dnswire_aaaa(&wire, "@", 5, "2001:db8::7");
    assert_int_equal(read_wire(), Q_DNS_FOUND);
    assert_string_equal(address_at(0), "2001:db8::7");
}

static void a_chain_is_followed_and_its_least_ttl_holds(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    dnswire_cname(&wire, "@", 100, "b.example");
    dnswire_cname(&wire, "b.example", 7, "c.example");
    dnswire_a(&wire, "c.example", 90, "10.0.0.9");
    assert_int_equal(read_wire(), Q_DNS_FOUND);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.ttl_s, 7);
    // In any order.
    ask("a.example", Q_DNS_A);
    dnswire_a(&wire, "c.example", 90, "10.0.0.9");
    dnswire_cname(&wire, "b.example", 70, "c.example");
    dnswire_cname(&wire, "@", 100, "b.example");
    assert_int_equal(read_wire(), Q_DNS_FOUND);
    assert_string_equal(address_at(0), "10.0.0.9");
    assert_int_equal(answer.ttl_s, 70);
}

static void addresses_of_other_names_types_and_classes_are_not_believed(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    dnswire_a(&wire, "b.example", 300, "6.6.6.6");
    dnswire_a(&wire, "example", 300, "6.6.6.6");
    dnswire_a(&wire, "x.a.example", 300, "6.6.6.6");
    dnswire_aaaa(&wire, "@", 300, "6::6");
    dnswire_record(&wire, DNS_ANSWERS, "@", DNS_A, 300, "\6\6\6\6\6", 5); // of no address's length
    dnswire_record(&wire, DNS_AUTHORITIES, "@", DNS_A, 300, "\6\6\6\6", 4);
    dnswire_record(&wire, DNS_ADDITIONALS, "@", DNS_A, 300, "\6\6\6\6", 4);
    size_t before = wire.len;
    assert_int_equal(read_wire(), Q_DNS_NO_DATA);
    assert_int_equal(answer.count, 0);
    // Of class CHAOS, among the answers.
    ask("a.example", Q_DNS_A);
    before = wire.len;
    dnswire_a(&wire, "@", 300, "6.6.6.6");
    wire.bytes[before + 5] = 3;
    assert_int_equal(read_wire(), Q_DNS_NO_DATA);
    // A chain that leads to another name's addresses, but does not begin at ours.
    ask("a.example", Q_DNS_A);
    dnswire_cname(&wire, "z.example", 100, "c.example");
    dnswire_a(&wire, "c.example", 90, "6.6.6.6");
    assert_int_equal(read_wire(), Q_DNS_NO_DATA);
}

static void a_chain_without_end_is_refused(void **state) {
    (void)state;
    char owner[32];
    char target[32];
    ask("a.example", Q_DNS_A);
    dnswire_cname(&wire, "@", 100, "b.example");
    dnswire_cname(&wire, "b.example", 100, "a.example");
    assert_int_equal(read_wire(), Q_DNS_MALFORMED);
    ask("a.example", Q_DNS_A);
    dnswire_cname(&wire, "@", 100, "@"); // to itself
    assert_int_equal(read_wire(), Q_DNS_MALFORMED);
    for (int links = Q_DNS_CHAIN_MAX; links <= Q_DNS_CHAIN_MAX + 1; links++) {
        ask("n0.example", Q_DNS_A);
        for (int i = 0; i < links; i++) {
            snprintf(owner, sizeof owner, "n%d.example", i);
            snprintf(target, sizeof target, "n%d.example", i + 1);
            dnswire_cname(&wire, owner, 100, target);
        }
        dnswire_a(&wire, target, 100, "10.0.0.1");
        assert_int_equal(read_wire(), links == Q_DNS_CHAIN_MAX ? Q_DNS_FOUND : Q_DNS_MALFORMED);
    }
}

static void more_addresses_than_are_taken_are_left_out(void **state) {
    (void)state;
    char address[32];
    ask("many.example", Q_DNS_A);
    for (int i = 0; i < Q_RESOLVE_ADDRESSES_MAX + 9; i++) {
        snprintf(address, sizeof address, "10.0.1.%d", i);
        dnswire_a(&wire, "@", (uint32_t)(1000 - i), address);
    }
    assert_int_equal(read_wire(), Q_DNS_FOUND);
    assert_int_equal(answer.count, Q_RESOLVE_ADDRESSES_MAX);
    assert_string_equal(address_at(Q_RESOLVE_ADDRESSES_MAX - 1), "10.0.1.63");
}

static void more_records_than_anybody_sends_are_refused(void **state) {
    (void)state;
    ask("many.example", Q_DNS_A);
    for (int i = 0; i < Q_DNS_RECORDS_MAX; i++) {
        dnswire_a(&wire, "@", 60, "10.0.0.1");
    }
    assert_int_equal(read_bytes(wire.bytes, wire.len, true), Q_DNS_FOUND);
    dnswire_a(&wire, "@", 60, "10.0.0.1");
    assert_int_equal(read_bytes(wire.bytes, wire.len, true), Q_DNS_MALFORMED);
}

static void a_ttl_that_would_be_negative_is_zero(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    dnswire_a(&wire, "@", 0x80000001, "10.0.0.1");
    assert_int_equal(read_wire(), Q_DNS_FOUND);
    assert_int_equal(answer.ttl_s, 0); // RFC 2181 section 8
    ask("a.example", Q_DNS_A);
    dnswire_a(&wire, "@", 0x7fffffff, "10.0.0.1");
    assert_int_equal(read_wire(), Q_DNS_FOUND);
    assert_int_equal(answer.ttl_s, 0x7fffffff);
}

static void negative_answers_hold_as_long_as_their_soa_says(void **state) {
    (void)state;
    ask("no.example", Q_DNS_A);
    dnswire_answer(&wire, query.bytes, query.len, DNS_NXDOMAIN);
    dnswire_soa(&wire, "example", 900, 30);
    assert_int_equal(read_wire(), Q_DNS_NO_NAME);
    assert_true(answer.has_ttl);
    assert_int_equal(answer.ttl_s, 30);
    dnswire_answer(&wire, query.bytes, query.len, DNS_OK);
    dnswire_soa(&wire, "example", 20, 3000);
    assert_int_equal(read_wire(), Q_DNS_NO_DATA);
    assert_int_equal(answer.ttl_s, 20);
    // A chain to a name that does not exist: the chain's TTL counts too.
    dnswire_answer(&wire, query.bytes, query.len, DNS_NXDOMAIN);
    dnswire_cname(&wire, "@", 5, "b.example");
    dnswire_soa(&wire, "example", 900, 30);
    assert_int_equal(read_wire(), Q_DNS_NO_NAME);
    assert_int_equal(answer.ttl_s, 5);
    // Without an SOA nothing is said of how long.
    dnswire_answer(&wire, query.bytes, query.len, DNS_NXDOMAIN);
    assert_int_equal(read_wire(), Q_DNS_NO_NAME);
    assert_false(answer.has_ttl);
    // Nor by one that is cut short, or of which the names are broken.
    dnswire_answer(&wire, query.bytes, query.len, DNS_NXDOMAIN);
    dnswire_record(&wire, DNS_AUTHORITIES, "example", DNS_SOA, 900, "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0", 21);
    assert_int_equal(read_wire(), Q_DNS_NO_NAME);
    assert_false(answer.has_ttl);
}

static void an_error_with_addresses_is_still_an_error(void **state) {
    (void)state;
    ask("no.example", Q_DNS_A);
    dnswire_answer(&wire, query.bytes, query.len, DNS_NXDOMAIN);
    dnswire_a(&wire, "@", 60, "6.6.6.6");
    assert_int_equal(read_wire(), Q_DNS_NO_NAME);
    assert_int_equal(answer.count, 0);
    dnswire_answer(&wire, query.bytes, query.len, DNS_SERVFAIL);
    dnswire_a(&wire, "@", 60, "6.6.6.6");
    assert_int_equal(read_wire(), Q_DNS_SERVER_FAILED);
    assert_int_equal(answer.rcode, DNS_SERVFAIL);
    assert_int_equal(answer.count, 0);
}

static void a_server_that_knows_no_edns_is_told_from_one_that_fails(void **state) {
    (void)state;
    static const struct {
        unsigned rcode;
        int with_edns;
        int without;
    } k_cases[] = {{DNS_FORMERR, Q_DNS_NO_EDNS, Q_DNS_SERVER_FAILED}, {DNS_NOTIMP, Q_DNS_NO_EDNS, Q_DNS_SERVER_FAILED},
                   {DNS_SERVFAIL, Q_DNS_SERVER_FAILED, Q_DNS_SERVER_FAILED},
                   {DNS_REFUSED, Q_DNS_SERVER_FAILED, Q_DNS_SERVER_FAILED}};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        ask("a.example", Q_DNS_A);
        dnswire_answer(&wire, query.bytes, query.len, k_cases[i].rcode);
        assert_int_equal(read_wire(), k_cases[i].with_edns);
        assert_int_equal(answer.rcode, k_cases[i].rcode);
        wire.bytes[5] = 0; // a header alone, as some servers send it
        assert_int_equal(read_bytes(wire.bytes, 12, false), k_cases[i].with_edns);
        assert_false(q_error_is(q_dns_query_make(&query, Q_SLICE("a.example"), Q_DNS_A, 0x1234, false)));
        dnswire_answer(&wire, query.bytes, query.len, k_cases[i].rcode);
        assert_int_equal(read_wire(), k_cases[i].without);
    }
    // BADVERS is in the OPT record's part of the rcode alone.
    ask("a.example", Q_DNS_A);
    dnswire_opt(&wire, 16);
    assert_int_equal(read_wire(), Q_DNS_NO_EDNS);
    assert_int_equal(answer.rcode, 16);
    // A header alone that says OK, or that the name does not exist, says it of no name.
    for (unsigned rcode = 0; rcode < 4; rcode += DNS_NXDOMAIN) {
        ask("a.example", Q_DNS_A);
        dnswire_answer(&wire, query.bytes, query.len, rcode);
        wire.bytes[5] = 0;
        assert_int_equal(read_bytes(wire.bytes, 12, false), Q_DNS_STRANGE);
    }
}

static void who_only_refers_to_others_has_not_answered(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    dnswire_record(&wire, DNS_AUTHORITIES, "example", DNS_NS, 60, "\2ns\0", 4);
    assert_int_equal(read_wire(), Q_DNS_NO_DATA); // a server that looks further
    wire.bytes[3] &= 0x7f;                          // one that does not
    assert_int_equal(read_wire(), Q_DNS_SERVER_FAILED);
    wire.bytes[2] |= 0x04; // but it is the one to say
    assert_int_equal(read_wire(), Q_DNS_NO_DATA);
}

static void answers_to_other_queries_are_strange(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    dnswire_a(&wire, "@", 60, "6.6.6.6");
    assert_int_equal(read_wire(), Q_DNS_FOUND);
    static const struct {
        size_t at;
        uint8_t flip;
    } k_strange[] = {
        {0, 1}, {1, 0x80},          // another id
        {2, 0x80},                  // a query
        {2, 0x08}, {2, 0x40},       // another operation
        {5, 1}, {5, 2}, {4, 1},     // no question, or several
        {13, 2}, {14, 1}, {12, 2},  // another name
        {23, 0}, {24, 29}, {26, 2}, // another type, another class
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_strange); i++) {
        if (k_strange[i].flip != 0) {
            wire.bytes[k_strange[i].at] ^= k_strange[i].flip;
            assert_int_equal(read_wire(), Q_DNS_STRANGE);
            assert_int_equal(answer.count, 0);
            wire.bytes[k_strange[i].at] ^= k_strange[i].flip;
        }
    }
    for (size_t len = 0; len < 27; len++) { // shorter than its question
        assert_int_equal(read_bytes(wire.bytes, len, false), Q_DNS_STRANGE);
    }
    wire.bytes[13] ^= 0x20; // the letter case of a name is no part of it
    assert_int_equal(read_wire(), Q_DNS_FOUND);
}

static void what_is_cut_is_to_be_had_by_tcp_unless_it_came_by_tcp(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    dnswire_a(&wire, "@", 60, "10.0.0.1");
    wire.bytes[2] |= 0x02;
    assert_int_equal(read_wire(), Q_DNS_TRUNCATED);
    assert_int_equal(read_bytes(wire.bytes, wire.len, true), Q_DNS_MALFORMED);
    // Cut anywhere behind the question, as some servers do it, it is that too.
    for (size_t len = 27; len < wire.len; len++) {
        assert_int_equal(read_bytes(wire.bytes, len, false), Q_DNS_TRUNCATED);
    }
    wire.bytes[2] &= 0xfd;
    for (size_t len = 27; len < wire.len; len++) {
        assert_int_equal(read_bytes(wire.bytes, len, false), Q_DNS_MALFORMED);
    }
    dnswire_bytes(&wire, "x", 1); // one too many
    assert_int_equal(read_wire(), Q_DNS_MALFORMED);
}

static void pointers_that_lead_nowhere_or_in_circles_are_refused(void **state) {
    (void)state;
    static const uint8_t k_record[] = {0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 6, 6, 6, 6};
    static const struct {
        uint8_t bytes[8];
        size_t len;
    } k_names[] = {
        {{0xc0, 27}, 2},            // to itself
        {{0xc0, 28}, 2},            // into itself
        {{0xff, 0xff}, 2},          // behind the end
        {{1, 'a', 0xc0, 27}, 4},    // to its own begin
        {{1, 'a', 0xc0, 29}, 4},    // to the pointer
        {{0x40, 'a', 0}, 3},        // a form of label that is none
        {{0x80, 'a', 0}, 3},
        {{63, 'a', 0}, 3},          // longer than the message
        {{0xc0}, 1},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_names); i++) {
        ask("a.example", Q_DNS_A);
        assert_int_equal(wire.len, 27);
        dnswire_bytes(&wire, k_names[i].bytes, k_names[i].len);
        dnswire_bytes(&wire, k_record, sizeof k_record);
        dnswire_count(&wire, DNS_ANSWERS, 1);
        assert_int_equal(read_wire(), Q_DNS_MALFORMED);
    }
    // Two records that lead to each other.
    ask("a.example", Q_DNS_A);
    dnswire_u16(&wire, 0xc000 | 43);
    dnswire_bytes(&wire, k_record, sizeof k_record);
    dnswire_u16(&wire, 0xc000 | 27);
    dnswire_bytes(&wire, k_record, sizeof k_record);
    dnswire_count(&wire, DNS_ANSWERS, 2);
    assert_int_equal(read_wire(), Q_DNS_MALFORMED);
}

static void a_name_that_grows_by_pointers_is_bounded(void **state) {
    (void)state;
    // A long TXT record full of labels and pointers, each of which leads to the one before.
    ask("a.example", Q_DNS_A);
    uint8_t data[400];
    size_t at = 27 + 11 + 0;
    size_t len = 0;
    data[len++] = 0;
    for (size_t previous = at; len + 4 <= sizeof data;) {
        size_t here = at + len;
        data[len++] = 1;
        data[len++] = 'x';
        data[len++] = (uint8_t)(0xc0 | previous >> 8);
        data[len++] = (uint8_t)previous;
        previous = here;
    }
    dnswire_record(&wire, DNS_ANSWERS, "", DNS_TXT, 60, data, len);
    size_t last = at + len - 4;
    dnswire_u16(&wire, (unsigned)(0xc000 | last));
    dnswire_bytes(&wire, "\0\1\0\1\0\0\0\x3c\0\4\6\6\6\6", 14);
    dnswire_count(&wire, DNS_ANSWERS, 1);
    assert_int_equal(read_wire(), Q_DNS_MALFORMED);
}

static void names_longer_than_a_name_may_be_are_refused(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    static const uint8_t k_record[] = {0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 6, 6, 6, 6};
    uint8_t label[64] = {63};
    for (int i = 0; i < 4; i++) {
        dnswire_bytes(&wire, label, sizeof label);
    }
    dnswire_bytes(&wire, "", 1); // 257 bytes in all
    dnswire_bytes(&wire, k_record, sizeof k_record);
    dnswire_count(&wire, DNS_ANSWERS, 1);
    assert_int_equal(read_wire(), Q_DNS_MALFORMED);
}

static void a_cname_that_is_no_name_leads_nowhere(void **state) {
    (void)state;
    ask("a.example", Q_DNS_A);
    dnswire_record(&wire, DNS_ANSWERS, "@", DNS_CNAME, 60, "\1bxx", 4);
    dnswire_a(&wire, "b", 60, "6.6.6.6");
    assert_int_equal(read_wire(), Q_DNS_NO_DATA);
    ask("a.example", Q_DNS_A);
    dnswire_record(&wire, DNS_ANSWERS, "@", DNS_CNAME, 60, "\1b\0x", 4); // and a byte
    dnswire_a(&wire, "b", 60, "6.6.6.6");
    assert_int_equal(read_wire(), Q_DNS_NO_DATA);
}

static void c_ares_reads_the_same_from_answers_in_order(void **state) {
    (void)state;
    struct q_random random;
    q_random_seed(&random, 11);
    for (int i = 0; i < 500; i++) {
        char owner[32] = "a.example";
        char target[32];
        ask(owner, Q_DNS_A);
        uint64_t links = q_random_below(&random, 5);
        for (uint64_t k = 0; k < links; k++) {
            snprintf(target, sizeof target, "n%d.example", (int)k);
            dnswire_cname(&wire, owner, (uint32_t)q_random_below(&random, 1000), target);
            memcpy(owner, target, sizeof owner);
        }
        uint64_t count = 1 + q_random_below(&random, 20);
        for (uint64_t k = 0; k < count; k++) {
            snprintf(target, sizeof target, "10.1.%d.%d", (int)q_random_below(&random, 256), (int)k);
            dnswire_a(&wire, owner, (uint32_t)q_random_below(&random, 1000), target);
        }
        assert_int_equal(read_wire(), Q_DNS_FOUND);
        struct ares_addrttl found[Q_RESOLVE_ADDRESSES_MAX];
        int num_found = Q_RESOLVE_ADDRESSES_MAX;
        assert_int_equal(ares_parse_a_reply(wire.bytes, (int)wire.len, NULL, found, &num_found), ARES_SUCCESS);
        assert_int_equal(num_found, answer.count);
        int least = INT32_MAX;
        for (int k = 0; k < num_found; k++) {
            assert_memory_equal(&found[k].ipaddr, answer.addresses[k], 4);
            least = found[k].ttl < least ? found[k].ttl : least;
        }
        assert_int_equal(least, answer.ttl_s);
    }
}

static void any_bytes_are_read_without_harm(void **state) {
    (void)state;
    struct q_random random;
    q_random_seed(&random, 7);
    for (int i = 0; i < 20000; i++) {
        ask("a.example", Q_DNS_A);
        dnswire_cname(&wire, "@", 100, "b.example");
        dnswire_a(&wire, "b.example", 90, "10.0.0.9");
        dnswire_soa(&wire, "example", 60, 60);
        dnswire_opt(&wire, 0);
        size_t from = q_random_below(&random, 4) == 0 ? 0 : 27; // mostly behind what is compared
        for (uint64_t changes = 1 + q_random_below(&random, 5); changes > 0; changes--) {
            wire.bytes[from + q_random_below(&random, wire.len - from)] = (uint8_t)q_random_next(&random);
        }
        size_t len = q_random_below(&random, 4) == 0 ? q_random_below(&random, wire.len) : wire.len;
        read_bytes(wire.bytes, len, (i & 1) != 0);
        assert_true(answer.verdict == Q_DNS_FOUND ? answer.count > 0 && answer.has_ttl : answer.count == 0);
    }
}

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        cmocka_unit_test(a_query_asks_for_one_name_recursively_and_says_what_it_takes),
        cmocka_unit_test(names_that_cannot_be_are_not_asked_for),
        cmocka_unit_test(addresses_are_given_in_the_order_of_the_answer_with_the_least_ttl),
        cmocka_unit_test(a_chain_is_followed_and_its_least_ttl_holds),
        cmocka_unit_test(addresses_of_other_names_types_and_classes_are_not_believed),
        cmocka_unit_test(a_chain_without_end_is_refused),
        cmocka_unit_test(more_addresses_than_are_taken_are_left_out),
        cmocka_unit_test(more_records_than_anybody_sends_are_refused),
        cmocka_unit_test(a_ttl_that_would_be_negative_is_zero),
        cmocka_unit_test(negative_answers_hold_as_long_as_their_soa_says),
        cmocka_unit_test(an_error_with_addresses_is_still_an_error),
        cmocka_unit_test(a_server_that_knows_no_edns_is_told_from_one_that_fails),
        cmocka_unit_test(who_only_refers_to_others_has_not_answered),
        cmocka_unit_test(answers_to_other_queries_are_strange),
        cmocka_unit_test(what_is_cut_is_to_be_had_by_tcp_unless_it_came_by_tcp),
        cmocka_unit_test(pointers_that_lead_nowhere_or_in_circles_are_refused),
        cmocka_unit_test(a_name_that_grows_by_pointers_is_bounded),
        cmocka_unit_test(names_longer_than_a_name_may_be_are_refused),
        cmocka_unit_test(a_cname_that_is_no_name_leads_nowhere),
        cmocka_unit_test(c_ares_reads_the_same_from_answers_in_order),
        cmocka_unit_test(any_bytes_are_read_without_harm),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}
