#include "engine/tls/settings.h"

#include "engine/base/epoch.h"
#include "engine/tls/config.h"
#include "engine/tls/interned.h"

static struct q_error fail(enum q_error_code code) { return q_error_make(code, Q_PHASE_CREATE); }

struct q_error q_tls_settings_new(struct quoit_tls **out, const struct q_alloc *alloc) {
    struct quoit_tls *tls = q_alloc_new(alloc, sizeof *tls);
    if (tls == NULL) {
        return fail(Q_ERR_NO_MEMORY);
    }
    struct q_error error = q_tls_builder_new(&tls->builder, alloc);
    if (q_error_is(error)) {
        q_alloc_free(alloc, tls, sizeof *tls);
        return error;
    }
    tls->alloc = alloc;
    atomic_init(&tls->holds, 1);
    tls->tag = Q_TLS_SETTINGS_TAG;
    *out = tls;
    return Q_OK;
}

bool q_tls_settings_is_hosts(const struct quoit_tls *tls) {
    return tls != NULL && tls->tag == Q_TLS_SETTINGS_TAG && atomic_load_explicit(&tls->holds, memory_order_relaxed) > 0;
}

struct q_error q_tls_settings_builder(struct quoit_tls *tls, struct q_tls_builder **out) {
    if (!q_tls_settings_is_hosts(tls)) {
        return fail(Q_ERR_INVALID_ARGUMENT);
    }
    if (tls->builder == NULL) {
        return fail(Q_ERR_FROZEN);
    }
    *out = tls->builder;
    return Q_OK;
}

// A config that finds no room is kept: its builder is empty, and files are read once.
static struct q_error intern(struct quoit_tls *tls) {
    struct q_error error = q_tls_intern(q_tls_config_acquire(tls->config), &tls->handle);
    if (q_error_is(error)) {
        return fail((enum q_error_code)error.code);
    }
    q_tls_config_release(tls->config);
    tls->config = NULL;
    q_tls_builder_destroy(tls->builder);
    tls->builder = NULL;
    return Q_OK;
}

struct q_error q_tls_settings_freeze(struct quoit_tls *tls) {
    if (!q_tls_settings_is_hosts(tls)) {
        return fail(Q_ERR_INVALID_ARGUMENT);
    }
    bool is_made = tls->builder == NULL || tls->config != NULL;
    if (is_made && tls->epoch != q_epoch_now()) {
        return fail(Q_ERR_FORKED);
    }
    if (tls->builder == NULL) {
        return Q_OK;
    }
    if (!is_made) {
        struct q_error error = q_tls_builder_freeze(tls->builder, &tls->config);
        if (q_error_is(error)) {
            return error;
        }
        tls->epoch = q_epoch_begin();
    }
    return intern(tls);
}

const char *q_tls_settings_detail(const struct quoit_tls *tls) {
    return q_tls_settings_is_hosts(tls) && tls->builder != NULL ? q_tls_builder_detail(tls->builder) : "";
}

struct q_error q_tls_settings_check(const struct quoit_tls *tls) {
    if (!q_tls_settings_is_hosts(tls)) {
        return fail(Q_ERR_INVALID_ARGUMENT);
    }
    if (tls->builder != NULL) {
        return fail(Q_ERR_NOT_FROZEN);
    }
    return tls->epoch == q_epoch_now() ? Q_OK : fail(Q_ERR_FORKED);
}

struct q_handle q_tls_settings_handle(const struct quoit_tls *tls) {
    Q_CHECK(tls->builder == NULL);
    return tls->handle;
}

static void destroy(struct quoit_tls *tls) {
    tls->tag = 0;
    q_tls_builder_destroy(tls->builder);
    q_tls_config_release(tls->config);
    q_tls_let_go(tls->handle);
    q_alloc_free(tls->alloc, tls, sizeof *tls);
}

// Counts up or down from what is not zero.
static bool change_holds(struct quoit_tls *tls, uint32_t change, uint32_t *out_left) {
    if (!q_tls_settings_is_hosts(tls)) {
        return false;
    }
    uint32_t seen = atomic_load_explicit(&tls->holds, memory_order_relaxed);
    do {
        if (seen == 0) {
            return false;
        }
        *out_left = seen + change;
        // Release and acquire: what every holder did with it comes before the last one's release.
    } while (!atomic_compare_exchange_weak_explicit(&tls->holds, &seen, *out_left, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return true;
}

bool q_tls_settings_acquire(struct quoit_tls *tls) {
    uint32_t holds;
    return change_holds(tls, 1, &holds);
}

bool q_tls_settings_release(struct quoit_tls *tls) {
    uint32_t left;
    if (!change_holds(tls, UINT32_MAX, &left)) {
        return false;
    }
    if (left == 0) {
        destroy(tls);
    }
    return true;
}
