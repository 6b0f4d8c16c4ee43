// The bad servers do what they are said to do, and nothing else. The client is the TLS library itself, on a blocking
// socket; it believes everything, and asks the engine's verification what it thinks of the chain.
#include "tests/support/bad_tls.h"

#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/tls/verify.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

enum { GOT_MAX = 8192 };

static const uint16_t k_versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

// What a client has seen of a server.
struct seen {
    bool is_shaken;
    const char *verdict; // the engine's; NULL: it never saw a chain
    bool saw_notify;
    bool was_reset;
    int reason; // of the library's failure; 0: none
    char got[GOT_MAX];
    size_t len;
};

static int connect_to(const struct bad_tls *server) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(bad_tls_port(server))};
    struct timeval limit = {.tv_sec = BAD_TLS_WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static enum ssl_verify_result_t judge(SSL *ssl, uint8_t *out_alert) {
    (void)out_alert;
    struct seen *seen = SSL_get_app_data(ssl);
    BIO *bio = BIO_new_mem_buf(bad_tls_roots(), -1);
    X509 *root = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509_STORE *roots = X509_STORE_new();
    assert_true(X509_STORE_add_cert(roots, root));
    struct q_verify_policy policy = {.roots = roots};
    struct q_verify_verdict verdict;
    q_verify(&policy, SSL_get0_peer_certificates(ssl), q_slice_of_string(BAD_TLS_HOST), &verdict);
    seen->verdict = q_error_name(verdict.error.code);
    X509_STORE_free(roots);
    X509_free(root);
    BIO_free(bio);
    return ssl_verify_ok;
}

static void talk(SSL *ssl, struct seen *seen) {
    static const char k_request[] = "GET / HTTP/1.1\r\nHost: " BAD_TLS_HOST "\r\n\r\n";
    int result = SSL_connect(ssl);
    seen->is_shaken = result == 1;
    if (seen->is_shaken) {
        (void)SSL_write(ssl, k_request, sizeof k_request - 1); // it may be cut already
        while ((result = SSL_read(ssl, seen->got + seen->len, (int)(GOT_MAX - 1 - seen->len))) > 0) {
            seen->len += (size_t)result;
        }
    }
    seen->saw_notify = SSL_get_error(ssl, result) == SSL_ERROR_ZERO_RETURN;
    uint32_t packed = ERR_peek_error();
    seen->was_reset = ERR_GET_LIB(packed) == ERR_LIB_SYS || (packed == 0 && result < 0);
    while ((packed = ERR_get_error()) != 0 && seen->reason == 0) { // a bad MAC is first the cipher's
        seen->reason = ERR_GET_LIB(packed) == ERR_LIB_SSL ? ERR_GET_REASON(packed) : 0;
    }
    ERR_clear_error();
}

static void see(struct bad_tls *server, struct seen *seen) {
    memset(seen, 0, sizeof *seen);
    SSL_CTX *context = SSL_CTX_new(TLS_with_buffers_method());
    int fd = connect_to(server);
    SSL_CTX_set_custom_verify(context, SSL_VERIFY_PEER, judge);
    assert_true(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION));
    SSL *ssl = SSL_new(context);
    SSL_set_app_data(ssl, seen);
    assert_true(SSL_set_tlsext_host_name(ssl, BAD_TLS_HOST) && SSL_set_fd(ssl, fd));
    talk(ssl, seen);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(context);
}

// One connection to a server of that kind.
static struct bad_tls_facts meet(struct bad_tls_options options, struct seen *seen) {
    struct bad_tls_facts facts;
    struct bad_tls *server = bad_tls_start(&options);
    see(server, seen);
    facts = bad_tls_wait(server, 1);
    bad_tls_stop(server, NULL);
    assert_false(facts.was_left);
    assert_int_equal(facts.num_connections, 1);
    return facts;
}

static void every_kind_has_a_title_and_an_error_of_the_table(void **state) {
    (void)state;
    for (int kind = 0; kind < BAD_TLS_COUNT; kind++) {
        bool is_known = bad_tls_error(kind) == NULL;
        assert_non_null(bad_tls_title(kind));
#define Q_ERROR(name, number, retryable, sentence)                                                                     \
    is_known = is_known || strcmp(bad_tls_error(kind), "QUOIT_ERR_" #name) == 0;
#include "engine/base/error_table.h"
#undef Q_ERROR
        assert_true(is_known);
    }
}

static void the_engines_verification_says_what_each_kind_is_said_to_be(void **state) {
    struct seen seen;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int kind = BAD_TLS_EXPIRED; kind <= BAD_TLS_SHA1; kind++) {
            meet((struct bad_tls_options){.kind = kind, .version = k_versions[i]}, &seen);
            assert_true(seen.is_shaken);
            assert_non_null(strstr(seen.got, "HTTP/1.1 200 OK\r\n")); // nothing but the certificates is wrong
            assert_true(seen.saw_notify);
            if (strcmp(seen.verdict, bad_tls_error(kind)) != 0) {
                fail_msg("%s: %s", bad_tls_title(kind), seen.verdict);
            }
        }
    }
}

static bool ends_with(const struct seen *seen, const char *text) {
    size_t len = strlen(text);
    return seen->len >= len && memcmp(seen->got + seen->len - len, text, len) == 0;
}

