#include "engine/conn/h1_conn_internal.h"

#define MEMORY_RETRY_NS (10 * Q_NS_PER_MS) // what frees memory is somebody else's release, and nobody is told

static void tell_owner(struct q_h1_conn *h1) {
    struct q_loop *loop = h1->env->loop;
    struct q_h1_ask *ask = &h1->tls->ask;
    h1->conn.dossier =
        q_tls_dossier_new(&h1->env->tls->dossiers, &h1->tls->stream, &ask->question, ask->host, ask->port);
    if (h1->conn.dossier == NULL) {
        uint64_t retry_ns = loop->now_ns + MEMORY_RETRY_NS;
        q_loop_arm(loop, &h1->timer, retry_ns < h1->since.deadline_ns ? retry_ns : h1->since.deadline_ns);
        return;
    }
    ask->asked_ns = loop->now_ns;
    q_loop_disarm(loop, &h1->timer);
    h1->conn.owner->on_question(&h1->conn);
}

void q_h1_ask(struct q_h1_conn *h1, const struct q_tls_question *question) {
    Q_CHECK(h1->conn.state == Q_CONN_CONNECTING && h1->conn.dossier == NULL);
    h1->tls->ask.question = *question;
    tell_owner(h1);
}

bool q_h1_ask_again(struct q_h1_conn *h1) {
    bool waits = h1->tls != NULL && h1->tls->ask.question.kind != Q_TLS_ASK_NOTHING && h1->conn.dossier == NULL;
    if (!waits || h1->env->loop->now_ns >= h1->since.deadline_ns) {
        return false;
    }
    tell_owner(h1);
    return true;
}

void q_h1_ask_answer(struct q_h1_conn *h1, bool is_yes, struct q_slice signature) {
    if (h1->conn.dossier == NULL) {
        return;
    }
    struct q_h1_ask *ask = &h1->tls->ask;
    bool is_sign = ask->question.kind == Q_TLS_ASK_SIGN;
    h1->since.deadline_ns += h1->env->loop->now_ns - ask->asked_ns; // the host's silence is not the server's
    q_loop_arm(h1->env->loop, &h1->timer, h1->since.deadline_ns);
    q_h1_ask_drop(h1);
    if (is_sign) {
        q_tls_stream_answer_sign(&h1->tls->stream, is_yes ? signature : (struct q_slice){0});
    } else {
        q_tls_stream_answer_verify(&h1->tls->stream, is_yes);
    }
}

void q_h1_ask_drop(struct q_h1_conn *h1) {
    q_tls_dossier_release(h1->conn.dossier);
    h1->conn.dossier = NULL;
    if (h1->tls != NULL) {
        h1->tls->ask.question = (struct q_tls_question){0};
    }
}
