#define _GNU_SOURCE
#include "engine/tls/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_BYTES = 4096, NAMES_BYTES = 8192 };

static struct q_error failed(int os_errno) { return q_error_os(Q_ERR_TLS_FILE, Q_PHASE_CREATE, os_errno); }

// grow doubles the room, at most to one byte more than may be: that byte tells a file that is too large.
static struct q_error grow(struct q_file *file) {
    size_t size = file->size * 2 > Q_FILES_MAX_BYTES ? Q_FILES_MAX_BYTES + 1 : file->size * 2;
    if (size <= file->size) {
        return q_error_make(Q_ERR_TLS_FILE_TOO_LARGE, Q_PHASE_CREATE);
    }
    char *ptr = file->alloc->allocate(file->alloc->context, size);
    if (ptr == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    memcpy(ptr, file->ptr, file->len);
    q_wipe(file->ptr, file->size);
    q_alloc_free(file->alloc, file->ptr, file->size);
    file->ptr = ptr;
    file->size = size;
    return Q_OK;
}

// read_to_end reads until the file ends; its size may have changed since it was asked.
static struct q_error read_to_end(struct q_file *file, int fd) {
    while (true) {
        if (file->len == file->size) {
            struct q_error error = grow(file);
            if (q_error_is(error)) {
                return error;
            }
        }
        ssize_t got = read(fd, file->ptr + file->len, file->size - file->len);
        if (got == 0) {
            return file->len > Q_FILES_MAX_BYTES ? q_error_make(Q_ERR_TLS_FILE_TOO_LARGE, Q_PHASE_CREATE) : Q_OK;
        }
        if (got < 0 && errno != EINTR) {
            return failed(errno);
        }
        file->len += got < 0 ? 0 : (size_t)got;
    }
}

static struct q_error read_open_file(struct q_file *file, int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return failed(errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return failed(EINVAL);
    }
    if (status.st_size > (off_t)Q_FILES_MAX_BYTES) {
        return q_error_make(Q_ERR_TLS_FILE_TOO_LARGE, Q_PHASE_CREATE);
    }
    file->size = status.st_size > 0 ? (size_t)status.st_size + 1 : FIRST_BYTES; // one more: the read that finds the end
    file->ptr = file->alloc->allocate(file->alloc->context, file->size);
    if (file->ptr == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    return read_to_end(file, fd);
}

struct q_error q_file_read(struct q_file *out, const struct q_alloc *alloc, int folder, const char *path) {
    *out = (struct q_file){.alloc = alloc};
    int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return failed(errno);
    }
    struct q_error error = read_open_file(out, fd);
    close(fd);
    if (q_error_is(error)) {
        q_file_deinit(out);
    }
    return error;
}

void q_file_deinit(struct q_file *file) {
    if (file->ptr != NULL) {
        q_wipe(file->ptr, file->size);
        q_alloc_free(file->alloc, file->ptr, file->size);
    }
    *file = (struct q_file){.alloc = file->alloc};
}

// walk_names reads the folder's entries straight from the kernel: opendir would take memory that is not the host's.
static struct q_error walk_names(int folder, q_folder_name_fn fn, void *context) {
    _Alignas(struct dirent64) char names[NAMES_BYTES];
    size_t count = 0;
    ssize_t got;
    while ((got = getdents64(folder, names, sizeof names)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(names + at);
            at += entry->d_reclen;
            if (entry->d_name[0] == '.') {
                continue;
            }
            if (++count > Q_FILES_MAX_IN_FOLDER) {
                return q_error_make(Q_ERR_TLS_FILE_TOO_LARGE, Q_PHASE_CREATE);
            }
            if (!fn(context, folder, entry->d_name)) {
                return Q_OK;
            }
        }
    }
    return got < 0 ? failed(errno) : Q_OK;
}

struct q_error q_folder_walk(const char *path, q_folder_name_fn fn, void *context) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return failed(errno);
    }
    struct q_error error = walk_names(folder, fn, context);
    close(folder);
    return error;
}
