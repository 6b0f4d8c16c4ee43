// What an idle TLS connection holds, counted by the allocator: what comes free when it is closed, and its own struct.
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/net/socket_stream.h"
#include "tests/engine/tls/tls_rig.h"

#include <openssl/ssl.h>

enum { IDLE_BYTES_MAX = 8192 };

// Of a connection that has answered once, has taken its tickets and has a receive asked for.
static size_t idle_bytes(uint16_t version) {
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    struct q_certs_spec spec = {.alt_names = "DNS:a.example", .key = Q_CERTS_RSA_2048};
    struct q_cert *leaf = q_certs_make(rig->middle, &spec);
    tls_rig_free(rig);
    rig = tls_rig_new(&(struct tls_rig_options){.version = version, .leaf = leaf});
    rig->asks = Q_STREAM_RECV_ANY;
    rig->send_at_connect = "GET";
    tls_rig_open(rig);
    tls_rig_say(rig, "answer", 6, 0);
    tls_rig_run(rig);
    SSL_SESSION_free(rig->session); // the caller's, were it kept
    rig->session = NULL;
    assert_int_equal(rig->pool.num_out, 0);
    assert_int_equal(rig->wire_pool.num_out, 0);
    rig->options.holds_sends = true; // the server, which shares the heap, shall hear nothing of it
    size_t before = mallinfo2().uordblks;
    q_stream_close(&rig->tls.stream);
    size_t bytes = before - mallinfo2().uordblks + sizeof(struct q_tls_stream) + sizeof(struct q_socket_stream);
    tls_rig_run(rig);
    tls_rig_free(rig);
    q_certs_free(leaf);
    return bytes;
}

static void an_idle_connection_holds_at_most_8_kib(void **state) {
    (void)state;
    static const uint16_t k_versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        size_t bytes = idle_bytes(k_versions[i]);
        printf("TLS 1.%zu: %zu bytes, %zu of them the stream's struct, %zu its socket's\n", 2 + i, bytes,
               sizeof(struct q_tls_stream), sizeof(struct q_socket_stream));
        assert_true(bytes > 1000 && bytes <= IDLE_BYTES_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_idle_connection_holds_at_most_8_kib)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
