// The origin key: whatever differs in identity differs in the key, and no field can pass for another one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "engine/base/random.h"
#include "engine/conn/origin.h"
#include "tests/support/failalloc.h"

static struct q_origin origin_of(const char *text) {
    struct q_url url;
    struct q_origin origin;
    struct q_error error = q_url_parse(q_alloc_libc(), q_slice_of_string(text), &url);
    assert_int_equal(error.code, Q_ERR_OK);
    error = q_origin_build(&origin, q_alloc_libc(), &url);
    assert_int_equal(error.code, Q_ERR_OK);
    q_url_deinit(&url); // the key is its own
    return origin;
}

static bool are_equal(const char *a, const char *b) {
    struct q_origin left = origin_of(a);
    struct q_origin right = origin_of(b);
    bool equal = q_origin_equal(&left, &right);
    assert_int_equal(equal, q_origin_equal(&right, &left));
    q_origin_deinit(&left);
    q_origin_deinit(&right);
    return equal;
}

static void what_does_not_affect_identity_is_not_in_the_key(void **state) {
    (void)state;
    assert_true(are_equal("http://example.org/", "http://example.org/other?q=1#f"));
    assert_true(are_equal("http://example.org/", "http://EXAMPLE.org:80/"));
    assert_true(are_equal("https://example.org/", "https://example.org:443/"));
    assert_true(are_equal("http://example.org/", "http://user:secret@example.org/"));
    assert_true(are_equal("http://127.0.0.1/", "http://0x7f.1/"));
    assert_true(are_equal("http://[::1]/", "http://[0:0::0:1]/"));
    assert_true(are_equal("http+unix://%2Frun%2Fx/a", "http+unix://u:p@%2frun%2f%78/b"));
#ifndef Q_WITHOUT_IDN2
    assert_true(are_equal("http://m\xc3\xbcnchen.de/", "http://M%C3%9CNCHEN.de/"));
    assert_true(are_equal("http://m\xc3\xbcnchen.de/", "http://xn--mnchen-3ya.de/"));
#endif
}

static void what_affects_identity_is_in_the_key(void **state) {
    (void)state;
    assert_false(are_equal("http://example.org/", "https://example.org:80/"));
    assert_false(are_equal("http://example.org/", "http://example.org:81/"));
    assert_false(are_equal("http://example.org/", "http://example.net/"));
    assert_false(are_equal("http://example.org/", "http://example.org./")); // another name, by the rules of URLs
    assert_false(are_equal("http://127.0.0.1/", "http://127.0.0.2/"));
    assert_false(are_equal("http://[::1]/", "http://[::2]/"));
    assert_false(are_equal("http://example.org:80/", "http://example.org:8/"));
    assert_false(are_equal("http+unix://%2Frun%2Fx/", "http+unix://%2Frun%2FX/"));
    assert_false(are_equal("http+unix://%2Frun%2Fx/", "http+unix://%2Frun%2F.%2Fx/")); // the kernel's to resolve
    assert_false(are_equal("http+unix://%2Fx/", "http+unix://%00x/"));
    assert_false(are_equal("http+unix://%00localhost/", "http://localhost/"));
    assert_false(are_equal("http://example.org:256/", "http://example.org:1/")); // port bytes 1 0 and 0 1
}

static void the_parts_can_be_read_back(void **state) {
    (void)state;
    struct q_origin origin = origin_of("http://[2001:DB8::7]:8080/x");
    assert_true(q_slice_equal(origin.host, Q_SLICE("2001:db8::7")));
    assert_true(origin.host.ptr >= origin.key.ptr &&
                origin.host.ptr + origin.host.len <= origin.key.ptr + origin.key.len);
    assert_int_equal(origin.port, 8080);
    assert_int_equal(origin.scheme, Q_SCHEME_HTTP);
    assert_int_equal(origin.host_kind, Q_HOST_IPV6);
    assert_int_equal(origin.peer.address[15], 7);
    q_origin_deinit(&origin);
    assert_null(origin.key.ptr);
    q_origin_deinit(&origin); // the zero value
}

// --- by properties ---------------------------------------------------------------------------------------------------

// A URL made by hand: the builder must not rely on what a parser would refuse.
static struct q_url made_of(char *host, size_t host_len, uint8_t scheme, uint8_t kind, uint16_t port) {
    return (struct q_url){.host = q_slice_make(host, host_len), .scheme = scheme, .host_kind = kind, .port = port};
}

