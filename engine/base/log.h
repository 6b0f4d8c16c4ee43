// Log: lines with a grammar, "subject id state: message", to the host's sink. No line is built when nobody listens.
// The sink is called on the thread that logs (the loop thread, or a thread inside an API call); it may not call Quoit.
// Text is ASCII, without newline, NUL-terminated, valid during the call only. Nothing secret is ever logged.
#ifndef QUOIT_ENGINE_BASE_LOG_H
#define QUOIT_ENGINE_BASE_LOG_H

#include "engine/base/check.h"

#include <stdarg.h>

enum q_log_level { Q_LOG_ERROR = 1, Q_LOG_WARN = 2, Q_LOG_INFO = 3, Q_LOG_DEBUG = 4 };

#define Q_LOG_LINE_MAX 512 // longer lines are cut: a peer's text must not make ours long

struct q_log {
    void (*sink)(void *context, int level, const char *line); // NULL: nobody listens
    void *context;
    int level;                                                // lines above this level are not built
};

// q_log_write builds one line and hands it to the sink. Formats with snprintf in the C numeric forms only
// (%s %d %u %x %zu and their long forms), which read no locale.
void q_log_write(const struct q_log *log, enum q_log_level level, const char *format, ...) Q_PRINTF(3, 4);

#define Q_LOG(log, log_level, ...)                                                                                     \
    do {                                                                                                               \
        if ((log)->sink != NULL && (int)(log_level) <= (log)->level) {                                                 \
            q_log_write((log), (log_level), __VA_ARGS__);                                                              \
        }                                                                                                              \
    } while (0)

#endif
