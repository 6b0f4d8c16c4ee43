// Sixteen threads that make TLS configurations, equal and different ones, give them to requests and let them go at once, on
// engines that speak real TLS with the embedded server: each request ends once with its own body, no request is served by
// a connection of a configuration that is not equal to its own, and when all is over the process holds none.
//
// QUOIT_STRESS_REQUESTS says how many requests there are in all; //tests:long runs 100,000 of them under ThreadSanitizer.
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/quoit.h"
#include "bench/server/server.h"
#include "engine/tls/registry.h"
#include "tests/support/certs.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum {
    NUM_THREADS = 16,
    NUM_ENGINES = 2,
    NUM_SHARED = 6,    // contents that all threads make, again and again
    WINDOW = 4,        // requests of a thread that are under way
    OWN_EVERY = 8,     // one with a content that nobody else has, on a connection that ends with it
    REFUSED_EVERY = 25, // one that trusts another root, and must never get an answer
    BODY = 300,
    WAIT_MS = 60000,
    REQUESTS = SANITIZED ? 1600 : 8000,
    CONNECTION_IDS_MAX = 1 << 17,
};

// What connection serials have been used with: a content's number, from 1. Of each engine.
static _Atomic uint32_t the_contents[NUM_ENGINES][CONNECTION_IDS_MAX];

static struct {
    struct bench_server *server;
    struct q_cert *root;
    struct q_cert *other;
    struct q_cert *leaf;
    struct quoit_engine engines[NUM_ENGINES];
    char url[128];
    uint32_t num_each; // requests of a thread
    _Atomic uint64_t num_done;
    _Atomic uint64_t num_refused;
    _Atomic uint64_t num_reused;
    _Atomic(const char *) broken;
} scene;

struct client {
    pthread_t thread;
    uint32_t number;
    struct quoit_port ports[NUM_ENGINES];
    uint32_t num_pending;
    uint32_t num_ends;
    uint64_t body_len[WINDOW]; // of those under way
    bool is_taken[WINDOW];
};

static bool holds(bool is, const char *what) {
    if (!is) {
        const char *nothing = NULL;
        atomic_compare_exchange_strong(&scene.broken, &nothing, what);
    }
    return is;
}

#define HOLDS(is) holds((is), #is)

// --- configurations --------------------------------------------------------------------------------------------------

// user_data: {content, slot of the body's length}
static uint64_t user_data_of(uint32_t content, uint32_t slot) { return (uint64_t)content << 32 | slot; }

// Content 0 trusts another root. Those up to NUM_SHARED are everybody's, those beyond are made once. What makes a content
// another one than the next differs from one to the other: a pin more, another name, another order of ciphers.
static struct quoit_tls *make(uint32_t content) {
    static const char *const k_ciphers[] = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"};
    char name[64];
    uint8_t pin[32] = {0};
    struct quoit_tls *tls = NULL;
    const char *roots = content == 0 ? scene.other->pem : scene.root->pem;
    bool is_good = quoit_tls_new(&tls) == QUOIT_OK &&
                   quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, roots, strlen(roots)) == QUOIT_OK;
    switch (content % 3) {
    case 0: // a pin that nobody has beside one that the server has
        memcpy(pin, &content, sizeof content);
        is_good &= content == 0 || (quoit_tls_add_pin(tls, pin, sizeof pin) == QUOIT_OK &&
                                    quoit_tls_add_pin(tls, scene.leaf->spki_sha256, 32) == QUOIT_OK);
        break;
    case 1:
        snprintf(name, sizeof name, "n%u.example", content);
        is_good &= quoit_tls_set_sni(tls, QUOIT_TLS_SNI_NAME, name, strlen(name)) == QUOIT_OK;
        break;
    default:
        snprintf(name, sizeof name, "n%u.example", content);
        is_good &= quoit_tls_set_ciphers(tls, k_ciphers[content % 2], strlen(k_ciphers[content % 2])) == QUOIT_OK &&
                   quoit_tls_set_sni(tls, QUOIT_TLS_SNI_NAME, name, strlen(name)) == QUOIT_OK;
        break;
    }
    HOLDS(is_good && quoit_tls_freeze(tls, NULL) == QUOIT_OK);
    return tls;
}

