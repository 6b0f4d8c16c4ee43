// What a host may build, what it is refused, and who frees it.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/clock.h"
#include "engine/exchange/spec.h"
#include "tests/support/failalloc.h"

#define URL "http://example.test/a?b=c"
#define URL_WITH_CREDENTIALS "http://user:password@example.test/a?b=c"

static struct q_spec *spec_of(const char *method) {
    struct q_spec *spec = NULL;
    assert_int_equal(q_spec_new(q_alloc_libc(), q_slice_of_string(method), Q_SLICE(URL), &spec).code, Q_ERR_OK);
    return spec;
}

static int32_t add(struct q_spec *spec, const char *name, const char *value) {
    return q_spec_add_header(spec, q_slice_of_string(name), q_slice_of_string(value)).code;
}

// The serialised head as a string; the caller's spec owns the bytes.
static const char *head_of(struct q_spec *spec) {
    static char text[4096];
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_OK);
    assert_true(spec->head_len < sizeof text);
    memcpy(text, spec->head, spec->head_len);
    text[spec->head_len] = 0;
    return text;
}

static void a_get_has_no_body_and_the_usual_fields(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    const char *head = head_of(spec);
    assert_ptr_equal(strstr(head, "GET /a?b=c HTTP/1.1\r\n"), head);
    assert_non_null(strstr(head, "\r\nHost: example.test\r\n"));
    assert_non_null(strstr(head, "\r\nUser-Agent: quoit/"));
    assert_null(strstr(head, "Content-Length"));
    assert_null(strstr(head, "Transfer-Encoding"));
    assert_string_equal(head + strlen(head) - 4, "\r\n\r\n");
    assert_false(spec->has_body);
    assert_false(spec->is_head);
    assert_false(spec->asks_close);
    assert_int_equal(spec->bounds.total_ns, 0);
    assert_int_equal(spec->bounds.connect_ns, 30 * Q_NS_PER_S);
    assert_int_equal(spec->credit, 256 * 1024);
    q_spec_release(spec);
}

static struct q_spec *spec_for(const char *url) {
    struct q_spec *spec = NULL;
    assert_int_equal(q_spec_new(q_alloc_libc(), Q_SLICE("GET"), q_slice_of_string(url), &spec).code, Q_ERR_OK);
    return spec;
}

static void credentials_in_the_url_become_authorization_and_nothing_else(void **state) {
    (void)state;
    struct q_spec *spec = spec_for("http://user:s3cret@example.test:81/a");
    const char *head = head_of(spec);
    assert_non_null(strstr(head, "\r\nAuthorization: Basic dXNlcjpzM2NyZXQ=\r\n"));
    assert_non_null(strstr(head, "\r\nHost: example.test:81\r\n"));
    assert_ptr_equal(strstr(head, "GET /a HTTP/1.1\r\n"), head);
    assert_null(strstr(head, "user"));
    assert_null(strstr(head, "s3cret"));
    struct q_spec *plain = spec_for("http://example.test:81/a");
    assert_true(q_origin_equal(&spec->origin, &plain->origin)); // one origin, one pool of connections
    assert_true(q_slice_equal(spec->url.href, plain->url.href));
    assert_null(strstr(head_of(plain), "Authorization"));
    q_spec_release(plain);
    q_spec_release(spec);
}

static void a_field_of_the_hosts_own_takes_the_place_of_the_urls_credentials(void **state) {
    (void)state;
    struct q_spec *spec = spec_for("http://u%3Av:p@example.test/"); // not even looked at
    assert_int_equal(add(spec, "AUTHORIZATION", "Bearer t"), Q_ERR_OK);
    const char *head = head_of(spec);
    assert_non_null(strstr(head, "\r\nAUTHORIZATION: Bearer t\r\n"));
    assert_null(strstr(head, "Basic"));
    q_spec_release(spec);
}

static void credentials_that_basic_cannot_carry_are_refused(void **state) {
    (void)state;
    struct q_spec *spec = spec_for("http://u:p%0D%0AX@example.test/");
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_INVALID_URL);
    assert_int_equal(add(spec, "Authorization", "Bearer t"), Q_ERR_OK); // the host can still do something about it
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_OK);
    q_spec_release(spec);
}

