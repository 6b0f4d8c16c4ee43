#include "engine/exchange/exchange_internal.h"

#include "engine/conn/feed.h"

typedef enum q_exchange_event action_fn(struct q_exchange *x);

struct transition {
    uint8_t next;
    bool is_legal;
    action_fn *action;
};

// Never 0, which says that it did not come to that.
static uint64_t since_start(const struct q_exchange *x) {
    uint64_t since_ns = x->loop->now_ns - x->started_ns;
    return since_ns == 0 ? 1 : since_ns;
}

// --- actions: what happens on the way from one state to the next. Each may name an event that follows at once. ------

static enum q_exchange_event ask_for_connection(struct q_exchange *x) {
    q_watch_enter(x->watch, Q_STAGE_QUEUED);
    switch (q_pool_lease(x->pool, &x->lease, &x->spec->origin, &x->leased, &x->error)) {
    case Q_LEASE_NOW: return Q_X_EV_LEASED;
    case Q_LEASE_FAILED: q_exchange_note_report(x, q_tls_report_hold(x->lease.report)); return Q_X_EV_LEASE_FAILED;
    case Q_LEASE_WAITING: break;
    }
    return Q_X_EV_NONE;
}

static void release_spec(void *spec, struct q_loop *loop) { q_spec_release_on_loop(spec, loop); }

static enum q_exchange_event start_on_connection(struct q_exchange *x) {
    x->conn = x->leased;
    x->leased = NULL;
    x->dossier = NULL;
    x->summary.attempts++;
    x->hop_attempts++;
    x->summary.leased_ns = since_start(x);
    q_watch_enter(x->watch, Q_STAGE_SENDING);
    struct q_conn_request request = {
        .head = q_slice_make(x->spec->head, x->spec->head_len),
        .body = q_slice_make(x->spec->body, x->spec->body_len),
        .reader_flags = x->spec->is_head ? Q_H1_REQUEST_HEAD : Q_H1_REQUEST_PLAIN,
        .upgrade = x->spec->upgrade,
        .asks_close = x->spec->asks_close,
        .may_go_early = !x->avoids_early && q_spec_may_go_early(x->spec),
        .asks_report = x->spec->asks_report,
        .release = release_spec, // a hold of the connection's own: its send may outlive this exchange
        .release_context = q_spec_acquire(x->spec),
    };
    q_conn_start(x->conn, &x->user, &request);
    return Q_X_EV_NONE;
}

// One that came free: the question about another is another's now.
static enum q_exchange_event start_without_answer(struct q_exchange *x) {
    x->sink->unask(x);
    return start_on_connection(x);
}

static enum q_exchange_event go_on_connecting(struct q_exchange *x) {
    q_watch_enter(x->watch, x->lease.is_dialed ? Q_STAGE_CONNECTING : Q_STAGE_QUEUED);
    return Q_X_EV_NONE;
}

static enum q_exchange_event stop_asking(struct q_exchange *x) {
    x->sink->unask(x);
    return go_on_connecting(x);
}

static enum q_exchange_event note_head(struct q_exchange *x) {
    x->summary.head_ns = since_start(x);
    return Q_X_EV_NONE;
}

// What the lost connection said is not the outcome any more; that the peer may have seen the request stays true.
static enum q_exchange_event send_again(struct q_exchange *x) {
    x->is_maybe_processed |= !x->error.retry_safe;
    x->lease.wants_fresh = true; // connections that were idle together die together
    x->error = Q_OK;
    return Q_X_EV_REPLAY;
}

static enum q_exchange_event decide_about_replay(struct q_exchange *x) {
    if (x->hop_attempts >= Q_EXCHANGE_ATTEMPTS_MAX || x->is_last_response_begun) {
        return Q_X_EV_GIVE_UP;
    }
    if (x->error.code == Q_ERR_TIMEOUT_CONNECT || x->error.code == Q_ERR_TIMEOUT_TLS) {
        return Q_X_EV_GIVE_UP; // of a handshake that went on behind the lending: its bound is the request's, and has run out
    }
    bool was_early = x->last_early == Q_TLS_EARLY_SENT && !x->avoids_early;
    x->avoids_early |= was_early; // the handshake failed behind it, maybe because of it (RFC 8446, D.3)
    if (x->error.retry_safe || was_early) {
        return send_again(x);
    }
    if (!x->is_last_reused) {
        return Q_X_EV_GIVE_UP; // a fresh connection that dies says something about the server, not about us
    }
    if (x->spec->is_idempotent) {
        return send_again(x); // bodies are in memory, so each can be sent again from its start
    }
    x->error = q_error_os(Q_ERR_MAYBE_PROCESSED, Q_PHASE_HEAD, x->error.os_errno);
    return Q_X_EV_GIVE_UP;
}

