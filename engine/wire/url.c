#define _GNU_SOURCE // memrchr
#include "engine/wire/url.h"

#include "engine/wire/token.h"

// What is percent-encoded where, by the standard's sets. Bytes of 0x7f and above, and below 0x20, always are.
enum encode_set {
    IN_QUERY = 1 << 0, // the special-query set: http and https
    IN_PATH = 1 << 1,
    IN_USERINFO = 1 << 2,
};

#define PU  (IN_PATH | IN_USERINFO)
#define QPU (IN_QUERY | IN_PATH | IN_USERINFO)
// clang-format off
static const uint8_t k_encode[256] = {
    [0 ... 0x20] = QPU, ['"'] = QPU, ['#'] = QPU, ['<'] = QPU, ['>'] = QPU, ['\''] = IN_QUERY,
    ['?'] = PU, ['^'] = PU, ['`'] = PU, ['{'] = PU, ['}'] = PU,
    ['/'] = IN_USERINFO, [':'] = IN_USERINFO, [';'] = IN_USERINFO, ['='] = IN_USERINFO, ['@'] = IN_USERINFO,
    ['['] = IN_USERINFO, ['\\'] = IN_USERINFO, [']'] = IN_USERINFO, ['|'] = IN_USERINFO,
    [0x7f ... 0xff] = QPU,
};
// clang-format on

// The scheme's and the port's text, brackets, and a host that is longer than how it was written.
#define FIXED_BYTES   (64 + Q_HOST_TEXT_ROOM)
#define SCRATCH_BYTES 2048

static const struct {
    struct q_slice name;
    uint16_t port;
} k_schemes[Q_SCHEME_COUNT] = {
    [Q_SCHEME_HTTP] = {{"http", 4}, 80},
    [Q_SCHEME_HTTPS] = {{"https", 5}, 443},
    [Q_SCHEME_HTTP_UNIX] = {{"http+unix", 9}, 0},
};

#define SCHEME_END "://"

// A reference taken apart; slices of the input, nothing decoded yet.
struct parts {
    enum q_scheme scheme;
    bool has_authority;
    bool has_port;
    bool has_query;
    struct q_slice user;
    struct q_slice password;
    struct q_slice host;
    struct q_slice port;
    struct q_slice path;
    struct q_slice query;
};

// The text that is being put together, and where its pieces begin.
struct builder {
    char *out;
    size_t len;
    size_t authority, host, host_end, target, path_end, user, password;
};

static struct q_error url_error(enum q_error_code code) {
    return q_error_make(code, Q_PHASE_SUBMIT);
}

static bool is_slash(char c) {
    return c == '/' || c == '\\';
}

static void put(struct builder *b, struct q_slice s) {
    if (s.len > 0) {
        memcpy(b->out + b->len, s.ptr, s.len);
        b->len += s.len;
    }
}

static void put_encoded(struct builder *b, struct q_slice s, enum encode_set set) {
    static const char k_hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];
        if ((k_encode[byte] & set) == 0) {
            b->out[b->len++] = (char)byte;
            continue;
        }
        b->out[b->len++] = '%';
        b->out[b->len++] = k_hex[byte >> 4];
        b->out[b->len++] = k_hex[byte & 15];
    }
}

// ---- taking apart ----

// clean refuses what must never stand in a URL, and cuts off blanks at the ends and the fragment.
static bool clean(struct q_slice *text) {
    if (text->len > Q_URL_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        if (c == '\r' || c == '\n' || c == '\t' || c == '\0') {
            return false;
        }
    }
    while (text->len > 0 && (unsigned char)text->ptr[0] <= 0x20) {
        *text = q_slice_from(*text, 1);
    }
    while (text->len > 0 && (unsigned char)text->ptr[text->len - 1] <= 0x20) {
        text->len--;
    }
    const char *hash = text->len > 0 ? memchr(text->ptr, '#', text->len) : NULL;
    if (hash != NULL) {
        text->len = (size_t)(hash - text->ptr);
    }
    return true;
}

// scheme_len gives the length of the scheme in front of ':', or 0 when the text has none.
static size_t scheme_len(struct q_slice s) {
    if (s.len == 0 || !q_byte_is(s.ptr[0], Q_BYTE_ALPHA)) {
        return 0;
    }
    for (size_t i = 1; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == ':') {
            return i;
        }
        if (!q_byte_is(c, Q_BYTE_ALPHA | Q_BYTE_DIGIT) && c != '+' && c != '-' && c != '.') {
            return 0;
        }
    }
    return 0;
}

