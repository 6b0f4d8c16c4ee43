#include "tests/support/tls_front.h"

#include "engine/base/check.h"
#include "tests/support/cert_pack.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 16 * 1024, SOCKET_BUFFER = 32 * 1024, LISTEN_BACKLOG = 1024 };

struct tls_front {
    SSL_CTX *context;
    uint16_t target;
    uint16_t port;
    int listen_fd;
    int stop_fd; // readable for good once the test has had enough
    pthread_t acceptor;
    pthread_mutex_t lock;
    struct tls_front_facts facts; // under `lock`
    pthread_t threads[TLS_FRONT_CONNECTIONS_MAX]; // the acceptor's
};

// struct way is what is on its way in one direction.
struct way {
    uint8_t bytes[PIECE];
    size_t at;
    size_t len;
    bool is_ended; // no more comes
    bool is_shut;  // and the other side knows
};

// struct leg is one connection, on its own thread.
struct leg {
    struct tls_front *front;
    int client;
    int server; // -1: not connected yet
    SSL *ssl;
    struct way up; // from the client
    struct way down;
    bool is_shaken;
    bool is_broken;    // a side has reset, or is gone
    bool wants_write;  // the library cannot go on without
    bool is_hung;      // both of the client's directions are shut; there may be something to read still
};

// --- the certificate -------------------------------------------------------------------------------------------------

static pthread_once_t the_once = PTHREAD_ONCE_INIT;
static struct q_cert *the_root;
static struct q_cert *the_leaf;

static void make_certs(void) {
    the_root = q_certs_authority(NULL, "front root", 21);
    the_leaf = q_certs_make(the_root, &(struct q_certs_spec){.common_name = "front",
                                                             .alt_names = "DNS:" TLS_FRONT_HOST ",IP:127.0.0.1",
                                                             .key_number = 22});
}

const char *tls_front_roots(void) {
    pthread_once(&the_once, make_certs);
    return the_root->pem;
}

const char *tls_front_cert(void) {
    pthread_once(&the_once, make_certs);
    return the_leaf->pem;
}

const char *tls_front_key(void) {
    pthread_once(&the_once, make_certs);
    return the_leaf->key_pem;
}

// --- one connection --------------------------------------------------------------------------------------------------

static void count(struct tls_front *front, uint32_t *counter, int32_t by) {
    pthread_mutex_lock(&front->lock);
    *counter += (uint32_t)by;
    pthread_mutex_unlock(&front->lock);
}

static void set_up(int fd) {
    int one = 1;
    int len = SOCKET_BUFFER;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &len, sizeof len);
}

static void connect_server(struct leg *leg) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(leg->front->target)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Q_CHECK(fd >= 0);
    set_up(fd);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        leg->is_broken = true;
    }
    leg->server = fd;
}