static void drop_spec(struct q_exchange *x, struct q_spec **spec) {
    if (*spec != NULL) {
        q_spec_release_on_loop(*spec, x->loop);
        *spec = NULL;
    }
}

static void sum_up(struct q_exchange *x) {
    uint32_t stage;
    uint64_t stage_ns;
    q_watch_end(x->watch);
    q_watch_read(x->watch, x->loop->now_ns, &stage, &stage_ns, x->summary.spent_ns);
    x->summary.end_ns = since_start(x);
    x->summary.redirects = q_chain_freeze(&x->chain);
    x->summary.redirects_chunk = x->chain.chunk;
    x->summary.num_redirects = x->chain.num_hops;
}

static enum q_exchange_event end(struct q_exchange *x) {
    q_loop_disarm(x->loop, &x->deadline);
    q_loop_unpost(&x->doom);
    x->dossier = NULL;
    sum_up(x);
    if (x->is_maybe_processed) {
        x->error.retry_safe = 0;
    }
    x->summary.error = x->error;
    drop_spec(x, &x->spec);
    drop_spec(x, &x->next);
    struct q_chain chain = x->chain; // the sink has the exchange recycled
    struct q_tls_report *report = x->summary.report;
    struct q_chunk *dials = x->summary.dials = x->lease.dials;
    x->chain = (struct q_chain){0};
    x->sink->ended(x, &x->summary);
    q_chain_release(&chain);
    q_tls_report_drop(report);
    q_dials_drop(dials);
    return Q_X_EV_NONE;
}

static enum q_exchange_event stop_waiting_and_end(struct q_exchange *x) {
    q_pool_cancel(x->pool, &x->lease);
    x->error.retry_safe = 1; // no connection has seen the request, or the last one provably did not
    return end(x);
}

static void abandon(struct q_exchange *x) {
    struct q_conn_progress progress;
    struct q_conn *conn = x->conn;
    x->conn = NULL;
    q_conn_abandon(conn, &progress);
    q_exchange_add_progress(x, &progress);
}

static enum q_exchange_event abandon_and_end(struct q_exchange *x) {
    abandon(x);
    return end(x);
}

// --- upgraded --------------------------------------------------------------------------------------------------------

// What was fed before the peer's end is sent all the same: half of a closed connection still carries.
static enum q_exchange_event start_flushing(struct q_exchange *x) {
    q_watch_enter(x->watch, Q_STAGE_RECEIVING); // bounded as the stream is: a peer that does not read is silent, too
    if (x->sink->stop_feeds(x) == 0) {
        q_loop_post(x->loop, &x->doom);
    }
    return Q_X_EV_NONE;
}

// The peer had ended before: what became of our last bytes is not known, as at any end of a connection.
static enum q_exchange_event end_all_the_same(struct q_exchange *x) {
    x->error = Q_OK;
    return end(x);
}

bool q_exchange_feed(struct q_exchange *x, struct q_feed *feed) {
    if (x->state != Q_X_UPGRADED && x->state != Q_X_FLUSHING) {
        return false;
    }
    q_conn_feed(x->conn, feed);
    return true;
}

// --- redirects -------------------------------------------------------------------------------------------------------

// Ends the exchange, flushed or doomed, or the redirect's body, from the run queue: a connection that is telling us
// something must not be abandoned from inside its own event.
static void meet_doom(struct q_task *task) {
    struct q_exchange *x = q_container_of(task, struct q_exchange, doom);
    if (q_error_is(x->error_of_doom)) {
        q_exchange_cancel(x, x->error_of_doom);
    } else if (x->state == Q_X_DISCARDING) {
        q_exchange_step(x, Q_X_EV_CUT);
    } else if (x->state == Q_X_FLUSHING) {
        q_exchange_step(x, Q_X_EV_FLUSHED);
    }
}

static enum q_exchange_event wait_for_answer(struct q_exchange *x) {
    q_watch_enter(x->watch, Q_STAGE_ASKING);
    return Q_X_EV_NONE;
}

// The connection offers the head once more, and this time it is taken.
static enum q_exchange_event obey_answer(struct q_exchange *x) {
    if (x->answer == Q_ANSWER_STOP) {
        drop_spec(x, &x->next);
    }
    q_watch_enter(x->watch, Q_STAGE_RECEIVING);
    q_conn_resume(x->conn);
    return Q_X_EV_NONE;
}

static enum q_exchange_event start_discarding(struct q_exchange *x) {
    x->discarded = 0;
    x->is_maybe_processed = true; // a server has seen the request, and did something with it
    return Q_X_EV_NONE;
}

