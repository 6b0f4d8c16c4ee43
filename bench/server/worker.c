#include "bench/server/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/server/conn.h"

enum {
    EVENTS_MAX = 256,
    ACCEPTS_MAX = 128, // in one tick, so that a flood of connections does not starve those that are there
    ACCEPT_RETRY_NS = 10 * 1000 * 1000, // after a lack of descriptors, which no event ends
};

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// --- timers: a binary heap; heap[i] is before heap[2i+1] and heap[2i+2]; a connection knows its index plus one ---

static void heap_put(struct bench_worker *worker, size_t index, struct bench_conn *conn) {
    worker->timers[index] = conn;
    conn->timer_index = index + 1;
}

static void sift_up(struct bench_worker *worker, size_t index, struct bench_conn *conn) {
    while (index > 0 && worker->timers[(index - 1) / 2]->deadline_ns > conn->deadline_ns) {
        heap_put(worker, index, worker->timers[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_put(worker, index, conn);
}

static void sift_down(struct bench_worker *worker, size_t index, struct bench_conn *conn) {
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < worker->num_timers &&
            worker->timers[child + 1]->deadline_ns < worker->timers[child]->deadline_ns)
            child++;
        if (child >= worker->num_timers || worker->timers[child]->deadline_ns >= conn->deadline_ns)
            break;
        heap_put(worker, index, worker->timers[child]);
        index = child;
    }
    heap_put(worker, index, conn);
}

void bench_timer_clear(struct bench_worker *worker, struct bench_conn *conn) {
    if (conn->timer_index == 0)
        return;
    size_t index = conn->timer_index - 1;
    conn->timer_index = 0;
    struct bench_conn *last = worker->timers[--worker->num_timers];
    if (last == conn)
        return;
    if (index > 0 && worker->timers[(index - 1) / 2]->deadline_ns > last->deadline_ns)
        sift_up(worker, index, last);
    else
        sift_down(worker, index, last);
}

void bench_timer_set(struct bench_worker *worker, struct bench_conn *conn, uint64_t deadline_ns) {
    bench_timer_clear(worker, conn);
    if (worker->num_timers == worker->timers_size) {
        size_t size = worker->timers_size ? worker->timers_size * 2 : 64;
        struct bench_conn **timers = realloc(worker->timers, size * sizeof *timers);
        if (!timers)
            abort(); // a test server without memory for one pointer has nothing left to tell
        worker->timers = timers;
        worker->timers_size = size;
    }
    conn->deadline_ns = deadline_ns;
    sift_up(worker, worker->num_timers++, conn);
}

// --- cache ---

struct bench_response *bench_cache_get(struct bench_worker *worker, const struct bench_request *request) {
    unsigned flavour =
        (bench_text_is(request->method, "HEAD") ? 1u : 0) | (request->http10 ? 2u : 0) | (request->keep_alive ? 4u : 0);
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < request->target.len; i++)
        hash = (hash ^ (uint8_t)request->target.at[i]) * 0x100000001b3u;
    struct bench_cache_slot *slot = &worker->cache[(hash ^ (hash >> 32) ^ flavour) % BENCH_CACHE_SLOTS];
    if (slot->response && slot->flavour == flavour && slot->target_len == request->target.len &&
        memcmp(slot->target, request->target.at, slot->target_len) == 0) {
        slot->response->num_refs++;
        return slot->response;
    }
    struct bench_response *response = bench_response_build(request);
    char *target = response && response->cacheable ? malloc(request->target.len) : NULL;
    if (!target)
        return response;
    memcpy(target, request->target.at, request->target.len);
    if (slot->response)
        bench_response_release(slot->response);
    free(slot->target);
    *slot = (struct bench_cache_slot){
        .response = response, .target = target, .target_len = request->target.len, .flavour = flavour};
    response->num_refs++;
    return response;
}

void bench_cache_clear(struct bench_worker *worker) {
    for (size_t i = 0; i < BENCH_CACHE_SLOTS; i++) {
        if (worker->cache[i].response)
            bench_response_release(worker->cache[i].response);
        free(worker->cache[i].target);
        worker->cache[i] = (struct bench_cache_slot){0};
    }
}

// --- mailbox ---

