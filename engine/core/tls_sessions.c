#include "engine/core/tls_sessions.h"

#include "engine/tls/sessions_export.h"

#define TEXT_OF(number) #number
#define VERSION_OF(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

// What another thread has the loop do, and waits for; on its stack.
struct errand {
    struct q_command command;
    int32_t (*run)(struct errand *errand, struct q_engine *engine); // on the loop; gives a code
    int32_t code;
    sem_t done;
};

struct exporting {
    struct errand errand;
    struct q_slice key;
    void *out;
    size_t size;
    size_t *out_len;
};

struct importing {
    struct errand errand;
    struct q_slice key;
    struct q_slice data;
    uint32_t *out_count;
};

// --- errands ---------------------------------------------------------------------------------------------------------

static int32_t run_here(struct errand *errand, struct q_engine *engine) {
    return engine->phase >= Q_ENGINE_CLOSING_CONNECTIONS ? Q_ERR_CLOSED : errand->run(errand, engine);
}

void q_engine_run_errand(struct q_engine *engine, struct q_command *command) {
    struct errand *errand = q_container_of(command, struct errand, command);
    errand->code = run_here(errand, engine);
    sem_post(&errand->done); // behind this it is the caller's, and maybe gone
}

static int32_t push_and_wait(struct errand *errand, struct q_engine *engine) {
    sem_init(&errand->done, 0, 0);
    errand->command.kind = Q_COMMAND_ERRAND;
    q_engine_push(engine, &errand->command);
    while (sem_wait(&errand->done) != 0) {
        // interrupted by a signal of the host's: go on waiting
    }
    int32_t code = errand->code;
    sem_destroy(&errand->done);
    return code;
}

// Has the loop run it, or runs it here when this thread may. The caller has counted a request, which keeps the loop going for
// as long.
static int32_t do_errand(struct errand *errand, struct q_engine *engine) {
    if (q_engine_is_here(engine)) {
        return run_here(errand, engine);
    }
    if (q_table_is_in_loop()) {
        return Q_ERR_WRONG_THREAD; // it would wait for another loop, which may be waiting for this one
    }
    if (engine->options.mode == QUOIT_ENGINE_THREAD) {
        return push_and_wait(errand, engine);
    }
    uint32_t binding = Q_ENGINE_UNBOUND;
    if (!atomic_compare_exchange_strong_explicit(&engine->binding, &binding, Q_ENGINE_BINDING, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        return binding == Q_ENGINE_BOUND ? Q_ERR_WRONG_THREAD : Q_ERR_BUSY;
    }
    int32_t code = run_here(errand, engine);
    atomic_store_explicit(&engine->binding, Q_ENGINE_UNBOUND, memory_order_release);
    return code;
}

// --- sessions --------------------------------------------------------------------------------------------------------

static struct q_sessions_seal seal_by(struct q_slice key) {
    static const char k_version[] = VERSION_OF(QUOIT_VERSION_MAJOR, QUOIT_VERSION_MINOR, QUOIT_VERSION_PATCH);
    return (struct q_sessions_seal){.key = key, .version = q_slice_make(k_version, sizeof k_version - 1)};
}

static bool is_key(struct q_slice key) {
    return key.ptr != NULL && key.len >= Q_SESSIONS_KEY_MIN && key.len <= Q_SESSIONS_KEY_MAX;
}

static int32_t run_export(struct errand *errand, struct q_engine *engine) {
    struct exporting *x = q_container_of(errand, struct exporting, errand);
    struct q_sessions_seal seal = seal_by(x->key);
    int64_t now_s = q_clock_today(engine->seams.clock);
    return q_sessions_export(&engine->tls_client.sessions, &seal, now_s, x->out, x->size, x->out_len).code;
}

int32_t q_engine_export_tls_sessions(struct q_engine *engine, struct q_slice key, void *out, size_t size, size_t *out_len) {
    if (!is_key(key) || out_len == NULL || (out == NULL ? size != 0 : size < Q_SESSIONS_EXPORT_MIN)) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    struct exporting x = {.errand = {.run = run_export}, .key = key, .out = out, .size = size, .out_len = out_len};
    return do_errand(&x.errand, engine);
}

static int32_t run_import(struct errand *errand, struct q_engine *engine) {
    struct importing *x = q_container_of(errand, struct importing, errand);
    struct q_sessions_seal seal = seal_by(x->key);
    int64_t now_s = q_clock_today(engine->seams.clock);
    return q_sessions_import(&engine->tls_client.sessions, &seal, now_s, x->data, x->out_count).code;
}

int32_t q_engine_import_tls_sessions(struct q_engine *engine, struct q_slice key, struct q_slice data, uint32_t *out_count) {
    uint32_t count;
    if (!is_key(key) || (data.ptr == NULL && data.len > 0)) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    struct importing x = {
        .errand = {.run = run_import}, .key = key, .data = data, .out_count = out_count == NULL ? &count : out_count};
    return do_errand(&x.errand, engine);
}