static void a_head_request_expects_no_body(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("HEAD");
    assert_null(strstr(head_of(spec), "Content-Length"));
    assert_true(spec->is_head);
    q_spec_release(spec);
    spec = spec_of("head"); // methods are case-sensitive (RFC 9110 section 9.1): this one is a stranger
    assert_false(spec->is_head);
    assert_false(spec->is_idempotent);
    q_spec_release(spec);
}

static void methods_that_usually_carry_a_body_say_that_there_is_none(void **state) {
    static const char *const k_methods[] = {"POST", "PUT", "PATCH"};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_methods); i++) {
        struct q_spec *spec = spec_of(k_methods[i]);
        assert_non_null(strstr(head_of(spec), "\r\nContent-Length: 0\r\n"));
        q_spec_release(spec);
    }
    struct q_spec *spec = spec_of("DELETE");
    assert_null(strstr(head_of(spec), "Content-Length"));
    q_spec_release(spec);
}

static void an_empty_body_is_a_body(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    assert_int_equal(q_spec_set_body(spec, NULL, 0, NULL, NULL).code, Q_ERR_OK);
    assert_non_null(strstr(head_of(spec), "\r\nContent-Length: 0\r\n"));
    q_spec_release(spec);
}

// RFC 9110 section 9.2.2: the safe methods, PUT and DELETE; nothing else.
static void idempotent_is_what_the_standard_says(void **state) {
    static const struct {
        const char *method;
        bool is;
    } k_rows[] = {{"GET", true},    {"HEAD", true},  {"OPTIONS", true}, {"TRACE", true}, {"PUT", true},
                  {"DELETE", true}, {"POST", false}, {"PATCH", false},  {"LOCK", false}, {"get", false}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_spec *spec = spec_of(k_rows[i].method);
        assert_int_equal(spec->is_idempotent, k_rows[i].is);
        q_spec_release(spec);
    }
}

static void what_cannot_be_sent_is_refused_with_its_own_error(void **state) {
    static char long_method[Q_SPEC_METHOD_MAX + 2];
    memset(long_method, 'M', sizeof long_method - 1);
    const struct {
        const char *method;
        const char *url;
        int32_t code;
    } k_rows[] = {
        {"", URL, Q_ERR_INVALID_METHOD},
        {"GE T", URL, Q_ERR_INVALID_METHOD},
        {"GET\r\nX: y", URL, Q_ERR_INVALID_METHOD},
        {"CONNECT", URL, Q_ERR_INVALID_METHOD},
        {long_method, URL, Q_ERR_INVALID_METHOD},
        {long_method + 1, URL, Q_ERR_OK},
        {"GET", "", Q_ERR_INVALID_URL},
        {"GET", "/relative", Q_ERR_INVALID_URL},
        {"GET", "http://", Q_ERR_INVALID_URL},
        {"GET", "http://h:99999/", Q_ERR_INVALID_URL},
        {"GET", "http://h/\r\nX: y", Q_ERR_INVALID_URL},
        {"GET", "ftp://h/", Q_ERR_UNSUPPORTED_SCHEME},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_failalloc *failalloc = q_failalloc_new();
        struct q_spec *spec = NULL;
        struct q_error error = q_spec_new(q_failalloc_alloc(failalloc), q_slice_of_string(k_rows[i].method),
                                          q_slice_of_string(k_rows[i].url), &spec);
        if (error.code != k_rows[i].code) {
            fail_msg("%s %s: %s", k_rows[i].method, k_rows[i].url, q_error_name(error.code));
        }
        assert_int_equal(spec == NULL, q_error_is(error));
        assert_true(!q_error_is(error) || error.phase == Q_PHASE_SUBMIT);
        if (spec != NULL) {
            q_spec_release(spec);
        }
        assert_int_equal(q_failalloc_live(failalloc), 0);
        q_failalloc_free(failalloc);
    }
}

static void headers_that_could_split_the_message_are_refused(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    assert_int_equal(add(spec, "", "v"), Q_ERR_INVALID_HEADER_NAME);
    assert_int_equal(add(spec, "a b", "v"), Q_ERR_INVALID_HEADER_NAME);
    assert_int_equal(add(spec, "a:", "v"), Q_ERR_INVALID_HEADER_NAME);
    assert_int_equal(add(spec, "X", "a\r\nY: b"), Q_ERR_INVALID_HEADER_VALUE);
    assert_int_equal(add(spec, "X", "a\nb"), Q_ERR_INVALID_HEADER_VALUE);
    struct q_error error = q_spec_add_header(spec, Q_SLICE("X"), q_slice_make("a\0b", 3));
    assert_int_equal(error.code, Q_ERR_INVALID_HEADER_VALUE);
    assert_int_equal(add(spec, "X-Fine", ""), Q_ERR_OK);
    assert_null(strstr(head_of(spec), "Y: b"));
    q_spec_release(spec);
}

