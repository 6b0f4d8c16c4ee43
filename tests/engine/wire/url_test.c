#include "engine/wire/url.h"

#include "engine/wire/token.h"
#include "tests/support/failalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is(struct q_slice s, const char *text) {
    return q_slice_equal(s, q_slice_of_string(text));
}

struct row {
    const char *base; // NULL: none
    const char *text;
    const char *href; // NULL: refused as not valid; "scheme": its scheme is not supported
};

static void expect(const struct row *row) {
    struct q_url base = {0}, url;
    const struct q_alloc *alloc = q_alloc_libc();
    if (row->base != NULL) {
        assert_int_equal(q_url_parse(alloc, q_slice_of_string(row->base), &base).code, 0);
    }
    struct q_error error = q_url_resolve(alloc, row->base == NULL ? NULL : &base, q_slice_of_string(row->text), &url);
    int32_t code = row->href == NULL                  ? Q_ERR_INVALID_URL
                   : strcmp(row->href, "scheme") == 0 ? Q_ERR_UNSUPPORTED_SCHEME
                                                      : 0;
    if (error.code != code) {
        fail_msg("'%s' gave %s", row->text, q_error_name(error.code));
    }
    if (code == 0) {
        if (!is(url.href, row->href)) {
            fail_msg("'%s' gave %.*s instead of %s", row->text, (int)url.href.len, url.href.ptr, row->href);
        }
        assert_true(q_is_request_target(url.href));
        assert_true(url.target.len > 0 && url.target.ptr[0] == '/');
        assert_true(q_is_request_target(url.target));
    } else {
        assert_null(url.text);
    }
    q_url_deinit(&url);
    q_url_deinit(&base);
}

static void expect_all(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        expect(&rows[i]);
    }
}

#define EXPECT_ALL(rows) expect_all((rows), sizeof(rows) / sizeof((rows)[0]))

static void absolute_urls_have_one_normal_form(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {NULL, "http://example.com", "http://example.com/"},
        {NULL, "HTTP://Example.COM/A", "http://example.com/A"},
        {NULL, "https://h:443/", "https://h/"},
        {NULL, "http://h:80/", "http://h/"},
        {NULL, "http://h:443/", "http://h:443/"},
        {NULL, "http://h:00081/", "http://h:81/"},
        {NULL, "http://h:/x", "http://h/x"},
        {NULL, "http://h:0/", "http://h:0/"},
        {NULL, "http://h:65535/", "http://h:65535/"},
        {NULL, "http://h?q", "http://h/?q"},
        {NULL, "http://h#f", "http://h/"},
        {NULL, "http://h/?", "http://h/?"},
        {NULL, "http://h/a#b?c", "http://h/a"},
        {NULL, "http://h/a?b?c#d#e", "http://h/a?b?c"},
        {NULL, "http:h/a", "http://h/a"},
        {NULL, "http:/h/a", "http://h/a"},
        {NULL, "http:////h//a", "http://h//a"},
        {NULL, "http:\\\\h\\a\\b?c\\d", "http://h/a/b?c\\d"},
        {NULL, "  http://h/a  ", "http://h/a"},
        {NULL, "\x01\x1fhttp://h/\x02", "http://h/"},
        {NULL, "http://u:p@h/", "http://h/"},
        {NULL, "http://[::1]:8080/a", "http://[::1]:8080/a"},
        {NULL, "http://[0:0::1]/", "http://[::1]/"},
        {NULL, "http://0x7f.1/", "http://127.0.0.1/"},
#ifndef Q_WITHOUT_IDN2
        {NULL, "http://m\xc3\xbcnchen.de:81/\xc3\xbc", "http://xn--mnchen-3ya.de:81/%C3%BC"},
        {NULL, "http://M%C3%9CNCHEN.de/", "http://xn--mnchen-3ya.de/"},
        {NULL, "http://XN--MNCHEN-3YA.de/", "http://xn--mnchen-3ya.de/"},
#endif
    };
    EXPECT_ALL(k_rows);
}