static struct q_url random_url(struct q_random *random, char host[8]) {
    // Bytes that look like other fields' tags and lengths, so that a key without lengths would soon collide.
    static const char k_bytes[] = {0, 1, 2, 3, 4, 'a', 'b', 80};
    size_t len = (size_t)q_random_below(random, 5);
    for (size_t i = 0; i < len; i++) {
        host[i] = k_bytes[q_random_below(random, sizeof k_bytes)];
    }
    static const uint16_t k_ports[] = {0, 1, 2, 80, 256, 0x0104, 0x0401, 65535};
    return made_of(host, len, (uint8_t)(1 + q_random_below(random, 3)), (uint8_t)q_random_below(random, 4),
                   k_ports[q_random_below(random, Q_COUNT_OF(k_ports))]);
}

static bool same_identity(const struct q_url *a, const struct q_url *b) {
    return a->scheme == b->scheme && a->host_kind == b->host_kind && a->port == b->port &&
           q_slice_equal(a->host, b->host);
}

static void keys_are_equal_exactly_when_all_fields_are(void **state) {
    (void)state;
    struct q_random random;
    int num_equal = 0;
    q_random_seed(&random, 3);
    for (int i = 0; i < 60000; i++) {
        char host_a[8], host_b[8];
        struct q_url a = random_url(&random, host_a);
        struct q_url b = random_url(&random, host_b);
        if (q_random_below(&random, 4) == 0) {
            b = a;
        }
        struct q_origin left, right;
        assert_false(q_error_is(q_origin_build(&left, q_alloc_libc(), &a)));
        assert_false(q_error_is(q_origin_build(&right, q_alloc_libc(), &b)));
        assert_int_equal(q_origin_equal(&left, &right), same_identity(&a, &b));
        num_equal += same_identity(&a, &b);
        q_origin_deinit(&left);
        q_origin_deinit(&right);
    }
    assert_true(num_equal > 1000);
}

static void changing_any_field_changes_the_key(void **state) {
    (void)state;
    char host[] = "host";
    char other[] = "hosu";
    const struct q_url base = made_of(host, 4, Q_SCHEME_HTTP, Q_HOST_NAME, 80);
    struct q_url changed[6];
    for (size_t i = 0; i < Q_COUNT_OF(changed); i++) {
        changed[i] = base;
    }
    changed[0].scheme = Q_SCHEME_HTTPS;
    changed[1].host_kind = Q_HOST_IPV4;
    changed[2].port = 81;
    changed[3].port = 80 + 256;
    changed[4].host = q_slice_make(other, 4);
    changed[5].host = q_slice_make(host, 3);
    struct q_origin left;
    assert_false(q_error_is(q_origin_build(&left, q_alloc_libc(), &base)));
    for (size_t i = 0; i < Q_COUNT_OF(changed); i++) {
        struct q_origin right;
        assert_false(q_error_is(q_origin_build(&right, q_alloc_libc(), &changed[i])));
        assert_false(q_origin_equal(&left, &right));
        q_origin_deinit(&right);
    }
    q_origin_deinit(&left);
}

static struct q_endpoint random_local(struct q_random *random) {
    struct q_endpoint local = {.family = q_random_below(random, 2) == 0 ? Q_ENDPOINT_V4 : Q_ENDPOINT_V6};
    for (size_t i = 0; i < sizeof local.ip; i += 5) {
        local.ip[i] = (uint8_t)q_random_below(random, 2);
    }
    return local;
}

// With local addresses, or without, as with every other field; and the host stays where it can be read.
static void a_local_address_is_a_part_of_identity(void **state) {
    (void)state;
    struct q_random random;
    int num_equal = 0;
    q_random_seed(&random, 5);
    for (int i = 0; i < 20000; i++) {
        char host_a[8], host_b[8];
        struct q_url urls[2] = {random_url(&random, host_a), random_url(&random, host_b)};
        struct q_endpoint locals[2] = {{0}, {0}};
        struct q_origin origins[2];
        if (q_random_below(&random, 2) == 0) {
            urls[1] = urls[0];
        }
        for (int k = 0; k < 2; k++) {
            assert_false(q_error_is(q_origin_build(&origins[k], q_alloc_libc(), &urls[k])));
            if (q_random_below(&random, 3) > 0) {
                locals[k] = random_local(&random);
                assert_false(q_error_is(q_origin_set_local(&origins[k], &locals[k])));
                assert_true(q_slice_equal(origins[k].host, urls[k].host));
            }
        }
        bool is_same = same_identity(&urls[0], &urls[1]) && memcmp(&locals[0], &locals[1], sizeof locals[0]) == 0;
        assert_int_equal(q_origin_equal(&origins[0], &origins[1]), is_same);
        num_equal += is_same;
        q_origin_deinit(&origins[0]);
        q_origin_deinit(&origins[1]);
    }
    assert_true(num_equal > 1000);
}

