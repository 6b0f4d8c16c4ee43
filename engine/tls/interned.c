#include "engine/tls/interned.h"

#include "engine/tls/config.h"
#include "engine/tls/registry.h"

static void release(void *content) { q_tls_config_release(content); }

struct q_error q_tls_intern(struct q_tls_config *config, struct q_handle *out) {
    void *content;
    enum q_intern_result result =
        q_registry_intern(q_registry_process(), q_tls_config_digest(config), config, release, out, &content);
    if (result != Q_INTERN_MADE) {
        q_tls_config_release(config);
    }
    switch (result) {
    case Q_INTERN_MADE:
    case Q_INTERN_FOUND: return Q_OK;
    case Q_INTERN_FULL: return q_error_make(Q_ERR_TLS_CONFIGS_MAX, Q_PHASE_TLS);
    case Q_INTERN_NO_MEMORY: break;
    }
    return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS);
}

void q_tls_hold(struct q_handle tls) {
    if (!q_tls_is_none(tls)) {
        q_registry_acquire(q_registry_process(), tls);
    }
}

void q_tls_let_go(struct q_handle tls) {
    if (!q_tls_is_none(tls)) {
        q_registry_drop(q_registry_process(), tls);
    }
}

const struct q_tls_config *q_tls_config_of(struct q_handle tls) {
    return q_registry_content(q_registry_process(), tls);
}