// Framing and hop-by-hop fields are the engine's. They are refused at the latest when the request is frozen.
static void headers_of_the_engine_may_not_be_given(void **state) {
    static const char *const k_names[] = {"Content-Length", "transfer-encoding", "Keep-Alive",      "TE",
                                          "Trailer",        "Upgrade",           "Proxy-Connection"};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_names); i++) {
        struct q_spec *spec = spec_of("POST");
        int32_t code = add(spec, k_names[i], "1");
        code = code == Q_ERR_OK ? q_spec_freeze(spec).code : code;
        if (code != Q_ERR_FORBIDDEN_HEADER) {
            fail_msg("%s: %s", k_names[i], q_error_name(code));
        }
        assert_false(spec->is_frozen);
        q_spec_release(spec);
    }
}

// What Connection names belongs to one connection, which is the engine's: so it names nothing but its life.
static void connection_may_only_say_whether_it_lives(void **state) {
    static const struct {
        const char *value;
        int32_t code;
    } k_rows[] = {
        {"close", Q_ERR_OK},
        {"Keep-Alive", Q_ERR_OK},
        {"keep-alive, CLOSE", Q_ERR_OK},
        {"X-Mine", Q_ERR_FORBIDDEN_HEADER},
        {"close, Authorization", Q_ERR_FORBIDDEN_HEADER}, // a proxy would take it away
        {"TE", Q_ERR_FORBIDDEN_HEADER},
        {"Upgrade", Q_ERR_FORBIDDEN_HEADER},
        {"close;x", Q_ERR_FORBIDDEN_HEADER},
        {"", Q_ERR_FORBIDDEN_HEADER},
        {"close,", Q_ERR_FORBIDDEN_HEADER},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_spec *spec = spec_of("GET");
        assert_int_equal(add(spec, "cOnnection", k_rows[i].value), k_rows[i].code);
        q_spec_release(spec);
    }
}

static void a_host_is_one_host(void **state) {
    static const char *const k_good[] = {"", "h", "h.example:81", "[::1]:81", "a_b.C~d", "1.2.3.4", "h%20h", "a,b", "h:"};
    static const char *const k_bad[] = {"a b",  "a\tb", "u@h", "h/x", "h?q", "h#f",   "h\\x", "http://h/",
                                        "<h>", "\"h\"", "a|b", "a^b", "{h}", "m\xc3\xbc", "a\r\nX: y"};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_good); i++) {
        struct q_spec *spec = spec_of("GET");
        assert_int_equal(add(spec, "Host", k_good[i]), Q_ERR_OK);
        char line[64];
        snprintf(line, sizeof line, "GET /a?b=c HTTP/1.1\r\nHost: %s\r\n", k_good[i]);
        assert_ptr_equal(strstr(head_of(spec), line), head_of(spec));
        q_spec_release(spec);
    }
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        struct q_spec *spec = spec_of("GET");
        if (add(spec, "HOST", k_bad[i]) != Q_ERR_INVALID_HEADER_VALUE) {
            fail_msg("'%s' was taken for a host", k_bad[i]);
        }
        assert_int_equal(add(spec, "host", " h\t"), Q_ERR_OK); // a refused one does not count, and blanks are no part
        assert_int_equal(add(spec, "Host", "h"), Q_ERR_FORBIDDEN_HEADER);
        q_spec_release(spec);
    }
    struct q_spec *spec = spec_of("GET");
    assert_int_equal(q_spec_add_header(spec, Q_SLICE("Host"), q_slice_make("h\0x", 3)).code, Q_ERR_INVALID_HEADER_VALUE);
    q_spec_release(spec);
}

static void a_trace_has_no_body(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("TRACE");
    assert_int_equal(q_spec_set_body(spec, "x", 1, NULL, NULL).code, Q_ERR_OK);
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_spec_set_body(spec, "", 0, NULL, NULL).code, Q_ERR_OK);
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_OK);
    q_spec_release(spec);
}

