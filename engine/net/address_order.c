#include "engine/net/address_order.h"

// The default policy table (RFC 6724 section 2.1), longest prefix first.
struct policy {
    uint8_t prefix[16];
    uint8_t bits;
    uint8_t precedence;
    uint8_t label;
};

static const struct policy k_policies[] = {
    {{[15] = 1}, 128, 50, 0},                   // ::1
    {{[10] = 0xff, [11] = 0xff}, 96, 35, 4},    // ::ffff:0:0/96, which is IPv4
    {{0}, 96, 1, 3},                            // ::/96
    {{0x20, 0x01}, 32, 5, 5},                   // 2001::/32, Teredo
    {{0x20, 0x02}, 16, 30, 2},                  // 2002::/16, 6to4
    {{0x3f, 0xfe}, 16, 1, 12},                  // 3ffe::/16
    {{0xfe, 0xc0}, 10, 1, 11},                  // fec0::/10
    {{0xfc}, 7, 3, 13},                         // fc00::/7
    {{0}, 0, 40, 1},                            // the rest
};

#define PREFIX_BITS_MAX 64 // see the header
#define SCOPE_LINK 2
#define SCOPE_SITE 5
#define SCOPE_GLOBAL 14

static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned most) {
    unsigned bits = 0;
    while (bits < most && ((a[bits / 8] ^ b[bits / 8]) & (0x80 >> bits % 8)) == 0) {
        bits++;
    }
    return bits;
}

static bool is_mapped(const struct q_endpoint *address) {
    static const uint8_t k_mapped[12] = {[10] = 0xff, [11] = 0xff};
    return address->family == Q_ENDPOINT_V6 && memcmp(address->ip, k_mapped, sizeof k_mapped) == 0;
}

// IPv4 stands in the table as mapped into IPv6.
static const struct policy *policy_of(const struct q_endpoint *address) {
    uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *ip = address->ip;
    if (address->family == Q_ENDPOINT_V4) {
        memcpy(mapped + 12, address->ip, 4);
        ip = mapped;
    }
    const struct policy *policy = k_policies;
    while (common_bits(ip, policy->prefix, policy->bits) < policy->bits) {
        policy++; // the last one matches everything
    }
    return policy;
}

unsigned q_address_label(const struct q_endpoint *address) { return policy_of(address)->label; }

unsigned q_address_precedence(const struct q_endpoint *address) { return policy_of(address)->precedence; }

// Loopback and 169.254/16 are link-local; private addresses are global (section 3.2).
static unsigned scope_of_v4(const uint8_t *ip) {
    return ip[0] == 127 || (ip[0] == 169 && ip[1] == 254) ? SCOPE_LINK : SCOPE_GLOBAL;
}

unsigned q_address_scope(const struct q_endpoint *address) {
    static const uint8_t k_loopback[16] = {[15] = 1};
    const uint8_t *ip = address->ip;
    if (address->family == Q_ENDPOINT_V4) {
        return scope_of_v4(ip);
    }
    if (is_mapped(address)) {
        return scope_of_v4(ip + 12);
    }
    if (ip[0] == 0xff) {
        return ip[1] & 0x0f;
    }
    if (memcmp(ip, k_loopback, sizeof k_loopback) == 0 || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80)) {
        return SCOPE_LINK;
    }
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0 ? SCOPE_SITE : SCOPE_GLOBAL;
}

// What the rules look at, of one destination; worked out once.
struct candidate {
    struct q_endpoint to;
    uint8_t is_usable;
    uint8_t is_in_scope;
    uint8_t has_label;
    uint8_t precedence;
    uint8_t scope;
    uint8_t prefix;
};

static struct candidate look_at(const struct q_endpoint *to, const struct q_endpoint *from) {
    struct candidate it = {.to = *to, .precedence = (uint8_t)q_address_precedence(to), .scope = (uint8_t)q_address_scope(to)};
    if (from->family == Q_ENDPOINT_NONE) {
        return it;
    }
    it.is_usable = 1;
    it.is_in_scope = q_address_scope(from) == it.scope;
    it.has_label = q_address_label(from) == q_address_label(to);
    if (to->family == Q_ENDPOINT_V6 && from->family == Q_ENDPOINT_V6) {
        it.prefix = (uint8_t)common_bits(to->ip, from->ip, PREFIX_BITS_MAX);
    }
    return it;
}

// Below 0: `a` goes first. The rules in their order; the first that tells them apart counts.
static int compare(const struct candidate *a, const struct candidate *b) {
    int rules[] = {
        b->is_usable - a->is_usable,     // 1
        b->is_in_scope - a->is_in_scope, // 2
        b->has_label - a->has_label,     // 5
        b->precedence - a->precedence,   // 6
        a->scope - b->scope,             // 8
        a->to.family == b->to.family ? b->prefix - a->prefix : 0, // 9
    };
    for (size_t i = 0; i < Q_COUNT_OF(rules); i++) {
        if (rules[i] != 0) {
            return rules[i];
        }
    }
    return 0;
}

// Whether some address of the family, or of any (NONE), has a source.
static bool has_source(const struct q_endpoint *list, const struct q_endpoint *from, uint32_t count, uint16_t family) {
    for (uint32_t i = 0; i < count; i++) {
        if (from[i].family != Q_ENDPOINT_NONE && (family == Q_ENDPOINT_NONE || list[i].family == family)) {
            return true;
        }
    }
    return false;
}

uint32_t q_address_order_by(struct q_endpoint *list, const struct q_endpoint *from, uint32_t count) {
    struct candidate sorted[Q_ADDRESS_ORDER_MAX];
    Q_CHECK(count <= Q_ADDRESS_ORDER_MAX);
    if (!has_source(list, from, count, Q_ENDPOINT_NONE)) {
        return count;
    }
    uint32_t num_sorted = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!has_source(list, from, count, list[i].family)) {
            continue;
        }
        // By insertion, behind those that are as good: so that equal ones keep their order.
        struct candidate it = look_at(&list[i], &from[i]);
        uint32_t at = num_sorted++;
        for (; at > 0 && compare(&it, &sorted[at - 1]) < 0; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = it;
    }
    for (uint32_t i = 0; i < num_sorted; i++) {
        list[i] = sorted[i].to;
    }
    return num_sorted;
}

uint32_t q_address_order(const struct q_sources *sources, struct q_endpoint *list, uint32_t count,
                         bool *out_is_reachable) {
    struct q_endpoint from[Q_ADDRESS_ORDER_MAX];
    Q_CHECK(count <= Q_ADDRESS_ORDER_MAX);
    *out_is_reachable = count > 0;
    if (sources == NULL || count == 0 || !sources->find(sources, list, count, from)) {
        return count;
    }
    *out_is_reachable = has_source(list, from, count, Q_ENDPOINT_NONE);
    return q_address_order_by(list, from, count);
}