// --- clients ---------------------------------------------------------------------------------------------------------

static uint32_t content_of(const struct client *client, uint32_t i) {
    if (i % REFUSED_EVERY == REFUSED_EVERY - 1) {
        return 0;
    }
    if (i % OWN_EVERY == OWN_EVERY - 1) {
        return NUM_SHARED + 1 + client->number * scene.num_each + i;
    }
    return 1 + (client->number + i / 3) % NUM_SHARED; // some threads the same at a time
}

// Everything of the request is let go before its handshake can be over.
static void submit(struct client *client, uint32_t i) {
    uint32_t content = content_of(client, i);
    struct quoit_tls *tls = make(content);
    struct quoit_request *request = NULL;
    uint32_t engine = i % NUM_ENGINES;
    uint32_t slot = 0;
    while (client->is_taken[slot]) {
        slot++;
    }
    client->is_taken[slot] = true;
    client->body_len[slot] = 0;
    bool is_good = quoit_request_new("GET", scene.url, &request) == QUOIT_OK &&
                   quoit_request_set_tls(request, tls) == QUOIT_OK;
    if (i % 2 == 0) {
        quoit_tls_release(tls); // before the submit, or behind it
    }
    if (content > NUM_SHARED || i % 10 == 0) {
        is_good &= quoit_request_add_header(request, "Connection", 10, "close", 5) == QUOIT_OK;
    }
    is_good &= quoit_submit(scene.engines[engine], client->ports[engine], request, user_data_of(content, slot), NULL) ==
               QUOIT_OK;
    if (i % 2 != 0) {
        quoit_tls_release(tls);
    }
    quoit_request_release(request);
    client->num_pending += HOLDS(is_good);
}

static void note_end(struct client *client, uint32_t engine, const struct quoit_event *event) {
    uint32_t content = (uint32_t)(event->user_data >> 32);
    const struct quoit_summary *summary = &event->u.summary;
    client->is_taken[(uint32_t)event->user_data] = false;
    client->num_pending--;
    client->num_ends++;
    if (content == 0) {
        HOLDS(summary->failure.code == QUOIT_ERR_TLS_UNTRUSTED_ROOT && summary->status == 0);
        atomic_fetch_add(&scene.num_refused, 1);
        return;
    }
    if (summary->failure.code != QUOIT_OK) {
        holds(false, quoit_error_name(summary->failure.code));
        return;
    }
    HOLDS(client->body_len[(uint32_t)event->user_data] == BODY);
    atomic_fetch_add(&scene.num_done, 1);
    atomic_fetch_add(&scene.num_reused, summary->reused);
    uint32_t seen = 0;
    HOLDS(summary->connection_id < CONNECTION_IDS_MAX);
    if (!atomic_compare_exchange_strong(&the_contents[engine][summary->connection_id % CONNECTION_IDS_MAX], &seen, content)) {
        HOLDS(seen == content); // never on a connection that was made by another
    }
}

static void drain(struct client *client, uint32_t engine, int32_t timeout_ms) {
    struct quoit_event events[16];
    int32_t num = quoit_port_wait(client->ports[engine], events, sizeof events[0], 16, timeout_ms);
    HOLDS(num >= 0);
    for (int32_t i = 0; i < num; i++) {
        if (events[i].type == QUOIT_EVENT_DATA) {
            client->body_len[(uint32_t)events[i].user_data] += events[i].u.data.len;
        } else if (events[i].type == QUOIT_EVENT_DONE || events[i].type == QUOIT_EVENT_FAILED) {
            note_end(client, engine, &events[i]);
        }
    }
    HOLDS(quoit_port_advance(client->ports[engine]) == QUOIT_OK);
}

