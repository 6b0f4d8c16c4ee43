// Quoit: an embeddable asynchronous HTTP client engine for Linux.
//
// One thread, the loop, owns every socket and every request in flight. Any thread submits requests through a lock-free
// queue; results come back as events on a port, which a host drains from its own event loop (one eventfd), gets on the
// loop thread (inline mode), or drives itself (host-driven mode). What every comment here may assume (handles, struct
// sizes, threads, memory, errors) is said once, in api/README.md. Read that first.
//
// Life in short:
//   quoit_engine_create -> quoit_port_create -> quoit_request_new .. quoit_submit -> events .. DONE or FAILED
//   -> quoit_engine_close -> CLOSED on each port -> quoit_engine_destroy.
//
// This is the header to include. It brings quoit/abi.h (versions), quoit/error.h (error codes and their words),
// quoit/dial.h (how connections are made), quoit/tls.h (TLS configurations), quoit/question.h (what hosts are asked) and
// quoit/sessions.h (sessions of TLS, from one process to the next).
#ifndef QUOIT_H
#define QUOIT_H

#include <stddef.h>
#include <stdint.h>

#include "quoit/abi.h"
#include "quoit/dial.h"
#include "quoit/error.h"
#include "quoit/question.h"
#include "quoit/sessions.h"
#include "quoit/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------------------------
// Handles. Small values, free to copy. Each holds an index and a generation, so a handle of something that is gone
// is refused with QUOIT_ERR_STALE_HANDLE and never reaches whatever came after it. The zero handle names nothing.

struct quoit_engine {
    uint64_t id;
};

struct quoit_port {
    uint64_t id;
};

// quoit_handle names one submitted request, from quoit_submit until the loop has ended it: it is stale when the terminal
// event is there to be drained, and not only behind it.
struct quoit_handle {
    uint64_t id;
};

// quoit_request is what to send: built by one thread, frozen, then shared by any number of submits and threads.
struct quoit_request;

// quoit_headers is a frozen block of header fields. Its readers never write, so any thread may read it.
struct quoit_headers;

// quoit_slice is a piece of memory that the host took out of an event and gives back when it likes.
struct quoit_slice {
    const void *data;
    size_t len;
    void *owner;     // the engine's; do not touch
    uint64_t cookie; // likewise
};

// ---------------------------------------------------------------------------------------------------------------
// Engine.

// Rungs of the feature ladder. quoit_probe says which this kernel can do; capabilities_off forces some off, which is
// for tests and for kernels with a bug. What is off has a slower or simpler replacement.
enum quoit_capability {
    QUOIT_CAP_DEFER_TASKRUN = 1 << 0,  // completions run only when the loop asks (6.1)
    QUOIT_CAP_HIDDEN_RING = 1 << 1,    // the ring has no descriptor number (6.3)
    QUOIT_CAP_DIRECT_SOCKET = 1 << 2,  // sockets are made in slots, no number ever exists (6.7)
    QUOIT_CAP_FUTEX_DOORBELL = 1 << 3, // the wake-up has no descriptor number (6.7)
    QUOIT_CAP_NO_IOWAIT = 1 << 4,      // a sleeping loop is not counted as I/O wait (6.15)
    QUOIT_CAP_DIRECT_BIND = 1 << 5,    // such sockets are bound to a local address without a number, too (6.11)
    QUOIT_CAP_RECV_MULTISHOT = 1 << 6, // one receive serves many responses (6.0)
    QUOIT_CAP_RECV_BUNDLE = 1 << 7,    // one completion brings several buffers (6.10)
};

enum quoit_engine_mode {
    QUOIT_ENGINE_THREAD = 0,      // the engine has a thread of its own
    QUOIT_ENGINE_HOST_DRIVEN = 1, // the host calls quoit_engine_tick
};

// An engine's memory comes from these, but for what is mapped: its request slots and the ring. A request belongs to no
// engine, so it (with its copies of text and body, and the requests of its redirect hops) comes from malloc. They may be
// called from any thread that calls Quoit and from the loop; they must be thread-safe and must not call Quoit. `release`
// gets the size that was asked for.
struct quoit_allocator {
    void *(*allocate)(void *context, size_t size);
    void (*release)(void *context, void *ptr, size_t size);
    void *context;
};

// Levels are 1 error, 2 warning, 3 info, 4 debug. `line` is valid during the call. The sink must not call Quoit.
typedef void (*quoit_log_fn)(void *context, int32_t level, const char *line);

// An address that a name is to have, whatever hosts file and name servers say.
struct quoit_static_name {
    const char *host;    // "www.example"
    const char *address; // "192.0.2.1", "2001:db8::1"
    uint16_t port;       // of the URL; 0: any
    uint16_t reserved;   // 0
};

