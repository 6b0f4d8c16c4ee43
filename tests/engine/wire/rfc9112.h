// A second reading of RFC 9112, as plain as it can be: the whole response at once, one function for each rule of the
// grammar, no limit, and nothing of the engine's but its slices. It says what must come of the bytes of a server that
// closes behind them, to be compared with the reader, which is made for speed, for cuts, and on top of llhttp.
// Thread-free.
#ifndef QUOIT_TESTS_ENGINE_WIRE_RFC9112_H
#define QUOIT_TESTS_ENGINE_WIRE_RFC9112_H

#include "engine/base/slice.h"

#include <stdbool.h>
#include <stddef.h>

#define RFC9112_BODY_MAX 4096

struct rfc9112 {
    bool is_response; // complete and right; else nothing below counts
    unsigned status;
    bool keep_alive;
    size_t left; // bytes that are not of the response
    size_t body_len;
    char body[RFC9112_BODY_MAX];
};

// rfc9112_read reads the answer to a GET. The body must fit.
void rfc9112_read(struct q_slice input, struct rfc9112 *out);

#endif