// It is between the host and the server: passed on, and the body does not wait for a 100 (Continue).
static void an_expectation_is_sent_as_it_is_given(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("POST");
    assert_int_equal(add(spec, "Expect", "100-continue"), Q_ERR_OK);
    assert_non_null(strstr(head_of(spec), "\r\nExpect: 100-continue\r\n"));
    q_spec_release(spec);
}

static void an_upgrade_is_one_protocol_and_the_last_one_set(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    assert_int_equal(q_spec_set_upgrade(spec, Q_SLICE("a, b")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(spec->upgrade.len, 0);
    assert_int_equal(q_spec_set_upgrade(spec, Q_SLICE("first")).code, Q_ERR_OK);
    assert_int_equal(q_spec_set_upgrade(spec, Q_SLICE("raw/1")).code, Q_ERR_OK);
    assert_int_equal(q_spec_set_feed_max(spec, 12345).code, Q_ERR_OK);
    assert_int_equal(q_spec_set_feed_max(spec, (uint64_t)Q_FEEDWORD_LIMIT_MAX + 1).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_spec_set_feed_max(spec, 127).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(spec->feed_max, 12345);
    assert_int_equal(q_spec_set_feed_max(spec, 0).code, Q_ERR_OK);
    assert_int_equal(spec->feed_max, Q_SPEC_FEED_DEFAULT);
    const char *head = head_of(spec);
    assert_non_null(strstr(head, "\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n"));
    assert_null(strstr(head, "first"));
    assert_int_equal(q_spec_set_upgrade(spec, Q_SLICE("late")).code, Q_ERR_FROZEN);
    assert_int_equal(q_spec_set_feed_max(spec, 1).code, Q_ERR_FROZEN);
    q_spec_release(spec);
}

// It can still be corrected.
static void an_upgrade_together_with_close_is_refused_by_freezing(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    assert_int_equal(q_spec_set_upgrade(spec, Q_SLICE("raw/1")).code, Q_ERR_OK);
    assert_int_equal(add(spec, "Connection", "close"), Q_ERR_OK);
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_INVALID_ARGUMENT);
    assert_false(spec->is_frozen);
    q_spec_release(spec);
}

static void given_fields_take_the_place_of_defaults_and_keep_order_and_case(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    assert_int_equal(add(spec, "uSeR-aGeNt", "mine"), Q_ERR_OK);
    assert_int_equal(add(spec, "HOST", "other.test"), Q_ERR_OK);
    assert_int_equal(add(spec, "X-A", "1"), Q_ERR_OK);
    assert_int_equal(add(spec, "x-a", "2"), Q_ERR_OK);
    const char *head = head_of(spec);
    assert_null(strstr(head, "quoit/"));
    assert_null(strstr(head, "example.test"));
    assert_non_null(strstr(head, "uSeR-aGeNt: mine\r\n"));
    assert_non_null(strstr(head, "other.test\r\n"));
    assert_non_null(strstr(head, "X-A: 1\r\nx-a: 2\r\n"));
    q_spec_release(spec);
}

static void a_request_that_asks_for_close_knows_it(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    assert_int_equal(add(spec, "Connection", "close"), Q_ERR_OK);
    assert_non_null(strstr(head_of(spec), "onnection: close\r\n"));
    assert_true(spec->asks_close);
    q_spec_release(spec);
}

static int32_t set_timeouts(struct q_spec *spec, uint64_t total_ms, uint64_t connect_ms) {
    uint64_t most = UINT64_MAX / Q_NS_PER_MS;
    struct q_bounds bounds = {.total_ns = (total_ms > most ? most : total_ms) * Q_NS_PER_MS,
                              .connect_ns = (connect_ms > most ? most : connect_ms) * Q_NS_PER_MS};
    return q_spec_set_bounds(spec, &bounds).code;
}

static void a_frozen_request_cannot_be_changed(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("POST");
    assert_int_equal(q_spec_set_body(spec, "abc", 3, NULL, NULL).code, Q_ERR_OK);
    char before[4096];
    strcpy(before, head_of(spec));
    assert_int_equal(add(spec, "X", "y"), Q_ERR_FROZEN);
    assert_int_equal(q_spec_set_body(spec, "abcd", 4, NULL, NULL).code, Q_ERR_FROZEN);
    assert_int_equal(set_timeouts(spec, 1, 1), Q_ERR_FROZEN);
    assert_int_equal(q_spec_set_credit(spec, 1, false).code, Q_ERR_FROZEN);
    assert_int_equal(q_spec_ask_redirects(spec, true).code, Q_ERR_FROZEN);
    assert_int_equal(q_spec_set_local_address(spec, Q_SLICE("127.0.0.1")).code, Q_ERR_FROZEN);
    const char *head = spec->head;
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_OK);
    assert_ptr_equal(spec->head, head);
    assert_string_equal(head_of(spec), before);
    assert_int_equal(spec->body_len, 3);
    q_spec_release(spec);
}

static void a_request_that_freezing_refused_stays_open(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    if (add(spec, "Content-Length", "5") == Q_ERR_OK) {
        assert_int_equal(q_spec_freeze(spec).code, Q_ERR_FORBIDDEN_HEADER);
    }
    assert_false(spec->is_frozen);
    assert_int_equal(add(spec, "X", "y"), Q_ERR_OK);
    q_spec_release(spec);
}

static void timeouts_and_credit_have_bounds(void **state) {
    (void)state;
    struct q_spec *spec = spec_of("GET");
    assert_int_equal(set_timeouts(spec, Q_SPEC_TIMEOUT_MS_MAX + 1, 0), Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(set_timeouts(spec, 0, UINT64_MAX), Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(set_timeouts(spec, Q_SPEC_TIMEOUT_MS_MAX, 7), Q_ERR_OK);
    assert_int_equal(spec->bounds.total_ns, Q_SPEC_TIMEOUT_MS_MAX * Q_NS_PER_MS);
    assert_int_equal(spec->bounds.connect_ns, 7 * Q_NS_PER_MS);
    assert_int_equal(set_timeouts(spec, 0, 0), Q_ERR_OK);
    assert_int_equal(spec->bounds.total_ns, 0);
    assert_int_equal(spec->bounds.connect_ns, Q_SPEC_CONNECT_NS_DEFAULT);
    assert_int_equal(q_spec_set_credit(spec, UINT64_MAX, false).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_spec_set_credit(spec, 0, false).code, Q_ERR_OK);
    assert_int_equal(spec->credit, Q_SPEC_CREDIT_DEFAULT);
    assert_int_equal(q_spec_set_credit(spec, 0, true).code, Q_ERR_OK); // nothing before the first grant
    assert_int_equal(spec->credit, 0);
    assert_true(spec->is_credit_manual);
    q_spec_release(spec);
}

struct released {
    _Atomic(int) count;
    const void *data;
    size_t len;
};

static void release_body(void *context, const void *data, size_t len) {
    struct released *released = context;
    atomic_fetch_add(&released->count, 1);
    released->data = data;
    released->len = len;
}

static void a_body_is_released_once_by_the_last_holder(void **state) {
    (void)state;
    static const char k_body[] = "0123456789";
    struct released released = {0};
    struct q_spec *spec = spec_of("POST");
    assert_int_equal(q_spec_set_body(spec, k_body, 10, release_body, &released).code, Q_ERR_OK);
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_OK);
    assert_ptr_equal(spec->body, k_body); // not copied
    for (int i = 0; i < 5; i++) {
        assert_ptr_equal(q_spec_acquire(spec), spec);
    }
    for (int i = 0; i < 5; i++) {
        q_spec_release(spec);
        assert_int_equal(released.count, 0);
    }
    q_spec_release(spec);
    assert_int_equal(released.count, 1);
    assert_ptr_equal(released.data, k_body);
    assert_int_equal(released.len, 10);
}

static void a_body_that_is_replaced_is_released_and_one_that_is_refused_is_not(void **state) {
    (void)state;
    struct released first = {0};
    struct released second = {0};
    struct q_spec *spec = spec_of("POST");
    assert_int_equal(q_spec_set_body(spec, "a", 1, release_body, &first).code, Q_ERR_OK);
    assert_int_equal(q_spec_set_body(spec, NULL, 1, release_body, &second).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(first.count + second.count, 0);
    assert_int_equal(q_spec_set_body(spec, "b", 1, release_body, &second).code, Q_ERR_OK);
    assert_int_equal(first.count, 1);
    assert_int_equal(second.count, 0);
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_OK);
    struct released third = {0};
    assert_int_equal(q_spec_set_body(spec, "c", 1, release_body, &third).code, Q_ERR_FROZEN);
    q_spec_release(spec);
    assert_int_equal(first.count, 1);
    assert_int_equal(second.count, 1);
    assert_int_equal(third.count, 0);
}

static void a_copied_body_does_not_follow_its_original(void **state) {
    (void)state;
    char body[] = "before";
    struct q_spec *spec = spec_of("POST");
    assert_int_equal(q_spec_set_body(spec, body, 6, NULL, NULL).code, Q_ERR_OK);
    memset(body, 'x', 6);
    assert_memory_equal(spec->body, "before", 6);
    q_spec_release(spec);
}

enum { HOLDERS = 8, ROUNDS = 2000 };

static void *hold_and_let_go(void *argument) {
    struct q_spec *spec = argument;
    for (int i = 0; i < ROUNDS; i++) {
        q_spec_release(q_spec_acquire(spec));
    }
    q_spec_release(spec); // the hold that the thread was given
    return NULL;
}

static void holders_on_many_threads_release_once(void **state) {
    (void)state;
    struct released released = {0};
    struct q_spec *spec = spec_of("POST");
    assert_int_equal(q_spec_set_body(spec, "abc", 3, release_body, &released).code, Q_ERR_OK);
    assert_int_equal(q_spec_freeze(spec).code, Q_ERR_OK);
    pthread_t threads[HOLDERS];
    for (int i = 0; i < HOLDERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, q_spec_acquire(spec)), 0);
    }
    q_spec_release(spec);
    for (int i = 0; i < HOLDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(released.count, 1);
}

// One whole building; gives the first error.
static struct q_error build_all(const struct q_alloc *alloc, struct released *released, struct q_spec **out) {
    struct q_error error = q_spec_new(alloc, Q_SLICE("POST"), Q_SLICE(URL_WITH_CREDENTIALS), out);
    if (!q_error_is(error)) {
        error = q_spec_add_header(*out, Q_SLICE("X-Name"), Q_SLICE("value"));
    }
    if (!q_error_is(error)) {
        error = q_spec_set_body(*out, "abc", 3, NULL, NULL);
    }
    if (!q_error_is(error)) {
        error = q_spec_set_body(*out, "host's", 6, release_body, released);
    }
    return q_error_is(error) ? error : q_spec_freeze(*out);
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed; nth++) {
        struct released released = {0};
        struct q_spec *spec = NULL;
        q_failalloc_fail_at(failalloc, nth);
        struct q_error error = build_all(q_failalloc_alloc(failalloc), &released, &spec);
        has_failed = q_failalloc_failed(failalloc);
        assert_int_equal(error.code, has_failed ? Q_ERR_NO_MEMORY : Q_ERR_OK);
        if (spec != NULL) {
            bool had_body = spec->body_release != NULL;
            q_spec_release(spec);
            assert_int_equal(released.count, had_body);
        }
        char text[512];
        if (!q_failalloc_check(failalloc, text, sizeof text)) {
            fail_msg("allocation %llu: %s", (unsigned long long)nth, text);
        }
        assert_true(nth < 100);
    }
    q_failalloc_free(failalloc);
}

