// RFC 6724: the policy table, scopes, and the examples of its section 10.2.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/net/address_order.h"

static struct q_endpoint endpoint(const char *literal) {
    struct q_address address;
    if (literal == NULL) {
        return (struct q_endpoint){0};
    }
    assert_true(q_address_parse(q_slice_of_string(literal), 443, &address));
    return q_address_endpoint(&address);
}

static void the_policy_table_and_scopes(void **state) {
    (void)state;
    static const struct {
        const char *address;
        unsigned precedence, label, scope;
    } k_cases[] = {
        {"::1", 50, 0, 2},          {"::2", 1, 3, 14},           {"2001:db8::1", 40, 1, 14}, {"2001:0:1::", 5, 5, 14},
        {"2002:c000:201::1", 30, 2, 14}, {"3ffe::1", 1, 12, 14}, {"fec0::1", 1, 11, 5},      {"feff::1", 1, 11, 5},
        {"fc00::1", 3, 13, 14},     {"fdff::1", 3, 13, 14},      {"fe80::1", 40, 1, 2},      {"febf::1", 40, 1, 2},
        {"ff0e::1", 40, 1, 14},     {"ff02::1", 40, 1, 2},       {"192.0.2.1", 35, 4, 14},   {"10.0.0.1", 35, 4, 14},
        {"127.0.0.1", 35, 4, 2},    {"169.254.1.1", 35, 4, 2},   {"169.253.1.1", 35, 4, 14}, {"::ffff:127.0.0.1", 35, 4, 2},
        {"::ffff:8.8.8.8", 35, 4, 14}, {"::fffe:8.8.8.8", 40, 1, 14},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct q_endpoint it = endpoint(k_cases[i].address);
        assert_int_equal(q_address_precedence(&it), k_cases[i].precedence);
        assert_int_equal(q_address_label(&it), k_cases[i].label);
        assert_int_equal(q_address_scope(&it), k_cases[i].scope);
    }
}

#define MOST 4

struct order {
    const char *to[MOST], *from[MOST]; // as given
    const char *sorted[MOST];
};

static void check(const struct order *it) {
    struct q_endpoint list[MOST];
    struct q_endpoint from[MOST];
    uint32_t count = 0;
    for (; count < MOST && it->to[count] != NULL; count++) {
        list[count] = endpoint(it->to[count]);
        from[count] = endpoint(it->from[count]);
    }
    uint32_t left = q_address_order_by(list, from, count);
    for (uint32_t i = 0; i < MOST; i++) {
        assert_int_equal(i < left, it->sorted[i] != NULL);
        if (i < left) {
            struct q_endpoint wanted = endpoint(it->sorted[i]);
            assert_memory_equal(&list[i], &wanted, sizeof wanted);
        }
    }
}

// Each both ways round.
static void the_examples_of_the_rfc(void **state) {
    (void)state;
    static const struct order k_pairs[] = {
        // 10.2: matching scope
        {{"2001:db8:1::1", "198.51.100.121"}, {"2001:db8:1::2", "169.254.13.78"}, {"2001:db8:1::1", "198.51.100.121"}},
        {{"2001:db8:1::1", "198.51.100.121"}, {"fe80::1", "198.51.100.117"}, {"198.51.100.121", "2001:db8:1::1"}},
        // precedence, and native transport's place in it
        {{"2001:db8:1::1", "10.1.2.3"}, {"2001:db8:1::2", "10.1.2.4"}, {"2001:db8:1::1", "10.1.2.3"}},
        // smaller scope
        {{"2001:db8:1::1", "fe80::1"}, {"2001:db8:1::2", "fe80::2"}, {"fe80::1", "2001:db8:1::1"}},
        // matching label
        {{"2002:c633:6401::1", "2001:db8:1::1"}, {"2002:c633:6401::2", "2002:c633:6401::2"},
         {"2002:c633:6401::1", "2001:db8:1::1"}},
        {{"2002:c633:6401::1", "2001:db8:1::1"}, {"2002:c633:6401::2", "2001:db8:1::2"},
         {"2001:db8:1::1", "2002:c633:6401::1"}},
        // the longest prefix, of IPv6
        {{"2001:db8:1::1", "2001:db8:3ffe::1"}, {"2001:db8:1::2", "2001:db8:3f44::2"},
         {"2001:db8:1::1", "2001:db8:3ffe::1"}},
        // no way there
        {{"2001:db8:1::1", "2001:db8:2::1"}, {NULL, "2001:db8:2::2"}, {"2001:db8:2::1", "2001:db8:1::1"}},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_pairs); i++) {
        struct order turned = k_pairs[i];
        check(&turned);
        for (int side = 0; side < 2; side++) {
            turned.to[side] = k_pairs[i].to[1 - side];
            turned.from[side] = k_pairs[i].from[1 - side];
        }
        check(&turned);
    }
}

