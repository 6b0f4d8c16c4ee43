// Sessions of TLS that one engine exports and another imports, through the C API: from each thread that may, and from those
// that may not.
#include "tests/engine/core/host.h"

#include <pthread.h>
#include <semaphore.h>

#include "bench/server/server.h"
#include "tests/support/certs.h"

static struct host host;
static struct host other;
static struct bench_server *the_server;
static struct q_cert *the_root;
static char the_url[HOST_URL_MAX];

static const char k_key[] = "a key of 24 bytes or so.";

enum { BYTES = 1 << 16 };

static uint8_t the_bytes[BYTES];
static size_t the_len;

static struct quoit_tls *trusting(bool is_lax) {
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, the_root->pem, strlen(the_root->pem)), QUOIT_OK);
    if (is_lax) {
        assert_int_equal(quoit_tls_set_verify(tls, QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING), QUOIT_OK);
    }
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

static void start(struct host *h, uint32_t engine_mode, uint32_t port_mode, bool is_lax) {
    struct quoit_tls *tls = trusting(is_lax);
    host_start(h, &(struct quoit_engine_options){.mode = engine_mode, .tls = tls},
               &(struct quoit_port_options){.mode = port_mode});
    quoit_tls_release(tls);
}

static void start_both(void) {
    start(&host, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, false);
    start(&other, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, false);
}

static void stop_both(void) {
    host_stop(&host);
    host_stop(&other);
}

// On a connection of its own. Gives whether it took up a session.
static bool get(struct host *h, uint32_t index) {
    struct quoit_request *request = host_request("GET", the_url);
    assert_int_equal(quoit_request_add_header(request, "Connection", 10, "close", 5), QUOIT_OK);
    host_submit(h, index, request);
    const struct host_record *record = host_wait(h, index);
    host_assert_done(record, 10);
    return record->summary.tls_resumed == 1;
}

static int32_t export_from(struct quoit_engine engine) {
    return quoit_engine_export_tls_sessions(engine, k_key, sizeof k_key, the_bytes, BYTES, &the_len);
}

static int32_t import_into(struct quoit_engine engine, uint32_t *out_count) {
    return quoit_engine_import_tls_sessions(engine, k_key, sizeof k_key, the_bytes, the_len, out_count);
}

static void another_engine_takes_up_what_one_has_exported(void **state) {
    (void)state;
    uint32_t count;
    start_both();
    assert_false(get(&host, 0));
    size_t most;
    assert_int_equal(quoit_engine_export_tls_sessions(host.engine, k_key, sizeof k_key, NULL, 0, &most), QUOIT_OK);
    assert_int_equal(export_from(host.engine), QUOIT_OK);
    assert_int_equal(the_len, most);
    assert_false(get(&host, 1)); // its tickets are for one use, and gone
    assert_int_equal(import_into(other.engine, &count), QUOIT_OK);
    assert_true(count > 0);
    assert_true(get(&other, 0));
    stop_both();
}

static void what_one_configuration_made_another_does_not_take_up(void **state) {
    (void)state;
    start(&host, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, true);
    assert_false(get(&host, 0));
    assert_int_equal(export_from(host.engine), QUOIT_OK);
    start(&other, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, false);
    assert_int_equal(import_into(other.engine, NULL), QUOIT_OK);
    assert_false(get(&other, 0));
    stop_both();
}

static void what_is_damaged_is_refused_and_does_no_harm(void **state) {
    (void)state;
    uint32_t count = 1;
    start_both();
    assert_false(get(&host, 0));
    assert_int_equal(export_from(host.engine), QUOIT_OK);
    the_bytes[the_len - 1] ^= 1;
    assert_int_equal(import_into(other.engine, &count), QUOIT_ERR_TLS_BAD_SESSIONS);
    assert_int_equal(count, 0);
    assert_false(get(&other, 0));
    the_bytes[the_len - 1] ^= 1;
    assert_int_equal(quoit_engine_import_tls_sessions(other.engine, k_key, sizeof k_key - 1, the_bytes, the_len, NULL),
                     QUOIT_ERR_TLS_BAD_SESSIONS);
    assert_int_equal(import_into(other.engine, &count), QUOIT_OK);
    stop_both();
}

// --- threads ---------------------------------------------------------------------------------------------------------

static int32_t the_code;
static struct quoit_engine the_engine;
static sem_t the_callback; // has run

static void export_inside(struct host *h, const struct quoit_event *event) {
    (void)h;
    if (event->type == QUOIT_EVENT_DONE) {
        the_code = export_from(the_engine);
        sem_post(&the_callback);
    }
}