static void dot_segments_are_removed(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {NULL, "http://h/a/./b/../c", "http://h/a/c"},
        {NULL, "http://h/..", "http://h/"},
        {NULL, "http://h/../../a", "http://h/a"},
        {NULL, "http://h/a/..", "http://h/"},
        {NULL, "http://h/a/.", "http://h/a/"},
        {NULL, "http://h/a/b/..", "http://h/a/"},
        {NULL, "http://h/%2e/%2E%2e/a", "http://h/a"},
        {NULL, "http://h/a/b/.%2e/%2e./c", "http://h/c"},
        {NULL, "http://h/...", "http://h/..."},
        {NULL, "http://h/..a/.b", "http://h/..a/.b"},
        {NULL, "http://h/%2e%2e%2e", "http://h/%2e%2e%2e"},
        {NULL, "http://h/a//../b", "http://h/a/b"},
        {NULL, "http://h/a\\..\\b", "http://h/b"},
        {NULL, "http://h/?a/../b", "http://h/?a/../b"},
        {NULL, "http://h/%252e%252e/a", "http://h/%252e%252e/a"},
    };
    EXPECT_ALL(k_rows);
}

static void bytes_are_percent_encoded_as_the_standard_says(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {NULL, "http://h/a b?c d#e f", "http://h/a%20b?c%20d"},
        {NULL, "http://h/\xc3\xa9?\xc3\xa9", "http://h/%C3%A9?%C3%A9"},
        {NULL, "http://h/\xff", "http://h/%FF"},
        {NULL, "http://h/\"<>^`{}|'", "http://h/%22%3C%3E%5E%60%7B%7D|'"},
        {NULL, "http://h/?\"<>^`{}|'", "http://h/?%22%3C%3E^`{}|%27"},
        {NULL, "http://h/a%", "http://h/a%"},
        {NULL, "http://h/%zz%2f%41", "http://h/%zz%2f%41"},
        {NULL, "http://h/\x7f\x01z", "http://h/%7F%01z"},
        {NULL, "http://h/:@!$&()*+,;=[]~", "http://h/:@!$&()*+,;=[]~"},
    };
    EXPECT_ALL(k_rows);
}

static void what_is_no_url_is_refused(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {NULL, "", NULL},
        {NULL, "example.com", NULL},
        {NULL, "/a", NULL},
        {NULL, "//h/a", NULL},
        {NULL, "http", NULL},
        {NULL, ":http://h", NULL},
        {NULL, "1http://h", NULL},
        {NULL, "http:", NULL},
        {NULL, "http://", NULL},
        {NULL, "http:///", NULL},
        {NULL, "http://?q", NULL},
        {NULL, "http://#f", NULL},
        {NULL, "http://:80", NULL},
        {NULL, "http://u@", NULL},
        {NULL, "http://u:p@/", NULL},
        {NULL, "http://h:65536/", NULL},
        {NULL, "http://h:99999999999999999999999/", NULL},
        {NULL, "http://h:8a/", NULL},
        {NULL, "http://h:-1/", NULL},
        {NULL, "http://h:+1/", NULL},
        {NULL, "http://h:80:80/", NULL},
        {NULL, "http://h h/", NULL},
        {NULL, "http://h%20h/", NULL},
        {NULL, "http://h%00/", NULL},
        {NULL, "http://[::1/", NULL},
        {NULL, "http://[::1]a/", NULL},
        {NULL, "http://1.2.3.4.5/", NULL},
        {NULL, "http://m\xffnchen.de/", NULL},
        {NULL, "http://h^/", NULL},
        {NULL, "ftp://h/", "scheme"},
        {NULL, "file:///etc/passwd", "scheme"},
        {NULL, "httpss://h/", "scheme"},
        {NULL, "javascript:alert(1)", "scheme"},
        {NULL, "localhost:80", "scheme"},
        {NULL, "a+b-c.d:x", "scheme"},
    };
    EXPECT_ALL(k_rows);
}

