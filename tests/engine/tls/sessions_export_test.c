// Sessions on their way from one process to another: what arrives, who may use it, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "engine/tls/crypto.h"
#include "engine/tls/sessions_export.h"
#include "tests/engine/tls/contexts_rig.h"
#include "tests/engine/tls/tls_rig.h"

#define NOW INT64_C(1800000000)

enum { SIZE = 1 << 16 };

static const uint8_t k_digest[Q_CRYPTO_DIGEST_LEN] = {1, 2, 3};
static const struct q_sessions_seal k_seal = {.key = {"sixteen bytes ..", 16}, .version = {"1", 1}};

struct bench {
    struct scene *scene;
    struct q_failalloc *memory;
    struct q_sessions from;
    struct q_sessions to;
    uint8_t *bytes;
    size_t len;
};

static void open_bench(struct bench *b) {
    static const struct q_sessions_options k_options = {
        .max = 8, .peer_max = 4, .bytes_max = 1 << 16, .peer_bytes_max = 1 << 15};
    *b = (struct bench){.scene = scene_open(), .memory = q_failalloc_new(), .bytes = calloc(1, SIZE)};
    q_sessions_init(&b->from, q_failalloc_alloc(b->memory), &b->scene->loop, &k_options);
    q_sessions_init(&b->to, q_failalloc_alloc(b->memory), &b->scene->loop, &k_options);
}

static void close_bench(struct bench *b) {
    char text[256];
    q_sessions_deinit(&b->from);
    q_sessions_deinit(&b->to);
    if (!q_failalloc_check(b->memory, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(b->memory);
    scene_close(b->scene);
    free(b->bytes);
}

// A session that a server has given. One reference.
static SSL_SESSION *session_of(uint16_t version) {
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = version});
    tls_rig_open(rig);
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_say(rig, "x", 1, 0);
    tls_rig_run(rig);
    SSL_SESSION *session = rig->session;
    rig->session = NULL;
    assert_non_null(session);
    tls_rig_close(rig);
    tls_rig_free(rig);
    return session;
}

static struct q_sessions_peer peer_of(const char *audience) {
    return (struct q_sessions_peer){.digest = k_digest, .audience = q_slice_of_string(audience)};
}

static void keep(struct q_sessions *store, const char *audience, uint16_t version) {
    struct q_sessions_peer peer = peer_of(audience);
    q_sessions_keep(store, &peer, session_of(version), 0);
    q_sessions_validate(store);
}

static void export_all(struct bench *b) {
    assert_int_equal(q_sessions_export(&b->from, &k_seal, NOW, b->bytes, SIZE, &b->len).code, 0);
    q_sessions_validate(&b->from);
}

static int32_t import(struct bench *b, const struct q_sessions_seal *seal, int64_t now_s, size_t len, uint32_t *out_count) {
    int32_t code = q_sessions_import(&b->to, seal, now_s, q_slice_make(b->bytes, len), out_count).code;
    q_sessions_validate(&b->to);
    return code;
}

static void imports(struct bench *b, int64_t now_s, uint32_t expected) {
    uint32_t count;
    assert_int_equal(import(b, &k_seal, now_s, b->len, &count), 0);
    assert_int_equal(count, expected);
    assert_int_equal(b->to.stats.sessions, expected);
}

static bool has(struct q_sessions *store, const char *audience) {
    struct q_sessions_peer peer = peer_of(audience);
    SSL_SESSION *session = q_sessions_take(store, &peer);
    SSL_SESSION_free(session);
    return session != NULL;
}

static void what_is_exported_arrives_with_its_certificates_and_its_age(void **state) {
    static const uint16_t k_versions[] = {0x0303, 0x0304};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bench b;
        open_bench(&b);
        keep(&b.from, "a", k_versions[i]);
        struct q_sessions_peer peer = peer_of("a");
        scene_let_pass(b.scene, 7 * Q_NS_PER_S);
        export_all(&b);
        imports(&b, NOW + 10, 1);
        scene_let_pass(b.scene, 5 * Q_NS_PER_S);
        SSL_SESSION *session = q_sessions_take(&b.to, &peer);
        assert_non_null(session);
        assert_int_equal(SSL_SESSION_get_time(session), Q_SESSIONS_CLOCK_S - 7 - 10 - 5);
        assert_int_equal(SSL_SESSION_get_protocol_version(session), k_versions[i]);
        assert_int_equal(SSL_SESSION_should_be_single_use(session), k_versions[i] == 0x0304);
        assert_non_null(SSL_SESSION_get0_peer_certificates(session));
        SSL_SESSION_free(session);
        assert_false(has(&b.to, "b"));
        close_bench(&b);
    }
}

// Two processes must not show one ticket.
static void a_ticket_of_tls_1_3_is_not_here_any_more_when_it_is_exported(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    keep(&b.from, "a", 0x0304);
    keep(&b.from, "b", 0x0303);
    size_t len;
    assert_int_equal(q_sessions_export(&b.from, &k_seal, NOW, NULL, 0, &len).code, 0);
    assert_int_equal(b.from.stats.sessions, 2); // nobody has it yet
    export_all(&b);
    assert_int_equal(b.len, len);
    assert_false(has(&b.from, "a"));
    assert_true(has(&b.from, "b"));
    close_bench(&b);
}

