#include "engine/base/hook.h"
#include "engine/core/options.h"
#include "engine/face/calls.h"

// The public type is the spec; hosts see no more of it than its name.
static struct q_spec *spec_of(struct quoit_request *request) { return (struct q_spec *)(void *)request; }

// Not NULL, and not one that the host has released, as far as that can be told.
static bool is_request(struct quoit_request *request) { return q_spec_is_hosts(spec_of(request)); }

int32_t quoit_request_new(const char *method, const char *url, struct quoit_request **out) {
    if (method == NULL || url == NULL || out == NULL) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    struct q_spec *spec;
    struct q_error error =
        q_spec_new(q_alloc_libc(), q_slice_of_string(method), q_slice_of_string(url), &spec);
    if (!q_error_is(error)) {
        *out = (struct quoit_request *)(void *)spec;
    }
    return error.code;
}

int32_t quoit_request_add_header(struct quoit_request *request, const char *name, size_t name_len, const char *value,
                                 size_t value_len) {
    if (!is_request(request) || name == NULL || (value == NULL && value_len > 0)) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    return q_spec_add_header(spec_of(request), q_slice_make(name, name_len), q_slice_make(value, value_len)).code;
}

int32_t quoit_request_add_secret_header(struct quoit_request *request, const char *name, size_t name_len,
                                        const char *value, size_t value_len) {
    if (!is_request(request) || name == NULL || (value == NULL && value_len > 0)) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    return q_spec_add_secret_header(spec_of(request), q_slice_make(name, name_len), q_slice_make(value, value_len)).code;
}

int32_t quoit_request_set_body(struct quoit_request *request, const void *data, size_t len, quoit_release_fn release,
                               void *context) {
    return !is_request(request) ? Q_ERR_INVALID_ARGUMENT
                           : q_spec_set_body(spec_of(request), data, len, release, context).code;
}

// Milliseconds of a host to nanoseconds; what would overflow stays far too large, so that the spec refuses it.
static uint64_t ns_of_ms(uint64_t ms) { return ms > UINT64_MAX / Q_NS_PER_MS ? UINT64_MAX : ms * Q_NS_PER_MS; }

int32_t quoit_request_set_bounds(struct quoit_request *request, const struct quoit_request_bounds *bounds) {
    if (!is_request(request) || bounds == NULL) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    struct quoit_request_bounds given;
    int32_t code = q_options_read_struct(&given, sizeof given, bounds);
    if (code != 0) {
        return code;
    }
    struct q_bounds converted = {
        .queue_ns = ns_of_ms(given.queue_ms),
        .connect_ns = ns_of_ms(given.connect_ms),
        .first_byte_ns = ns_of_ms(given.first_byte_ms),
        .idle_ns = ns_of_ms(given.idle_ms),
        .low_speed_ns = ns_of_ms(given.low_speed_ms),
        .low_speed_bytes = given.low_speed_bytes,
        .total_ns = ns_of_ms(given.total_ms),
        .body_bytes_max = given.body_bytes_max,
        .answer_ns = ns_of_ms(given.answer_ms),
        .tls_ns = ns_of_ms(given.tls_ms),
        .resolve_ns = ns_of_ms(given.resolve_ms),
    };
    return q_spec_set_bounds(spec_of(request), &converted).code;
}

int32_t quoit_request_set_redirects(struct quoit_request *request, const struct quoit_redirect_options *options) {
    if (!is_request(request) || options == NULL) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    struct quoit_redirect_options given;
    int32_t code = q_options_read_struct(&given, sizeof given, options);
    if (code == 0) {
        code = q_spec_set_redirects(spec_of(request), given.limit, given.same_scheme != 0).code;
    }
    return code != 0 ? code : q_spec_ask_redirects(spec_of(request), given.ask != 0).code;
}

int32_t quoit_request_set_local_address(struct quoit_request *request, const char *address) {
    return !is_request(request) || address == NULL
               ? Q_ERR_INVALID_ARGUMENT
               : q_spec_set_local_address(spec_of(request), q_slice_of_string(address)).code;
}

static struct q_slice slice_of_host(const char *host) {
    return host == NULL ? (struct q_slice){0} : q_slice_of_string(host);
}