// What the library's last call left: true when it waits, false when nothing more comes of it.
static bool may_wait(struct leg *leg, int result) {
    int error = SSL_get_error(leg->ssl, result);
    ERR_clear_error();
    leg->wants_write |= error == SSL_ERROR_WANT_WRITE;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void shake(struct leg *leg) {
    errno = 0;
    int result = SSL_do_handshake(leg->ssl);
    if (result == 1) {
        leg->is_shaken = true;
        count(leg->front, &leg->front->facts.num_shaken, 1);
        connect_server(leg);
    } else {
        leg->is_broken |= !may_wait(leg, result);
    }
}

static void hear_client(struct leg *leg) {
    struct way *up = &leg->up;
    errno = 0;
    int result = SSL_read(leg->ssl, up->bytes, PIECE);
    if (result > 0) {
        up->len = (size_t)result;
        pthread_mutex_lock(&leg->front->lock);
        leg->front->facts.bytes_in += up->len;
        pthread_mutex_unlock(&leg->front->lock);
        return;
    }
    int error = SSL_get_error(leg->ssl, result);
    bool is_cut = error == SSL_ERROR_SYSCALL && errno == 0;
    if (error == SSL_ERROR_ZERO_RETURN || is_cut) {
        count(leg->front, is_cut ? &leg->front->facts.num_cuts : &leg->front->facts.num_goodbyes, 1);
        up->is_ended = true;
        ERR_clear_error();
    } else {
        leg->is_broken |= !may_wait(leg, result);
    }
}

static void tell_server(struct leg *leg) {
    struct way *up = &leg->up;
    ssize_t sent = send(leg->server, up->bytes + up->at, up->len - up->at, MSG_NOSIGNAL | MSG_DONTWAIT);
    leg->is_broken |= sent < 0 && errno != EAGAIN && errno != EINTR;
    up->at += sent > 0 ? (size_t)sent : 0;
}

static void hear_server(struct leg *leg) {
    ssize_t len = recv(leg->server, leg->down.bytes, PIECE, MSG_DONTWAIT);
    leg->is_broken |= len < 0 && errno != EAGAIN && errno != EINTR;
    leg->down.is_ended = len == 0;
    leg->down.len = len > 0 ? (size_t)len : 0;
}

static void tell_client(struct leg *leg) {
    struct way *down = &leg->down;
    int result = SSL_write(leg->ssl, down->bytes + down->at, (int)(down->len - down->at));
    if (result > 0) {
        down->at += (size_t)result;
    } else {
        leg->is_broken |= !may_wait(leg, result);
    }
}

// True when everything of that way is taken, and the next may be read.
static bool is_empty(struct way *way) {
    if (way->at == way->len) {
        way->at = way->len = 0;
    }
    return way->len == 0;
}

static void end_ways(struct leg *leg) {
    if (leg->up.is_ended && is_empty(&leg->up) && !leg->up.is_shut) {
        leg->up.is_shut = true;
        shutdown(leg->server, SHUT_WR);
    }
    if (leg->down.is_ended && is_empty(&leg->down) && !leg->down.is_shut) {
        int result = SSL_shutdown(leg->ssl);
        if (result >= 0 || !may_wait(leg, result)) {
            leg->down.is_shut = true;
            shutdown(leg->client, SHUT_WR);
        }
    }
}

static void move(struct leg *leg) {
    leg->wants_write = false;
    if (!leg->is_shaken) {
        shake(leg);
        return;
    }
    if (is_empty(&leg->up) && !leg->up.is_ended) {
        hear_client(leg);
    }
    if (!is_empty(&leg->up) && !leg->is_broken) {
        tell_server(leg);
    }
    if (is_empty(&leg->down) && !leg->down.is_ended && !leg->is_broken) {
        hear_server(leg);
    }
    if (!is_empty(&leg->down) && !leg->is_broken) {
        tell_client(leg);
    }
    end_ways(leg);
}

// Sleeps until one of the sockets can do what is wanted. False: the test has had enough.
static bool wait_for(struct leg *leg) {
    bool is_up_free = is_empty(&leg->up) && !leg->up.is_ended;
    bool is_down_free = is_empty(&leg->down) && !leg->down.is_ended;
    bool is_down_full = !is_empty(&leg->down) || (leg->down.is_ended && !leg->down.is_shut);
    struct pollfd polled[3] = {{.fd = leg->front->stop_fd, .events = POLLIN}, {.fd = leg->client}, {.fd = leg->server}};
    polled[1].events = (short)((is_up_free ? POLLIN : 0) | (is_down_full || leg->wants_write ? POLLOUT : 0));
    polled[2].events = (short)((is_down_free ? POLLIN : 0) | (is_empty(&leg->up) ? 0 : POLLOUT));
    if (polled[2].events == 0) {
        polled[2].fd = -1;
    }
    if (polled[1].events == 0 && leg->is_hung) { // else it would wake us for ever; a reset is heard until then
        polled[1].fd = -1;
    }
    while (poll(polled, 3, -1) < 0) {
        Q_CHECK(errno == EINTR);
    }
    leg->is_hung |= (polled[1].revents & POLLHUP) != 0;
    leg->is_broken |= (polled[1].revents & POLLERR) != 0;
    return polled[0].revents == 0;
}

static void close_with(int fd, bool is_reset) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (is_reset) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(fd);
}

static void *serve(void *argument) {
    struct leg *leg = argument;
    bool goes_on = true;
    while (goes_on && !leg->is_broken && !(leg->up.is_shut && leg->down.is_shut)) {
        // What the library has read and not given out does not wake anybody.
        while (leg->is_shaken && is_empty(&leg->up) && !leg->is_broken && SSL_pending(leg->ssl) > 0) {
            move(leg);
        }
        move(leg);
        if (!leg->is_broken && !(leg->up.is_shut && leg->down.is_shut)) {
            goes_on = wait_for(leg);
        }
    }
    SSL_free(leg->ssl);
    close_with(leg->client, leg->is_broken);
    if (leg->server >= 0) {
        close_with(leg->server, leg->is_broken);
    }
    count(leg->front, &leg->front->facts.num_open, -1);
    free(leg);
    return NULL;
}

// --- life ------------------------------------------------------------------------------------------------------------

static void take(struct tls_front *front, int fd) {
    struct leg *leg = calloc(1, sizeof *leg);
    Q_CHECK(leg != NULL);
    *leg = (struct leg){.front = front, .client = fd, .server = -1, .ssl = SSL_new(front->context)};
    Q_CHECK(leg->ssl != NULL && SSL_set_fd(leg->ssl, fd) == 1);
    SSL_set_accept_state(leg->ssl);
    set_up(fd);
    pthread_mutex_lock(&front->lock);
    uint32_t index = front->facts.num_connections++;
    front->facts.num_open++;
    pthread_mutex_unlock(&front->lock);
    Q_CHECK(index < TLS_FRONT_CONNECTIONS_MAX);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    Q_CHECK(pthread_create(&front->threads[index], &attributes, serve, leg) == 0);
    pthread_attr_destroy(&attributes);
}