// CR, LF, TAB and NUL are refused at every place, also where blanks are cut off and in what is dropped; the standard would
// strip the first three.
static void line_ends_tabs_and_nul_are_refused_everywhere(void **state) {
    (void)state;
    static const char *const k_good[] = {"http://u:p@h:81/a?b#c", "http+unix://u:p@%2Fh/a?b#c", " //u:p@h:81/a?b#c ",
                                         "/a/../b?c#d", "?b", "#c", "a", ""};
    static const char k_bytes[] = {'\r', '\n', '\t', '\0'};
    struct q_url base, url;
    assert_int_equal(q_url_parse(q_alloc_libc(), Q_SLICE("http://base/"), &base).code, 0);
    for (size_t row = 0; row < Q_COUNT_OF(k_good); row++) {
        size_t len = strlen(k_good[row]);
        for (size_t i = 0; i < (len + 1) * sizeof(k_bytes); i++) {
            size_t at = i / sizeof(k_bytes);
            char text[32];
            memcpy(text, k_good[row], at);
            text[at] = k_bytes[i % sizeof(k_bytes)];
            memcpy(text + at + 1, k_good[row] + at, len - at);
            struct q_slice slice = q_slice_make(text, len + 1);
            assert_int_equal(q_url_parse(q_alloc_libc(), slice, &url).code, Q_ERR_INVALID_URL);
            assert_int_equal(q_url_resolve(q_alloc_libc(), &base, slice, &url).code, Q_ERR_INVALID_URL);
        }
    }
    q_url_deinit(&base);
}

