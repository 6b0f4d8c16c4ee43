// The files that names come from: read in the beginning by number and later through the seam, found changed by what the
// kernel tells of them, and ended in the middle.
#include "tests/engine/net/dns_world.h"

#include "engine/net/name_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct dns_world world;
static struct q_name_files files;
static char hosts_path[600], resolv_conf_path[600], nsswitch_path[600];
static bool is_ready, is_stopped;
static unsigned num_reads;

static void on_ready(struct q_name_files *it) {
    assert_ptr_equal(it, &files);
    is_ready = true;
}

static void on_stopped(struct q_name_files *it) {
    assert_ptr_equal(it, &files);
    is_stopped = true;
}

static const struct q_name_files_events k_events = {.on_ready = on_ready, .on_stopped = on_stopped};

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static size_t read_real(struct dns_world *it, const char *path, char *into, size_t size) {
    (void)it;
    num_reads++;
    FILE *file = fopen(path, "r");
    size_t len = file == NULL ? 0 : fread(into, 1, size, file);
    if (file != NULL) {
        fclose(file);
    }
    return len;
}

static void load(const struct q_name_files_options *options) {
    assert_false(q_error_is(q_name_files_load(&files, dns_world_alloc(&world), options)));
    q_name_files_start(&files, &world.loop, &k_events);
    is_ready = is_stopped = false;
}

static struct q_name_files_options all_paths(void) {
    return (struct q_name_files_options){
        .hosts_path = hosts_path, .resolv_conf_path = resolv_conf_path, .nsswitch_path = nsswitch_path};
}

static int set_up(void **state) {
    (void)state;
    const char *folder = getenv("TEST_TMPDIR");
    folder = folder == NULL ? "/tmp" : folder;
    snprintf(hosts_path, sizeof hosts_path, "%s/hosts", folder);
    snprintf(resolv_conf_path, sizeof resolv_conf_path, "%s/resolv.conf", folder);
    snprintf(nsswitch_path, sizeof nsswitch_path, "%s/nsswitch.conf", folder);
    write_file(hosts_path, "10.0.0.1 one\n");
    write_file(resolv_conf_path, "nameserver 10.0.0.9\n");
    write_file(nsswitch_path, "hosts: files mdns dns\n");
    dns_world_open(&world);
    world.on_read = read_real;
    num_reads = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    q_name_files_deinit(&files);
    dns_world_close(&world);
    unlink(hosts_path);
    unlink(resolv_conf_path);
    unlink(nsswitch_path);
    return 0;
}

static bool has_name(const char *name) {
    bool is_there;
    uint8_t addresses[1][16];
    q_hosts_find_family(&files.hosts, q_slice_of_string(name), false, addresses, 1, &is_there);
    return is_there;
}

static void the_files_are_read_in_the_beginning(void **state) {
    (void)state;
    struct q_name_files_options options = all_paths();
    load(&options);
    assert_true(has_name("one"));
    assert_int_equal(files.servers->conf.servers[0].u.v4.sin_addr.s_addr, htonl(0x0a000009));
    assert_true(files.nsswitch.needs_more);
    assert_string_equal(files.nsswitch.first, "mdns");
    assert_int_equal(num_reads, 0);
}

static void files_that_are_none_are_empty(void **state) {
    (void)state;
    unlink(hosts_path);
    unlink(resolv_conf_path);
    unlink(nsswitch_path);
    assert_int_equal(mkfifo(hosts_path, 0600), 0); // must not block
    assert_int_equal(mkdir(resolv_conf_path, 0700), 0);
    struct q_name_files_options options = all_paths();
    load(&options);
    assert_int_equal(files.servers->conf.servers[0].u.v4.sin_addr.s_addr, htonl(0x7f000001));
    assert_false(files.nsswitch.needs_more);
    q_name_files_deinit(&files);
    rmdir(resolv_conf_path);
    options = (struct q_name_files_options){0}; // and none at all
    load(&options);
    assert_false(has_name("one"));
    dns_world_run(&world, 6000);
    assert_false(q_name_files_check(&files));
}

static void the_hosts_own_servers_take_the_place_of_the_files(void **state) {
    (void)state;
    write_file(resolv_conf_path, "nameserver 10.0.0.9\nsearch x.example\noptions ndots:4\n");
    struct q_address own[2] = {q_address_v4((const uint8_t[4]){10, 1, 1, 1}, 53),
                               q_address_v4((const uint8_t[4]){10, 1, 1, 2}, 54)};
    struct q_name_files_options options = all_paths();
    options.servers = own;
    options.num_servers = 2;
    load(&options);
    const struct q_resolv_conf *conf = &files.servers->conf;
    assert_int_equal(conf->num_servers, 2);
    assert_int_equal(conf->servers[1].u.v4.sin_port, htons(54));
    assert_int_equal(conf->ndots, 4);
    assert_int_equal(conf->num_search, 1);
}

