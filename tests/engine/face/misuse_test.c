// Every public function, called in every wrong way: with NULL, with sizes that no version has, with handles that name
// nothing any more or never did, twice, on the wrong thread, in the wrong mode, and with its engine gone. Each is an error
// code or does nothing, and the engine beside it lives on. A function of the header that has no row here fails the test.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"
#include "tests/engine/face/misuse.h"

#define URL MISUSE_URL

// The least size of an event: the first header's, whose summary ended where `remote` begins now.
#define FIRST_EVENT_SIZE (offsetof(struct quoit_event, u) + offsetof(struct quoit_summary, remote))

enum {
    GONE,    // an engine that was destroyed
    NOTHING, // the zero handle
    FLIPS,   // from here on: the live one's with one bit flipped
    BAD = FLIPS + 64,
    NAME_MAX_LEN = 64,
};

static struct {
    struct host live;   // an engine with a thread and an eventfd port
    struct host driven; // one that its host drives, bound to the test's thread
    struct quoit_engine gone_engine;
    struct quoit_port gone_port;
    struct quoit_handle gone_handle; // a request of the live engine that has ended
    struct bench_server *server;
    char url[HOST_URL_MAX];
} scene;

static struct quoit_engine bad_engine(int i) {
    return i == GONE      ? scene.gone_engine
           : i == NOTHING ? (struct quoit_engine){0}
                          : (struct quoit_engine){.id = scene.live.engine.id ^ (UINT64_C(1) << (i - FLIPS))};
}

static struct quoit_port bad_port(int i) {
    return i == GONE      ? scene.gone_port
           : i == NOTHING ? (struct quoit_port){0}
                          : (struct quoit_port){.id = scene.live.port.id ^ (UINT64_C(1) << (i - FLIPS))};
}

static struct quoit_handle bad_handle(int i) {
    return i == GONE      ? scene.gone_handle
           : i == NOTHING ? (struct quoit_handle){0}
                          : (struct quoit_handle){.id = scene.gone_handle.id ^ (UINT64_C(1) << (i - FLIPS))};
}

#define FOR_EACH_BAD(i) for (int i = 0; i < BAD; i++)

// A call on a thread that is not the test's.
struct call {
    int32_t (*call)(void);
    int32_t code;
};

static void *call_main(void *argument) {
    struct call *call = argument;
    call->code = call->call();
    return NULL;
}

static int32_t on_another_thread(int32_t (*call)(void)) {
    struct call of = {.call = call};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_main, &of), 0);
    pthread_join(thread, NULL);
    return of.code;
}

// --- the engine --------------------------------------------------------------------------------------------------------