static void references_resolve_as_in_rfc_3986_section_5_4(void **state) {
    (void)state;
#define BASE "http://a/b/c/d;p?q"
    static const struct row k_rows[] = {
        {BASE, "g", "http://a/b/c/g"},
        {BASE, "./g", "http://a/b/c/g"},
        {BASE, "g/", "http://a/b/c/g/"},
        {BASE, "/g", "http://a/g"},
        {BASE, "//g", "http://g/"},
        {BASE, "?y", "http://a/b/c/d;p?y"},
        {BASE, "g?y", "http://a/b/c/g?y"},
        {BASE, "#s", "http://a/b/c/d;p?q"},
        {BASE, "g#s", "http://a/b/c/g"},
        {BASE, "g?y#s", "http://a/b/c/g?y"},
        {BASE, ";x", "http://a/b/c/;x"},
        {BASE, "g;x", "http://a/b/c/g;x"},
        {BASE, "g;x?y#s", "http://a/b/c/g;x?y"},
        {BASE, "", "http://a/b/c/d;p?q"},
        {BASE, ".", "http://a/b/c/"},
        {BASE, "./", "http://a/b/c/"},
        {BASE, "..", "http://a/b/"},
        {BASE, "../", "http://a/b/"},
        {BASE, "../g", "http://a/b/g"},
        {BASE, "../..", "http://a/"},
        {BASE, "../../", "http://a/"},
        {BASE, "../../g", "http://a/g"},
        {BASE, "../../../g", "http://a/g"},
        {BASE, "../../../../g", "http://a/g"},
        {BASE, "/./g", "http://a/g"},
        {BASE, "/../g", "http://a/g"},
        {BASE, "g.", "http://a/b/c/g."},
        {BASE, ".g", "http://a/b/c/.g"},
        {BASE, "g..", "http://a/b/c/g.."},
        {BASE, "..g", "http://a/b/c/..g"},
        {BASE, "./../g", "http://a/b/g"},
        {BASE, "./g/.", "http://a/b/c/g/"},
        {BASE, "g/./h", "http://a/b/c/g/h"},
        {BASE, "g/../h", "http://a/b/c/h"},
        {BASE, "g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {BASE, "g;x=1/../y", "http://a/b/c/y"},
        {BASE, "g?y/./x", "http://a/b/c/g?y/./x"},
        {BASE, "g#s/../x", "http://a/b/c/g"},
    };
    EXPECT_ALL(k_rows);
}

static void odd_references_resolve_as_browsers_do(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {BASE, "http:g", "http://a/b/c/g"}, // relative: the scheme is the base's
        {BASE, "http:/g", "http://a/g"},
        {BASE, "http:?y", "http://a/b/c/d;p?y"},
        {BASE, "https:g", "https://g/"}, // another scheme: absolute
        {BASE, "https:/g", "https://g/"},
        {BASE, "\\\\g\\x", "http://g/x"},
        {BASE, "/\\g", "http://g/"},
        {BASE, "\\g", "http://a/g"},
        {BASE, "///g/x", "http://g/x"},
        {BASE, "http:\\\\g", "http://g/"},
        {BASE, "?", "http://a/b/c/d;p?"},
        {BASE, "1:2", "http://a/b/c/1:2"},
        {BASE, " g h ", "http://a/b/c/g%20h"},
        {BASE, "//", NULL},
        {BASE, "//:80", NULL},
        {BASE, "mailto:x", "scheme"},
        {"http://h", "a", "http://h/a"},
        {"http://h", "?q", "http://h/?q"},
        {"https://h:8443/x/y", "../z", "https://h:8443/z"},
        {"https://[::1]:8443/x/y", "/z", "https://[::1]:8443/z"},
        {"http://h/a/b?c=/d/e", "f", "http://h/a/f"},
        // The scheme alone, scheme-relative, and nothing but a mark.
        {BASE, "http:", "http://a/b/c/d;p?q"},
        {BASE, "http:#s", "http://a/b/c/d;p?q"},
        {BASE, "http:?", "http://a/b/c/d;p?"},
        {BASE, "http:..", "http://a/b/"},
        {BASE, "http:/", "http://a/"},
        {BASE, "http://", NULL},
        {BASE, "http:///g", "http://g/"},
        {BASE, "http:/\\g", "http://g/"},
        {BASE, "HTTP:g", "http://a/b/c/g"},
        {BASE, "HtTpS:g", "https://g/"},
        {BASE, "https:", NULL},
        {BASE, "https:/", NULL},
        {BASE, "https:?q", NULL},
        {BASE, "/\\/g", "http://g/"},
        {BASE, "\\/g", "http://g/"},
        {BASE, "//u:p@g:81/x", "http://g:81/x"},
        {BASE, "//g?x", "http://g/?x"},
        {BASE, "//g#x", "http://g/"},
        {BASE, "//g\\x", "http://g/x"},
        {BASE, "//g:80", "http://g/"},
        {BASE, "//g:443", "http://g:443/"},
        {BASE, "//[::1]:80/x", "http://[::1]/x"},
        {BASE, "#", "http://a/b/c/d;p?q"},
        {BASE, "?#", "http://a/b/c/d;p?"},
        {BASE, "  ?x  ", "http://a/b/c/d;p?x"},
        {BASE, "?a?b#c", "http://a/b/c/d;p?a?b"},
        {BASE, "/", "http://a/"},
        {BASE, "/..//g", "http://a//g"},
        {BASE, ".//g", "http://a/b/c//g"},
        {BASE, "..//g", "http://a/b//g"},
        {BASE, "%2e%2e/g", "http://a/b/g"},
        {BASE, "..\\g", "http://a/b/g"},
        {BASE, "g?/../h", "http://a/b/c/g?/../h"},
        {BASE, ";:@", "http://a/b/c/;:@"},
        {BASE, "g:h", "scheme"},
        {BASE, "g/:h", "http://a/b/c/g/:h"},
        {BASE, "./g:h", "http://a/b/c/g:h"},
        {BASE, "\x01g\x1f", "http://a/b/c/g"},
    };
    EXPECT_ALL(k_rows);
}

#define SOCKET "http+unix://%2Frun%2Fs.sock"

