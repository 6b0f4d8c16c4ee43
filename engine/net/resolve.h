// Resolve: the question for a name's addresses, as whoever dials asks it, and the seam behind which names are known:
// the resolver of this floor (resolver.h), or a scripted one in tests.
//
// Vocabulary. A *request* is embedded by who asks. A *family* is IPv4 or IPv6; a request asks for one or for both, and
// each family's answer comes when it is there, so that connecting may begin with the first (RFC 8305 section 3).
//
// Life of a request: zeroed -> q_resolve_ask -> one on_answer for each family that was asked for, the last of them with
// `is_last` -> may ask again. Answers come from the loop's tick, never from inside q_resolve_ask, also when they were
// known before. q_resolve_cancel in between ends it without another event. Inside on_answer a request may be cancelled;
// cancelled or behind its last answer it may be asked again, or its memory freed.
//
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_RESOLVE_H
#define QUOIT_ENGINE_NET_RESOLVE_H

#include "engine/base/error.h"
#include "engine/base/list.h"
#include "engine/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define Q_RESOLVE_NAME_MAX 253      // characters, without the root's dot (RFC 1035 section 2.3.4)
#define Q_RESOLVE_ADDRESSES_MAX 64  // of one family; more than anybody will try before a connect times out

enum q_resolve_families { Q_RESOLVE_V4 = 1, Q_RESOLVE_V6 = 2, Q_RESOLVE_BOTH = 3 };

struct q_names;
struct q_resolve;

// What came of one family. Valid during on_answer.
struct q_resolve_answer {
    const uint8_t (*addresses)[16]; // network order, as the server gave them; of IPv4 the first 4 bytes
    uint32_t count;                 // 0: none, and `error` says why
    uint32_t ttl_s;                 // how long they hold from now on
    uint8_t family;                 // Q_RESOLVE_V4 or Q_RESOLVE_V6
    bool is_last;                   // nothing more comes for this request
    bool is_stale;                  // from memory, past their time, since no server answers (RFC 8767)
    // Phase RESOLVE, retry_safe. In the last answer of a request that got no address at all: why all of it failed.
    struct q_error error;
};

struct q_resolve_events {
    void (*on_answer)(struct q_resolve *request, const struct q_resolve_answer *answer);
};

struct q_resolve {
    struct q_list_node link;               // whoever answers keeps it here
    const struct q_resolve_events *events; // the asker's
    void *of;                              // the answerer's own; NULL: nothing is asked
    uint8_t families;                      // enum q_resolve_families, of which no answer has come yet
    bool has_addresses;                    // an answer of this request had some
    struct q_error error;                  // of an answer that had none
};

struct q_names_vtable {
    void (*ask)(struct q_names *names, struct q_resolve *request, struct q_slice name, uint16_t port,
                unsigned families);
    void (*cancel)(struct q_names *names, struct q_resolve *request);
};

struct q_names {
    const struct q_names_vtable *v;
};

// q_resolve_ask asks for the addresses of `name`, which is copied: lower case, no literal, with or without the root's
// final dot. `port` only tells which of the host's own static addresses hold. `request->events` is set by the caller;
// the request is not asked already (checked). It fails only by an answer.
static inline void q_resolve_ask(struct q_names *names, struct q_resolve *request, struct q_slice name, uint16_t port,
                                 unsigned families) {
    names->v->ask(names, request, name, port, families);
}

// q_resolve_cancel takes a request back; one that is not asked, or has had its last answer, is left alone. Others who
// ask for the same name are not touched.
static inline void q_resolve_cancel(struct q_names *names, struct q_resolve *request) {
    if (request->of != NULL) {
        names->v->cancel(names, request);
    }
}

static inline bool q_resolve_is_asked(const struct q_resolve *request) { return request->of != NULL; }

#endif