static enum q_exchange_event follow(struct q_exchange *x) {
    if (x->next == NULL) {
        return Q_X_EV_NONE; // doomed; the run queue ends it
    }
    q_loop_unpost(&x->doom);
    drop_spec(x, &x->spec);
    x->spec = x->next;
    x->next = NULL;
    x->answer = Q_ANSWER_NONE;
    x->error = Q_OK; // of the redirect's connection, which was not needed any more
    x->summary.status = 0; // nor is its status what the next hop answers
    x->num_redirects += !x->is_too_early;
    x->avoids_early = x->is_too_early; // the same hop once more, or a new one
    x->is_too_early = false;
    x->hop_attempts = 0;
    x->lease.wants_fresh = false;
    return ask_for_connection(x);
}

static enum q_exchange_event cut_and_follow(struct q_exchange *x) {
    abandon(x);
    return follow(x);
}

static enum q_exchange_event ignore(struct q_exchange *x) {
    (void)x;
    return Q_X_EV_NONE;
}

// --- the table ------------------------------------------------------------------------------------------------------

#define GO(state, fn) {.next = (state), .is_legal = true, .action = (fn)}

// Life of one exchange. Rows: where it is. Columns: what happened. An empty cell is a bug, and stops the program.
static const struct transition k_transitions[Q_X_STATES][Q_X_EVENTS] = {
    [Q_X_NEW] = {
        [Q_X_EV_START] = GO(Q_X_LEASING, ask_for_connection),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, end),
    },
    [Q_X_LEASING] = {
        [Q_X_EV_LEASED] = GO(Q_X_AWAITING, start_on_connection),
        [Q_X_EV_LEASE_FAILED] = GO(Q_X_ENDED, end),
        [Q_X_EV_QUESTION] = GO(Q_X_VOUCHING, wait_for_answer),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, stop_waiting_and_end),
    },
    [Q_X_VOUCHING] = {
        [Q_X_EV_ANSWERED] = GO(Q_X_LEASING, go_on_connecting),
        [Q_X_EV_UNASKED] = GO(Q_X_LEASING, stop_asking),
        [Q_X_EV_LEASED] = GO(Q_X_AWAITING, start_without_answer),
        [Q_X_EV_LEASE_FAILED] = GO(Q_X_ENDED, end),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, stop_waiting_and_end),
    },
    [Q_X_AWAITING] = {
        [Q_X_EV_HEAD] = GO(Q_X_RECEIVING, note_head),
        [Q_X_EV_QUESTION] = GO(Q_X_ASKING, wait_for_answer),
        [Q_X_EV_UPGRADE] = GO(Q_X_UPGRADED, note_head),
        [Q_X_EV_REDIRECT] = GO(Q_X_DISCARDING, start_discarding),
        [Q_X_EV_CONN_FAILED] = GO(Q_X_DECIDING, decide_about_replay),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, abandon_and_end),
    },
    [Q_X_ASKING] = {
        [Q_X_EV_ANSWERED] = GO(Q_X_AWAITING, obey_answer),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, abandon_and_end),
    },
    [Q_X_RECEIVING] = {
        [Q_X_EV_END] = GO(Q_X_ENDED, end),
        [Q_X_EV_CONN_FAILED] = GO(Q_X_ENDED, end),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, abandon_and_end),
    },
    [Q_X_UPGRADED] = {
        [Q_X_EV_PEER_END] = GO(Q_X_FLUSHING, start_flushing),
        [Q_X_EV_CONN_FAILED] = GO(Q_X_ENDED, end),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, abandon_and_end),
    },
    [Q_X_FLUSHING] = {
        [Q_X_EV_FLUSHED] = GO(Q_X_ENDED, abandon_and_end),
        [Q_X_EV_CONN_FAILED] = GO(Q_X_ENDED, end_all_the_same),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, abandon_and_end),
    },
    [Q_X_DISCARDING] = {
        [Q_X_EV_END] = GO(Q_X_LEASING, follow),
        [Q_X_EV_CONN_FAILED] = GO(Q_X_LEASING, follow), // its head is all that was wanted of it
        [Q_X_EV_CUT] = GO(Q_X_LEASING, cut_and_follow),
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, abandon_and_end),
    },
    [Q_X_DECIDING] = {
        [Q_X_EV_REPLAY] = GO(Q_X_LEASING, ask_for_connection),
        [Q_X_EV_GIVE_UP] = GO(Q_X_ENDED, end),
    },
    [Q_X_ENDED] = {
        [Q_X_EV_CANCEL] = GO(Q_X_ENDED, ignore), // it lost the race, and nobody is told twice
    },
};

bool q_exchange_allows(enum q_exchange_state state, enum q_exchange_event event) {
    return k_transitions[state][event].is_legal;
}

