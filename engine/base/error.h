// Errors by value. A struct q_error says what (`code`), at which step (`phase`), which errno the kernel gave (or 0),
// and whether the peer provably has not processed the request. The zero value is "no error".
// Thread-free: value type; the tables are constant. No locale, no strerror, no thread-local state.
#ifndef QUOIT_ENGINE_BASE_ERROR_H
#define QUOIT_ENGINE_BASE_ERROR_H

#include "engine/base/check.h"

#include <stdbool.h>
#include <stdint.h>

// The same names and numbers as the public enum quoit_error; a test compares the two.
enum q_error_code {
#define Q_ERROR(name, number, retryable, sentence) Q_ERR_##name = (number),
#include "engine/base/error_table.h"
#undef Q_ERROR
};

// At which step a request was, in the order in which steps happen.
enum q_phase {
    Q_PHASE_NONE = 0,
    Q_PHASE_CREATE,
    Q_PHASE_SUBMIT,
    Q_PHASE_QUEUE,
    Q_PHASE_RESOLVE,
    Q_PHASE_CONNECT,
    Q_PHASE_TLS,
    Q_PHASE_SEND,
    Q_PHASE_HEAD,
    Q_PHASE_BODY,
    Q_PHASE_CLOSE,
    Q_PHASE_COUNT,
};

struct q_error {
    int32_t code;      // enum q_error_code
    int32_t os_errno;  // positive errno, or 0
    uint8_t phase;     // enum q_phase
    uint8_t retry_safe; // 1: the peer provably has not processed the request
    uint8_t alert;      // TLS's number of the alert that the peer has sent, or 0
};

#define Q_OK ((struct q_error){0})

static inline struct q_error q_error_make(enum q_error_code code, enum q_phase phase) {
    return (struct q_error){.code = (int32_t)code, .phase = (uint8_t)phase};
}

// q_error_os makes an error with the kernel's word; `os_errno` is positive.
static inline struct q_error q_error_os(enum q_error_code code, enum q_phase phase, int os_errno) {
    return (struct q_error){.code = (int32_t)code, .os_errno = os_errno, .phase = (uint8_t)phase};
}

static inline bool q_error_is(struct q_error error) { return error.code != 0; }

// q_error_name gives the stable name, "QUOIT_ERR_CANCELED" or "QUOIT_OK"; "QUOIT_ERR_UNKNOWN" for other numbers.
// The string is constant.
const char *q_error_name(int32_t code);

// q_error_sentence gives the English sentence of a code. The string is constant.
const char *q_error_sentence(int32_t code);

// q_error_is_retryable says whether the same request may succeed later; see error_table.h.
bool q_error_is_retryable(int32_t code);

// q_phase_name gives a lower-case word for a phase. The string is constant.
const char *q_phase_name(unsigned phase);

// q_errno_name gives the symbolic name of an errno ("ECONNREFUSED"), or "" when it is not known. Constant.
const char *q_errno_name(int os_errno);

#endif
