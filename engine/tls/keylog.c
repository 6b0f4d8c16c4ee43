#include "engine/tls/keylog.h"

#include "engine/base/alloc.h"
#include "engine/tls/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <unistd.h>

struct q_key_log {
    _Atomic(uint32_t) holders;
    size_t size;
    char path[];
};

static int open_file(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
}

struct q_error q_key_log_new(struct q_key_log **out, struct q_slice path) {
    *out = NULL;
    if (path.len == 0 || path.len >= Q_FILES_PATH_MAX || memchr(path.ptr, 0, path.len) != NULL) {
        return q_error_make(Q_ERR_INVALID_ARGUMENT, Q_PHASE_CREATE);
    }
    size_t size = sizeof(struct q_key_log) + path.len + 1;
    struct q_key_log *log = q_alloc_new(q_alloc_libc(), size);
    if (log == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    log->size = size;
    atomic_init(&log->holders, 1);
    memcpy(log->path, path.ptr, path.len);
    int fd = open_file(log->path);
    if (fd < 0) {
        struct q_error error = q_error_os(Q_ERR_TLS_FILE, Q_PHASE_CREATE, errno);
        q_key_log_release(log);
        return error;
    }
    close(fd);
    *out = log;
    return Q_OK;
}

struct q_key_log *q_key_log_acquire(struct q_key_log *log) {
    Q_CHECK(atomic_fetch_add_explicit(&log->holders, 1, memory_order_relaxed) != 0);
    return log;
}

void q_key_log_release(struct q_key_log *log) {
    if (log != NULL && atomic_fetch_sub_explicit(&log->holders, 1, memory_order_acq_rel) == 1) {
        q_alloc_free(q_alloc_libc(), log, log->size);
    }
}

void q_key_log_write(const struct q_key_log *log, const char *line) {
    int fd = open_file(log->path);
    if (fd < 0) {
        return;
    }
    struct iovec parts[2] = {
        {.iov_base = (void *)(uintptr_t)line, .iov_len = strlen(line)},
        {.iov_base = "\n", .iov_len = 1},
    };
    ssize_t written = writev(fd, parts, 2); // one call appends in one piece
    (void)written;
    close(fd);
}
