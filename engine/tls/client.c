#include "engine/tls/client.h"

#include "engine/tls/config.h"
#include "engine/tls/decompress.h"
#include "engine/tls/interned.h"
#include "engine/tls/tls_internal.h"

// Configs in use at a time are few; more than this is a host that makes one for each request.
#define CONTEXTS_KEPT      64
#define CONTEXTS_IDLE_NS   (300 * Q_NS_PER_S) // a rotated certificate is not served for ever by who stopped asking
#define CONTEXT_FAILURE_NS 0                  // building fails for want of memory alone

// A ticket serves one connection; as many as a host opens to one server at once, when it does not open a crowd. A session
// with a common chain is some 5 KiB, so that of 1024 servers one is kept.
#define SESSIONS_KEPT       1024
#define SESSIONS_BYTES      (5 << 20)
#define PEER_SESSIONS_KEPT  16
#define PEER_SESSIONS_BYTES (256 << 10)

// A context's value.
struct ready {
    SSL_CTX *context;
    struct q_verify_policy verify; // borrows from the config
    struct q_handle tls;           // one hold
};

static void set_verify(struct q_verify_policy *out, const struct q_tls_config *config) {
    const struct q_tls_policy *policy = q_tls_config_policy(config);
    bool is_off = policy->verify == Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING;
    *out = (struct q_verify_policy){
        .roots = q_tls_config_store(config),
        .crls = q_tls_config_crls(config),
        .pins = policy->pins,
        .num_pins = policy->num_pins,
        .skips_path = is_off,
        .skips_name = is_off,
        .puts_pins_first = policy->asks_verify == Q_TLS_ASKS_ALWAYS,
    };
}

static enum q_build_result build(void *owner, struct q_handle context, const uint8_t *digest, const void *material,
                                 void **out_value, struct q_error *out_error) {
    struct q_tls_client *client = owner;
    const struct q_handle *tls = material;
    const struct q_tls_config *config = q_tls_config_of(*tls);
    (void)context;
    (void)digest;
    struct q_tls_context_parts parts = {.key_method = q_tls_stream_key_method()};
    parts.decompressors = q_decompressors(&parts.num_decompressors);
    struct ready *ready = q_alloc_new(client->env.alloc, sizeof *ready);
    SSL_CTX *made = ready == NULL ? NULL : q_tls_config_new_context(config, &parts);
    if (made == NULL) {
        q_alloc_free(client->env.alloc, ready, sizeof *ready);
        *out_error = q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS);
        return Q_BUILD_FAILED;
    }
    q_tls_stream_prepare(made);
    if ((q_tls_config_policy(config)->switches & Q_TLS_KEY_LOG_EVENTS) != 0) {
        q_tls_stream_log_keys(made);
    }
    ready->context = made;
    set_verify(&ready->verify, config);
    ready->tls = *tls;
    q_tls_hold(*tls);
    *out_value = ready;
    return Q_BUILD_DONE;
}

static void destroy(void *owner, void *value) {
    struct q_tls_client *client = owner;
    struct ready *ready = value;
    SSL_CTX_free(ready->context);
    q_tls_let_go(ready->tls);
    q_alloc_free(client->env.alloc, ready, sizeof *ready);
}

bool q_tls_client_init(struct q_tls_client *client, const struct q_alloc *alloc, struct q_loop *loop,
                       struct q_chunk_pool *chunks) {
    static const struct q_contexts_owner k_owner = {.build = build, .destroy = destroy};
    static const struct q_contexts_options k_options = {
        .capacity = CONTEXTS_KEPT, .idle_ns = CONTEXTS_IDLE_NS, .failure_ns = CONTEXT_FAILURE_NS};
    *client = (struct q_tls_client){.env = {.loop = loop, .chunks = chunks, .alloc = alloc},
                                    .reports = {.alloc = alloc},
                                    .dossiers = {.alloc = alloc}};
    if (!q_contexts_init(&client->contexts, alloc, loop, &k_options, &k_owner, client)) {
        *client = (struct q_tls_client){0};
        return false;
    }
    static const struct q_sessions_options k_sessions = {.max = SESSIONS_KEPT,
                                                         .peer_max = PEER_SESSIONS_KEPT,
                                                         .bytes_max = SESSIONS_BYTES,
                                                         .peer_bytes_max = PEER_SESSIONS_BYTES};
    q_sessions_init(&client->sessions, alloc, loop, &k_sessions);
    return true;
}

void q_tls_client_deinit(struct q_tls_client *client) {
    q_sessions_deinit(&client->sessions);
    q_contexts_deinit(&client->contexts);
}

struct q_error q_tls_client_enter(struct q_tls_client *client, struct q_handle tls, struct q_handle *out_context) {
    struct q_context_waiter nobody = {0}; // a build is over when it returns
    struct q_error error = Q_OK;
    const struct q_tls_config *config = q_tls_config_of(tls);
    if (!q_tls_config_is_ours(config)) {
        return q_error_make(Q_ERR_FORKED, Q_PHASE_TLS);
    }
    const uint8_t *digest = q_tls_config_digest(config);
    enum q_contexts_result result = q_contexts_get(&client->contexts, digest, &tls, &nobody, out_context, &error);
    Q_CHECK(result != Q_CONTEXTS_WAITING);
    return error;
}

