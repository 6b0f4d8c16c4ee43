#include "engine/core/options.h"
#include "engine/core/rotation.h"
#include "engine/core/tls_sessions.h"
#include "engine/face/calls.h"
#include "engine/tls/settings.h"

// What is wrong with the configuration that an engine is to speak TLS by. Of a struct that cannot be read the engine tells.
static struct q_error check_tls(const struct quoit_engine_options *options) {
    struct quoit_engine_options given = {0};
    bool is_read = options != NULL && q_options_read_struct(&given, sizeof given, options) == 0;
    return is_read && given.tls != NULL ? q_tls_settings_check(given.tls) : Q_OK;
}

int32_t quoit_engine_create(const struct quoit_engine_options *options, struct quoit_engine *out,
                            struct quoit_failure *out_failure) {
    struct q_error error = q_error_make(Q_ERR_INVALID_ARGUMENT, Q_PHASE_CREATE);
    if (out != NULL) {
        error = check_tls(options);
    }
    if (out != NULL && !q_error_is(error)) {
        error = q_engine_create(options, NULL, out);
    }
    if (out_failure != NULL) {
        *out_failure = q_call_failure_of(error);
    }
    return error.code;
}

const char *quoit_engine_tls_detail(struct quoit_engine handle) {
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine == NULL) {
        return "";
    }
    const char *detail = engine->default_tls_detail == NULL ? "" : engine->default_tls_detail;
    q_table_leave(engine->entry);
    return detail;
}

int32_t quoit_engine_close(struct quoit_engine handle, uint64_t drain_ms) {
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine != NULL) {
        q_engine_close(engine, drain_ms);
        q_table_leave(engine->entry);
    }
    return code;
}

int32_t quoit_engine_destroy(struct quoit_engine handle) {
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    return engine == NULL ? code : q_engine_destroy(engine); // which also ends this call's use
}

int32_t quoit_engine_invalidate_tls(struct quoit_engine handle, const struct quoit_tls *tls) {
    int32_t code = tls == NULL ? 0 : q_tls_settings_check(tls).code;
    struct q_engine *engine = code != 0 ? NULL : q_table_enter(handle, &code);
    if (engine == NULL) {
        return code;
    }
    struct q_handle none = {0};
    struct q_rotation *rotation = q_rotation_new(&engine->alloc, tls == NULL ? none : q_tls_settings_handle(tls));
    if (rotation != NULL) {
        q_engine_push(engine, &rotation->command);
    }
    q_table_leave(engine->entry);
    return rotation == NULL ? Q_ERR_NO_MEMORY : 0;
}

int quoit_engine_fd(struct quoit_engine handle) {
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine == NULL) {
        return -1;
    }
    int fd = engine->event_fd;
    q_table_leave(engine->entry);
    return fd;
}

int64_t quoit_engine_timeout_ms(struct quoit_engine handle) {
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine == NULL) {
        return 0;
    }
    int64_t timeout_ms = 0;
    if (atomic_load_explicit(&engine->is_closed, memory_order_acquire) != 0) {
        timeout_ms = -1; // nothing will ever be to do again
    } else if (engine->options.mode == QUOIT_ENGINE_HOST_DRIVEN && q_engine_is_here(engine) && engine->loop.is_idle) {
        uint64_t next_ns = q_wheel_next(&engine->loop.wheel);
        uint64_t now_ns = q_clock_now(engine->seams.clock);
        timeout_ms = next_ns == Q_WHEEL_NEVER ? -1
                     : next_ns <= now_ns      ? 0
                                              : (int64_t)((next_ns - now_ns + Q_NS_PER_MS - 1) / Q_NS_PER_MS);
        timeout_ms = engine->loop.is_doubtful && timeout_ms != 0 ? 1 : timeout_ms;
    }
    q_table_leave(engine->entry);
    return timeout_ms;
}

int32_t quoit_engine_tick(struct quoit_engine handle) {
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine == NULL) {
        return -code;
    }
    int32_t result = q_engine_tick(engine);
    q_table_leave(engine->entry);
    return result;
}

int32_t quoit_engine_info(struct quoit_engine handle, struct quoit_engine_info *out) {
    if (out == NULL || !q_options_is_out_size(out->struct_size, 2 * sizeof(uint32_t), sizeof *out)) {
        return out == NULL ? Q_ERR_INVALID_ARGUMENT : Q_ERR_INVALID_STRUCT_SIZE;
    }
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine != NULL) {
        code = q_engine_info(engine, out);
        q_table_leave(engine->entry);
    }
    return code;
}

// Counted like a request, so that the loop goes on until it has answered.
static struct q_engine *enter_beside(struct quoit_engine handle, int32_t *out_code) {
    return q_table_enter_beside(handle, out_code);
}

static void leave_beside(struct q_engine *engine) {
    if (q_pending_end_requests(&engine->entry->pending, 1)) {
        q_engine_poke(engine);
    }
    q_table_leave(engine->entry);
}

int32_t quoit_engine_export_tls_sessions(struct quoit_engine handle, const void *key, size_t key_len, void *out, size_t size,
                                         size_t *out_len) {
    int32_t code;
    struct q_engine *engine = enter_beside(handle, &code);
    if (engine != NULL) {
        code = q_engine_export_tls_sessions(engine, q_slice_make(key, key_len), out, size, out_len);
        leave_beside(engine);
    }
    return code;
}

int32_t quoit_engine_import_tls_sessions(struct quoit_engine handle, const void *key, size_t key_len, const void *data,
                                         size_t len, uint32_t *out_count) {
    int32_t code;
    struct q_engine *engine = enter_beside(handle, &code);
    if (engine != NULL) {
        code = q_engine_import_tls_sessions(engine, q_slice_make(key, key_len), q_slice_make(data, len), out_count);
        leave_beside(engine);
    }
    return code;
}

int32_t quoit_probe(struct quoit_probe_result *out) {
    // The first header's struct ended with the failure; what is added later stands behind it.
    enum { SIZE_MIN = offsetof(struct quoit_probe_result, failure) + sizeof out->failure };
    if (out == NULL || !q_options_is_out_size(out->struct_size, SIZE_MIN, sizeof *out)) {
        return out == NULL ? Q_ERR_INVALID_ARGUMENT : Q_ERR_INVALID_STRUCT_SIZE;
    }
    struct q_chunk_budget budget = {.limit = UINT64_MAX};
    struct q_chunk_pool pool;
    q_chunk_pool_init(&pool, q_alloc_libc(), &budget, Q_ENGINE_BUFFER_BYTES, 1);
    struct q_doorbell bell;
    struct q_log log = {0};
    struct q_ring_options options = {
        .sys = q_sys_uring_real(),
        .alloc = q_alloc_libc(),
        .clock = q_clock_monotonic(),
        .log = &log,
        .doorbell = &bell,
        .buffer_pool = &pool,
        .num_buffers = 2,
        .num_slots = 4,
        .sq_entries = 16,
        .cq_entries = 64,
    };
    struct q_ring *ring = NULL;
    struct q_error error = q_ring_create(&options, &ring);
    struct quoit_probe_result result = {.struct_size = out->struct_size, .failure = q_call_failure_of(error)};
    if (!q_error_is(error)) {
        result.capabilities = q_ring_capabilities(ring);
        q_ring_destroy(ring);
        q_ring_take_down_bell(options.sys, &bell);
    }
    q_chunk_pool_deinit(&pool);
    q_options_write_struct(out, &result, sizeof result);
    return 0;
}