static void wake(struct bench_worker *worker) {
    uint64_t one = 1;
    while (write(worker->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

// hand_over gives an accepted socket to another worker.
static void hand_over(struct bench_worker *to, int fd) {
    pthread_mutex_lock(&to->lock);
    if (to->inbox_len == to->inbox_size) {
        size_t size = to->inbox_size ? to->inbox_size * 2 : 16;
        int *inbox = realloc(to->inbox, size * sizeof *inbox);
        if (!inbox)
            abort();
        to->inbox = inbox;
        to->inbox_size = size;
    }
    to->inbox[to->inbox_len++] = fd;
    pthread_mutex_unlock(&to->lock);
    wake(to);
}

// take_inbox opens the connections that worker 0 has handed over. It is called with the lock held, which is fine:
// nothing on this path takes a lock.
static void take_inbox(struct bench_worker *worker) {
    for (size_t i = 0; i < worker->inbox_len; i++)
        bench_conn_open(worker, worker->inbox[i]);
    worker->inbox_len = 0;
}

// take_mail returns false when the worker is to stop.
static bool take_mail(struct bench_worker *worker) {
    uint64_t ignored;
    if (read(worker->wake_fd, &ignored, sizeof ignored) < 0) {
        // empty: woken by an earlier write whose mail has been taken already
    }
    pthread_mutex_lock(&worker->lock);
    take_inbox(worker);
    if (worker->call) {
        worker->call_result = worker->call(worker, worker->call_arg);
        worker->call = NULL;
        pthread_cond_signal(&worker->called);
    }
    bool go_on = !worker->stopping;
    pthread_mutex_unlock(&worker->lock);
    return go_on;
}

uint64_t bench_worker_call(struct bench_worker *worker, uint64_t (*call)(struct bench_worker *, uint64_t),
                           uint64_t arg) {
    pthread_mutex_lock(&worker->call_lock);
    pthread_mutex_lock(&worker->lock);
    worker->call = call;
    worker->call_arg = arg;
    wake(worker);
    while (worker->call)
        pthread_cond_wait(&worker->called, &worker->lock);
    uint64_t result = worker->call_result;
    pthread_mutex_unlock(&worker->lock);
    pthread_mutex_unlock(&worker->call_lock);
    return result;
}

// --- accepting ---

static bool listen_events(struct bench_worker *worker, int op) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &worker->listen_fd}};
    return epoll_ctl(worker->epoll_fd, op, worker->listen_fd, &event) == 0;
}

static void refuse_connection(struct bench_worker *worker, int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    bench_worker_count(worker, BENCH_REFUSED, 1); // before the client can see it
    bench_worker_count(worker, BENCH_CLOSED, 1);
    close(fd);
}

// accept_one takes one connection from the backlog; false when there is none.
static bool accept_one(struct bench_worker *worker) {
    struct bench_server *server = worker->server;
    int fd = accept4(worker->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            worker->accept_again_ns = worker->now_ns + ACCEPT_RETRY_NS;
            listen_events(worker, EPOLL_CTL_DEL);
        }
        return errno == EINTR || errno == ECONNABORTED;
    }
    bench_worker_count(worker, BENCH_ACCEPTED, 1);
    if (atomic_load_explicit(&server->num_open, memory_order_relaxed) >= server->options.max_connections) {
        refuse_connection(worker, fd);
        return true;
    }
    atomic_fetch_add_explicit(&server->num_open, 1, memory_order_relaxed);
    struct bench_worker *to = &server->workers[server->next_worker++ % server->num_workers];
    if (to == worker)
        bench_conn_open(worker, fd);
    else
        hand_over(to, fd);
    return true;
}

static void accept_some(struct bench_worker *worker) {
    for (int i = 0; i < ACCEPTS_MAX && accept_one(worker); i++) {
    }
}

uint64_t bench_worker_accepting(struct bench_worker *worker, uint64_t accepting) {
    if (worker->accepting != (accepting != 0) && worker->accept_again_ns == 0)
        listen_events(worker, accepting ? EPOLL_CTL_ADD : EPOLL_CTL_DEL);
    worker->accepting = accepting != 0;
    return 0;
}

