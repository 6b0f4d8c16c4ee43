// The stream on the real kernel against `openssl s_server`: a peer that we did not write. It takes its orders on its
// standard input: a line is sent, "K" alone asks for a key update, "k" makes one, "r" asks for a renegotiation, "q" goes
// without a goodbye.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/net/socket_stream.h"
#include "engine/tls/tls_stream.h"
#include "tests/support/certs.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_MAX = 1 << 16 };

struct peer {
    pid_t pid;
    int orders;
    int output;
    char said[OUTPUT_MAX]; // all that it has printed
    size_t said_len;
    uint16_t port;
};

struct bench {
    struct rig rig;
    struct q_loop loop;
    struct q_socket_stream socket;
    struct q_tls_stream tls;
    struct q_tls_env env;
    struct q_tls_params params;
    struct q_verify_policy policy;
    struct q_address address;
    SSL_CTX *context;
    struct q_cert *root;
    struct q_cert *leaf;
    char *folder;
    struct peer peer;
    int connected, ended, sent, closed, sessions;
    struct q_error connect_error;
    struct q_error end_error;
    char got[OUTPUT_MAX];
    size_t got_len;
};

// --- the owner -------------------------------------------------------------------------------------------------------

static struct bench *bench_of(struct q_stream *stream) {
    return q_container_of(q_container_of(stream, struct q_tls_stream, stream), struct bench, tls);
}

static void on_connected(struct q_stream *stream, struct q_error error) {
    struct bench *bench = bench_of(stream);
    bench->connected++;
    bench->connect_error = error;
    if (!q_error_is(error)) {
        q_stream_recv(stream, Q_STREAM_RECV_ANY);
    }
}

static void on_received(struct q_stream *stream, struct q_chunk *chunk, struct q_slice bytes) {
    struct bench *bench = bench_of(stream);
    assert_true(bench->got_len + bytes.len <= sizeof bench->got);
    memcpy(bench->got + bench->got_len, bytes.ptr, bytes.len);
    bench->got_len += bytes.len;
    q_chunk_release(chunk);
    q_stream_recv(stream, Q_STREAM_RECV_ANY);
}

static void on_ended(struct q_stream *stream, struct q_error error) {
    bench_of(stream)->ended++;
    bench_of(stream)->end_error = error;
}

static void on_sent(struct q_stream *stream, size_t len, struct q_error error) {
    (void)len;
    assert_false(q_error_is(error));
    bench_of(stream)->sent++;
}

static void on_closed(struct q_stream *stream) { bench_of(stream)->closed++; }

static void on_session(struct q_tls_stream *tls, struct ssl_session_st *session) {
    q_container_of(tls, struct bench, tls)->sessions++;
    SSL_SESSION_free(session);
}

static const struct q_stream_events k_events = {.on_connected = on_connected,
                                                .on_received = on_received,
                                                .on_ended = on_ended,
                                                .on_sent = on_sent,
                                                .on_closed = on_closed};
static const struct q_tls_events k_tls_events = {.on_session = on_session};

// --- the peer --------------------------------------------------------------------------------------------------------

static void hear(struct peer *peer) {
    ssize_t len;
    while (peer->said_len + 1 < sizeof peer->said &&
           (len = read(peer->output, peer->said + peer->said_len, sizeof peer->said - 1 - peer->said_len)) > 0) {
        peer->said_len += (size_t)len;
    }
    peer->said[peer->said_len] = '\0';
}

static void order(struct peer *peer, const char *line) {
    assert_int_equal(write(peer->orders, line, strlen(line)), strlen(line));
}

