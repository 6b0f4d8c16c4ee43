// A test bench for the pool: connections as in conn_rig.h, a hosts file with the names "one" (127.0.0.1), "two"
// (127.0.0.7, where nobody listens, and 127.0.0.1) and "both" (127.0.0.7 and ::1), and askers, each of which wants one
// connection and makes one exchange on what it gets. That nobody hears two things, or anything from inside its own call,
// is checked for each; and that who waits hears in turn that a connection is being made for it and that it is not any
// more.
// One thread, the loop's.
#ifndef QUOIT_TESTS_ENGINE_CONN_POOL_RIG_H
#define QUOIT_TESTS_ENGINE_CONN_POOL_RIG_H

#include "tests/engine/conn/conn_rig.h"

#include "engine/conn/pool.h"

#define POOL_RIG_HOME "http://127.0.0.1/"

struct pool_rig {
    struct conn_rig rig;
    struct q_pool pool;
    int num_served; // leases that got a connection, in all
};

struct asker {
    struct q_lease lease;
    struct pool_rig *s;
    struct q_conn *conn;
    struct q_endpoint local; // where it asks from; zero: wherever
    enum q_lease_result result;
    bool is_leased, has_failed, is_asking;
    int order; // the how manieth that got a connection
    char dialing[512]; // what it was told: '+' a connection is being made for it, '-' it went to another
    struct q_error error;
    struct q_try dials[Q_ADDRESS_ORDER_MAX]; // with the error: what was tried
    uint32_t num_dials;
    struct rig_user user;
};

// pool_rig_open and pool_rig_close: limits of 0 are 16 in total, 8 per origin and 64 waiters. pool_rig_empty is the
// first half of close: it closes the pool and waits until it is empty.
void pool_rig_open(struct pool_rig *s, struct conn_rig_options options, struct q_pool_options limits);
void pool_rig_empty(struct pool_rig *s);
void pool_rig_close(struct pool_rig *s);

// new_askers gives `count` askers; free them with free().
struct asker *new_askers(struct pool_rig *s, size_t count);

// ask leases a connection to the origin of a URL; visit also does the whole exchange, which must succeed. until_over
// waits for the end of an asker's exchange.
enum q_lease_result ask(struct asker *asker, const char *text);
void visit(struct asker *asker, const char *url);
void until_over(struct asker *asker);

// server_conn gives the n-th connection that the server has seen; answer makes it say a good response. run_a_moment
// lets what is under way happen.
struct q_sim_conn *server_conn(struct pool_rig *s, size_t index);
void answer(struct pool_rig *s, size_t index);
void run_a_moment(struct pool_rig *s);

#endif
