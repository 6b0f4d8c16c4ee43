// Cases of https on the simulated network, in plain mode, each with the outcome that it must have: what only TLS can do. The
// cases that are the same without it run by TLS too, see route.h.
#define _GNU_SOURCE
#include "tests/sim/stand.h"
#include "tests/sim/tls_route.h"

#include "tests/support/libmemory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Want of memory is nobody's fault. A few allocations leave no trace: what they were for looks like a signature, or a digest,
// that is wrong.
static void each_allocation_of_the_library_may_fail(void **state) {
    struct stand *stand = *state;
    unsigned num_traceless = 0;
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed; nth++) {
        q_libmemory_fail_at(nth);
        stand->tag = 3;
        stand_ask(stand, (struct ask){.method = "POST", .body_len = 100}, "/echo?tag=3&last");
        has_failed = q_libmemory_failed();
        q_libmemory_fail_at(0);
        int32_t code = stand->summary.failure.code;
        assert_true(code == 0 || has_failed);
        if (code != 0 && code != QUOIT_ERR_NO_MEMORY) {
            num_traceless++;
            assert_true(code == QUOIT_ERR_TLS_PROTOCOL || code == QUOIT_ERR_TLS_BAD_CHAIN);
        }
    }
    assert_in_range(num_traceless, 0, 6);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, stand_set_up, stand_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(each_allocation_of_the_library_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
