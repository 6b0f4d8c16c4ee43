// Spec: what to send, as a host built it. One thread builds; freezing checks, serialises and ends all change; from then
// on any number of threads and engines read it, and none writes but for the count of holders.
//
// Holders. All of a host's holds together are one holder of the spec, beside the engines' and connections' own: so a host
// that releases once too often is found out, and takes nothing from under an engine. With the last holder the memory goes,
// and nothing can be told for certain of a pointer into it; a tag that is wiped then finds out what has not been given out
// again.
//
// Secrets. Authorization, Cookie, Proxy-Authorization, what is made of the URL's credentials, and every field that was added
// as a secret: they are in no log, error or event, no redirect takes them to another origin, and every piece of memory
// that the spec had them in (builder, head, URL, what freezing needs in between) is overwritten before it is freed. A spec
// without any pays for one look at a flag.
// Thread-free: the builder belongs to one thread, a frozen spec to all.
#ifndef QUOIT_ENGINE_EXCHANGE_SPEC_H
#define QUOIT_ENGINE_EXCHANGE_SPEC_H

#include "engine/conn/detour.h"
#include "engine/conn/origin.h"
#include "engine/exchange/watch.h"
#include "engine/loop/loop.h"
#include "engine/queue/feedword.h"
#include "engine/wire/headers.h"
#include "engine/wire/url.h"

#include <stdatomic.h>

#define Q_SPEC_CREDIT_DEFAULT (256u * 1024u)
#define Q_SPEC_CONNECT_NS_DEFAULT (30 * Q_NS_PER_S)
#define Q_SPEC_FEED_DEFAULT (256u * 1024u)
#define Q_SPEC_PROTOCOL_MAX 64 // bytes; no registered protocol comes near
#define Q_SPEC_METHOD_MAX 64        // bytes; no method is longer, and logs show it whole
#define Q_SPEC_ANSWER_NS_DEFAULT (30 * Q_NS_PER_S)
#define Q_SPEC_REDIRECTS_MAX 64 // more are a loop
#define Q_SPEC_TIMEOUT_MS_MAX (UINT64_C(86400000) * 10) // ten days: inside the timer wheel's range

// Where all connections of a request go to, whatever its URLs and detours say.
struct q_spec_via {
    char socket[Q_HOST_SOCKET_MAX]; // a unix socket's name (net/address.h)
    uint32_t socket_len;            // 0: none
    uint32_t vsock_cid;
    uint32_t vsock_port;            // 0: none
};

struct q_spec {
    const struct q_alloc *alloc;
    _Atomic(uint32_t) holders;
    bool is_frozen;
    bool is_head;       // HEAD: the response has no body
    bool is_idempotent; // RFC 9110 section 9.2.2
    bool asks_close;
    bool has_body;
    bool has_host; // a Host of the user's was given
    bool is_credit_manual;
    struct q_slice method;
    struct q_url url;
    struct q_origin origin;
    struct q_headers_builder headers;
    const char *body;
    size_t body_len;
    void (*body_release)(void *context, const void *data, size_t len); // NULL: the body is our copy
    void *body_context;
    char *head; // serialised
    size_t head_len;
    struct q_bounds bounds;
    uint32_t redirects_max; // 0: none is followed
    bool keeps_scheme;      // a redirect to another scheme is not followed
    bool asks_redirects;    // the host is asked about each
    bool asks_report;       // the host wants to know the server's certificates
    bool is_routed;         // the detours have been applied to the origin
    struct q_detours detours;
    struct q_dial_options dial;
    struct q_spec_via via;
    struct q_handle tls;    // one hold; none: the engine's own way
    struct q_slice upgrade; // the protocol that is asked for; empty: none
    uint32_t feed_max;      // bytes fed and not sent yet, once it is upgraded
    uint64_t credit;
    struct q_task farewell; // the last holder's, when that is a loop
    _Atomic(uint32_t) host_holds; // together one holder
    uint64_t tag;                 // last, where an allocator that keeps its own notes in free memory comes late
};

#define Q_SPEC_TAG UINT64_C(0x51756f6974537063)

