#include "engine/tls/roots_internal.h"

#include "engine/base/hook.h"
#include "engine/base/list.h"
#include "engine/tls/liberror.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

// The table of a process. A child makes its own: in the parent's somebody may be inside for ever.
struct shape {
    pid_t pid;
    pthread_mutex_t lock; // guards the list; a leaf
    struct q_list sets;
};

struct q_roots {
    _Atomic(uint32_t) holders; // never comes back from 0
    uint32_t count;
    uint32_t num_unreadable; // that were base64 and are no certificates
    uint8_t digest[Q_CRYPTO_DIGEST_LEN];
    X509_STORE *store;
    struct shape *shape; // in whose list it is
    struct q_list_node link;
};

static _Atomic(struct shape *) the_shape;
static _Atomic(uint64_t) num_live;
static _Atomic(uint64_t) num_built;
static _Atomic(uint64_t) num_shared;

// --- the table -----------------------------------------------------------------------------------------------------

// current_shape gives this process's table, made at the first call; NULL without memory.
static struct shape *current_shape(void) {
    struct shape *shape = atomic_load_explicit(&the_shape, memory_order_acquire);
    if (shape != NULL && shape->pid == getpid()) {
        return shape;
    }
    struct shape *fresh = q_alloc_new(q_alloc_libc(), sizeof *fresh);
    if (fresh == NULL) {
        return NULL;
    }
    fresh->pid = getpid();
    q_list_init(&fresh->sets);
    pthread_mutex_init(&fresh->lock, NULL);
    if (atomic_compare_exchange_strong(&the_shape, &shape, fresh)) {
        return fresh; // a parent's stays where it is, for those who still point into it
    }
    pthread_mutex_destroy(&fresh->lock);
    q_alloc_free(q_alloc_libc(), fresh, sizeof *fresh);
    return shape;
}

