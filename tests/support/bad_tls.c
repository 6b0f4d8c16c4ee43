#include "tests/support/bad_tls_internal.h"

#include "engine/base/check.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RECORD_HEADER = 5, HEAD_MAX = 64 * 1024, LISTEN_BACKLOG = 64 };

struct bad_tls {
    struct bad_tls_options options;
    const struct bad_tls_row *row;
    SSL_CTX *context;
    int listen_fd;
    int stop_fd; // readable for good once the test has had enough
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct bad_tls_facts facts; // under `lock`
};

// struct talk is one connection, on the server's thread.
struct talk {
    struct bad_tls *server;
    int fd;
    SSL *ssl; // NULL: no TLS is spoken
    uint32_t num_records;
    uint32_t num_shaken;
    bool is_over;   // the client has gone, or must not hear more
    bool is_silent; // our direction stays open all the same
    bool was_left;
    bool had_request;
};

// --- sockets ---------------------------------------------------------------------------------------------------------

// Waits until the socket is ready. False: the test is over, or the client does nothing.
static bool wait_for(struct talk *talk, short events) {
    struct pollfd polled[2] = {{.fd = talk->fd, .events = events}, {.fd = talk->server->stop_fd, .events = POLLIN}};
    int num;
    do {
        num = poll(polled, 2, BAD_TLS_WAIT_MS);
    } while (num < 0 && errno == EINTR);
    talk->was_left |= num == 0;
    return num > 0 && polled[1].revents == 0;
}

static void say(struct talk *talk, const uint8_t *data, size_t len) {
    while (len > 0 && !talk->is_over) {
        ssize_t sent = send(talk->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            data += sent;
            len -= (size_t)sent;
        } else if (errno != EINTR && (errno != EAGAIN || !wait_for(talk, POLLOUT))) {
            talk->is_over = true;
        }
    }
}

// What the client says next; 0: no more comes.
static size_t hear(struct talk *talk, uint8_t *out, size_t size) {
    for (;;) {
        if (!wait_for(talk, POLLIN)) {
            return 0;
        }
        ssize_t len = recv(talk->fd, out, size, MSG_DONTWAIT);
        if (len >= 0 || (errno != EINTR && errno != EAGAIN)) {
            return len > 0 ? (size_t)len : 0;
        }
    }
}

// --- TLS -------------------------------------------------------------------------------------------------------------

static uint32_t records_allowed(const struct talk *talk) {
    const struct bad_tls_options *options = &talk->server->options;
    switch (options->kind) {
    case BAD_TLS_TRUNCATED: return options->records;
    case BAD_TLS_SILENT_MIDWAY: return 1;
    default: return BAD_TLS_EVERY_RECORD;
    }
}

// Sends what the library has written, record by record, as far as the kind allows.
static void ship(struct talk *talk) {
    const uint8_t *data;
    size_t len;
    BIO *out = SSL_get_wbio(talk->ssl);
    Q_CHECK(BIO_mem_contents(out, &data, &len));
    if (talk->server->options.is_eager) {
        say(talk, data, len);
        len = 0;
    }
    while (len > 0 && !talk->is_over) {
        Q_CHECK(len >= RECORD_HEADER);
        size_t record = RECORD_HEADER + (size_t)(data[3] << 8 | data[4]);
        Q_CHECK(len >= record);
        if (talk->num_records == records_allowed(talk)) {
            size_t part = talk->server->options.bytes < record ? talk->server->options.bytes : record - 1;
            say(talk, data, part);
            talk->is_over = true;
            talk->is_silent = talk->server->options.kind == BAD_TLS_SILENT_MIDWAY;
            return;
        }
        say(talk, data, record);
        talk->num_records += !talk->is_over;
        data += record;
        len -= record;
    }
    Q_CHECK(BIO_reset(out));
}

