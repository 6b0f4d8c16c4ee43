// One thread of the server: its epoll, its timers, its connections and its cache of responses.
//
// Only the worker's own thread touches a struct bench_worker, but for the part under `lock` (the mailbox: new
// connections and one call at a time) and the counters, which are written by their worker alone and read by anyone
// (relaxed atomics).
//
// A tick: take the mailbox, wait for events no longer than the first timer, move the connections that have events, move
// the connections whose time has come. A connection that is closed is freed at the end of the tick, so that an event
// for it later in the same batch finds it closed and not gone.
#ifndef QUOIT_BENCH_SERVER_WORKER_H
#define QUOIT_BENCH_SERVER_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "bench/server/listener.h"
#include "bench/server/request.h"
#include "bench/server/response.h"
#include "bench/server/server.h"
#include "bench/server/tls.h"

struct bench_conn;

enum {
    BENCH_SCRATCH_LEN = 256 * 1024,
    BENCH_CACHE_SLOTS = 256, // direct-mapped; a benchmark uses a handful of targets
};

enum bench_counter {
    BENCH_ACCEPTED,
    BENCH_CLOSED,
    BENCH_REFUSED,
    BENCH_REQUESTS,
    BENCH_RESPONSES,
    BENCH_REFUSALS,
    BENCH_RESETS,
    BENCH_HANGUPS,
    BENCH_BYTES_IN,
    BENCH_BYTES_OUT,
    BENCH_NUM_COUNTERS
};

struct bench_cache_slot {
    struct bench_response *response; // NULL: empty
    char *target;
    size_t target_len;
    unsigned flavour; // head request, version, keep-alive
};

struct bench_worker {
    struct bench_server *server;
    unsigned index;
    pthread_t thread;
    int epoll_fd;
    int wake_fd;
    int listen_fd; // the server's, for worker 0; else -1
    bool accepting;
    uint64_t accept_again_ns; // after a lack of descriptors; 0: not waiting
    uint64_t now_ns;          // of this tick

    struct bench_conn *conns;   // every open connection
    struct bench_conn *dead;    // closed in this tick
    struct bench_conn **timers; // binary heap by deadline
    size_t num_timers, timers_size;
    uint8_t *scratch; // BENCH_SCRATCH_LEN, for whichever connection moves now
    struct bench_tls_buffers tls_buffers;
    struct bench_cache_slot cache[BENCH_CACHE_SLOTS];

    _Atomic uint64_t counters[BENCH_NUM_COUNTERS];

    pthread_mutex_t call_lock; // held by the one thread whose call is under way; taken before `lock`
    pthread_mutex_t lock;
    pthread_cond_t called;
    int *inbox; // accepted sockets
    size_t inbox_len, inbox_size;
    uint64_t (*call)(struct bench_worker *worker, uint64_t arg); // NULL: none waiting
    uint64_t call_arg, call_result;
    bool stopping;
};

// struct bench_server as its own files see it; const after start, but for the workers and `num_open`.
struct bench_server {
    struct bench_server_options options;
    struct bench_worker *workers;
    unsigned num_workers;
    struct bench_listener listener;
    struct ssl_ctx_st *tls_context; // NULL: plain
    _Atomic uint64_t num_open;
    _Atomic unsigned next_worker;
};

// bench_worker_start makes the descriptors and the thread of `worker`, whose server, index and listen_fd are set. On
// failure it returns an errno and leaves nothing behind, but for listen_fd.
int bench_worker_start(struct bench_worker *worker);

// bench_worker_join asks the thread to end, joins it and frees what it had.
void bench_worker_join(struct bench_worker *worker);

// bench_worker_call runs `call` on the worker's thread and returns its result. Any thread but the worker's.
uint64_t bench_worker_call(struct bench_worker *worker, uint64_t (*call)(struct bench_worker *, uint64_t),
                           uint64_t arg);

// bench_worker_kill resets every connection of the worker and returns how many there were; for bench_worker_call.
uint64_t bench_worker_kill(struct bench_worker *worker, uint64_t unused);

// bench_worker_accepting sets whether worker 0 accepts; for bench_worker_call.
uint64_t bench_worker_accepting(struct bench_worker *worker, uint64_t accepting);

// bench_worker_count adds to a counter of the calling worker.
static inline void bench_worker_count(struct bench_worker *worker, enum bench_counter counter, uint64_t amount) {
    uint64_t value = atomic_load_explicit(&worker->counters[counter], memory_order_relaxed);
    atomic_store_explicit(&worker->counters[counter], value + amount, memory_order_relaxed);
}

// bench_timer_set makes the worker move `conn` at `deadline_ns`; it takes the place of an earlier deadline.
void bench_timer_set(struct bench_worker *worker, struct bench_conn *conn, uint64_t deadline_ns);

// bench_timer_clear forgets the deadline of `conn`, if it has one.
void bench_timer_clear(struct bench_worker *worker, struct bench_conn *conn);

// bench_cache_get returns the response to `request` with a reference for the caller: the cached one, or a new one.
// NULL: no memory.
struct bench_response *bench_cache_get(struct bench_worker *worker, const struct bench_request *request);

// bench_cache_clear drops everything that is cached.
void bench_cache_clear(struct bench_worker *worker);

#endif
