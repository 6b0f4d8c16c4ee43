// Redirects: the input is a request (its first bytes) and up to HOPS_MAX hops, apart by the byte 0xff: a status, then
// the Location as a server would send it. Each hop's head is read line by line and compared with a small model of what
// may go where: credentials stay at their origin, method and body follow the status, nothing else changes. An
// allocation that the input chooses fails at each hop, once, before the hop is made again.
#include "engine/exchange/redirect.h"
#include "engine/wire/url_basic.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/failalloc.h"

#include <string.h>

#define HOPS_MAX 4
#define HEAD_BYTES 6  // of an input: method, URL, fields, more fields, options, failing allocation
#define VALUE_MAX 4096 // of an Authorization that is followed; longer ones are not looked into
#define X_FIELDS_MAX 255

// What a field of the request's is to a redirect.
enum field_kind { FIELD_ANY, FIELD_OF_ORIGIN, FIELD_OF_BODY, FIELD_AUTHORIZATION, FIELD_HOST };

static const struct {
    const char *name;
    const char *value;
    enum field_kind kind;
} k_fields[] = {
    {"Authorization", "Bearer our-own", FIELD_AUTHORIZATION},
    {"Cookie", "session=ours", FIELD_OF_ORIGIN},
    {"Proxy-Authorization", "Basic proxys", FIELD_OF_ORIGIN},
    {"hOsT", "given.example", FIELD_HOST},
    {"Content-Type", "text/plain", FIELD_OF_BODY},
    {"COOKIE", "second=too", FIELD_OF_ORIGIN},
    {"authorization", "Other scheme", FIELD_AUTHORIZATION},
    {"X-Mine", "1", FIELD_ANY},
    {"Content-Encoding", "gzip", FIELD_OF_BODY},
    {"content-language", "de", FIELD_OF_BODY},
    {"Content-Location", "/there", FIELD_OF_BODY},
    {"Content-Disposition", "inline", FIELD_OF_BODY},
    {"User-Agent", "fuzz", FIELD_ANY},
    {"accept", "text/plain", FIELD_ANY},
    {"Referer", "http://elsewhere/", FIELD_ANY},
    {"Range", "bytes=0-1", FIELD_ANY},
};

enum option {
    OPTION_KEEPS_SCHEME = 1,
    OPTION_BODY = 2,
    OPTION_BODY_LENT = 4,
    OPTION_LOCAL = 8,
    OPTION_DETOUR = 16,
    OPTION_UPGRADE = 32,
    OPTION_CLOSE = 64,
    OPTION_MANY_FIELDS = 128,
};

// What must be true of the request that is under way, kept beside the specs and without looking at the rules' code.
struct model {
    const char *method;
    unsigned fields;  // bits of k_fields that are still there
    unsigned options; // enum option
    uint32_t x_fields;
    bool has_body;
    bool has_basic;          // credentials of a URL's are sent
    bool is_basic_fixed;     // they have become a field, before which a Location's own do not count
    char basic[VALUE_MAX];   // their value
    size_t basic_len;
    char start[VALUE_MAX];   // scheme, host and port of the hop, as its URL says it: up to the path
    char href[VALUE_MAX];
    uint32_t releases;
    bool is_too_long; // for this model: the run ends
};

static struct model g_model;
static const char k_body[] = "what is sent";

static void count_release(void *context, const void *data, size_t len) {
    struct model *m = context;
    FUZZ_CHECK(data == k_body && len == sizeof k_body - 1);
    m->releases++;
}

static struct q_slice text(const char *string) { return q_slice_of_string(string); }

// start_of gives a URL up to its path: what makes its origin.
static struct q_slice start_of(struct q_slice href) {
    size_t at = 0;
    for (unsigned slashes = 0; at < href.len && slashes < 3; at++) {
        slashes += href.ptr[at] == '/';
    }
    return q_slice_make(href.ptr, at == 0 ? 0 : at - 1);
}

static bool keep(char *out, struct q_slice what) {
    if (what.len >= VALUE_MAX) {
        return false;
    }
    memcpy(out, what.ptr, what.len);
    out[what.len] = 0;
    return true;
}

static bool keep_basic(struct model *m, const struct q_url *url) {
    m->has_basic = true;
    m->basic_len = q_url_write_basic(url, m->basic, sizeof m->basic);
    return m->basic_len < sizeof m->basic;
}

