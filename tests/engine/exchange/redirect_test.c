// What the next hop of a request is: method, body, fields and target, for each status and relation of origins.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "engine/exchange/redirect.h"
#include "tests/support/failalloc.h"

static struct q_slice text(const char *string) { return q_slice_of_string(string); }

static struct q_spec *spec_of(const struct q_alloc *alloc, const char *method, const char *url, const char *body) {
    struct q_spec *spec = NULL;
    assert_false(q_error_is(q_spec_new(alloc, text(method), text(url), &spec)));
    static const char *const k_fields[][2] = {{"Authorization", "secret"}, {"Cookie", "a=b"}, {"X-Mine", "1"},
                                              {"Content-Type", "text/plain"}, {"Host", "given"}};
    for (size_t i = 0; i < Q_COUNT_OF(k_fields); i++) {
        assert_false(q_error_is(q_spec_add_header(spec, text(k_fields[i][0]), text(k_fields[i][1]))));
    }
    if (body != NULL) {
        assert_false(q_error_is(q_spec_set_body(spec, body, strlen(body), NULL, NULL)));
    }
    assert_false(q_error_is(q_spec_set_redirects(spec, 5, false)));
    assert_false(q_error_is(q_spec_freeze(spec)));
    return spec;
}

static bool head_has(const struct q_spec *spec, const char *needle) {
    return memmem(spec->head, spec->head_len, needle, strlen(needle)) != NULL;
}

static void method_and_body_follow_the_status(void **state) {
    static const struct {
        const char *method;
        uint16_t status;
        const char *next;
        bool keeps_body;
    } k_rows[] = {
        {"POST", 301, "GET", false}, {"POST", 302, "GET", false},  {"POST", 303, "GET", false},
        {"POST", 307, "POST", true}, {"POST", 308, "POST", true},  {"PUT", 301, "PUT", true},
        {"PUT", 303, "GET", false},  {"DELETE", 302, "DELETE", true}, {"GET", 303, "GET", false},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_spec *spec = spec_of(q_alloc_libc(), k_rows[i].method, "http://a/x", "body");
        struct q_spec *next = NULL;
        assert_false(q_error_is(q_redirect_next(spec, k_rows[i].status, text("/y"), &next)));
        q_spec_release(spec); // the next hop keeps what it needs
        assert_true(q_slice_equal(next->method, text(k_rows[i].next)));
        assert_int_equal(next->has_body, k_rows[i].keeps_body);
        assert_int_equal(head_has(next, "Content-Type: text/plain\r\n"), k_rows[i].keeps_body);
        assert_true(head_has(next, "X-Mine: 1\r\n"));
        if (k_rows[i].keeps_body) {
            assert_memory_equal(next->body, "body", 4);
        }
        q_spec_release(next);
    }
}

static void a_head_request_stays_one(void **state) {
    (void)state;
    struct q_spec *spec = spec_of(q_alloc_libc(), "HEAD", "http://a/x", NULL);
    struct q_spec *next = NULL;
    assert_false(q_error_is(q_redirect_next(spec, 303, text("/y"), &next)));
    assert_true(next->is_head);
    q_spec_release(next);
    q_spec_release(spec);
}