// Zero in a field means its default. Set struct_size to sizeof(struct quoit_engine_options).
struct quoit_engine_options {
    uint32_t struct_size;
    uint32_t mode;                      // enum quoit_engine_mode
    uint32_t capabilities_off;          // enum quoit_capability bits to do without
    uint32_t requests_max;              // pending requests; default 16384. Bounds memory.
    uint32_t connections_max;           // all connections; default 4096. Bounds descriptors.
    uint32_t connections_per_origin_max; // default 64. Bounds the load on one server.
    uint32_t waiters_per_origin_max;    // requests waiting for a connection to one origin; default 16384
    uint32_t idle_timeout_ms;           // an unused connection is closed after this; default 60000
    uint64_t memory_max;                // bytes of buffers, all together; default 64 MiB, least 2 MiB. When it is
                                        // used up receiving waits, and what holds up others ends with NO_MEMORY.
    uint32_t head_bytes_max;            // of a response; default 16384, most 262144. Answers endless heads.
    uint32_t headers_max;               // fields of a head or of trailers; default 128, most 1024. Answers a flood of
                                        // tiny fields, each of which costs more memory than it has bytes.
    const struct quoit_allocator *allocator; // copied; NULL is malloc and free
    quoit_log_fn log;                   // NULL: nobody listens
    void *log_context;
    uint32_t log_level;                 // default 2
    uint32_t reserved;
    const char *hosts_file;             // default "/etc/hosts"; read in create, and again when it has changed
    uint32_t line_bytes_max;            // a field's name and value, or the reason in a status line; default
                                        // head_bytes_max, most 262144. Answers one field that fills the head.
    uint32_t informational_max;         // 1xx heads of a response; default 32, most 1024. Answers 1xx without end.
    uint32_t chunk_extension_bytes_max; // chunk extensions and leading zeros of chunk sizes, in all chunks of a response
                                        // together; default 16384, most 1048576. Answers framing without content.
    uint32_t trailer_bytes_max;         // trailers of a response; default 2048, most 262144. Answers endless trailers.
    uint32_t spin_us;                   // look for work this long before each sleep; default 0, most 1000. For hosts
                                        // that want latency: a core is busy while it looks. Not when host-driven.
    uint32_t reserved2;                 // 0
    const struct quoit_tls *tls;        // frozen; what https requests without a configuration of their own use. NULL: the
                                        // system's trusted certificates, looked for in create, and the defaults of
                                        // quoit_tls_new; where there are none, https requests end with TLS_NO_TRUST_STORE.
    const char *const *environment;     // NULL-terminated list of "NAME=value", of which SSL_CERT_FILE and SSL_CERT_DIR are
                                        // looked at in create, where `tls` is NULL. NULL: none. The process's own
                                        // environment is never read; a host may give its `environ`.
    const char *resolv_conf_file;       // default "/etc/resolv.conf"; read in create, and again when it has changed. "": none
                                        // is read, and no name server is asked but those of `dns_servers`.
    const char *dns_servers;            // "192.0.2.1, [2001:db8::1]:5353": asked in place of resolv.conf's, of which the
                                        // search list and the options hold all the same; at most 8. NULL: resolv.conf's.
    const struct quoit_static_name *static_names; // at most 4096; a name may stand there several times
    uint32_t static_names_count;
    uint32_t dns_cache_max;             // answers that are kept; default 4096, most 1048576
    uint32_t dns_cache_bytes_max;       // of all of them; default 1 MiB, most 1 GiB
    uint32_t dns_ttl_max_s;             // an answer is kept as long as it says (RFC 1035), but no longer than this; default
                                        // 300, most 604800. That a name is not there holds for a minute at most.
    uint32_t dns_stale_s;               // answers may be used for so long behind their time when no name server answers
                                        // (RFC 8767); default 0, most 604800
    uint32_t reserved3;                 // 0
};

// quoit_engine_create makes an engine, and its thread unless the mode is host-driven, and returns when its ring has
// been proved by a first operation. `out` is written on success only; `out_failure` (may be NULL) always.
// `options` may be NULL; what it points at is copied or used during the call only.
// Any thread; blocks for the set-up (well under a millisecond; up to 200 ms when ring memory is short), and, without `tls`, on
// reading the system's trusted certificates (some milliseconds; once for engines that are created within a minute).
// Errors: INVALID_ARGUMENT, INVALID_STRUCT_SIZE, NOT_FROZEN and FORKED (of `tls`), NO_MEMORY, RING_* (cause and remedy in the
// sentence), THREAD_FAILED, FD_LIMIT, ENGINES_MAX. A host-driven engine proves its ring in the first tick instead.
QUOIT_API QUOIT_MUST_USE int32_t quoit_engine_create(const struct quoit_engine_options *options,
                                                     struct quoit_engine *out, struct quoit_failure *out_failure);

// quoit_engine_tls_detail tells what more there is to say about TLS_NO_TRUST_STORE, or another error of the certificates that
// the engine was to find by itself: the places that were looked at, and why each did not serve, as in
// "/etc/ssl/certs/ca-certificates.crt (ENOENT), ...". "" when nothing is missing, and with a stale handle. Never NULL; valid
// until quoit_engine_destroy. Any thread.
QUOIT_API const char *quoit_engine_tls_detail(struct quoit_engine engine);

// quoit_engine_close begins the end: no new request is taken; those that are pending may finish for `drain_ms`
// milliseconds, then they are aborted with QUOIT_ERR_CLOSED (0: at once). Each pending request still gets its one
// terminal event; then each port gets QUOIT_EVENT_CLOSED as its last event. A second call can only shorten the drain.
// Any thread, also from inside an inline callback. Never blocks. Errors: STALE_HANDLE, FORKED.
QUOIT_API int32_t quoit_engine_close(struct quoit_engine engine, uint64_t drain_ms);

// quoit_engine_destroy frees a closed engine and its ports; every handle of it is stale from here on. Events that were
// not drained are dropped with it. It joins the engine's thread, which has ended or is about to.
// Any thread but the engine's own. Errors: STALE_HANDLE, NOT_CLOSED (QUOIT_EVENT_CLOSED has not been published yet),
// BUSY (slices that the host took are not released yet, or another thread is inside a call on this engine),
// WRONG_THREAD, FORKED (the child's copy of the memory stays; the parent is not touched).
QUOIT_API int32_t quoit_engine_destroy(struct quoit_engine engine);

