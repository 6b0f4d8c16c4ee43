#define _GNU_SOURCE
#include "engine/base/error.h"

#include <string.h>

struct error_row {
    int32_t code;
    bool retryable;
    const char *name;
    const char *sentence;
};

static const struct error_row k_rows[] = {
#define Q_ERROR(name, number, retryable, sentence) {(number), (retryable), "QUOIT_ERR_" #name, (sentence)},
#include "engine/base/error_table.h"
#undef Q_ERROR
};

static const struct error_row *row_of(int32_t code) {
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        if (k_rows[i].code == code) {
            return &k_rows[i];
        }
    }
    return NULL;
}

const char *q_error_name(int32_t code) {
    if (code == 0) {
        return "QUOIT_OK";
    }
    const struct error_row *row = row_of(code);
    return row == NULL ? "QUOIT_ERR_UNKNOWN" : row->name;
}

const char *q_error_sentence(int32_t code) {
    const struct error_row *row = row_of(code);
    return row == NULL ? "an error that this version of the library does not know" : row->sentence;
}

bool q_error_is_retryable(int32_t code) {
    const struct error_row *row = row_of(code);
    return row != NULL && row->retryable;
}

static const char *const k_phases[Q_PHASE_COUNT] = {
    [Q_PHASE_NONE] = "none",       [Q_PHASE_CREATE] = "create",   [Q_PHASE_SUBMIT] = "submit",
    [Q_PHASE_QUEUE] = "queue",     [Q_PHASE_RESOLVE] = "resolve", [Q_PHASE_CONNECT] = "connect",
    [Q_PHASE_TLS] = "tls",         [Q_PHASE_SEND] = "send",       [Q_PHASE_HEAD] = "head",
    [Q_PHASE_BODY] = "body",       [Q_PHASE_CLOSE] = "close",
};

const char *q_phase_name(unsigned phase) { return phase < Q_PHASE_COUNT ? k_phases[phase] : "none"; }

const char *q_errno_name(int os_errno) {
    // glibc's table of names: constant text, neither locale nor environment is read.
    const char *name = os_errno == 0 ? NULL : strerrorname_np(os_errno); // it has a name for 0, too: "0"
    return name == NULL ? "" : name;
}