static void answers_are_whole_or_cut_and_end_as_they_are_said_to(void **state) {
    static const struct {
        enum bad_tls_kind kind;
        const char *head;
        const char *tail;
        bool has_notify;
    } k_cases[] = {
        {BAD_TLS_NONE, "Content-Length: 1000\r\n\r\nabc", "jkl", true},
        {BAD_TLS_LENGTH_UNCLOSED, "Content-Length: 1000\r\n\r\nabc", "jkl", false},
        {BAD_TLS_CHUNKED_UNCLOSED, "chunked\r\n\r\n1f4\r\nabc", "jkl\r\n0\r\n\r\n", false},
        {BAD_TLS_TO_THE_END, "close\r\n\r\nabc", "jkl", true},
        {BAD_TLS_LENGTH_CUT, "Content-Length: 1000\r\n\r\nabc", "def", false},
        {BAD_TLS_LENGTH_CUT_CLOSED, "Content-Length: 1000\r\n\r\nabc", "def", true},
        {BAD_TLS_CHUNKED_CUT, "chunked\r\n\r\n1f4\r\nabc", "def\r\n", false},
        {BAD_TLS_TO_THE_END_CUT, "close\r\n\r\nabc", "jkl", false},
        {BAD_TLS_HEAD_ALONE, "", "", true},
    };
    struct seen seen;
    (void)state;
    for (size_t i = 0; i < 2 * sizeof k_cases / sizeof k_cases[0]; i++) {
        size_t row = i / 2;
        struct bad_tls_facts facts =
            meet((struct bad_tls_options){.kind = k_cases[row].kind, .version = k_versions[i % 2]}, &seen);
        assert_string_equal(seen.verdict, "QUOIT_OK");
        assert_non_null(strstr(seen.got, k_cases[row].head));
        assert_true(ends_with(&seen, k_cases[row].tail));
        assert_int_equal(seen.saw_notify, k_cases[row].has_notify);
        assert_int_equal(seen.reason, 0);
        assert_int_equal(facts.num_requests, 1);
    }
}

static void faults_in_what_is_said_are_the_librarys_to_notice(void **state) {
    static const struct {
        enum bad_tls_kind kind;
        int reason;
    } k_cases[] = {
        {BAD_TLS_OLD_VERSION, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION},
        {BAD_TLS_OLD_HELLO, SSL_R_UNSUPPORTED_PROTOCOL},
        {BAD_TLS_GARBAGE, SSL_R_WRONG_VERSION_NUMBER},
        {BAD_TLS_ZEROS, SSL_R_WRONG_VERSION_NUMBER},
        {BAD_TLS_LONG_RECORD, SSL_R_ENCRYPTED_LENGTH_TOO_LONG},
        {BAD_TLS_PLAIN_HTTP, SSL_R_WRONG_VERSION_NUMBER},
        {BAD_TLS_ALERT, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE},
        {BAD_TLS_CLOSE, 0},
        {BAD_TLS_BODY_GARBLED, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC},
        {BAD_TLS_BODY_ALERT, SSL_R_TLSV1_ALERT_INTERNAL_ERROR},
    };
    struct seen seen;
    (void)state;
    for (size_t i = 0; i < 2 * sizeof k_cases / sizeof k_cases[0]; i++) {
        enum bad_tls_kind kind = k_cases[i / 2].kind;
        meet((struct bad_tls_options){.kind = kind, .version = k_versions[i % 2]}, &seen);
        assert_int_equal(seen.is_shaken, bad_tls_is_cut(kind));
        assert_false(seen.saw_notify);
        if (seen.reason != k_cases[i / 2].reason) {
            fail_msg("%s: reason %d", bad_tls_title(kind), seen.reason);
        }
    }
    meet((struct bad_tls_options){.kind = BAD_TLS_RESET}, &seen);
    assert_true(seen.was_reset && !seen.is_shaken);
}

// Cut at every record, between records and within one, until a client gets everything.
static void a_truncated_server_sends_so_many_records_and_no_more(void **state) {
    struct seen seen;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bad_tls_options options = {
            .kind = BAD_TLS_TRUNCATED, .version = k_versions[i], .records = BAD_TLS_EVERY_RECORD};
        struct bad_tls_facts whole = meet(options, &seen);
        assert_true(seen.saw_notify && whole.num_shaken >= 4 && whole.num_records >= whole.num_shaken + 3);
        for (options.records = 0; options.records < whole.num_records; options.records++) {
            for (options.bytes = 0; options.bytes < 10; options.bytes += 4) {
                struct bad_tls_facts facts = meet(options, &seen);
                assert_int_equal(facts.num_records, options.records);
                assert_true(!seen.saw_notify && seen.reason == 0);
            }
        }
    }
}

// The client gives up first; the server is stopped under it.
static void a_silent_server_says_nothing_more_and_can_be_stopped(void **state) {
    (void)state;
    for (int kind = BAD_TLS_SILENT; kind <= BAD_TLS_SILENT_MIDWAY; kind++) {
        struct bad_tls_facts facts;
        struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = kind});
        int fd = connect_to(server);
        assert_int_equal(write(fd, "\x16", 1), 1);
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&polled, 1, 50), 0);
        bad_tls_stop(server, &facts);
        char byte;
        assert_true(read(fd, &byte, 1) <= 0);
        assert_int_equal(facts.num_records, 0);
        close(fd);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_title_and_an_error_of_the_table),
        cmocka_unit_test(the_engines_verification_says_what_each_kind_is_said_to_be),
        cmocka_unit_test(answers_are_whole_or_cut_and_end_as_they_are_said_to),
        cmocka_unit_test(faults_in_what_is_said_are_the_librarys_to_notice),
        cmocka_unit_test(a_truncated_server_sends_so_many_records_and_no_more),
        cmocka_unit_test(a_silent_server_says_nothing_more_and_can_be_stopped),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
