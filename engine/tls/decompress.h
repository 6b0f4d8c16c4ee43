// Decompress: certificates that a server has compressed (RFC 8879), by zlib and brotli, each where it was built in.
//
// A server chooses what we decompress before anybody knows who it is. So the output has the length that the message said and
// the library has bounded (100 KiB), neither more nor less; nothing may stand behind the compressed data; and a decompressor
// has Q_DECOMPRESS_MEMORY_MAX of memory for its own, which is gone when it returns. Brotli's window may be 16 MiB: a stream
// that wants so much is refused.
//
// Any thread: no state.
#ifndef QUOIT_ENGINE_TLS_DECOMPRESS_H
#define QUOIT_ENGINE_TLS_DECOMPRESS_H

#include "engine/tls/tls_internal.h"

#include <stdbool.h>

#define Q_DECOMPRESS_MEMORY_MAX (UINT32_C(6) << 20) // a window of 4 MiB, as encoders choose it, and what goes with it

#define Q_DECOMPRESS_ZLIB   1 // numbers of RFC 8879 section 7.3
#define Q_DECOMPRESS_BROTLI 2

// q_decompressors gives what there is, the best first.
const struct q_tls_decompressor *q_decompressors(size_t *out_count);

// q_decompress fills `out` exactly, from all of `in`. False: it cannot, or there is no memory. `algorithm` is one that there
// is.
bool q_decompress(uint16_t algorithm, uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len);

#endif