uint64_t bench_worker_kill(struct bench_worker *worker, uint64_t unused) {
    (void)unused;
    uint64_t num = 0;
    if (worker->listen_fd >= 0) { // also what still waits in the backlog
        while (accept_one(worker)) {
        }
    }
    for (; worker->conns; num++)
        bench_conn_close(worker->conns, true);
    return num;
}

// --- the tick ---

static int wait_ms(const struct bench_worker *worker) {
    uint64_t first = worker->num_timers > 0 ? worker->timers[0]->deadline_ns : UINT64_MAX;
    if (worker->accept_again_ns > 0 && worker->accept_again_ns < first)
        first = worker->accept_again_ns;
    if (first == UINT64_MAX)
        return -1;
    uint64_t now = clock_ns();
    uint64_t left_ms = first > now ? (first - now + 999999) / 1000000 : 0;
    return left_ms < 60000 ? (int)left_ms : 60000;
}

static void run_timers(struct bench_worker *worker) {
    // Those that are due now, and no others: a connection that yields to the next tick must not come again in this one.
    uint64_t due = worker->now_ns;
    for (size_t left = worker->num_timers; left > 0 && worker->num_timers > 0; left--) {
        struct bench_conn *conn = worker->timers[0];
        if (conn->deadline_ns > due)
            break;
        bench_timer_clear(worker, conn);
        bench_conn_on_deadline(conn);
    }
    if (worker->accept_again_ns > 0 && worker->accept_again_ns <= due) {
        worker->accept_again_ns = 0;
        if (worker->accepting)
            listen_events(worker, EPOLL_CTL_ADD);
    }
}

static void free_dead(struct bench_worker *worker) {
    while (worker->dead) {
        struct bench_conn *conn = worker->dead;
        worker->dead = conn->next;
        bench_conn_free(conn);
    }
}

static void *worker_main(void *arg) {
    struct bench_worker *worker = arg;
    struct epoll_event events[EVENTS_MAX];
    bool go_on = true;
    while (go_on) {
        int num = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, wait_ms(worker));
        worker->now_ns = clock_ns();
        bool mail = false, accepts = false;
        for (int i = 0; i < num; i++) {
            if (events[i].data.ptr == &worker->wake_fd)
                mail = true;
            else if (events[i].data.ptr == &worker->listen_fd)
                accepts = true;
            else
                bench_conn_on_events(events[i].data.ptr, events[i].events);
        }
        if (accepts && worker->accepting)
            accept_some(worker);
        run_timers(worker);
        if (mail)
            go_on = take_mail(worker);
        free_dead(worker);
    }
    while (worker->conns)
        bench_conn_close(worker->conns, false);
    free_dead(worker);
    return NULL;
}

// --- life ---

static void free_parts(struct bench_worker *worker) {
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    if (worker->wake_fd >= 0)
        close(worker->wake_fd);
    for (size_t i = 0; i < worker->inbox_len; i++)
        close(worker->inbox[i]);
    bench_cache_clear(worker);
    free(worker->inbox);
    free(worker->timers);
    free(worker->scratch);
    bench_tls_buffers_deinit(&worker->tls_buffers);
    pthread_cond_destroy(&worker->called);
    pthread_mutex_destroy(&worker->lock);
    pthread_mutex_destroy(&worker->call_lock);
}

static int start_thread(struct bench_worker *worker) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(worker->thread, "bench-server");
    return error;
}

int bench_worker_start(struct bench_worker *worker) {
    pthread_mutex_init(&worker->call_lock, NULL);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->called, NULL);
    worker->accepting = worker->listen_fd >= 0;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->scratch = malloc(BENCH_SCRATCH_LEN);
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &worker->wake_fd}};
    int error = 0;
    if (worker->epoll_fd < 0 || worker->wake_fd < 0 || !worker->scratch ||
        (worker->server->tls_context && !bench_tls_buffers_init(&worker->tls_buffers)) ||
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->wake_fd, &event) != 0 ||
        (worker->accepting && !listen_events(worker, EPOLL_CTL_ADD)))
        error = errno ? errno : ENOMEM;
    if (error == 0)
        error = start_thread(worker);
    if (error != 0)
        free_parts(worker);
    return error;
}

void bench_worker_join(struct bench_worker *worker) {
    pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    pthread_mutex_unlock(&worker->lock);
    wake(worker);
    pthread_join(worker->thread, NULL);
    free_parts(worker);
}
