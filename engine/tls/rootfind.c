#include "engine/tls/rootfind.h"

#include "engine/tls/files.h"
#include "engine/tls/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pool.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

// Where distributions keep their bundle, then their folder.
static const char *const k_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL 7 and later
    "/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora and RHEL before
    "/etc/ssl/ca-bundle.pem",                            // SUSE
    "/var/lib/ca-certificates/ca-bundle.pem",            // SUSE, where the former is a link that may be missing
    "/etc/ssl/cert.pem",                                 // Alpine without ca-certificates
};
static const char *const k_folders[] = {"/etc/ssl/certs", "/etc/pki/tls/certs"};

static struct q_error fail(enum q_error_code code) { return q_error_make(code, Q_PHASE_CREATE); }

// --- the list ------------------------------------------------------------------------------------------------------

void q_rootfind_init(struct q_rootfind *found, const struct q_alloc *alloc, struct q_roots_told *told) {
    *found = (struct q_rootfind){.alloc = alloc, .told = told};
}

void q_rootfind_deinit(struct q_rootfind *found) {
    for (size_t i = 0; i < found->count; i++) {
        CRYPTO_BUFFER_free(found->list[i].der);
    }
    q_alloc_free(found->alloc, found->list, found->capacity * sizeof *found->list);
    *found = (struct q_rootfind){.alloc = found->alloc, .told = found->told};
}

static bool make_room(struct q_rootfind *found) {
    if (found->count < found->capacity) {
        return true;
    }
    size_t capacity = found->capacity == 0 ? FIRST_CAPACITY : found->capacity * 2;
    struct q_rootfind_entry *list = q_alloc_new_array(found->alloc, capacity, sizeof *list);
    if (list == NULL) {
        return false;
    }
    if (found->count > 0) {
        memcpy(list, found->list, found->count * sizeof *list);
    }
    q_alloc_free(found->alloc, found->list, found->capacity * sizeof *list);
    found->list = list;
    found->capacity = capacity;
    return true;
}

static struct q_error add(struct q_rootfind *found, const void *der, size_t der_len) {
    if (found->count == Q_ROOTS_MAX) {
        return fail(Q_ERR_TLS_FILE_TOO_LARGE);
    }
    if (!make_room(found)) {
        return fail(Q_ERR_NO_MEMORY);
    }
    struct q_rootfind_entry *entry = &found->list[found->count];
    entry->der = CRYPTO_BUFFER_new(der, der_len, NULL);
    if (entry->der == NULL) {
        return fail(Q_ERR_NO_MEMORY);
    }
    q_crypto_sha256(der, der_len, entry->hash);
    found->count++;
    return Q_OK;
}

static int compare(const void *left, const void *right) {
    const struct q_rootfind_entry *a = left;
    const struct q_rootfind_entry *b = right;
    return memcmp(a->hash, b->hash, sizeof a->hash);
}

void q_rootfind_sort(struct q_rootfind *found) {
    size_t kept = 0;
    if (found->count > 0) {
        qsort(found->list, found->count, sizeof *found->list, compare);
    }
    for (size_t i = 0; i < found->count; i++) {
        if (kept > 0 && compare(&found->list[kept - 1], &found->list[i]) == 0) {
            CRYPTO_BUFFER_free(found->list[i].der);
        } else {
            found->list[kept++] = found->list[i];
        }
    }
    found->count = kept;
}

void q_rootfind_digest(const struct q_rootfind *found, uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    static const char k_what[] = "quoit trusted certificates"; // so that it is equal to no digest of anything else
    struct q_mac mac;
    q_mac_start_keyed(&mac);
    q_mac_add(&mac, k_what, sizeof k_what);
    for (size_t i = 0; i < found->count; i++) {
        q_mac_add(&mac, found->list[i].hash, sizeof found->list[i].hash);
    }
    q_mac_end(&mac, out);
}

// --- what is in a text or a file -----------------------------------------------------------------------------------

// is_der tells whether `data` is one ASN.1 SEQUENCE and nothing else, which a certificate is.
static bool is_der(struct q_slice data) {
    const uint8_t *bytes = (const uint8_t *)data.ptr;
    if (data.len < 4 || bytes[0] != 0x30 || bytes[1] < 0x81 || bytes[1] > 0x83) {
        return false;
    }
    size_t num_len_bytes = bytes[1] - 0x80u;
    size_t len = 0;
    for (size_t i = 0; i < num_len_bytes; i++) {
        len = len << 8 | bytes[2 + i];
    }
    return data.len == 2 + num_len_bytes + len;
}

