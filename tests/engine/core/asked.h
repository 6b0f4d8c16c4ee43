// A host that is asked about TLS: configurations with a decision point, what it was asked, and how it answers. Stands on
// host.h, of which there is one, `asked_host`.
//
// Questions are noted as they come, whole, with copies of all they point at; `asked.answer` says what is answered from inside
// the event. The point's release is counted by the point. The test's main thread calls; inline, the loop notes.
#ifndef QUOIT_TESTS_ENGINE_CORE_ASKED_H
#define QUOIT_TESTS_ENGINE_CORE_ASKED_H

#include "tests/engine/core/host.h"

#include "tests/support/certs.h"
#include "tests/support/signer.h"

enum { ASKED_MAX = 64, ASKED_BYTES_MAX = 8192, ASKED_CERTS_MAX = 8, ASKED_STAPLE_MAX = 64 };

// What is answered at once: nothing, quoit_answer's values, or a signature by `asked.signer`.
enum asked_answer { ASKED_LATER = 0, ASKED_YES = 1, ASKED_REFUSE = 3, ASKED_SIGN = 10, ASKED_SIGN_WRONG, ASKED_SIGN_LONG };

struct asked_question {
    uint32_t kind;
    uint64_t token;
    uint64_t user_data;
    struct quoit_handle request;
    void *context;
    int32_t verdict;
    uint16_t port;
    uint16_t algorithm;
    char host[64];
    char verify_name[64];
    size_t num_certs;
    size_t cert_len[ASKED_CERTS_MAX];
    uint8_t certs[ASKED_CERTS_MAX][ASKED_BYTES_MAX]; // of a longer one its beginning
    size_t message_len;
    uint8_t message[ASKED_BYTES_MAX];
    size_t staple_len;
    uint8_t staple[ASKED_STAPLE_MAX];
};

struct asked {
    enum asked_answer answer;
    const struct q_cert *signer;
    bool has_tickets; // configurations that are made resume sessions, about which nothing is asked
    uint32_t num;
    struct asked_question questions[ASKED_MAX];
};

// struct asked_point is a point and how often it was released.
struct asked_point {
    struct quoit_tls_point *point;
    _Atomic(uint32_t) num_released;
    pthread_t released_by;
};

extern struct host asked_host;
extern struct asked asked;

// asked_start forgets all, and starts the host; asked_stop is host_stop.
void asked_start(const struct quoit_engine_options *engine, const struct quoit_port_options *port);

// asked_point_new makes a point with `owner` for its context.
void asked_point_new(struct asked_point *owner);

// asked_verify gives a frozen configuration that trusts `roots` (PEM) and asks; asked_sign one that shows `cert` and has its
// signatures asked for. Release them.
struct quoit_tls *asked_verify(const char *roots, uint32_t ask, struct quoit_tls_point *point);
struct quoit_tls *asked_sign(const char *roots, const struct q_cert *cert, struct quoit_tls_point *point);

// asked_request is a GET by `tls`. `answer_ms` 0: the default.
struct quoit_request *asked_request(const char *url, const struct quoit_tls *tls, uint64_t answer_ms);

// asked_get submits such a GET under `index`.
void asked_get(uint32_t index, const char *url, const struct quoit_tls *tls);

// asked_wait waits until `num` questions have come, and gives the last of them.
const struct asked_question *asked_wait(uint32_t num);

// asked_sign_it answers a question with a signature by `asked.signer`.
int32_t asked_sign_it(const struct asked_question *question);

// asked_come_round lets the loop come round: what it would do by itself, it has done.
void asked_come_round(void);

#endif
