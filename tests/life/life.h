// What the life-cycle tests share: the rungs of the ladder, children of the test's process, and plain requests for
// places in which cmocka cannot fail a test (threads, children).
//
// Expectations in a child or thread are EXPECT(is): the function returns the line of the first one that does not hold,
// 0 when all did. life_child_end turns that into a failed test in the parent.
#ifndef QUOIT_TESTS_LIFE_LIFE_H
#define QUOIT_TESTS_LIFE_LIFE_H

#include "tests/engine/core/host.h"

#include <sys/types.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define LIFE_SANITIZED 1
#else
#define LIFE_SANITIZED 0
#endif

// ThreadSanitizer cannot follow threads that are made behind a fork of many: a child has no engine of its own then.
#if defined(__SANITIZE_THREAD__)
#define LIFE_CHILD_HAS_THREADS 0
#else
#define LIFE_CHILD_HAS_THREADS 1
#endif

enum {
    LIFE_ALL_OFF = QUOIT_CAP_DEFER_TASKRUN | QUOIT_CAP_HIDDEN_RING | QUOIT_CAP_DIRECT_SOCKET |
                   QUOIT_CAP_FUTEX_DOORBELL | QUOIT_CAP_NO_IOWAIT | QUOIT_CAP_DIRECT_BIND |
                   QUOIT_CAP_RECV_MULTISHOT | QUOIT_CAP_RECV_BUNDLE,
    LIFE_RUNGS = 10,
    LIFE_KNOCKS = 4,
    LIFE_LARGE = 16 << 20, // more than the kernel buffers on the way to a peer that does not read
};

// life_rungs is what to force off, rung by rung: nothing, each capability alone, all.
extern const uint32_t life_rungs[LIFE_RUNGS];

#define EXPECT(is)                                                                                                     \
    do {                                                                                                               \
        if (!(is)) {                                                                                                   \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #is);                                     \
            return __LINE__;                                                                                           \
        }                                                                                                              \
    } while (0)

// life_become_ordinary gives up root and its capabilities, if the process has them, for good. Each time it is another user,
// since the kernel counts locked memory and threads by user, and tests run side by side. 0, or the line that failed.
int life_become_ordinary(void);

// struct life_child is a process forked off the test's, which runs one function and ends.
struct life_child {
    pid_t pid;
    int link; // to the other process
    bool is_let_go;
};

// life_child_begin forks. The child runs `run` and leaves by _exit, 0 when it returned 0.
struct life_child life_child_begin(int (*run)(struct life_child *child, void *context), void *context);

// life_child_say is called by the child, life_child_hear by the parent: it waits until the child has said something,
// and fails the test when the child ends before that.
void life_child_say(struct life_child *child);
void life_child_hear(struct life_child *child);

// life_child_wait is called by the child: it waits until the parent lets it go.
void life_child_wait(struct life_child *child);
void life_child_let_go(struct life_child *child);

// life_child_end waits until the child has ended, bounded, and gives its wait status.
int life_child_end(struct life_child *child);

// life_child_must_succeed lets a child go and fails the test unless it ends with 0.
void life_child_must_succeed(struct life_child *child);

// life_child_run is begin, let go and must_succeed.
void life_child_run(int (*run)(struct life_child *child, void *context), void *context);

// life_ask submits `request` and drains until its end; the result is the failure's code, 0 for DONE, -1 when no event
// came. The port must have no other request pending.
int32_t life_ask(struct quoit_engine engine, struct quoit_port port, struct quoit_request *request);

// life_open makes an engine with one port; life_shut closes it, waits for CLOSED, and destroys it. 0, or a line.
int life_open(const struct quoit_engine_options *options, struct quoit_engine *out_engine, struct quoit_port *out_port);
int life_shut(struct quoit_engine engine, struct quoit_port port);

// life_fetch makes an engine, asks for `url` `num` times, and ends it. 0, or a line. No cmocka in it.
int life_fetch(const struct quoit_engine_options *options, const char *url, unsigned num);

// life_knock begins to connect to a port of 127.0.0.1 and does not wait for it. LIFE_KNOCKS of them are more than a backlog
// of 1 takes: whoever comes behind them stays connecting.
int life_knock(uint16_t port);

// life_until_flushing waits until the peer of upgraded request `index` has ended its direction, and the request has not
// ended: what was fed, which must be as much as may be fed, is not sent yet.
void life_until_flushing(struct host *host, uint32_t index);

// life_num_threads and life_num_fds count those of the process.
unsigned life_num_threads(void);
unsigned life_num_fds(void);

#endif
