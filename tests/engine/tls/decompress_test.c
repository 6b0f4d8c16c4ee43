// Compressed certificates: what a good server sends is read, and what a liar does ends the handshake, within bounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tls/decompress.h"
#include "tests/engine/tls/tls_rig.h"

#include <brotli/encode.h>
#include <openssl/bytestring.h>
#include <openssl/ssl.h>
#include <zlib.h>

enum { ROOM = 1 << 20 };

static const uint16_t k_algorithms[] = {Q_DECOMPRESS_ZLIB, Q_DECOMPRESS_BROTLI};

static size_t compressed(uint16_t algorithm, uint8_t *out, const uint8_t *in, size_t in_len) {
    if (algorithm == Q_DECOMPRESS_ZLIB) {
        uLongf len = ROOM;
        assert_int_equal(compress(out, &len, in, in_len), Z_OK);
        return len;
    }
    size_t len = ROOM;
    assert_true(BrotliEncoderCompress(BROTLI_DEFAULT_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_DEFAULT_MODE, in_len, in, &len,
                                      out));
    return len;
}

// --- by itself -----------------------------------------------------------------------------------------------------------

static void all_of_it_and_nothing_else_is_read(void **state) {
    (void)state;
    static uint8_t text[100000], packed[ROOM + 1], out[sizeof text + 1];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)(i * i >> 7);
    }
    for (size_t i = 0; i < 2; i++) {
        uint16_t algorithm = k_algorithms[i];
        size_t len = compressed(algorithm, packed, text, sizeof text);
        assert_true(q_decompress(algorithm, out, sizeof text, packed, len));
        assert_memory_equal(out, text, sizeof text);
        assert_false(q_decompress(algorithm, out, sizeof text - 1, packed, len)); // it is longer than it said,
        assert_false(q_decompress(algorithm, out, sizeof text + 1, packed, len)); // or shorter,
        assert_false(q_decompress(algorithm, out, sizeof text, packed, len - 1)); // cut,
        packed[len] = 0;
        assert_false(q_decompress(algorithm, out, sizeof text, packed, len + 1)); // or has something behind it
        for (size_t cut = 0; cut < 64; cut++) {
            assert_false(q_decompress(algorithm, out, sizeof text, packed, cut));
        }
        memset(packed + len / 2, 0xff, 64);
        assert_false(q_decompress(algorithm, out, sizeof text, packed, len) && memcmp(out, text, sizeof text) == 0);
        assert_false(q_decompress(algorithm, out, 0, packed, 0));
    }
    assert_false(q_decompress(3, out, sizeof text, packed, 10));
}

// Its window alone would be 16 MiB.
static void a_bomb_is_not_unpacked(void **state) {
    (void)state;
    static uint8_t zeros[16 << 20], packed[ROOM], out[1000];
    size_t len = sizeof packed;
    assert_true(BrotliEncoderCompress(BROTLI_DEFAULT_QUALITY, 24, BROTLI_DEFAULT_MODE, sizeof zeros, zeros, &len, packed));
    assert_false(q_decompress(Q_DECOMPRESS_BROTLI, out, sizeof out, packed, len));
    len = compressed(Q_DECOMPRESS_ZLIB, packed, zeros, sizeof zeros);
    assert_false(q_decompress(Q_DECOMPRESS_ZLIB, out, sizeof out, packed, len));
}

// --- in a handshake ------------------------------------------------------------------------------------------------------

// What the server does to the message.
static enum { HONEST, GARBAGE, LONGER, CUT, BOMB } the_lie;
static unsigned the_count; // of messages that it has compressed

static int add(CBB *out, uint16_t algorithm, const uint8_t *in, size_t in_len) {
    static uint8_t packed[ROOM];
    static uint8_t zeros[8 << 20];
    the_count++;
    size_t len = the_lie == BOMB ? compressed(algorithm, packed, zeros, sizeof zeros)
                                 : compressed(algorithm, packed, in, in_len);
    if (the_lie == GARBAGE) {
        memset(packed, 0x5a, len);
    } else if (the_lie == LONGER) {
        packed[len++] = 0;
    } else if (the_lie == CUT) {
        len--;
    }
    return CBB_add_bytes(out, packed, len);
}

static int add_zlib(SSL *ssl, CBB *out, const uint8_t *in, size_t in_len) {
    (void)ssl;
    return add(out, Q_DECOMPRESS_ZLIB, in, in_len);
}

static int add_brotli(SSL *ssl, CBB *out, const uint8_t *in, size_t in_len) {
    (void)ssl;
    return add(out, Q_DECOMPRESS_BROTLI, in, in_len);
}

static struct tls_rig *rig_of(uint16_t algorithm, uint16_t version) {
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = version});
    size_t count;
    const struct q_tls_decompressor *all = q_decompressors(&count);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        assert_true(SSL_CTX_add_cert_compression_alg(rig->client_context, all[i].algorithm, NULL, all[i].decompress));
    }
    assert_true(SSL_CTX_add_cert_compression_alg(SSL_get_SSL_CTX(rig->server), algorithm,
                                                 algorithm == Q_DECOMPRESS_ZLIB ? add_zlib : add_brotli, NULL));
    the_count = 0;
    return rig;
}

static void a_chain_comes_compressed(void **state) {
    (void)state;
    the_lie = HONEST;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = rig_of(k_algorithms[i], 0);
        tls_rig_open(rig);
        assert_int_equal(the_count, 1);
        struct q_slice leaf;
        assert_true(q_tls_stream_peer_certificate(&rig->tls, 0, &leaf));
        assert_true(q_slice_equal(leaf, q_slice_make(rig->leaf->der, rig->leaf->der_len)));
        tls_rig_close(rig);
        tls_rig_free(rig);
        rig = rig_of(k_algorithms[i], TLS1_2_VERSION); // which has no such message
        tls_rig_open(rig);
        assert_int_equal(the_count, 0);
        tls_rig_close(rig);
        tls_rig_free(rig);
    }
}

static void liars_end_the_handshake(void **state) {
    (void)state;
    for (the_lie = GARBAGE; the_lie <= BOMB; the_lie++) {
        for (size_t i = 0; i < 2; i++) {
            struct tls_rig *rig = rig_of(k_algorithms[i], 0);
            tls_rig_connect(rig);
            tls_rig_run(rig);
            assert_int_equal(rig->tls.state, Q_TLS_FAILED);
            assert_int_equal(rig->connect_error.code, Q_ERR_TLS_BAD_CHAIN);
            assert_string_equal(q_tls_stream_why(&rig->tls), "CERT_DECOMPRESSION_FAILED");
            tls_rig_close(rig);
            tls_rig_free(rig);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_and_nothing_else_is_read),
        cmocka_unit_test(a_bomb_is_not_unpacked),
        cmocka_unit_test(a_chain_comes_compressed),
        cmocka_unit_test(liars_end_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
