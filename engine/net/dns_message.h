// DNS messages (RFC 1035, RFC 6891): a query for the addresses of a name, and what an answer says to it. Without I/O.
//
// An answer is believed only as far as it belongs to its query: header and question are compared with it, and addresses
// count only when their owner is the name that was asked for, or what a chain of CNAMEs leads to from there. Whatever
// else a server puts in is not looked at, but must be well-formed.
//
// c-ares writes the queries, by a function that needs neither a channel nor the environment. Answers are walked here:
// c-ares compares no question, takes no SOA of a negative answer, lets a TTL be negative and gives up a chain that is not
// in its order, and what it does with addresses of other names differs from release to release. Tests hold its readers
// beside this one.
//
// Thread-free: nothing is kept.
#ifndef QUOIT_ENGINE_NET_DNS_MESSAGE_H
#define QUOIT_ENGINE_NET_DNS_MESSAGE_H

#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "engine/net/resolve.h"

#define Q_DNS_QUERY_MAX 288      // header, a name of 255 bytes, type and class, OPT
#define Q_DNS_UDP_MAX 1232       // bytes of an answer that we say we take: no fragments on any usual path
#define Q_DNS_MESSAGE_MAX 65535  // by TCP
#define Q_DNS_CHAIN_MAX 16       // CNAMEs from a name to its addresses; each can be a query of the server's, and none loops
#define Q_DNS_RECORDS_MAX 512    // in one answer; bounds what the chain has to be looked for in

enum q_dns_type { Q_DNS_A = 1, Q_DNS_AAAA = 28 };

struct q_dns_query {
    uint8_t bytes[Q_DNS_QUERY_MAX];
    uint16_t len;
    uint16_t question_len; // behind the header
    uint16_t type;         // enum q_dns_type
    bool has_edns;
};

// q_dns_name_check tells whether a host of this name can be asked for: at most 253 characters, labels of 1 to 63, ASCII
// without blanks, control characters and backslashes. One dot at the end may stand.
bool q_dns_name_check(struct q_slice name);

// q_dns_query_make writes the query for `name`, which q_dns_name_check takes. Errors: NAME_NOT_FOUND for a name that may
// not be asked for (RFC 7686: .onion), NO_MEMORY.
Q_MUST_USE struct q_error q_dns_query_make(struct q_dns_query *out, struct q_slice name, enum q_dns_type type,
                                           uint16_t id, bool with_edns);

enum q_dns_verdict {
    Q_DNS_STRANGE,      // no answer to this query: as if it had not come
    Q_DNS_TRUNCATED,    // the rest is to be had by TCP
    Q_DNS_FOUND,        // addresses
    Q_DNS_NO_NAME,      // the name does not exist
    Q_DNS_NO_DATA,      // it does, and has no address of this type
    Q_DNS_NO_EDNS,      // the server does not understand the OPT record: ask without
    Q_DNS_SERVER_FAILED, // the server cannot or will not say; `rcode` is its word
    Q_DNS_MALFORMED,    // it belongs to the query, but cannot be believed
};

struct q_dns_answer {
    uint8_t verdict; // enum q_dns_verdict
    uint16_t rcode;
    bool has_ttl;    // a negative answer without SOA has none, and is not kept
    uint32_t ttl_s;  // the least of the chain and its addresses; of a negative answer, of the SOA (RFC 2308 section 5)
    uint32_t count;  // at most Q_RESOLVE_ADDRESSES_MAX; further ones are left out
    uint8_t addresses[Q_RESOLVE_ADDRESSES_MAX][16]; // IPv4 in the first 4 bytes
};

// q_dns_answer_read reads `message` as the answer to `query`. `is_tcp`: there is nothing that could be truncated.
void q_dns_answer_read(struct q_dns_answer *out, const struct q_dns_query *query, struct q_slice message, bool is_tcp);

#endif
