#include "engine/net/sources.h"

#include <errno.h>
#include <unistd.h>

// One socket serves all addresses of a family. Without being told to forget the last peer it would keep its source.
static void find_one(int fd, const struct q_endpoint *to, struct q_endpoint *out_from) {
    static const struct sockaddr k_nobody = {.sa_family = AF_UNSPEC};
    struct q_address peer = q_endpoint_address(to);
    struct q_address own = {.len = sizeof own.u};
    *out_from = (struct q_endpoint){.family = Q_ENDPOINT_NONE};
    if (connect(fd, &k_nobody, sizeof k_nobody) != 0 || connect(fd, &peer.u.any, peer.len) != 0) {
        return;
    }
    if (getsockname(fd, &own.u.any, &own.len) == 0 && own.len <= sizeof own.u) {
        *out_from = q_address_endpoint(&own);
    }
}

static bool find_family(const struct q_endpoint *to, uint32_t count, uint16_t family, struct q_endpoint *out_from) {
    int fd = -1;
    for (uint32_t i = 0; i < count; i++) {
        if (to[i].family != family) {
            continue;
        }
        if (fd < 0) {
            fd = socket(family == Q_ENDPOINT_V4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            if (fd < 0) {
                return errno == EAFNOSUPPORT; // then no address of the family has a source, which is what stands there
            }
        }
        find_one(fd, &to[i], &out_from[i]);
    }
    if (fd >= 0) {
        close(fd);
    }
    return true;
}

static bool find(const struct q_sources *sources, const struct q_endpoint *to, uint32_t count, struct q_endpoint *out_from) {
    (void)sources;
    for (uint32_t i = 0; i < count; i++) {
        out_from[i] = (struct q_endpoint){.family = Q_ENDPOINT_NONE};
    }
    return find_family(to, count, Q_ENDPOINT_V4, out_from) && find_family(to, count, Q_ENDPOINT_V6, out_from);
}

const struct q_sources q_sources_kernel = {.find = find};
