#include "engine/tls/default.h"

#include "engine/base/epoch.h"
#include "engine/tls/config.h"
#include "engine/tls/interned.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

// What was made last, under the lock.
static struct {
    pthread_mutex_t lock;
    uint32_t epoch; // of the process that made it: in a child the locks of its objects may be held
    uint64_t made_ns;
    uint8_t environment[Q_CRYPTO_DIGEST_LEN]; // what of it was looked at
    struct q_handle tls;                      // one hold
} the_last = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *value_in(const char *const *environment, const char *name) {
    size_t len = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=') {
            return *environment + len + 1;
        }
    }
    return NULL;
}

// Each of the two by its own digest, so that no two environments are mixed up.
static void digest_of(const char *const *environment, uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    static const char *const k_names[] = {"SSL_CERT_FILE", "SSL_CERT_DIR"};
    uint8_t both[Q_COUNT_OF(k_names)][Q_CRYPTO_DIGEST_LEN] = {{0}};
    for (size_t i = 0; i < Q_COUNT_OF(k_names); i++) {
        const char *value = value_in(environment, k_names[i]);
        if (value != NULL) {
            q_crypto_sha256(value, strlen(value), both[i]);
        }
    }
    q_crypto_sha256(both, sizeof both, out);
}

static struct q_error make(const char *const *environment, struct q_handle *out, char *detail) {
    struct q_tls_builder *builder;
    struct q_tls_config *config = NULL;
    struct q_error error = q_tls_builder_new(&builder, q_alloc_libc());
    if (q_error_is(error)) {
        return error;
    }
    error = q_tls_builder_set_environment(builder, environment);
    if (!q_error_is(error)) {
        error = q_tls_builder_freeze(builder, &config);
    }
    (void)snprintf(detail, Q_TLS_DETAIL_MAX, "%s", q_error_is(error) ? q_tls_builder_detail(builder) : "");
    q_tls_builder_destroy(builder);
    return q_error_is(error) ? error : q_tls_intern(config, out);
}

// Takes the place of what was made before.
static void keep(uint32_t epoch, const uint8_t *environment, uint64_t now_ns, struct q_handle tls) {
    if (the_last.epoch == epoch) {
        q_tls_let_go(the_last.tls); // else it is the parent's, and stays as it is
    }
    q_tls_hold(tls);
    the_last.epoch = epoch;
    the_last.made_ns = now_ns;
    the_last.tls = tls;
    memcpy(the_last.environment, environment, Q_CRYPTO_DIGEST_LEN);
}

struct q_error q_tls_default(const char *const *environment, uint64_t now_ns, struct q_handle *out,
                             char *detail) {
    uint8_t digest[Q_CRYPTO_DIGEST_LEN];
    uint32_t epoch = q_epoch_begin();
    detail[0] = '\0';
    if (epoch == 0 || pthread_mutex_trylock(&the_last.lock) != 0) {
        return make(environment, out, detail);
    }
    digest_of(environment, digest);
    struct q_error error = Q_OK;
    bool is_fresh = the_last.epoch == epoch && now_ns - the_last.made_ns < Q_TLS_DEFAULT_KEPT_NS &&
                    memcmp(the_last.environment, digest, sizeof digest) == 0;
    if (is_fresh) {
        *out = the_last.tls;
        q_tls_hold(*out);
    } else {
        error = make(environment, out, detail);
        if (!q_error_is(error)) {
            keep(epoch, digest, now_ns, *out);
        }
    }
    pthread_mutex_unlock(&the_last.lock);
    return error;
}