// What the last call of the library left to do. False: the connection has no future.
static bool go_on(struct talk *talk, int result) {
    uint8_t bytes[4096];
    bool wants_more = SSL_get_error(talk->ssl, result) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    ship(talk);
    if (!wants_more || talk->is_over) {
        talk->is_over = true;
        return false;
    }
    size_t len = hear(talk, bytes, sizeof bytes);
    Q_CHECK(len == 0 || BIO_write(SSL_get_rbio(talk->ssl), bytes, (int)len) == (int)len);
    talk->is_over |= len == 0;
    return len > 0;
}

static void write_answer(struct talk *talk);

static bool shake(struct talk *talk) {
    int result;
    while ((result = SSL_do_handshake(talk->ssl)) != 1) {
        if (!go_on(talk, result)) {
            return false;
        }
    }
    if (talk->server->options.is_eager) {
        write_answer(talk);
    }
    ship(talk);
    talk->num_shaken = talk->num_records;
    return !talk->is_over;
}

static bool take_request(struct talk *talk) {
    static const char k_end[] = "\r\n\r\n";
    char *head = malloc(HEAD_MAX + 1);
    size_t len = 0;
    Q_CHECK(head != NULL);
    while (!talk->had_request && len < HEAD_MAX) {
        int result = SSL_read(talk->ssl, head + len, (int)(HEAD_MAX - len));
        if (result > 0) {
            len += (size_t)result;
            head[len] = 0;
            talk->had_request = strstr(head, k_end) != NULL;
        } else if (!go_on(talk, result)) {
            break;
        }
    }
    free(head);
    return talk->had_request;
}

static void write_all(struct talk *talk, const char *data, size_t len) {
    Q_CHECK(SSL_write(talk->ssl, data, (int)len) == (int)len); // into memory
}

static void write_text(struct talk *talk, const char *text) {
    write_all(talk, text, strlen(text));
}

static void write_answer(struct talk *talk) {
    static const char *const k_heads[] = {
        [BAD_TLS_BY_LENGTH] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        [BAD_TLS_BY_CHUNKS] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        [BAD_TLS_BY_END] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    };
    const struct bad_tls_row *row = talk->server->row;
    bool is_chunked = row->framing == BAD_TLS_BY_CHUNKS;
    char body[BAD_TLS_BODY_LEN];
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (char)('a' + i % 26);
    }
    write_text(talk, k_heads[row->framing]);
    for (size_t half = 0; half < (row->is_half ? 1 : 2); half++) {
        write_text(talk, is_chunked ? "1f4\r\n" : "");
        write_all(talk, body + half * (sizeof body / 2), sizeof body / 2);
        write_text(talk, is_chunked ? "\r\n" : "");
    }
    if (is_chunked && !row->is_half) {
        write_text(talk, "0\r\n\r\n");
    }
}

static void write_end(struct talk *talk) {
    const uint8_t *data;
    size_t len;
    switch (talk->server->row->end) {
    case BAD_TLS_END_NOTIFY: SSL_shutdown(talk->ssl); break;
    case BAD_TLS_END_FIN: break;
    case BAD_TLS_END_ALERT: SSL_send_fatal_alert(talk->ssl, SSL_AD_INTERNAL_ERROR); break;
    case BAD_TLS_END_GARBLED:
        Q_CHECK(BIO_mem_contents(SSL_get_wbio(talk->ssl), &data, &len) && len > 0);
        ((uint8_t *)(uintptr_t)data)[len - 1] ^= 1;
        break;
    }
    ERR_clear_error();
}

static void speak_tls(struct talk *talk) {
    talk->ssl = SSL_new(talk->server->context);
    Q_CHECK(talk->ssl != NULL);
    SSL_set_accept_state(talk->ssl);
    SSL_set_bio(talk->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(talk->ssl), -1);
    if (shake(talk) && take_request(talk)) {
        if (talk->server->row->framing != BAD_TLS_NO_ANSWER) {
            write_answer(talk);
        }
        write_end(talk);
        ship(talk);
    }
    SSL_free(talk->ssl);
}

