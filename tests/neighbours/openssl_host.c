// A program that speaks TLS by OpenSSL and by Quoit at the same time: an OpenSSL server on loopback, OpenSSL clients on
// threads of their own, and two engines of Quoit, all in one process, while each side's errors and memory are watched.
//
// That each side uses its own library is seen by OpenSSL's allocator, which is this program's: it counts what is
// allocated on Quoit's threads and within calls of Quoit, which must be nothing. And by the error queue of OpenSSL, into
// which a mark is laid before Quoit is called, and which must have nothing else in it behind.
//
// Usage: openssl_host CERTIFICATE KEY ROOTS. Prints what it found, and "done" last; 0 when all was well.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <quoit.h>

enum { NUM_CLIENTS = 3, EACH = 25, NUM_ENGINES = 2, NUM_REQUESTS = 120, WAIT_MS = 20000, MARK = 4242 };

#define BODY   "hello from OpenSSL"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" BODY

static void check(bool is, const char *what, int line) {
    if (!is) {
        fprintf(stderr, "line %d: %s does not hold\n", line, what);
        ERR_print_errors_fp(stderr);
        _exit(1);
    }
}

#define CHECK(is) check((is), #is, __LINE__)

// --- whose memory ----------------------------------------------------------------------------------------------------

static _Thread_local int in_quoit; // calls of Quoit's on this thread; callbacks are the host's own again
static _Atomic unsigned num_foreign;
static _Atomic unsigned num_own;

static void count(void) {
    char name[16] = "";
    bool is_loop = pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strcmp(name, "quoit") == 0;
    atomic_fetch_add(in_quoit > 0 || (is_loop && in_quoit == 0) ? &num_foreign : &num_own, 1);
}

static void *counting_malloc(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    count();
    return malloc(size);
}

static void *counting_realloc(void *memory, size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    count();
    return realloc(memory, size);
}

static void counting_free(void *memory, const char *file, int line) {
    (void)file;
    (void)line;
    free(memory);
}

// --- OpenSSL: the server ---------------------------------------------------------------------------------------------

static struct {
    SSL_CTX *context;
    int listener;
    uint16_t port;
    const char *roots;
} server;

static bool read_head(SSL *ssl) {
    char text[4096];
    int len = 0;
    while (len < (int)sizeof text - 1) {
        int more = SSL_read(ssl, text + len, (int)sizeof text - 1 - len);
        if (more <= 0) {
            return false;
        }
        text[len += more] = 0;
        if (strstr(text, "\r\n\r\n") != NULL) {
            return true;
        }
    }
    return false;
}

static void *serve_one(void *argument) {
    int fd = (int)(intptr_t)argument;
    SSL *ssl = SSL_new(server.context);
    CHECK(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
    if (SSL_accept(ssl) == 1) {
        while (read_head(ssl) && SSL_write(ssl, ANSWER, (int)strlen(ANSWER)) > 0) {
        }
        SSL_shutdown(ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static void *serve(void *unused) {
    for (;;) {
        pthread_t thread;
        int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return unused;
        }
        CHECK(pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) == 0);
        pthread_detach(thread);
    }
}

static void start_server(const char *cert, const char *key, const char *roots) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;
    server.roots = roots;
    server.context = SSL_CTX_new(TLS_server_method());
    CHECK(server.context != NULL && SSL_CTX_use_certificate_chain_file(server.context, cert) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(server.context, key, SSL_FILETYPE_PEM) == 1);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(server.listener, (struct sockaddr *)&address, len) == 0 && listen(server.listener, 64) == 0);
    CHECK(getsockname(server.listener, (struct sockaddr *)&address, &len) == 0);
    server.port = ntohs(address.sin_port);
    CHECK(pthread_create(&thread, NULL, serve, NULL) == 0);
    pthread_detach(thread);
}

// --- OpenSSL: clients ------------------------------------------------------------------------------------------------

