#include "engine/core/engine_names.h"

#include "engine/net/words.h"

#include <string.h>

static struct q_error create_error(enum q_error_code code) { return q_error_make(code, Q_PHASE_CREATE); }

// --- copies --------------------------------------------------------------------------------------------------------

static size_t text_size(const char *text) { return text == NULL ? 0 : strlen(text) + 1; }

// Puts a copy of `text` at `*at`, and goes behind it. NULL stays NULL, as does the empty text: there is no such file.
static const char *copy_path(char **at, const char *text) {
    size_t size = text_size(text);
    if (size <= 1) {
        return NULL;
    }
    char *copy = *at;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

// The name in the form in which names are asked for: lower case, without the root's dot. Empty: it cannot be one.
static struct q_slice copy_name(char **at, const char *text) {
    struct q_slice name = text == NULL ? (struct q_slice){0} : q_slice_of_string(text);
    if (!q_dns_name_check(name)) {
        return (struct q_slice){0};
    }
    name.len -= name.ptr[name.len - 1] == '.';
    char *copy = *at;
    for (size_t i = 0; i < name.len; i++) {
        copy[i] = q_ascii_lower(name.ptr[i]);
    }
    *at += name.len;
    return q_slice_make(copy, name.len);
}

static bool copy_static(char **at, const struct quoit_static_name *in, struct q_static_name *out) {
    struct q_address address;
    if (in->address == NULL || in->reserved != 0 || !q_address_parse(q_slice_of_string(in->address), 0, &address)) {
        return false;
    }
    struct q_endpoint endpoint = q_address_endpoint(&address);
    *out = (struct q_static_name){
        .name = copy_name(at, in->host), .port = in->port, .is_v6 = endpoint.family == Q_ENDPOINT_V6};
    memcpy(out->address, endpoint.ip, sizeof out->address);
    return out->name.len > 0;
}

// Addresses apart by commas or blanks.
static bool read_servers(struct q_engine_names *names, const char *text, uint32_t *out_count) {
    *out_count = 0;
    struct q_slice rest = text == NULL ? (struct q_slice){0} : q_slice_of_string(text);
    while (rest.len > 0) {
        size_t len = 0;
        while (len < rest.len && rest.ptr[len] != ',' && !q_is_blank(rest.ptr[len])) {
            len++;
        }
        if (len > 0) {
            if (*out_count == Q_RESOLV_SERVERS_MAX ||
                !q_resolv_server_parse(q_slice_make(rest.ptr, len), NULL, NULL, &names->servers[*out_count])) {
                return false;
            }
            ++*out_count;
        }
        rest = q_slice_from(rest, len + 1);
    }
    return true;
}

// --- life ----------------------------------------------------------------------------------------------------------

static size_t memory_for(const struct quoit_engine_options *options) {
    size_t size = options->static_names_count * sizeof(struct q_static_name) + text_size(options->hosts_file) +
                  text_size(options->resolv_conf_file);
    for (uint32_t i = 0; i < options->static_names_count; i++) {
        size += text_size(options->static_names[i].host);
    }
    return size;
}

static struct q_error read_options(struct q_engine_names *names, const struct quoit_engine_options *options,
                                   struct q_name_files_options *out) {
    char *at = names->memory;
    struct q_static_name *statics = names->memory;
    at += options->static_names_count * sizeof *statics;
    *out = (struct q_name_files_options){
        .hosts_path = copy_path(&at, options->hosts_file),
        .resolv_conf_path = copy_path(&at, options->resolv_conf_file),
        .nsswitch_path = "/etc/nsswitch.conf",
        .servers = names->servers,
    };
    for (uint32_t i = 0; i < options->static_names_count; i++) {
        if (!copy_static(&at, &options->static_names[i], &statics[i])) {
            return create_error(Q_ERR_INVALID_ARGUMENT);
        }
    }
    uint32_t ttl_max_s = options->dns_ttl_max_s;
    names->options = (struct q_resolver_options){
        .cache = {.entries_max = options->dns_cache_max, .bytes_max = options->dns_cache_bytes_max, .ttl_min_s = 1,
                  .ttl_max_s = ttl_max_s, .negative_ttl_max_s = ttl_max_s < 60 ? ttl_max_s : 60,
                  .stale_s = options->dns_stale_s},
        .statics = statics,
        .num_statics = options->static_names_count,
    };
    return read_servers(names, options->dns_servers, &out->num_servers) ? Q_OK : create_error(Q_ERR_INVALID_ARGUMENT);
}

struct q_error q_engine_names_make(struct q_engine_names *names, const struct q_alloc *alloc,
                                   const struct quoit_engine_options *options, bool is_real) {
    *names = (struct q_engine_names){.alloc = alloc};
    if (options->static_names_count > Q_ENGINE_STATIC_NAMES_MAX ||
        (options->static_names_count > 0 && options->static_names == NULL)) {
        return create_error(Q_ERR_INVALID_ARGUMENT);
    }
    names->size = memory_for(options) + 1;
    names->memory = q_alloc_new(alloc, names->size);
    if (names->memory == NULL) {
        return create_error(Q_ERR_NO_MEMORY);
    }
    struct q_name_files_options files;
    struct q_error error = read_options(names, options, &files);
    if (!is_real) {
        files.resolv_conf_path = NULL;
        files.nsswitch_path = NULL;
    }
    return q_error_is(error) ? error : q_name_files_load(&names->files, alloc, &files);
}

void q_engine_names_start(struct q_engine_names *names, struct q_loop *loop) {
    q_resolver_init(&names->resolver, names->alloc, loop, &names->files, &names->options);
}

bool q_engine_names_close(struct q_engine_names *names) {
    if (!names->resolver.is_closing) {
        q_resolver_close(&names->resolver);
    }
    return q_resolver_is_quiet(&names->resolver);
}

void q_engine_names_free(struct q_engine_names *names) {
    if (names->alloc != NULL) {
        q_resolver_deinit(&names->resolver);
        q_name_files_deinit(&names->files);
        q_alloc_free(names->alloc, names->memory, names->size);
    }
    *names = (struct q_engine_names){0};
}