int32_t quoit_request_connect_to(struct quoit_request *request, const char *host, uint16_t port,
                                 const char *connect_host, uint16_t connect_port) {
    struct q_detour_rule rule = {
        .host = slice_of_host(host), .port = port, .to_host = slice_of_host(connect_host), .to_port = connect_port};
    return !is_request(request) ? Q_ERR_INVALID_ARGUMENT : q_spec_connect_to(spec_of(request), &rule).code;
}

int32_t quoit_request_set_upgrade(struct quoit_request *request, const char *protocol, size_t protocol_len) {
    bool is_given = is_request(request) && protocol != NULL;
    return is_given ? q_spec_set_upgrade(spec_of(request), q_slice_make(protocol, protocol_len)).code
                    : Q_ERR_INVALID_ARGUMENT;
}

int32_t quoit_request_set_feed_max(struct quoit_request *request, uint64_t bytes) {
    return !is_request(request) ? Q_ERR_INVALID_ARGUMENT : q_spec_set_feed_max(spec_of(request), bytes).code;
}

int32_t quoit_request_set_credit(struct quoit_request *request, uint64_t bytes, int32_t manual) {
    return !is_request(request) ? Q_ERR_INVALID_ARGUMENT : q_spec_set_credit(spec_of(request), bytes, manual != 0).code;
}

int32_t quoit_request_freeze(struct quoit_request *request) {
    return !is_request(request) ? Q_ERR_INVALID_ARGUMENT : q_spec_freeze(spec_of(request)).code;
}

struct quoit_request *quoit_request_acquire(struct quoit_request *request) {
    return q_spec_host_acquire(spec_of(request)) ? request : NULL;
}

void quoit_request_release(struct quoit_request *request) {
    (void)q_spec_host_release(spec_of(request)); // of nothing, or once too often: there is nobody to tell
}

// Ends a request that was counted and then refused. The last one of a draining engine must tell the loop.
static void uncount(struct q_engine *engine) {
    Q_HOOK("face.submit.before_uncount");
    if (q_pending_end_requests(&engine->entry->pending, 1)) {
        q_engine_poke(engine);
    }
}

int32_t quoit_submit(struct quoit_engine handle, struct quoit_port port_handle, struct quoit_request *request,
                     uint64_t user_data, struct quoit_handle *out) {
    if (!is_request(request)) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    int32_t code = q_spec_freeze(spec_of(request)).code;
    if (code != 0) {
        return code;
    }
    struct q_engine *engine = q_table_enter_request(handle, &code);
    if (engine == NULL) {
        return code;
    }
    struct q_port *port = NULL;
    if (q_call_engine_of_port(port_handle).id == handle.id) {
        port = q_engine_port_at(engine, q_call_port_index(port_handle));
    }
    code = port == NULL ? Q_ERR_STALE_HANDLE : q_engine_submit(engine, port, spec_of(request), user_data, out);
    if (code != 0) {
        uncount(engine);
    }
    q_table_leave(engine->entry);
    return code;
}

int32_t quoit_cancel(struct quoit_engine handle, struct quoit_handle request_handle) {
    int32_t code;
    uint32_t generation;
    struct q_engine *engine;
    struct q_request *request = q_call_enter_slot(handle, request_handle, &engine, &generation, &code);
    if (request == NULL) {
        return code;
    }
    enum q_pin_result result = q_slotword_try_pin_cancel(&request->word, generation);
    if (result == Q_PIN_DONE) {
        q_engine_push(engine, &request->cancel);
    }
    q_table_leave(engine->entry);
    return result == Q_PIN_STALE ? Q_ERR_STALE_HANDLE : 0;
}

int32_t quoit_grant(struct quoit_engine handle, struct quoit_handle request_handle, uint64_t bytes) {
    int32_t code;
    uint32_t generation;
    struct q_engine *engine;
    struct q_request *request = q_call_enter_slot(handle, request_handle, &engine, &generation, &code);
    if (request == NULL) {
        return code;
    }
    enum q_grant_result result = q_slotword_grant(&request->word, generation, bytes);
    if (result == Q_GRANT_PUSH) {
        q_engine_push(engine, &request->credit);
    }
    q_table_leave(engine->entry);
    return result == Q_GRANT_STALE ? Q_ERR_STALE_HANDLE : 0;
}

