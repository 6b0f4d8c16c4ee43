#include "engine/net/resolv_conf.h"

#include "engine/base/check.h"
#include "engine/net/words.h"

#include <netinet/in.h>

#define NAME_MAX_LEN 253 // of a domain name in text

struct reading {
    struct q_resolv_conf *conf;
    q_resolv_zone_fn *zone_of;
    const void *context;
};

uint32_t q_resolv_conf_zone(const void *context, struct q_slice name) {
    const struct q_resolv_conf *conf = context;
    for (uint32_t i = 0; i < conf->num_servers; i++) {
        if (conf->zones[i].index != 0 && q_slice_equal(name, q_slice_of_string(conf->zones[i].name))) {
            return conf->zones[i].index;
        }
    }
    return 0;
}

static uint32_t zone_index(struct q_slice zone, q_resolv_zone_fn *zone_of, const void *context) {
    uint64_t number;
    if (q_slice_to_u64(zone, &number)) {
        return number <= UINT32_MAX ? (uint32_t)number : 0;
    }
    bool fits = zone.len > 0 && zone.len < Q_RESOLV_ZONE_MAX && memchr(zone.ptr, '/', zone.len) == NULL &&
                memchr(zone.ptr, 0, zone.len) == NULL;
    return fits && zone_of != NULL ? zone_of(context, zone) : 0;
}

static bool split_at(struct q_slice text, char mark, struct q_slice *before, struct q_slice *behind) {
    const char *at = text.len == 0 ? NULL : memchr(text.ptr, mark, text.len);
    *before = at == NULL ? text : q_slice_make(text.ptr, (size_t)(at - text.ptr));
    *behind = at == NULL ? (struct q_slice){0} : q_slice_from(text, before->len + 1);
    return at != NULL;
}

// Takes the port off what is "[address]:port" or "address:port"; false when what stands there is none.
static bool take_port(struct q_slice *text, uint16_t *out_port) {
    struct q_slice port = {0};
    struct q_slice rest;
    if (text->len > 0 && text->ptr[0] == '[') {
        struct q_slice inner;
        if (!split_at(q_slice_from(*text, 1), ']', &inner, &rest)) {
            return false;
        }
        *text = inner;
        if (rest.len > 0 && rest.ptr[0] != ':') {
            return false;
        }
        port = q_slice_from(rest, 1);
        if (rest.len == 0) {
            return true;
        }
    } else {
        struct q_slice before;
        bool has_colon = split_at(*text, ':', &before, &rest);
        if (!has_colon || memchr(rest.ptr, ':', rest.len) != NULL) {
            return true; // no colon, or an IPv6 address, which has several
        }
        *text = before;
        port = rest;
    }
    uint64_t number;
    if (!q_slice_to_u64(port, &number) || number == 0 || number > UINT16_MAX) {
        return false;
    }
    *out_port = (uint16_t)number;
    return true;
}

bool q_resolv_server_parse(struct q_slice text, q_resolv_zone_fn *zone_of, const void *context, struct q_address *out) {
    uint16_t port = Q_RESOLV_PORT;
    struct q_slice literal;
    struct q_slice zone;
    if (!take_port(&text, &port)) {
        return false;
    }
    bool has_zone = split_at(text, '%', &literal, &zone);
    if (!q_address_parse(literal, port, out)) {
        return false;
    }
    if (has_zone) {
        if (out->u.any.sa_family != AF_INET6) {
            return false;
        }
        out->u.v6.sin6_scope_id = zone_index(zone, zone_of, context);
        return out->u.v6.sin6_scope_id != 0;
    }
    return true;
}

static void note_zone(struct q_resolv_zone *zone, struct q_slice server, uint32_t index) {
    struct q_slice literal;
    struct q_slice name;
    *zone = (struct q_resolv_zone){0};
    if (index != 0 && split_at(server, '%', &literal, &name) && name.len < Q_RESOLV_ZONE_MAX) {
        memcpy(zone->name, name.ptr, name.len);
        zone->index = index;
    }
}

static void read_nameserver(struct reading *reading, struct q_slice line) {
    struct q_resolv_conf *conf = reading->conf;
    struct q_slice word = q_next_word(&line);
    struct q_address *server = &conf->servers[conf->num_servers];
    if (conf->num_servers == Q_RESOLV_FILE_SERVERS_MAX ||
        !q_resolv_server_parse(word, reading->zone_of, reading->context, server)) {
        return;
    }
    bool is_v6 = server->u.any.sa_family == AF_INET6;
    note_zone(&conf->zones[conf->num_servers], word, is_v6 ? server->u.v6.sin6_scope_id : 0);
    conf->num_servers++;
}