// quoit_engine_invalidate_tls has nothing that was made with `tls`, or with a configuration that is equal to it, serve any
// request that is submitted from now on (by this thread, or by one that knows of this call): idle connections are closed,
// those that are being made are made anew, sessions are forgotten. Requests that have a connection keep it until they are
// done. NULL: whatever configuration, the engine's own too. For certificates that were renewed or revoked: api/README.md, TLS,
// "Rotation". Any thread; never blocks.
// Errors: STALE_HANDLE, INVALID_ARGUMENT (`tls` is released), NOT_FROZEN, NO_MEMORY, FORKED.
QUOIT_API int32_t quoit_engine_invalidate_tls(struct quoit_engine engine, const struct quoit_tls *tls);

// quoit_engine_fd gives the descriptor that becomes readable when a host-driven engine wants quoit_engine_tick. It
// belongs to the engine: watch it, do not read, write or close it. -1 when stale or not host-driven. Any thread.
QUOIT_API int quoit_engine_fd(struct quoit_engine engine);

// quoit_engine_timeout_ms gives how long the host may wait before it calls quoit_engine_tick although the descriptor
// is not readable; -1: without bound. The ticking thread, host-driven mode only; 0 on errors, so that a tick tells.
QUOIT_API int64_t quoit_engine_timeout_ms(struct quoit_engine engine);

// quoit_engine_tick does what is to be done now, without waiting. The first thread that calls it becomes the engine's
// loop thread. It gives 1 when more is to be done at once, 0 when not, and a negative error code otherwise:
// -STALE_HANDLE, -WRONG_MODE, -WRONG_THREAD, -BUSY (another thread is opening a port before the first tick), -FORKED, or,
// when the ring could not be bound to this thread, -RING_* in this and every later tick.
QUOIT_API int32_t quoit_engine_tick(struct quoit_engine engine);

struct quoit_engine_info {
    uint32_t struct_size;
    uint32_t capabilities;      // enum quoit_capability bits in use
    uint32_t ring_sq_entries;
    uint32_t ring_cq_entries;
    uint64_t requests_pending;  // submitted, terminal event not yet published
    uint64_t requests_done;
    uint64_t requests_failed;   // canceled ones too
    uint64_t connections_open;
    uint64_t connections_opened;
    uint64_t connections_reused; // times a request went out on a connection that had served one before
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t ticks;
    uint64_t enters;            // io_uring_enter calls
    uint64_t buffer_bytes;      // buffer memory now allocated, of memory_max
    uint64_t buffers_starved;   // times a receive found no free buffer
    uint64_t stale_completions; // completions for an old generation, dropped
    uint64_t wakes;             // doorbells rung for a sleeping loop
    uint64_t dns_lookups;       // times a name was looked up for a connection
    uint64_t dns_merged;        // of them those that joined one which was under way
    uint64_t dns_cache_hits;    // of an address family of a name
    uint64_t dns_stale;         // likewise, from behind its time
    uint64_t dns_queries;       // sent to name servers, repeats included
    uint64_t dns_strange;       // datagrams that were no answer to their query, and were dropped
    uint64_t dns_cache_entries; // kept now
    char name_service[32];      // "": this machine's programs look names up in the hosts file and by DNS, as Quoit does. Else
                                // what /etc/nsswitch.conf names besides (as "mdns4_minimal"): they may find other things.
};

// quoit_engine_info reads a snapshot of counters; each is whole, together they may be a tick apart. `out->struct_size`
// must be set. Any thread. Errors: STALE_HANDLE, INVALID_STRUCT_SIZE, FORKED.
QUOIT_API int32_t quoit_engine_info(struct quoit_engine engine, struct quoit_engine_info *out);

struct quoit_probe_result {
    uint32_t struct_size;
    uint32_t capabilities;        // enum quoit_capability bits that this kernel can do
    struct quoit_failure failure; // code 0 when an engine can be created here
};

// quoit_probe answers, without keeping anything, whether an engine can be created here and now, and if not, why: the
// sentence of failure.code names the cause and the remedy. Any thread. Errors: INVALID_ARGUMENT, INVALID_STRUCT_SIZE.
QUOIT_API int32_t quoit_probe(struct quoit_probe_result *out);

// ---------------------------------------------------------------------------------------------------------------
// Requests.

// quoit_request_new begins a request. `method` is an HTTP token ("GET") of at most 64 octets, but not CONNECT; `url` an
// absolute http, https or http+unix URL (what that is, and what becomes of credentials in it, says api/README.md); both
// are copied.
// The builder belongs to the calling thread until quoit_request_freeze. Free with quoit_request_release.
// Errors: INVALID_ARGUMENT, INVALID_METHOD, INVALID_URL, UNSUPPORTED_SCHEME, NO_MEMORY.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_new(const char *method, const char *url, struct quoit_request **out);

// quoit_request_add_header adds one field behind the ones that are there; names may repeat, case is kept. Copied.
// A given Host, User-Agent or Accept takes the place of the default, an Authorization that of the URL's credentials.
// Expect is sent as it is, and the body right behind it: it does not wait for a 100 (Continue).
// Framing, and what is between the engine and its peer, is the engine's (FORBIDDEN_HEADER): Content-Length,
// Transfer-Encoding, TE, Trailer, Upgrade (see quoit_request_set_upgrade), Keep-Alive, Proxy-Connection, a second Host,
// and Connection unless its members are `close` and `keep-alive` alone. After `Connection: close` the connection is not
// used again. Builder's thread.
// Errors: INVALID_ARGUMENT, INVALID_HEADER_NAME, INVALID_HEADER_VALUE (a control byte but HTAB; a Host with a byte that
// no host and port has), FORBIDDEN_HEADER, FROZEN, TOO_MANY_HEADERS (256 is the most), HEAD_TOO_LARGE (64 KiB for a
// field, 256 KiB for all), NO_MEMORY.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_add_header(struct quoit_request *request, const char *name,
                                                          size_t name_len, const char *value, size_t value_len);

