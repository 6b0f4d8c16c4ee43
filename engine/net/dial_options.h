// Dial options: how sockets are made for a request's connections, when not in the usual way. A value without padding, so
// that equal bytes are equal options: it is a part of the origin key (conn/origin.h), and zeros are the defaults.
// Thread-free.
#ifndef QUOIT_ENGINE_NET_DIAL_OPTIONS_H
#define QUOIT_ENGINE_NET_DIAL_OPTIONS_H

#include "engine/base/error.h"
#include "engine/loop/io.h"

#define Q_DIAL_DEVICE_MAX 16 // IFNAMSIZ, with its NUL
#define Q_DIAL_OFF UINT32_MAX // in the place of a time: not at all
#define Q_DIAL_SOCKET_OPTIONS_MAX 10

#define Q_DIAL_KEEPALIVE_IDLE_S 60
#define Q_DIAL_KEEPALIVE_INTERVAL_S 15
#define Q_DIAL_KEEPALIVE_COUNT 4
#define Q_DIAL_USER_TIMEOUT_MS 120000

enum q_dial_flag {
    Q_DIAL_NAGLE = 1 << 0,     // small segments wait for acknowledgements: no TCP_NODELAY
    Q_DIAL_FAST_OPEN = 1 << 1, // TCP_FASTOPEN_CONNECT
    Q_DIAL_FLAGS = (1 << 2) - 1,
};

struct q_dial_options {
    uint32_t families; // enum q_resolve_families; 0: both
    uint32_t flags;    // enum q_dial_flag
    uint32_t pace_ms;  // between attempts; 0: Q_EYEBALLS_PACE_NS
    uint32_t mark;     // SO_MARK; 0: none
    uint32_t keepalive_idle_s; // Q_DIAL_OFF: no probes
    uint32_t keepalive_interval_s;
    uint32_t keepalive_count;
    uint32_t user_timeout_ms; // Q_DIAL_OFF: the kernel's own
    char device[Q_DIAL_DEVICE_MAX]; // SO_BINDTODEVICE, filled up with NULs; empty: none
};

// q_dial_options_is_default tells whether nothing is unusual.
bool q_dial_options_is_default(const struct q_dial_options *options);

// q_dial_options_check tells whether all fields are in their ranges. Error: INVALID_ARGUMENT.
Q_MUST_USE struct q_error q_dial_options_check(const struct q_dial_options *options);

// q_dial_options_list writes what a TCP socket is to be set to into `out`, of Q_DIAL_SOCKET_OPTIONS_MAX, and gives their
// number. `is_bound`: it will have a local address. `options` outlives `out`.
uint32_t q_dial_options_list(const struct q_dial_options *options, bool is_bound, struct q_io_option *out);

#endif
