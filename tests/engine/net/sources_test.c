// What the kernel would send from, on the real one.
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/net/sources.h"

static size_t count_fds(void) {
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static struct q_endpoint endpoint(const char *literal) {
    struct q_address address;
    assert_true(q_address_parse(q_slice_of_string(literal), 443, &address));
    return q_address_endpoint(&address);
}

static void loopback_is_reached_from_itself_and_no_number_is_left(void **state) {
    (void)state;
    struct q_endpoint to[] = {endpoint("127.0.0.1"), endpoint("fe80::1"), endpoint("127.5.6.7"), endpoint("127.0.0.1")};
    struct q_endpoint from[Q_COUNT_OF(to)];
    size_t before = count_fds();
    assert_true(q_sources_kernel.find(&q_sources_kernel, to, Q_COUNT_OF(to), from));
    assert_int_equal(count_fds(), before);
    assert_int_equal(from[0].family, Q_ENDPOINT_V4);
    assert_memory_equal(from[0].ip, to[0].ip, 4);
    assert_int_equal(from[1].family, Q_ENDPOINT_NONE); // without a zone there is no way there
    // The source is chosen anew for each, although one socket asks for all.
    assert_int_equal(from[2].family, Q_ENDPOINT_V4);
    assert_memory_equal(from[3].ip, to[3].ip, 4);
}

static void without_a_descriptor_nobody_can_tell(void **state) {
    (void)state;
    struct q_endpoint to = endpoint("127.0.0.1");
    struct q_endpoint from;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool is_known = q_sources_kernel.find(&q_sources_kernel, &to, 1, &from);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(is_known);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_reached_from_itself_and_no_number_is_left),
        cmocka_unit_test(without_a_descriptor_nobody_can_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
