// A signer for tests: it has the key of a client certificate, which the engine has not, and signs what TLS asks it to, as a
// module of hardware or an agent would. What cannot go on aborts the test. Any thread.
#ifndef QUOIT_TESTS_SUPPORT_SIGNER_H
#define QUOIT_TESTS_SUPPORT_SIGNER_H

#include "tests/support/certs.h"

enum { SIGNER_MAX = 1024 };

// signer_sign signs `message` as TLS's `algorithm` says (RFC 8446 section 4.2.3), and gives the length.
size_t signer_sign(const struct q_cert *cert, uint16_t algorithm, const void *message, size_t len,
                   uint8_t out[SIGNER_MAX]);

#endif