// try_acquire adds a reference unless the last one has gone already.
static bool try_acquire(struct q_roots *roots) {
    uint32_t holders = atomic_load_explicit(&roots->holders, memory_order_relaxed);
    while (holders != 0) {
        if (atomic_compare_exchange_weak_explicit(&roots->holders, &holders, holders + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

// find_locked gives a reference on the set with this digest, or NULL.
static struct q_roots *find_locked(struct shape *shape, const uint8_t digest[Q_CRYPTO_DIGEST_LEN]) {
    for (struct q_list_node *node = shape->sets.head.next; node != &shape->sets.head; node = node->next) {
        struct q_roots *roots = q_container_of(node, struct q_roots, link);
        if (q_crypto_equal(roots->digest, digest, Q_CRYPTO_DIGEST_LEN) && try_acquire(roots)) {
            return roots;
        }
    }
    return NULL;
}

static struct q_roots *find_shared(struct shape *shape, const uint8_t digest[Q_CRYPTO_DIGEST_LEN]) {
    pthread_mutex_lock(&shape->lock);
    struct q_roots *roots = find_locked(shape, digest);
    pthread_mutex_unlock(&shape->lock);
    return roots;
}

static void destroy(struct q_roots *roots) {
    X509_STORE_free(roots->store);
    q_alloc_free(q_alloc_libc(), roots, sizeof *roots);
}

// share puts a fresh set into the table, or gives the equal one that somebody else was quicker with.
static struct q_roots *share(struct shape *shape, struct q_roots *fresh) {
    pthread_mutex_lock(&shape->lock);
    struct q_roots *other = find_locked(shape, fresh->digest);
    if (other == NULL) {
        fresh->shape = shape;
        q_list_push_back(&shape->sets, &fresh->link);
        atomic_fetch_add_explicit(&num_live, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&shape->lock);
    if (other != NULL) {
        destroy(fresh);
        return other;
    }
    return fresh;
}

struct q_roots *q_roots_acquire(struct q_roots *roots) {
    Q_CHECK(try_acquire(roots)); // a holder's own reference keeps it above 0
    return roots;
}

void q_roots_release(struct q_roots *roots) {
    if (roots == NULL || atomic_fetch_sub_explicit(&roots->holders, 1, memory_order_acq_rel) != 1) {
        return;
    }
    Q_HOOK("roots.release.last");
    struct shape *shape = roots->shape;
    if (shape->pid == getpid()) { // in a child the parent's lock may be held, and its table is nobody's
        pthread_mutex_lock(&shape->lock);
        q_list_remove(&roots->link);
        pthread_mutex_unlock(&shape->lock);
        atomic_fetch_sub_explicit(&num_live, 1, memory_order_relaxed);
    }
    destroy(roots);
}

// --- one set -------------------------------------------------------------------------------------------------------

// add_certificate parses one. False: out of memory. What is no certificate is counted and left out.
static bool add_certificate(struct q_roots *roots, CRYPTO_BUFFER *der) {
    ERR_clear_error();
    X509 *certificate = X509_parse_from_buffer(der);
    if (certificate == NULL) {
        roots->num_unreadable++;
        return !q_liberror_was_memory();
    }
    (void)X509_get_extension_flags(certificate); // looked at now, and not by the loop under the certificate's lock
    bool added = X509_STORE_add_cert(roots->store, certificate) == 1;
    roots->count += added;
    X509_free(certificate);
    return added;
}

// sort_store makes the library sort its list, as a lookup of anything does.
static void sort_store(X509_STORE *store) {
    X509_NAME *name = X509_NAME_new();
    if (name != NULL) {
        (void)X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), X509_LU_X509, name);
        X509_NAME_free(name);
    }
}

static struct q_error build(struct q_roots **out, const struct q_rootfind *found,
                            const uint8_t digest[Q_CRYPTO_DIGEST_LEN]) {
    struct q_roots *roots = q_alloc_new(q_alloc_libc(), sizeof *roots);
    if (roots == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    memcpy(roots->digest, digest, Q_CRYPTO_DIGEST_LEN);
    atomic_init(&roots->holders, 1);
    roots->store = X509_STORE_new();
    bool has_memory = roots->store != NULL;
    for (size_t i = 0; i < found->count && has_memory; i++) {
        has_memory = add_certificate(roots, found->list[i].der);
    }
    if (!has_memory || roots->count == 0) {
        ERR_clear_error();
        destroy(roots);
        return q_error_make(has_memory ? Q_ERR_TLS_NO_ROOTS : Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    sort_store(roots->store);
    atomic_fetch_add_explicit(&num_built, 1, memory_order_relaxed);
    *out = roots;
    return Q_OK;
}

// find_or_build gives the set of what was found.
static struct q_error find_or_build(struct q_roots **out, const struct q_rootfind *found) {
    uint8_t digest[Q_CRYPTO_DIGEST_LEN];
    struct shape *shape = current_shape();
    if (shape == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    q_rootfind_digest(found, digest);
    *out = find_shared(shape, digest);
    if (*out != NULL) {
        atomic_fetch_add_explicit(&num_shared, 1, memory_order_relaxed);
        return Q_OK;
    }
    Q_HOOK("roots.load.not_found");
    struct q_error error = build(out, found, digest);
    if (!q_error_is(error)) {
        *out = share(shape, *out);
    }
    return error;
}

struct q_error q_roots_load(struct q_roots **out, const struct q_alloc *alloc, const struct q_roots_source *sources,
                            size_t sources_len, const struct q_roots_search *search, struct q_roots_told *told) {
    struct q_rootfind found;
    *told = (struct q_roots_told){0};
    *out = NULL;
    q_crypto_init();
    q_rootfind_init(&found, alloc, told);
    struct q_error error = Q_OK;
    for (size_t i = 0; i < sources_len && !q_error_is(error); i++) {
        error = q_rootfind_read(&found, &sources[i], search);
    }
    if (!q_error_is(error)) {
        q_rootfind_sort(&found);
        error = find_or_build(out, &found);
    }
    if (!q_error_is(error)) {
        told->num_certificates = (*out)->count;
        told->num_skipped += (*out)->num_unreadable;
    }
    q_rootfind_deinit(&found);
    return error;
}

const uint8_t *q_roots_digest(const struct q_roots *roots) { return roots->digest; }

uint32_t q_roots_count(const struct q_roots *roots) { return roots->count; }

X509_STORE *q_roots_store(const struct q_roots *roots) { return roots->store; }

struct q_roots_stats q_roots_get_stats(void) {
    return (struct q_roots_stats){
        .live = atomic_load_explicit(&num_live, memory_order_relaxed),
        .built = atomic_load_explicit(&num_built, memory_order_relaxed),
        .shared = atomic_load_explicit(&num_shared, memory_order_relaxed),
    };
}
