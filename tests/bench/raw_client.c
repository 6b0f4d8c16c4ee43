#include "tests/bench/raw_client.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/server/body.h"

static struct raw_client connect_to(const struct sockaddr *address, socklen_t len) {
    struct raw_client client = {.fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct timeval limit = {.tv_sec = 10};
    assert_true(client.fd >= 0);
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(client.fd, address, len), 0);
    return client;
}

struct raw_client raw_connect(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect_to((const struct sockaddr *)&address, sizeof address);
}

struct raw_client raw_connect_6(uint16_t port) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
    return connect_to((const struct sockaddr *)&address, sizeof address);
}

struct raw_client raw_connect_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    return connect_to((const struct sockaddr *)&address, sizeof address);
}

void raw_close(struct raw_client *client) {
    close(client->fd);
    free(client->memory);
    *client = (struct raw_client){.fd = -1};
}

void raw_reset(struct raw_client *client) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    raw_close(client);
}

void raw_send_bytes(struct raw_client *client, const void *data, size_t len) {
    const char *at = data;
    while (len > 0) {
        ssize_t sent = send(client->fd, at, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        len -= (size_t)sent;
    }
}

void raw_send(struct raw_client *client, const char *text) {
    raw_send_bytes(client, text, strlen(text));
}

bool raw_read(struct raw_client *client) {
    size_t taken = client->memory ? (size_t)(client->held - client->memory) : 0;
    if (client->memory_size - taken - client->held_len < 65536) {
        size_t size = client->held_len * 2 + 131072;
        uint8_t *memory = malloc(size);
        assert_non_null(memory);
        if (client->held_len > 0)
            memcpy(memory, client->held, client->held_len);
        free(client->memory);
        client->memory = client->held = memory;
        client->memory_size = size;
        taken = 0;
    }
    ssize_t len = recv(client->fd, client->held + client->held_len, client->memory_size - taken - client->held_len, 0);
    client->eof = len == 0;
    client->read_error = len < 0 ? errno : 0;
    if (len <= 0)
        return false;
    client->held_len += (size_t)len;
    return true;
}

void raw_read_to_end(struct raw_client *client) {
    while (raw_read(client)) {
    }
    assert_int_not_equal(client->read_error, EAGAIN);
}

// take cuts `len` bytes off the front of what is held, reading until they are there, into NUL-terminated memory.
static uint8_t *take(struct raw_client *client, size_t len) {
    while (client->held_len < len)
        assert_true(raw_read(client));
    uint8_t *out = malloc(len + 1);
    assert_non_null(out);
    if (len > 0)
        memcpy(out, client->held, len);
    out[len] = '\0';
    client->held += len;
    client->held_len -= len;
    return out;
}

// take_through takes everything up to and with `mark`.
static char *take_through(struct raw_client *client, const char *mark) {
    for (;;) {
        const uint8_t *at = client->held_len ? memmem(client->held, client->held_len, mark, strlen(mark)) : NULL;
        if (at)
            return (char *)take(client, (size_t)(at - client->held) + strlen(mark));
        assert_true(raw_read(client));
    }
}

static void append(struct raw_response *response, const uint8_t *data, size_t len) {
    if (response->body_size - response->body_len < len + 1) {
        response->body_size = 2 * (response->body_len + len) + 512;
        response->body = realloc(response->body, response->body_size);
        assert_non_null(response->body);
    }
    memcpy(response->body + response->body_len, data, len);
    response->body_len += len;
    response->body[response->body_len] = '\0';
}

static void take_chunks(struct raw_client *client, struct raw_response *response) {
    for (;;) {
        char *line = take_through(client, "\r\n");
        size_t len = strtoul(line, NULL, 16);
        free(line);
        if (len == 0)
            break;
        uint8_t *data = take(client, len + 2);
        assert_memory_equal(data + len, "\r\n", 2);
        append(response, data, len);
        free(data);
    }
    for (;;) {
        char *line = take_through(client, "\r\n");
        bool last = strcmp(line, "\r\n") == 0;
        if (!last) {
            assert_int_equal(strlen(response->trailers), 0); // one is all that the server sends
            free(response->trailers);
            response->trailers = line;
            continue;
        }
        free(line);
        break;
    }
}

struct raw_response raw_take_response(struct raw_client *client, bool is_head) {
    struct raw_response response = {.trailers = strdup("")};
    for (;;) {
        response.head = take_through(client, "\r\n\r\n");
        assert_memory_equal(response.head, "HTTP/1.1 ", 9);
        response.status = (unsigned)strtoul(response.head + 9, NULL, 10);
        if (response.status >= 200)
            break;
        response.num_early++;
        free(response.head);
    }
    append(&response, (const uint8_t *)"", 0);
    const char *length = strcasestr(response.head, "\r\nContent-Length:");
    if (is_head || response.status == 204 || response.status == 304)
        return response;
    if (strcasestr(response.head, "\r\nTransfer-Encoding: chunked")) {
        assert_null(length);
        take_chunks(client, &response);
    } else if (length) {
        size_t len = strtoul(length + 17, NULL, 10);
        free(response.body);
        response.body = take(client, len);
        response.body_len = len;
    } else {
        raw_read_to_end(client);
        assert_true(client->eof);
        free(response.body);
        response.body_len = client->held_len;
        response.body = take(client, client->held_len);
    }
    return response;
}

void raw_response_free(struct raw_response *response) {
    free(response->head);
    free(response->body);
    free(response->trailers);
    *response = (struct raw_response){0};
}

struct raw_response raw_get(struct raw_client *client, const char *target) {
    char request[512];
    assert_in_range(snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target), 1,
                    sizeof request - 1);
    raw_send(client, request);
    return raw_take_response(client, false);
}

void raw_assert_body(const struct raw_response *response, size_t len) {
    assert_int_equal(response->body_len, len);
    for (size_t i = 0; i < len; i++) {
        if (response->body[i] != bench_server_body_byte(i))
            fail_msg("byte %zu of the body is wrong", i);
    }
}

unsigned raw_num_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    unsigned num = 0;
    assert_non_null(dir);
    while (readdir(dir))
        num++;
    closedir(dir);
    return num;
}
