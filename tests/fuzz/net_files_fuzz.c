// The files of /etc that names come from: each input is read as all of them.
#include "engine/net/hosts.h"
#include "engine/net/nsswitch.h"
#include "engine/net/resolv_conf.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static uint32_t zone_of(const void *context, struct q_slice name) {
    (void)context;
    FUZZ_CHECK(name.len > 0 && name.len < Q_RESOLV_ZONE_MAX && memchr(name.ptr, '/', name.len) == NULL);
    return (uint32_t)name.len;
}

static void check_resolv_conf(struct q_slice text) {
    static struct q_resolv_conf conf;
    q_resolv_conf_parse(&conf, text, text, zone_of, NULL);
    FUZZ_CHECK(conf.num_servers >= 1 && conf.num_servers <= Q_RESOLV_FILE_SERVERS_MAX);
    FUZZ_CHECK(conf.num_search <= Q_RESOLV_SEARCH_MAX && conf.ndots <= Q_RESOLV_NDOTS_MAX);
    FUZZ_CHECK(conf.timeout_s >= 1 && conf.timeout_s <= Q_RESOLV_TIMEOUT_MAX);
    FUZZ_CHECK(conf.attempts >= 1 && conf.attempts <= Q_RESOLV_ATTEMPTS_MAX);
    for (uint32_t i = 0; i < conf.num_servers; i++) {
        sa_family_t family = conf.servers[i].u.any.sa_family;
        FUZZ_CHECK(family == AF_INET || family == AF_INET6);
    }
    for (uint32_t i = 0; i < conf.num_search; i++) {
        struct q_slice domain = q_resolv_conf_search(&conf, i);
        FUZZ_CHECK(domain.len > 0 && domain.ptr + domain.len <= conf.search_text + sizeof conf.search_text);
        FUZZ_CHECK(domain.ptr[0] != '.' && domain.ptr[domain.len - 1] != '.');
    }
    // Once more, with what is known: in place, and to the same end.
    static struct q_resolv_conf again;
    again = conf;
    q_resolv_conf_parse(&again, text, text, q_resolv_conf_zone, &again);
    FUZZ_CHECK(again.num_search == conf.num_search && again.num_servers >= 1);
}

static void check_hosts(struct q_slice text) {
    struct q_hosts hosts;
    struct q_addresses found;
    if (q_error_is(q_hosts_parse(&hosts, q_alloc_libc(), text))) {
        return;
    }
    q_hosts_find(&hosts, Q_SLICE("a"), 80, &found);
    FUZZ_CHECK(found.count <= Q_ADDRESSES_MAX);
    q_hosts_find(&hosts, text, 80, &found);
    q_hosts_deinit(&hosts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = malloc(size > 0 ? size : 1); // ends where memory does
    FUZZ_CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    struct q_slice text = q_slice_make(copy, size);
    check_resolv_conf(text);
    check_hosts(text);
    struct q_nsswitch nsswitch;
    q_nsswitch_parse(&nsswitch, text);
    FUZZ_CHECK(nsswitch.needs_more == (nsswitch.first[0] != 0));
    FUZZ_CHECK(memchr(nsswitch.first, 0, sizeof nsswitch.first) != NULL);
    free(copy);
    return 0;
}