static enum q_scheme scheme_of(struct q_slice s) {
    for (int scheme = Q_SCHEME_HTTP; scheme < Q_SCHEME_COUNT; scheme++) {
        if (q_slice_equal_nocase(s, k_schemes[scheme].name)) {
            return (enum q_scheme)scheme;
        }
    }
    return Q_SCHEME_NONE;
}

// split_at cuts `s` at `offset`: what is before it is given, what is behind the byte there stays in `s`.
static struct q_slice split_at(struct q_slice *s, size_t offset) {
    struct q_slice before = q_slice_make(s->ptr, offset);
    *s = q_slice_from(*s, offset + 1);
    return before;
}

static void split_authority(struct q_slice authority, struct parts *p) {
    const char *at = authority.len > 0 ? memrchr(authority.ptr, '@', authority.len) : NULL;
    if (at != NULL) {
        struct q_slice credentials = split_at(&authority, (size_t)(at - authority.ptr));
        const char *colon = credentials.len > 0 ? memchr(credentials.ptr, ':', credentials.len) : NULL;
        p->user = colon == NULL ? credentials : split_at(&credentials, (size_t)(colon - credentials.ptr));
        p->password = colon == NULL ? (struct q_slice){0} : credentials;
    }
    bool in_brackets = false;
    p->host = authority;
    for (size_t i = 0; i < authority.len; i++) {
        char c = authority.ptr[i];
        in_brackets = c == '[' || (in_brackets && c != ']');
        if (c == ':' && !in_brackets) {
            p->host = split_at(&authority, i);
            p->port = authority;
            p->has_port = true;
            return;
        }
    }
}

// split_scheme takes the scheme off the text and says whether an authority follows. Fails with UNSUPPORTED_SCHEME, or
// INVALID_URL when the text is relative to nothing.
static struct q_error split_scheme(struct q_slice *text, const struct q_url *base, struct parts *p) {
    size_t scheme_bytes = scheme_len(*text);
    if (scheme_bytes > 0) {
        p->scheme = scheme_of(split_at(text, scheme_bytes));
        if (p->scheme == Q_SCHEME_NONE) {
            return url_error(Q_ERR_UNSUPPORTED_SCHEME);
        }
    } else if (base == NULL) {
        return url_error(Q_ERR_INVALID_URL);
    } else {
        p->scheme = (enum q_scheme)base->scheme;
    }
    bool two_slashes = text->len > 1 && is_slash(text->ptr[0]) && is_slash(text->ptr[1]);
    if (p->scheme == Q_SCHEME_HTTP_UNIX) { // is written in one way only
        p->has_authority = two_slashes && text->ptr[0] == '/' && text->ptr[1] == '/';
        return scheme_bytes > 0 && !p->has_authority ? url_error(Q_ERR_INVALID_URL) : Q_OK;
    }
    // "http:path" is relative to a base of the same scheme; without one it is absolute, slashes or not.
    p->has_authority = two_slashes || (scheme_bytes > 0 && (base == NULL || base->scheme != p->scheme));
    return Q_OK;
}

// skip_slashes goes to where the authority begins: behind all slashes, but for a socket behind two.
static void skip_slashes(struct q_slice *text, enum q_scheme scheme) {
    size_t max = scheme == Q_SCHEME_HTTP_UNIX ? 2 : SIZE_MAX;
    for (size_t i = 0; i < max && text->len > 0 && is_slash(text->ptr[0]); i++) {
        *text = q_slice_from(*text, 1);
    }
}

// split takes a clean reference apart. Fails as split_scheme does.
static struct q_error split(struct q_slice text, const struct q_url *base, struct parts *p) {
    struct q_error error = split_scheme(&text, base, p);
    if (q_error_is(error)) {
        return error;
    }
    const char *mark = text.len > 0 ? memchr(text.ptr, '?', text.len) : NULL;
    if (mark != NULL) {
        p->has_query = true;
        struct q_slice before = split_at(&text, (size_t)(mark - text.ptr));
        p->query = text;
        text = before;
    }
    if (p->has_authority) {
        skip_slashes(&text, p->scheme);
        size_t len = 0;
        while (len < text.len && !is_slash(text.ptr[len])) {
            len++;
        }
        split_authority(q_slice_make(text.ptr, len), p);
        text = q_slice_from(text, len);
    }
    p->path = text;
    return Q_OK;
}