int32_t quoit_request_state(struct quoit_engine handle, struct quoit_handle request_handle,
                            struct quoit_request_state *out) {
    // The first header's struct ended with spent_ns; what is added later stands behind it.
    enum { SIZE_MIN = offsetof(struct quoit_request_state, spent_ns) + sizeof out->spent_ns };
    if (out == NULL || !q_options_is_out_size(out->struct_size, SIZE_MIN, sizeof *out)) {
        return out == NULL ? Q_ERR_INVALID_ARGUMENT : Q_ERR_INVALID_STRUCT_SIZE;
    }
    int32_t code;
    uint32_t generation;
    struct q_engine *engine;
    struct q_request *request = q_call_enter_slot(handle, request_handle, &engine, &generation, &code);
    if (request == NULL) {
        return code;
    }
    struct quoit_request_state read = {.struct_size = out->struct_size};
    // Looked at before and after: a tenant that was there at both times was there in between.
    bool was_live = q_slotword_is_live(&request->word, generation);
    q_watch_read(&request->watch, q_clock_now(engine->seams.clock), &read.stage, &read.stage_ns, read.spent_ns);
    if (was_live && q_slotword_is_live(&request->word, generation)) {
        q_options_write_struct(out, &read, sizeof read);
    } else {
        code = Q_ERR_STALE_HANDLE;
    }
    q_table_leave(engine->entry);
    return code;
}

const char *quoit_stage_name(int32_t stage) { return q_stage_name(stage < 0 ? 0u : (unsigned)stage); }

int32_t quoit_slice_release(struct quoit_engine handle, struct quoit_slice *slice) {
    if (slice == NULL || slice->owner == NULL) {
        return slice == NULL ? Q_ERR_INVALID_ARGUMENT : 0;
    }
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine == NULL) {
        return code;
    }
    uint64_t charge;
    struct q_chunk *chunk = q_taken_remove(&engine->port_env.taken, slice->cookie, &charge);
    if (chunk == NULL) { // another engine's, or a copy of what was released
        q_table_leave(engine->entry);
        return Q_ERR_INVALID_ARGUMENT;
    }
    *slice = (struct quoit_slice){0};
    if (q_chunk_return(chunk, charge)) {
        q_engine_push(engine, &chunk->command);
    }
    // Release: destroy, which acquires, finds the chunk's command in the queue.
    atomic_fetch_sub_explicit(&engine->num_taken, 1, memory_order_release);
    q_table_leave(engine->entry);
    return 0;
}

// --- header blocks ---------------------------------------------------------------------------------------------------

static const struct q_headers *block_of(const struct quoit_headers *headers) {
    return (const struct q_headers *)(const void *)headers;
}

size_t quoit_headers_count(const struct quoit_headers *headers) {
    return headers == NULL ? 0 : q_headers_count(block_of(headers));
}

int32_t quoit_headers_at(const struct quoit_headers *headers, size_t index, const char **name, size_t *name_len,
                         const char **value, size_t *value_len) {
    struct q_slice found_name;
    struct q_slice found_value;
    bool has_outputs = name != NULL && name_len != NULL && value != NULL && value_len != NULL;
    if (headers == NULL || !has_outputs || index > UINT32_MAX ||
        !q_headers_at(block_of(headers), (uint32_t)index, &found_name, &found_value)) {
        return 0;
    }
    *name = found_name.ptr;
    *name_len = found_name.len;
    *value = found_value.ptr;
    *value_len = found_value.len;
    return 1;
}

int32_t quoit_headers_get(const struct quoit_headers *headers, const char *name, size_t name_len, const char **value,
                          size_t *value_len) {
    struct q_slice found;
    bool has_outputs = value != NULL && value_len != NULL;
    if (headers == NULL || name == NULL || !has_outputs ||
        !q_headers_get(block_of(headers), q_slice_make(name, name_len), &found)) {
        return 0;
    }
    *value = found.ptr;
    *value_len = found.len;
    return 1;
}
