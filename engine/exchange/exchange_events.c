#include "engine/exchange/exchange_internal.h"

static struct q_exchange *exchange_of_user(struct q_conn_user *user) {
    return q_container_of(user, struct q_exchange, user);
}

void q_exchange_note_report(struct q_exchange *x, struct q_tls_report *report) {
    q_tls_report_drop(x->summary.report);
    x->summary.report = report;
}

void q_exchange_add_progress(struct q_exchange *x, const struct q_conn_progress *progress) {
    x->summary.bytes_in += progress->bytes_in;
    x->summary.bytes_out += progress->bytes_out;
    x->summary.connection_id = progress->connection_id;
    x->summary.remote = progress->remote;
    x->summary.local = x->spec->origin.local; // a part of the connection's identity
    x->summary.is_reused = progress->is_reused;
    x->summary.tls = progress->tls;
    q_exchange_note_report(x, progress->report);
}

static void doom(struct q_exchange *x, struct q_error error) {
    x->error_of_doom = error;
    q_loop_post(x->loop, &x->doom);
}

// What becomes of a final head.
enum verdict {
    VERDICT_DELIVER,
    VERDICT_FOLLOW,
    VERDICT_WAIT, // for the host's answer, or for room to ask it
};

// Makes the next hop, once however often the head is offered.
static struct q_error prepare_hop(struct q_exchange *x, uint16_t status, struct q_slice location) {
    if (x->next != NULL) {
        return Q_OK;
    }
    return x->num_redirects < x->spec->redirects_max
               ? q_redirect_next(x->spec, status, location, &x->next)
               : q_error_make(Q_ERR_TOO_MANY_REDIRECTS, Q_PHASE_HEAD);
}

static void ask(struct q_exchange *x, uint16_t status) {
    if (x->sink->ask(x, status, x->next, x->num_redirects + 1)) {
        q_exchange_step(x, Q_X_EV_QUESTION);
    } else {
        q_watch_enter(x->watch, Q_STAGE_PAUSED);
    }
}

// What makes a redirect impossible to follow dooms the exchange; the host is asked only about what can be followed.
static enum verdict judge(struct q_exchange *x, const struct q_h1_out *out) {
    struct q_slice location;
    if (x->answer == Q_ANSWER_STOP || x->spec->redirects_max == 0 || !q_redirect_is(out->status)) {
        return VERDICT_DELIVER;
    }
    struct q_error error = q_redirect_location(out->headers, &location);
    if (!q_error_is(error) && location.ptr == NULL) {
        return VERDICT_DELIVER;
    }
    error = q_error_is(error) ? error : prepare_hop(x, out->status, location);
    if (q_error_is(error)) {
        doom(x, error);
        return VERDICT_FOLLOW;
    }
    if (x->spec->asks_redirects && x->answer == Q_ANSWER_NONE) {
        ask(x, out->status);
        return VERDICT_WAIT;
    }
    const struct q_conn_env *env = x->pool->env;
    q_chain_add(&x->chain, env->small_chunks, env->head_chunks, out->status, x->next->url.href);
    return VERDICT_FOLLOW;
}

void q_exchange_offer_room(struct q_exchange *x) {
    if (x->is_room_due && x->state == Q_X_UPGRADED) {
        x->is_room_due = !x->sink->room(x);
    }
}

// --- what the connection says ---------------------------------------------------------------------------------------

static bool on_informational(struct q_conn_user *user, const struct q_h1_out *out, struct q_chunk *chunk) {
    struct q_exchange *x = exchange_of_user(user);
    return x->sink->informational(x, out, chunk);
}

static bool on_head(struct q_conn_user *user, const struct q_h1_out *out, struct q_chunk *chunk) {
    struct q_exchange *x = exchange_of_user(user);
    if (x->state == Q_X_ASKING) {
        return false; // offered again because of credit or room, not of the answer
    }
    x->summary.status = out->status;
    if (out->status == 425 && !x->avoids_early && q_conn_went_early(x->conn)) { // else it is the host's
        x->is_too_early = true;
        x->next = q_spec_acquire(x->spec);
        q_exchange_step(x, Q_X_EV_REDIRECT);
        return true;
    }
    enum verdict verdict = judge(x, out);
    if (verdict == VERDICT_WAIT) {
        return false;
    }
    if (verdict == VERDICT_FOLLOW) {
        q_exchange_step(x, Q_X_EV_REDIRECT);
        return true;
    }
    if (!x->sink->head(x, out, chunk)) {
        q_watch_enter(x->watch, Q_STAGE_PAUSED);
        return false;
    }
    if (out->status == 101) {
        q_exchange_step(x, Q_X_EV_UPGRADE);
        return true;
    }
    q_exchange_step(x, Q_X_EV_HEAD);
    uint64_t most = x->bounds.body_bytes_max;
    if (most > 0 && out->body == Q_H1_BODY_LENGTH && out->content_length > most) {
        doom(x, q_error_make(Q_ERR_BODY_TOO_LARGE, Q_PHASE_HEAD));
    }
    return true;
}

static bool on_data(struct q_conn_user *user, struct q_slice data, struct q_chunk *chunk) {
    struct q_exchange *x = exchange_of_user(user);
    if (x->state == Q_X_DISCARDING) {
        x->discarded += data.len;
        if (x->discarded > Q_EXCHANGE_DISCARD_MAX) {
            q_loop_post(x->loop, &x->doom);
        }
        return true;
    }
    if (q_error_is(x->error_of_doom)) {
        return false; // nothing more is told; the run queue ends it
    }
    bool is_body = x->state != Q_X_UPGRADED; // a stream has no end that a bound could be about
    if (is_body && x->bounds.body_bytes_max > 0 && data.len > x->bounds.body_bytes_max - x->body_bytes) {
        doom(x, q_error_make(Q_ERR_BODY_TOO_LARGE, Q_PHASE_BODY));
        return false;
    }
    bool was_taken = x->sink->data(x, data, chunk);
    if (was_taken) {
        x->body_bytes += data.len;
    } else {
        q_watch_enter(x->watch, Q_STAGE_PAUSED);
    }
    return was_taken;
}

