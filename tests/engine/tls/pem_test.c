// PEM blocks in texts: found among other words, never beyond their end, decoded or refused whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/tls/pem.h"

// The labels of all blocks of `text`, with blanks between, are `labels`. The text lies in memory of its own length.
static void expect_labels(const char *text, const char *labels) {
    char got[200] = "";
    size_t len = strlen(text);
    char *exact = malloc(len == 0 ? 1 : len);
    assert_non_null(exact);
    memcpy(exact, text, len);
    struct q_slice rest = q_slice_make(exact, len);
    struct q_pem_block block;
    while (q_pem_next(&rest, &block)) {
        strncat(got, block.label.ptr, block.label.len);
        strncat(got, " ", 2);
        assert_true(block.whole.ptr >= exact && block.whole.ptr + block.whole.len <= exact + len);
        assert_memory_equal(block.whole.ptr, "-----BEGIN ", 11);
        assert_memory_equal(block.whole.ptr + block.whole.len - 5, "-----", 5);
    }
    assert_int_equal(rest.len, 0);
    free(exact);
    assert_string_equal(got, labels);
}

static void blocks_are_found_among_other_text(void **state) {
    (void)state;
    expect_labels("", "");
    expect_labels("no block here - -- --- ---- -----", "");
    expect_labels("-----BEGIN A-----\nAAAA\n-----END A-----", "A ");
    expect_labels("words\n-----BEGIN A B-----\nAAAA\n-----END A B-----\nwords\n-----BEGIN C-----\r\nAAAA\r\n-----END C-----\r\n",
                  "A B C ");
    expect_labels("-----BEGIN A-----\nAAAA\n-----END A----------BEGIN B-----\nAAAA\n-----END B-----", "A B ");
}

static void what_is_not_a_whole_block_is_read_over(void **state) {
    (void)state;
    expect_labels("-----BEGIN A-----\nAAAA\n", "");
    expect_labels("-----BEGIN A-----\nAAAA\n-----END A----", "");
    expect_labels("-----BEGIN A-----\nAAAA\n-----END", "");
    expect_labels("-----BEGIN ", "");
    expect_labels("-----BEGIN -----\nAAAA\n-----END -----", "");
    expect_labels("-----BEGIN A-----\nAAAA\n-----END B-----\n-----BEGIN C-----\nAAAA\n-----END C-----", "C ");
    expect_labels("-----BEGIN A-----\n-----BEGIN B-----\nAAAA\n-----END B-----", "B "); // the first never ended
    expect_labels("-----BEGIN A\n-----\nAAAA\n-----END A\n-----", "");
}

static void every_cut_of_a_text_is_safe(void **state) {
    (void)state;
    static const char k_text[] = "x\n-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN B-----\nAA==\n-----END B-----\n";
    for (size_t len = 0; len < sizeof k_text; len++) {
        char *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, k_text, len);
        struct q_slice rest = q_slice_make(exact, len);
        struct q_pem_block block;
        unsigned count = 0;
        while (q_pem_next(&rest, &block)) {
            count++;
        }
        assert_int_equal(count, (len >= 40) + (len >= 79));
        free(exact);
    }
}

static bool decode(const char *body, uint8_t *out, size_t *out_len) {
    char text[200] = "-----BEGIN A-----";
    struct q_pem_block block;
    strncat(text, body, 100);
    strncat(text, "-----END A-----", 20);
    struct q_slice rest = q_slice_of_string(text);
    assert_true(q_pem_next(&rest, &block));
    assert_true(q_pem_label_is(&block, "A") && !q_pem_label_is(&block, "") && !q_pem_label_is(&block, "AB"));
    size_t room = q_pem_decoded_max(&block);
    uint8_t *exact = malloc(room);
    assert_non_null(exact);
    bool decoded = q_pem_decode(&block, exact, out_len);
    if (decoded) {
        assert_true(*out_len <= room);
        memcpy(out, exact, *out_len);
    }
    free(exact);
    return decoded;
}

static void bodies_are_decoded_or_refused_whole(void **state) {
    (void)state;
    uint8_t out[200];
    size_t len = 0;
    assert_true(decode("\nYWJj\nZGU=\n", out, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(out, "abcde", 5);
    assert_true(decode("YWJjZA==", out, &len));
    assert_int_equal(len, 4);
    static const char *const k_refused[] = {"", "\n", "YWJ", "YWJjZ", "YW*j", "YQ==YQ==", "Proc-Type: 4\n\nYWJj", "===="};
    for (size_t i = 0; i < Q_COUNT_OF(k_refused); i++) {
        if (strchr(k_refused[i], '-') == NULL) {
            assert_false(decode(k_refused[i], out, &len));
        }
    }
}

static void der_is_not_taken_for_text(void **state) {
    (void)state;
    assert_false(q_pem_is_text(q_slice_make(NULL, 0)));
    assert_false(q_pem_is_text(q_slice_make("\x30\x82\x01\x00", 4)));
    assert_true(q_pem_is_text(Q_SLICE("# a comment\n-----BEGIN CERTIFICATE-----\n")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_found_among_other_text),
        cmocka_unit_test(what_is_not_a_whole_block_is_read_over),
        cmocka_unit_test(every_cut_of_a_text_is_safe),
        cmocka_unit_test(bodies_are_decoded_or_refused_whole),
        cmocka_unit_test(der_is_not_taken_for_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