// add_block decodes one PEM block. A block of another kind (a key, or "TRUSTED CERTIFICATE", which has more in it than a
// certificate) is skipped like a broken one.
static struct q_error add_block(struct q_rootfind *found, const struct q_pem_block *block) {
    size_t size = q_pem_decoded_max(block);
    size_t len = 0;
    if (!q_pem_label_is(block, "CERTIFICATE") && !q_pem_label_is(block, "X509 CERTIFICATE")) {
        found->told->num_skipped++;
        return Q_OK;
    }
    uint8_t *der = q_alloc_new(found->alloc, size);
    if (der == NULL) {
        return fail(Q_ERR_NO_MEMORY);
    }
    struct q_error error = Q_OK;
    if (q_pem_decode(block, der, &len) && is_der(q_slice_make(der, len))) {
        error = add(found, der, len);
    } else {
        found->told->num_skipped++;
    }
    q_alloc_free(found->alloc, der, size);
    return error;
}

static struct q_error add_bytes(struct q_rootfind *found, struct q_slice bytes) {
    struct q_pem_block block;
    struct q_error error = Q_OK;
    if (!q_pem_is_text(bytes)) {
        if (is_der(bytes)) {
            return add(found, bytes.ptr, bytes.len);
        }
        found->told->num_skipped++;
        return Q_OK;
    }
    while (!q_error_is(error) && q_pem_next(&bytes, &block)) {
        error = add_block(found, &block);
    }
    return error;
}

static struct q_error add_file(struct q_rootfind *found, int folder, const char *path) {
    struct q_file file;
    struct q_error error = q_file_read(&file, found->alloc, folder, path);
    if (!q_error_is(error)) {
        error = add_bytes(found, q_file_slice(&file));
        q_file_deinit(&file);
    }
    return error;
}

struct folder_walk {
    struct q_rootfind *found;
    struct q_error error;
};

// add_folder_file adds one file of a folder. What cannot be read there (a link to nowhere, a folder, a file for root alone)
// is skipped: a folder is a heap of files, of which none is needed for itself.
static bool add_folder_file(void *context, int folder, const char *name) {
    struct folder_walk *walk = context;
    walk->error = add_file(walk->found, folder, name);
    if (walk->error.code == Q_ERR_TLS_FILE) {
        walk->found->told->num_skipped++;
        walk->error = Q_OK;
    }
    return !q_error_is(walk->error);
}

static struct q_error add_folder(struct q_rootfind *found, const char *path) {
    struct folder_walk walk = {.found = found};
    struct q_error error = q_folder_walk(path, add_folder_file, &walk);
    return q_error_is(error) ? error : walk.error;
}

// --- sources -------------------------------------------------------------------------------------------------------

// tell_place writes down a place that did not serve.
static void tell_place(struct q_rootfind *found, const char *path, struct q_error error) {
    struct q_roots_told *told = found->told;
    size_t room = sizeof told->places - found->places_len;
    const char *why = error.os_errno != 0          ? q_errno_name(error.os_errno)
                      : q_error_is(error)          ? q_error_name(error.code)
                                                   : "empty";
    int len = snprintf(told->places + found->places_len, room, "%s%s (%s)", found->places_len == 0 ? "" : ", ", path, why);
    if (len > 0) {
        found->places_len += (size_t)len < room ? (size_t)len : room - 1;
    }
}

// text_of writes `parts` behind each other as a string; false when it is no path that the kernel takes.
static bool text_of(char out[Q_FILES_PATH_MAX], struct q_slice first, struct q_slice second) {
    size_t len = first.len + second.len;
    if (len == 0 || len >= Q_FILES_PATH_MAX) {
        return false;
    }
    if (first.len > 0) {
        memcpy(out, first.ptr, first.len);
    }
    if (second.len > 0) {
        memcpy(out + first.len, second.ptr, second.len);
    }
    out[len] = 0;
    return memchr(out, 0, len) == NULL;
}

// read_path reads a file or a folder that was asked for by name, and must have a certificate in it.
static struct q_error read_path(struct q_rootfind *found, struct q_slice name, bool is_folder) {
    char path[Q_FILES_PATH_MAX];
    size_t before = found->count;
    if (!text_of(path, (struct q_slice){0}, name)) {
        return fail(Q_ERR_INVALID_ARGUMENT);
    }
    struct q_error error = is_folder ? add_folder(found, path) : add_file(found, AT_FDCWD, path);
    if (!q_error_is(error) && found->count == before) {
        error = fail(Q_ERR_TLS_NO_ROOTS);
    }
    if (q_error_is(error)) {
        tell_place(found, path, error);
    }
    return error;
}