// q_spec_new begins a spec; it has one holder. Errors: INVALID_METHOD, INVALID_URL, UNSUPPORTED_SCHEME, NO_MEMORY.
Q_MUST_USE struct q_error q_spec_new(const struct q_alloc *alloc, struct q_slice method, struct q_slice url,
                                     struct q_spec **out);

// q_spec_of_url is q_spec_new for a URL that is parsed already; it takes over what `url` owns, also when it fails.
Q_MUST_USE struct q_error q_spec_of_url(const struct q_alloc *alloc, struct q_slice method, struct q_url *url,
                                        struct q_spec **out);

// The builder's calls; all fail with FROZEN on a frozen spec. See the functions of the same names in api/quoit.h.
Q_MUST_USE struct q_error q_spec_add_header(struct q_spec *spec, struct q_slice name, struct q_slice value);
Q_MUST_USE struct q_error q_spec_add_secret_header(struct q_spec *spec, struct q_slice name, struct q_slice value);
Q_MUST_USE struct q_error q_spec_set_body(struct q_spec *spec, const void *data, size_t len,
                                          void (*release)(void *context, const void *data, size_t len), void *context);
Q_MUST_USE struct q_error q_spec_set_bounds(struct q_spec *spec, const struct q_bounds *bounds);
Q_MUST_USE struct q_error q_spec_set_redirects(struct q_spec *spec, uint32_t limit, bool keeps_scheme);
Q_MUST_USE struct q_error q_spec_set_local_address(struct q_spec *spec, struct q_slice literal);
Q_MUST_USE struct q_error q_spec_set_dial(struct q_spec *spec, const struct q_dial_options *dial,
                                          const struct q_spec_via *via);
Q_MUST_USE struct q_error q_spec_connect_to(struct q_spec *spec, const struct q_detour_rule *rule);
// The spec gets a hold of its own on `tls`; the zero handle: the engine's own way.
Q_MUST_USE struct q_error q_spec_set_tls(struct q_spec *spec, struct q_handle tls);
Q_MUST_USE struct q_error q_spec_ask_report(struct q_spec *spec, bool asks);
Q_MUST_USE struct q_error q_spec_ask_redirects(struct q_spec *spec, bool asks);
Q_MUST_USE struct q_error q_spec_set_credit(struct q_spec *spec, uint64_t bytes, bool is_manual);
Q_MUST_USE struct q_error q_spec_set_upgrade(struct q_spec *spec, struct q_slice protocol);
Q_MUST_USE struct q_error q_spec_set_feed_max(struct q_spec *spec, uint64_t bytes);

// q_spec_route applies the detours and the TLS config to the origin; freezing does it, and who compares origins before
// that. Fails with NO_MEMORY.
Q_MUST_USE struct q_error q_spec_route(struct q_spec *spec);

// q_spec_freeze ends building. Errors: INVALID_ARGUMENT (an upgrade together with Connection: close), FORBIDDEN_HEADER,
// INVALID_URL, NO_MEMORY; the spec then stays unfrozen.
Q_MUST_USE struct q_error q_spec_freeze(struct q_spec *spec);

// q_spec_acquire and q_spec_release count holders. The last release frees. Any thread.
struct q_spec *q_spec_acquire(struct q_spec *spec);
void q_spec_release(struct q_spec *spec);

// q_spec_is_hosts tells whether a pointer that a host gave is a spec of its own: not NULL, and not released.
bool q_spec_is_hosts(const struct q_spec *spec);

// q_spec_host_acquire and q_spec_host_release count the host's holds. They do nothing (false) when it has none. Any thread.
bool q_spec_host_acquire(struct q_spec *spec);
bool q_spec_host_release(struct q_spec *spec);

// q_spec_release_on_loop is q_spec_release for the loop thread: what the last one frees, and the host's release
// function with it, waits for the publish step.
void q_spec_release_on_loop(struct q_spec *spec, struct q_loop *loop);

// q_spec_may_go_early tells whether the request does no harm when it comes to its server twice: GET, HEAD and OPTIONS without
// a body (RFC 8470). Any thread, frozen ones.
bool q_spec_may_go_early(const struct q_spec *spec);

#endif
