#include "engine/wire/known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct q_slice lower_of(struct q_slice name, char *out, bool upper) {
    for (size_t i = 0; i < name.len; i++) {
        char c = q_ascii_lower(name.ptr[i]);
        out[i] = upper && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    return q_slice_make(out, name.len);
}

static void every_known_name_is_found_in_any_case(void **state) {
    (void)state;
    for (unsigned known = Q_KNOWN_NONE + 1; known < Q_KNOWN_COUNT; known++) {
        char text[64];
        struct q_slice name = q_known_name(known);
        assert_true(name.len >= 2 && name.len < sizeof(text));
        assert_int_equal(q_known_find(name), known);
        assert_int_equal(q_known_find(lower_of(name, text, false)), known);
        assert_int_equal(q_known_find(lower_of(name, text, true)), known);
    }
}

static void the_list_is_in_order_of_length(void **state) {
    (void)state;
    for (unsigned known = Q_KNOWN_NONE + 2; known < Q_KNOWN_COUNT; known++) {
        assert_true(q_known_name(known - 1).len <= q_known_name(known).len);
    }
}

// Whatever byte is changed to whatever other, the name is another one: known or not, but never this one.
static void a_name_with_one_byte_changed_is_not_found(void **state) {
    (void)state;
    for (unsigned known = Q_KNOWN_NONE + 1; known < Q_KNOWN_COUNT; known++) {
        char text[64];
        struct q_slice name = q_known_name(known);
        for (size_t at = 0; at < name.len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memcpy(text, name.ptr, name.len);
                text[at] = (char)byte;
                bool same = q_ascii_lower((char)byte) == q_ascii_lower(name.ptr[at]);
                assert_int_equal(q_known_find(q_slice_make(text, name.len)) == known, same);
            }
        }
    }
}

static void other_lengths_are_not_found(void **state) {
    (void)state;
    static const char k_long[300] = "X";
    assert_int_equal(q_known_find(Q_SLICE("")), Q_KNOWN_NONE);
    assert_int_equal(q_known_find((struct q_slice){0}), Q_KNOWN_NONE);
    assert_int_equal(q_known_find(Q_SLICE("a")), Q_KNOWN_NONE);
    assert_int_equal(q_known_find(Q_SLICE("Hos")), Q_KNOWN_NONE);
    assert_int_equal(q_known_find(Q_SLICE("Hosts")), Q_KNOWN_NONE);
    assert_int_equal(q_known_find(Q_SLICE("Strict-Transport-Securityx")), Q_KNOWN_NONE);
    assert_int_equal(q_known_find(q_slice_make(k_long, sizeof(k_long))), Q_KNOWN_NONE);
}

static void a_number_outside_the_list_has_no_name(void **state) {
    (void)state;
    assert_int_equal(q_known_name(Q_KNOWN_NONE).len, 0);
    assert_int_equal(q_known_name(Q_KNOWN_COUNT).len, 0);
    assert_int_equal(q_known_name(100000).len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_name_is_found_in_any_case),     cmocka_unit_test(the_list_is_in_order_of_length),
        cmocka_unit_test(a_name_with_one_byte_changed_is_not_found), cmocka_unit_test(other_lengths_are_not_found),
        cmocka_unit_test(a_number_outside_the_list_has_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
