// What a request of plain HTTP costs once everything is warm: steady.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "tests/engine/core/steady.h"

// Each: path, mode of engine and of port, connections, producers, requests, bytes received and sent, what is copied,
// entries for ten requests, no TLS. A request that is alone has two completions, for which the loop sleeps: sent and received;
// at a port two more: its submit, which wakes the loop, and the signal to its host.
enum {
    THREAD = QUOIT_ENGINE_THREAD,
    DRIVEN = QUOIT_ENGINE_HOST_DRIVEN,
    INLINE = QUOIT_PORT_INLINE,
    PORT = QUOIT_PORT_EVENTFD,
};

static const struct steady_scenario k_small_inline[] = {
    {"/size/1024", THREAD, INLINE, 1, 1, STEADY_SOME(1000), 1024, 0, STEADY_COPIES_NONE, 20, 0},
    {"/size/1024", THREAD, INLINE, 16, 1, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_NONE, 20, 0},
    {"/size/1024", THREAD, INLINE, 64, 1, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_NONE, 20, 0},
    {"/size/1024", THREAD, INLINE, STEADY_MANY, 1, STEADY_SOME(7000), 1024, 0, STEADY_COPIES_NONE, 20, 0},
};

static const struct steady_scenario k_small_port[] = {
    {"/size/1024", THREAD, PORT, 1, 1, STEADY_SOME(1000), 1024, 0, STEADY_COPIES_ALL, 40, 0},
    {"/size/1024", THREAD, PORT, 16, 1, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_ALL, 40, 0},
    {"/size/1024", THREAD, PORT, STEADY_MANY, 1, STEADY_SOME(7000), 1024, 0, STEADY_COPIES_ALL, 40, 0},
    {"/size/1024", THREAD, PORT, 64, 4, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_ALL, 40, 0},
};

static const struct steady_scenario k_bulk[] = {
    {"/size/1048576", THREAD, INLINE, 4, 1, STEADY_SOME(100), STEADY_MIB, 0, STEADY_COPIES_NONE, 320, 0},
    {"/size/1048576", THREAD, PORT, 4, 1, STEADY_SOME(100), STEADY_MIB, 0, STEADY_COPIES_SMALL, 320, 0},
};

static const struct steady_scenario k_chunked[] = {
    {"/size/4096?chunked=100", THREAD, INLINE, 4, 1, STEADY_SOME(500), 4096, 0, STEADY_COPIES_NONE, 20, 0},
    {"/size/4096?chunked=100", THREAD, PORT, 4, 1, STEADY_SOME(500), 4096, 0, STEADY_COPIES_ALL, 40, 0},
};

static const struct steady_scenario k_sent[] = {
    {"/echo", THREAD, INLINE, 4, 1, STEADY_SOME(500), 65536, 65536, STEADY_COPIES_NONE, 80, 0},
    {"/echo", THREAD, PORT, 4, 1, STEADY_SOME(500), 65536, 65536, STEADY_COPIES_SMALL, 80, 0},
};

static const struct steady_scenario k_driven[] = {
    {"/size/1024", DRIVEN, INLINE, 1, 1, STEADY_SOME(1000), 1024, 0, STEADY_COPIES_NONE, 40, 0},
    {"/size/1024", DRIVEN, INLINE, 16, 1, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_NONE, 40, 0},
};

static void small_responses_inline(void **state) {
    (void)state;
    steady_play(k_small_inline, Q_COUNT_OF(k_small_inline));
}

static void small_responses_at_a_port(void **state) {
    (void)state;
    steady_play(k_small_port, Q_COUNT_OF(k_small_port));
}

static void bulk(void **state) {
    (void)state;
    steady_play(k_bulk, Q_COUNT_OF(k_bulk));
}

static void chunked_responses(void **state) {
    (void)state;
    steady_play(k_chunked, Q_COUNT_OF(k_chunked));
}

static void requests_with_a_body(void **state) {
    (void)state;
    steady_play(k_sent, Q_COUNT_OF(k_sent));
}

static void engines_that_their_host_drives(void **state) {
    (void)state;
    steady_play(k_driven, Q_COUNT_OF(k_driven));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_responses_inline), cmocka_unit_test(small_responses_at_a_port),
        cmocka_unit_test(bulk),                   cmocka_unit_test(chunked_responses),
        cmocka_unit_test(requests_with_a_body),   cmocka_unit_test(engines_that_their_host_drives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
