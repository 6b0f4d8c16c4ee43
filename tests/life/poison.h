// The poisoned environment: from poison_begin on `environ` points at a page that cannot be read. A read on a thread that
// takes signals is caught, counted, and then let pass (it finds an empty environment), so that a failing test says who it
// was; an engine's thread blocks all signals, so a read there kills the test. What a test itself needs of the environment
// it reads before, or asks poison_environment for (to hand it to children). The test's main thread.
#ifndef QUOIT_TESTS_LIFE_POISON_H
#define QUOIT_TESTS_LIFE_POISON_H

// A row of a cmocka table: the test runs under the poison, and fails when anybody has read. (Inside the test, and not
// around the group: cmocka sets signal handlers of its own before each, and reads the environment between them.)
#define POISONED_TEST(test)                                                                                            \
    {.name = #test, .test_func = poison_run, .teardown_func = poison_lift, .initial_state = (void *)(test)}

// poison_run and poison_lift are that macro's.
void poison_run(void **state);
int poison_lift(void **state);

// poison_set_locale puts the process in C.UTF-8, in which the C library reads the environment for an error's text. Before
// the poison.
void poison_set_locale(void);

void poison_begin(void);

// poison_end gives the environment back, and how often somebody read it meanwhile; 0 when nothing was poisoned.
int poison_end(void);

// poison_reader names the first thread that read. Valid until the next begin.
const char *poison_reader(void);

// poison_environment gives the environment as it was.
char **poison_environment(void);

#endif
