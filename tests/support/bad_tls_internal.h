// What the two halves of bad_tls share: bad_tls_kinds.c knows what each kind does wrong, bad_tls.c does it on a socket.
// Kinds are constant; anything here may be called by any thread.
#ifndef QUOIT_TESTS_SUPPORT_BAD_TLS_INTERNAL_H
#define QUOIT_TESTS_SUPPORT_BAD_TLS_INTERNAL_H

#include "tests/support/bad_tls.h"

struct ssl_ctx_st;

enum bad_tls_way {
    BAD_TLS_WAY_TLS = 0, // shakes hands, reads a request, answers
    BAD_TLS_WAY_BYTES,   // says `bytes` in place of a ServerHello
    BAD_TLS_WAY_RST,
    BAD_TLS_WAY_NOTHING, // and does not close
};

enum bad_tls_framing { BAD_TLS_BY_LENGTH = 0, BAD_TLS_BY_CHUNKS, BAD_TLS_BY_END, BAD_TLS_NO_ANSWER };

enum bad_tls_end { BAD_TLS_END_NOTIFY = 0, BAD_TLS_END_FIN, BAD_TLS_END_ALERT, BAD_TLS_END_GARBLED };

// How a kind's connections go.
struct bad_tls_row {
    const char *title;
    const char *error; // NULL: none
    enum bad_tls_way way;
    enum bad_tls_framing framing;
    enum bad_tls_end end;
    bool is_half; // of the body
    bool is_cut;  // see bad_tls_is_cut
    const char *bytes;
    size_t bytes_len;
};

const struct bad_tls_row *bad_tls_row(enum bad_tls_kind kind);

// bad_tls_context makes the context of a kind, with its certificates. Free by SSL_CTX_free.
struct ssl_ctx_st *bad_tls_context(enum bad_tls_kind kind, uint16_t version);

#endif