// quoit_request_add_secret_header is quoit_request_add_header for a value that is a secret: an API key, a token. Such a value
// is in no log, error, event or report; a redirect does not take it to another origin; and each piece of memory that the
// request had it in is overwritten before it is freed (what is beyond that says api/README.md, "Secret fields").
// Authorization, Cookie, Proxy-Authorization and a URL's credentials are secret however they are given. Builder's thread.
// Errors: those of quoit_request_add_header.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_add_secret_header(struct quoit_request *request, const char *name,
                                                                 size_t name_len, const char *value, size_t value_len);

// Called once when the engine and all holders are done with a body: on the thread that releases last, or on the loop
// thread at the publish step. It must not call Quoit.
typedef void (*quoit_release_fn)(void *context, const void *data, size_t len);

// quoit_request_set_body gives the body. With `release` NULL the bytes are copied; otherwise they stay the host's,
// must not change, and `release(context, data, len)` is called when the last holder of the request lets go, or by a
// second call, whose body takes the place of the first. An empty body (len 0) is a body: Content-Length: 0 is sent.
// Builder's thread. Errors: INVALID_ARGUMENT (more than PTRDIFF_MAX, too), FROZEN, NO_MEMORY; on an error `release` is
// not called.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_body(struct quoit_request *request, const void *data, size_t len,
                                                        quoit_release_fn release, void *context);

// Bounds of one request; times in milliseconds, 0: the default. A bound that is over ends the request with an error of
// its own.
struct quoit_request_bounds {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t total_ms;       // from submit to the terminal event, redirects included; default none (TIMEOUT_TOTAL)
    uint64_t queue_ms;       // waiting for a connection because of limits; default none (TIMEOUT_QUEUE)
    uint64_t connect_ms;     // resolving and connecting, each attempt, and waiting for one that was begun for another
                             // request; default 30000 (TIMEOUT_CONNECT). A TLS handshake is a part of it, with early
                             // data too; one that this bound or tls_ms ends is not tried again without early data.
    uint64_t first_byte_ms;  // from the request sent to the first byte of the answer; default none (TIMEOUT_FIRST_BYTE)
    uint64_t idle_ms;        // between bytes of the answer; default none (TIMEOUT_IDLE). A pause of the host's own, by
                             // credit or a full port, does not count.
    uint64_t low_speed_ms;   // in each span of this length ...
    uint64_t low_speed_bytes; // ... at least so many bytes of the answer must come; default none (TIMEOUT_LOW_SPEED).
                             // Both or neither.
    uint64_t body_bytes_max; // of the response as received; default none (BODY_TOO_LARGE). Answers endless bodies.
    uint64_t answer_ms;      // from a question's event to its answer; default 30000 (TIMEOUT_ANSWER)
    uint64_t tls_ms;         // of a TLS handshake that is begun for this request, less what the host's answers in it take;
                             // default 10000 (TIMEOUT_TLS). connect_ms, which it is a part of, and total_ms bound it too.
    uint64_t resolve_ms;     // looking up the name of whom to connect to, within connect_ms; default none
                             // (TIMEOUT_RESOLVE, which is also what connect_ms ends with before an address is known)
};

// quoit_request_set_bounds bounds the request. What `bounds` points at is copied. Builder's thread.
// Errors: INVALID_ARGUMENT (a time above ten days, half of a low-speed bound), INVALID_STRUCT_SIZE, FROZEN.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_bounds(struct quoit_request *request,
                                                          const struct quoit_request_bounds *bounds);

// How redirects (301, 302, 303, 307, 308 with a Location) are followed. 301 and 302 turn POST into GET, 303 everything
// but HEAD; 307 and 308 keep method and body (RFC 9110 section 15.4). Authorization, Cookie, Proxy-Authorization, a Host
// of the user's and the URL's credentials never go to another origin; nothing leads onto a unix socket but what is on it
// already (UNSUPPORTED_SCHEME). Locations of one head that differ lead nowhere (HTTP_BAD_LOCATION). Of a redirect that is
// followed the host sees nothing but its place in quoit_summary.redirects, and, with `ask`, a QUESTION before.
struct quoit_redirect_options {
    uint32_t struct_size;
    uint32_t limit;       // most that are followed, at most 64; 0: none. One more is TOO_MANY_REDIRECTS.
    uint32_t same_scheme; // 1: a redirect to another scheme fails with UNSUPPORTED_SCHEME
    uint32_t ask;         // 1: the host is asked about each that could be followed (struct quoit_question)
};

// quoit_request_set_redirects says how redirects are followed; without it they are delivered like any response. What
// `options` points at is copied. Builder's thread. Errors: INVALID_ARGUMENT, INVALID_STRUCT_SIZE, FROZEN.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_redirects(struct quoit_request *request,
                                                             const struct quoit_redirect_options *options);

// quoit_request_set_local_address makes the request's connections, of each hop, come from `address`: "192.0.2.1" or
// "2001:db8::1", without a port or a zone. Requests from different addresses share no connection. Only peers of its family
// can be reached (NAME_NO_ADDRESS); that the address is not this machine's is found when it connects (BIND_FAILED, with
// the kernel's errno). A second call takes the place of the first. Builder's thread.
// Errors: INVALID_ARGUMENT (no such literal, the unspecified address, an http+unix URL), FROZEN, NO_MEMORY.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_local_address(struct quoit_request *request, const char *address);

