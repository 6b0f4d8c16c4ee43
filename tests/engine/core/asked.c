#include "tests/engine/core/asked.h"

#include <sched.h>

struct host asked_host;
struct asked asked;

static size_t copy(void *out, size_t max, const void *data, size_t len) {
    assert_true(len <= max);
    if (len > 0) {
        memcpy(out, data, len);
    }
    return len;
}

static void note(struct asked_question *out, const struct quoit_event *event) {
    const struct quoit_question *question = &event->u.question;
    *out = (struct asked_question){
        .kind = question->kind,
        .token = question->token,
        .user_data = event->user_data,
        .request = event->request,
        .context = question->context,
        .verdict = question->verdict,
        .port = question->port,
        .algorithm = question->algorithm,
        .num_certs = question->certificates.count,
    };
    out->staple_len = copy(out->staple, ASKED_STAPLE_MAX, question->staple.data, question->staple.len);
    assert_true(out->num_certs <= ASKED_CERTS_MAX);
    copy(out->host, sizeof out->host - 1, question->host, question->host_len);
    copy(out->verify_name, sizeof out->verify_name - 1, question->verify_name, question->verify_name_len);
    out->message_len = copy(out->message, ASKED_BYTES_MAX, question->message, question->message_len);
    for (size_t i = 0; i < out->num_certs; i++) {
        const struct quoit_der *der = &question->certificates.list[i];
        out->cert_len[i] = der->len;
        copy(out->certs[i], ASKED_BYTES_MAX, der->data, der->len < ASKED_BYTES_MAX ? der->len : ASKED_BYTES_MAX);
    }
}

int32_t asked_sign_it(const struct asked_question *question) {
    uint8_t signature[SIGNER_MAX];
    size_t len = signer_sign(asked.signer, question->algorithm, question->message, question->message_len, signature);
    return quoit_answer_signature(asked_host.engine, question->token, signature, len);
}

static int32_t answer(const struct asked_question *question) {
    static const uint8_t k_long[1000] = {1};
    switch (asked.answer) {
    case ASKED_LATER: return QUOIT_OK;
    case ASKED_YES:
    case ASKED_REFUSE: return quoit_answer(asked_host.engine, question->token, (uint32_t)asked.answer);
    case ASKED_SIGN: return asked_sign_it(question);
    case ASKED_SIGN_WRONG: return quoit_answer_signature(asked_host.engine, question->token, k_long, 64);
    case ASKED_SIGN_LONG: return quoit_answer_signature(asked_host.engine, question->token, k_long, sizeof k_long);
    }
    return QUOIT_ERR_INVALID_ARGUMENT;
}

static void on_event(struct host *host, const struct quoit_event *event) {
    (void)host;
    if (event->type != QUOIT_EVENT_QUESTION) {
        return;
    }
    assert_true(asked.num < ASKED_MAX);
    struct asked_question *question = &asked.questions[asked.num];
    note(question, event);
    __atomic_store_n(&asked.num, asked.num + 1, __ATOMIC_RELEASE);
    assert_int_equal(answer(question), QUOIT_OK);
}

void asked_start(const struct quoit_engine_options *engine, const struct quoit_port_options *port) {
    memset(&asked, 0, sizeof asked);
    host_start(&asked_host, engine, port);
    asked_host.on_event = on_event;
}

static void count_release(void *context) {
    struct asked_point *owner = context;
    owner->released_by = pthread_self();
    __atomic_fetch_add(&owner->num_released, 1, __ATOMIC_RELEASE);
}

void asked_point_new(struct asked_point *owner) {
    memset(owner, 0, sizeof *owner);
    assert_int_equal(quoit_tls_point_new(owner, count_release, &owner->point), QUOIT_OK);
}

static struct quoit_tls *begin(const char *roots) {
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, roots, strlen(roots)), QUOIT_OK);
    assert_int_equal(quoit_tls_set_switch(tls, QUOIT_TLS_TICKETS, asked.has_tickets), QUOIT_OK);
    return tls;
}

struct quoit_tls *asked_verify(const char *roots, uint32_t ask, struct quoit_tls_point *point) {
    struct quoit_tls *tls = begin(roots);
    assert_int_equal(quoit_tls_set_verify_question(tls, ask, point), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

struct quoit_tls *asked_sign(const char *roots, const struct q_cert *cert, struct quoit_tls_point *point) {
    struct quoit_tls *tls = begin(roots);
    assert_int_equal(quoit_tls_set_sign_question(tls, QUOIT_TLS_MEMORY, cert->pem, strlen(cert->pem), point), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

struct quoit_request *asked_request(const char *url, const struct quoit_tls *tls, uint64_t answer_ms) {
    struct quoit_request *request = host_request("GET", url);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .answer_ms = answer_ms};
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    return request;
}

void asked_get(uint32_t index, const char *url, const struct quoit_tls *tls) {
    host_submit(&asked_host, index, asked_request(url, tls, 0));
}

const struct asked_question *asked_wait(uint32_t num) {
    // On a loop thread of its own a question is noted behind its record, which is what host_step waits for.
    bool is_elsewhere = asked_host.port_mode == QUOIT_PORT_INLINE && asked_host.engine_mode == QUOIT_ENGINE_THREAD;
    while (__atomic_load_n(&asked.num, __ATOMIC_ACQUIRE) < num) {
        if (is_elsewhere) {
            sched_yield();
        } else {
            host_step(&asked_host);
        }
    }
    return &asked.questions[num - 1];
}

void asked_come_round(void) {
    for (int i = 0; i < 3; i++) {
        struct quoit_port port;
        assert_int_equal(quoit_port_create(asked_host.engine, NULL, &port), QUOIT_OK);
    }
}
