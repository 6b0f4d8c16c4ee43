// Error values and their one table.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "engine/base/error.h"

struct row {
    int32_t code;
    int retryable;
    const char *name;
    const char *sentence;
};

static const struct row k_rows[] = {
#define Q_ERROR(name, number, retryable, sentence) {(number), (retryable), #name, (sentence)},
#include "engine/base/error_table.h"
#undef Q_ERROR
};

static void no_number_and_no_name_is_used_twice(void **state) {
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(k_rows[i].code, k_rows[j].code);
            assert_string_not_equal(k_rows[i].name, k_rows[j].name);
            assert_string_not_equal(k_rows[i].sentence, k_rows[j].sentence);
        }
    }
}

static void the_category_is_readable_from_the_number(void **state) {
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        assert_true(k_rows[i].code == 0 || (k_rows[i].code >= 100 && k_rows[i].code <= 899));
        assert_true(i == 0 || k_rows[i].code > k_rows[i - 1].code); // in order, so that a category stands together
    }
}

static void each_code_has_its_name_and_sentence(void **state) {
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        const char *name = q_error_name(k_rows[i].code);
        assert_true(strncmp(name, "QUOIT_", 6) == 0);
        assert_non_null(strstr(name, k_rows[i].name));
        assert_string_equal(q_error_sentence(k_rows[i].code), k_rows[i].sentence);
        assert_int_equal(q_error_is_retryable(k_rows[i].code), k_rows[i].retryable);
    }
    assert_string_equal(q_error_name(Q_ERR_OK), "QUOIT_OK");
    assert_string_equal(q_error_name(Q_ERR_CANCELED), "QUOIT_ERR_CANCELED");
    assert_string_equal(q_error_name(Q_ERR_CONNECT_REFUSED), "QUOIT_ERR_CONNECT_REFUSED");
}

static void sentences_are_plain_ascii_without_a_full_stop(void **state) {
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        size_t len = strlen(k_rows[i].sentence);
        assert_true(len > 0 && k_rows[i].sentence[len - 1] != '.');
        for (size_t at = 0; at < len; at++) {
            assert_true(k_rows[i].sentence[at] >= ' ' && k_rows[i].sentence[at] <= '~');
        }
    }
}

// Codes are public and never change their meaning: these are the ones that a first host was told.
static void numbers_that_were_given_out_stay(void **state) {
    (void)state;
    assert_int_equal(Q_ERR_OK, 0);
    assert_int_equal(Q_ERR_INVALID_ARGUMENT, 100);
    assert_int_equal(Q_ERR_STALE_HANDLE, 110);
    assert_int_equal(Q_ERR_NO_MEMORY, 200);
    assert_int_equal(Q_ERR_CONNECT_REFUSED, 310);
    assert_int_equal(Q_ERR_CONNECTION_RESET, 400);
    assert_int_equal(Q_ERR_HTTP_BAD_RESPONSE, 600);
    assert_int_equal(Q_ERR_PORT_FULL, 711);
    assert_int_equal(Q_ERR_CANCELED, 800);
}

static void unknown_numbers_are_answered(void **state) {
    (void)state;
    assert_string_equal(q_error_name(-1), "QUOIT_ERR_UNKNOWN");
    assert_string_equal(q_error_name(99), "QUOIT_ERR_UNKNOWN");
    assert_true(strlen(q_error_sentence(INT32_MAX)) > 0);
    assert_false(q_error_is_retryable(INT32_MIN));
}

static void the_zero_value_is_no_error(void **state) {
    (void)state;
    assert_false(q_error_is(Q_OK));
    struct q_error error = q_error_make(Q_ERR_CANCELED, Q_PHASE_QUEUE);
    assert_true(q_error_is(error));
    assert_int_equal(error.phase, Q_PHASE_QUEUE);
    assert_int_equal(error.os_errno, 0);
    assert_int_equal(error.retry_safe, 0);
    error = q_error_os(Q_ERR_CONNECT_REFUSED, Q_PHASE_CONNECT, ECONNREFUSED);
    assert_int_equal(error.code, Q_ERR_CONNECT_REFUSED);
    assert_int_equal(error.os_errno, ECONNREFUSED);
}

static void each_phase_has_a_word_of_its_own(void **state) {
    (void)state;
    for (unsigned i = 0; i < Q_PHASE_COUNT; i++) {
        assert_non_null(q_phase_name(i));
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(q_phase_name(i), q_phase_name(j));
        }
    }
    assert_string_equal(q_phase_name(Q_PHASE_TLS), "tls");
    assert_string_equal(q_phase_name(Q_PHASE_COUNT), "none");
}

static void an_errno_has_its_symbol(void **state) {
    (void)state;
    assert_string_equal(q_errno_name(ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(q_errno_name(123456), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_number_and_no_name_is_used_twice),
        cmocka_unit_test(the_category_is_readable_from_the_number),
        cmocka_unit_test(each_code_has_its_name_and_sentence),
        cmocka_unit_test(sentences_are_plain_ascii_without_a_full_stop),
        cmocka_unit_test(numbers_that_were_given_out_stay),
        cmocka_unit_test(unknown_numbers_are_answered),
        cmocka_unit_test(the_zero_value_is_no_error),
        cmocka_unit_test(each_phase_has_a_word_of_its_own),
        cmocka_unit_test(an_errno_has_its_symbol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
