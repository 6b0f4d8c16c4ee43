// DNS exchange: one question (a name, a type) put to name servers until one of them says something that can be believed.
// Each try has a socket of its own, so a port that the kernel draws and an id drawn at random, and hears only the address
// and port that it asked; what is no answer to its query is dropped, and it goes on waiting. A cut answer is fetched by
// TCP; a server that does not know EDNS0 is asked without; one that fails, is mute or talks nonsense gives way to the
// next, for as many rounds as resolv.conf says.
//
// Life: q_dns_exchange_init -> q_dns_exchange_begin -> on_done, then on_quiet -> may begin again. on_quiet says that
// nothing is in flight: only then may the memory go. q_dns_exchange_stop leaves only on_quiet to come, if it is not quiet
// already. Events come from the tick, never from inside a call.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_DNS_EXCHANGE_H
#define QUOIT_ENGINE_NET_DNS_EXCHANGE_H

#include "engine/loop/loop.h"
#include "engine/net/dns_message.h"
#include "engine/net/resolv_conf.h"
#include "engine/net/socket_stream.h"

// After so many datagrams that came from the right address and port and were no answer somebody is guessing: by TCP he
// would have to guess more.
#define Q_DNS_STRANGE_MAX 16

struct q_dns_stats {
    uint64_t queries; // tries that were sent, by UDP or TCP
    uint64_t by_tcp;
    uint64_t timeouts;
    uint64_t strange; // datagrams that were dropped
};

// DNS over HTTPS (RFC 8484), which needs an engine: declared here, supplied from above. A *parcel* is one query that somebody
// else carries to a server, and its answer.
//
// The vtable's `ask` carries `query`, a DNS message, which stays valid until the parcel's `on_answer`: the body of a whole
// answer, or an error. on_answer comes once, on the loop thread, never from inside `ask`, and not behind `cancel`.
struct q_dns_parcel {
    void (*on_answer)(struct q_dns_parcel *parcel, struct q_slice message, struct q_error error);
    void *of; // the carrier's own
};

struct q_dns_carrier;

struct q_dns_carrier_vtable {
    void (*ask)(struct q_dns_carrier *carrier, struct q_dns_parcel *parcel, struct q_slice query);
    void (*cancel)(struct q_dns_carrier *carrier, struct q_dns_parcel *parcel);
};

struct q_dns_carrier {
    const struct q_dns_carrier_vtable *v;
};

// What all exchanges share; outlives them.
struct q_dns_env {
    struct q_loop *loop;
    const struct q_alloc *alloc;
    uint64_t id_key[2]; // ids are a keyed hash of a counter: who has seen some cannot tell the next
    uint64_t ids_drawn;
    struct q_dns_stats stats;
    struct q_dns_carrier *carrier; // carries all queries; NULL: sockets to the servers of resolv.conf do
};

struct q_dns_exchange;

struct q_dns_exchange_events {
    // Without an error `exchange->answer` is FOUND, NO_NAME or NO_DATA. Else no server gave one, and the error is the most
    // telling of theirs: NAME_SERVER_FAILED, _REFUSED, _BAD_ANSWER, _SERVERS_SILENT; or FD_LIMIT, NO_MEMORY,
    // NAME_NOT_FOUND (a name that may not be asked for).
    void (*on_done)(struct q_dns_exchange *exchange, struct q_error error);
    void (*on_quiet)(struct q_dns_exchange *exchange);
};

enum q_dns_state { Q_DNS_QUIET, Q_DNS_BROKEN, Q_DNS_CONNECTING, Q_DNS_ASKING, Q_DNS_CARRIED, Q_DNS_CLOSING };
enum q_dns_next { Q_DNS_NEXT_NOTHING, Q_DNS_NEXT_AGAIN, Q_DNS_NEXT_SERVER };

struct q_dns_exchange {
    struct q_dns_env *env;
    const struct q_dns_exchange_events *events;
    struct q_socket_stream socket;
    struct q_dns_parcel parcel; // CARRIED
    struct q_timer timer; // of one try
    struct q_dns_query query;
    struct q_dns_answer answer;
    struct q_slice name; // the beginner's memory
    const struct q_resolv_conf *conf;
    struct q_error error;  // the most telling so far
    uint8_t prefix[2];     // by TCP: of what is sent
    uint8_t length[2];     // of what comes
    uint8_t *message;      // by TCP, once its length is known
    uint32_t message_size;
    uint32_t message_len;  // of length and message, as far as they have come
    uint32_t first;        // server
    uint32_t num_tried;    // servers, over all rounds
    uint16_t type;
    uint16_t num_strange;
    uint8_t state;         // enum q_dns_state
    uint8_t next;          // enum q_dns_next, CLOSING
    bool is_tcp;
    bool with_edns;
    bool is_over; // on_done was called, or nobody wants it any more
};

// q_dns_exchange_init prepares an exchange. In-place; there is nothing to deinit once it is quiet.
void q_dns_exchange_init(struct q_dns_exchange *exchange, struct q_dns_env *env,
                         const struct q_dns_exchange_events *events);

// q_dns_exchange_begin asks the servers of `conf`, beginning with the one at `first` modulo their number. `name` and `conf`
// stay valid until on_quiet. Quiet.
void q_dns_exchange_begin(struct q_dns_exchange *exchange, struct q_slice name, enum q_dns_type type,
                          const struct q_resolv_conf *conf, uint32_t first);

// q_dns_exchange_stop ends it: no on_done comes any more.
void q_dns_exchange_stop(struct q_dns_exchange *exchange);

static inline bool q_dns_exchange_is_quiet(const struct q_dns_exchange *exchange) {
    return exchange->state == Q_DNS_QUIET;
}

#endif
