// The exchange without a socket: a connection and a sink of the test's own, and a pool that opens nothing, so that
// every lease waits until the test answers it.
#ifndef QUOIT_TESTS_ENGINE_EXCHANGE_STAGE_H
#define QUOIT_TESTS_ENGINE_EXCHANGE_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/exchange/exchange.h"

// struct stage is everything around one exchange, and what the exchange did to it.
struct stage {
    struct q_loop loop;
    struct q_log log;
    struct q_conn_env env;
    struct q_pool pool;
    struct q_conn conn;
    struct q_exchange exchange;
    int num_starts;
    int num_resumes;
    int num_abandons;
    int num_heads;
    bool refuses_head;
    uint16_t last_status; // of those heads
    bool went_early;      // the connection took the request as early data
    uint8_t early;        // enum q_tls_early: what a connection that fails says of it
    int num_questions;
    int num_unasked;
    bool has_no_room; // for a question
    char question[128];
    int num_ended;
    int num_feeds;
    int num_room_offers;
    bool is_room_wanted;
    bool has_port_room;
    uint64_t fed_left;
    struct q_conn_request sent;
    struct q_exchange_summary summary;
    struct q_watch watch;
    struct q_chunk_budget budget;
    struct q_chunk_pool chunks;
};

extern const struct q_exchange_sink k_stage_sink;

struct stage *stage_new(void);

// stage_free ends whatever is still going on, so that nothing leaks.
void stage_free(struct stage *stage);

// stage_at is an exchange that has come to `from` by the ways of its life. Deciding is passed through and never stayed
// in.
struct stage *stage_at(int from);

struct q_spec *stage_spec_of(const char *method, uint64_t total_ms, bool asks);
void stage_start(struct stage *stage, const char *method);
void stage_start_asking(struct stage *stage, const char *method, bool asks);

// Whether an exchange has a connection in that state.
bool stage_has_connection(int state);

// The pool's answers and the connection's words, as those floors give them.
void stage_answer_leased(struct stage *stage);
void stage_answer_failed(struct stage *stage, struct q_error error);
void stage_tell_question(struct stage *stage);
void stage_tell_head(struct stage *stage);
void stage_tell_status(struct stage *stage, uint16_t status);
void stage_tell_upgrade(struct stage *stage);
void stage_tell_peer_end(struct stage *stage);
// False: the head was refused; the connection keeps it and offers it again.
bool stage_tell_redirect(struct stage *stage, const char *location);
void stage_tell_end(struct stage *stage);
void stage_tell_failed(struct stage *stage, struct q_error error, bool is_reused, bool has_begun);

#endif  // QUOIT_TESTS_ENGINE_EXCHANGE_STAGE_H
