// A host for tests: an engine, one port of any mode, and a record of everything that each request was told.
//
// A record is named by its index, which is the request's user_data. Events are noted as they come; what breaks a
// promise of api/README.md (order, a second terminal event, a gap in the body) is kept in `broken` and fails the test
// at the next wait or at the stop. Waits are bounded: what does not come within HOST_WAIT_MS hangs, and fails the test.
//
// The test's main thread calls these functions; in inline mode the loop thread notes, under the lock.
#ifndef QUOIT_TESTS_ENGINE_CORE_HOST_H
#define QUOIT_TESTS_ENGINE_CORE_HOST_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/quoit.h"

enum {
    HOST_WAIT_MS = 20000,
    HOST_RECORDS_MAX = 1024,
    HOST_TEXT_MAX = 512,
    HOST_URL_MAX = 256,
};

// struct host_record is what a request was told so far.
struct host_record {
    struct quoit_handle handle;
    bool is_submitted;
    uint32_t num_informational;
    uint32_t num_heads; // an upgrade is one, too
    uint32_t num_rooms;
    uint32_t num_data;
    uint32_t num_trailers;
    uint32_t num_questions;
    uint32_t num_ends;
    uint32_t end_type;
    uint16_t status;
    uint64_t token; // of the last question
    uint64_t body_len;
    bool is_foreign;          // a byte of the body is not that of bench/server/body.h
    char text[HOST_TEXT_MAX]; // the body's first bytes, with a NUL
    struct quoit_summary summary;
};

struct host {
    struct quoit_engine engine;
    struct quoit_port port;
    uint32_t engine_mode;
    uint32_t port_mode;
    pthread_mutex_t lock;
    pthread_cond_t noted;
    uint32_t num_ended;
    uint32_t num_closed;
    uint32_t num_keys; // KEY_LOG events
    const char *broken;
    // Inline: called behind the note, on the loop thread. Otherwise behind it on the draining thread, before the
    // advance. May be NULL.
    void (*on_event)(struct host *host, const struct quoit_event *event);
    void *context;
    struct host_record records[HOST_RECORDS_MAX];
};

// struct host_route is how a whole test is led elsewhere: to https, by whoever links tests/life:led_to_tls. `url` gives the
// URL to go to in place of one that the test names, `tls` is what engines get that were given none; so a test knows by it
// that it is led. A test may list ports of servers that must be met as they are. `end` closes what stands before the
// servers, for a test that counts descriptors. All zero: nothing is changed.
struct host_route {
    const char *(*url)(const char *url, char out[HOST_URL_MAX]);
    const struct quoit_tls *tls;
    void (*end)(void);
    uint16_t bare_ports[4];
};

extern struct host_route host_route;

// host_led gives `url` as host_request would ask for it, in `out` if it differs. host_route_end calls host_route.end.
const char *host_led(const char *url, char out[HOST_URL_MAX]);
void host_route_end(void);

// host_start makes the engine and its port; both options may be NULL, and their struct_size is filled in. An inline
// port's callback is the host's own.
void host_start(struct host *host, const struct quoit_engine_options *engine_options,
                const struct quoit_port_options *port_options);

// host_stop closes at once, waits for CLOSED, destroys, and fails unless every submit had its one terminal event.
void host_stop(struct host *host);

// host_close_and_wait closes with a drain and waits until CLOSED has come; host_destroy is the rest of host_stop.
void host_close_and_wait(struct host *host, uint64_t drain_ms);
void host_destroy(struct host *host);

// host_request builds a request; the caller releases it.
struct quoit_request *host_request(const char *method, const char *url);

// host_submit submits and releases `request` under `index`; host_get does so with a plain GET.
void host_submit(struct host *host, uint32_t index, struct quoit_request *request);
void host_get(struct host *host, uint32_t index, const char *url);

// host_step waits for events once and notes them.
void host_step(struct host *host);

// host_wait waits until request `index` has ended and gives its record; host_wait_all until `num` have ended;
// host_wait_body until `len` bytes of a body have come.
const struct host_record *host_wait(struct host *host, uint32_t index);
void host_wait_all(struct host *host, uint32_t num);
void host_wait_body(struct host *host, uint32_t index, uint64_t len);

// host_wait_head waits until the head, or the upgrade, has come; host_wait_rooms for so many ROOM events.
void host_wait_head(struct host *host, uint32_t index);
void host_wait_rooms(struct host *host, uint32_t index, uint32_t num);

// host_wait_question waits until the host was asked something; the record has the token.
void host_wait_question(struct host *host, uint32_t index);

// host_assert_done and host_assert_failed fail unless the request ended so.
void host_assert_done(const struct host_record *record, uint64_t body_len);
void host_assert_failed(const struct host_record *record, int32_t code, int32_t phase);

// host_fetch is get, wait and a body of `len` generated bytes.
void host_fetch(struct host *host, uint32_t index, const char *url, uint64_t len);

struct quoit_engine_info host_info(const struct host *host);

// host_until waits until `is_so` holds of the engine's counters, which follow events within a tick.
void host_until(struct host *host, bool (*is_so)(const struct quoit_engine_info *info, uint64_t value), uint64_t value);
bool host_is_open(const struct quoit_engine_info *info, uint64_t value);    // connections_open == value
bool host_is_pending(const struct quoit_engine_info *info, uint64_t value); // requests_pending == value

// host_until_stage waits until request `index`, which must not end before, is in a stage; the port is not drained meanwhile.
void host_until_stage(struct host *host, uint32_t index, uint32_t stage);

// host_note takes note of one event: for tests that drain by themselves.
void host_note(struct host *host, const struct quoit_event *event);

#endif
