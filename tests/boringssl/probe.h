// A stand-in for Quoit's TLS: BoringSSL folded into a library of its own, behind three exported functions.
//
// Thread-free. Nothing to set up or to tear down but quoit_probe_init, which comes first.
#ifndef QUOIT_TESTS_BORINGSSL_PROBE_H
#define QUOIT_TESTS_BORINGSSL_PROBE_H

#include <stddef.h>
#include <stdint.h>

#define QUOIT_PROBE_API __attribute__((visibility("default")))

// quoit_probe_init does what the static initialiser would have done, had BoringSSL been built with it.
QUOIT_PROBE_API void quoit_probe_init(void);

// quoit_probe_version returns the name that the TLS library gives itself. Constant.
QUOIT_PROBE_API const char *quoit_probe_version(void);

// quoit_probe_sha256 hashes `len` bytes at `data` into `out_digest`.
QUOIT_PROBE_API void quoit_probe_sha256(const void *data, size_t len, uint8_t out_digest[32]);

// quoit_probe_handshake runs a TLS 1.3 handshake with itself in memory, on a certificate made for it, and sends `len`
// bytes through. It returns 0, or the number of the step that failed.
QUOIT_PROBE_API int quoit_probe_handshake(const void *data, size_t len);

#endif
