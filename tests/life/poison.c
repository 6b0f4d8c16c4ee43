#include "tests/life/poison.h"

#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

extern char **environ;

static struct {
    char *page;
    size_t size;
    char **environ_before;
    struct sigaction action_before;
    volatile sig_atomic_t num_reads;
    char reader[16];
} poison;

static void on_fault(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    char *at = info->si_addr;
    if (at < poison.page || at >= poison.page + poison.size) {
        signal(signal_number, SIG_DFL); // somebody else's fault: the same instruction faults again, for good
        return;
    }
    if (poison.num_reads++ == 0) {
        prctl(PR_GET_NAME, poison.reader, 0, 0, 0);
    }
    mprotect(poison.page, poison.size, PROT_READ);
}

void poison_set_locale(void) { assert_non_null(setlocale(LC_ALL, "C.UTF-8")); }

void poison_begin(void) {
    poison.size = (size_t)sysconf(_SC_PAGESIZE);
    poison.page = mmap(NULL, poison.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(poison.page != MAP_FAILED);
    poison.num_reads = 0;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    assert_int_equal(sigaction(SIGSEGV, &action, &poison.action_before), 0);
    poison.environ_before = environ;
    environ = (char **)(void *)poison.page;
}

int poison_end(void) {
    if (poison.page == NULL) {
        return 0;
    }
    environ = poison.environ_before;
    assert_int_equal(sigaction(SIGSEGV, &poison.action_before, NULL), 0);
    munmap(poison.page, poison.size);
    poison.page = NULL;
    return poison.num_reads;
}

const char *poison_reader(void) { return poison.reader; }

char **poison_environment(void) { return poison.environ_before; }

void poison_run(void **state) {
    void (*test)(void **) = (void (*)(void **))*state;
    void *nothing = NULL;
    poison_begin();
    test(&nothing);
    if (poison_end() > 0) {
        fail_msg("the environment was read, first by a thread named '%s'", poison.reader);
    }
}

int poison_lift(void **state) {
    (void)state;
    (void)poison_end(); // of a test that failed
    return 0;
}
