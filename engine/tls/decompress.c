#include "engine/tls/decompress.h"

#include "engine/base/alloc.h"
#include "engine/base/check.h"

#include <openssl/pool.h>
#ifndef Q_WITHOUT_BROTLI
#include <brotli/decode.h>
#endif
#ifndef Q_WITHOUT_ZLIB
#include <zlib.h>
#endif

// --- a decompressor's own memory ---------------------------------------------------------------------------------------

struct memory {
    size_t left;
};

struct block {
    size_t size; // of all of it
    _Alignas(16) char bytes[];
};

__attribute__((unused)) static void *allocate(void *opaque, size_t size) {
    struct memory *memory = opaque;
    if (size > memory->left || memory->left - size < sizeof(struct block)) {
        return NULL;
    }
    struct block *block = q_alloc_new(q_alloc_libc(), sizeof *block + size);
    if (block == NULL) {
        return NULL;
    }
    block->size = sizeof *block + size;
    memory->left -= block->size;
    return block->bytes;
}

__attribute__((unused)) static void release(void *opaque, void *bytes) {
    struct memory *memory = opaque;
    if (bytes != NULL) {
        struct block *block = q_container_of(bytes, struct block, bytes);
        memory->left += block->size;
        q_alloc_free(q_alloc_libc(), block, block->size);
    }
}

// --- brotli ------------------------------------------------------------------------------------------------------------

#ifndef Q_WITHOUT_BROTLI
static bool from_brotli(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len) {
    struct memory memory = {.left = Q_DECOMPRESS_MEMORY_MAX};
    BrotliDecoderState *state = BrotliDecoderCreateInstance(allocate, release, &memory);
    if (state == NULL) {
        return false;
    }
    BrotliDecoderResult result = BrotliDecoderDecompressStream(state, &in_len, &in, &out_len, &out, NULL);
    BrotliDecoderDestroyInstance(state);
    return result == BROTLI_DECODER_RESULT_SUCCESS && in_len == 0 && out_len == 0;
}
#endif

// --- zlib --------------------------------------------------------------------------------------------------------------

#ifndef Q_WITHOUT_ZLIB
static void *allocate_items(void *opaque, unsigned count, unsigned size) { return allocate(opaque, (size_t)count * size); }

static bool from_zlib(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len) {
    struct memory memory = {.left = Q_DECOMPRESS_MEMORY_MAX};
    z_stream stream = {.zalloc = allocate_items,
                       .zfree = release,
                       .opaque = &memory,
                       .next_in = (Bytef *)(uintptr_t)in,
                       .avail_in = (uInt)in_len,
                       .next_out = out,
                       .avail_out = (uInt)out_len};
    if (in_len > UINT32_MAX || out_len > UINT32_MAX || inflateInit(&stream) != Z_OK) {
        return false;
    }
    int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return result == Z_STREAM_END && stream.avail_in == 0 && stream.avail_out == 0;
}
#endif

// --- for the library -----------------------------------------------------------------------------------------------------

bool q_decompress(uint16_t algorithm, uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len) {
    (void)out, (void)out_len, (void)in, (void)in_len; // where neither is built in
    switch (algorithm) {
#ifndef Q_WITHOUT_BROTLI
    case Q_DECOMPRESS_BROTLI: return from_brotli(out, out_len, in, in_len);
#endif
#ifndef Q_WITHOUT_ZLIB
    case Q_DECOMPRESS_ZLIB: return from_zlib(out, out_len, in, in_len);
#endif
    default: return false;
    }
}

__attribute__((unused)) static int decompress(uint16_t algorithm, CRYPTO_BUFFER **out, size_t out_len,
                                               const uint8_t *in, size_t in_len) {
    uint8_t *bytes = NULL;
    CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_alloc(&bytes, out_len);
    if (buffer == NULL || !q_decompress(algorithm, bytes, out_len, in, in_len)) {
        CRYPTO_BUFFER_free(buffer);
        return 0;
    }
    *out = buffer;
    return 1;
}

#ifndef Q_WITHOUT_BROTLI
static int by_brotli(SSL *ssl, CRYPTO_BUFFER **out, size_t out_len, const uint8_t *in, size_t in_len) {
    (void)ssl;
    return decompress(Q_DECOMPRESS_BROTLI, out, out_len, in, in_len);
}
#endif

#ifndef Q_WITHOUT_ZLIB
static int by_zlib(SSL *ssl, CRYPTO_BUFFER **out, size_t out_len, const uint8_t *in, size_t in_len) {
    (void)ssl;
    return decompress(Q_DECOMPRESS_ZLIB, out, out_len, in, in_len);
}
#endif

const struct q_tls_decompressor *q_decompressors(size_t *out_count) {
    static const struct q_tls_decompressor k_all[] = {
#ifndef Q_WITHOUT_BROTLI
        {Q_DECOMPRESS_BROTLI, by_brotli},
#endif
#ifndef Q_WITHOUT_ZLIB
        {Q_DECOMPRESS_ZLIB, by_zlib},
#endif
        {0, NULL},
    };
    *out_count = Q_COUNT_OF(k_all) - 1;
    return k_all;
}
