// What a request by TLS 1.3 costs once everything is warm: steady.h. Beside what plain HTTP costs, the library asks for a
// block for each record, and ciphertext is copied once on its way between the kernel's chunks and the library.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "tests/engine/core/steady.h"

enum {
    THREAD = QUOIT_ENGINE_THREAD,
    DRIVEN = QUOIT_ENGINE_HOST_DRIVEN,
    INLINE = QUOIT_PORT_INLINE,
    PORT = QUOIT_PORT_EVENTFD,
    RECORDS_SMALL = 2, // the request's and the response's, its head and body in one
    RECORDS_BULK = 1 + 65, // head and body, of 16 KiB each but the last
    RECORDS_ECHO = 2 * (1 + 5),
};

static const struct steady_scenario k_small_inline[] = {
    {"/size/1024", THREAD, INLINE, 1, 1, STEADY_SOME(1000), 1024, 0, STEADY_COPIES_NONE, 20, RECORDS_SMALL},
    {"/size/1024", THREAD, INLINE, 16, 1, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_NONE, 20, RECORDS_SMALL},
    {"/size/1024", THREAD, INLINE, 64, 1, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_NONE, 20, RECORDS_SMALL},
    {"/size/1024", THREAD, INLINE, STEADY_MANY, 1, STEADY_SOME(7000), 1024, 0, STEADY_COPIES_NONE, 20, RECORDS_SMALL},
};

static const struct steady_scenario k_small_port[] = {
    {"/size/1024", THREAD, PORT, 1, 1, STEADY_SOME(1000), 1024, 0, STEADY_COPIES_ALL, 40, RECORDS_SMALL},
    {"/size/1024", THREAD, PORT, STEADY_MANY, 1, STEADY_SOME(7000), 1024, 0, STEADY_COPIES_ALL, 40, RECORDS_SMALL},
    {"/size/1024", THREAD, PORT, 64, 4, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_ALL, 40, RECORDS_SMALL},
};

static const struct steady_scenario k_bulk[] = {
    {"/size/1048576", THREAD, INLINE, 4, 1, STEADY_SOME(100), STEADY_MIB, 0, STEADY_COPIES_NONE, 640, RECORDS_BULK},
    {"/size/1048576", THREAD, PORT, 4, 1, STEADY_SOME(100), STEADY_MIB, 0, STEADY_COPIES_SMALL, 640, RECORDS_BULK},
};

static const struct steady_scenario k_sent[] = {
    {"/echo", THREAD, INLINE, 4, 1, STEADY_SOME(500), 65536, 65536, STEADY_COPIES_NONE, 120, RECORDS_ECHO},
    {"/echo", THREAD, PORT, 4, 1, STEADY_SOME(500), 65536, 65536, STEADY_COPIES_SMALL, 120, RECORDS_ECHO},
};

static const struct steady_scenario k_driven[] = {
    {"/size/1024", DRIVEN, INLINE, 16, 1, STEADY_SOME(4000), 1024, 0, STEADY_COPIES_NONE, 40, RECORDS_SMALL},
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
        cmocka_unit_test(bulk),                   cmocka_unit_test(requests_with_a_body),
        cmocka_unit_test(engines_that_their_host_drives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
