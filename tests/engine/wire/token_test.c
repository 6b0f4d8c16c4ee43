#include "engine/wire/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// The classes again, straight from the grammar and not from the table.
static bool is_tchar(int c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void every_byte_is_what_the_grammar_says(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        assert_int_equal(q_byte_is(byte, Q_BYTE_TOKEN), is_tchar(c));
        assert_int_equal(q_byte_is(byte, Q_BYTE_FIELD_VALUE), c == '\t' || (c >= 0x20 && c != 0x7f));
        assert_int_equal(q_byte_is(byte, Q_BYTE_TARGET), c > 0x20 && c < 0x7f);
        assert_int_equal(q_byte_is(byte, Q_BYTE_DIGIT), c >= '0' && c <= '9');
        assert_int_equal(q_byte_is(byte, Q_BYTE_ALPHA), (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
        bool hex = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
        assert_int_equal(q_byte_is(byte, Q_BYTE_HEX), hex);
        assert_int_equal(q_hex_value(byte) >= 0, hex);
    }
}

static void hexadecimal_digits_have_their_values(void **state) {
    (void)state;
    assert_int_equal(q_hex_value('0'), 0);
    assert_int_equal(q_hex_value('9'), 9);
    assert_int_equal(q_hex_value('a'), 10);
    assert_int_equal(q_hex_value('F'), 15);
}

static void a_token_has_at_least_one_byte(void **state) {
    (void)state;
    assert_true(q_is_token(Q_SLICE("GET")));
    assert_true(q_is_token(Q_SLICE("M-SEARCH")));
    assert_false(q_is_token(Q_SLICE("")));
    assert_false(q_is_token((struct q_slice){0}));
    assert_false(q_is_token(Q_SLICE("G T")));
    assert_false(q_is_token(Q_SLICE("GET\r")));
    assert_false(q_is_token(Q_SLICE("GET\0")));
}

static void a_field_value_holds_no_line_end_and_no_nul(void **state) {
    (void)state;
    assert_true(q_is_field_value(Q_SLICE("")));
    assert_true(q_is_field_value(Q_SLICE("a b\tc \xc3\xa9")));
    assert_false(q_is_field_value(Q_SLICE("a\rb")));
    assert_false(q_is_field_value(Q_SLICE("a\nb")));
    assert_false(q_is_field_value(Q_SLICE("a\0b")));
    assert_false(q_is_field_value(Q_SLICE("a\x7f")));
}

static void a_request_target_is_visible_ascii(void **state) {
    (void)state;
    assert_true(q_is_request_target(Q_SLICE("/a?b=c")));
    assert_false(q_is_request_target(Q_SLICE("")));
    assert_false(q_is_request_target(Q_SLICE("/a b")));
    assert_false(q_is_request_target(Q_SLICE("/\xc3\xa9")));
    assert_false(q_is_request_target(Q_SLICE("/a\r\n")));
}

static void expect_members(struct q_slice list, size_t count, const char *const *members) {
    struct q_slice member;
    for (size_t i = 0; i < count; i++) {
        assert_true(q_list_next(&list, &member));
        assert_true(q_slice_equal(member, q_slice_of_string(members[i])));
    }
    assert_false(q_list_next(&list, &member));
    assert_false(q_list_next(&list, &member));
}

static void a_list_is_cut_at_its_commas(void **state) {
    (void)state;
    expect_members(Q_SLICE("a, b\t ,c"), 3, (const char *[]){"a", "b", "c"});
    expect_members(Q_SLICE("only"), 1, (const char *[]){"only"});
    expect_members(Q_SLICE(" x y "), 1, (const char *[]){"x y"});
}

static void empty_members_of_a_list_are_members(void **state) {
    (void)state;
    expect_members(Q_SLICE(""), 1, (const char *[]){""});
    expect_members(Q_SLICE(","), 2, (const char *[]){"", ""});
    expect_members(Q_SLICE(",a"), 2, (const char *[]){"", "a"});
    expect_members(Q_SLICE("a,"), 2, (const char *[]){"a", ""});
    expect_members(Q_SLICE("a,,b"), 3, (const char *[]){"a", "", "b"});
    expect_members((struct q_slice){0}, 0, NULL);
}

static void expect_decoded(struct q_slice text, struct q_slice expected) {
    char out[64];
    size_t len = q_percent_decode(text, out);
    assert_true(q_slice_equal(q_slice_make(out, len), expected));
}

static void percent_decoding_leaves_what_is_not_valid(void **state) {
    (void)state;
    expect_decoded(Q_SLICE("a%20b%2Fc"), Q_SLICE("a b/c"));
    expect_decoded(Q_SLICE("%00%ff"), Q_SLICE("\0\xff"));
    expect_decoded(Q_SLICE("%"), Q_SLICE("%"));
    expect_decoded(Q_SLICE("%2"), Q_SLICE("%2"));
    expect_decoded(Q_SLICE("%zz%4"), Q_SLICE("%zz%4"));
    expect_decoded(Q_SLICE("%%41"), Q_SLICE("%A"));
    expect_decoded(Q_SLICE(""), Q_SLICE(""));
}

static void percent_decoding_works_in_place(void **state) {
    (void)state;
    char text[] = "%41%42c";
    assert_int_equal(q_percent_decode(q_slice_of_string(text), text), 3);
    assert_memory_equal(text, "ABc", 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_what_the_grammar_says),
        cmocka_unit_test(hexadecimal_digits_have_their_values),
        cmocka_unit_test(a_token_has_at_least_one_byte),
        cmocka_unit_test(a_field_value_holds_no_line_end_and_no_nul),
        cmocka_unit_test(a_request_target_is_visible_ascii),
        cmocka_unit_test(a_list_is_cut_at_its_commas),
        cmocka_unit_test(empty_members_of_a_list_are_members),
        cmocka_unit_test(percent_decoding_leaves_what_is_not_valid),
        cmocka_unit_test(percent_decoding_works_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
