// What an engine's options say about names: what is refused, what is copied, and what is read of the machine.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/core/engine_names.h"
#include "engine/core/options.h"
#include "tests/support/failalloc.h"

static struct q_engine_names names;

static int32_t make(const struct q_alloc *alloc, struct quoit_engine_options in) {
    struct quoit_engine_options options;
    in.struct_size = sizeof in;
    in.resolv_conf_file = in.resolv_conf_file == NULL ? "" : in.resolv_conf_file;
    in.hosts_file = in.hosts_file == NULL ? "/dev/null" : in.hosts_file;
    int32_t code = q_options_of_engine(&in, &options);
    return code != 0 ? code : q_engine_names_make(&names, alloc, &options, true).code;
}

static void the_defaults_ask_nobody_here_and_keep_answers(void **state) {
    (void)state;
    assert_int_equal(make(q_alloc_libc(), (struct quoit_engine_options){0}), 0);
    assert_int_equal(names.files.servers->conf.num_servers, 0);
    assert_int_equal(names.options.cache.entries_max, 4096);
    assert_int_equal(names.options.cache.bytes_max, 1 << 20);
    assert_int_equal(names.options.cache.ttl_max_s, 300);
    assert_int_equal(names.options.cache.negative_ttl_max_s, 60);
    assert_int_equal(names.options.cache.stale_s, 0);
    q_engine_names_free(&names);
    q_engine_names_free(&names);
    assert_int_equal(make(q_alloc_libc(), (struct quoit_engine_options){.dns_ttl_max_s = 10}), 0);
    assert_int_equal(names.options.cache.negative_ttl_max_s, 10);
    q_engine_names_free(&names);
}

static void servers_are_given_by_address_and_maybe_port(void **state) {
    (void)state;
    char text[] = "192.0.2.1, [2001:db8::1]:5353 127.0.0.1:99";
    assert_int_equal(make(q_alloc_libc(), (struct quoit_engine_options){.dns_servers = text}), 0);
    memset(text, 'x', sizeof text - 1); // it is the host's again
    const struct q_resolv_conf *conf = &names.files.servers->conf;
    assert_int_equal(conf->num_servers, 3);
    assert_int_equal(conf->servers[0].u.v4.sin_port, htons(53));
    assert_int_equal(conf->servers[1].u.v6.sin6_port, htons(5353));
    assert_int_equal(conf->servers[2].u.v4.sin_port, htons(99));
    q_engine_names_free(&names);
    static const char *const k_bad[] = {"x", "192.0.2.1:0", "192.0.2.1,,y",
                                        "::1 ::1 ::1 ::1 ::1 ::1 ::1 ::1 ::1"};
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        struct quoit_engine_options options = {.dns_servers = k_bad[i]};
        assert_int_equal(make(q_alloc_libc(), options), Q_ERR_INVALID_ARGUMENT);
        q_engine_names_free(&names);
    }
}

static void static_names_are_copied_in_the_form_in_which_they_are_asked_for(void **state) {
    (void)state;
    char host[] = "WWW.Example.";
    const struct quoit_static_name statics[] = {{host, "192.0.2.7", 443, 0}, {"b", "2001:db8::7", 0, 0}};
    struct quoit_engine_options options = {.static_names = statics, .static_names_count = 2};
    assert_int_equal(make(q_alloc_libc(), options), 0);
    memset(host, 'x', sizeof host - 1);
    assert_int_equal(names.options.num_statics, 2);
    assert_true(q_slice_equal(names.options.statics[0].name, Q_SLICE("www.example")));
    assert_int_equal(names.options.statics[0].port, 443);
    assert_memory_equal(names.options.statics[0].address, ((uint8_t[4]){192, 0, 2, 7}), 4);
    assert_true(names.options.statics[1].is_v6);
    q_engine_names_free(&names);
    static const struct quoit_static_name k_bad[] = {{NULL, "192.0.2.7", 0, 0}, {"a", NULL, 0, 0}, {"a", "b", 0, 0},
                                                     {"", "192.0.2.7", 0, 0},   {"a b", "192.0.2.7", 0, 0},
                                                     {"a", "192.0.2.7", 0, 1}};
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        options = (struct quoit_engine_options){.static_names = &k_bad[i], .static_names_count = 1};
        assert_int_equal(make(q_alloc_libc(), options), Q_ERR_INVALID_ARGUMENT);
        q_engine_names_free(&names);
    }
    options = (struct quoit_engine_options){.static_names_count = 1};
    assert_int_equal(make(q_alloc_libc(), options), Q_ERR_INVALID_ARGUMENT);
    q_engine_names_free(&names);
    options = (struct quoit_engine_options){.static_names = statics, .static_names_count = Q_ENGINE_STATIC_NAMES_MAX + 1};
    assert_int_equal(make(q_alloc_libc(), options), Q_ERR_INVALID_ARGUMENT);
    q_engine_names_free(&names);
}

static void bounds_have_bounds(void **state) {
    (void)state;
    static const struct quoit_engine_options k_bad[] = {
        {.dns_cache_max = (1u << 20) + 1}, {.dns_cache_bytes_max = (1u << 30) + 1}, {.dns_ttl_max_s = 604801},
        {.dns_stale_s = 604801},           {.reserved3 = 1},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        assert_int_equal(make(q_alloc_libc(), k_bad[i]), Q_ERR_INVALID_ARGUMENT);
    }
}

static void what_is_simulated_reads_nothing_but_the_hosts_file(void **state) {
    (void)state;
    struct quoit_engine_options in = {.struct_size = sizeof in};
    struct quoit_engine_options options;
    assert_int_equal(q_options_of_engine(&in, &options), 0);
    assert_string_equal(options.resolv_conf_file, "/etc/resolv.conf");
    assert_false(q_error_is(q_engine_names_make(&names, q_alloc_libc(), &options, false)));
    assert_int_equal(names.files.servers->conf.num_servers, 0);
    assert_false(names.files.nsswitch.needs_more);
    q_engine_names_free(&names);
}

static void without_memory_there_is_nothing(void **state) {
    (void)state;
    struct q_failalloc *memory = q_failalloc_new();
    char text[256] = "";
    for (uint64_t n = 1;; n++) {
        q_failalloc_fail_at(memory, n);
        int32_t code = make(q_failalloc_alloc(memory), (struct quoit_engine_options){.dns_servers = "1.1.1.1"});
        bool was_seen = q_failalloc_failed(memory);
        q_engine_names_free(&names);
        if (!was_seen) {
            assert_int_equal(code, 0);
            break;
        }
        assert_int_equal(code, Q_ERR_NO_MEMORY);
    }
    assert_true(q_failalloc_check(memory, text, sizeof text));
    q_failalloc_free(memory);
}

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        cmocka_unit_test(the_defaults_ask_nobody_here_and_keep_answers),
        cmocka_unit_test(servers_are_given_by_address_and_maybe_port),
        cmocka_unit_test(static_names_are_copied_in_the_form_in_which_they_are_asked_for),
        cmocka_unit_test(bounds_have_bounds),
        cmocka_unit_test(what_is_simulated_reads_nothing_but_the_hosts_file),
        cmocka_unit_test(without_memory_there_is_nothing),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}
