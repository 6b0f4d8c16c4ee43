// A peer that says exactly what a test wrote down, octet by octet, and nothing else.
//
// Vocabulary: a script is an array of steps; a scripted server plays a script on each connection that it accepts (the
// first script on the first connection, and so on; the last one on all that follow). Connections are played at the same
// time, each by a thread of its own. What a connection received is kept, whole, for the test to look at.
//
// A script without BENCH_CLOSE, BENCH_RST or BENCH_REPEAT at its end goes silent: the connection stays open, and its
// bytes are read and kept, until the client closes or the server is stopped. Nothing is read before a step wants it: a
// script that waits is a peer that does not read. Order between a test and a script is made with gates, not with time.
// A step that waits gives up after BENCH_SCRIPT_LIMIT_MS, so that a hung client is a failed test, not a hung one.
//
// Thread-free: any thread may call these functions; bench_scripted_stop is the last call.
#ifndef QUOIT_BENCH_SERVER_SCRIPTED_H
#define QUOIT_BENCH_SERVER_SCRIPTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/server/gate.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BENCH_SCRIPT_LIMIT_MS = 20000,
    BENCH_SCRIPTED_CONNECTIONS_MAX = 1024, // of one scripted server, in its whole life
};

enum bench_step_kind {
    BENCH_STEP_END,       // what an array ends with
    BENCH_EXPECT_REQUEST, // read up to the empty line, then as many bytes as Content-Length says (or the chunked body)
    BENCH_EXPECT_BYTES,   // read exactly `bytes`; anything else is a mismatch and ends the script
    BENCH_EXPECT_CLOSE,   // read and keep until the client closes or resets
    BENCH_SEND,           // send `bytes`
    BENCH_SEND_PIECES, // send `bytes`, `number` at a time, each piece a segment of its own that the client's kernel has
                       // got before the next one leaves
    BENCH_WAIT,        // for a pass of `gate`
    BENCH_OPEN,        // open `gate`
    BENCH_FIN,         // shut down our direction; the steps behind it may wait and read still
    BENCH_CLOSE,       // close both directions at once
    BENCH_RST,         // when the client's kernel has got what was sent: close with a reset
    BENCH_REPEAT,      // from the first step again, until that was played `number` times (0: for ever)
};

struct bench_step {
    enum bench_step_kind kind;
    const char *bytes;
    size_t len; // of `bytes`; 0: up to its NUL
    size_t number;
    struct bench_gate *gate;
};

// How a connection of a scripted server stands or ended.
enum bench_script_state {
    BENCH_SCRIPT_RUNNING,
    BENCH_SCRIPT_DONE,        // the script came to its end (of the steps; a silent connection may still be open)
    BENCH_SCRIPT_MISMATCH,    // BENCH_EXPECT_BYTES got something else
    BENCH_SCRIPT_CLIENT_GONE, // the client closed or reset where the script wanted to go on
    BENCH_SCRIPT_TIMED_OUT,
};

struct bench_scripted;

// bench_scripted_start listens on `address` ("127.0.0.1" for NULL, "::1", "unix:/path") at a free port. `scripts` is a
// NULL-terminated array of step arrays; it, its steps, bytes and gates are borrowed until stop. NULL with errno on
// failure.
struct bench_scripted *bench_scripted_start(const char *address, const struct bench_step *const *scripts);

// bench_scripted_start_one is bench_scripted_start with one script for every connection.
struct bench_scripted *bench_scripted_start_one(const struct bench_step *script);

// bench_scripted_port returns the port, 0 for a unix path.
uint16_t bench_scripted_port(const struct bench_scripted *scripted);

// bench_scripted_url writes the URL of `path` into `out` and returns `out`.
char *bench_scripted_url(const struct bench_scripted *scripted, const char *path, char *out, size_t size);

// bench_scripted_accepted returns how many connections have been accepted.
unsigned bench_scripted_accepted(struct bench_scripted *scripted);

// bench_scripted_wait waits until the script of connection `index` (from 0) is no longer running and returns its state;
// BENCH_SCRIPT_RUNNING after `timeout_ms`, also when there is no such connection yet.
enum bench_script_state bench_scripted_wait(struct bench_scripted *scripted, unsigned index, int timeout_ms);

// bench_scripted_wait_closed waits until connection `index` is closed on our side, too; false after `timeout_ms`.
bool bench_scripted_wait_closed(struct bench_scripted *scripted, unsigned index, int timeout_ms);

// bench_scripted_received copies up to `size` bytes of what connection `index` has received so far; it returns how many
// there are in all.
size_t bench_scripted_received(struct bench_scripted *scripted, unsigned index, char *out, size_t size);

// bench_scripted_stop closes everything, joins the threads and frees `scripted`. NULL is allowed.
void bench_scripted_stop(struct bench_scripted *scripted);

#ifdef __cplusplus
}
#endif

#endif
