// A verdict on a chain of certificates (verify.h), and words about the one that it is about, for people: whose it is, who
// vouches for it, and what of it does not fit. All of it comes from the certificate, and so from whoever sent it: names are
// written as RFC 4514 has them, printable ASCII alone, everything else escaped, and cut where they are too long.
//
// Thread-free: no state.
#ifndef QUOIT_ENGINE_TLS_VERIFY_WORDS_H
#define QUOIT_ENGINE_TLS_VERIFY_WORDS_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

struct x509_st;

#define Q_VERIFY_WORDS_MAX 256 // of each text below, its NUL included; what is longer is cut

struct q_verify_verdict {
    struct q_error error; // the kind; Q_OK: all that was demanded is there
    int32_t reason;       // the library's number for it, 0 when the kind says all; see q_verify_reason
    int32_t depth;        // of the certificate that it is about, the leaf is 0
    uint8_t alert;        // what TLS tells the server

    // Of a failure, for people: printable ASCII; "" when nothing is known.
    char subject[Q_VERIFY_WORDS_MAX]; // whose the certificate is ("CN=a,O=b")
    char issuer[Q_VERIFY_WORDS_MAX];  // who vouches for it
    char more[Q_VERIFY_WORDS_MAX];    // what of it does not fit
};

// q_verify_words fills in who `verdict`, of a failure, is about: `cert`, NULL when it could not be read. `name` is what was
// wanted.
void q_verify_words(const struct x509_st *cert, struct q_slice name, struct q_verify_verdict *verdict);

// q_verify_reason gives the library's sentence for a verdict, "" when the kind says all. The string is constant.
const char *q_verify_reason(const struct q_verify_verdict *verdict);

#endif
