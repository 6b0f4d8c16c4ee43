#include "engine/base/log.h"

#include <stdio.h>

void q_log_write(const struct q_log *log, enum q_log_level level, const char *format, ...) {
    char line[Q_LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (len >= 0) {
        log->sink(log->context, (int)level, line);
    }
}