static void *accept_all(void *argument) {
    struct tls_front *front = argument;
    struct pollfd polled[2] = {{.fd = front->listen_fd, .events = POLLIN}, {.fd = front->stop_fd, .events = POLLIN}};
    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR) {
            Q_CHECK(false);
        }
        if (polled[1].revents != 0) {
            return NULL;
        }
        int fd = accept4(front->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take(front, fd);
        }
    }
}

static void demand_clients(SSL_CTX *context, const char *roots) {
    BIO *bio = BIO_new_mem_buf(roots, -1);
    X509 *root = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    Q_CHECK(root != NULL && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_free(root);
    BIO_free(bio);
}

static SSL_CTX *make_context(uint16_t version) {
    (void)tls_front_roots();
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    Q_CHECK(context != NULL && SSL_CTX_use_certificate(context, the_leaf->x509) == 1 &&
            SSL_CTX_use_PrivateKey(context, the_leaf->key) == 1);
    Q_CHECK(SSL_CTX_set_min_proto_version(context, version == 0 ? TLS1_2_VERSION : version) == 1 &&
            SSL_CTX_set_max_proto_version(context, version == 0 ? TLS1_3_VERSION : version) == 1);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

// A server's thread, in the middle of a handshake: its front is known by the context.
static int pack(SSL *ssl, CBB *out, const uint8_t *in, size_t in_len, uint16_t algorithm) {
    uint8_t packed[PIECE];
    struct tls_front *front = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    size_t len = cert_pack(algorithm, packed, sizeof packed, in, in_len);
    count(front, &front->facts.num_compressed, 1);
    return len > 0 && CBB_add_bytes(out, packed, len);
}

static int pack_zlib(SSL *ssl, CBB *out, const uint8_t *in, size_t in_len) {
    return pack(ssl, out, in, in_len, CERT_PACK_ZLIB);
}

static int pack_brotli(SSL *ssl, CBB *out, const uint8_t *in, size_t in_len) {
    return pack(ssl, out, in, in_len, CERT_PACK_BROTLI);
}

static void set_extras(struct tls_front *front, const struct tls_front_options *options) {
    SSL_CTX *context = front->context;
    SSL_CTX_set_app_data(context, front);
    if (options->chain != NULL) {
        Q_CHECK(SSL_CTX_use_certificate(context, options->chain[0]->x509) == 1 &&
                SSL_CTX_use_PrivateKey(context, options->chain[0]->key) == 1);
        for (size_t i = 1; options->chain[i] != NULL; i++) {
            Q_CHECK(SSL_CTX_add1_chain_cert(context, options->chain[i]->x509) == 1);
        }
    }
    if (options->staple != NULL) {
        const uint8_t *staple = (const uint8_t *)options->staple;
        Q_CHECK(SSL_CTX_set_ocsp_response(context, staple, strlen(options->staple)) == 1);
    }
    if (options->compression != 0) {
        bool is_zlib = options->compression == CERT_PACK_ZLIB;
        Q_CHECK(SSL_CTX_add_cert_compression_alg(
                    context, options->compression, is_zlib ? pack_zlib : pack_brotli, NULL) == 1);
    }
}

struct tls_front *tls_front_start(const struct tls_front_options *options) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int buffer = SOCKET_BUFFER;
    sigset_t all;
    sigset_t before;
    struct tls_front *front = calloc(1, sizeof *front);
    Q_CHECK(front != NULL);
    front->context = make_context(options->version);
    set_extras(front, options);
    if (options->client_roots != NULL) {
        demand_clients(front->context, options->client_roots);
    }
    front->target = options->port;
    front->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    front->stop_fd = eventfd(0, EFD_CLOEXEC);
    Q_CHECK(front->listen_fd >= 0 && front->stop_fd >= 0);
    setsockopt(front->listen_fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer); // of what is accepted, too
    Q_CHECK(bind(front->listen_fd, (struct sockaddr *)&address, len) == 0 &&
            listen(front->listen_fd, LISTEN_BACKLOG) == 0 &&
            getsockname(front->listen_fd, (struct sockaddr *)&address, &len) == 0);
    front->port = ntohs(address.sin_port);
    pthread_mutex_init(&front->lock, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    Q_CHECK(pthread_create(&front->acceptor, NULL, accept_all, front) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return front;
}

void tls_front_stop(struct tls_front *front) {
    uint64_t one = 1;
    if (front == NULL) {
        return;
    }
    Q_CHECK(write(front->stop_fd, &one, sizeof one) == sizeof one);
    pthread_join(front->acceptor, NULL);
    for (uint32_t i = 0; i < front->facts.num_connections; i++) {
        pthread_join(front->threads[i], NULL);
    }
    close(front->listen_fd);
    close(front->stop_fd);
    pthread_mutex_destroy(&front->lock);
    SSL_CTX_free(front->context);
    free(front);
}

uint16_t tls_front_port(const struct tls_front *front) {
    return front->port;
}

struct tls_front_facts tls_front_facts(struct tls_front *front) {
    pthread_mutex_lock(&front->lock);
    struct tls_front_facts facts = front->facts;
    pthread_mutex_unlock(&front->lock);
    return facts;
}
