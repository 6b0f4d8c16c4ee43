// Building requests, in every wrong way.
#include "tests/engine/face/misuse.h"

#include "tests/engine/core/host.h"

#define URL MISUSE_URL

void misuse_must_not_be_released(void *context, const void *data, size_t len) {
    (void)data;
    (void)len;
    *(bool *)context = true;
}

static void request_new(void) {
    struct quoit_request *request = NULL;
    assert_int_equal(quoit_request_new(NULL, URL, &request), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_new("GET", NULL, &request), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_new("GET", URL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_new("", URL, &request), QUOIT_ERR_INVALID_METHOD);
    assert_int_equal(quoit_request_new("G T", URL, &request), QUOIT_ERR_INVALID_METHOD);
    assert_int_equal(quoit_request_new("GET", "", &request), QUOIT_ERR_INVALID_URL);
    assert_int_equal(quoit_request_new("GET", "http://", &request), QUOIT_ERR_INVALID_URL);
    assert_int_equal(quoit_request_new("GET", "gopher://h/", &request), QUOIT_ERR_UNSUPPORTED_SCHEME);
    assert_null(request);
}

static struct quoit_request *frozen_request(void) {
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    return request;
}

// Lengths that no memory has, and some that some memory has: whatever is told of them, nothing is read beyond the limits.
static const size_t k_lengths[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1, (size_t)1 << 48,
                                   ((size_t)1 << 32) + 1, (size_t)1 << 32};

enum { LENGTHS = sizeof k_lengths / sizeof k_lengths[0] };

static void lengths_of_fields(void) {
    static char too_long[65536 + 1];
    memset(too_long, 'a', sizeof too_long);
    struct quoit_request *request = host_request("GET", URL);
    for (int i = 0; i < LENGTHS; i++) {
        assert_int_equal(quoit_request_add_header(request, "a", k_lengths[i], "b", 1), QUOIT_ERR_HEAD_TOO_LARGE);
        assert_int_equal(quoit_request_add_header(request, "a", 1, "b", k_lengths[i]), QUOIT_ERR_HEAD_TOO_LARGE);
        assert_int_equal(quoit_request_add_header(request, "Host", 4, "b", k_lengths[i]), QUOIT_ERR_HEAD_TOO_LARGE);
        assert_int_equal(quoit_request_add_header(request, "a", k_lengths[i], "b", k_lengths[i]),
                         QUOIT_ERR_HEAD_TOO_LARGE);
        assert_int_equal(quoit_request_set_upgrade(request, "a", k_lengths[i]), QUOIT_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(quoit_request_add_header(request, too_long, 65536, "b", 1), QUOIT_ERR_HEAD_TOO_LARGE);
    assert_int_equal(quoit_request_add_header(request, "a", 1, too_long, 65537), QUOIT_ERR_HEAD_TOO_LARGE);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    quoit_request_release(request);
}

static void lengths_of_bodies(void) {
    bool is_released = false;
    struct quoit_request *request = host_request("POST", URL);
    assert_int_equal(quoit_request_set_body(request, "a", SIZE_MAX, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_body(request, "a", SIZE_MAX - 1, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    size_t most = PTRDIFF_MAX;
    assert_int_equal(quoit_request_set_body(request, "a", most + 1, misuse_must_not_be_released, &is_released),
                     QUOIT_ERR_INVALID_ARGUMENT);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // whose malloc ends the process instead
    assert_int_equal(quoit_request_set_body(request, "a", most, NULL, NULL), QUOIT_ERR_NO_MEMORY);
#endif
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    quoit_request_release(request);
    assert_false(is_released);
}

static void request_add_header(void) {
    lengths_of_fields();
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_add_header(NULL, "a", 1, "b", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_header(request, NULL, 1, "b", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_header(request, NULL, 0, "b", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_header(request, "a", 1, NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_header(request, "a", 0, "b", 1), QUOIT_ERR_INVALID_HEADER_NAME);
    assert_int_equal(quoit_request_add_header(request, "a\0b", 3, "b", 1), QUOIT_ERR_INVALID_HEADER_NAME);
    assert_int_equal(quoit_request_add_header(request, "a", 1, "b\0c", 3), QUOIT_ERR_INVALID_HEADER_VALUE);
    quoit_request_release(request);
    request = frozen_request();
    assert_int_equal(quoit_request_add_header(request, "a", 1, "b", 1), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_add_secret_header(void) {
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_add_secret_header(NULL, "a", 1, "b", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_secret_header(request, NULL, 1, "b", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_secret_header(request, "a", 1, NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_secret_header(request, "a", 0, "b", 1), QUOIT_ERR_INVALID_HEADER_NAME);
    assert_int_equal(quoit_request_add_secret_header(request, "a", 1, "b\0c", 3), QUOIT_ERR_INVALID_HEADER_VALUE);
    assert_int_equal(quoit_request_add_secret_header(request, "Content-Length", 14, "1", 1), QUOIT_ERR_FORBIDDEN_HEADER);
    for (int i = 0; i < LENGTHS; i++) {
        assert_int_equal(quoit_request_add_secret_header(request, "a", k_lengths[i], "b", 1), QUOIT_ERR_HEAD_TOO_LARGE);
        assert_int_equal(quoit_request_add_secret_header(request, "a", 1, "b", k_lengths[i]), QUOIT_ERR_HEAD_TOO_LARGE);
    }
    quoit_request_release(request);
    request = frozen_request();
    assert_int_equal(quoit_request_add_secret_header(request, "a", 1, "b", 1), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_set_body(void) {
    lengths_of_bodies();
    bool is_released = false;
    struct quoit_request *request = host_request("POST", URL);
    assert_int_equal(quoit_request_set_body(NULL, "a", 1, misuse_must_not_be_released, &is_released),
                     QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_body(request, NULL, 1, misuse_must_not_be_released, &is_released),
                     QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_set_body(request, "a", 1, misuse_must_not_be_released, &is_released), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
    assert_false(is_released);
}

static void request_set_bounds(void) {
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds};
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_set_bounds(NULL, &bounds), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_bounds(request, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (bounds.struct_size = 0; bounds.struct_size < sizeof bounds.struct_size; bounds.struct_size++) {
        assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
    bounds = (struct quoit_request_bounds){.struct_size = sizeof bounds, .total_ms = UINT64_MAX};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_ERR_INVALID_ARGUMENT);
    bounds = (struct quoit_request_bounds){.struct_size = sizeof bounds, .low_speed_bytes = 1};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
    request = frozen_request();
    bounds = (struct quoit_request_bounds){.struct_size = sizeof bounds};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_set_redirects(void) {
    struct quoit_redirect_options options = {.struct_size = sizeof options};
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_set_redirects(NULL, &options), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_redirects(request, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (options.struct_size = 0; options.struct_size < sizeof options.struct_size; options.struct_size++) {
        assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
    options = (struct quoit_redirect_options){.struct_size = sizeof options, .limit = 65};
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
    request = frozen_request();
    options = (struct quoit_redirect_options){.struct_size = sizeof options};
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_set_dial(void) {
    struct quoit_request *request = host_request("GET", URL);
    struct quoit_dial_options options = {.struct_size = 2};
    assert_int_equal(quoit_request_set_dial(request, &options), QUOIT_ERR_INVALID_STRUCT_SIZE);
    options.struct_size = sizeof options;
    assert_int_equal(quoit_request_set_dial(NULL, &options), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_dial(request, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    options.flags = UINT32_MAX;
    assert_int_equal(quoit_request_set_dial(request, &options), QUOIT_ERR_INVALID_ARGUMENT);
    options.flags = 0;
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_set_dial(request, &options), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void dials_at(void) {
    struct quoit_dial out = {.struct_size = sizeof out};
    assert_int_equal(quoit_dials_at(NULL, 0, &out), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_dials_at(NULL, 0, NULL), QUOIT_ERR_INVALID_ARGUMENT);
}

static void request_set_local_address(void) {
    static const char *const k_none[] = {"", "::", "0.0.0.0", "localhost", "127.0.0.1:80", "fe80::1%lo", "[::1]"};
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_set_local_address(NULL, "127.0.0.1"), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_local_address(request, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    for (size_t i = 0; i < sizeof k_none / sizeof k_none[0]; i++) {
        assert_int_equal(quoit_request_set_local_address(request, k_none[i]), QUOIT_ERR_INVALID_ARGUMENT);
    }
    quoit_request_release(request);
    request = frozen_request();
    assert_int_equal(quoit_request_set_local_address(request, "127.0.0.1"), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_connect_to(void) {
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_connect_to(NULL, "a", 1, "b", 2), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_connect_to(request, "a b", 1, "b", 2), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_connect_to(request, "a", 1, "b/c", 2), QUOIT_ERR_INVALID_ARGUMENT);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(quoit_request_connect_to(request, NULL, 0, "", 0), QUOIT_OK); // matches all, changes nothing
    }
    assert_int_equal(quoit_request_connect_to(request, "a", 1, "b", 2), QUOIT_ERR_INVALID_ARGUMENT); // too many
    quoit_request_release(request);
    request = frozen_request();
    assert_int_equal(quoit_request_connect_to(request, "a", 1, "b", 2), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_set_upgrade(void) {
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_set_upgrade(NULL, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_upgrade(request, NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_upgrade(request, "a", 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_upgrade(request, "a", SIZE_MAX), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_upgrade(request, "a b", 3), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_upgrade(request, "a\0b", 3), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
    request = frozen_request();
    assert_int_equal(quoit_request_set_upgrade(request, "a", 1), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_set_feed_max(void) {
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_set_feed_max(NULL, 1024), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_feed_max(request, 127), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_feed_max(request, UINT64_MAX), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
    request = frozen_request();
    assert_int_equal(quoit_request_set_feed_max(request, 1024), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_set_credit(void) {
    struct quoit_request *request = host_request("GET", URL);
    assert_int_equal(quoit_request_set_credit(NULL, 1, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_credit(request, UINT64_MAX, 0), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
    request = frozen_request();
    assert_int_equal(quoit_request_set_credit(request, 1, 0), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void request_freeze(void) {
    assert_int_equal(quoit_request_freeze(NULL), QUOIT_ERR_INVALID_ARGUMENT);
    struct quoit_request *request = frozen_request();
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK); // does nothing
    quoit_request_release(request);
}

static void request_acquire(void) { assert_null(quoit_request_acquire(NULL)); }

static void request_release(void) { quoit_request_release(NULL); }

const struct misuse k_misuse_requests[] = {
    {"quoit_request_new", request_new},
    {"quoit_request_add_header", request_add_header},
    {"quoit_request_add_secret_header", request_add_secret_header},
    {"quoit_request_set_body", request_set_body},
    {"quoit_request_set_bounds", request_set_bounds},
    {"quoit_request_set_redirects", request_set_redirects},
    {"quoit_request_set_dial", request_set_dial},
    {"quoit_dials_at", dials_at},
    {"quoit_request_set_local_address", request_set_local_address},
    {"quoit_request_connect_to", request_connect_to},
    {"quoit_request_set_credit", request_set_credit},
    {"quoit_request_set_upgrade", request_set_upgrade},
    {"quoit_request_set_feed_max", request_set_feed_max},
    {"quoit_request_freeze", request_freeze},
    {"quoit_request_acquire", request_acquire},
    {"quoit_request_release", request_release},
};

const size_t k_misuse_requests_len = sizeof k_misuse_requests / sizeof k_misuse_requests[0];
