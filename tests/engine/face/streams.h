// Upgraded requests for tests: request 0 of the one host, against a server that echoes or one that plays a script.
// The test's main thread, but for feed and lend: any.
#ifndef QUOIT_TESTS_ENGINE_FACE_STREAMS_H
#define QUOIT_TESTS_ENGINE_FACE_STREAMS_H

#include <stdatomic.h>

#include "tests/engine/core/host.h"

#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\r\n"

struct bench_server;
struct bench_scripted;
struct bench_step;

extern struct host host;
extern char the_url[HOST_URL_MAX];
extern _Atomic(uint32_t) num_released; // pieces that were lent and came back

// echo_start and script_start start a server and make the_url its address.
struct bench_server *echo_start(void);
struct bench_scripted *script_start(const struct bench_step *script);

// upgrade_request asks the_url for "raw/1"; upgrade submits it as request 0 and waits until it has happened.
struct quoit_request *upgrade_request(void);
struct quoit_handle upgrade(void);

// feed has a piece copied, lend lends it; both give the code. end_feeds ends our direction.
int32_t feed(const void *data, size_t len);
int32_t lend(const void *data, size_t len);
void end_feeds(void);

#endif