static void a_callback_may_ask_its_own_loop_and_no_other(void **state) {
    (void)state;
    start(&host, QUOIT_ENGINE_THREAD, QUOIT_PORT_INLINE, false);
    start(&other, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, false);
    host.on_event = export_inside;
    the_engine = host.engine;
    assert_int_equal(sem_init(&the_callback, 0, 0), 0);
    assert_false(get(&host, 0));
    assert_int_equal(sem_wait(&the_callback), 0);
    assert_int_equal(the_code, QUOIT_OK);
    assert_int_equal(import_into(other.engine, NULL), QUOIT_OK);
    assert_true(get(&other, 0));
    the_engine = other.engine;
    assert_false(get(&host, 1));
    assert_int_equal(sem_wait(&the_callback), 0);
    sem_destroy(&the_callback);
    assert_int_equal(the_code, QUOIT_ERR_WRONG_THREAD);
    host.on_event = NULL;
    stop_both();
}

static void *export_main(void *argument) {
    (void)argument;
    the_code = export_from(host.engine);
    return NULL;
}

static void a_host_that_drives_asks_on_the_ticking_thread_or_before_it(void **state) {
    (void)state;
    pthread_t thread;
    start(&host, QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, false);
    assert_int_equal(pthread_create(&thread, NULL, export_main, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(the_code, QUOIT_OK); // nobody ticks yet
    assert_false(get(&host, 0));
    assert_int_equal(pthread_create(&thread, NULL, export_main, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(the_code, QUOIT_ERR_WRONG_THREAD);
    assert_int_equal(export_from(host.engine), QUOIT_OK);
    start(&other, QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, false);
    assert_int_equal(import_into(other.engine, NULL), QUOIT_OK);
    assert_true(get(&other, 0));
    stop_both();
}

static void *export_and_import(void *argument) {
    static const uint8_t k_nothing[4];
    (void)argument;
    for (int i = 0; i < 50; i++) {
        uint8_t bytes[4096];
        size_t len;
        assert_int_equal(quoit_engine_export_tls_sessions(host.engine, k_key, sizeof k_key, bytes, sizeof bytes, &len),
                         QUOIT_OK);
        assert_int_equal(quoit_engine_import_tls_sessions(host.engine, k_key, sizeof k_key, bytes, len, NULL), QUOIT_OK);
        assert_int_equal(quoit_engine_import_tls_sessions(host.engine, k_key, sizeof k_key, k_nothing, 4, NULL),
                         QUOIT_ERR_TLS_BAD_SESSIONS);
    }
    return NULL;
}

static void threads_ask_while_requests_run(void **state) {
    enum { THREADS = 4, REQUESTS = 40 };
    pthread_t threads[THREADS];
    (void)state;
    start(&host, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, false);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, export_and_import, NULL), 0);
    }
    for (uint32_t i = 0; i < REQUESTS; i++) {
        (void)get(&host, i);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    host_stop(&host);
}

static void an_engine_that_ends_refuses(void **state) {
    (void)state;
    start(&host, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, false);
    assert_false(get(&host, 0));
    host_close_and_wait(&host, 1000);
    assert_int_equal(export_from(host.engine), QUOIT_ERR_CLOSED);
    assert_int_equal(import_into(host.engine, NULL), QUOIT_ERR_CLOSED);
    host_destroy(&host);
}

static int set_up(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, "root", 1);
    struct q_cert *leaf = q_certs_make(the_root, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 2});
    the_server = bench_server_start(
        &(struct bench_server_options){.tls_cert = leaf->pem, .tls_key = leaf->key_pem, .tls_version = QUOIT_TLS_1_3});
    assert_non_null(the_server);
    q_certs_free(leaf);
    bench_server_url(the_server, "/size/10", the_url, sizeof the_url);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    bench_server_stop(the_server);
    q_certs_free(the_root);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_engine_takes_up_what_one_has_exported),
        cmocka_unit_test(what_one_configuration_made_another_does_not_take_up),
        cmocka_unit_test(what_is_damaged_is_refused_and_does_no_harm),
        cmocka_unit_test(a_callback_may_ask_its_own_loop_and_no_other),
        cmocka_unit_test(a_host_that_drives_asks_on_the_ticking_thread_or_before_it),
        cmocka_unit_test(threads_ask_while_requests_run),
        cmocka_unit_test(an_engine_that_ends_refuses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