// The one place where the state changes. `ended` may recycle the exchange, so nothing is read after an action that
// names no further event.
void q_exchange_step(struct q_exchange *x, enum q_exchange_event event) {
    while (event != Q_X_EV_NONE) {
        const struct transition *transition = &k_transitions[x->state][event];
        Q_LOG(x->loop->log, Q_LOG_DEBUG, "exchange %p %s: %s", (void *)x,
              q_exchange_state_name((enum q_exchange_state)x->state), q_exchange_event_name(event));
        Q_CHECK(transition->is_legal);
        x->state = transition->next;
        event = transition->action(x);
    }
}

// --- what core says -------------------------------------------------------------------------------------------------

static void deadline_passed(struct q_timer *timer) {
    static const uint8_t k_phase_of_state[Q_X_STATES] = {
        [Q_X_LEASING] = Q_PHASE_CONNECT, [Q_X_VOUCHING] = Q_PHASE_TLS, [Q_X_AWAITING] = Q_PHASE_HEAD,
        [Q_X_RECEIVING] = Q_PHASE_BODY,
        [Q_X_ASKING] = Q_PHASE_HEAD,    [Q_X_UPGRADED] = Q_PHASE_BODY, [Q_X_FLUSHING] = Q_PHASE_BODY,
        [Q_X_DISCARDING] = Q_PHASE_HEAD};
    struct q_exchange *x = q_container_of(timer, struct q_exchange, deadline);
    q_exchange_cancel(x, q_error_make(Q_ERR_TIMEOUT_TOTAL, k_phase_of_state[x->state]));
}

static void bound_is_over(struct q_watch *watch, struct q_error error) {
    struct q_exchange *x = watch->owner;
    if (x->state == Q_X_VOUCHING) {
        error.phase = Q_PHASE_TLS;
    }
    q_exchange_cancel(x, error);
}

void q_exchange_start(struct q_exchange *x, struct q_loop *loop, struct q_pool *pool,
                      const struct q_exchange_sink *sink, struct q_watch *watch, struct q_spec *spec) {
    *x = (struct q_exchange){
        .user = {.events = &q_exchange_user_events},
        .lease = {.events = &q_exchange_lease_events, .connect_timeout_ns = spec->bounds.connect_ns,
                  .tls_timeout_ns = spec->bounds.tls_ns, .resolve_timeout_ns = spec->bounds.resolve_ns},
        .deadline = {.fired = deadline_passed},
        .doom = {.run = meet_doom},
        .watch = watch,
        .bounds = spec->bounds,
        .sink = sink,
        .loop = loop,
        .pool = pool,
        .spec = spec,
        .started_ns = loop->now_ns,
        .credit = (int64_t)spec->credit,
        .is_credit_manual = spec->is_credit_manual,
        .state = Q_X_NEW,
    };
    q_watch_begin(watch, loop, &x->bounds, bound_is_over, x);
    if (spec->bounds.total_ns > 0) {
        q_loop_arm(loop, &x->deadline, loop->now_ns + spec->bounds.total_ns);
    }
    q_exchange_step(x, Q_X_EV_START);
}

void q_exchange_cancel(struct q_exchange *x, struct q_error error) {
    if (x->state == Q_X_ENDED) {
        return;
    }
    x->error = error;
    q_exchange_step(x, Q_X_EV_CANCEL);
}

void q_exchange_grant(struct q_exchange *x, uint64_t bytes) {
    bool was_out = x->credit <= 0;
    x->credit = bytes > (uint64_t)(INT64_MAX / 2 - x->credit) ? INT64_MAX / 2 : x->credit + (int64_t)bytes;
    if (was_out && x->credit > 0) {
        q_exchange_resume(x);
    }
}

void q_exchange_answer(struct q_exchange *x, enum q_exchange_answer answer) {
    if (x->state != Q_X_ASKING) {
        return;
    }
    if (answer == Q_ANSWER_REFUSE) {
        q_exchange_cancel(x, q_error_make(Q_ERR_REDIRECT_REFUSED, Q_PHASE_HEAD));
        return;
    }
    x->answer = (uint8_t)answer;
    q_exchange_step(x, Q_X_EV_ANSWERED);
}

void q_exchange_answer_connection(struct q_exchange *x, bool is_yes, struct q_slice signature) {
    if (x->state == Q_X_VOUCHING) {
        q_exchange_step(x, Q_X_EV_ANSWERED);
        q_pool_answer(x->pool, &x->lease, is_yes, signature);
    }
}

void q_exchange_resume(struct q_exchange *x) {
    q_exchange_offer_room(x);
    q_exchange_offer_question(x);
    if (x->conn != NULL) {
        if (q_watch_stage(x->watch) == Q_STAGE_PAUSED) {
            q_watch_enter(x->watch, Q_STAGE_RECEIVING); // the silence so far was ours
        }
        q_conn_resume(x->conn);
    }
}
