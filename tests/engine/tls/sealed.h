// What only the engine writes: an export of sessions, of whatever the test wants sealed in it (engine/tls/sessions_export.c).
#ifndef QUOIT_TESTS_ENGINE_TLS_SEALED_H
#define QUOIT_TESTS_ENGINE_TLS_SEALED_H

#include "engine/tls/sessions_export.h"

enum { SEALED_MORE = 56 }; // bytes that it is longer than what is in it

// sealed_write seals `size` bytes under `seal`, with a salt of zeros, and gives the length.
size_t sealed_write(const struct q_sessions_seal *seal, const uint8_t *data, size_t size, uint8_t *out);

#endif
