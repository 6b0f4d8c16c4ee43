// DNS messages for tests: built piece by piece, well-formed or not, and the few words that a scripted server needs to
// understand of a query. Pieces are appended to one buffer; what does not fit stops the test.
#ifndef QUOIT_TESTS_SUPPORT_DNSWIRE_H
#define QUOIT_TESTS_SUPPORT_DNSWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_TXT = 16, DNS_AAAA = 28, DNS_OPT = 41 };
enum { DNS_OK = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5 };
enum { DNS_ANSWERS = 6, DNS_AUTHORITIES = 8, DNS_ADDITIONALS = 10 }; // where the header counts them
enum { DNS_FLAG_QR = 0x8000, DNS_FLAG_AA = 0x0400, DNS_FLAG_TC = 0x0200, DNS_FLAG_RD = 0x0100, DNS_FLAG_RA = 0x0080 };

struct dnswire {
    uint8_t bytes[65536];
    size_t len;
};

// dnswire_answer begins an answer to the query of `query_len` bytes: its id and question, QR RD RA and `rcode`, no records.
void dnswire_answer(struct dnswire *wire, const uint8_t *query, size_t query_len, unsigned rcode);

// dnswire_begin begins an answer with a question of its own.
void dnswire_begin(struct dnswire *wire, uint16_t id, unsigned flags, const char *question, uint16_t type);

// dnswire_record appends a record to a section (DNS_ANSWERS ...) and counts it. `owner` "" is the root; "@" a pointer to the
// question's name.
void dnswire_record(struct dnswire *wire, unsigned section, const char *owner, uint16_t type, uint32_t ttl,
                    const void *data, size_t data_len);

void dnswire_a(struct dnswire *wire, const char *owner, uint32_t ttl, const char *address);
void dnswire_aaaa(struct dnswire *wire, const char *owner, uint32_t ttl, const char *address);
void dnswire_cname(struct dnswire *wire, const char *owner, uint32_t ttl, const char *target);
void dnswire_soa(struct dnswire *wire, const char *zone, uint32_t ttl, uint32_t minimum); // in the authority section
void dnswire_opt(struct dnswire *wire, unsigned extended_rcode);

void dnswire_bytes(struct dnswire *wire, const void *bytes, size_t len);
void dnswire_u16(struct dnswire *wire, unsigned value);
void dnswire_u32(struct dnswire *wire, uint32_t value);
void dnswire_name(struct dnswire *wire, const char *name); // "" is the root, "@" a pointer to the question's name

// dnswire_count adds `count` to what the header says of a section.
void dnswire_count(struct dnswire *wire, unsigned section, unsigned count);

// dnswire_question writes the name that a query asks for, and gives the type; 0: it cannot be read.
uint16_t dnswire_question(const uint8_t *query, size_t len, char name[256]);

// dnswire_has_opt tells whether a query carries an OPT record: its header counts an additional record.
bool dnswire_has_opt(const uint8_t *query, size_t len);

#endif