static void what_has_no_room_stays_and_is_what_was_asked_for_longest_ago(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    keep(&b.from, "a", 0x0304);
    keep(&b.from, "b", 0x0304);
    keep(&b.from, "c", 0x0304);
    size_t all;
    assert_int_equal(q_sessions_export(&b.from, &k_seal, NOW, NULL, 0, &all).code, 0);
    assert_int_equal(q_sessions_export(&b.from, &k_seal, NOW, b.bytes, all - 1, &b.len).code, 0);
    assert_true(b.len <= all - 1);
    imports(&b, NOW, 2);
    assert_true(has(&b.from, "a"));
    assert_false(has(&b.from, "b"));
    assert_true(has(&b.to, "b"));
    assert_true(has(&b.to, "c"));
    assert_int_equal(q_sessions_export(&b.from, &k_seal, NOW, b.bytes, Q_SESSIONS_EXPORT_MIN, &b.len).code, 0);
    imports(&b, NOW, 0); // none is a good export, too
    close_bench(&b);
}

static void what_is_good_in_this_process_alone_stays(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    struct q_sessions_peer peer = peer_of("a");
    peer.is_local = true;
    q_sessions_keep(&b.from, &peer, session_of(0x0304), 0);
    keep(&b.from, "b", 0x0304);
    export_all(&b);
    imports(&b, NOW, 1);
    assert_true(has(&b.from, "a"));
    assert_false(has(&b.to, "a"));
    close_bench(&b);
}

static void what_is_over_meanwhile_is_left_out(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    keep(&b.from, "a", 0x0303); // two hours
    keep(&b.from, "b", 0x0304); // of this server's: as long as the library allows
    export_all(&b);
    imports(&b, NOW + 2 * 3600, 1);
    assert_true(has(&b.to, "b"));
    imports(&b, NOW + Q_SESSIONS_LIFE_S, 0);
    imports(&b, INT64_MAX, 0);
    close_bench(&b);
}

static void refuses(struct bench *b, const struct q_sessions_seal *seal, int64_t now_s, size_t len) {
    uint32_t count = 5;
    assert_int_equal(import(b, seal, now_s, len, &count), Q_ERR_TLS_BAD_SESSIONS);
    assert_int_equal(count, 0);
    assert_int_equal(b->to.stats.sessions, 0);
}

static void what_was_changed_or_cut_is_refused(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    keep(&b.from, "a", 0x0304);
    export_all(&b);
    for (size_t len = 0; len < b.len; len++) {
        refuses(&b, &k_seal, NOW, len);
    }
    refuses(&b, &k_seal, NOW, b.len + 1);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refuses(&b, &k_seal, NOW, b.len);
        b.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    imports(&b, NOW, 1);
    close_bench(&b);
}

static void another_key_another_version_and_a_day_to_come_are_refused(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    keep(&b.from, "a", 0x0304);
    export_all(&b);
    struct q_sessions_seal other = k_seal;
    other.key = q_slice_make("Sixteen bytes ..", 16);
    refuses(&b, &other, NOW, b.len);
    other.key = q_slice_make("sixteen bytes ..\0", 17);
    refuses(&b, &other, NOW, b.len);
    other = k_seal;
    other.version = q_slice_make("2", 1);
    refuses(&b, &other, NOW, b.len);
    refuses(&b, &k_seal, NOW - 1, b.len);
    imports(&b, NOW, 1);
    close_bench(&b);
}

static void no_two_exports_are_alike_and_none_shows_what_is_in_it(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    keep(&b.from, "an audience", 0x0303);
    export_all(&b);
    uint8_t *first = malloc(b.len);
    memcpy(first, b.bytes, b.len);
    assert_null(memmem(b.bytes, b.len, "an audience", 11));
    assert_null(memmem(b.bytes, b.len, k_digest, sizeof k_digest));
    export_all(&b);
    size_t num_equal = 0;
    for (size_t i = 8; i < b.len; i++) {
        num_equal += b.bytes[i] == first[i];
    }
    assert_true(num_equal < b.len / 16);
    free(first);
    close_bench(&b);
}

static void without_memory_nothing_is_exported_or_imported_by_half(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    keep(&b.from, "a", 0x0304);
    export_all(&b);
    uint32_t count;
    q_failalloc_fail_at(b.memory, 1);
    assert_int_equal(import(&b, &k_seal, NOW, b.len, &count), Q_ERR_NO_MEMORY);
    assert_true(q_failalloc_failed(b.memory));
    for (uint64_t nth = 2; nth <= 3; nth++) { // the session's own: it is lost, as any that finds no memory
        q_failalloc_fail_at(b.memory, nth);
        assert_int_equal(import(&b, &k_seal, NOW, b.len, &count), 0);
        assert_int_equal(count, 0);
    }
    q_failalloc_fail_at(b.memory, 0);
    imports(&b, NOW, 1);
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_exported_arrives_with_its_certificates_and_its_age),
        cmocka_unit_test(a_ticket_of_tls_1_3_is_not_here_any_more_when_it_is_exported),
        cmocka_unit_test(what_has_no_room_stays_and_is_what_was_asked_for_longest_ago),
        cmocka_unit_test(what_is_good_in_this_process_alone_stays),
        cmocka_unit_test(what_is_over_meanwhile_is_left_out),
        cmocka_unit_test(what_was_changed_or_cut_is_refused),
        cmocka_unit_test(another_key_another_version_and_a_day_to_come_are_refused),
        cmocka_unit_test(no_two_exports_are_alike_and_none_shows_what_is_in_it),
        cmocka_unit_test(without_memory_nothing_is_exported_or_imported_by_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