// quoit_request_set_tls has the request, in each hop that is https, speak TLS by `tls`, which is frozen; NULL: by the
// engine's. The request holds what is in it, so `tls` may be released at once. Requests share connections when what is in
// their configurations is equal, and never otherwise. Builder's thread.
// Errors: INVALID_ARGUMENT, NOT_FROZEN (`tls`), FROZEN (`request`), FORKED (`tls` was frozen by the parent process).
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_tls(struct quoit_request *request, const struct quoit_tls *tls);

// quoit_request_set_tls_report has DONE, and each FAILED of a connection that spoke TLS, come with quoit_summary.tls_report
// (1); 0, the default: only failures that are about TLS itself do. It costs memory of the event, and none of the connection.
// Builder's thread. Errors: INVALID_ARGUMENT, FROZEN.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_tls_report(struct quoit_request *request, int32_t on);

// quoit_request_connect_to has connections for `host` and `port` go to `connect_host` and `connect_port` instead: to try
// a server before its name is moved, or a name that resolves elsewhere. What is sent stays (target, Host, SNI), and so do
// the name that the certificate must be for, and what counts as the same origin for credentials. Hosts are as in URLs (a
// name, an IPv4 or IPv6 literal); NULL or "" and 0 match any host and port, or keep them. Up to 16 rules, in the order in
// which they are given; the first that matches counts, at each redirect hop anew. A socket's URL (http+unix) always goes
// to its socket. Texts are copied.
// Builder's thread. Errors: INVALID_ARGUMENT (no host, too many rules), FROZEN, NO_MEMORY.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_connect_to(struct quoit_request *request, const char *host,
                                                          uint16_t port, const char *connect_host,
                                                          uint16_t connect_port);

// quoit_request_set_credit sets how many body bytes may be on their way to the host, not yet advanced over or
// released (default 256 KiB). At zero credit the engine stops receiving for this request, and for no other. Credit
// comes back by itself as the host advances or releases; with `manual` 1 only through quoit_grant.
// One receive buffer (32 KiB at most) may arrive beyond it, and the engine may hold some more that has come before the host had
// none left. The head needs no credit; the end of a chunked body may need one
// byte more than the body has. Builder's thread. Errors: INVALID_ARGUMENT, FROZEN.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_credit(struct quoit_request *request, uint64_t bytes,
                                                          int32_t manual);

// quoit_request_set_upgrade asks the server to go on with another protocol on this connection (RFC 9110 section 7.8):
// `protocol` is its name, or name and version ("websocket", "h2c", "IRC/6.9"); it is copied. Connection and Upgrade are
// then the engine's to write; `Connection: close` beside it is refused by freeze. Any method.
// A server that switches answers 101 with this protocol alone in Upgrade, and Connection: upgrade; the host gets
// QUOIT_EVENT_UPGRADED instead of HEAD, and the connection is the host's until the terminal event (quoit_feed). Any other
// 101 is QUOIT_ERR_HTTP_UNEXPECTED_UPGRADE. Any other final status is an ordinary response: the upgrade was refused.
// A redirect that is followed asks again. Builder's thread. Errors: INVALID_ARGUMENT (no protocol, or longer than 64),
// FROZEN, NO_MEMORY.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_upgrade(struct quoit_request *request, const char *protocol,
                                                           size_t protocol_len);

// quoit_request_set_feed_max sets how many bytes may be fed and not sent yet (default 256 KiB, 128 bytes to 128 MiB; 0:
// the default). They are beside the engine's memory_max. Builder's thread. Errors: INVALID_ARGUMENT, FROZEN.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_feed_max(struct quoit_request *request, uint64_t bytes);

// quoit_request_freeze ends building: the request is checked, serialised, and immutable from here on. Any thread may
// then submit it, any number of times, on any engine. A submit freezes a request that is not frozen yet, which must
// then not be shared before that submit has returned. Builder's thread. Errors: INVALID_ARGUMENT (an upgrade together
// with Connection: close; TRACE with a body), FORBIDDEN_HEADER, INVALID_URL, NO_MEMORY; the request can then still be corrected.
// A second call does nothing.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_freeze(struct quoit_request *request);

// quoit_request_acquire adds a holder and gives the request back; NULL for NULL, and for what is released. Any thread, frozen
// requests only.
QUOIT_API struct quoit_request *quoit_request_acquire(struct quoit_request *request);

// quoit_request_release ends the caller's hold; the last one frees. A submitted request may be released at once: the
// engine has its own hold until the terminal event. NULL does nothing; nor does one release too many while an engine still
// holds the request. Behind its end the pointer must not be used: api/README.md. Any thread.
QUOIT_API void quoit_request_release(struct quoit_request *request);

// quoit_submit hands a request to the engine. Nothing happens on the caller's stack; exactly one terminal event (DONE or
// FAILED) follows on `port`, whatever happens, and nothing after it. (A port that another thread drains may have it
// before this call has returned.) On an error nothing follows at all.
// `user_data` comes back in each event. `out` (may be NULL) names the request for quoit_cancel and quoit_grant.
// Any thread; never blocks, allocates nothing for a frozen request.
// Errors: STALE_HANDLE (engine or port), INVALID_ARGUMENT, CLOSED, REQUESTS_MAX, PORT_FULL, FORKED, and those of
// quoit_request_freeze. The room behind PORT_FULL and REQUESTS_MAX comes back when requests have ended and the loop has
// collected what was advanced over, a moment after quoit_port_advance; no event tells: try again behind other events.
QUOIT_API QUOIT_MUST_USE int32_t quoit_submit(struct quoit_engine engine, struct quoit_port port,
                                              struct quoit_request *request, uint64_t user_data,
                                              struct quoit_handle *out);

