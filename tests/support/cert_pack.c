#include "tests/support/cert_pack.h"

#include <brotli/encode.h>
#include <zlib.h>

size_t cert_pack(uint16_t algorithm, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len) {
    if (algorithm == CERT_PACK_ZLIB) {
        uLongf len = cap;
        return compress(out, &len, in, in_len) == Z_OK ? len : 0;
    }
    size_t len = cap;
    BROTLI_BOOL is_done = BrotliEncoderCompress(
        BROTLI_DEFAULT_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_DEFAULT_MODE, in_len, in, &len, out);
    return is_done ? len : 0;
}
