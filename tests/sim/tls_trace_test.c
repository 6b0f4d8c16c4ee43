// A seed is a run, octet for octet: worlds by TLS live twice, and what arrives on their wires, when, where, in which pieces
// and with which bytes, is the same. The bytes are ciphertext: what is inside them never shows.
#define _GNU_SOURCE
#include "tests/sim/engine_world.h"
#include "tests/sim/tls_route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 12

struct trace {
    char *data;
    size_t len, capacity;
    size_t num_arrivals, num_bytes;
    bool shows_plaintext;
};

// What is told of one arrival, in front of its bytes.
struct arrival {
    uint64_t now_ns, conn, is_to_client, len;
};

static void add(struct trace *trace, const void *data, size_t len) {
    if (trace->len + len > trace->capacity) {
        trace->capacity = (trace->len + len) * 2;
        trace->data = realloc(trace->data, trace->capacity);
        assert_non_null(trace->data);
    }
    memcpy(trace->data + trace->len, data, len);
    trace->len += len;
}

static void on_arrival(void *context, const struct q_sim_conn *conn, bool is_to_client, const char *data, size_t len) {
    struct trace *trace = context;
    const struct arrival arrival = {q_sim_now(q_sim_conn_sim(conn)), q_sim_conn_id(conn), is_to_client, len};
    add(trace, &arrival, sizeof arrival);
    add(trace, data, len);
    trace->num_arrivals++;
    trace->num_bytes += len;
    trace->shows_plaintext = trace->shows_plaintext || memmem(data, len, "HTTP/1.1", 8) != NULL;
}

static struct trace *the_trace;

// How it ended for everybody.
static void note(struct world *world) {
    add(the_trace, &world->ticks, sizeof world->ticks);
    add(the_trace, &world->done, sizeof world->done);
    add(the_trace, world->failed_by_code, sizeof world->failed_by_code);
}

static void live(uint64_t seed, struct trace *trace) {
    *trace = (struct trace){0};
    the_trace = trace;
    tls_route_tap(on_arrival, trace);
    world_live(seed, NULL, note);
    tls_route_tap(NULL, NULL);
}

static void a_seed_is_the_same_run_again_ciphertext_included(void **state) {
    (void)state;
    struct trace last = {0};
    size_t num_bytes = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct trace first, again;
        live(seed, &first);
        live(seed, &again);
        assert_int_equal(first.num_arrivals, again.num_arrivals);
        assert_int_equal(first.len, again.len);
        assert_memory_equal(first.data, again.data, first.len);
        assert_false(first.shows_plaintext);
        assert_true(last.len != first.len || memcmp(last.data, first.data, first.len) != 0);
        num_bytes += first.num_bytes;
        free(last.data);
        free(again.data);
        last = first;
    }
    free(last.data);
    print_message("%zu bytes of %d worlds were the same again\n", num_bytes, SEEDS);
    assert_true(num_bytes > 500000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_seed_is_the_same_run_again_ciphertext_included)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
