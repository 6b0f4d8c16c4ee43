// Epochs: constant in a process, another one in every child and grandchild.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/epoch.h"

#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

static void an_epoch_begins_once(void **state) {
    (void)state;
    assert_int_equal(q_epoch_now(), 0);
    uint32_t epoch = q_epoch_begin();
    assert_int_not_equal(epoch, 0);
    assert_int_equal(q_epoch_begin(), epoch);
    assert_int_equal(q_epoch_now(), epoch);
}

// Exits with true when it, and its children down to `depth`, have begun nothing and then begin what no ancestor had.
static bool runs_in_a_child(uint32_t parents, int depth) {
    pid_t child = fork();
    if (child == 0) {
        bool is_good = q_epoch_now() == 0;
        uint32_t epoch = q_epoch_begin();
        is_good = is_good && epoch > parents && q_epoch_now() == epoch && q_epoch_begin() == epoch;
        _exit(is_good && (depth == 0 || runs_in_a_child(epoch, depth - 1)) ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void a_child_has_an_epoch_of_its_own(void **state) {
    (void)state;
    uint32_t epoch = q_epoch_begin();
    assert_true(runs_in_a_child(epoch, 2));
    assert_int_equal(q_epoch_now(), epoch); // the parent's stays
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_begins_once),
        cmocka_unit_test(a_child_has_an_epoch_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