static void engine_create(void) {
    struct quoit_engine engine = {.id = 7};
    struct quoit_engine_options options = {0};
    static const uint32_t k_sizes[] = {0, 1, 3, 5000, UINT32_MAX};
    assert_int_equal(quoit_engine_create(NULL, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (size_t i = 0; i < sizeof k_sizes / sizeof k_sizes[0]; i++) {
        options.struct_size = k_sizes[i];
        assert_int_equal(quoit_engine_create(&options, &engine, NULL), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
    options = (struct quoit_engine_options){.struct_size = sizeof options, .mode = 2};
    assert_int_equal(quoit_engine_create(&options, &engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    options = (struct quoit_engine_options){.struct_size = sizeof options, .capabilities_off = 1u << 31};
    assert_int_equal(quoit_engine_create(&options, &engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    options = (struct quoit_engine_options){.struct_size = sizeof options, .allocator = &(struct quoit_allocator){0}};
    assert_int_equal(quoit_engine_create(&options, &engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    options = (struct quoit_engine_options){.struct_size = sizeof options, .tls = tls};
    assert_int_equal(quoit_engine_create(&options, &engine, NULL), QUOIT_ERR_NOT_FROZEN);
    assert_int_equal(quoit_engine_create(&options, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_tls_release(tls);
    assert_int_equal(engine.id, 7);
}

static void engine_close(void) {
    FOR_EACH_BAD(i) { assert_int_equal(quoit_engine_close(bad_engine(i), 0), QUOIT_ERR_STALE_HANDLE); }
}

static void engine_destroy(void) {
    FOR_EACH_BAD(i) { assert_int_equal(quoit_engine_destroy(bad_engine(i)), QUOIT_ERR_STALE_HANDLE); }
    assert_int_equal(quoit_engine_destroy(scene.live.engine), QUOIT_ERR_NOT_CLOSED);
}

static void engine_fd(void) {
    FOR_EACH_BAD(i) { assert_int_equal(quoit_engine_fd(bad_engine(i)), -1); }
    assert_int_equal(quoit_engine_fd(scene.live.engine), -1); // not host-driven
}

static int32_t timeout_of_driven(void) { return (int32_t)quoit_engine_timeout_ms(scene.driven.engine); }

static void engine_timeout_ms(void) {
    FOR_EACH_BAD(i) { assert_int_equal(quoit_engine_timeout_ms(bad_engine(i)), 0); }
    assert_int_equal(quoit_engine_timeout_ms(scene.live.engine), 0);
    assert_int_equal(on_another_thread(timeout_of_driven), 0);
}

static int32_t tick_driven(void) { return quoit_engine_tick(scene.driven.engine); }

static void engine_tick(void) {
    FOR_EACH_BAD(i) { assert_int_equal(quoit_engine_tick(bad_engine(i)), -QUOIT_ERR_STALE_HANDLE); }
    assert_int_equal(quoit_engine_tick(scene.live.engine), -QUOIT_ERR_WRONG_MODE);
    assert_int_equal(on_another_thread(tick_driven), -QUOIT_ERR_WRONG_THREAD);
}

// Sizes of structs that are to be filled: zeros behind what is known must not be written all over the host's memory.
static const uint32_t k_too_large[] = {65536, (uint32_t)INT32_MAX, UINT32_MAX};

enum { TOO_LARGE = sizeof k_too_large / sizeof k_too_large[0] };

static void engine_info(void) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    FOR_EACH_BAD(i) { assert_int_equal(quoit_engine_info(bad_engine(i), &info), QUOIT_ERR_STALE_HANDLE); }
    assert_int_equal(quoit_engine_info(scene.live.engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (info.struct_size = 0; info.struct_size < 2 * sizeof(uint32_t); info.struct_size++) {
        assert_int_equal(quoit_engine_info(scene.live.engine, &info), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
    for (int i = 0; i < TOO_LARGE; i++) {
        info.struct_size = k_too_large[i];
        assert_int_equal(quoit_engine_info(scene.live.engine, &info), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
}

static const char k_key[16] = "0123456789abcdef";

static int32_t export_of_driven(void) {
    size_t len;
    return quoit_engine_export_tls_sessions(scene.driven.engine, k_key, sizeof k_key, NULL, 0, &len);
}

static void export_tls_sessions(void) {
    struct quoit_engine engine = scene.live.engine;
    char out[128];
    size_t len = 77;
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_engine_export_tls_sessions(bad_engine(i), k_key, sizeof k_key, out, sizeof out, &len),
                         QUOIT_ERR_STALE_HANDLE);
    }
    static const size_t k_lengths[] = {0, 1, 15, 1025, SIZE_MAX};
    for (size_t i = 0; i < sizeof k_lengths / sizeof k_lengths[0]; i++) {
        assert_int_equal(quoit_engine_export_tls_sessions(engine, k_key, k_lengths[i], out, sizeof out, &len),
                         QUOIT_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(quoit_engine_export_tls_sessions(engine, NULL, 16, out, sizeof out, &len), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_engine_export_tls_sessions(engine, k_key, 16, NULL, 1, &len), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_engine_export_tls_sessions(engine, k_key, 16, out, 0, &len), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_engine_export_tls_sessions(engine, k_key, 16, out, 127, &len), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_engine_export_tls_sessions(engine, k_key, 16, out, 128, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(len, 77);
    assert_int_equal(on_another_thread(export_of_driven), QUOIT_ERR_WRONG_THREAD);
    assert_int_equal(quoit_engine_export_tls_sessions(engine, k_key, 16, out, 128, &len), QUOIT_OK);
}

static void import_tls_sessions(void) {
    struct quoit_engine engine = scene.live.engine;
    uint32_t count = 77;
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_engine_import_tls_sessions(bad_engine(i), k_key, sizeof k_key, "a", 1, &count),
                         QUOIT_ERR_STALE_HANDLE);
    }
    assert_int_equal(quoit_engine_import_tls_sessions(engine, k_key, 15, "a", 1, &count), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_engine_import_tls_sessions(engine, NULL, 16, "a", 1, &count), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_engine_import_tls_sessions(engine, k_key, 16, NULL, 1, &count), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(count, 77);
    static const size_t k_lengths[] = {SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 48, ((size_t)64 << 20) + 1};
    for (size_t i = 0; i < sizeof k_lengths / sizeof k_lengths[0]; i++) { // and nothing is read of it
        assert_int_equal(quoit_engine_import_tls_sessions(engine, k_key, 16, "a", k_lengths[i], &count),
                         QUOIT_ERR_TLS_BAD_SESSIONS);
    }
    assert_int_equal(quoit_engine_import_tls_sessions(engine, k_key, 16, NULL, 0, NULL), QUOIT_ERR_TLS_BAD_SESSIONS);
    assert_int_equal(quoit_engine_import_tls_sessions(engine, k_key, 16, "a", 1, &count), QUOIT_ERR_TLS_BAD_SESSIONS);
    assert_int_equal(count, 0);
}

static void probe(void) {
    struct quoit_probe_result result = {0};
    assert_int_equal(quoit_probe(NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (; result.struct_size < sizeof result; result.struct_size++) {
        assert_int_equal(quoit_probe(&result), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
    for (int i = 0; i < TOO_LARGE; i++) {
        result.struct_size = k_too_large[i];
        assert_int_equal(quoit_probe(&result), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
}

// --- the port ----------------------------------------------------------------------------------------------------------

static int32_t port_of_driven(void) {
    struct quoit_port port;
    return quoit_port_create(scene.driven.engine, NULL, &port);
}

static void port_create(void) {
    struct quoit_port port = {.id = 5};
    struct quoit_port_options options = {.struct_size = sizeof options};
    FOR_EACH_BAD(i) { assert_int_equal(quoit_port_create(bad_engine(i), &options, &port), QUOIT_ERR_STALE_HANDLE); }
    assert_int_equal(quoit_port_create(scene.live.engine, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (options.struct_size = 0; options.struct_size < sizeof options.struct_size; options.struct_size++) {
        assert_int_equal(quoit_port_create(scene.live.engine, &options, &port), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
    options = (struct quoit_port_options){.struct_size = sizeof options, .mode = 2};
    assert_int_equal(quoit_port_create(scene.live.engine, &options, &port), QUOIT_ERR_INVALID_ARGUMENT);
    options.mode = QUOIT_PORT_INLINE; // without a callback
    assert_int_equal(quoit_port_create(scene.live.engine, &options, &port), QUOIT_ERR_INVALID_ARGUMENT);
    options = (struct quoit_port_options){.struct_size = sizeof options, .capacity = UINT32_MAX};
    assert_int_equal(quoit_port_create(scene.live.engine, &options, &port), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(on_another_thread(port_of_driven), QUOIT_ERR_WRONG_THREAD);
    assert_int_equal(port.id, 5);
}

static void port_fd(void) {
    FOR_EACH_BAD(i) { assert_int_equal(quoit_port_fd(bad_port(i)), -1); }
    assert_int_equal(quoit_port_fd(scene.driven.port), -1); // inline
}

static void port_drain(void) {
    struct quoit_event event;
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_port_drain(bad_port(i), &event, sizeof event, 1), -QUOIT_ERR_STALE_HANDLE);
    }
    struct quoit_port port = scene.live.port;
    assert_int_equal(quoit_port_drain(port, NULL, sizeof event, 1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(port, &event, FIRST_EVENT_SIZE - 1, 1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(port, &event, sizeof event, 0), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(port, &event, sizeof event, SIZE_MAX), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(port, &event, sizeof event + 4097, 1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(port, &event, SIZE_MAX, 1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(scene.driven.port, &event, sizeof event, 1), -QUOIT_ERR_WRONG_MODE);
}

static void port_wait(void) {
    struct quoit_event event;
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_port_wait(bad_port(i), &event, sizeof event, 1, -1), -QUOIT_ERR_STALE_HANDLE);
    }
    struct quoit_port port = scene.live.port;
    assert_int_equal(quoit_port_wait(port, NULL, sizeof event, 1, -1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_wait(port, &event, 0, 1, -1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_wait(port, &event, sizeof event, 0, -1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_wait(port, &event, sizeof event, SIZE_MAX, -1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_wait(port, &event, SIZE_MAX, 1, -1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_wait(scene.driven.port, &event, sizeof event, 1, -1), -QUOIT_ERR_WRONG_MODE);
}

static void port_advance(void) {
    FOR_EACH_BAD(i) { assert_int_equal(quoit_port_advance(bad_port(i)), QUOIT_ERR_STALE_HANDLE); }
    assert_int_equal(quoit_port_advance(scene.driven.port), QUOIT_ERR_WRONG_MODE);
    assert_int_equal(quoit_port_advance(scene.live.port), QUOIT_OK); // of nothing
    assert_int_equal(quoit_port_advance(scene.live.port), QUOIT_OK); // twice
}

// A real event, taken twice, and once it is over; and events that were never given.
static void port_take(void) {
    struct quoit_event event = {.type = QUOIT_EVENT_DATA};
    struct quoit_slice slice;
    struct quoit_slice none;
    FOR_EACH_BAD(i) { assert_int_equal(quoit_port_take(bad_port(i), &event, &none), QUOIT_ERR_STALE_HANDLE); }
    struct quoit_port port = scene.live.port;
    assert_int_equal(quoit_port_take(port, NULL, &none), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_take(port, &event, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (unsigned bit = 0; bit < 32; bit++) {
        event.cookie = 1u << bit;
        assert_int_equal(quoit_port_take(port, &event, &none), QUOIT_ERR_INVALID_ARGUMENT);
    }
    struct quoit_request *request = host_request("GET", scene.url);
    assert_int_equal(quoit_submit(scene.live.engine, port, request, 0, NULL), QUOIT_OK);
    quoit_request_release(request);
    for (event.type = 0; event.type != QUOIT_EVENT_DONE;) {
        assert_int_equal(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
        if (event.type == QUOIT_EVENT_DATA) {
            assert_int_equal(quoit_port_take(port, &event, &slice), QUOIT_OK);
            assert_int_equal(quoit_port_take(port, &event, &none), QUOIT_ERR_INVALID_ARGUMENT);
            struct quoit_event stranger = event;
            stranger.request = (struct quoit_handle){0};
            assert_int_equal(quoit_port_take(port, &stranger, &none), QUOIT_ERR_INVALID_ARGUMENT);
            assert_int_equal(quoit_slice_release(scene.driven.engine, &slice), QUOIT_ERR_INVALID_ARGUMENT); // another's
            struct quoit_slice copy = slice;
            assert_int_equal(quoit_slice_release(scene.live.engine, &slice), QUOIT_OK);
            assert_int_equal(quoit_slice_release(scene.live.engine, &slice), QUOIT_OK); // it is empty now
            assert_int_equal(quoit_slice_release(scene.live.engine, &copy), QUOIT_ERR_INVALID_ARGUMENT);
        } else {
            assert_int_equal(quoit_port_take(port, &event, &none), QUOIT_ERR_INVALID_ARGUMENT);
        }
        assert_int_equal(quoit_port_advance(port), QUOIT_OK);
        assert_int_equal(quoit_port_take(port, &event, &none), QUOIT_ERR_INVALID_ARGUMENT);
    }
}

static void slice_release(void) {
    char owner = 0;
    FOR_EACH_BAD(i) {
        struct quoit_slice slice = {.data = "x", .len = 1, .owner = &owner};
        assert_int_equal(quoit_slice_release(bad_engine(i), &slice), QUOIT_ERR_STALE_HANDLE);
        assert_ptr_equal(slice.owner, &owner);
    }
    struct quoit_slice empty = {0};
    assert_int_equal(quoit_slice_release(scene.live.engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_slice_release(scene.live.engine, &empty), QUOIT_OK);
    assert_int_equal(quoit_slice_release(scene.gone_engine, &empty), QUOIT_OK);
}

// --- the life of a request --------------------------------------------------------------------------------------------

static void submit(void) {
    struct quoit_handle handle = {.id = 3};
    struct quoit_request *request = host_request("GET", URL);
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_submit(bad_engine(i), scene.live.port, request, 0, &handle), QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(quoit_submit(scene.live.engine, bad_port(i), request, 0, &handle), QUOIT_ERR_STALE_HANDLE);
    }
    assert_int_equal(quoit_submit(scene.live.engine, scene.driven.port, request, 0, &handle), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_submit(scene.live.engine, scene.live.port, NULL, 0, &handle), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(handle.id, 3);
    quoit_request_release(request);
}

static void cancel(void) {
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_cancel(bad_engine(i), scene.gone_handle), QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(quoit_cancel(scene.live.engine, bad_handle(i)), QUOIT_ERR_STALE_HANDLE);
    }
}

static void grant(void) {
    static const uint64_t k_bytes[] = {0, 1, UINT64_MAX};
    for (size_t j = 0; j < sizeof k_bytes / sizeof k_bytes[0]; j++) {
        FOR_EACH_BAD(i) {
            assert_int_equal(quoit_grant(bad_engine(i), scene.gone_handle, k_bytes[j]), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_grant(scene.live.engine, bad_handle(i), k_bytes[j]), QUOIT_ERR_STALE_HANDLE);
        }
    }
}

static void feed(void) {
    bool is_released = false;
    struct quoit_engine engine = scene.live.engine;
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_feed(bad_engine(i), scene.gone_handle, "a", 1, misuse_must_not_be_released, &is_released),
                         QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(quoit_feed(engine, bad_handle(i), "a", 1, misuse_must_not_be_released, &is_released),
                         QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(quoit_feed_end(bad_engine(i), scene.gone_handle), QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(quoit_feed_end(engine, bad_handle(i)), QUOIT_ERR_STALE_HANDLE);
    }
    assert_int_equal(quoit_feed(engine, scene.gone_handle, NULL, 1, misuse_must_not_be_released, &is_released),
                     QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_feed(engine, scene.gone_handle, "a", SIZE_MAX, NULL, NULL), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_feed(engine, scene.gone_handle, "a", 0, misuse_must_not_be_released, &is_released),
                     QUOIT_ERR_INVALID_ARGUMENT);
    assert_false(is_released);
}

// Tokens are handles with a turn beside them: none was ever asked here.
static void answer(void) {
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_answer(bad_engine(i), scene.gone_handle.id, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(quoit_answer(scene.live.engine, bad_handle(i).id, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    }
    assert_int_equal(quoit_answer(scene.live.engine, UINT64_MAX, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    for (uint32_t i = QUOIT_ANSWER_REFUSE + 1; i != 0; i *= 2) {
        assert_int_equal(quoit_answer(scene.live.engine, 0, i), QUOIT_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(quoit_answer(scene.live.engine, 0, 0), QUOIT_ERR_INVALID_ARGUMENT);
}

static void answer_signature(void) {
    static const char k_bytes[1025];
    struct quoit_engine engine = scene.live.engine;
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_answer_signature(bad_engine(i), scene.gone_handle.id, "a", 1), QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(quoit_answer_signature(engine, bad_handle(i).id, "a", 1), QUOIT_ERR_STALE_HANDLE);
    }
    assert_int_equal(quoit_answer_signature(engine, UINT64_MAX, k_bytes, 1024), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_answer_signature(engine, 0, NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer_signature(engine, 0, k_bytes, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer_signature(engine, 0, k_bytes, 1025), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer_signature(engine, 0, k_bytes, SIZE_MAX), QUOIT_ERR_INVALID_ARGUMENT);
}

static void request_state(void) {
    struct quoit_request_state state = {.struct_size = sizeof state};
    FOR_EACH_BAD(i) {
        assert_int_equal(quoit_request_state(bad_engine(i), scene.gone_handle, &state), QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(quoit_request_state(scene.live.engine, bad_handle(i), &state), QUOIT_ERR_STALE_HANDLE);
    }
    assert_int_equal(quoit_request_state(scene.live.engine, scene.gone_handle, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (state.struct_size = 0; state.struct_size < sizeof state.struct_size; state.struct_size++) {
        assert_int_equal(quoit_request_state(scene.live.engine, scene.gone_handle, &state),
                         QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
    for (int i = 0; i < TOO_LARGE; i++) {
        state.struct_size = k_too_large[i];
        assert_int_equal(quoit_request_state(scene.live.engine, scene.gone_handle, &state),
                         QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
}

// --- header blocks -----------------------------------------------------------------------------------------------------

// Gets a real block, calls `look` on it, and waits for the end of its request.
static void with_headers(void (*look)(const struct quoit_headers *headers)) {
    struct quoit_event event = {0};
    struct quoit_request *request = host_request("GET", scene.url);
    assert_int_equal(quoit_submit(scene.live.engine, scene.live.port, request, 0, NULL), QUOIT_OK);
    quoit_request_release(request);
    while (event.type != QUOIT_EVENT_DONE) {
        assert_int_equal(quoit_port_wait(scene.live.port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
        if (event.type == QUOIT_EVENT_HEAD) {
            look(event.u.head.headers);
        }
        assert_int_equal(quoit_port_advance(scene.live.port), QUOIT_OK);
    }
}

static void headers_count(void) { assert_int_equal(quoit_headers_count(NULL), 0); }

static void look_at_headers(const struct quoit_headers *headers) {
    const char *name = "untouched";
    const char *value = name;
    size_t name_len = 9;
    size_t value_len = 9;
    assert_true(quoit_headers_count(headers) > 0);
    assert_int_equal(quoit_headers_at(headers, quoit_headers_count(headers), &name, &name_len, &value, &value_len), 0);
    assert_int_equal(quoit_headers_at(headers, SIZE_MAX, &name, &name_len, &value, &value_len), 0);
    assert_int_equal(quoit_headers_at(headers, (size_t)UINT32_MAX + 1, &name, &name_len, &value, &value_len), 0);
    assert_int_equal(quoit_headers_at(NULL, 0, &name, &name_len, &value, &value_len), 0);
    assert_int_equal(quoit_headers_at(headers, 0, NULL, &name_len, &value, &value_len), 0);
    assert_int_equal(quoit_headers_at(headers, 0, &name, NULL, &value, &value_len), 0);
    assert_int_equal(quoit_headers_at(headers, 0, &name, &name_len, NULL, &value_len), 0);
    assert_int_equal(quoit_headers_at(headers, 0, &name, &name_len, &value, NULL), 0);
    assert_int_equal(quoit_headers_get(headers, "Content-Length", 14, NULL, &value_len), 0);
    assert_int_equal(quoit_headers_get(headers, "Content-Length", 14, &value, NULL), 0);
    assert_int_equal(quoit_headers_get(headers, NULL, 14, &value, &value_len), 0);
    assert_int_equal(quoit_headers_get(headers, "", 0, &value, &value_len), 0);
    assert_int_equal(quoit_headers_get(headers, "a", SIZE_MAX, &value, &value_len), 0);
    assert_int_equal(quoit_headers_get(headers, "Content-Length", SIZE_MAX - 1, &value, &value_len), 0);
    assert_int_equal(quoit_headers_get(NULL, "a", 1, &value, &value_len), 0);
    assert_string_equal(name, "untouched");
    assert_ptr_equal(value, name);
    assert_int_equal(quoit_headers_get(headers, "Content-Length", 14, &value, &value_len), 1);
}

static void headers_at_and_get(void) { with_headers(look_at_headers); }

// --- words -------------------------------------------------------------------------------------------------------------

static const int32_t k_numbers[] = {INT32_MIN, -1, 0, 1, 99, 1000000, INT32_MAX};

enum { NUMBERS = sizeof k_numbers / sizeof k_numbers[0] };

static void all_words(void) {
    for (int i = 0; i < NUMBERS; i++) {
        assert_non_null(quoit_error_name(k_numbers[i]));
        assert_non_null(quoit_error_sentence(k_numbers[i]));
        assert_non_null(quoit_phase_name(k_numbers[i]));
        assert_non_null(quoit_stage_name(k_numbers[i]));
        assert_non_null(quoit_errno_name(k_numbers[i]));
        (void)quoit_error_category(k_numbers[i]);
        assert_in_range(quoit_error_is_retryable(k_numbers[i]), 0, 1);
    }
}

static void version(void) {
    assert_non_null(quoit_version()); // takes nothing that could be wrong
    assert_int_equal(quoit_abi_version(), QUOIT_ABI_VERSION);
}

// --- the table ---------------------------------------------------------------------------------------------------------

static const struct misuse k_functions[] = {
    {"quoit_engine_create", engine_create},
    {"quoit_engine_close", engine_close},
    {"quoit_engine_destroy", engine_destroy},
    {"quoit_engine_fd", engine_fd},
    {"quoit_engine_timeout_ms", engine_timeout_ms},
    {"quoit_engine_tick", engine_tick},
    {"quoit_engine_info", engine_info},
    {"quoit_engine_export_tls_sessions", export_tls_sessions},
    {"quoit_engine_import_tls_sessions", import_tls_sessions},
    {"quoit_probe", probe},
    {"quoit_port_create", port_create},
    {"quoit_port_fd", port_fd},
    {"quoit_port_drain", port_drain},
    {"quoit_port_wait", port_wait},
    {"quoit_port_advance", port_advance},
    {"quoit_port_take", port_take},
    {"quoit_slice_release", slice_release},
    {"quoit_request_state", request_state},
    {"quoit_submit", submit},
    {"quoit_cancel", cancel},
    {"quoit_grant", grant},
    {"quoit_feed", feed},
    {"quoit_feed_end", feed},
    {"quoit_answer", answer},
    {"quoit_answer_signature", answer_signature},
    {"quoit_headers_count", headers_count},
    {"quoit_headers_at", headers_at_and_get},
    {"quoit_headers_get", headers_at_and_get},
    {"quoit_error_name", all_words},
    {"quoit_error_sentence", all_words},
    {"quoit_error_category", all_words},
    {"quoit_error_is_retryable", all_words},
    {"quoit_phase_name", all_words},
    {"quoit_stage_name", all_words},
    {"quoit_errno_name", all_words},
    {"quoit_version", version},
    {"quoit_abi_version", version},
};

enum { FUNCTIONS = sizeof k_functions / sizeof k_functions[0] };

static bool is_in_table(const struct misuse *table, size_t len, const char *name) {
    for (size_t i = 0; i < len; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

// The name of the function that a line of the header declares: declarations begin with QUOIT_API, and what a name is
// followed by is its parenthesis. (All quoit_* is exported, and nothing else: the header is the list.)
static bool declared_name(const char *line, char *out) {
    const char *end = strchr(line, '(');
    if (strncmp(line, "QUOIT_API ", 10) != 0 || end == NULL) {
        return false;
    }
    const char *begin = end;
    while (begin > line && (begin[-1] == '_' || (begin[-1] >= '0' && begin[-1] <= '9') ||
                            (begin[-1] >= 'a' && begin[-1] <= 'z'))) {
        begin--;
    }
    assert_true(end - begin < NAME_MAX_LEN);
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = '\0';
    return true;
}

static int rows_of_header(const char *path) {
    char line[512];
    char name[NAME_MAX_LEN];
    int num = 0;
    FILE *header = fopen(path, "r");
    assert_non_null(header);
    while (fgets(line, sizeof line, header) != NULL) {
        if (strncmp(line, "QUOIT_API ", 10) == 0 && !declared_name(line, name)) {
            fail_msg("a declaration that this test cannot read: %s", line);
        }
        if (declared_name(line, name)) {
            num++;
            if (!is_in_table(k_functions, FUNCTIONS, name) &&
                !is_in_table(k_misuse_requests, k_misuse_requests_len, name) &&
                !is_in_table(k_misuse_tls, k_misuse_tls_len, name)) {
                fail_msg("%s has no row in the table of misuse", name);
            }
        }
    }
    fclose(header);
    return num;
}

static void every_public_function_has_a_row(void **state) {
    (void)state;
    assert_int_equal(rows_of_header("api/quoit.h") + rows_of_header("api/quoit/abi.h") +
                         rows_of_header("api/quoit/error.h") + rows_of_header("api/quoit/sessions.h") +
                         rows_of_header("api/quoit/tls.h") + rows_of_header("api/quoit/dial.h"),
                     FUNCTIONS + k_misuse_requests_len + k_misuse_tls_len);
}

static void whatever_is_wrong_is_a_code_and_no_harm(void **state) {
    (void)state;
    for (size_t i = 0; i < k_misuse_requests_len; i++) {
        k_misuse_requests[i].misuse();
    }
    for (size_t i = 0; i < k_misuse_tls_len; i++) {
        k_misuse_tls[i].misuse();
    }
    for (int i = 0; i < FUNCTIONS; i++) {
        k_functions[i].misuse();
        assert_int_equal(host_info(&scene.live).requests_pending, 0);
    }
    host_fetch(&scene.live, 1, scene.url, 30000); // behind it all it works
    host_fetch(&scene.driven, 1, scene.url, 30000);
}

static int set_up(void **state) {
    (void)state;
    scene.server = bench_server_start(NULL);
    assert_non_null(scene.server);
    bench_server_url(scene.server, "/size/30000", scene.url, sizeof scene.url);
    host_start(&scene.live, NULL, NULL);
    scene.gone_engine = scene.live.engine;
    scene.gone_port = scene.live.port;
    host_stop(&scene.live);
    host_start(&scene.live, NULL, NULL); // in the same place
    host_fetch(&scene.live, 0, scene.url, 30000);
    scene.gone_handle = scene.live.records[0].handle;
    struct quoit_engine_options options = {.mode = QUOIT_ENGINE_HOST_DRIVEN};
    struct quoit_port_options port = {.mode = QUOIT_PORT_INLINE};
    host_start(&scene.driven, &options, &port);
    assert_true(quoit_engine_tick(scene.driven.engine) >= 0); // this thread's from here on
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    host_stop(&scene.driven);
    host_stop(&scene.live);
    bench_server_stop(scene.server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_public_function_has_a_row),
        cmocka_unit_test(whatever_is_wrong_is_a_code_and_no_harm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
