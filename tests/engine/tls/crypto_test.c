// Hashes and codes against published vectors and the library's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "engine/tls/crypto.h"

static void sha256_gives_the_published_digest(void **state) {
    (void)state;
    static const uint8_t k_abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                    0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                    0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t digest[32];
    q_crypto_sha256("abc", 3, digest);
    assert_memory_equal(digest, k_abc, 32);
    struct q_sha256 sha256;
    q_sha256_start(&sha256);
    q_sha256_add(&sha256, "a", 1);
    q_sha256_add(&sha256, "bc", 2);
    q_sha256_end(&sha256, digest);
    assert_memory_equal(digest, k_abc, 32);
    for (size_t i = 0; i < sizeof sha256; i++) {
        assert_int_equal(sha256.state[i], 0); // it may have been a secret
    }
}

static void the_code_is_hmac_for_every_length_of_key(void **state) {
    (void)state;
    uint8_t key[200];
    uint8_t text[300];
    memset(key, 0xaa, sizeof key);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)(i * 7);
    }
    for (size_t key_len = 0; key_len <= sizeof key; key_len++) {
        uint8_t ours[32];
        uint8_t theirs[32];
        unsigned theirs_len = 0;
        size_t len = key_len % sizeof text;
        struct q_mac mac;
        q_mac_start(&mac, key, key_len);
        q_mac_add(&mac, text, len / 2);
        q_mac_add(&mac, text + len / 2, len - len / 2);
        q_mac_end(&mac, ours);
        assert_non_null(HMAC(EVP_sha256(), key, key_len, text, len, theirs, &theirs_len));
        assert_memory_equal(ours, theirs, 32);
    }
}

static void a_keyed_code_is_stable_in_a_process_and_not_without_the_key(void **state) {
    (void)state;
    uint8_t one[32];
    uint8_t two[32];
    uint8_t unkeyed[32];
    struct q_mac mac;
    q_mac_start_keyed(&mac);
    q_mac_end(&mac, one);
    q_mac_start_keyed(&mac);
    q_mac_end(&mac, two);
    static const uint8_t k_zeros[32];
    q_mac_start(&mac, k_zeros, sizeof k_zeros);
    q_mac_end(&mac, unkeyed);
    assert_memory_equal(one, two, 32);
    assert_memory_not_equal(one, unkeyed, 32); // the key was drawn
}

static void equal_looks_at_every_byte(void **state) {
    (void)state;
    uint8_t a[40];
    uint8_t b[40];
    memset(a, 5, sizeof a);
    memset(b, 5, sizeof b);
    assert_true(q_crypto_equal(a, b, sizeof a));
    assert_true(q_crypto_equal(a, b, 0));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 0x80;
        assert_false(q_crypto_equal(a, b, sizeof a));
        b[i] ^= 0x80;
    }
}

static void random_bytes_differ_also_in_a_child(void **state) {
    (void)state;
    uint8_t one[32];
    uint8_t two[32];
    uint8_t child[32];
    int ends[2];
    q_crypto_random(one, sizeof one);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        q_crypto_random(child, sizeof child);
        _exit(write(ends[1], child, sizeof child) == sizeof child ? 0 : 1);
    }
    q_crypto_random(two, sizeof two);
    assert_int_equal(read(ends[0], child, sizeof child), sizeof child);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ends[0]);
    close(ends[1]);
    assert_memory_not_equal(one, two, 32);
    assert_memory_not_equal(two, child, 32);
}

static void *digest_keyed(void *context) {
    struct q_mac mac;
    q_crypto_init();
    q_mac_start_keyed(&mac);
    q_mac_end(&mac, context);
    return NULL;
}

// The first test of this program, so that these threads are the first to come.
static void many_threads_may_be_the_first(void **state) {
    (void)state;
    pthread_t threads[8];
    uint8_t digests[8][32];
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, digest_keyed, digests[i]), 0);
    }
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_memory_equal(digests[i], digests[0], 32);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_may_be_the_first),
        cmocka_unit_test(sha256_gives_the_published_digest),
        cmocka_unit_test(the_code_is_hmac_for_every_length_of_key),
        cmocka_unit_test(a_keyed_code_is_stable_in_a_process_and_not_without_the_key),
        cmocka_unit_test(equal_looks_at_every_byte),
        cmocka_unit_test(random_bytes_differ_also_in_a_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