static bool on_trailers(struct q_conn_user *user, const struct q_headers *trailers, struct q_chunk *chunk) {
    struct q_exchange *x = exchange_of_user(user);
    return x->state == Q_X_DISCARDING || x->sink->trailers(x, trailers, chunk);
}

static void on_peer_end(struct q_conn_user *user) { q_exchange_step(exchange_of_user(user), Q_X_EV_PEER_END); }

static void on_fed(struct q_conn_user *user, uint64_t bytes) {
    struct q_exchange *x = exchange_of_user(user);
    uint64_t left;
    x->is_room_due |= x->sink->fed(x, bytes, &left);
    q_exchange_offer_room(x);
    if (x->state != Q_X_FLUSHING) {
        return;
    }
    q_watch_bytes(x->watch, bytes); // nothing else can be a sign of life now
    if (left == 0) {
        q_loop_post(x->loop, &x->doom);
    }
}

static void on_end(struct q_conn_user *user, const struct q_conn_progress *progress) {
    struct q_exchange *x = exchange_of_user(user);
    q_exchange_add_progress(x, progress);
    x->conn = NULL;
    q_exchange_step(x, Q_X_EV_END);
}

static void on_failed(struct q_conn_user *user, struct q_error error, const struct q_conn_progress *progress) {
    struct q_exchange *x = exchange_of_user(user);
    q_exchange_add_progress(x, progress);
    x->conn = NULL;
    x->error = error;
    x->is_last_reused = progress->is_reused;
    x->last_early = progress->tls.early;
    x->is_last_response_begun = progress->has_response_begun;
    q_exchange_step(x, Q_X_EV_CONN_FAILED);
}

static void on_sent(struct q_conn_user *user) {
    struct q_exchange *x = exchange_of_user(user);
    if (q_watch_stage(x->watch) == Q_STAGE_SENDING) {
        q_watch_enter(x->watch, Q_STAGE_AWAITING); // else the answer has begun before the request was out
    }
}

static void on_bytes(struct q_conn_user *user, size_t len) {
    struct q_exchange *x = exchange_of_user(user);
    q_watch_enter(x->watch, Q_STAGE_RECEIVING);
    q_watch_bytes(x->watch, len);
}

static uint32_t wants(struct q_conn_user *user) {
    struct q_exchange *x = exchange_of_user(user);
    if (x->state == Q_X_DISCARDING) {
        return Q_EXCHANGE_DISCARD_MAX;
    }
    if (x->credit <= 0) {
        q_watch_enter(x->watch, Q_STAGE_PAUSED);
        return 0;
    }
    return x->credit < UINT32_MAX ? (uint32_t)x->credit : UINT32_MAX;
}

const struct q_conn_user_events q_exchange_user_events = {
    .on_informational = on_informational, .on_head = on_head, .on_data = on_data, .on_trailers = on_trailers,
    .on_peer_end = on_peer_end, .on_fed = on_fed, .on_end = on_end, .on_failed = on_failed, .on_sent = on_sent,
    .on_bytes = on_bytes, .wants = wants,
};

// --- what the pool says ---------------------------------------------------------------------------------------------

static void on_leased(struct q_lease *lease, struct q_conn *conn) {
    struct q_exchange *x = q_container_of(lease, struct q_exchange, lease);
    x->leased = conn;
    q_exchange_step(x, Q_X_EV_LEASED);
}

static void on_lease_failed(struct q_lease *lease, struct q_error error) {
    struct q_exchange *x = q_container_of(lease, struct q_exchange, lease);
    x->error = error;
    q_exchange_note_report(x, q_tls_report_hold(lease->report));
    q_exchange_step(x, Q_X_EV_LEASE_FAILED);
}

static void on_dialing(struct q_lease *lease, bool is_dialed) {
    struct q_exchange *x = q_container_of(lease, struct q_exchange, lease);
    if (x->state != Q_X_VOUCHING) {
        q_watch_enter(x->watch, is_dialed ? Q_STAGE_CONNECTING : Q_STAGE_QUEUED);
    }
}

// Like a piece of body, a question waits for room in the port.
void q_exchange_offer_question(struct q_exchange *x) {
    if (x->dossier == NULL) {
        return;
    }
    if (!x->sink->ask_connection(x, x->dossier)) {
        q_watch_enter(x->watch, Q_STAGE_PAUSED);
        return;
    }
    x->dossier = NULL;
    q_exchange_step(x, Q_X_EV_QUESTION);
}

static void on_question(struct q_lease *lease, struct q_tls_dossier *dossier) {
    struct q_exchange *x = q_container_of(lease, struct q_exchange, lease);
    x->dossier = dossier;
    q_exchange_offer_question(x);
}

static void on_unasked(struct q_lease *lease) {
    struct q_exchange *x = q_container_of(lease, struct q_exchange, lease);
    x->dossier = NULL;
    if (x->state == Q_X_VOUCHING) {
        q_exchange_step(x, Q_X_EV_UNASKED);
    }
}

const struct q_lease_events q_exchange_lease_events = {
    .on_leased = on_leased, .on_failed = on_lease_failed, .on_dialing = on_dialing,
    .on_question = on_question,
    .on_unasked = on_unasked,
};
