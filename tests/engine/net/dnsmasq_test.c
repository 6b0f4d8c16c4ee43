// The resolver on the real kernel, asking a name server that we have not written: dnsmasq, as Debian has it.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/net/resolver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMES = 1000, TIMES = 10, MANY = 100 };

static char hosts_path[600], resolv_conf_path[600];
static pid_t server;
static uint16_t server_port;
static struct rig rig;
static struct q_loop loop;
static struct q_name_files files;
static struct q_resolver resolver;
static struct q_address server_address;
static size_t fds_before;

struct asker {
    struct q_resolve request;
    uint32_t num_v4, num_v6;
    uint8_t first_v4[16];
    int32_t code;
    bool is_over;
};

static struct asker askers[NAMES * TIMES];
static unsigned num_over;

// --- the server --------------------------------------------------------------------------------------------------------

static void write_files(void) {
    const char *folder = getenv("TEST_TMPDIR");
    folder = folder == NULL ? "/tmp" : folder;
    snprintf(hosts_path, sizeof hosts_path, "%s/dnsmasq-hosts", folder);
    snprintf(resolv_conf_path, sizeof resolv_conf_path, "%s/dnsmasq-resolv.conf", folder);
    FILE *file = fopen(hosts_path, "w");
    assert_non_null(file);
    for (int i = 0; i < NAMES; i++) {
        fprintf(file, "10.1.%d.%d n%d.z.test\n2001:db8::%x n%d.z.test\n", i / 250, i % 250, i, i + 1, i);
    }
    for (int i = 1; i <= MANY; i++) {
        fprintf(file, "10.2.0.%d many.z.test\n", i);
    }
    fclose(file);
    file = fopen(resolv_conf_path, "w");
    assert_non_null(file);
    fputs("search nowhere.test z.test\noptions timeout:10 attempts:5\n", file);
    fclose(file);
}

static uint16_t free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

// It listens once its TCP port takes connections.
static bool listens(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool does = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return does;
}

static int start_server(void **state) {
    (void)state;
    char port[32], hosts[700];
    write_files();
    server_port = free_port();
    snprintf(port, sizeof port, "--port=%u", server_port);
    snprintf(hosts, sizeof hosts, "--addn-hosts=%s", hosts_path);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execl("/usr/sbin/dnsmasq", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--pid-file=", port,
              "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts", hosts, "--local=/#/",
              "--local-ttl=60", (char *)NULL);
        _exit(127);
    }
    assert_true(server > 0);
    while (!listens(server_port)) {
        assert_int_equal(waitpid(server, NULL, WNOHANG), 0); // it lives
        sched_yield();
    }
    return 0;
}

static int stop_server(void **state) {
    (void)state;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return 0;
}

// --- the resolver --------------------------------------------------------------------------------------------------------

static bool nothing_to_do(void *owner) {
    (void)owner;
    return false;
}

static bool park(void *owner, uint32_t *out_bell_value) {
    (void)owner;
    *out_bell_value = q_doorbell_value(&rig.bell);
    return true;
}

static const struct q_loop_steps k_steps = {.take_commands = nothing_to_do, .publish = nothing_to_do, .park = park};

static int set_up(void **state) {
    static const struct q_resolver_options k_options = {
        .cache = {.entries_max = 4096, .bytes_max = 1 << 20, .ttl_max_s = 300, .negative_ttl_max_s = 60}};
    fds_before = rig_count_fds();
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_slots = 512, .sq_entries = 256,
                                        .cq_entries = 1024, .num_buffers = 32, .buffer_bytes = 4096, .chunks_max = 256});
    q_loop_init(&loop, rig.io, q_clock_monotonic(), &rig.log, 1, &k_steps, NULL);
    q_loop_bind(&loop);
    loop.now_ns = q_clock_now(loop.clock);
    server_address = q_address_v4((const uint8_t[4]){127, 0, 0, 1}, server_port);
    struct q_name_files_options paths = {
        .resolv_conf_path = resolv_conf_path, .servers = &server_address, .num_servers = 1};
    assert_false(q_error_is(q_name_files_load(&files, q_alloc_libc(), &paths)));
    q_resolver_init(&resolver, q_alloc_libc(), &loop, &files, &k_options);
    num_over = 0;
    memset(askers, 0, sizeof askers);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    q_resolver_close(&resolver);
    while (!q_resolver_is_quiet(&resolver)) {
        q_loop_tick(&loop, false);
    }
    q_resolver_deinit(&resolver);
    q_name_files_deinit(&files);
    rig_close(&rig);
    assert_int_equal(rig_count_fds(), fds_before);
    return 0;
}

