// BoringSSL inside our library and OpenSSL in the same process: each answers for itself, in either order of loading.
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/boringssl/probe.h"

static const char k_message[] = "the same bytes for both";

// Each library's functions, by name: the test links neither, so that it decides who comes first.
struct openssl {
    void *crypto;
    void *ssl;
    const char *(*version)(int kind);
    unsigned char *(*sha256)(const unsigned char *data, size_t len, unsigned char *out_digest);
    const void *(*tls_method)(void);
    void *(*ctx_new)(const void *method);
    void (*ctx_free)(void *ctx);
};

struct probe {
    void *library;
    void (*init)(void);
    const char *(*version)(void);
    void (*sha256)(const void *data, size_t len, uint8_t out_digest[32]);
    int (*handshake)(const void *data, size_t len);
};

// must_find looks `name` up in `library`. A union, since ISO C has no cast from object to function pointer.
#define MUST_FIND(out_fn, library, name)                                                                               \
    do {                                                                                                               \
        void *found_ = dlsym((library), (name));                                                                       \
        assert_non_null(found_);                                                                                       \
        memcpy(&(out_fn), &found_, sizeof found_);                                                                     \
    } while (0)

// open_openssl loads the system's OpenSSL with all its names in the global scope, where they can do most harm.
static void open_openssl(struct openssl *out_lib) {
    out_lib->crypto = dlopen("libcrypto.so", RTLD_NOW | RTLD_GLOBAL);
    assert_non_null(out_lib->crypto);
    out_lib->ssl = dlopen("libssl.so", RTLD_NOW | RTLD_GLOBAL);
    assert_non_null(out_lib->ssl);
    MUST_FIND(out_lib->version, out_lib->crypto, "OpenSSL_version");
    MUST_FIND(out_lib->sha256, out_lib->crypto, "SHA256");
    MUST_FIND(out_lib->tls_method, out_lib->ssl, "TLS_method");
    MUST_FIND(out_lib->ctx_new, out_lib->ssl, "SSL_CTX_new");
    MUST_FIND(out_lib->ctx_free, out_lib->ssl, "SSL_CTX_free");
}

static void open_probe(struct probe *out_lib) {
    out_lib->library = dlopen("tests/boringssl/libprobe.so", RTLD_NOW | RTLD_GLOBAL);
    if (out_lib->library == NULL) {
        fail_msg("%s", dlerror());
    }
    MUST_FIND(out_lib->init, out_lib->library, "quoit_probe_init");
    MUST_FIND(out_lib->version, out_lib->library, "quoit_probe_version");
    MUST_FIND(out_lib->sha256, out_lib->library, "quoit_probe_sha256");
    MUST_FIND(out_lib->handshake, out_lib->library, "quoit_probe_handshake");
    out_lib->init();
}

// use_both works with each library in turn, and with each again after the other.
static void use_both(const struct openssl *openssl, const struct probe *probe) {
    uint8_t ours[32];
    uint8_t theirs[32];
    for (int turn = 0; turn < 2; turn++) {
        assert_string_equal(probe->version(), "BoringSSL");
        assert_memory_equal(openssl->version(0), "OpenSSL", strlen("OpenSSL"));
        probe->sha256(k_message, sizeof k_message, ours);
        openssl->sha256((const unsigned char *)k_message, sizeof k_message, theirs);
        assert_memory_equal(ours, theirs, sizeof ours);
        void *ctx = openssl->ctx_new(openssl->tls_method());
        assert_non_null(ctx);
        assert_int_equal(probe->handshake(k_message, sizeof k_message), 0);
        openssl->ctx_free(ctx);
    }
}

static void openssl_loaded_first_leaves_boringssl_alone(void **state) {
    (void)state;
    struct openssl openssl;
    struct probe probe;
    open_openssl(&openssl);
    open_probe(&probe);
    use_both(&openssl, &probe);
}

static void openssl_loaded_second_is_left_alone(void **state) {
    (void)state;
    struct openssl openssl;
    struct probe probe;
    open_probe(&probe);
    assert_int_equal(probe.handshake(k_message, sizeof k_message), 0);
    open_openssl(&openssl);
    use_both(&openssl, &probe);
}

// One order per process, since neither library can be unloaded for a second try.
int main(int argc, char **argv) {
    const struct CMUnitTest first[] = {cmocka_unit_test(openssl_loaded_first_leaves_boringssl_alone)};
    const struct CMUnitTest second[] = {cmocka_unit_test(openssl_loaded_second_is_left_alone)};
    if (argc == 2 && strcmp(argv[1], "openssl_second") == 0) {
        return cmocka_run_group_tests(second, NULL, NULL);
    }
    return cmocka_run_group_tests(first, NULL, NULL);
}
