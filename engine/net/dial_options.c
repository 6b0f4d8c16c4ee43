#include "engine/net/dial_options.h"

#include "engine/net/resolve.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

_Static_assert(sizeof(struct q_dial_options) == 8 * sizeof(uint32_t) + Q_DIAL_DEVICE_MAX, "no padding: it is compared");

bool q_dial_options_is_default(const struct q_dial_options *options) {
    static const struct q_dial_options k_default = {0};
    return memcmp(options, &k_default, sizeof k_default) == 0;
}

// The kernel's own limits (tcp.h: MAX_TCP_KEEPIDLE and its like), and a day for the rest.
static bool is_in(uint32_t value, uint32_t most) { return value <= most || value == Q_DIAL_OFF; }

struct q_error q_dial_options_check(const struct q_dial_options *options) {
    const char *end = memchr(options->device, 0, sizeof options->device);
    bool is_device = end != NULL && memchr(options->device, '/', sizeof options->device) == NULL;
    for (const char *at = end; is_device && at < options->device + sizeof options->device; at++) {
        is_device = *at == 0;
    }
    bool is_good = is_device && options->families <= Q_RESOLVE_BOTH && (options->flags & ~(uint32_t)Q_DIAL_FLAGS) == 0 &&
                   options->pace_ms <= 2000 && (options->pace_ms == 0 || options->pace_ms >= 100) &&
                   is_in(options->keepalive_idle_s, 32767) && options->keepalive_interval_s <= 32767 &&
                   options->keepalive_count <= 127 && is_in(options->user_timeout_ms, 86400000);
    return is_good ? Q_OK : q_error_make(Q_ERR_INVALID_ARGUMENT, Q_PHASE_SUBMIT);
}

static int value_or(uint32_t value, uint32_t fallback) { return (int)(value == 0 ? fallback : value); }

static uint32_t add_keepalive(const struct q_dial_options *options, struct q_io_option *out) {
    out[0] = (struct q_io_option){.level = SOL_SOCKET, .name = SO_KEEPALIVE, .value = 1};
    out[1] = (struct q_io_option){.level = IPPROTO_TCP, .name = TCP_KEEPIDLE,
                                  .value = value_or(options->keepalive_idle_s, Q_DIAL_KEEPALIVE_IDLE_S)};
    out[2] = (struct q_io_option){.level = IPPROTO_TCP, .name = TCP_KEEPINTVL,
                                  .value = value_or(options->keepalive_interval_s, Q_DIAL_KEEPALIVE_INTERVAL_S)};
    out[3] = (struct q_io_option){.level = IPPROTO_TCP, .name = TCP_KEEPCNT,
                                  .value = value_or(options->keepalive_count, Q_DIAL_KEEPALIVE_COUNT)};
    return 4;
}

uint32_t q_dial_options_list(const struct q_dial_options *options, bool is_bound, struct q_io_option *out) {
    uint32_t count = 0;
    if ((options->flags & Q_DIAL_NAGLE) == 0) {
        out[count++] = (struct q_io_option){.level = IPPROTO_TCP, .name = TCP_NODELAY, .value = 1};
    }
    if (options->keepalive_idle_s != Q_DIAL_OFF) {
        count += add_keepalive(options, out + count);
    }
    if (options->user_timeout_ms != Q_DIAL_OFF) {
        out[count++] = (struct q_io_option){.level = IPPROTO_TCP, .name = TCP_USER_TIMEOUT,
                                            .value = value_or(options->user_timeout_ms, Q_DIAL_USER_TIMEOUT_MS)};
    }
    if (options->mark != 0) {
        out[count++] = (struct q_io_option){.level = SOL_SOCKET, .name = SO_MARK, .value = (int)options->mark};
    }
    if (options->device[0] != 0) {
        out[count++] = (struct q_io_option){.level = SOL_SOCKET, .name = SO_BINDTODEVICE, .text = options->device};
    }
    if ((options->flags & Q_DIAL_FAST_OPEN) != 0) {
        out[count++] = (struct q_io_option){.level = IPPROTO_TCP, .name = TCP_FASTOPEN_CONNECT, .value = 1};
    }
    if (is_bound) {
        // The kernel takes the port when it connects, and ports that are in use towards other peers will do.
        out[count++] = (struct q_io_option){.level = IPPROTO_IP, .name = IP_BIND_ADDRESS_NO_PORT, .value = 1};
    }
    Q_CHECK(count <= Q_DIAL_SOCKET_OPTIONS_MAX);
    return count;
}