static void a_socket_stands_where_the_host_does(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {NULL, SOCKET, SOCKET "/"},
        {NULL, SOCKET "/a/../b?c d#e", SOCKET "/b?c%20d"},
        {NULL, SOCKET "?q", SOCKET "/?q"},
        {NULL, SOCKET "#f", SOCKET "/"},
        {NULL, SOCKET "\\a\\b", SOCKET "/a/b"},
        {NULL, "HTTP+UNIX://%2frun%2f%73.sock/", SOCKET "/"},
        {NULL, "http+unix://u:p@%2Frun%2Fs.sock/x", SOCKET "/x"},
        {NULL, "http+unix://%00name/x", "http+unix://%00name/x"},
        // Written in one way only.
        {NULL, "http+unix:%2Frun%2Fs.sock/", NULL},
        {NULL, "http+unix:/%2Frun%2Fs.sock/", NULL},
        {NULL, "http+unix:///run/s.sock", NULL},
        {NULL, "http+unix:////%2Frun", NULL},
        {NULL, "http+unix:\\\\%2Frun/", NULL},
        {NULL, "http+unix:/\\%2Frun/", NULL},
        {NULL, "http+unix://", NULL},
        {NULL, "http+unix://localhost/", NULL},
        {NULL, "http+unix://%2Frun:80/", NULL}, // no port, not even an empty one
        {NULL, "http+unix://%2Frun:/", NULL},
        {NULL, "http+unix://%2Frun%00/", NULL},
        {NULL, "https+unix://%2Frun/", "scheme"},
        {NULL, "unix://%2Frun/", "scheme"},
        // References.
        {SOCKET "/a/b?c", "d", SOCKET "/a/d"},
        {SOCKET "/a/b?c", "/d", SOCKET "/d"},
        {SOCKET "/a/b?c", "?d", SOCKET "/a/b?d"},
        {SOCKET "/a/b?c", "#d", SOCKET "/a/b?c"},
        {SOCKET "/a/b?c", "", SOCKET "/a/b?c"},
        {SOCKET "/a/b?c", "//%2Fother/x", "http+unix://%2Fother/x"},
        {SOCKET "/a/b?c", "//h/x", NULL},
        {SOCKET "/a/b?c", "///x", NULL},
        {SOCKET "/a/b?c", "http+unix:x", NULL},
        {SOCKET "/a/b?c", "http+unix:/x", NULL},
        {SOCKET "/a/b?c", "http:x", "http://x/"},
        {SOCKET "/a/b?c", "http://h/x", "http://h/x"},
        {"http://h/a", SOCKET "/x", SOCKET "/x"}, // for a redirect's policy to refuse
        {"http://h/a", "http+unix:x", NULL},
    };
    EXPECT_ALL(k_rows);
}

static void a_socket_is_localhost_to_its_server(void **state) {
    (void)state;
    struct q_url base, url;
    assert_int_equal(q_url_parse(q_alloc_libc(), Q_SLICE("http+unix://u:p@%2Frun%2fs.sock/a?b"), &base).code, 0);
    assert_int_equal(q_url_resolve(q_alloc_libc(), &base, Q_SLICE("c"), &url).code, 0);
    for (const struct q_url *each = &base; each != NULL; each = each == &base ? &url : NULL) {
        assert_int_equal(each->scheme, Q_SCHEME_HTTP_UNIX);
        assert_int_equal(each->host_kind, Q_HOST_SOCKET);
        assert_true(is(each->authority, "localhost"));
        assert_true(is(each->host, "%2Frun%2Fs.sock"));
        assert_true(is(each->user, "u"));
        assert_int_equal(each->port, 0);
    }
    assert_true(is(base.target, "/a?b"));
    assert_true(is(url.target, "/c"));
    q_url_deinit(&url);
    q_url_deinit(&base);
}

static void the_parts_are_those_of_the_text(void **state) {
    (void)state;
    struct q_url url;
    assert_int_equal(
        q_url_parse(q_alloc_libc(), Q_SLICE("https://us%65r:p ss@[2001:DB8::1]:8443/a/b?c=d#e"), &url).code, 0);
    assert_int_equal(url.scheme, Q_SCHEME_HTTPS);
    assert_true(is(url.host, "2001:db8::1"));
    assert_true(is(url.authority, "[2001:db8::1]:8443"));
    assert_true(is(url.target, "/a/b?c=d"));
    assert_true(is(url.path, "/a/b"));
    assert_true(is(url.user, "us%65r"));
    assert_true(is(url.password, "p%20ss"));
    assert_true(url.has_credentials);
    assert_int_equal(url.port, 8443);
    assert_int_equal(url.host_kind, Q_HOST_IPV6);
    assert_int_equal(url.address[0], 0x20);
    assert_int_equal(url.address[15], 1);
    q_url_deinit(&url);
    assert_null(url.text);
    q_url_deinit(&url);
}