// ---- putting together ----

static bool read_port(struct q_slice text, uint16_t default_port, uint16_t *out) {
    uint64_t port = default_port;
    if (text.len > 0 && (!q_slice_to_u64(text, &port) || port > UINT16_MAX)) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

static void put_port(struct builder *b, uint16_t port) {
    char digits[20];
    put(b, Q_SLICE(":"));
    put(b, q_slice_make(digits, q_u64_to_text(port, digits)));
}

static enum q_error_code put_authority(struct builder *b, const struct parts *p, struct q_url *url) {
    bool is_socket = url->scheme == Q_SCHEME_HTTP_UNIX;
    uint16_t default_port = k_schemes[url->scheme].port;
    if (is_socket ? p->has_port : !read_port(p->port, default_port, &url->port)) {
        return Q_ERR_INVALID_URL;
    }
    bool brackets = p->host.len > 0 && p->host.ptr[0] == '[';
    if (brackets) {
        put(b, Q_SLICE("["));
    }
    b->host = b->len;
    struct q_host host;
    char *at = b->out + b->len;
    enum q_error_code code = is_socket ? q_host_parse_socket(p->host, at, &host) : q_host_parse(p->host, at, &host);
    if (code != Q_ERR_OK) {
        return code;
    }
    b->len += host.text_len;
    b->host_end = b->len;
    if (brackets) {
        put(b, Q_SLICE("]"));
    }
    if (url->port != default_port) {
        put_port(b, url->port);
    }
    url->host_kind = host.kind;
    memcpy(url->address, host.address, sizeof(url->address));
    return Q_ERR_OK;
}

// put_base_authority copies what stands between scheme and target.
static void put_base_authority(struct builder *b, const struct q_url *base, struct q_url *url) {
    const char *begin = base->href.ptr + k_schemes[base->scheme].name.len + strlen(SCHEME_END);
    b->host = b->len + (size_t)(base->host.ptr - begin);
    b->host_end = b->host + base->host.len;
    put(b, q_slice_make(begin, (size_t)(base->target.ptr - begin)));
    url->port = base->port;
    url->host_kind = base->host_kind;
    memcpy(url->address, base->address, sizeof(url->address));
}

// dots_of gives 1 or 2 for a dot segment in any of its spellings, else 0.
static int dots_of(struct q_slice segment) {
    int dots = 0;
    while (segment.len > 0) {
        bool encoded = segment.len >= 3 && q_slice_equal_nocase(q_slice_make(segment.ptr, 3), Q_SLICE("%2e"));
        if ((!encoded && segment.ptr[0] != '.') || ++dots > 2) {
            return 0;
        }
        segment = q_slice_from(segment, encoded ? 3 : 1);
    }
    return dots;
}

// drop_segment takes the last segment, and the '/' in front of it, off the path.
static void drop_segment(struct builder *b) {
    while (b->len > b->target) {
        b->len--;
        if (b->out[b->len] == '/') {
            return;
        }
    }
}

// put_path appends the segments of `path` to the path so far; one slash in front of the first is not needed.
static void put_path(struct builder *b, struct q_slice path) {
    if (path.len > 0 && is_slash(path.ptr[0])) {
        path = q_slice_from(path, 1);
    }
    for (bool more = true; more;) {
        size_t len = 0;
        while (len < path.len && !is_slash(path.ptr[len])) {
            len++;
        }
        more = len < path.len;
        struct q_slice segment = split_at(&path, len);
        int dots = dots_of(segment);
        if (dots == 2) {
            drop_segment(b);
        }
        if (dots == 0 || !more) { // a dot segment at the end leaves an empty one
            put(b, Q_SLICE("/"));
            put_encoded(b, dots == 0 ? segment : (struct q_slice){0}, IN_PATH);
        }
    }
}

static void put_target(struct builder *b, const struct parts *p, const struct q_url *base) {
    b->target = b->len;
    bool relative = !p->has_authority && (p->path.len == 0 || !is_slash(p->path.ptr[0]));
    if (relative && p->path.len == 0) {
        put(b, p->has_query ? base->path : base->target);
        b->path_end = b->target + base->path.len;
    } else {
        if (relative) {
            put(b, base->path);
            drop_segment(b);
        }
        put_path(b, p->path);
        b->path_end = b->len;
    }
    if (p->has_query) {
        put(b, Q_SLICE("?"));
        put_encoded(b, p->query, IN_QUERY);
    }
}

static void put_credentials(struct builder *b, const struct parts *p, const struct q_url *base) {
    b->user = b->len;
    if (p->has_authority) {
        put_encoded(b, p->user, IN_USERINFO);
        b->password = b->len;
        put_encoded(b, p->password, IN_USERINFO);
    } else {
        put(b, base->user);
        b->password = b->len;
        put(b, base->password);
    }
}

// point_slices makes the slices of `url` from where the pieces stand in its own text.
static void point_slices(struct q_url *url, const struct builder *b) {
    const char *text = url->text;
    url->href = q_slice_make(text, b->user);
    url->authority = url->scheme == Q_SCHEME_HTTP_UNIX ? Q_SLICE("localhost")
                                                       : q_slice_make(text + b->authority, b->target - b->authority);
    url->host = q_slice_make(text + b->host, b->host_end - b->host);
    url->target = q_slice_make(text + b->target, b->user - b->target);
    url->path = q_slice_make(text + b->target, b->path_end - b->target);
    url->user = q_slice_make(text + b->user, b->password - b->user);
    url->password = q_slice_make(text + b->password, b->len - b->password);
    url->has_credentials = b->len > b->user;
}

static struct q_error assemble(const struct q_alloc *alloc, const struct q_url *base, const struct parts *p,
                               char *scratch, struct q_url *out) {
    struct builder b = {.out = scratch};
    struct q_url url = {.alloc = alloc, .scheme = (uint8_t)p->scheme};
    put(&b, k_schemes[p->scheme].name);
    put(&b, Q_SLICE(SCHEME_END));
    b.authority = b.len;
    enum q_error_code code = Q_ERR_OK;
    if (!p->has_authority) {
        put_base_authority(&b, base, &url);
    } else {
        code = put_authority(&b, p, &url);
    }
    if (code != Q_ERR_OK) {
        return url_error(code);
    }
    put_target(&b, p, base);
    put_credentials(&b, p, base);
    url.text = q_alloc_copy(alloc, b.out, b.len);
    if (url.text == NULL) {
        return url_error(Q_ERR_NO_MEMORY);
    }
    url.text_size = b.len + 1;
    point_slices(&url, &b);
    *out = url;
    return Q_OK;
}

struct q_error q_url_resolve(const struct q_alloc *alloc, const struct q_url *base, struct q_slice reference,
                             struct q_url *out) {
    *out = (struct q_url){0};
    struct parts parts = {0};
    if (reference.len == 0) {
        reference = Q_SLICE(""); // an empty slice may have no pointer to count from
    }
    if (!clean(&reference)) {
        return url_error(Q_ERR_INVALID_URL);
    }
    struct q_error error = split(reference, base, &parts);
    if (q_error_is(error)) {
        return error;
    }
    // Every byte of the reference grows to three at most; of the base every byte comes once at most.
    size_t need = 3 * reference.len + (base == NULL ? 0 : base->text_size) + FIXED_BYTES;
    char small[SCRATCH_BYTES];
    char *scratch = need <= sizeof(small) ? small : q_alloc_new(alloc, need);
    if (scratch == NULL) {
        return url_error(Q_ERR_NO_MEMORY);
    }
    error = assemble(alloc, base, &parts, scratch, out);
    if (parts.user.len + parts.password.len > 0 || (base != NULL && base->has_credentials)) {
        q_wipe(scratch, need);
    }
    if (scratch != small) {
        q_alloc_free(alloc, scratch, need);
    }
    return error;
}

struct q_error q_url_parse(const struct q_alloc *alloc, struct q_slice text, struct q_url *out) {
    return q_url_resolve(alloc, NULL, text, out);
}

void q_url_deinit(struct q_url *url) {
    if (url->text != NULL) {
        (url->has_credentials ? q_alloc_free_wiped : q_alloc_free)(url->alloc, url->text, url->text_size);
    }
    *url = (struct q_url){0};
}

bool q_url_same_origin(const struct q_url *a, const struct q_url *b) {
    return a->scheme == b->scheme && a->port == b->port && q_slice_equal(a->host, b->host);
}
