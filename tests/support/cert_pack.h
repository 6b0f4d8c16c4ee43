// Compressed certificates (RFC 8879), as a server makes them, by encoders that we did not write. Thread-free: no state.
#ifndef QUOIT_TESTS_SUPPORT_CERT_PACK_H
#define QUOIT_TESTS_SUPPORT_CERT_PACK_H

#include <stddef.h>
#include <stdint.h>

enum { CERT_PACK_ZLIB = 1, CERT_PACK_BROTLI = 2 }; // numbers of RFC 8879 section 7.3

// cert_pack compresses `in` into `out`, which has `cap` bytes, and gives the length; 0: it does not fit.
size_t cert_pack(uint16_t algorithm, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len);

#endif