// try_place reads a well-known place. True when the search ends there: with certificates, or with `out_error`, which is
// not for want of a file.
static bool try_place(struct q_rootfind *found, struct q_slice prefix, const char *place, bool is_folder,
                      struct q_error *out_error) {
    char path[Q_FILES_PATH_MAX];
    size_t before = found->count;
    if (!text_of(path, prefix, q_slice_of_string(place))) {
        *out_error = fail(Q_ERR_INVALID_ARGUMENT);
        return true;
    }
    *out_error = is_folder ? add_folder(found, path) : add_file(found, AT_FDCWD, path);
    if (out_error->code == Q_ERR_TLS_FILE || (!q_error_is(*out_error) && found->count == before)) {
        tell_place(found, path, *out_error);
        return false;
    }
    return true;
}

static struct q_error read_well_known(struct q_rootfind *found, const struct q_roots_search *search) {
    struct q_slice prefix = search->prefix == NULL ? (struct q_slice){0} : q_slice_of_string(search->prefix);
    struct q_error error = Q_OK;
    for (size_t i = 0; i < Q_COUNT_OF(k_bundles); i++) {
        if (try_place(found, prefix, k_bundles[i], false, &error)) {
            return error;
        }
    }
    for (size_t i = 0; i < Q_COUNT_OF(k_folders); i++) {
        if (try_place(found, prefix, k_folders[i], true, &error)) {
            return error;
        }
    }
    return fail(Q_ERR_TLS_NO_TRUST_STORE);
}

// read_folders reads the folders of SSL_CERT_DIR. One that is missing is no error while another has any, as in OpenSSL.
static struct q_error read_folders(struct q_rootfind *found, struct q_slice folders) {
    size_t before = found->count;
    for (size_t i = 0; i < Q_ROOTS_SOURCES_MAX && folders.len > 0; i++) {
        const char *colon = memchr(folders.ptr, ':', folders.len);
        size_t len = colon == NULL ? folders.len : (size_t)(colon - folders.ptr);
        struct q_slice folder = q_slice_make(folders.ptr, len);
        folders = q_slice_from(folders, len + 1);
        struct q_error error = folder.len == 0 ? Q_OK : read_path(found, folder, true);
        if (q_error_is(error) && error.code != Q_ERR_TLS_FILE && error.code != Q_ERR_TLS_NO_ROOTS) {
            return error;
        }
    }
    return found->count == before ? fail(Q_ERR_TLS_NO_TRUST_STORE) : Q_OK;
}

static struct q_error read_system(struct q_rootfind *found, const struct q_roots_search *search) {
    if (search->cert_file.len == 0 && search->cert_folder.len == 0) {
        return read_well_known(found, search);
    }
    struct q_error error = Q_OK;
    if (search->cert_file.len > 0) {
        error = read_path(found, search->cert_file, false);
    }
    if (search->cert_folder.len > 0 && !q_error_is(error)) {
        error = read_folders(found, search->cert_folder);
    }
    return error;
}

struct q_error q_rootfind_read(struct q_rootfind *found, const struct q_roots_source *source,
                               const struct q_roots_search *search) {
    size_t before = found->count;
    switch (source->kind) {
    case Q_ROOTS_SYSTEM:
        return read_system(found, search);
    case Q_ROOTS_FILE:
        return read_path(found, source->value, false);
    case Q_ROOTS_FOLDER:
        return read_path(found, source->value, true);
    case Q_ROOTS_MEMORY: {
        struct q_error error = add_bytes(found, source->value);
        return !q_error_is(error) && found->count == before ? fail(Q_ERR_TLS_NO_ROOTS) : error;
    }
    }
    return fail(Q_ERR_INVALID_ARGUMENT);
}

// take_value gives what is behind "NAME=", if `line` begins with it and something is there.
static void take_value(const char *line, struct q_slice name, struct q_slice *out) {
    if (strncmp(line, name.ptr, name.len) == 0) {
        *out = q_slice_of_string(line + name.len);
    }
}

void q_roots_search_environment(struct q_roots_search *search, const char *const *environment) {
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        take_value(environment[i], Q_SLICE("SSL_CERT_FILE="), &search->cert_file);
        take_value(environment[i], Q_SLICE("SSL_CERT_DIR="), &search->cert_folder);
    }
}
