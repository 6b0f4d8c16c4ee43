#include "engine/core/options.h"

#include "engine/loop/ring.h"

#include <string.h>

#define UNKNOWN_MAX 4096u // bytes that structs of later headers may have more than ours

int32_t q_options_read_struct(void *out, size_t out_size, const void *in) {
    uint32_t size;
    memcpy(&size, in, sizeof size); // struct_size is the first field of each
    if (size < sizeof size || size > out_size + UNKNOWN_MAX) {
        return Q_ERR_INVALID_STRUCT_SIZE;
    }
    memset(out, 0, out_size);
    memcpy(out, in, size < out_size ? size : out_size);
    for (size_t i = out_size; i < size; i++) {
        if (((const char *)in)[i] != 0) {
            return Q_ERR_INVALID_STRUCT_SIZE; // it asks for something that this library does not know
        }
    }
    return 0;
}

bool q_options_is_out_size(uint32_t struct_size, size_t least, size_t known) {
    return struct_size >= least && struct_size <= known + UNKNOWN_MAX;
}

void q_options_write_struct(void *out, const void *in, size_t in_size) {
    uint32_t size;
    memcpy(&size, out, sizeof size);
    memcpy(out, in, size < in_size ? size : in_size);
    if (size > in_size) {
        memset((char *)out + in_size, 0, size - in_size);
    }
}

// A 32-bit option with its default and its most.
struct bound {
    size_t offset;
    uint32_t fallback;
    uint32_t most;
};

#define BOUND(field, fallback, most) {offsetof(struct quoit_engine_options, field), (fallback), (most)}

static const struct bound k_bounds[] = {
    BOUND(requests_max, 16384, Q_OPTIONS_REQUESTS_MAX),
    BOUND(connections_max, 4096, 1u << 19),
    BOUND(connections_per_origin_max, 64, 1u << 19),
    BOUND(waiters_per_origin_max, 16384, 1u << 20),
    BOUND(idle_timeout_ms, 60000, 86400000),
    BOUND(head_bytes_max, 16384, 262144),
    BOUND(headers_max, 128, 1024),
    BOUND(line_bytes_max, 0, 262144), // 0: as head_bytes_max
    BOUND(log_level, 2, 4),
    BOUND(informational_max, 32, 1024),
    BOUND(chunk_extension_bytes_max, 16384, 1u << 20),
    BOUND(trailer_bytes_max, 2048, 262144),
    BOUND(spin_us, 0, 1000),
    BOUND(dns_cache_max, 4096, 1u << 20),
    BOUND(dns_cache_bytes_max, 1u << 20, 1u << 30),
    BOUND(dns_ttl_max_s, 300, 604800),
    BOUND(dns_stale_s, 0, 604800),
};

static int32_t fill_in(struct quoit_engine_options *options) {
    for (size_t i = 0; i < Q_COUNT_OF(k_bounds); i++) {
        uint32_t *field = (uint32_t *)(void *)((char *)options + k_bounds[i].offset);
        *field = *field == 0 ? k_bounds[i].fallback : *field;
        if (*field > k_bounds[i].most) {
            return Q_ERR_INVALID_ARGUMENT;
        }
    }
    return 0;
}

int32_t q_options_of_engine(const struct quoit_engine_options *in, struct quoit_engine_options *out) {
    *out = (struct quoit_engine_options){.struct_size = sizeof *out};
    int32_t code = in == NULL ? 0 : q_options_read_struct(out, sizeof *out, in);
    if (code == 0) {
        code = fill_in(out);
    }
    if (code != 0) {
        return code;
    }
    out->line_bytes_max = out->line_bytes_max == 0 ? out->head_bytes_max : out->line_bytes_max;
    out->memory_max = out->memory_max == 0 ? UINT64_C(64) << 20 : out->memory_max;
    out->hosts_file = out->hosts_file == NULL ? "/etc/hosts" : out->hosts_file;
    out->resolv_conf_file = out->resolv_conf_file == NULL ? "/etc/resolv.conf" : out->resolv_conf_file;
    bool has_half_allocator = out->allocator != NULL && (out->allocator->allocate == NULL || out->allocator->release == NULL);
    if (out->reserved != 0 || out->reserved2 != 0 || out->reserved3 != 0 ||
        (out->capabilities_off & ~(uint32_t)Q_RING_CAPABILITIES) != 0) {
        return Q_ERR_INVALID_ARGUMENT; // they may mean something one day
    }
    if (out->mode == QUOIT_ENGINE_HOST_DRIVEN && out->spin_us > 0) {
        return Q_ERR_INVALID_ARGUMENT; // it never sleeps
    }
    if (out->mode > QUOIT_ENGINE_HOST_DRIVEN || out->memory_max < UINT64_C(2) << 20 || has_half_allocator) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    return 0;
}
