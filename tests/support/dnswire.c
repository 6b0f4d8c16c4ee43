#include "tests/support/dnswire.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LEN 12

static void need(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "dnswire: %s\n", what);
        abort();
    }
}

void dnswire_bytes(struct dnswire *wire, const void *bytes, size_t len) {
    need(len <= sizeof wire->bytes - wire->len, "the message is full");
    if (len > 0) {
        memcpy(wire->bytes + wire->len, bytes, len);
    }
    wire->len += len;
}

void dnswire_u16(struct dnswire *wire, unsigned value) {
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    dnswire_bytes(wire, bytes, sizeof bytes);
}

void dnswire_u32(struct dnswire *wire, uint32_t value) {
    dnswire_u16(wire, value >> 16);
    dnswire_u16(wire, value & 0xffff);
}

void dnswire_name(struct dnswire *wire, const char *name) {
    if (strcmp(name, "@") == 0) {
        dnswire_u16(wire, 0xc000 | HEADER_LEN);
        return;
    }
    while (*name != 0) {
        size_t len = strcspn(name, ".");
        uint8_t len_byte = (uint8_t)len;
        need(len > 0 && len < 64, "a label has 1 to 63 bytes");
        dnswire_bytes(wire, &len_byte, 1);
        dnswire_bytes(wire, name, len);
        name += len + (name[len] == '.');
    }
    dnswire_bytes(wire, "", 1);
}

void dnswire_count(struct dnswire *wire, unsigned section, unsigned count) {
    unsigned total = (unsigned)(wire->bytes[section] << 8 | wire->bytes[section + 1]) + count;
    wire->bytes[section] = (uint8_t)(total >> 8);
    wire->bytes[section + 1] = (uint8_t)total;
}

void dnswire_begin(struct dnswire *wire, uint16_t id, unsigned flags, const char *question, uint16_t type) {
    wire->len = 0;
    dnswire_u16(wire, id);
    dnswire_u16(wire, flags);
    dnswire_u16(wire, 1);
    dnswire_u16(wire, 0);
    dnswire_u32(wire, 0);
    dnswire_name(wire, question);
    dnswire_u16(wire, type);
    dnswire_u16(wire, 1);
}

void dnswire_answer(struct dnswire *wire, const uint8_t *query, size_t query_len, unsigned rcode) {
    need(query_len >= HEADER_LEN, "a query has a header");
    size_t end = HEADER_LEN;
    while (end < query_len && query[end] != 0) {
        end += 1 + (size_t)query[end];
    }
    end += 5;
    need(end <= query_len, "a query has a question");
    wire->len = 0;
    dnswire_bytes(wire, query, 2);
    dnswire_u16(wire, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA | rcode);
    dnswire_u16(wire, 1);
    dnswire_u16(wire, 0);
    dnswire_u32(wire, 0);
    dnswire_bytes(wire, query + HEADER_LEN, end - HEADER_LEN);
}

void dnswire_record(struct dnswire *wire, unsigned section, const char *owner, uint16_t type, uint32_t ttl,
                    const void *data, size_t data_len) {
    dnswire_name(wire, owner);
    dnswire_u16(wire, type);
    dnswire_u16(wire, 1);
    dnswire_u32(wire, ttl);
    dnswire_u16(wire, (unsigned)data_len);
    dnswire_bytes(wire, data, data_len);
    dnswire_count(wire, section, 1);
}

void dnswire_a(struct dnswire *wire, const char *owner, uint32_t ttl, const char *address) {
    uint8_t bytes[4];
    need(inet_pton(AF_INET, address, bytes) == 1, "no IPv4 address");
    dnswire_record(wire, DNS_ANSWERS, owner, DNS_A, ttl, bytes, sizeof bytes);
}

void dnswire_aaaa(struct dnswire *wire, const char *owner, uint32_t ttl, const char *address) {
    uint8_t bytes[16];
    need(inet_pton(AF_INET6, address, bytes) == 1, "no IPv6 address");
    dnswire_record(wire, DNS_ANSWERS, owner, DNS_AAAA, ttl, bytes, sizeof bytes);
}

void dnswire_cname(struct dnswire *wire, const char *owner, uint32_t ttl, const char *target) {
    static struct dnswire data;
    data.len = 0;
    dnswire_name(&data, target);
    dnswire_record(wire, DNS_ANSWERS, owner, DNS_CNAME, ttl, data.bytes, data.len);
}

void dnswire_soa(struct dnswire *wire, const char *zone, uint32_t ttl, uint32_t minimum) {
    static struct dnswire data;
    data.len = 0;
    dnswire_name(&data, "ns.invalid");
    dnswire_name(&data, "root.invalid");
    for (uint32_t i = 0; i < 4; i++) {
        dnswire_u32(&data, 3600 + i);
    }
    dnswire_u32(&data, minimum);
    dnswire_record(wire, DNS_AUTHORITIES, zone, DNS_SOA, ttl, data.bytes, data.len);
}

void dnswire_opt(struct dnswire *wire, unsigned extended_rcode) {
    dnswire_name(wire, "");
    dnswire_u16(wire, DNS_OPT);
    dnswire_u16(wire, 1232);
    dnswire_u32(wire, (uint32_t)(extended_rcode >> 4) << 24);
    dnswire_u16(wire, 0);
    dnswire_count(wire, DNS_ADDITIONALS, 1);
}

uint16_t dnswire_question(const uint8_t *query, size_t len, char name[256]) {
    size_t at = HEADER_LEN;
    size_t out = 0;
    while (at < len && query[at] != 0) {
        size_t label = query[at];
        if (label > 63 || at + 1 + label >= len || out + label + 2 > 256) {
            return 0;
        }
        if (out > 0) {
            name[out++] = '.';
        }
        memcpy(name + out, query + at + 1, label);
        out += label;
        at += 1 + label;
    }
    name[out] = 0;
    return at + 5 <= len ? (uint16_t)(query[at + 1] << 8 | query[at + 2]) : 0;
}

bool dnswire_has_opt(const uint8_t *query, size_t len) { return len >= HEADER_LEN && query[11] > 0; }