static void start_peer(struct bench *bench, const char *version) {
    struct peer *peer = &bench->peer;
    char *cert = q_certs_write(bench->folder, "cert.pem", bench->leaf->pem);
    char *key = q_certs_write(bench->folder, "key.pem", bench->leaf->key_pem);
    int orders[2];
    int output[2];
    assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    peer->pid = fork();
    if (peer->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that crashes leaves nobody behind
        dup2(orders[0], STDIN_FILENO);
        dup2(output[1], STDOUT_FILENO);
        dup2(output[1], STDERR_FILENO);
        execl("/usr/bin/openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, version,
              (char *)NULL);
        _exit(127);
    }
    close(orders[0]);
    close(output[1]);
    peer->orders = orders[1];
    peer->output = output[0];
    const char *at = NULL;
    while (at == NULL || strchr(at, '\n') == NULL) {
        struct pollfd ready = {.fd = peer->output, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, (int)(rig_patience_ns() / Q_NS_PER_MS)), 1);
        assert_int_equal(ready.revents & POLLIN, POLLIN);
        ssize_t len = read(peer->output, peer->said + peer->said_len, sizeof peer->said - 1 - peer->said_len);
        assert_true(len > 0);
        peer->said_len += (size_t)len;
        peer->said[peer->said_len] = '\0';
        at = strstr(peer->said, "ACCEPT 127.0.0.1:");
    }
    peer->port = (uint16_t)strtoul(at + strlen("ACCEPT 127.0.0.1:"), NULL, 10);
    assert_int_equal(fcntl(peer->output, F_SETFL, O_NONBLOCK), 0);
    free(cert);
    free(key);
}

// --- turns -----------------------------------------------------------------------------------------------------------

static void turn(struct bench *bench) {
    rig_turn(&bench->rig, 10 * Q_NS_PER_MS);
    bench->loop.now_ns = q_clock_now(q_clock_monotonic());
    struct q_list due;
    q_list_init(&due);
    q_list_take(&due, &bench->loop.tasks);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&due)) != NULL) {
        struct q_task *task = q_container_of(node, struct q_task, link);
        task->run(task);
    }
    hear(&bench->peer);
}

#define AWAIT(bench, condition)                                                                                        \
    do {                                                                                                               \
        uint64_t start_ns_ = q_clock_now(q_clock_monotonic());                                                         \
        while (!(condition)) {                                                                                         \
            turn(bench);                                                                                               \
            rig_assert_patient(&(bench)->rig, start_ns_);                                                              \
        }                                                                                                              \
    } while (0)

static void send_text(struct bench *bench, const char *text) {
    struct iovec part = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
    q_stream_send(&bench->tls.stream, &part, 1);
}

static bool has_got(const struct bench *bench, const char *text) {
    return memmem(bench->got, bench->got_len, text, strlen(text)) != NULL;
}

static bool has_heard(const struct bench *bench, const char *text) { return strstr(bench->peer.said, text) != NULL; }

// --- life ------------------------------------------------------------------------------------------------------------

static struct bench *open_bench(const char *version) {
    struct bench *bench = calloc(1, sizeof *bench);
    rig_open(&bench->rig, (struct rig_options){.buffer_bytes = 16384});
    q_loop_init(&bench->loop, bench->rig.io, q_clock_monotonic(), &bench->rig.log, 1, NULL, NULL);
    q_loop_bind(&bench->loop);
    bench->root = q_certs_authority(NULL, "root", 1);
    bench->leaf = q_certs_make(bench->root, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 2});
    bench->folder = q_certs_folder_new();
    start_peer(bench, version);
    bench->context = SSL_CTX_new(TLS_with_buffers_method());
    q_tls_stream_prepare(bench->context);
    X509_STORE *roots = X509_STORE_new();
    assert_true(X509_STORE_add_cert(roots, bench->root->x509));
    bench->policy = (struct q_verify_policy){.roots = roots, .now_s = Q_CERTS_NOW};
    bench->params = (struct q_tls_params){
        .context = bench->context, .verify_name = Q_SLICE("127.0.0.1"), .verify = &bench->policy};
    bench->env = (struct q_tls_env){.loop = &bench->loop, .chunks = &bench->rig.pool, .alloc = q_alloc_libc()};
    q_socket_stream_init(&bench->socket, bench->rig.io, NULL);
    q_tls_stream_init(&bench->tls, &bench->env, &bench->socket.stream, &k_events, &k_tls_events);
    q_tls_stream_set(&bench->tls, &bench->params);
    bench->address = q_address_v4((const uint8_t[4]){127, 0, 0, 1}, bench->peer.port);
    assert_false(q_error_is(q_stream_connect(&bench->tls.stream, &bench->address)));
    AWAIT(bench, bench->connected > 0);
    assert_int_equal(bench->connect_error.code, 0);
    return bench;
}

