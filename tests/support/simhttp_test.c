// The scripted HTTP server, asked over a ring by hand.
#define _GNU_SOURCE
#include "tests/support/simhttp.h"

#include "engine/base/check.h"
#include "tests/support/rawring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BUFFERS 8

struct client {
    struct q_sim *sim;
    struct q_simhttp *server;
    struct q_rawring ring;
    char got[1 << 17];
    size_t got_len;
    int32_t end; // what the last receive gave
};

static void open_client(struct client *client, uint64_t seed) {
    memset(client, 0, sizeof *client);
    client->sim = q_sim_new(&(struct q_sim_options){.seed = seed});
    client->server = q_simhttp_new(client->sim, "127.0.0.1", 80, &(struct q_simhttp_options){0});
    assert_int_equal(q_rawring_open(&client->ring, q_sim_sys(client->sim), Q_RAWRING_DEFAULT_FLAGS, 16, 32), 0);
    assert_int_equal(q_rawring_slots(&client->ring, 2), 0);
    assert_int_equal(q_rawring_buffers(&client->ring, 0, BUFFERS, 4096), 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    q_rawring_socket(&client->ring, 1, 0)->flags |= IOSQE_IO_LINK;
    q_rawring_connect(&client->ring, 2, 0, (struct sockaddr *)&address, sizeof address);
    struct io_uring_cqe cqe;
    assert_int_equal(q_rawring_await(&client->ring, Q_NS_PER_S, &cqe), 0);
    assert_int_equal(q_rawring_await(&client->ring, Q_NS_PER_S, &cqe), 0);
}

static void close_client(struct client *client, uint64_t faults) {
    struct io_uring_cqe cqe;
    q_rawring_close_slot(&client->ring, 9, 0);
    q_rawring_await(&client->ring, Q_NS_PER_S, &cqe);
    while (q_sim_step(client->sim, UINT64_MAX)) {
        // the server sees the end
    }
    q_rawring_close(&client->ring);
    assert_int_equal(q_simhttp_stats(client->server)->faults, faults);
    char text[256] = "";
    if (!q_sim_check(client->sim, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_sim_free(client->sim);
    q_simhttp_free(client->server);
    free(client);
}

static void ask(struct client *client, const char *request) {
    struct io_uring_cqe cqe;
    q_rawring_send(&client->ring, 3, 0, request, strlen(request));
    assert_int_equal(q_rawring_await(&client->ring, Q_NS_PER_S, &cqe), strlen(request));
}

// Reads until `ends_with` is there, or the stream ends, or nothing comes for ten seconds.
static void read_until(struct client *client, const char *ends_with) {
    size_t len = ends_with != NULL ? strlen(ends_with) : 0;
    client->got_len = 0;
    for (uint16_t id = 0;; id = (uint16_t)((id + 1) % BUFFERS)) {
        struct io_uring_cqe cqe;
        q_rawring_give(&client->ring, id);
        q_rawring_receive(&client->ring, 4, 0);
        client->end = q_rawring_await(&client->ring, 10 * Q_NS_PER_S, &cqe);
        if (client->end <= 0) {
            return;
        }
        uint16_t got = (uint16_t)(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
        memcpy(client->got + client->got_len, q_rawring_buffer(&client->ring, got), (size_t)client->end);
        client->got_len += (size_t)client->end;
        client->got[client->got_len] = 0;
        if (len > 0 && client->got_len >= len && memmem(client->got, client->got_len, ends_with, len) != NULL) {
            return;
        }
    }
}

static void sizes_and_chunks_carry_the_body_of_their_tag(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct client *client = malloc(sizeof *client);
        open_client(client, seed);
        ask(client, "GET /size/5000?tag=7&last HTTP/1.1\r\nHost: a\r\n\r\n");
        read_until(client, NULL);
        assert_int_equal(client->end, 0);
        const char *body = strstr(client->got, "\r\n\r\n") + 4;
        assert_non_null(strstr(client->got, "Content-Length: 5000\r\n"));
        assert_int_equal(client->got_len - (size_t)(body - client->got), 5000);
        assert_true(q_simhttp_matches(7, 0, body, 5000));
        close_client(client, 0);
    }
    struct client *client = malloc(sizeof *client);
    open_client(client, 0);
    ask(client, "GET /chunked/2500?tag=9 HTTP/1.1\r\nHost: a\r\n\r\n");
    read_until(client, "X-Trailer: 9\r\n\r\n");
    assert_non_null(strstr(client->got, "\r\n\r\n3e8\r\n"));
    assert_non_null(memmem(client->got, client->got_len, "\r\n1f4\r\n", 7)); // the body has NULs
    close_client(client, 0);
}

static void bodies_are_checked_and_echoed_over_one_connection(void **state) {
    (void)state;
    struct client *client = malloc(sizeof *client);
    open_client(client, 0);
    ask(client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    read_until(client, "\r\n\r\nhello");
    ask(client, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    read_until(client, "\r\n\r\nabcde");
    ask(client, "POST /status/204?tag=1&check HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    read_until(client, "\r\n\r\n");
    assert_non_null(strstr(client->got, "HTTP/1.1 204 "));
    assert_int_equal(q_simhttp_stats(client->server)->requests, 3);
    assert_int_equal(q_simhttp_stats(client->server)->body_bytes, 15);
    assert_non_null(strstr(q_simhttp_stats(client->server)->first_fault, "body is not"));
    close_client(client, 1);
}

static void a_response_is_reset_cut_or_never_comes(void **state) {
    (void)state;
    static const struct {
        const char *request;
        int32_t end;
        size_t len;
    } k_cases[] = {
        {"GET /size/100?reset=20 HTTP/1.1\r\nHost: a\r\n\r\n", -ECONNRESET, 20},
        {"GET /size/100?cut=20 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 20},
        {"GET /never HTTP/1.1\r\nHost: a\r\n\r\n", INT32_MIN, 0},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct client *client = malloc(sizeof *client);
        open_client(client, 0);
        ask(client, k_cases[i].request);
        read_until(client, NULL);
        assert_int_equal(client->end, k_cases[i].end);
        assert_int_equal(client->got_len, k_cases[i].len);
        if (client->end == INT32_MIN) {
            struct io_uring_cqe cqe;
            q_rawring_cancel_slot(&client->ring, 8, 0);
            assert_int_equal(q_rawring_await(&client->ring, Q_NS_PER_S, &cqe), 1);
            assert_int_equal(q_rawring_await(&client->ring, Q_NS_PER_S, &cqe), -ECANCELED);
        }
        close_client(client, 0);
    }
}

static void a_request_that_comes_too_early_is_a_fault(void **state) {
    (void)state;
    struct client *client = malloc(sizeof *client);
    open_client(client, 0);
    ask(client, "GET /size/100 HTTP/1.1\r\nHost: a\r\n\r\n");
    q_sim_run_due(client->sim);
    ask(client, "GET /size/1 HTTP/1.1\r\n\r\n");
    q_sim_run_due(client->sim);
    assert_non_null(strstr(q_simhttp_stats(client->server)->first_fault, "before the response before"));
    close_client(client, 2); // and it has no Host
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_chunks_carry_the_body_of_their_tag),
        cmocka_unit_test(bodies_are_checked_and_echoed_over_one_connection),
        cmocka_unit_test(a_response_is_reset_cut_or_never_comes),
        cmocka_unit_test(a_request_that_comes_too_early_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