static void the_last_at_sign_ends_the_credentials(void **state) {
    (void)state;
    static const struct {
        const char *text, *user, *password, *host;
    } k_rows[] = {
        {"http://u@h/", "u", "", "h"},
        {"http://u:@h/", "u", "", "h"},
        {"http://:p@h/", "", "p", "h"},
        {"http://@h/", "", "", "h"},
        {"http://:@h/", "", "", "h"},
        {"http://u:p:q@h/", "u", "p%3Aq", "h"},
        {"http://a@b@h/", "a%40b", "", "h"},
        {"http://good.example:80@evil/", "good.example", "80", "evil"},
        {"http://h/@x", "", "", "h"},
        {"http://h?@x", "", "", "h"},
        {"http://h\\@x", "", "", "h"},
        {"http://h#@x", "", "", "h"},
        {"http://u;=[]^|@h/", "u%3B%3D%5B%5D%5E%7C", "", "h"},
    };
    for (size_t i = 0; i < sizeof(k_rows) / sizeof(k_rows[0]); i++) {
        struct q_url url;
        assert_int_equal(q_url_parse(q_alloc_libc(), q_slice_of_string(k_rows[i].text), &url).code, 0);
        assert_true(is(url.user, k_rows[i].user));
        assert_true(is(url.password, k_rows[i].password));
        assert_true(is(url.host, k_rows[i].host));
        assert_int_equal(url.has_credentials, url.user.len + url.password.len > 0);
        q_url_deinit(&url);
    }
}

static void credentials_pass_on_only_without_an_authority(void **state) {
    (void)state;
    static const struct {
        const char *reference;
        bool kept;
    } k_rows[] = {{"x", true},         {"/x", true},     {"?x", true},          {"", true},
                  {"http:x", true},    {"//h/x", false}, {"http://h/x", false}, {"https://h/x", false},
                  {"https:h/x", false}};
    struct q_url base, url;
    assert_int_equal(q_url_parse(q_alloc_libc(), Q_SLICE("http://u:p@h/a"), &base).code, 0);
    for (size_t i = 0; i < sizeof(k_rows) / sizeof(k_rows[0]); i++) {
        struct q_slice reference = q_slice_of_string(k_rows[i].reference);
        assert_int_equal(q_url_resolve(q_alloc_libc(), &base, reference, &url).code, 0);
        assert_int_equal(url.has_credentials, k_rows[i].kept);
        assert_true(is(url.user, k_rows[i].kept ? "u" : ""));
        assert_true(is(url.password, k_rows[i].kept ? "p" : ""));
        q_url_deinit(&url);
    }
    q_url_deinit(&base);
}

static bool same_origin(const char *left, const char *right) {
    struct q_url a, b;
    assert_int_equal(q_url_parse(q_alloc_libc(), q_slice_of_string(left), &a).code, 0);
    assert_int_equal(q_url_parse(q_alloc_libc(), q_slice_of_string(right), &b).code, 0);
    bool same = q_url_same_origin(&a, &b);
    q_url_deinit(&a);
    q_url_deinit(&b);
    return same;
}

static void an_origin_is_scheme_host_and_port(void **state) {
    (void)state;
    assert_true(same_origin("http://h/a", "http://H:80/b?c"));
    assert_true(same_origin("http://u:p@h/", "http://h/"));
    assert_true(same_origin("http://127.1/", "http://127.0.0.1/"));
    assert_false(same_origin("http://h/", "https://h/"));
    assert_false(same_origin("http://h:443/", "https://h/"));
    assert_false(same_origin("http://h/", "http://h:81/"));
    assert_false(same_origin("http://h/", "http://h./"));
    assert_false(same_origin("http://h/", "http://hh/"));
    assert_true(same_origin("http+unix://%2Fx/a", "http+unix://%2f%78/b"));
    assert_false(same_origin("http+unix://%2Fx/", "http+unix://%2FX/"));
    assert_false(same_origin("http+unix://%2Fx/", "http+unix://%00x/"));
    assert_false(same_origin("http+unix://%2Fx/", "http://localhost/"));
}

static void a_long_url_is_read_up_to_the_limit(void **state) {
    (void)state;
    size_t max = Q_URL_BYTES_MAX;
    char *text = malloc(max + 1);
    memset(text, ' ', max + 1);
    memcpy(text, "http://h/", 9);
    text[max - 1] = text[max] = 'x';
    struct q_url url;
    assert_int_equal(q_url_parse(q_alloc_libc(), q_slice_make(text, max), &url).code, 0);
    assert_int_equal(url.target.len, 1 + 3 * (max - 10) + 1); // each blank has become three bytes
    q_url_deinit(&url);
    assert_int_equal(q_url_parse(q_alloc_libc(), q_slice_make(text, max + 1), &url).code, Q_ERR_INVALID_URL);
    free(text);
}

