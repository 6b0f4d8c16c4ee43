// A test bench for one HTTP/1.1 connection: conn_rig.h's loop and server, a connection with what it told its owner, and
// one exchange. That nothing is told twice or out of its state is checked for each. One thread, the loop's.
#ifndef QUOIT_TESTS_ENGINE_CONN_H1_RIG_H
#define QUOIT_TESTS_ENGINE_CONN_H1_RIG_H

#include "tests/engine/conn/conn_rig.h"

struct scene {
    struct conn_rig rig;
    struct q_h1_conn h1;
    char peers[256]; // the lines of a hosts file: where "peer" is
    struct q_dial_options options;
    int ready, freed, dying;
    bool is_ready, has_failed, is_closed, is_dying;
    struct q_error error;
    uint64_t opened_ns;
};

// The exchange, of whatever scene: it is too large for a stack.
extern struct rig_user the_user;

// open_scene makes a connection that is not dialled, with the server's address; add_address adds 127.0.0.`last`. dial
// begins to connect, open_connected does all of it. close_scene closes the connection, if it is open, and the rig.
void open_scene(struct scene *s, struct conn_rig_options options);
void add_address(struct scene *s, uint8_t last, enum q_sim_answer answer, uint64_t delay_ns);
void dial(struct scene *s, uint64_t timeout_ns);
void open_connected(struct scene *s, struct conn_rig_options options);
void close_scene(struct scene *s);

// start begins an exchange, a new one; exchange does a whole GET. assert_data compares the body that came.
void start(struct scene *s, const char *head, struct q_slice body);
void exchange(struct scene *s);
void assert_data(const char *text);

#endif
