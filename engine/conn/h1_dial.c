// How a connection comes by its socket.
#include "engine/conn/h1_conn_internal.h"

static void drop_dialer(struct q_h1_conn *h1) {
    q_alloc_free(h1->env->dial->alloc, h1->u.dialer, sizeof *h1->u.dialer);
    h1->is_dialing = false;
}

static void on_dialed(struct q_dialer *dialer, struct q_io_slot slot, const struct q_endpoint *remote) {
    struct q_h1_conn *h1 = dialer->above;
    struct q_endpoint copy = *remote;
    drop_dialer(h1);
    q_h1_go_on_with(h1, slot, &copy);
}

static void on_dial_failed(struct q_dialer *dialer, struct q_error error) {
    struct q_h1_conn *h1 = dialer->above;
    q_loop_disarm(h1->env->loop, &h1->timer);
    h1->conn.state = Q_CONN_CLOSING;
    h1->conn.owner->on_connect_failed(&h1->conn, error); // who may look at what was tried
    drop_dialer(h1);
    q_h1_end(h1);
}

static void on_dial_canceled(struct q_dialer *dialer) {
    struct q_h1_conn *h1 = dialer->above;
    drop_dialer(h1);
    q_h1_end(h1);
}

static const struct q_dialer_events k_dialer_events = {
    .on_dialed = on_dialed, .on_failed = on_dial_failed, .on_canceled = on_dial_canceled};

struct q_error q_h1_conn_connect(struct q_h1_conn *h1, const struct q_dial_target *target, uint64_t deadline_ns) {
    Q_CHECK(h1->conn.state == Q_CONN_NEW);
    struct q_dialer *dialer = q_alloc_new(h1->env->dial->alloc, sizeof *dialer);
    if (dialer == NULL) {
        q_h1_drop_tls(h1);
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CONNECT);
    }
    h1->u.dialer = dialer;
    h1->is_dialing = true;
    h1->is_fast_open = (target->options->flags & Q_DIAL_FAST_OPEN) != 0;
    h1->conn.state = Q_CONN_CONNECTING;
    h1->since.deadline_ns = deadline_ns;
    q_loop_arm(h1->env->loop, &h1->timer, deadline_ns);
    dialer->above = h1;
    q_dialer_start(dialer, h1->env->dial, target, &k_dialer_events);
    return Q_OK;
}

uint32_t q_h1_tell_dial(const struct q_conn *conn, struct q_try *out, uint32_t room) {
    const struct q_h1_conn *h1 = q_container_of(conn, const struct q_h1_conn, conn);
    return h1->is_dialing ? q_dialer_tell(h1->u.dialer, out, room) : 0;
}

struct q_error q_h1_dial_timeout(const struct q_conn *conn) {
    const struct q_h1_conn *h1 = q_container_of(conn, const struct q_h1_conn, conn);
    return q_dialer_timeout(h1->is_dialing ? h1->u.dialer : NULL);
}

void q_h1_conn_bound_ahead(struct q_h1_conn *h1, uint64_t handshake_ns, uint64_t deadline_ns) {
    if (h1->tls != NULL) {
        q_tls_stream_bound_ahead(&h1->tls->stream, handshake_ns, deadline_ns);
    }
}