static bool gives(const struct model *m, enum field_kind kind) {
    for (size_t i = 0; i < Q_COUNT_OF(k_fields); i++) {
        if ((m->fields >> i & 1) != 0 && k_fields[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static void drop(struct model *m, enum field_kind kind) {
    for (size_t i = 0; i < Q_COUNT_OF(k_fields); i++) {
        if (k_fields[i].kind == kind) {
            m->fields &= ~(1u << i);
        }
    }
}

// --- the head that would be sent ---------------------------------------------------------------------------------

static struct q_slice take_line(struct q_slice *rest) {
    const char *end = memchr(rest->ptr, '\r', rest->len);
    FUZZ_CHECK(end != NULL && end + 1 < rest->ptr + rest->len && end[1] == '\n');
    struct q_slice line = q_slice_make(rest->ptr, (size_t)(end - rest->ptr));
    FUZZ_CHECK(memchr(line.ptr, '\n', line.len) == NULL && memchr(line.ptr, 0, line.len) == NULL);
    *rest = q_slice_from(*rest, line.len + 2);
    return line;
}

static bool is_line(struct q_slice line, const char *name, struct q_slice value) {
    size_t name_len = strlen(name);
    return line.len == name_len + 2 + value.len && memcmp(line.ptr, name, name_len) == 0 &&
           memcmp(line.ptr + name_len, ": ", 2) == 0 && memcmp(line.ptr + name_len + 2, value.ptr, value.len) == 0;
}

static void check_request_line(const struct model *m, struct q_slice line) {
    const char *target = m->href + strlen(m->start);
    size_t method_len = strlen(m->method), target_len = strlen(target);
    FUZZ_CHECK(line.len == method_len + 1 + target_len + strlen(" HTTP/1.1"));
    FUZZ_CHECK(memcmp(line.ptr, m->method, method_len) == 0 && line.ptr[method_len] == ' ');
    FUZZ_CHECK(memcmp(line.ptr + method_len + 1, target, target_len) == 0);
    FUZZ_CHECK(memcmp(line.ptr + line.len - 9, " HTTP/1.1", 9) == 0);
    FUZZ_CHECK(target[0] == '/' && strchr(target, '#') == NULL && strchr(target, ' ') == NULL);
}

static struct q_slice host_of(const struct model *m) {
    if (gives(m, FIELD_HOST)) {
        return text("given.example");
    }
    const char *host = strstr(m->start, "://");
    FUZZ_CHECK(host != NULL);
    return memcmp(m->start, "http+unix:", 10) == 0 ? text("localhost") : text(host + 3);
}

static bool sends_length(const struct model *m) {
    return m->has_body || strcmp(m->method, "POST") == 0 || strcmp(m->method, "PUT") == 0 ||
           strcmp(m->method, "PATCH") == 0;
}

// A fixed Authorization of a URL's stands among the fields, behind them; each line is looked up by its whole text.
static void check_head(const struct model *m, const struct q_spec *spec) {
    struct q_slice rest = q_slice_make(spec->head, spec->head_len);
    check_request_line(m, take_line(&rest));
    FUZZ_CHECK(is_line(take_line(&rest), "Host", host_of(m)));
    for (size_t i = 0; i < Q_COUNT_OF(k_fields); i++) {
        if ((m->fields >> i & 1) != 0 && k_fields[i].kind != FIELD_HOST) {
            FUZZ_CHECK(is_line(take_line(&rest), k_fields[i].name, text(k_fields[i].value)));
        }
    }
    for (uint32_t i = 0; i < m->x_fields; i++) {
        FUZZ_CHECK(is_line(take_line(&rest), "X", text("y")));
    }
    bool closes = (m->options & OPTION_CLOSE) != 0;
    FUZZ_CHECK(!closes || is_line(take_line(&rest), "Connection", text("close")));
    if (m->has_basic && !gives(m, FIELD_AUTHORIZATION)) {
        FUZZ_CHECK(is_line(take_line(&rest), "Authorization", q_slice_make(m->basic, m->basic_len)));
    }
    if ((m->fields >> 12 & 1) == 0) {
        FUZZ_CHECK(memcmp(take_line(&rest).ptr, "User-Agent: quoit", 17) == 0);
    }
    FUZZ_CHECK((m->fields >> 13 & 1) != 0 || is_line(take_line(&rest), "Accept", text("*/*")));
    if ((m->options & OPTION_UPGRADE) != 0) {
        FUZZ_CHECK(is_line(take_line(&rest), "Connection", text("Upgrade")));
        FUZZ_CHECK(is_line(take_line(&rest), "Upgrade", text("websocket")));
    }
    if (sends_length(m)) {
        FUZZ_CHECK(is_line(take_line(&rest), "Content-Length", m->has_body ? text("12") : text("0")));
    }
    FUZZ_CHECK(take_line(&rest).len == 0 && rest.len == 0);
}

static void check_spec(const struct model *m, const struct q_spec *spec) {
    FUZZ_CHECK(spec->is_frozen && q_slice_equal(spec->method, text(m->method)));
    FUZZ_CHECK(spec->is_head == (strcmp(m->method, "HEAD") == 0));
    FUZZ_CHECK(q_slice_equal(spec->url.href, text(m->href)));
    FUZZ_CHECK(spec->has_body == m->has_body);
    FUZZ_CHECK(!m->has_body || (spec->body_len == 12 && memcmp(spec->body, k_body, 12) == 0));
    FUZZ_CHECK(spec->redirects_max == 7 && spec->asks_redirects);
    FUZZ_CHECK(spec->keeps_scheme == ((m->options & OPTION_KEEPS_SCHEME) != 0));
    FUZZ_CHECK(spec->credit == 1234 && spec->is_credit_manual && spec->bounds.total_ns == 99);
    FUZZ_CHECK(spec->feed_max == 70000);
    FUZZ_CHECK((spec->origin.local.family != Q_ENDPOINT_NONE) == ((m->options & OPTION_LOCAL) != 0));
    bool is_led = (m->options & OPTION_DETOUR) != 0 && spec->url.scheme != Q_SCHEME_HTTP_UNIX;
    FUZZ_CHECK(!is_led || spec->origin.peer.port == 9);
    struct q_url again; // what is sent somewhere can be written down and read again
    FUZZ_CHECK(q_url_parse(q_alloc_libc(), spec->url.href, &again).code == 0);
    FUZZ_CHECK(q_slice_equal(again.href, spec->url.href) && q_slice_equal(again.target, spec->url.target));
    FUZZ_CHECK(q_slice_equal(again.authority, spec->url.authority) && !again.has_credentials);
    q_url_deinit(&again);
    check_head(m, spec);
}

// --- one hop -----------------------------------------------------------------------------------------------------

// speaks_tls: whether this engine takes https at all.
static bool speaks_tls(void) {
    struct q_spec *spec = NULL;
    struct q_error error = q_spec_new(q_alloc_libc(), Q_SLICE("GET"), Q_SLICE("https://a/"), &spec);
    if (!q_error_is(error)) {
        q_spec_release(spec);
    }
    return !q_error_is(error);
}

static bool is_forbidden(struct q_slice location) {
    for (size_t i = 0; i < location.len; i++) {
        if (strchr("\r\n\t", location.ptr[i]) != NULL) { // and the NUL at its end
            return true;
        }
    }
    return false;
}

// A reference that begins with a path, a query or a fragment names no origin.
static bool stays_by_its_look(struct q_slice location) {
    if (location.len == 0 || location.ptr[0] == '?' || location.ptr[0] == '#') {
        return true;
    }
    return location.ptr[0] == '/' && (location.len == 1 || (location.ptr[1] != '/' && location.ptr[1] != '\\'));
}

// wanted gives the error that the hop must have, Q_ERR_OK for none; `url` is where the Location leads from a base
// without credentials, so that those in it are the Location's own.
static int32_t wanted(const struct model *m, struct q_slice location, struct q_url *url) {
    struct q_url base;
    FUZZ_CHECK(q_url_parse(q_alloc_libc(), text(m->href), &base).code == 0);
    struct q_error error = q_url_resolve(q_alloc_libc(), &base, location, url);
    q_url_deinit(&base);
    if (is_forbidden(location)) {
        FUZZ_CHECK(error.code != 0);
        return Q_ERR_HTTP_BAD_LOCATION;
    }
    if (error.code != 0) {
        return error.code == Q_ERR_INVALID_URL ? Q_ERR_HTTP_BAD_LOCATION : error.code;
    }
    bool is_same = q_slice_equal(start_of(url->href), text(m->start));
    FUZZ_CHECK(is_same || !stays_by_its_look(location));
    size_t scheme_len = strcspn(m->start, ":") + 1; // in both there is a ':', before any NUL
    bool is_same_scheme = strncmp(m->start, url->href.ptr, scheme_len) == 0;
    if (((m->options & OPTION_KEEPS_SCHEME) != 0 && !is_same_scheme) || (url->scheme == Q_SCHEME_HTTP_UNIX && !is_same) ||
        (url->scheme == Q_SCHEME_HTTPS && !speaks_tls())) {
        return Q_ERR_UNSUPPORTED_SCHEME;
    }
    bool has_field = is_same && (gives(m, FIELD_AUTHORIZATION) || m->is_basic_fixed);
    return has_field || q_url_basic_is_valid(url) ? Q_ERR_OK : Q_ERR_HTTP_BAD_LOCATION;
}

// follow makes the model's step; false: too long to be followed further.
static bool follow(struct model *m, uint16_t status, const struct q_url *url) {
    bool is_post = strcmp(m->method, "POST") == 0, is_head = strcmp(m->method, "HEAD") == 0;
    if (status == 303 ? !is_head : (status == 301 || status == 302) && is_post) {
        m->method = "GET";
        m->has_body = false;
        drop(m, FIELD_OF_BODY);
    }
    struct q_slice start = start_of(url->href);
    if (!q_slice_equal(start, text(m->start))) {
        drop(m, FIELD_OF_ORIGIN);
        drop(m, FIELD_AUTHORIZATION);
        drop(m, FIELD_HOST);
        m->has_basic = m->is_basic_fixed = false;
    }
    if (!m->is_basic_fixed && url->has_credentials && !keep_basic(m, url)) {
        return false;
    }
    return keep(m->start, start) && keep(m->href, url->href);
}

// fail_once makes the hop with one allocation that fails, if it comes to that one; nothing may be left of it.
static void fail_once(struct model *m, struct q_failalloc *memory, struct q_spec *spec, uint16_t status,
                      struct q_slice location, int32_t code, unsigned nth) {
    uint64_t live = q_failalloc_live(memory);
    struct q_spec *next = NULL;
    q_failalloc_fail_at(memory, nth);
    struct q_error error = q_redirect_next(spec, status, location, &next);
    bool has_failed = q_failalloc_failed(memory);
    q_failalloc_fail_at(memory, 0);
    FUZZ_CHECK(error.code == (has_failed ? Q_ERR_NO_MEMORY : code));
    if (error.code == 0) {
        q_spec_release(next);
    }
    FUZZ_CHECK(q_failalloc_live(memory) == live && m->releases == 0);
}

// hop takes over the hold on `spec` when it gives the next hop; NULL: there is none.
static struct q_spec *hop(struct model *m, struct q_failalloc *memory, struct q_spec *spec, struct q_slice input,
                          unsigned fail_nth) {
    static const uint16_t k_statuses[] = {301, 302, 303, 307, 308};
    uint16_t status = k_statuses[input.len == 0 ? 0 : (unsigned char)input.ptr[0] % Q_COUNT_OF(k_statuses)];
    struct q_slice location = q_slice_from(input, 1);
    FUZZ_CHECK(q_redirect_is(status));
    struct q_url url;
    int32_t code = wanted(m, location, &url);
    uint64_t live = q_failalloc_live(memory);
    if (fail_nth > 0) {
        fail_once(m, memory, spec, status, location, code, fail_nth);
    }
    struct q_spec *next = NULL;
    struct q_error error = q_redirect_next(spec, status, location, &next);
    FUZZ_CHECK(error.code == code);
    if (code != 0) {
        FUZZ_CHECK(next == NULL && q_failalloc_live(memory) == live);
        q_url_deinit(&url);
        return NULL;
    }
    bool had_body = m->has_body;
    m->is_too_long = !follow(m, status, &url);
    q_url_deinit(&url);
    if (!m->is_too_long) {
        // By the standard a reference without an authority has the base's credentials: then they stay the URL's.
        bool is_of_url = next->url.has_credentials || gives(m, FIELD_AUTHORIZATION);
        m->is_basic_fixed = m->is_basic_fixed || (m->has_basic && !is_of_url);
        check_spec(m, next);
    }
    q_spec_release(spec); // the next hop keeps what it needs
    if ((m->options & OPTION_BODY_LENT) != 0 && had_body) {
        FUZZ_CHECK(m->releases == (m->has_body ? 0 : 1));
        m->options &= m->has_body ? ~0u : ~(unsigned)OPTION_BODY_LENT;
        m->releases = 0;
    }
    return next;
}

// --- the request -------------------------------------------------------------------------------------------------

static void must(struct q_error error) { FUZZ_CHECK(error.code == 0); }

static void add_fields(struct model *m, struct q_spec *spec) {
    for (size_t i = 0; i < Q_COUNT_OF(k_fields); i++) {
        if ((m->fields >> i & 1) != 0) {
            must(q_spec_add_header(spec, text(k_fields[i].name), text(k_fields[i].value)));
        }
    }
    for (uint32_t i = 0; i < m->x_fields; i++) {
        must(q_spec_add_header(spec, text("X"), text("y")));
    }
    if ((m->options & OPTION_CLOSE) != 0) {
        must(q_spec_add_header(spec, text("Connection"), text("close")));
    }
}

static void add_options(struct model *m, struct q_spec *spec) {
    must(q_spec_set_redirects(spec, 7, (m->options & OPTION_KEEPS_SCHEME) != 0));
    must(q_spec_ask_redirects(spec, true));
    must(q_spec_set_credit(spec, 1234, true));
    must(q_spec_set_feed_max(spec, 70000));
    must(q_spec_set_bounds(spec, &(struct q_bounds){.total_ns = 99}));
    if (m->has_body) {
        bool is_lent = (m->options & OPTION_BODY_LENT) != 0;
        must(q_spec_set_body(spec, k_body, sizeof k_body - 1, is_lent ? count_release : NULL, m));
    }
    if ((m->options & OPTION_LOCAL) != 0) {
        must(q_spec_set_local_address(spec, Q_SLICE("127.0.0.3")));
    }
    if ((m->options & OPTION_DETOUR) != 0) {
        must(q_spec_connect_to(spec, &(struct q_detour_rule){.to_host = Q_SLICE("d"), .to_port = 9}));
    }
    if ((m->options & OPTION_UPGRADE) != 0) {
        must(q_spec_set_upgrade(spec, Q_SLICE("websocket")));
    }
}

static struct q_spec *build(struct model *m, const struct q_alloc *alloc, const unsigned char *head) {
    static const char *const k_methods[] = {"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "X"};
    static const char *const k_urls[] = {
        "http://a/dir/x?q", "http://us3r:p4ss@a/dir/x", "http://a:81/",          "http://u@[::1]:8080/x",
        "http://127.0.0.1", "http+unix://%2Frun%2Fs/x", "http://:p%40q@xn--bcher-kva.example/a/b/../c?d#e",
        "http+unix://u:p@%00abstract/a/b"};
    *m = (struct model){.method = k_methods[head[0] % Q_COUNT_OF(k_methods)],
                        .fields = head[2] | (unsigned)head[3] << 8,
                        .options = head[4]};
    const char *url = k_urls[head[1] % Q_COUNT_OF(k_urls)];
    url = (head[1] & 0x80) != 0 && speaks_tls() ? "https://us3r:p4ss@a/dir/x" : url;
    bool is_socket = memcmp(url, "http+unix:", 10) == 0;
    m->options &= is_socket ? ~(unsigned)OPTION_LOCAL : ~0u;
    m->options &= (m->options & OPTION_UPGRADE) != 0 ? ~(unsigned)OPTION_CLOSE : ~0u;
    m->has_body = (m->options & OPTION_BODY) != 0;
    m->options &= m->has_body ? ~0u : ~(unsigned)OPTION_BODY_LENT;
    unsigned count = (unsigned)__builtin_popcount(m->fields) + ((m->options & OPTION_CLOSE) != 0);
    m->x_fields = (m->options & OPTION_MANY_FIELDS) != 0 ? Q_HEADERS_COUNT_DEFAULT - count : 0;
    struct q_spec *spec = NULL;
    must(q_spec_new(alloc, text(m->method), text(url), &spec));
    add_fields(m, spec);
    add_options(m, spec);
    must(q_spec_freeze(spec));
    FUZZ_CHECK(keep(m->href, spec->url.href) && keep(m->start, start_of(spec->url.href)));
    FUZZ_CHECK(!spec->url.has_credentials || keep_basic(m, &spec->url));
    check_spec(m, spec);
    return spec;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD_BYTES) {
        return 0;
    }
    struct model *m = &g_model;
    struct q_failalloc *memory = q_failalloc_new();
    struct q_spec *spec = build(m, q_failalloc_alloc(memory), data);
    struct q_slice rest = q_slice_make(data + HEAD_BYTES, size - HEAD_BYTES);
    for (unsigned i = 0; i < HOPS_MAX && !m->is_too_long; i++) {
        const char *mark = rest.len > 0 ? memchr(rest.ptr, 0xff, rest.len) : NULL;
        struct q_slice one = q_slice_make(rest.ptr, mark != NULL ? (size_t)(mark - rest.ptr) : rest.len);
        struct q_spec *next = hop(m, memory, spec, one, data[5]);
        if (next == NULL) {
            break;
        }
        spec = next;
        rest = q_slice_from(rest, one.len + 1);
        if (mark == NULL) {
            break;
        }
    }
    q_spec_release(spec);
    FUZZ_CHECK(m->releases == ((m->options & OPTION_BODY_LENT) != 0 ? 1 : 0));
    char what[256] = "";
    if (!q_failalloc_check(memory, what, sizeof what)) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
    q_failalloc_free(memory);
    return 0;
}