static void equal_addresses_keep_the_servers_order(void **state) {
    (void)state;
    // IPv4's prefixes say nothing, and IPv6's nothing behind 64 bits.
    check(&(struct order){{"192.0.2.200", "10.0.0.9", "192.0.2.1"}, {"192.0.2.2", "192.0.2.2", "192.0.2.2"},
                          {"192.0.2.200", "10.0.0.9", "192.0.2.1"}});
    check(&(struct order){{"2001:db8::f000", "2001:db8::3"}, {"2001:db8::2", "2001:db8::2"},
                          {"2001:db8::f000", "2001:db8::3"}});
}

static void a_family_without_source_is_left_out(void **state) {
    (void)state;
    check(&(struct order){{"2001:db8::1", "192.0.2.1", "2001:db8::2"}, {NULL, "192.0.2.9", NULL}, {"192.0.2.1"}});
    check(&(struct order){{"2001:db8::1", "192.0.2.1"}, {NULL, NULL}, {"2001:db8::1", "192.0.2.1"}}); // the kernel's to say
}

// --- the seam --------------------------------------------------------------------------------------------------------

static bool knows_nothing(const struct q_sources *sources, const struct q_endpoint *to, uint32_t count,
                          struct q_endpoint *out_from) {
    (void)sources;
    (void)to;
    (void)count;
    (void)out_from;
    return false;
}

static bool has_none(const struct q_sources *sources, const struct q_endpoint *to, uint32_t count,
                     struct q_endpoint *out_from) {
    (void)sources;
    (void)to;
    for (uint32_t i = 0; i < count; i++) {
        out_from[i] = (struct q_endpoint){0};
    }
    return true;
}

static void nobody_who_can_tell_changes_nothing(void **state) {
    (void)state;
    bool is_reachable = false;
    struct q_endpoint list[2] = {endpoint("192.0.2.1"), endpoint("2001:db8::1")};
    struct q_endpoint before[2] = {list[0], list[1]};
    const struct q_sources sources = {.find = knows_nothing};
    assert_int_equal(q_address_order(NULL, list, 2, &is_reachable), 2);
    assert_true(is_reachable);
    assert_int_equal(q_address_order(&sources, list, 2, &is_reachable), 2);
    assert_true(is_reachable);
    assert_memory_equal(list, before, sizeof list);
    assert_int_equal(q_address_order(&(const struct q_sources){.find = has_none}, list, 2, &is_reachable), 2);
    assert_false(is_reachable);
    assert_int_equal(q_address_order(NULL, list, 0, &is_reachable), 0);
    assert_false(is_reachable);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_policy_table_and_scopes),
        cmocka_unit_test(the_examples_of_the_rfc),
        cmocka_unit_test(equal_addresses_keep_the_servers_order),
        cmocka_unit_test(a_family_without_source_is_left_out),
        cmocka_unit_test(nobody_who_can_tell_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
