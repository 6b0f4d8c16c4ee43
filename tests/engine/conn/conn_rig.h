// A test bench for connections: a loop on a ring on the simulated kernel, the memory that connections need, a scripted
// server at 127.0.0.1:80 and wherever else a test wants one, and exchanges that write down what they hear.
//
// Vocabulary. A *diary* is what an exchange heard, as text: "1" an informational head, "H200" a head, "D" data (runs of
// it are one), "T" trailers, "E" the end, "F" a failure. The server answers each request head with rig->response, or as
// the test's on_request wants it; a NULL response is none.
// One thread, the loop's.
#ifndef QUOIT_TESTS_ENGINE_CONN_CONN_RIG_H
#define QUOIT_TESTS_ENGINE_CONN_CONN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/conn/h1_conn.h"
#include "engine/loop/ring.h"
#include "engine/net/hosts_names.h"
#include "tests/support/failalloc.h"
#include "tests/support/simkernel.h"
#include "tests/support/simnet.h"

#define CONN_RIG_GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define CONN_RIG_OK  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// Less than the idle timeout of a minute: what only an idle timeout brings about has not been brought about.
#define CONN_RIG_PATIENCE_NS (50 * Q_NS_PER_S)

struct conn_rig_options {
    uint64_t seed;            // 0: the plain world
    uint64_t idle_timeout_ns; // 0: a minute
    uint64_t budget;          // bytes; 0: plenty
    uint32_t num_slots;       // 0: 32
};

struct conn_rig {
    struct q_failalloc *memory;
    struct q_sim *sim;
    struct q_doorbell bell;
    struct q_chunk_budget budget;
    struct q_chunk_pool buffers, heads, small;
    struct q_log log;
    struct q_ring *ring;
    struct q_loop loop;
    struct q_hosts hosts; // what names there are; a rig's user may fill it
    struct q_hosts_names names;
    struct q_dial_env dial;
    struct q_conn_env env;
    struct q_holders holders;

    // The server.
    const char *response;
    void (*on_request)(struct conn_rig *rig, struct q_sim_conn *conn, int number);
    int num_requests, num_fins, num_resets;
    struct q_sim_conn *last; // the connection that was accepted last
};

// An exchange.
struct rig_user {
    struct q_conn_user user; // first
    struct conn_rig *rig;
    char diary[128];
    size_t diary_len;
    char data[1 << 17];
    size_t data_len;
    int refusals; // of informational heads, data or trailers that are still to come
    int head_refusals; // of final heads
    bool wants_no_more;
    bool is_over;
    uint16_t status;
    struct q_error error;
    struct q_conn_progress progress;
    void (*on_over)(struct rig_user *user); // may be NULL
};

// conn_rig_open and conn_rig_close: the latter checks that nothing is left, of memory, on the kernel or in the peers.
void conn_rig_open(struct conn_rig *rig, struct conn_rig_options options);
void conn_rig_close(struct conn_rig *rig);

// conn_rig_listen puts the server at one more address, or something else: see enum q_sim_answer.
void conn_rig_listen(struct conn_rig *rig, const char *address, uint16_t port, enum q_sim_answer answer,
                     uint64_t delay_ns);

// conn_rig_tick makes one tick, which may let simulated time pass, a second at most. conn_rig_run_for ticks for so
// long; conn_rig_until until `flag` is true, and fails the test when that takes for ever.
void conn_rig_tick(struct conn_rig *rig);
void conn_rig_run_for(struct conn_rig *rig, uint64_t ns);
void conn_rig_until(struct conn_rig *rig, const bool *flag);

// conn_rig_say makes the server's last connection say `text`.
void conn_rig_say(struct conn_rig *rig, const char *text);

// conn_rig_user makes an exchange ready; conn_rig_request is a request with this head and body.
void conn_rig_user(struct rig_user *user, struct conn_rig *rig);
struct q_conn_request conn_rig_request(const char *head, struct q_slice body);

#endif