// A request with every kind of secret; false: no memory.
static bool build_with_secrets(const struct q_alloc *alloc) {
    static char filler[400];
    memset(filler, 'x', sizeof filler);
    struct q_spec *spec = NULL;
    if (q_error_is(q_spec_new(alloc, Q_SLICE("GET"), Q_SLICE("http://user:the-password@example.test/a"), &spec))) {
        return false;
    }
    struct q_error error = q_spec_add_secret_header(spec, Q_SLICE("X-Api-Key"), Q_SLICE("the-key"));
    for (int i = 0; i < 8 && !q_error_is(error); i++) { // so that the memory of the fields grows
        error = q_spec_add_header(spec, Q_SLICE("X"), q_slice_make(filler, sizeof filler));
    }
    if (!q_error_is(error)) {
        error = q_spec_add_header(spec, Q_SLICE("cookie"), Q_SLICE("the-cookie"));
    }
    if (!q_error_is(error)) {
        error = q_spec_freeze(spec);
    }
    if (!q_error_is(error)) { // the test would see them, were they left
        assert_non_null(memmem(spec->head, spec->head_len, "X-Api-Key: the-key\r\n", 20));
        assert_non_null(memmem(spec->head, spec->head_len, "cookie: the-cookie\r\n", 20));
        assert_non_null(memmem(spec->head, spec->head_len, "dXNlcjp0aGUtcGFzc3dvcmQ=", 24));
    }
    q_spec_release(spec);
    return !q_error_is(error);
}