static void on_answer(struct q_resolve *request, const struct q_resolve_answer *answer) {
    struct asker *asker = q_container_of(request, struct asker, request);
    if (answer->family == Q_RESOLVE_V4) {
        asker->num_v4 = answer->count;
        memcpy(asker->first_v4, answer->count > 0 ? answer->addresses[0] : asker->first_v4, 4);
    } else {
        asker->num_v6 = answer->count;
    }
    asker->code = answer->error.code;
    asker->is_over = answer->is_last;
    num_over += answer->is_last;
}

static const struct q_resolve_events k_events = {.on_answer = on_answer};

static void ask(unsigned index, const char *name) {
    askers[index] = (struct asker){.request = {.events = &k_events}};
    q_resolve_ask(&resolver.names, &askers[index].request, q_slice_of_string(name), 80, Q_RESOLVE_BOTH);
}

static void wait_for(unsigned count) {
    uint64_t end_ns = q_clock_now(loop.clock) + rig_patience_ns();
    while (num_over < count) {
        assert_true(q_clock_now(loop.clock) < end_ns);
        q_loop_tick(&loop, false);
    }
    num_over = 0;
}

static struct asker *look(const char *name) {
    ask(0, name);
    wait_for(1);
    return &askers[0];
}

// --- tests ---------------------------------------------------------------------------------------------------------------

static void names_are_found_along_the_search_list_and_by_tcp_where_they_are_many(void **state) {
    (void)state;
    struct asker *asker = look("n7.z.test");
    assert_int_equal(asker->num_v4, 1);
    assert_int_equal(asker->num_v6, 1);
    assert_memory_equal(asker->first_v4, ((uint8_t[4]){10, 1, 0, 7}), 4);
    asker = look("n8"); // under the second domain
    assert_memory_equal(asker->first_v4, ((uint8_t[4]){10, 1, 0, 8}), 4);
    asker = look("nobody.z.test");
    assert_int_equal(asker->code, Q_ERR_NAME_NOT_FOUND);
    assert_int_equal(resolver.env.stats.by_tcp, 0);
    asker = look("many.z.test");
    assert_int_equal(asker->num_v4, Q_RESOLVE_ADDRESSES_MAX);
    assert_int_equal(asker->num_v6, 0);
    assert_int_equal(resolver.env.stats.by_tcp, 1);
    assert_int_equal(resolver.env.stats.strange, 0);
}

static void ten_thousand_lookups_of_a_thousand_names(void **state) {
    (void)state;
    uint32_t slots_before = q_io_get_stats(rig.io)->slots_open;
    char name[64];
    for (unsigned i = 0; i < NAMES * TIMES; i++) {
        snprintf(name, sizeof name, "n%u.z.test", i % NAMES);
        ask(i, name);
    }
    wait_for(NAMES * TIMES);
    for (unsigned i = 0; i < NAMES * TIMES; i++) {
        unsigned n = i % NAMES;
        assert_int_equal(askers[i].num_v4, 1);
        assert_int_equal(askers[i].num_v6, 1);
        assert_memory_equal(askers[i].first_v4, ((uint8_t[4]){10, 1, (uint8_t)(n / 250), (uint8_t)(n % 250)}), 4);
    }
    assert_int_equal(resolver.stats.lookups, NAMES * TIMES);
    assert_int_equal(resolver.stats.merged, NAMES * (TIMES - 1));
    assert_int_equal(resolver.stats.asked, 2 * NAMES);
    assert_int_equal(resolver.env.stats.queries - resolver.env.stats.timeouts, 2 * NAMES);
    assert_int_equal(resolver.cache.num_entries, 2 * NAMES);
    uint64_t queries = resolver.env.stats.queries;
    for (unsigned i = 0; i < NAMES * TIMES; i++) {
        snprintf(name, sizeof name, "n%u.z.test", i % NAMES);
        ask(i, name);
    }
    wait_for(NAMES * TIMES);
    assert_int_equal(resolver.env.stats.queries, queries); // all of them known
    assert_int_equal(resolver.stats.hits, 2 * NAMES);
    while (resolver.num_lookups > 0) {
        q_loop_tick(&loop, false);
    }
    assert_int_equal(q_io_get_stats(rig.io)->slots_open, slots_before);
}

#define TEST_ON(test, i, name)                                                                                         \
    { #test " (" name ")", (test), set_up, tear_down, (void *)(uintptr_t)&k_rig_rungs[i] }

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        TEST_ON(names_are_found_along_the_search_list_and_by_tcp_where_they_are_many, 0, "whole ladder"),
        TEST_ON(names_are_found_along_the_search_list_and_by_tcp_where_they_are_many, 9, "lowest rung"),
        TEST_ON(ten_thousand_lookups_of_a_thousand_names, 0, "whole ladder"),
        TEST_ON(ten_thousand_lookups_of_a_thousand_names, 9, "lowest rung"),
    };
    return cmocka_run_group_tests(k_tests, start_server, stop_server);
}