// quoit_cancel asks for the end of a request. The terminal event tells who won: FAILED with QUOIT_ERR_CANCELED, or the
// end that came first. Idempotent; never blocks or allocates; any thread, also in a signal handler.
// Errors: STALE_HANDLE (harmless: the request has ended), FORKED.
QUOIT_API int32_t quoit_cancel(struct quoit_engine engine, struct quoit_handle handle);

// quoit_grant gives `bytes` more credit to a request with manual credit. Any thread, as quoit_cancel.
// Errors: STALE_HANDLE, FORKED.
QUOIT_API int32_t quoit_grant(struct quoit_engine engine, struct quoit_handle handle, uint64_t bytes);

// quoit_feed sends `len` bytes (above 0) to the peer of an upgraded request, behind what was fed before; what several
// threads feed at a time goes in some order, each piece whole. Any thread, also inside a callback; never blocks.
// With `release` NULL the bytes are copied; otherwise they stay the host's, must not change, and `release(context, data,
// len)` is called once, at the publish step, when they are sent or given up: maybe behind the terminal event, at the
// latest in quoit_engine_destroy. On an error it is not called, and nothing was sent.
// Memory is bounded: beyond the request's quoit_request_set_feed_max of bytes fed and not sent yet (a piece of less than
// 128 counts as 128) it says FEED_FULL, and QUOIT_EVENT_ROOM follows when at least half of that is free again, unless
// the request ends first. What cannot be sent, because the peer has closed, is dropped; the terminal event tells.
// Errors: FEED_FULL, NOT_UPGRADED (QUOIT_EVENT_UPGRADED has not come), STALE_HANDLE (the request, or the peer's
// direction, has ended), FROZEN (after quoit_feed_end), INVALID_ARGUMENT (no bytes, or more than the bound can hold),
// NO_MEMORY, FORKED.
QUOIT_API QUOIT_MUST_USE int32_t quoit_feed(struct quoit_engine engine, struct quoit_handle handle, const void *data,
                                            size_t len, quoit_release_fn release, void *context);

// quoit_feed_end ends our direction of an upgraded request behind all that was fed: the peer reads its end, and may go on
// sending. What another thread feeds at the same moment may be dropped. A second call does nothing. Any thread; never
// blocks. Errors: NOT_UPGRADED, STALE_HANDLE, NO_MEMORY, FORKED.
QUOIT_API int32_t quoit_feed_end(struct quoit_engine engine, struct quoit_handle handle);

// What a request is doing now.
enum quoit_stage {
    QUOIT_STAGE_NONE = 0,       // submitted, and not seen by the loop yet: no time counts
    QUOIT_STAGE_QUEUED = 1,     // no connection is there or on its way for it: limits
    QUOIT_STAGE_CONNECTING = 2, // one is being made
    QUOIT_STAGE_SENDING = 3,
    QUOIT_STAGE_AWAITING = 4,   // sent; not a byte of the answer yet
    QUOIT_STAGE_RECEIVING = 5,
    QUOIT_STAGE_PAUSED = 6,     // no credit, no room in the port, or no memory
    QUOIT_STAGE_ASKING = 7,     // the host was asked a question
    QUOIT_STAGES = 16,          // numbers of stages; those without a name have room here for later
};

struct quoit_request_state {
    uint32_t struct_size;
    uint32_t stage;                 // enum quoit_stage
    uint64_t stage_ns;              // time in this stage, this time
    uint64_t spent_ns[QUOIT_STAGES]; // time in each stage before
};

// quoit_request_state answers, while a request lives, why it is waiting. `out->struct_size` must be set. Any thread.
// Errors: STALE_HANDLE (it has ended), INVALID_ARGUMENT, INVALID_STRUCT_SIZE, FORKED.
QUOIT_API int32_t quoit_request_state(struct quoit_engine engine, struct quoit_handle handle,
                                      struct quoit_request_state *out);

// quoit_stage_name gives a lower-case word for a stage ("receiving"). Constant text, any thread.
QUOIT_API const char *quoit_stage_name(int32_t stage);

// ---------------------------------------------------------------------------------------------------------------
// Events.

enum quoit_event_type {
    QUOIT_EVENT_INFORMATIONAL = 1, // a 1xx head; any number, before HEAD
    QUOIT_EVENT_HEAD = 2,          // status and headers; once
    QUOIT_EVENT_DATA = 3,          // a piece of the body; any number
    QUOIT_EVENT_TRAILERS = 4,      // at most once, after the last DATA
    QUOIT_EVENT_DONE = 5,          // terminal: the response is complete, whatever its status
    QUOIT_EVENT_FAILED = 6,        // terminal: the request failed
    QUOIT_EVENT_CLOSED = 7,        // the port's last event: its engine has closed. It belongs to no request.
    QUOIT_EVENT_UPGRADED = 8,      // instead of HEAD: the 101 that was asked for. Every byte of the peer's follows as DATA,
                                    // under the request's credit, idle and low-speed bounds (body_bytes_max does not
                                    // apply); DONE comes when the peer ends its direction and what was fed before is sent
                                    // (the bounds then watch the sending), FAILED when it resets.
    QUOIT_EVENT_ROOM = 9,          // quoit_feed said FEED_FULL, and there is room again
    QUOIT_EVENT_QUESTION = 10,     // the request waits for quoit_answer; before HEAD, once per redirect, and, where its TLS
                                    // configuration asks, for connections that are made
    QUOIT_EVENT_KEY_LOG = 11,      // a line of secrets, of no request: for a port that asked for them
};

struct quoit_head {
    uint16_t status;
    uint16_t http_version; // 10 or 11
    uint32_t reserved;
    const struct quoit_headers *headers;
};