static void credentials_stay_with_their_origin(void **state) {
    static const struct {
        const char *location;
        const char *target;
        bool is_same;
    } k_rows[] = {
        {"/y", "GET /y HTTP/1.1\r\nHost: given\r\n", true},
        {"http://a:80/y?z#f", "GET /y?z HTTP/1.1\r\nHost: given\r\n", true},
        {"http://b/y", "GET /y HTTP/1.1\r\nHost: b\r\n", false},
        {"//a:81/y", "GET /y HTTP/1.1\r\nHost: a:81\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_spec *spec = spec_of(q_alloc_libc(), "GET", "http://a/dir/x", NULL);
        struct q_spec *next = NULL;
        assert_false(q_error_is(q_redirect_next(spec, 302, text(k_rows[i].location), &next)));
        assert_true(head_has(next, k_rows[i].target));
        assert_int_equal(head_has(next, "Authorization: secret\r\n"), k_rows[i].is_same);
        assert_int_equal(head_has(next, "Cookie: a=b\r\n"), k_rows[i].is_same);
        q_spec_release(next);
        q_spec_release(spec);
    }
}

// What the host called a secret goes as far as its credentials would, hop by hop, and leaves no memory behind.
static void secret_fields_stay_with_their_origin(void **state) {
    static const struct {
        const char *location;
        bool is_same;
    } k_rows[] = {{"/y", true}, {"http://a:80/y", true}, {"http://b/y", false}, {"//a:81/y", false}, {"https://a/", false}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_failalloc *memory = q_failalloc_new();
        q_failalloc_watch(memory, "the-key");
        q_failalloc_watch(memory, "dXNlcjp0aGUtcGFzc3dvcmQ="); // of the URL's credentials, where they become a field
        struct q_spec *spec = NULL;
        struct q_spec *next = NULL;
        struct q_spec *last = NULL;
        assert_false(q_error_is(q_spec_new(q_failalloc_alloc(memory), Q_SLICE("GET"),
                                           Q_SLICE("http://user:the-password@a/x"), &spec)));
        assert_false(q_error_is(q_spec_add_secret_header(spec, Q_SLICE("X-Api-Key"), Q_SLICE("the-key"))));
        assert_false(q_error_is(q_spec_add_header(spec, Q_SLICE("X-Open"), Q_SLICE("1"))));
        assert_false(q_error_is(q_spec_freeze(spec)));
        assert_false(q_error_is(q_redirect_next(spec, 302, text(k_rows[i].location), &next)));
        assert_true(head_has(next, "X-Open: 1\r\n"));
        assert_int_equal(head_has(next, "X-Api-Key: the-key\r\n"), k_rows[i].is_same);
        assert_int_equal(head_has(next, "X-Api-Key"), k_rows[i].is_same);
        // One hop further: the mark has gone along.
        assert_false(q_error_is(q_redirect_next(next, 302, text("http://c/"), &last)));
        assert_false(head_has(last, "X-Api-Key"));
        q_spec_release(spec);
        q_spec_release(next);
        q_spec_release(last);
        assert_int_equal(q_failalloc_found(memory), 0);
        char what[256] = "";
        assert_true(q_failalloc_check(memory, what, sizeof what));
        q_failalloc_free(memory);
    }
}

static struct q_spec *plain_spec(const struct q_alloc *alloc, const char *url) {
    struct q_spec *spec = NULL;
    assert_false(q_error_is(q_spec_new(alloc, Q_SLICE("GET"), text(url), &spec)));
    assert_false(q_error_is(q_spec_freeze(spec)));
    return spec;
}

// Credentials in the URL go as far as an Authorization of the user's would; a Location's own come in their place.
static void credentials_of_the_url_stay_with_their_origin_too(void **state) {
    static const struct {
        const char *location;
        const char *basic; // NULL: none
    } k_rows[] = {
        {"/y", "dTpw"},
        {"y", "dTpw"},
        {"http:y", "dTpw"},
        {"http://a/y", "dTpw"},
        {"//A:80/y", "dTpw"},
        {"http://v:q@a/y", "djpx"},
        {"http://b/y", NULL},
        {"//a:81/y", NULL},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_spec *spec = plain_spec(q_alloc_libc(), "http://u:p@a/dir/x");
        struct q_spec *next = NULL;
        struct q_spec *last = NULL;
        char field[64];
        snprintf(field, sizeof field, "\r\nAuthorization: Basic %s\r\n", k_rows[i].basic == NULL ? "" : k_rows[i].basic);
        assert_false(q_error_is(q_redirect_next(spec, 302, text(k_rows[i].location), &next)));
        assert_int_equal(head_has(next, "Authorization"), k_rows[i].basic != NULL);
        assert_int_equal(head_has(next, field), k_rows[i].basic != NULL);
        // One hop further nothing is left of them.
        assert_false(q_error_is(q_redirect_next(next, 302, text("http://c/"), &last)));
        assert_false(head_has(last, "Authorization"));
        q_spec_release(last);
        q_spec_release(next);
        q_spec_release(spec);
    }
}

static void a_field_of_the_users_goes_on_in_place_of_the_urls_credentials(void **state) {
    (void)state;
    struct q_spec *spec = spec_of(q_alloc_libc(), "GET", "http://u:p@a/x", NULL);
    struct q_spec *next = NULL;
    assert_false(q_error_is(q_redirect_next(spec, 302, text("http://a/y"), &next)));
    assert_true(head_has(next, "Authorization: secret\r\n"));
    assert_false(head_has(next, "Basic"));
    q_spec_release(next);
    q_spec_release(spec);
}

// What was accepted can be redirected: the URL's credentials are a field more than the program may give, and longer.
static void credentials_of_the_url_go_on_whatever_else_is_there(void **state) {
    (void)state;
    static char url[60000];
    memset(url, 'u', sizeof url - 1);
    memcpy(url, "http://", 7);
    memcpy(url + sizeof url - 6, "@a/x", 5);
    struct q_spec *spec = NULL;
    assert_false(q_error_is(q_spec_new(q_alloc_libc(), Q_SLICE("GET"), text(url), &spec)));
    for (unsigned i = 0; i < Q_HEADERS_COUNT_DEFAULT; i++) {
        assert_false(q_error_is(q_spec_add_header(spec, Q_SLICE("X"), Q_SLICE("y"))));
    }
    assert_int_equal(q_spec_add_header(spec, Q_SLICE("X"), Q_SLICE("y")).code, Q_ERR_TOO_MANY_HEADERS);
    assert_false(q_error_is(q_spec_freeze(spec)));
    for (unsigned hop = 0; hop < 3; hop++) { // the first makes a field of them, which the others carry
        struct q_spec *next = NULL;
        assert_int_equal(q_redirect_next(spec, 302, text("http://a/y"), &next).code, Q_ERR_OK);
        assert_true(head_has(next, "\r\nAuthorization: Basic dXV1"));
        q_spec_release(spec);
        spec = next;
    }
    q_spec_release(spec);
}

static void nothing_leads_onto_a_socket_but_what_is_there_already(void **state) {
    static const struct {
        const char *url;
        const char *location;
        int32_t code;
    } k_rows[] = {
        {"http://a/x", "http+unix://%2Frun%2Fs/y", Q_ERR_UNSUPPORTED_SCHEME},
        {"http://a/x", "http+unix://%00s/y", Q_ERR_UNSUPPORTED_SCHEME},
        {"http://a/x", "http+unix://s/y", Q_ERR_HTTP_BAD_LOCATION},
        {"http+unix://%2Frun%2Fs/x", "http+unix://%2Frun%2Fother/y", Q_ERR_UNSUPPORTED_SCHEME},
        {"http+unix://%2Frun%2Fs/x", "//%2Frun%2Fother/y", Q_ERR_UNSUPPORTED_SCHEME},
        {"http+unix://%2Frun%2Fs/x", "//host/y", Q_ERR_HTTP_BAD_LOCATION},
        {"http+unix://%2Frun%2Fs/x", "/y", Q_ERR_OK},
        {"http+unix://%2Frun%2Fs/x", "http+unix://%2frun%2fs/y", Q_ERR_OK},
        {"http+unix://%2Frun%2Fs/x", "http://a/y", Q_ERR_OK},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_spec *spec = plain_spec(q_alloc_libc(), k_rows[i].url);
        struct q_spec *next = NULL;
        assert_int_equal(q_redirect_next(spec, 302, text(k_rows[i].location), &next).code, k_rows[i].code);
        assert_int_equal(next == NULL, k_rows[i].code != Q_ERR_OK);
        if (next != NULL) {
            q_spec_release(next);
        }
        q_spec_release(spec);
    }
}

static void what_cannot_be_followed_is_a_typed_error(void **state) {
    static const struct {
        const char *location;
        int32_t code;
    } k_rows[] = {
        {"http://a\r\nX: y/", Q_ERR_HTTP_BAD_LOCATION},
        {"/a\tb", Q_ERR_HTTP_BAD_LOCATION},
        {"http://[::1", Q_ERR_HTTP_BAD_LOCATION},
        {"http://u%3Av:p@a/", Q_ERR_HTTP_BAD_LOCATION},
        {"http://u%00:p@b/", Q_ERR_HTTP_BAD_LOCATION},
        {"http://xn--a/", Q_ERR_HTTP_BAD_LOCATION},
        {"ftp://a/", Q_ERR_UNSUPPORTED_SCHEME},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_spec *spec = plain_spec(q_alloc_libc(), "http://a/x");
        struct q_spec *next = NULL;
        assert_int_equal(q_redirect_next(spec, 302, text(k_rows[i].location), &next).code, k_rows[i].code);
        assert_null(next);
        q_spec_release(spec);
    }
}

static const struct q_headers *head_with(const char *const *locations, void *memory, size_t size) {
    struct q_headers_builder builder;
    q_headers_builder_init(&builder, memory, size, NULL);
    assert_int_equal(q_headers_builder_add(&builder, Q_SLICE("Content-Location"), Q_SLICE("/not-this")).code, 0);
    for (; *locations != NULL; locations++) {
        assert_int_equal(q_headers_builder_add(&builder, Q_SLICE("location"), text(*locations)).code, 0);
    }
    return q_headers_builder_freeze(&builder);
}

static void locations_that_differ_lead_nowhere(void **state) {
    static const struct {
        const char *locations[4];
        int32_t code;
        const char *expected; // NULL: none
    } k_rows[] = {
        {{NULL}, 0, NULL},
        {{"/a", NULL}, 0, "/a"},
        {{"", NULL}, 0, ""},
        {{"/a", "/a", "/a", NULL}, 0, "/a"},
        {{"/a", "/b", NULL}, Q_ERR_HTTP_BAD_LOCATION, NULL},
        {{"/a", "/a", "/A", NULL}, Q_ERR_HTTP_BAD_LOCATION, NULL},
        {{"", "/a", NULL}, Q_ERR_HTTP_BAD_LOCATION, NULL},
        {{"/a", "", NULL}, Q_ERR_HTTP_BAD_LOCATION, NULL},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        _Alignas(8) char memory[512];
        struct q_slice location;
        struct q_error error =
            q_redirect_location(head_with(k_rows[i].locations, memory, sizeof memory), &location);
        assert_int_equal(error.code, k_rows[i].code);
        assert_int_equal(location.ptr == NULL, k_rows[i].expected == NULL);
        assert_true(location.ptr == NULL || q_slice_equal(location, text(k_rows[i].expected)));
    }
}

static void only_five_statuses_are_redirects(void **state) {
    (void)state;
    int count = 0;
    for (uint16_t status = 100; status < 600; status++) {
        count += q_redirect_is(status);
    }
    assert_int_equal(count, 5);
    assert_false(q_redirect_is(300) || q_redirect_is(304));
}

static void check_every_failing_allocation(struct q_spec *(*make)(const struct q_alloc *alloc)) {
    bool has_succeeded = false;
    for (uint64_t n = 1; !has_succeeded; n++) {
        struct q_failalloc *memory = q_failalloc_new();
        struct q_spec *spec = make(q_failalloc_alloc(memory));
        struct q_spec *next = NULL;
        q_failalloc_fail_at(memory, n);
        struct q_error error = q_redirect_next(spec, 307, text("//a/y"), &next);
        q_failalloc_fail_at(memory, 0);
        has_succeeded = !q_error_is(error);
        if (has_succeeded) {
            q_spec_release(next);
        } else {
            assert_int_equal(error.code, Q_ERR_NO_MEMORY);
        }
        q_spec_release(spec);
        char what[256] = "";
        if (!q_failalloc_check(memory, what, sizeof what)) {
            fail_msg("allocation %d: %s", (int)n, what);
        }
        q_failalloc_free(memory);
        assert_true(n < 100);
    }
}

static struct q_spec *with_fields(const struct q_alloc *alloc) {
    return spec_of(alloc, "POST", "http://a/x", "body");
}

static struct q_spec *with_credentials(const struct q_alloc *alloc) { return plain_spec(alloc, "http://u:p@a/x"); }

static void every_failing_allocation_is_an_error_and_leaves_nothing(void **state) {
    (void)state;
    check_every_failing_allocation(with_fields);
    check_every_failing_allocation(with_credentials);
}

// The host's word for where it comes from holds for each hop, and does not make two origins of one.
static void every_hop_comes_from_the_same_local_address(void **state) {
    static const struct {
        const char *location;
        bool is_same;
    } k_rows[] = {{"/y", true}, {"http://a/y", true}, {"http://b/y", false}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_spec *spec = NULL;
        struct q_spec *next = NULL;
        assert_false(q_error_is(q_spec_new(q_alloc_libc(), Q_SLICE("GET"), Q_SLICE("http://u:p@a/x"), &spec)));
        assert_false(q_error_is(q_spec_set_local_address(spec, Q_SLICE("127.0.0.3"))));
        assert_false(q_error_is(q_spec_freeze(spec)));
        assert_false(q_error_is(q_redirect_next(spec, 302, text(k_rows[i].location), &next)));
        assert_int_equal(next->origin.local.family, Q_ENDPOINT_V4);
        assert_memory_equal(next->origin.local.ip, spec->origin.local.ip, 16);
        assert_int_equal(q_origin_equal(&next->origin, &spec->origin), k_rows[i].is_same);
        assert_int_equal(head_has(next, "\r\nAuthorization: Basic dTpw\r\n"), k_rows[i].is_same);
        q_spec_release(next);
        q_spec_release(spec);
    }
}

// So does its word for where connections go: by the rules, for each hop anew.
static void every_hop_is_led_by_the_same_rules(void **state) {
    static const struct {
        const char *location;
        uint16_t port;
        bool is_same;
    } k_rows[] = {{"/y", 7, true}, {"http://a:80/y", 7, true}, {"http://b/y", 9, false}, {"http://c:81/", 81, false}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_detour_rule rules[] = {{.host = Q_SLICE("a"), .to_host = Q_SLICE("127.0.0.1"), .to_port = 7},
                                        {.port = 80, .to_port = 9}};
        struct q_spec *spec = NULL;
        struct q_spec *next = NULL;
        assert_false(q_error_is(q_spec_new(q_alloc_libc(), Q_SLICE("GET"), Q_SLICE("http://u:p@a/x"), &spec)));
        assert_false(q_error_is(q_spec_connect_to(spec, &rules[0])));
        assert_false(q_error_is(q_spec_connect_to(spec, &rules[1])));
        assert_false(q_error_is(q_spec_freeze(spec)));
        assert_int_equal(q_spec_connect_to(spec, &rules[1]).code, Q_ERR_FROZEN);
        assert_int_equal(spec->origin.peer.port, 7);
        assert_false(q_error_is(q_redirect_next(spec, 302, text(k_rows[i].location), &next)));
        assert_int_equal(next->origin.peer.port, k_rows[i].port);
        assert_int_equal(q_origin_equal(&next->origin, &spec->origin), k_rows[i].is_same);
        assert_int_equal(head_has(next, "\r\nAuthorization: Basic dTpw\r\n"), k_rows[i].is_same);
        q_spec_release(next);
        q_spec_release(spec);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(method_and_body_follow_the_status),
        cmocka_unit_test(a_head_request_stays_one),
        cmocka_unit_test(credentials_stay_with_their_origin),
        cmocka_unit_test(secret_fields_stay_with_their_origin),
        cmocka_unit_test(credentials_of_the_url_stay_with_their_origin_too),
        cmocka_unit_test(a_field_of_the_users_goes_on_in_place_of_the_urls_credentials),
        cmocka_unit_test(credentials_of_the_url_go_on_whatever_else_is_there),
        cmocka_unit_test(nothing_leads_onto_a_socket_but_what_is_there_already),
        cmocka_unit_test(what_cannot_be_followed_is_a_typed_error),
        cmocka_unit_test(every_hop_comes_from_the_same_local_address),
        cmocka_unit_test(every_hop_is_led_by_the_same_rules),
        cmocka_unit_test(locations_that_differ_lead_nowhere),
        cmocka_unit_test(only_five_statuses_are_redirects),
        cmocka_unit_test(every_failing_allocation_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
