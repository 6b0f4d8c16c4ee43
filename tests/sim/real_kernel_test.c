// The engine on the real kernel, with the ledger around it, on each rung of the feature ladder: what the simulations
// prove of the engine's use of descriptors holds where it counts. A kernel without io_uring does not run this.
#define _GNU_SOURCE
#include "api/quoit.h"
#include "bench/server/server.h"
#include "engine/core/engine.h"
#include "tests/support/failalloc.h"
#include "tests/support/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REQUESTS 200u
#define IN_FLIGHT 24u
#define WAIT_MS 20000 // nothing here takes long; what does not come by then hangs

// What is asked, in turn. A body that ends whole is compared with what the server's own source says that it is.
static const struct {
    const char *method, *path;
    uint64_t len;     // of the body, when it must come whole
    bool must_finish; // else it may fail, and some must
    bool is_canceled;
} k_asks[] = {
    {"GET", "/size/1000", 1000, true, false},
    {"GET", "/size/200000", 200000, true, false},
    {"GET", "/size/30000?chunked=777&trailers=1", 30000, true, false},
    {"HEAD", "/size/1000", 0, true, false},
    {"GET", "/status/204", 0, true, false},
    {"POST", "/echo", 50000, true, false},
    {"GET", "/size/5000?close=2", 5000, true, false},
    {"GET", "/size/5000?close=1", 5000, true, false},
    {"GET", "/size/5000?reset_at=3000", 0, false, false},
    {"GET", "/size/5000?fin_at=3000", 0, false, false},
    {"GET", "/size/100?silent=1", 0, false, true},
    {"GET", "/size/500000?gap_ms=1", 500000, true, false},
};

struct real {
    struct q_ledger *ledger;
    struct q_failalloc *failalloc;
    struct quoit_allocator allocator;
    struct bench_server *server;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *requests[Q_COUNT_OF(k_asks)];
    struct {
        struct quoit_handle handle;
        uint64_t received;
        bool has_ended;
    } slots[REQUESTS];
    unsigned submitted, ended, failed;
};

static void *real_allocate(void *context, size_t size) {
    return q_failalloc_alloc(context)->allocate(q_failalloc_alloc(context)->context, size);
}

static void real_release(void *context, void *ptr, size_t size) {
    q_failalloc_alloc(context)->release(q_failalloc_alloc(context)->context, ptr, size);
}

static void build_requests(struct real *real) {
    static char body[50000];
    memcpy(body, bench_body_at(0), sizeof body);
    for (size_t i = 0; i < Q_COUNT_OF(k_asks); i++) {
        char url[128];
        bench_server_url(real->server, k_asks[i].path, url, sizeof url);
        assert_int_equal(quoit_request_new(k_asks[i].method, url, &real->requests[i]), 0);
        if (strcmp(k_asks[i].method, "POST") == 0) {
            assert_int_equal(quoit_request_set_body(real->requests[i], body, sizeof body, NULL, NULL), 0);
        }
        assert_int_equal(quoit_request_freeze(real->requests[i]), 0);
    }
}

static bool open_real(struct real *real, uint32_t capabilities_off) {
    memset(real, 0, sizeof *real);
    real->ledger = q_ledger_new(q_sys_uring_real());
    real->failalloc = q_failalloc_new();
    real->allocator = (struct quoit_allocator){real_allocate, real_release, real->failalloc};
    struct quoit_engine_options options = {.struct_size = sizeof options,
                                           .capabilities_off = capabilities_off,
                                           .requests_max = 64,
                                           .connections_max = 16,
                                           .allocator = &real->allocator,
                                           .hosts_file = "/nonexistent"};
    struct q_engine_seams seams = {.sys = q_ledger_sys(real->ledger), .clock = q_clock_monotonic()};
    struct q_error error = q_engine_create(&options, &seams, &real->engine);
    if (q_error_is(error)) {
        assert_int_equal(error.code / 100, 2); // the ring is refused, and says so
        q_ledger_free(real->ledger);
        q_failalloc_free(real->failalloc);
        return false;
    }
    real->server = bench_server_start(NULL);
    assert_non_null(real->server);
    assert_int_equal(quoit_port_create(real->engine, NULL, &real->port), 0);
    build_requests(real);
    return true;
}