static void close_bench(struct bench *bench) {
    q_stream_close(&bench->tls.stream);
    AWAIT(bench, bench->closed > 0);
    assert_true(q_tls_stream_is_quiet(&bench->tls));
    kill(bench->peer.pid, SIGKILL);
    waitpid(bench->peer.pid, NULL, 0);
    close(bench->peer.orders);
    close(bench->peer.output);
    X509_STORE_free(bench->policy.roots);
    SSL_CTX_free(bench->context);
    q_certs_free(bench->leaf);
    q_certs_free(bench->root);
    q_certs_folder_remove(bench->folder);
    free(bench->folder);
    rig_close(&bench->rig);
    free(bench);
}

static void talk(struct bench *bench, const char *there, const char *back) {
    int sent = bench->sent;
    send_text(bench, there);
    AWAIT(bench, bench->sent > sent && has_heard(bench, there));
    order(&bench->peer, back);
    AWAIT(bench, has_got(bench, back));
}

static void it_talks_to_openssl(void **state) {
    (void)state;
    static const char *const k_versions[] = {"-tls1_2", "-tls1_3"};
    for (size_t i = 0; i < 2; i++) {
        struct bench *bench = open_bench(k_versions[i]);
        talk(bench, "a question\n", "an answer\n");
        struct q_tls_facts facts;
        q_tls_stream_facts(&bench->tls, &facts);
        assert_int_equal(facts.version_number, 0x0303 + i);
        assert_true(bench->sessions > 0);
        order(&bench->peer, "q\n"); // closes its socket, and says nothing
        AWAIT(bench, bench->ended > 0);
        assert_int_equal(bench->end_error.code, Q_ERR_TLS_TRUNCATED);
        close_bench(bench);
    }
}

static void it_follows_openssls_key_updates(void **state) {
    (void)state;
    struct bench *bench = open_bench("-tls1_3");
    talk(bench, "before\n", "they were\n");
    order(&bench->peer, "K\n");
    talk(bench, "first\n", "one\n");
    order(&bench->peer, "k\n");
    talk(bench, "second\n", "two\n");
    order(&bench->peer, "K\n");
    talk(bench, "third\n", "three\n");
    close_bench(bench);
}

static void it_refuses_to_negotiate_again(void **state) {
    (void)state;
    struct bench *bench = open_bench("-tls1_2");
    talk(bench, "before\n", "it was\n");
    order(&bench->peer, "r\n");
    AWAIT(bench, bench->ended > 0);
    assert_int_equal(bench->end_error.code, Q_ERR_TLS_PROTOCOL);
    close_bench(bench);
}

static void a_killed_server_is_no_clean_end(void **state) {
    (void)state;
    struct bench *bench = open_bench("-tls1_3");
    talk(bench, "before\n", "it was\n");
    kill(bench->peer.pid, SIGKILL);
    AWAIT(bench, bench->ended > 0);
    assert_int_equal(bench->end_error.code, Q_ERR_TLS_TRUNCATED);
    close_bench(bench);
}

static void openssl_sees_our_goodbye(void **state) {
    (void)state;
    struct bench *bench = open_bench("-tls1_3");
    talk(bench, "before\n", "it was\n");
    q_stream_shutdown(&bench->tls.stream);
    AWAIT(bench, has_heard(bench, "\nDONE\n"));
    AWAIT(bench, bench->ended > 0);
    assert_int_equal(bench->end_error.code, 0);
    close_bench(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_talks_to_openssl),
        cmocka_unit_test(it_follows_openssls_key_updates),
        cmocka_unit_test(it_refuses_to_negotiate_again),
        cmocka_unit_test(a_killed_server_is_no_clean_end),
        cmocka_unit_test(openssl_sees_our_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