static void what_was_resolved_resolves_to_itself(void **state) {
    (void)state;
    static const char *const k_texts[] = {"http://h/a b/../%2e/c?d e'f", "https://[1::0:1]:9/\\x\\..\\y?\"<>",
                                          "http://0300.1/^`{}", "http://h/%zz/\xff?\xff",
                                          "http+unix://%2f%41b%20%ff\xc3/x y"};
    for (size_t i = 0; i < sizeof(k_texts) / sizeof(k_texts[0]); i++) {
        struct q_url once, twice;
        assert_int_equal(q_url_parse(q_alloc_libc(), q_slice_of_string(k_texts[i]), &once).code, 0);
        assert_int_equal(q_url_parse(q_alloc_libc(), once.href, &twice).code, 0);
        assert_true(q_slice_equal(once.href, twice.href));
        q_url_deinit(&once);
        q_url_deinit(&twice);
    }
}

static void allocation_n_fails_for_every_n(void **state) {
    (void)state;
    static char long_text[3000];
    memset(long_text, 'x', sizeof(long_text));
    memcpy(long_text, "http://h/", 9);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct q_failalloc *memory = q_failalloc_new();
        const struct q_alloc *alloc = q_failalloc_alloc(memory);
        q_failalloc_fail_at(memory, n);
        struct q_url base = {0}, url = {0};
        struct q_error error = q_url_parse(alloc, q_slice_make(long_text, sizeof(long_text)), &base);
        if (!q_error_is(error)) {
            error = q_url_resolve(alloc, &base, Q_SLICE("y"), &url);
        }
        failed = q_failalloc_failed(memory);
        assert_int_equal(error.code, failed ? Q_ERR_NO_MEMORY : 0);
        assert_true(failed || n > 3);
        q_url_deinit(&url);
        q_url_deinit(&base);
        char text[256];
        if (!q_failalloc_check(memory, text, sizeof(text))) {
            fail_msg("%s", text);
        }
        q_failalloc_free(memory);
    }
}

static void an_empty_slice_without_a_pointer_is_an_empty_reference(void **state) {
    (void)state;
    struct q_url base, url;
    assert_int_equal(q_url_parse(q_alloc_libc(), (struct q_slice){0}, &url).code, Q_ERR_INVALID_URL);
    assert_int_equal(q_url_parse(q_alloc_libc(), Q_SLICE("http://h/a"), &base).code, 0);
    assert_int_equal(q_url_resolve(q_alloc_libc(), &base, (struct q_slice){0}, &url).code, 0);
    assert_true(is(url.href, "http://h/a"));
    q_url_deinit(&url);
    q_url_deinit(&base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absolute_urls_have_one_normal_form),
        cmocka_unit_test(dot_segments_are_removed),
        cmocka_unit_test(bytes_are_percent_encoded_as_the_standard_says),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(line_ends_tabs_and_nul_are_refused_everywhere),
        cmocka_unit_test(references_resolve_as_in_rfc_3986_section_5_4),
        cmocka_unit_test(odd_references_resolve_as_browsers_do),
        cmocka_unit_test(a_socket_stands_where_the_host_does),
        cmocka_unit_test(a_socket_is_localhost_to_its_server),
        cmocka_unit_test(the_parts_are_those_of_the_text),
        cmocka_unit_test(the_last_at_sign_ends_the_credentials),
        cmocka_unit_test(credentials_pass_on_only_without_an_authority),
        cmocka_unit_test(an_origin_is_scheme_host_and_port),
        cmocka_unit_test(a_long_url_is_read_up_to_the_limit),
        cmocka_unit_test(what_was_resolved_resolves_to_itself),
        cmocka_unit_test(allocation_n_fails_for_every_n),
        cmocka_unit_test(an_empty_slice_without_a_pointer_is_an_empty_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
