// Eyeballs: connects to one of a name's addresses, several at a time (RFC 8305). It stands above the sockets and below
// whoever wants a connection: each attempt has a socket of its own, and the first that connects is handed over as a slot,
// on which the owner goes on (q_socket_stream_adopt).
//
// Schedule. Answers come by family. IPv6's, or the last that is expected, begins at once; IPv4's waits 50 ms for IPv6's.
// Addresses are sorted (address_order.h) and tried in turn of their families, one each `pace_ns`, and the next at once
// when one fails; what answers bring later joins those that have not been tried. The address that won last time goes
// first. At most Q_EYEBALLS_FLIGHT_MAX connect at a time: beyond that the oldest is given up for the next.
//
// Life: q_eyeballs_init -> q_eyeballs_answer for each family (or q_eyeballs_at) -> one of on_connected and on_failed, or,
// behind q_eyeballs_cancel, on_canceled. Events come from the loop's tick, never from inside a call. When one comes
// nothing is in flight any more but what it hands over: all losers are closed, their slots are free. In the event the
// memory may go, or begin anew.
//
// Want of a slot or of memory is no address's fault: while others are under way the attempt is made again when one of them
// has closed or at the next pace; else it is the failure that is told.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_EYEBALLS_H
#define QUOIT_ENGINE_NET_EYEBALLS_H

#include "engine/loop/loop.h"
#include "engine/net/address_order.h"
#include "engine/net/resolve.h"
#include "engine/net/socket_stream.h"

#define Q_EYEBALLS_PACE_NS (250 * Q_NS_PER_MS)     // RFC 8305 section 5
#define Q_EYEBALLS_PACE_NS_MIN (100 * Q_NS_PER_MS) // likewise: below it a network is flooded
#define Q_EYEBALLS_PACE_NS_MAX (2 * Q_NS_PER_S)
#define Q_EYEBALLS_RESOLUTION_NS (50 * Q_NS_PER_MS) // section 3

// Sockets that connect at a time, for one connection. At the default pace an address then has four seconds, in which a
// first SYN and two more have gone out; a name with so few addresses never gives one up.
#define Q_EYEBALLS_FLIGHT_MAX 16

enum q_try_state {
    Q_TRY_WAITING,
    Q_TRY_CONNECTING,
    Q_TRY_FAILED,
    Q_TRY_GIVEN_UP, // for the next, or for one that won
    Q_TRY_WON,
};

// One address, and what came of it: for the owner's eyes when it has failed.
struct q_try {
    struct q_endpoint to;
    uint8_t state; // enum q_try_state
    int32_t code;  // enum q_error_code, FAILED
    int32_t os_errno;
    uint64_t began_ns; // since the race began, which is when q_eyeballs_init was called
    uint64_t took_ns;
};

struct q_eyeballs;
struct q_eyeballs_flight;

struct q_eyeballs_events {
    // The connected socket's slot, the owner's from here on; which address it was: q_eyeballs_winner.
    void (*on_connected)(struct q_eyeballs *eyeballs, struct q_io_slot slot);
    // The last failure. Phase RESOLVE: there was no address to try.
    void (*on_failed)(struct q_eyeballs *eyeballs, struct q_error error);
    void (*on_canceled)(struct q_eyeballs *eyeballs);
};

// What all attempts are made with. What it points at outlives the race.
struct q_eyeballs_params {
    struct q_loop *loop;
    const struct q_alloc *alloc;
    const struct q_sources *sources;     // NULL: nobody can tell, IPv6 goes first
    const struct q_io_option *options;   // of TCP sockets; NULL: the defaults of socket_stream.h
    uint32_t num_options;
    uint64_t pace_ns;          // 0: Q_EYEBALLS_PACE_NS; brought within its bounds
    struct q_endpoint local;   // where to connect from; only addresses of its family are tried. NONE: wherever
    struct q_endpoint favoured; // that won last time; NONE: not known
};

enum q_eyeballs_state { Q_EYEBALLS_RACING, Q_EYEBALLS_SETTLING, Q_EYEBALLS_OVER };

struct q_eyeballs {
    const struct q_eyeballs_events *events;
    struct q_eyeballs_params params;
    struct q_timer timer;    // of the pace, or of the wait for IPv6's answer
    struct q_task task;      // tells an end that was found inside a call
    struct q_list flights;   // attempts that have a socket, the oldest first
    struct q_eyeballs_flight *won; // one of them
    struct q_address fixed;  // q_eyeballs_at; len 0: addresses are answers
    struct q_error error;    // of the last that failed; of the end, once SETTLING
    uint64_t began_ns;
    uint32_t num_flights;    // closing ones, too
    uint32_t num_connecting;
    uint32_t num_tried;
    uint32_t num_tries;
    uint16_t last_family;    // that was tried
    uint8_t awaited;         // families whose answers are to come
    uint8_t state;           // enum q_eyeballs_state
    bool is_waiting;         // the timer is that of the wait for IPv6's answer
    bool has_waited;         // which is over
    bool is_canceled;
    bool is_short;           // of a slot or of memory for the next
    bool is_reachable;       // as far as known, of those that have not been tried some have a source
    struct q_try tries[Q_ADDRESS_ORDER_MAX]; // those that were tried, in their order; then the others as they stand in line
};

// q_eyeballs_init begins a race that awaits answers for `families` (Q_RESOLVE_V4, Q_RESOLVE_V6 or both; 0: see
// q_eyeballs_at). `events` outlives it. Ends with one event.
void q_eyeballs_init(struct q_eyeballs *eyeballs, const struct q_eyeballs_params *params, unsigned families,
                     const struct q_eyeballs_events *events);

// q_eyeballs_answer brings a family's addresses, which are copied, or (`count` 0) why there are none; once for each family
// that is awaited. More than Q_ADDRESS_ORDER_MAX in all are left out, as are repeats.
void q_eyeballs_answer(struct q_eyeballs *eyeballs, unsigned family, const struct q_endpoint *addresses, uint32_t count,
                       struct q_error error);

// q_eyeballs_await_no_more ends the wait for answers: those that have not come have none, because of `error`.
void q_eyeballs_await_no_more(struct q_eyeballs *eyeballs, struct q_error error);

// q_eyeballs_at connects to this one address, of whatever family. Instead of answers.
void q_eyeballs_at(struct q_eyeballs *eyeballs, const struct q_address *address);

// q_eyeballs_give_up fails a race to which there is no address: NAME_NO_ADDRESS. Instead of answers.
void q_eyeballs_give_up(struct q_eyeballs *eyeballs);

// q_eyeballs_cancel ends the race; on_canceled follows, unless it is over.
void q_eyeballs_cancel(struct q_eyeballs *eyeballs);

// q_eyeballs_winner gives the address that won, in on_connected.
const struct q_endpoint *q_eyeballs_winner(const struct q_eyeballs *eyeballs);

// q_eyeballs_tell copies what became of the addresses that were tried, in the order in which they were, at most `room`, and
// gives their number. What still connects is told with the time that it has had. At any time until the memory goes.
uint32_t q_eyeballs_tell(const struct q_eyeballs *eyeballs, struct q_try *out, uint32_t room);

#endif
