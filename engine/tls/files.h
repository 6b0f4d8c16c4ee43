// Files: what a TLS configuration reads, read whole and bounded, on the caller's thread, before anything is frozen. Only
// regular files: a pipe in a file's place must not block create. The bytes may be a private key: they are wiped when they
// are freed, and at every step at which a buffer grows.
// Thread-free: any thread; a struct q_file belongs to who read it.
#ifndef QUOIT_ENGINE_TLS_FILES_H
#define QUOIT_ENGINE_TLS_FILES_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/base/slice.h"

// A bundle of all public authorities has 250 KiB, the revocation lists of large authorities a few MiB.
#define Q_FILES_MAX_BYTES (UINT32_C(16) << 20)

// Files looked at in one folder; a folder of hashed links has three for each certificate.
#define Q_FILES_MAX_IN_FOLDER 16384

#define Q_FILES_PATH_MAX 4096 // with the NUL, as the kernel has it

struct q_file {
    char *ptr;
    size_t len;
    size_t size; // of the memory
    const struct q_alloc *alloc;
};

// q_file_read reads the file at `path`, below the open folder `folder` or AT_FDCWD. q_file_deinit follows a success.
// Errors: TLS_FILE with the errno (EINVAL: not a regular file), TLS_FILE_TOO_LARGE, NO_MEMORY.
Q_MUST_USE struct q_error q_file_read(struct q_file *out, const struct q_alloc *alloc, int folder, const char *path);

// q_file_deinit wipes and frees. Legal on the zero value, and twice.
void q_file_deinit(struct q_file *file);

static inline struct q_slice q_file_slice(const struct q_file *file) { return q_slice_make(file->ptr, file->len); }

// Called for each name in a folder but those that begin with a dot; false ends the walk.
typedef bool (*q_folder_name_fn)(void *context, int folder, const char *name);

// q_folder_walk calls `fn` for the names in the folder at `path`, in the kernel's order.
// Errors: TLS_FILE with the errno, TLS_FILE_TOO_LARGE behind Q_FILES_MAX_IN_FOLDER names.
Q_MUST_USE struct q_error q_folder_walk(const char *path, q_folder_name_fn fn, void *context);

#endif