struct quoit_data {
    const void *data;
    size_t len;
    uint64_t offset; // of the first byte, in the body
};

// What is known of a request that has ended. Times are nanoseconds since the submit was seen by the loop; 0: it did
// not come to that.
struct quoit_summary {
    struct quoit_failure failure; // code 0 in DONE
    uint64_t bytes_in;            // response octets, head and framing included
    uint64_t bytes_out;           // request octets handed to the kernel
    uint64_t leased_ns;           // a connection was there
    uint64_t head_ns;             // the final head was complete
    uint64_t end_ns;
    uint32_t connection_id;       // serial of the connection; 0: none
    uint16_t status;              // of the final head, or of the redirect that could not be followed; 0 if none came
    uint8_t attempts;             // connections used; 255: so many, or more
    uint8_t reused;               // 1: the connection had served a request before
    uint64_t spent_ns[QUOIT_STAGES];       // time in each stage
    const struct quoit_headers *redirects; // followed hops in order, from the first: name is the status ("302"), value
                                           // the URL that it led to; NULL: none. Valid as long as the event. What is told
                                           // is bounded: there is room for any one URL, or about the engine's
                                           // head_bytes_max of them. The first that finds none (or no memory) is left
                                           // out with all behind it: num_redirects says how many were followed.
    struct quoit_address remote; // peer of the connection that was used last; family NONE: none was
    struct quoit_address local;  // that it came from; family NONE: not known, port 0: the port is not. Known is what
                                 // quoit_request_set_local_address gave.
    uint32_t num_redirects;      // hops followed; more than `redirects` has fields: the rest is not told
    uint32_t reserved;
    uint16_t tls_version;        // enum quoit_tls_version, of the connection that was used last; 0: no TLS
    uint16_t tls_cipher;         // cipher suite, its number at IANA (0x1301 is TLS_AES_128_GCM_SHA256); 0: no TLS
    uint8_t tls_resumed;         // 1: the connection took up a session of an earlier one
    uint8_t tls_early;           // enum quoit_tls_early: whether the request, when it was sent last, went as early data
    uint8_t reserved2[2];
    uint64_t tls_handshake_ns;   // that its handshake took, maybe for an earlier request; 0: no TLS
    const struct quoit_tls_report *tls_report; // of a failed handshake, of a connection that ended with an alert, and where
                                 // quoit_request_set_tls_report asked for it: of the connection that was used last. Of
                                 // TLS_NO_TRUST_STORE: the places that were looked at. NULL: none, or no memory for it.
                                 // Valid as long as the event.
    char tls_alpn[32];           // the protocol that was agreed upon in its handshake (ALPN, RFC 7301), with a NUL; "" none
    const struct quoit_dials *dials; // FAILED because no connection came about: which addresses were tried, for
                                 // quoit_dials_at. Valid as long as the event. NULL: nothing is told
    uint32_t num_dials;          // how many; at most 64
    uint32_t reserved3;
};

// A line for a key log (NSS key log format), to be appended to a file by whoever wants to decrypt captured traffic. WHOEVER
// HAS IT CAN READ THE TRAFFIC: it is overwritten when the host has advanced over its event.
struct quoit_key_log {
    const char *line; // without a line end; NUL-terminated
    size_t line_len;
    uint64_t lost;    // lines before this one, on this port, for which there was no room: a connection never waits for them
};

struct quoit_event {
    uint32_t type;   // enum quoit_event_type
    uint32_t cookie; // the engine's; copy it along
    struct quoit_handle request;
    uint64_t user_data;
    union {
        struct quoit_head head;       // INFORMATIONAL, HEAD, UPGRADED, TRAILERS (status 0)
        struct quoit_data data;       // DATA
        struct quoit_question question; // QUESTION
        struct quoit_summary summary; // DONE, FAILED
        struct quoit_key_log key_log; // KEY_LOG
    } u;
};

// quoit_answer answers a question, by the token of its event. The first answer counts: another one to the same question
// changes nothing (and is OK while the first is on its way). The loop decides between an answer and a cancel, a timeout
// or a close that come together; the request's one terminal event tells. Any thread, also in a signal handler and inside
// the inline callback that got the event; never blocks or allocates.
// Errors: STALE_HANDLE (harmless: the question is over), INVALID_ARGUMENT (no such answer, or not to this kind of question,
// which stands still), FORKED.
QUOIT_API int32_t quoit_answer(struct quoit_engine engine, uint64_t token, uint32_t answer);

// quoit_answer_signature answers QUOIT_QUESTION_TLS_SIGN with a signature of the message, which is copied; in the form that
// TLS has for the algorithm: of ECDSA the DER of its two numbers. As quoit_answer, but it allocates: no signal handlers. What
// is no signature of the certificate's key the server finds out, and ends the connection with an alert (TLS_HANDSHAKE_ALERT,
// or in TLS 1.3 TLS_ALERT); one that is longer than the key's are is TLS_SIGN_REFUSED.
// Errors: as quoit_answer; INVALID_ARGUMENT also of none and of more than 1024 bytes, the question stands then; NO_MEMORY.
QUOIT_API int32_t quoit_answer_signature(struct quoit_engine engine, uint64_t token, const void *signature, size_t len);

enum quoit_port_mode {
    QUOIT_PORT_EVENTFD = 0, // the host drains, woken by an eventfd
    QUOIT_PORT_INLINE = 1,  // the engine calls back on the loop thread, at the end of a tick
};

// Called on the loop thread at the publish step, never from inside another call. `event` and what it points at are
// valid during the call; quoit_port_take keeps memory longer. It may call every function of Quoit but
// quoit_engine_destroy and quoit_engine_tick. It must not block.
typedef void (*quoit_event_fn)(void *context, const struct quoit_event *event);

