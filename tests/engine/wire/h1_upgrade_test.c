#include "engine/wire/h1_upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_protocol_is_a_token_with_or_without_a_version(void **state) {
    (void)state;
    static const char *const k_good[] = {"websocket", "h2c", "TLS/1.0", "IRC/6.9", "a", "a/b", "!#$%&'*+-.^_`|~"};
    static const char *const k_bad[] = {"",       "/",    "a/",         "/a",    "a/b/c", "a b", "a,b",  " a", "a ",
                                        "a\r\nb", "a\tb", "websocket,", "\"a\"", "a;q=1", "a:b", "\xe9", "(a)"};
    for (size_t i = 0; i < sizeof k_good / sizeof k_good[0]; i++) {
        if (!q_h1_is_protocol(q_slice_of_string(k_good[i]))) {
            fail_msg("%s", k_good[i]);
        }
    }
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        if (q_h1_is_protocol(q_slice_of_string(k_bad[i]))) {
            fail_msg("%s", k_bad[i]);
        }
    }
    assert_false(q_h1_is_protocol((struct q_slice){0}));
    assert_false(q_h1_is_protocol(q_slice_make("a\0b", 3)));
}

// Whether a 101 with these fields ("name: value") switches to "raw/1".
static bool matches(const char *const *lines) {
    _Alignas(8) char memory[1024];
    struct q_headers_builder builder;
    q_headers_builder_init(&builder, memory, sizeof memory, NULL);
    for (; *lines != NULL; lines++) {
        const char *colon = strchr(*lines, ':');
        struct q_error error = q_headers_builder_add(&builder, q_slice_make(*lines, (size_t)(colon - *lines)),
                                                     q_slice_of_string(colon + 2));
        assert_int_equal(error.code, 0);
    }
    return q_h1_upgrade_matches(q_headers_builder_freeze(&builder), Q_SLICE("raw/1"));
}

#define MATCHES(...) matches((const char *const[]){__VA_ARGS__, NULL})

static void a_switch_names_the_protocol_and_says_so_in_connection(void **state) {
    (void)state;
    assert_true(MATCHES("Upgrade: raw/1", "Connection: upgrade"));
    assert_true(MATCHES("connection: Upgrade", "upgrade: RAW/1"));
    assert_true(MATCHES("Connection: keep-alive, Upgrade", "Upgrade: raw/1"));
    assert_true(MATCHES("Connection: keep-alive", "Connection: upgrade", "Upgrade: , raw/1 ,", "Server: x"));
    assert_false(MATCHES("Upgrade: raw/1"));
    assert_false(MATCHES("Connection: upgrade"));
    assert_false(MATCHES("Server: x"));
    assert_false(MATCHES("Connection: upgrade", "Upgrade:  "));
    assert_false(MATCHES("Connection: close", "Upgrade: raw/1"));
    assert_false(MATCHES("Connection: upgraded", "Upgrade: raw/1"));
}

static void any_other_protocol_is_none_that_was_asked_for(void **state) {
    (void)state;
    static const char *const k_others[] = {"Upgrade: raw",         "Upgrade: raw/1.0",    "Upgrade: raw/2",
                                           "Upgrade: xraw/1",      "Upgrade: raw/1, h2c", "Upgrade: h2c, raw/1",
                                           "Upgrade: raw/1,raw/1", "Upgrade: \"raw/1\"",  "Upgrade: raw /1"};
    for (size_t i = 0; i < sizeof k_others / sizeof k_others[0]; i++) {
        if (MATCHES("Connection: upgrade", k_others[i])) {
            fail_msg("%s", k_others[i]);
        }
    }
    assert_false(MATCHES("Connection: upgrade", "Upgrade: raw/1", "Upgrade: TLS/1.0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_protocol_is_a_token_with_or_without_a_version),
        cmocka_unit_test(a_switch_names_the_protocol_and_says_so_in_connection),
        cmocka_unit_test(any_other_protocol_is_none_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
