// What misuse_test.c, misuse_requests.c and misuse_tls.c share: rows of the table of misuse.
#ifndef QUOIT_TESTS_ENGINE_FACE_MISUSE_H
#define QUOIT_TESTS_ENGINE_FACE_MISUSE_H

#include <stdbool.h>
#include <stddef.h>

#define MISUSE_URL "http://127.0.0.1:1/"

// struct misuse is a public function, and a call that uses it in every wrong way and asserts what comes of it.
struct misuse {
    const char *name;
    void (*misuse)(void);
};

// The functions that build requests; they need no engine.
extern const struct misuse k_misuse_requests[];
extern const size_t k_misuse_requests_len;

// The functions that build TLS configurations; nor do they.
extern const struct misuse k_misuse_tls[];
extern const size_t k_misuse_tls_len;

// misuse_must_not_be_released is a quoit_release_fn that sets the bool at `context`.
void misuse_must_not_be_released(void *context, const void *data, size_t len);

#endif  // QUOIT_TESTS_ENGINE_FACE_MISUSE_H