void q_tls_client_leave(struct q_tls_client *client, struct q_handle context) {
    q_contexts_release(&client->contexts, context);
}

void q_tls_client_invalidate(struct q_tls_client *client, struct q_handle tls) {
    if (q_tls_is_none(tls)) {
        q_contexts_invalidate_all(&client->contexts);
        q_sessions_drop_all(&client->sessions);
        return;
    }
    const uint8_t *digest = q_tls_config_digest(q_tls_config_of(tls));
    q_contexts_invalidate(&client->contexts, digest);
    bool is_local;
    q_sessions_drop_digest(&client->sessions, q_tls_config_identity(q_tls_config_of(tls), &is_local));
}

static struct q_slice without_brackets(struct q_slice name) {
    bool has_brackets = name.len > 2 && name.ptr[0] == '[';
    return has_brackets ? q_slice_make(name.ptr + 1, name.len - 2) : name;
}

// A name with the root's dot is the same name; certificates and SNI have it without (RFC 6066, section 3).
static struct q_slice without_root(struct q_slice name) {
    bool has_root = name.len > 1 && name.ptr[name.len - 1] == '.';
    return has_root ? q_slice_make(name.ptr, name.len - 1) : name;
}

void q_tls_client_params(const struct q_tls_client *client, struct q_handle context, const struct q_tls_peer *peer,
                         struct q_tls_params *out) {
    const struct ready *ready = q_contexts_value(&client->contexts, context);
    const struct q_tls_policy *policy = q_tls_config_policy(q_tls_config_of(ready->tls));
    struct q_slice name = peer->is_address ? without_brackets(peer->name) : without_root(peer->name);
    *out = (struct q_tls_params){
        .context = ready->context,
        .verify_name = policy->verify_name.len > 0 ? policy->verify_name : name,
        .verify = &ready->verify,
        .handshake_ns = Q_TLS_HANDSHAKE_NS,
        .asks_verify = (uint8_t)policy->asks_verify,
        .verify_point = &policy->verify_point,
        .sign_point = &policy->key_point,
        // Nobody can be asked behind on_connected.
        .may_go_ahead = (policy->switches & Q_TLS_EARLY_DATA) != 0 && policy->verify_point.serial == 0 &&
                        policy->key_point.serial == 0,
    };
    switch ((enum q_tls_sni)policy->sni) {
    case Q_TLS_SNI_HOST: out->server_name = peer->is_address ? (struct q_slice){0} : name; break;
    case Q_TLS_SNI_NAME: out->server_name = policy->sni_name; break;
    case Q_TLS_SNI_OFF: break;
    }
}

// --- sessions --------------------------------------------------------------------------------------------------------

static const struct ready *ready_of(const struct q_tls_client *client, const struct q_tls_user *user) {
    return q_contexts_value(&client->contexts, user->context);
}

static struct q_sessions_peer peer_of(const struct ready *ready, const struct q_tls_user *user) {
    struct q_sessions_peer peer = {.audience = user->audience};
    peer.digest = q_tls_config_identity(q_tls_config_of(ready->tls), &peer.is_local);
    return peer;
}

static bool has_tickets(const struct ready *ready) {
    return (q_tls_config_policy(q_tls_config_of(ready->tls))->switches & Q_TLS_TICKETS) != 0;
}

struct ssl_session_st *q_tls_client_take_session(struct q_tls_client *client, const struct q_tls_user *user,
                                                 struct q_slice verify_name) {
    const struct ready *ready = ready_of(client, user);
    struct q_sessions_peer peer = peer_of(ready, user);
    SSL_SESSION *session = has_tickets(ready) ? q_sessions_take(&client->sessions, &peer) : NULL;
    if (session == NULL) {
        return NULL;
    }
    struct q_verify_verdict verdict;
    struct q_verify_policy policy = ready->verify;
    policy.now_s = q_clock_calendar(client->env.loop->clock);
    q_verify(&policy, SSL_SESSION_get0_peer_certificates(session), verify_name, &verdict);
    if (!q_error_is(verdict.error)) {
        return session;
    }
    SSL_SESSION_free(session);
    if (verdict.error.code != Q_ERR_NO_MEMORY) {
        q_sessions_drop_peer(&client->sessions, &peer); // the others have the same certificates, mostly
    }
    return NULL;
}

void q_tls_client_keep_session(struct q_tls_client *client, const struct q_tls_user *user,
                               struct ssl_session_st *session) {
    const struct ready *ready = ready_of(client, user);
    if (!has_tickets(ready) || !q_contexts_is_current(&client->contexts, user->context)) {
        SSL_SESSION_free(session); // they come unasked, and from connections that are out of date
        return;
    }
    struct q_sessions_peer peer = peer_of(ready, user);
    q_sessions_keep(&client->sessions, &peer, session, 0);
}

void q_tls_client_drop_session(struct q_tls_client *client, const struct q_tls_user *user,
                               const struct ssl_session_st *session) {
    struct q_sessions_peer peer = peer_of(ready_of(client, user), user);
    if (SSL_SESSION_early_data_capable(session)) {
        // A server that has forgotten all of TLS 1.3 takes early data for garbage (RFC 8446, D.3): none of the others may try
        // the same.
        q_sessions_drop_peer(&client->sessions, &peer);
    } else {
        q_sessions_drop(&client->sessions, &peer, session);
    }
}
