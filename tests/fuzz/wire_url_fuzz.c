// URLs: the input is a base and a reference, apart by the first byte 0xff (without one, the reference alone). What is
// parsed is visible ASCII, is its own normal form, and can go into a request; CR, LF, TAB and NUL never pass.
#include "engine/wire/h1_writer.h"
#include "engine/wire/token.h"
#include "engine/wire/url.h"
#include "engine/wire/url_basic.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static bool has_forbidden(struct q_slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\t' || s.ptr[i] == '\0') {
            return true;
        }
    }
    return false;
}

static bool lies_in(struct q_slice inner, struct q_slice outer) {
    return inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len;
}

static bool starts_with(struct q_slice s, const char *text) {
    return s.len >= strlen(text) && memcmp(s.ptr, text, strlen(text)) == 0;
}

static void check_url(const struct q_url *url) {
    FUZZ_CHECK(q_is_request_target(url->href));
    static const char *const k_prefixes[Q_SCHEME_COUNT] = {"", "http://", "https://", "http+unix://"};
    bool is_socket = url->scheme == Q_SCHEME_HTTP_UNIX;
    FUZZ_CHECK(starts_with(url->href, k_prefixes[url->scheme]));
    FUZZ_CHECK(is_socket == (url->host_kind == Q_HOST_SOCKET) && lies_in(url->host, url->href));
    if (is_socket) {
        char name[3 * Q_HOST_SOCKET_MAX];
        FUZZ_CHECK(url->host.len <= sizeof name && q_percent_decode(url->host, name) <= Q_HOST_SOCKET_MAX);
        FUZZ_CHECK(name[0] == '/' || name[0] == 0);
        FUZZ_CHECK(q_slice_equal(url->authority, Q_SLICE("localhost")));
    } else {
        FUZZ_CHECK(lies_in(url->authority, url->href) && lies_in(url->host, url->authority));
        FUZZ_CHECK(url->target.ptr == url->authority.ptr + url->authority.len);
    }
    FUZZ_CHECK(lies_in(url->target, url->href) && lies_in(url->path, url->target));
    FUZZ_CHECK(url->host.len > 0 && url->path.len > 0 && url->path.ptr[0] == '/');
    FUZZ_CHECK(url->href.len == url->target.len + (size_t)(url->target.ptr - url->href.ptr));
    FUZZ_CHECK(memchr(url->path.ptr, '?', url->path.len) == NULL);
    FUZZ_CHECK(memchr(url->href.ptr, '#', url->href.len) == NULL);
    FUZZ_CHECK(url->user.len == 0 || q_is_request_target(url->user));
    FUZZ_CHECK(url->password.len == 0 || q_is_request_target(url->password));
    FUZZ_CHECK(url->has_credentials == (url->user.len + url->password.len > 0));
    FUZZ_CHECK((q_url_write_basic(url, NULL, 0) > 0) == url->has_credentials);
    struct q_h1_head_in in = {.method = Q_SLICE("GET"), .target = url->target, .authority = url->authority};
    FUZZ_CHECK(q_h1_check_head(&in).code == 0);
    // The normal form is its own normal form.
    struct q_url again;
    FUZZ_CHECK(q_url_parse(q_alloc_libc(), url->href, &again).code == 0);
    FUZZ_CHECK(q_slice_equal(again.href, url->href));
    FUZZ_CHECK(q_slice_equal(again.target, url->target) && q_slice_equal(again.path, url->path));
    FUZZ_CHECK(q_url_same_origin(&again, url) && again.host_kind == url->host_kind);
    FUZZ_CHECK(memcmp(again.address, url->address, sizeof(url->address)) == 0);
    q_url_deinit(&again);
}

static void parse(const struct q_url *base, struct q_slice text) {
    struct q_url url;
    struct q_error error = q_url_resolve(q_alloc_libc(), base, text, &url);
    if (has_forbidden(text)) {
        FUZZ_CHECK(error.code == Q_ERR_INVALID_URL);
    }
    if (error.code == 0) {
        check_url(&url);
    } else {
        FUZZ_CHECK(error.code == Q_ERR_INVALID_URL || error.code == Q_ERR_UNSUPPORTED_SCHEME);
        FUZZ_CHECK(url.text == NULL);
    }
    q_url_deinit(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct q_slice all = q_slice_make(data, size);
    const char *mark = size > 0 ? memchr(all.ptr, 0xff, size) : NULL;
    struct q_url base = {0};
    if (mark != NULL) {
        struct q_slice before = q_slice_make(all.ptr, (size_t)(mark - all.ptr));
        all = q_slice_from(all, before.len + 1);
        if (q_url_parse(q_alloc_libc(), before, &base).code == 0) {
            check_url(&base);
        }
    }
    parse(NULL, all);
    if (base.text != NULL) {
        parse(&base, all);
        // A reference with the base's own text is the base.
        struct q_url same;
        FUZZ_CHECK(q_url_resolve(q_alloc_libc(), &base, Q_SLICE(""), &same).code == 0);
        FUZZ_CHECK(q_slice_equal(same.href, base.href));
        q_url_deinit(&same);
    }
    q_url_deinit(&base);
    return 0;
}