// At the end, and wherever building stops.
static void no_secret_is_left_in_memory_that_is_given_back(void **state) {
    (void)state;
    bool is_built = false;
    for (uint64_t nth = 1; !is_built; nth++) {
        struct q_failalloc *failalloc = q_failalloc_new();
        q_failalloc_watch(failalloc, "the-key");
        q_failalloc_watch(failalloc, "the-cookie");
        q_failalloc_watch(failalloc, "the-password");
        q_failalloc_watch(failalloc, "dXNlcjp0aGUtcGFzc3dvcmQ=");
        q_failalloc_fail_at(failalloc, nth);
        is_built = build_with_secrets(q_failalloc_alloc(failalloc));
        char text[256] = "";
        if (q_failalloc_found(failalloc) > 0 || !q_failalloc_check(failalloc, text, sizeof text)) {
            fail_msg("allocation %llu: %llu blocks tell; %s", (unsigned long long)nth,
                     (unsigned long long)q_failalloc_found(failalloc), text);
        }
        q_failalloc_free(failalloc);
        assert_true(nth < 100);
    }
}

// Also through the long way of a URL's text, which needs memory of its own in between.
static void credentials_of_long_urls_are_wiped_too(void **state) {
    (void)state;
    static char url[8000];
    memset(url, 'p', sizeof url - 1);
    memcpy(url, "http://user:the-password@h/", 27);
    struct q_failalloc *failalloc = q_failalloc_new();
    q_failalloc_watch(failalloc, "the-password");
    struct q_spec *spec = NULL;
    assert_int_equal(
        q_spec_new(q_failalloc_alloc(failalloc), Q_SLICE("GET"), q_slice_of_string(url), &spec).code, Q_ERR_OK);
    assert_int_equal(q_failalloc_found(failalloc), 0);
    q_spec_release(spec);
    assert_int_equal(q_failalloc_found(failalloc), 0);
    q_failalloc_free(failalloc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_has_no_body_and_the_usual_fields),
        cmocka_unit_test(credentials_in_the_url_become_authorization_and_nothing_else),
        cmocka_unit_test(a_field_of_the_hosts_own_takes_the_place_of_the_urls_credentials),
        cmocka_unit_test(credentials_that_basic_cannot_carry_are_refused),
        cmocka_unit_test(a_head_request_expects_no_body),
        cmocka_unit_test(methods_that_usually_carry_a_body_say_that_there_is_none),
        cmocka_unit_test(an_empty_body_is_a_body),
        cmocka_unit_test(idempotent_is_what_the_standard_says),
        cmocka_unit_test(what_cannot_be_sent_is_refused_with_its_own_error),
        cmocka_unit_test(headers_that_could_split_the_message_are_refused),
        cmocka_unit_test(headers_of_the_engine_may_not_be_given),
        cmocka_unit_test(connection_may_only_say_whether_it_lives),
        cmocka_unit_test(a_host_is_one_host),
        cmocka_unit_test(a_trace_has_no_body),
        cmocka_unit_test(an_expectation_is_sent_as_it_is_given),
        cmocka_unit_test(an_upgrade_is_one_protocol_and_the_last_one_set),
        cmocka_unit_test(an_upgrade_together_with_close_is_refused_by_freezing),
        cmocka_unit_test(given_fields_take_the_place_of_defaults_and_keep_order_and_case),
        cmocka_unit_test(a_request_that_asks_for_close_knows_it),
        cmocka_unit_test(a_frozen_request_cannot_be_changed),
        cmocka_unit_test(a_request_that_freezing_refused_stays_open),
        cmocka_unit_test(timeouts_and_credit_have_bounds),
        cmocka_unit_test(a_body_is_released_once_by_the_last_holder),
        cmocka_unit_test(a_body_that_is_replaced_is_released_and_one_that_is_refused_is_not),
        cmocka_unit_test(a_copied_body_does_not_follow_its_original),
        cmocka_unit_test(holders_on_many_threads_release_once),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(no_secret_is_left_in_memory_that_is_given_back),
        cmocka_unit_test(credentials_of_long_urls_are_wiped_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