static void *be_client(void *argument) {
    struct client *client = argument;
    int32_t left_ms = WAIT_MS;
    uint32_t i = 0;
    while ((client->num_ends < scene.num_each) && atomic_load(&scene.broken) == NULL) {
        if (i < scene.num_each && client->num_pending < WINDOW) {
            submit(client, i++);
            continue;
        }
        uint32_t before = client->num_ends;
        drain(client, 0, 1);
        drain(client, 1, 0);
        left_ms = client->num_ends > before ? WAIT_MS : left_ms - 1;
        HOLDS(left_ms > 0);
    }
    return NULL;
}

// --- the whole -------------------------------------------------------------------------------------------------------

static void start(void) {
    const char *text = getenv("QUOIT_STRESS_REQUESTS");
    uint64_t num = text == NULL ? REQUESTS : strtoull(text, NULL, 10);
    scene.num_each = (uint32_t)(num / NUM_THREADS);
    scene.root = q_certs_authority(NULL, "root", 41);
    scene.other = q_certs_authority(NULL, "other", 42);
    scene.leaf = q_certs_make(scene.root, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 43});
    scene.server = bench_server_start(&(struct bench_server_options){
        .num_threads = 2, .tls_cert = scene.leaf->pem, .tls_key = scene.leaf->key_pem});
    assert_non_null(scene.server);
    bench_server_url(scene.server, "/size/300", scene.url, sizeof scene.url);
    struct quoit_tls *first = make(1);
    for (int i = 0; i < NUM_ENGINES; i++) {
        struct quoit_engine_options options = {.struct_size = sizeof options, .tls = first, .idle_timeout_ms = 200};
        assert_int_equal(quoit_engine_create(&options, &scene.engines[i], NULL), QUOIT_OK);
    }
    quoit_tls_release(first);
}

static void stop(struct client *clients) {
    struct quoit_event event;
    for (int i = 0; i < NUM_ENGINES; i++) {
        assert_int_equal(quoit_engine_close(scene.engines[i], 0), QUOIT_OK);
        for (int client = 0; client < NUM_THREADS; client++) {
            do {
                assert_int_equal(quoit_port_wait(clients[client].ports[i], &event, sizeof event, 1, WAIT_MS), 1);
                assert_int_equal(quoit_port_advance(clients[client].ports[i]), QUOIT_OK);
            } while (event.type != QUOIT_EVENT_CLOSED);
        }
        assert_int_equal(quoit_engine_destroy(scene.engines[i]), QUOIT_OK);
    }
    bench_server_stop(scene.server);
    q_certs_free(scene.leaf);
    q_certs_free(scene.other);
    q_certs_free(scene.root);
}

static void sixteen_threads_make_use_and_drop_configurations(void **state) {
    static struct client clients[NUM_THREADS];
    (void)state;
    start();
    for (uint32_t i = 0; i < NUM_THREADS; i++) {
        clients[i].number = i;
        for (int engine = 0; engine < NUM_ENGINES; engine++) {
            assert_int_equal(quoit_port_create(scene.engines[engine], NULL, &clients[i].ports[engine]), QUOIT_OK);
        }
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]), 0);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        pthread_join(clients[i].thread, NULL);
    }
    if (atomic_load(&scene.broken) != NULL) {
        fail_msg("%s", atomic_load(&scene.broken));
    }
    assert_int_equal(scene.num_done + scene.num_refused, (uint64_t)scene.num_each * NUM_THREADS);
    assert_int_equal(scene.num_refused, (uint64_t)(scene.num_each / REFUSED_EVERY) * NUM_THREADS);
    assert_true(scene.num_reused > scene.num_done / 3);
    stop(clients);
    q_registry_validate(q_registry_process());
    assert_int_equal(q_registry_get_stats(q_registry_process()).entries, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_threads_make_use_and_drop_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