static void ask_by_openssl(SSL_CTX *context) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(server.port)};
    char text[256];
    int len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    SSL *ssl = SSL_new(context);
    CHECK(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
    CHECK(SSL_connect(ssl) == 1 && SSL_get_verify_result(ssl) == X509_V_OK);
    CHECK(SSL_write(ssl, "GET / HTTP/1.1\r\n\r\n", 18) == 18);
    while (len < (int)strlen(ANSWER)) {
        int more = SSL_read(ssl, text + len, (int)sizeof text - len);
        CHECK(more > 0);
        len += more;
    }
    CHECK(memcmp(text, ANSWER, strlen(ANSWER)) == 0);
    CHECK(ERR_peek_error() == 0); // nobody else's
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static void *be_openssl_client(void *unused) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CHECK(context != NULL && SSL_CTX_load_verify_locations(context, server.roots, NULL) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    for (int i = 0; i < EACH; i++) {
        ask_by_openssl(context);
    }
    SSL_CTX_free(context);
    return unused;
}

// --- Quoit -----------------------------------------------------------------------------------------------------------

// A call of Quoit: no memory of OpenSSL's, and none of its errors but the mark.
#define QUOIT(call)                                                                                                    \
    do {                                                                                                               \
        ERR_clear_error();                                                                                             \
        ERR_raise(ERR_LIB_USER, MARK);                                                                                 \
        in_quoit++;                                                                                                    \
        int64_t result_ = (call);                                                                                      \
        in_quoit--;                                                                                                    \
        check(result_ >= 0 && result_ < 100, #call, __LINE__);                                                         \
        CHECK(ERR_GET_REASON(ERR_peek_error()) == MARK && ERR_peek_error() == ERR_peek_last_error());                  \
        ERR_clear_error();                                                                                             \
    } while (0)

struct talker {
    struct quoit_engine engine;
    struct quoit_port port;
    bool is_inline;
    _Atomic unsigned num_done;
    _Atomic unsigned num_closed;
    _Atomic unsigned num_right; // bodies
};

static void note(struct talker *talker, const struct quoit_event *event) {
    if (event->type == QUOIT_EVENT_FAILED) {
        fprintf(stderr, "%s\n", quoit_error_name(event->u.summary.failure.code));
    }
    CHECK(event->type != QUOIT_EVENT_FAILED);
    if (event->type == QUOIT_EVENT_DATA) {
        CHECK(event->u.data.len == strlen(BODY) && memcmp(event->u.data.data, BODY, strlen(BODY)) == 0);
        atomic_fetch_add(&talker->num_right, 1);
    }
    if (event->type == QUOIT_EVENT_DONE) {
        CHECK(event->u.summary.tls_version == QUOIT_TLS_1_3);
        atomic_fetch_add(&talker->num_done, 1);
    }
    atomic_fetch_add(&talker->num_closed, event->type == QUOIT_EVENT_CLOSED);
}

// On the loop's thread: the host uses OpenSSL there, too, and what it left in its queue the last time is all there is.
static void on_event(void *context, const struct quoit_event *event) {
    struct talker *talker = context;
    unsigned char digest[32];
    in_quoit = -1; // the host's own
    if (atomic_load(&talker->num_done) + atomic_load(&talker->num_right) > 0) {
        CHECK(ERR_GET_REASON(ERR_peek_error()) == MARK && ERR_peek_error() == ERR_peek_last_error());
    }
    ERR_clear_error();
    CHECK(EVP_Digest("x", 1, digest, NULL, EVP_sha256(), NULL) == 1);
    note(talker, event);
    ERR_raise(ERR_LIB_USER, MARK);
    in_quoit = 0;
}

static struct quoit_tls *trusting(const char *roots) {
    struct quoit_tls *tls = NULL;
    QUOIT(quoit_tls_new(&tls));
    QUOIT(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, roots, strlen(roots)));
    QUOIT(quoit_tls_freeze(tls, NULL));
    return tls;
}

static void start_talker(struct talker *talker) {
    struct quoit_tls *tls = trusting(server.roots);
    struct quoit_engine_options options = {.struct_size = sizeof options, .tls = tls};
    struct quoit_port_options port = {.struct_size = sizeof port,
                                      .mode = talker->is_inline ? QUOIT_PORT_INLINE : QUOIT_PORT_EVENTFD,
                                      .on_event = talker->is_inline ? on_event : NULL,
                                      .context = talker};
    QUOIT(quoit_engine_create(&options, &talker->engine, NULL));
    QUOIT(quoit_port_create(talker->engine, &port, &talker->port));
    quoit_tls_release(tls);
}

static void submit(struct talker *talker, unsigned i) {
    char url[64];
    struct quoit_request *request = NULL;
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", server.port);
    QUOIT(quoit_request_new("GET", url, &request));
    if (i % 3 == 0) {
        QUOIT(quoit_request_add_header(request, "Connection", 10, "close", 5)); // handshakes go on all the time
    }
    QUOIT(quoit_submit(talker->engine, talker->port, request, i, NULL));
    quoit_request_release(request);
}

static void drain(struct talker *talker, int32_t timeout_ms) {
    struct quoit_event events[16];
    int32_t num = 0;
    if (talker->is_inline) {
        poll(NULL, 0, 1);
        return;
    }
    QUOIT(num = quoit_port_wait(talker->port, events, sizeof events[0], 16, timeout_ms));
    for (int32_t i = 0; i < num; i++) {
        note(talker, &events[i]);
    }
    QUOIT(quoit_port_advance(talker->port));
}

static void stop_talker(struct talker *talker) {
    QUOIT(quoit_engine_close(talker->engine, 0));
    for (int left = WAIT_MS; atomic_load(&talker->num_closed) == 0; left--) {
        CHECK(left > 0);
        drain(talker, 1);
    }
    QUOIT(quoit_engine_destroy(talker->engine));
    CHECK(atomic_load(&talker->num_done) == NUM_REQUESTS && atomic_load(&talker->num_right) == NUM_REQUESTS);
}

// --- both ------------------------------------------------------------------------------------------------------------

static const char *place_of(const void *symbol) {
    Dl_info info;
    CHECK(symbol != NULL && dladdr(symbol, &info) != 0 && info.dli_fname != NULL);
    const char *slash = strrchr(info.dli_fname, '/');
    return slash == NULL ? info.dli_fname : slash + 1;
}

// Whoever else asks for a name of OpenSSL's gets OpenSSL's.
static void tell_places(void) {
    static const char *const k_names[] = {"SSL_CTX_new", "SSL_connect", "SSL_read", "ERR_clear_error", "X509_free"};
    for (size_t i = 0; i < sizeof k_names / sizeof k_names[0]; i++) {
        const char *place = place_of(dlsym(RTLD_DEFAULT, k_names[i]));
        CHECK(strncmp(place, "libssl.so", 9) == 0 || strncmp(place, "libcrypto.so", 12) == 0);
    }
    CHECK(strncmp(OpenSSL_version(OPENSSL_VERSION), "OpenSSL ", 8) == 0);
    int32_t (*create)(const struct quoit_engine_options *, struct quoit_engine *, struct quoit_failure *) =
        quoit_engine_create;
    void *address;
    memcpy(&address, &create, sizeof address);
    printf("quoit in %s\n", strncmp(place_of(address), "libquoit.so", 11) == 0 ? "libquoit.so" : "the program");
}

int main(int argc, char **argv) {
    static struct talker talkers[NUM_ENGINES] = {{.is_inline = false}, {.is_inline = true}};
    pthread_t clients[NUM_CLIENTS];
    if (argc != 4) {
        fprintf(stderr, "usage: openssl_host CERTIFICATE KEY ROOTS\n");
        return 2;
    }
    CHECK(CRYPTO_set_mem_functions(counting_malloc, counting_realloc, counting_free) == 1);
    tell_places();
    start_server(argv[1], argv[2], argv[3]);
    for (int i = 0; i < NUM_ENGINES; i++) {
        start_talker(&talkers[i]);
    }
    for (int i = 0; i < NUM_CLIENTS; i++) {
        CHECK(pthread_create(&clients[i], NULL, be_openssl_client, NULL) == 0);
    }
    for (unsigned i = 0; i < NUM_REQUESTS; i++) {
        submit(&talkers[0], i);
        submit(&talkers[1], i);
        drain(&talkers[0], 0);
    }
    for (int i = 0; i < NUM_ENGINES; i++) {
        for (int left = WAIT_MS; atomic_load(&talkers[i].num_done) < NUM_REQUESTS; left--) {
            CHECK(left > 0);
            drain(&talkers[i], 1);
        }
    }
    for (int i = 0; i < NUM_CLIENTS; i++) {
        pthread_join(clients[i], NULL);
    }
    for (int i = 0; i < NUM_ENGINES; i++) {
        stop_talker(&talkers[i]);
    }
    CHECK(atomic_load(&num_foreign) == 0);
    CHECK(atomic_load(&num_own) > 1000);
    printf("done\n");
    return 0;
}