static void changes_are_looked_for_from_time_to_time_and_read_once(void **state) {
    (void)state;
    struct q_name_files_options options = all_paths();
    load(&options);
    write_file(hosts_path, "10.0.0.1 one\n10.0.0.2 two\n");
    assert_false(q_name_files_check(&files)); // too early
    dns_world_run(&world, 5001);
    assert_true(q_name_files_check(&files));
    assert_true(q_name_files_check(&files)); // still
    assert_false(is_ready);
    dns_world_until(&world, &is_ready);
    assert_true(has_name("two"));
    assert_int_equal(num_reads, 1);
    assert_false(files.servers_changed);
    dns_world_run(&world, 5001);
    assert_false(q_name_files_check(&files));
    // Both at once.
    is_ready = false;
    write_file(hosts_path, "10.0.0.1 three\n");
    write_file(resolv_conf_path, "nameserver 10.0.0.7\n");
    struct q_name_servers *old = q_name_servers_acquire(files.servers);
    dns_world_run(&world, 5001);
    assert_true(q_name_files_check(&files));
    dns_world_until(&world, &is_ready);
    assert_int_equal(num_reads, 3);
    assert_true(has_name("three"));
    assert_true(files.servers_changed);
    assert_int_equal(files.servers->conf.servers[0].u.v4.sin_addr.s_addr, htonl(0x0a000007));
    assert_int_equal(old->conf.servers[0].u.v4.sin_addr.s_addr, htonl(0x0a000009)); // whoever has it keeps it
    q_name_servers_release(old, files.alloc);
    // One that has gone is empty.
    is_ready = false;
    unlink(hosts_path);
    dns_world_run(&world, 5001);
    assert_true(q_name_files_check(&files));
    dns_world_until(&world, &is_ready);
    assert_false(has_name("three"));
}

static void without_a_slot_or_memory_what_was_known_holds_until_the_next_check(void **state) {
    (void)state;
    struct q_name_files_options options = all_paths();
    load(&options);
    write_file(hosts_path, "10.0.0.1 other\n");
    dns_world_run(&world, 5001);
    world.slots_max = 0;
    assert_false(q_name_files_check(&files));
    world.slots_max = DNS_WORLD_SLOTS;
    for (uint64_t n = 1; n <= 2; n++) {
        dns_world_run(&world, 5001);
        q_failalloc_fail_at(world.memory, n); // for the text, then for what is made of it
        if (q_name_files_check(&files)) {
            is_ready = false;
            dns_world_until(&world, &is_ready);
        }
        assert_true(has_name("one"));
    }
    q_failalloc_fail_at(world.memory, 0);
    dns_world_run(&world, 5001);
    assert_true(q_name_files_check(&files));
    is_ready = false;
    dns_world_until(&world, &is_ready);
    assert_true(has_name("other"));
}

static void a_stop_ends_a_read_in_the_middle(void **state) {
    (void)state;
    struct q_name_files_options options = all_paths();
    for (int ticks = 0; ticks < 3; ticks++) {
        load(&options);
        write_file(hosts_path, ticks % 2 == 0 ? "10.0.0.1 other\n" : "10.0.0.1 one\n");
        dns_world_run(&world, 5001);
        assert_true(q_name_files_check(&files));
        for (int i = 0; i < ticks; i++) {
            q_loop_tick(&world.loop, false);
        }
        if (!q_name_files_stop(&files)) {
            dns_world_until(&world, &is_stopped);
        }
        assert_false(q_name_files_is_reading(&files));
        dns_world_run(&world, 6000);
        assert_false(q_name_files_check(&files));
        q_name_files_deinit(&files);
    }
}

static void without_memory_nothing_is_loaded(void **state) {
    (void)state;
    struct q_name_files_options options = all_paths();
    for (uint64_t n = 1;; n++) {
        q_failalloc_fail_at(world.memory, n);
        struct q_error error = q_name_files_load(&files, dns_world_alloc(&world), &options);
        if (!q_failalloc_failed(world.memory)) {
            assert_true(n > 3);
            return;
        }
        assert_int_equal(error.code, Q_ERR_NO_MEMORY);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        TEST(the_files_are_read_in_the_beginning),
        TEST(files_that_are_none_are_empty),
        TEST(the_hosts_own_servers_take_the_place_of_the_files),
        TEST(changes_are_looked_for_from_time_to_time_and_read_once),
        TEST(without_a_slot_or_memory_what_was_known_holds_until_the_next_check),
        TEST(a_stop_ends_a_read_in_the_middle),
        TEST(without_memory_nothing_is_loaded),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}