static void submit(struct real *real) {
    unsigned at = real->submitted++;
    size_t which = at % Q_COUNT_OF(k_asks);
    int32_t code =
        quoit_submit(real->engine, real->port, real->requests[which], at, &real->slots[at].handle);
    assert_int_equal(code, 0);
    if (k_asks[which].is_canceled) {
        assert_int_equal(quoit_cancel(real->engine, real->slots[at].handle), 0);
    }
}

static void note_event(struct real *real, const struct quoit_event *event) {
    assert_in_range(event->user_data, 0, REQUESTS - 1);
    size_t which = event->user_data % Q_COUNT_OF(k_asks);
    uint64_t *received = &real->slots[event->user_data].received;
    assert_false(real->slots[event->user_data].has_ended);
    const uint8_t *data = event->u.data.data;
    switch (event->type) {
    case QUOIT_EVENT_DATA:
        assert_int_equal(event->u.data.offset, *received);
        for (size_t i = 0; i < event->u.data.len; i++) {
            if (data[i] != bench_server_body_byte(*received + i)) {
                fail_msg("%s: a wrong byte at %llu", k_asks[which].path, (unsigned long long)(*received + i));
            }
        }
        *received += event->u.data.len;
        break;
    case QUOIT_EVENT_DONE:
        assert_int_equal(*received, k_asks[which].len);
        assert_true(k_asks[which].must_finish);
        break;
    case QUOIT_EVENT_FAILED:
        if (k_asks[which].must_finish) {
            fail_msg("%s: %s", k_asks[which].path, quoit_error_name(event->u.summary.failure.code));
        }
        real->failed++;
        break;
    default: break;
    }
    if (event->type == QUOIT_EVENT_DONE || event->type == QUOIT_EVENT_FAILED) {
        real->slots[event->user_data].has_ended = true;
        real->ended++;
    }
}

static void use_real(struct real *real) {
    struct quoit_event events[16];
    while (real->ended < REQUESTS) {
        while (real->submitted < REQUESTS && real->submitted - real->ended < IN_FLIGHT) {
            submit(real);
        }
        int32_t count = quoit_port_wait(real->port, events, sizeof events[0], Q_COUNT_OF(events), WAIT_MS);
        assert_true(count > 0);
        for (int32_t i = 0; i < count; i++) {
            note_event(real, &events[i]);
        }
        assert_int_equal(quoit_port_advance(real->port), 0);
    }
    assert_int_equal(real->failed, 3 * (REQUESTS / Q_COUNT_OF(k_asks)));
}

static void close_real(struct real *real) {
    assert_int_equal(quoit_engine_close(real->engine, 0), 0);
    struct quoit_event event;
    assert_int_equal(quoit_port_wait(real->port, &event, sizeof event, 1, WAIT_MS), 1);
    assert_int_equal(event.type, QUOIT_EVENT_CLOSED);
    assert_int_equal(quoit_port_advance(real->port), 0);
    assert_int_equal(quoit_engine_destroy(real->engine), 0);
    for (size_t i = 0; i < Q_COUNT_OF(k_asks); i++) {
        quoit_request_release(real->requests[i]);
    }
    bench_server_stop(real->server);
    char text[512] = "";
    if (!q_ledger_check(real->ledger, text, sizeof text)) {
        q_ledger_dump(real->ledger, stderr, 60);
        fail_msg("%s", text);
    }
    assert_true(q_ledger_counts(real->ledger)->closed >= q_ledger_counts(real->ledger)->opened);
    if (!q_failalloc_check(real->failalloc, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_ledger_free(real->ledger);
    q_failalloc_free(real->failalloc);
}

static void the_ledger_is_clean_on_each_rung_of_the_ladder(void **state) {
    (void)state;
    struct real *real = malloc(sizeof *real);
    unsigned rungs = 0;
    for (uint32_t off = 0; off <= Q_RING_CAPABILITIES; off++) {
        // Nothing but local addresses looks at it, and nothing but receives at the others: each once, and all together.
        const uint32_t apart = Q_RING_DIRECT_BIND | Q_RING_RECV_MULTISHOT | Q_RING_RECV_BUNDLE;
        if ((off & apart) != 0 && (off & ~apart) != 0 && off != Q_RING_CAPABILITIES) {
            continue;
        }
        if (!open_real(real, off)) {
            break;
        }
        use_real(real);
        close_real(real);
        rungs++;
    }
    free(real);
    if (rungs == 0) {
        skip(); // not run: this kernel has no io_uring for us
    }
    assert_int_equal(rungs, 32 + 7 + 1); // all sets of the first five, all of the last three, everything
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_ledger_is_clean_on_each_rung_of_the_ladder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