// No key is the beginning of another one: what a later field adds behind can never make two of them meet.
static void no_key_is_a_prefix_of_another(void **state) {
    (void)state;
    static const char *const k_urls[] = {"http://a/",       "http://a:1/",      "http://a:11/",  "http://a1/",
                                         "http://a1:1/",    "http://a.b/",      "http://ab/",    "https://a/",
                                         "http://1.2.3.4/", "http://1.2.3.45/", "http://[::1]/", "http://[::1]:1/"};
    for (size_t i = 0; i < Q_COUNT_OF(k_urls); i++) {
        for (size_t k = 0; k < Q_COUNT_OF(k_urls); k++) {
            struct q_origin left = origin_of(k_urls[i]);
            struct q_origin right = origin_of(k_urls[k]);
            size_t len = left.key.len < right.key.len ? left.key.len : right.key.len;
            assert_int_equal(memcmp(left.key.ptr, right.key.ptr, len) == 0, i == k);
            q_origin_deinit(&left);
            q_origin_deinit(&right);
        }
    }
}

// A host whose bytes spell out the end of the host field and the port field behind it.
static void a_host_cannot_spell_another_field(void **state) {
    (void)state;
    char host[] = "a";
    struct q_origin plain;
    struct q_url url = made_of(host, 1, Q_SCHEME_HTTP, Q_HOST_NAME, 80);
    assert_false(q_error_is(q_origin_build(&plain, q_alloc_libc(), &url)));
    size_t tail = (size_t)(plain.key.ptr + plain.key.len - plain.host.ptr); // the host and all that follows
    char evil[64];
    memcpy(evil, plain.host.ptr, tail);
    struct q_origin other;
    url = made_of(evil, tail, Q_SCHEME_HTTP, Q_HOST_NAME, 80);
    assert_false(q_error_is(q_origin_build(&other, q_alloc_libc(), &url)));
    assert_false(q_origin_equal(&plain, &other));
    assert_true(memcmp(plain.key.ptr, other.key.ptr, plain.key.len) != 0);
    q_origin_deinit(&plain);
    q_origin_deinit(&other);
}

static void a_failed_allocation_is_no_memory(void **state) {
    (void)state;
    char host[] = "host";
    char text[128];
    struct q_failalloc *memory = q_failalloc_new();
    struct q_url url = made_of(host, 4, Q_SCHEME_HTTP, Q_HOST_NAME, 80);
    struct q_origin origin;
    q_failalloc_fail_at(memory, 1);
    assert_int_equal(q_origin_build(&origin, q_failalloc_alloc(memory), &url).code, Q_ERR_NO_MEMORY);
    q_origin_deinit(&origin); // it is the zero value
    assert_false(q_error_is(q_origin_build(&origin, q_failalloc_alloc(memory), &url)));
    const struct q_endpoint local = {.family = Q_ENDPOINT_V4, .ip = {127}};
    q_failalloc_fail_at(memory, 1);
    assert_int_equal(q_origin_set_local(&origin, &local).code, Q_ERR_NO_MEMORY);
    assert_int_equal(origin.local.family, Q_ENDPOINT_NONE);
    assert_false(q_error_is(q_origin_set_local(&origin, &local)));
    q_origin_deinit(&origin);
    assert_true(q_failalloc_check(memory, text, sizeof text));
    q_failalloc_free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_affect_identity_is_not_in_the_key),
        cmocka_unit_test(what_affects_identity_is_in_the_key),
        cmocka_unit_test(the_parts_can_be_read_back),
        cmocka_unit_test(keys_are_equal_exactly_when_all_fields_are),
        cmocka_unit_test(changing_any_field_changes_the_key),
        cmocka_unit_test(a_local_address_is_a_part_of_identity),
        cmocka_unit_test(no_key_is_a_prefix_of_another),
        cmocka_unit_test(a_host_cannot_spell_another_field),
        cmocka_unit_test(a_failed_allocation_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