struct quoit_port_options {
    uint32_t struct_size;
    uint32_t mode;       // enum quoit_port_mode
    uint32_t capacity;   // events that fit; default 4096, most 1048576; made a power of two, at least 16. Two thirds are
                         // kept for heads and terminal events, two for each pending request: so a third of it can be
                         // pending.
    uint32_t reserved;
    quoit_event_fn on_event; // inline mode
    void *context;           // inline mode
    uint32_t key_log;        // 1: KEY_LOG events of connections whose configuration has QUOIT_TLS_KEY_LOG_EVENTS come here
    uint32_t reserved2;      // 0
};

// quoit_port_create makes a port of an engine. A port has one draining thread at a time. `options` may be NULL.
// Any thread; waits until the loop has seen the port, so a host-driven engine's port must be made on the ticking
// thread or before the first tick. An engine has at most 256 ports, which live as long as it.
// Errors: STALE_HANDLE, INVALID_ARGUMENT, INVALID_STRUCT_SIZE, NO_MEMORY, FD_LIMIT, SOCKET_FAILED, PORTS_MAX, CLOSED,
// FORKED, WRONG_THREAD (host-driven: not the ticking thread; also inside a callback of another engine, whose loop would
// have to wait for this one), BUSY (host-driven, before the first tick: another thread does the same).
QUOIT_API QUOIT_MUST_USE int32_t quoit_port_create(struct quoit_engine engine, const struct quoit_port_options *options,
                                                   struct quoit_port *out);

// quoit_port_fd gives the port's eventfd, for epoll, asyncio's add_reader, libuv, a JVM selector. It belongs to the
// engine: watch it, do not read, write or close it; it lives until quoit_engine_destroy. -1 when stale or inline.
// It may be readable although there is nothing (a late signal); it is never unreadable although there is something
// that quoit_port_drain, when it last returned less than `max`, had not seen. Any thread.
QUOIT_API int quoit_port_fd(struct quoit_port port);

// quoit_port_drain copies up to `max` events, oldest first, into `events`, which has `event_size` bytes per element:
// sizeof(struct quoit_event) of the header that the host was compiled with, whatever the library's is. What they point
// at stays valid until quoit_port_advance. It gives the number of events, or a negative error code. It never blocks. The
// draining thread. Returning less than `max`, it has armed the eventfd for the next event.
// Errors: -STALE_HANDLE, -INVALID_ARGUMENT, -WRONG_MODE, -WRONG_THREAD (another thread is inside a call of the draining
// thread's on this port; nothing was done), -FORKED.
QUOIT_API int32_t quoit_port_drain(struct quoit_port port, struct quoit_event *events, size_t event_size, size_t max);

// quoit_port_wait is quoit_port_drain for hosts without an event loop: it first waits until there is an event or
// `timeout_ms` have passed (-1: for ever). The draining thread. Errors as quoit_port_drain.
QUOIT_API int32_t quoit_port_wait(struct quoit_port port, struct quoit_event *events, size_t event_size, size_t max,
                                  int32_t timeout_ms);

// quoit_port_advance releases all events that were drained, with their memory but for what was taken, in one store.
// The draining thread. Errors: STALE_HANDLE, WRONG_MODE, WRONG_THREAD (as quoit_port_drain), FORKED.
QUOIT_API int32_t quoit_port_advance(struct quoit_port port);

// quoit_port_take keeps the memory of a drained DATA event (or of the event that an inline callback was given) beyond
// quoit_port_advance. `out` must be released with quoit_slice_release before the engine is destroyed; until then its
// bytes count against the request's credit and the engine's memory_max. The draining thread, at most once per event.
// In an inline callback a small piece is copied for it, after which only the slice is valid, not the event's data.
// Errors: STALE_HANDLE, INVALID_ARGUMENT (not a drained DATA event of this port), NO_MEMORY (more pieces are taken than
// memory_max has room for, at 256 bytes each, or than 1048575), WRONG_THREAD (as quoit_port_drain; of an inline port:
// not inside its callback's thread), FORKED.
QUOIT_API QUOIT_MUST_USE int32_t quoit_port_take(struct quoit_port port, const struct quoit_event *event,
                                                 struct quoit_slice *out);

// quoit_slice_release gives taken memory back, in any order. Any thread; never blocks or allocates. It zeroes `slice`,
// so a second release of the same variable does nothing. A copy of a slice is the same piece: the first release of any of
// them counts. Errors: STALE_HANDLE, INVALID_ARGUMENT (another engine's, or released already; harmless), FORKED.
QUOIT_API int32_t quoit_slice_release(struct quoit_engine engine, struct quoit_slice *slice);

// ---------------------------------------------------------------------------------------------------------------
// Header blocks of events: valid as long as the event is. Any thread may read.

// quoit_headers_count gives the number of fields.
QUOIT_API size_t quoit_headers_count(const struct quoit_headers *headers);

// quoit_headers_at gives field `index` in the order of the message: pointers into the block, not NUL-terminated.
// 1 when there is one, else 0, as with any pointer NULL: nothing is written then.
QUOIT_API int32_t quoit_headers_at(const struct quoit_headers *headers, size_t index, const char **name,
                                   size_t *name_len, const char **value, size_t *value_len);

// quoit_headers_get gives the value of the first field named `name` (ASCII case does not matter, RFC 9110 section
// 5.1). 1 when there is one, else 0, as with any pointer NULL: nothing is written then.
QUOIT_API int32_t quoit_headers_get(const struct quoit_headers *headers, const char *name, size_t name_len,
                                    const char **value, size_t *value_len);

#ifdef __cplusplus
}
#endif

#endif