// Puts `domain` behind the others: lower case, without dots at its ends. "." is the root, and adds nothing to a name.
static void add_domain(struct q_resolv_conf *conf, struct q_slice domain) {
    while (domain.len > 0 && domain.ptr[0] == '.') {
        domain = q_slice_from(domain, 1);
    }
    while (domain.len > 0 && domain.ptr[domain.len - 1] == '.') {
        domain.len--;
    }
    uint32_t used = 0;
    if (conf->num_search > 0) {
        used = (uint32_t)conf->search[conf->num_search - 1].at + conf->search[conf->num_search - 1].len;
    }
    if (domain.len == 0 || domain.len > NAME_MAX_LEN || conf->num_search == Q_RESOLV_SEARCH_MAX ||
        domain.len > sizeof conf->search_text - used) {
        return;
    }
    for (size_t i = 0; i < domain.len; i++) {
        conf->search_text[used + i] = q_ascii_lower(domain.ptr[i]);
    }
    conf->search[conf->num_search].at = (uint16_t)used;
    conf->search[conf->num_search].len = (uint16_t)domain.len;
    conf->num_search++;
}

// The last of all search and domain lines holds.
static void read_search(struct reading *reading, struct q_slice line) {
    reading->conf->num_search = 0;
    for (struct q_slice word = q_next_word(&line); word.len > 0; word = q_next_word(&line)) {
        add_domain(reading->conf, word);
    }
}

static void read_domain(struct reading *reading, struct q_slice line) {
    reading->conf->num_search = 0;
    add_domain(reading->conf, q_next_word(&line));
}

static uint32_t clamp(uint64_t value, uint32_t least, uint32_t most) {
    return value < least ? least : value > most ? most : (uint32_t)value;
}

static void read_option(struct q_resolv_conf *conf, struct q_slice word) {
    const struct {
        struct q_slice name;
        bool *flag;
    } k_flags[] = {
        {Q_SLICE("rotate"), &conf->rotate},
        {Q_SLICE("use-vc"), &conf->use_vc},
        {Q_SLICE("single-request"), &conf->single_request},
        {Q_SLICE("no-aaaa"), &conf->no_aaaa},
    };
    const struct {
        struct q_slice name;
        uint32_t *number;
        uint32_t least;
        uint32_t most;
    } k_numbers[] = {
        {Q_SLICE("ndots"), &conf->ndots, 0, Q_RESOLV_NDOTS_MAX},
        {Q_SLICE("timeout"), &conf->timeout_s, 1, Q_RESOLV_TIMEOUT_MAX},
        {Q_SLICE("attempts"), &conf->attempts, 1, Q_RESOLV_ATTEMPTS_MAX},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_flags); i++) {
        *k_flags[i].flag |= q_slice_equal(word, k_flags[i].name);
    }
    struct q_slice name;
    struct q_slice text;
    uint64_t value;
    if (!split_at(word, ':', &name, &text) || !q_slice_to_u64(text, &value)) {
        return;
    }
    for (size_t i = 0; i < Q_COUNT_OF(k_numbers); i++) {
        if (q_slice_equal(name, k_numbers[i].name)) {
            *k_numbers[i].number = clamp(value, k_numbers[i].least, k_numbers[i].most);
        }
    }
}

// edns0, trust-ad, single-request-reopen, inet6, debug and the rest change nothing here: EDNS0 is always on, no answer is
// trusted further for its AD bit, and each query has a socket of its own.
static void read_options(struct reading *reading, struct q_slice line) {
    for (struct q_slice word = q_next_word(&line); word.len > 0; word = q_next_word(&line)) {
        read_option(reading->conf, word);
    }
}

static void read_line(struct reading *reading, struct q_slice line) {
    static const struct {
        struct q_slice keyword;
        void (*read)(struct reading *reading, struct q_slice line);
    } k_lines[] = {
        {{"nameserver", 10}, read_nameserver},
        {{"search", 6}, read_search},
        {{"domain", 6}, read_domain},
        {{"options", 7}, read_options},
    };
    struct q_slice rest;
    split_at(line, ';', &line, &rest); // the file's other mark of a comment
    struct q_slice keyword = q_next_word(&line);
    for (size_t i = 0; i < Q_COUNT_OF(k_lines); i++) {
        if (q_slice_equal(keyword, k_lines[i].keyword)) {
            k_lines[i].read(reading, line);
        }
    }
}

void q_resolv_conf_parse(struct q_resolv_conf *conf, struct q_slice text, struct q_slice hostname,
                         q_resolv_zone_fn *zone_of, const void *context) {
    // The zones that `context` knows may be those of the conf that is about to be written.
    struct q_resolv_conf made = {.ndots = 1, .timeout_s = 5, .attempts = 2};
    struct reading reading = {.conf = &made, .zone_of = zone_of, .context = context};
    struct q_slice ignored;
    struct q_slice domain;
    if (split_at(hostname, '.', &ignored, &domain)) {
        add_domain(&made, domain);
    }
    while (text.len > 0) {
        read_line(&reading, q_next_line(&text));
    }
    if (made.num_servers == 0) {
        made.servers[made.num_servers++] = q_address_v4((const uint8_t[4]){127, 0, 0, 1}, Q_RESOLV_PORT);
    }
    *conf = made;
}