// --- connections -----------------------------------------------------------------------------------------------------

// What is said only once the client has spoken cannot come before its own first bytes are on their way.
static void speak(struct talk *talk) {
    const struct bad_tls_row *row = talk->server->row;
    uint8_t byte[1];
    if (row->way == BAD_TLS_WAY_TLS) {
        speak_tls(talk);
        return;
    }
    if (hear(talk, byte, sizeof byte) == 0) {
        return;
    }
    switch (row->way) {
    case BAD_TLS_WAY_BYTES: say(talk, (const uint8_t *)row->bytes, row->bytes_len); break;
    case BAD_TLS_WAY_RST: {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(talk->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        break;
    }
    default: talk->is_silent = true;
    }
}

static void drain(struct talk *talk) {
    uint8_t bytes[4096];
    while (hear(talk, bytes, sizeof bytes) > 0) {
    }
}

static void serve(struct bad_tls *server, int fd) {
    struct talk talk = {.server = server, .fd = fd};
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    speak(&talk);
    if (server->row->way != BAD_TLS_WAY_RST) {
        if (!talk.is_silent) {
            shutdown(fd, SHUT_WR);
        }
        drain(&talk);
    }
    close(fd);
    pthread_mutex_lock(&server->lock);
    server->facts.num_connections++;
    server->facts.num_records = talk.num_records;
    server->facts.num_shaken = talk.num_shaken;
    server->facts.num_requests += talk.had_request;
    server->facts.was_left |= talk.was_left;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void *run(void *argument) {
    struct bad_tls *server = argument;
    struct pollfd polled[2] = {{.fd = server->listen_fd, .events = POLLIN}, {.fd = server->stop_fd, .events = POLLIN}};
    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR) {
            Q_CHECK(false);
        }
        if (polled[1].revents != 0) {
            return NULL;
        }
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            serve(server, fd);
        }
    }
}

// --- life ------------------------------------------------------------------------------------------------------------

static void listen_somewhere(struct bad_tls *server) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    Q_CHECK(server->listen_fd >= 0 && server->stop_fd >= 0 &&
            bind(server->listen_fd, (struct sockaddr *)&address, len) == 0 &&
            listen(server->listen_fd, LISTEN_BACKLOG) == 0 &&
            getsockname(server->listen_fd, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
}

struct bad_tls *bad_tls_start(const struct bad_tls_options *options) {
    sigset_t all;
    sigset_t before;
    struct bad_tls *server = calloc(1, sizeof *server);
    Q_CHECK(server != NULL);
    server->options = *options;
    server->row = bad_tls_row(options->kind);
    server->context = bad_tls_context(options->kind, options->version);
    listen_somewhere(server);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    Q_CHECK(pthread_create(&server->thread, NULL, run, server) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return server;
}

struct bad_tls_facts bad_tls_wait(struct bad_tls *server, uint32_t num) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 2 * BAD_TLS_WAIT_MS / 1000;
    pthread_mutex_lock(&server->lock);
    while (server->facts.num_connections < num) {
        Q_CHECK(pthread_cond_timedwait(&server->changed, &server->lock, &until) == 0);
    }
    struct bad_tls_facts facts = server->facts;
    pthread_mutex_unlock(&server->lock);
    return facts;
}

void bad_tls_stop(struct bad_tls *server, struct bad_tls_facts *out) {
    uint64_t one = 1;
    Q_CHECK(write(server->stop_fd, &one, sizeof one) == sizeof one);
    pthread_join(server->thread, NULL);
    if (out != NULL) {
        *out = server->facts;
    }
    close(server->listen_fd);
    close(server->stop_fd);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
    SSL_CTX_free(server->context);
    free(server);
}

uint16_t bad_tls_port(const struct bad_tls *server) {
    return server->port;
}
