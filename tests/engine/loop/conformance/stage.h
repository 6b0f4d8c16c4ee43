// A stage on which one script is played twice: on the simulated kernel and on the real one. The script drives a ring
// by hand (rawring.h) and a TCP peer, and notes what it saw; the two notes must be the same text, and the text that
// the script's author expected. So the simulator is held to the kernel, and our reading of the kernel to itself.
// One thread.
#ifndef QUOIT_TESTS_ENGINE_LOOP_CONFORMANCE_STAGE_H
#define QUOIT_TESTS_ENGINE_LOOP_CONFORMANCE_STAGE_H

#include "tests/support/rawring.h"
#include "tests/support/simkernel.h"
#include "tests/support/simnet.h"

#include <netinet/in.h>

#define STAGE_SLOTS 8
#define STAGE_WAIT_NS (2 * Q_NS_PER_S) // for what must come
#define STAGE_BUFFERS 8
#define STAGE_BUFFER_SIZE 1024

struct stage {
    struct q_sim *sim; // NULL: the real kernel
    struct q_sys_uring *sys;
    struct q_rawring ring;
    struct sockaddr_in address; // somebody listens here
    struct sockaddr_in nobody;  // and nobody here
    int listener, closed_port, peer;
    struct q_sim_conn *conn;
    size_t peer_got;
    bool peer_fin, peer_reset;
    char note[4096];
    size_t note_len;
};

// What a script needs of the kernel; when the real one cannot, the test is not run.
enum stage_need {
    STAGE_NEEDS_NOTHING = 0,
    STAGE_NEEDS_SOCKET_COMMAND = 1,
    STAGE_NEEDS_FUTEX = 2,
    STAGE_NEEDS_REG_REG_RING = 4,
    STAGE_NEEDS_MULTISHOT = 8,
    STAGE_NEEDS_BIND = 16,
    STAGE_NEEDS_BUNDLE = 32,
};

struct stage_script {
    const char *name; // a sentence: what the kernel does
    void (*play)(struct stage *stage);
    unsigned needs;
    const char *expected;
};

// stage_run_scripts plays each script on both kernels, one test per script; both must note what is expected. A script
// that the real kernel cannot play is not run. The tables are thereby also what we know about io_uring; where its
// manual pages say otherwise, the kernel won. Gives what main returns.
int stage_run_scripts(const struct stage_script *scripts, size_t count);

// stage_open prepares a stage with an open ring, slots and a buffer ring without buffers. False when the real kernel
// refuses a ring or lacks one of `needs`; the stage is then closed.
bool stage_open(struct stage *stage, bool real, unsigned needs);
void stage_close(struct stage *stage);

void stage_note(struct stage *stage, const char *format, ...) Q_PRINTF(2, 3);

// stage_note_cqes waits for `count` completions and notes them by user_data: "12=5B 13=0 ". B: with a buffer, M: more
// will follow, N: the socket is not empty. A completion that does not come within two seconds is noted as "missing".
void stage_note_cqes(struct stage *stage, unsigned count);

// The same in the order of arrival.
void stage_note_cqes_in_order(struct stage *stage, unsigned count);

// stage_note_quiet notes "quiet" when no completion comes for a moment, else what came.
void stage_note_quiet(struct stage *stage);

// stage_connect makes a connected socket in `slot` and accepts it; it fails the test when it cannot.
void stage_connect(struct stage *stage, unsigned slot);

// stage_end_slot closes a slot without a note.
void stage_end_slot(struct stage *stage, unsigned slot);

// The peer. stage_note_peer notes what it sees: "bytes N", "fin", "reset" or "nothing".
void stage_peer_send(struct stage *stage, const void *data, size_t len);
void stage_peer_fin(struct stage *stage);
void stage_peer_reset(struct stage *stage);
void stage_note_peer(struct stage *stage);
void stage_peer_pause(struct stage *stage, bool paused); // only the simulated peer reads by itself

uint64_t stage_take_eventfd(struct stage *stage, int fd);

#endif
