// The public words for errors are the engine's own, number by number.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/quoit.h"
#include "engine/base/error.h"
#include "engine/loop/io.h"
#include "engine/loop/ring.h"

struct row {
    const char *name;
    int32_t number;     // the engine's
    int32_t public_one; // quoit/error.h's
    bool is_retryable;
    const char *sentence;
};

// QUOIT_OK has another prefix than the others; a name that one list has and the other lacks does not compile, or is
// found by the count.
#define QUOIT_ERR_OK QUOIT_OK

static const struct row k_rows[] = {
#define Q_ERROR(name, number, retryable, sentence)                                                                     \
    {"QUOIT_ERR_" #name, (number), QUOIT_ERR_##name, (retryable), (sentence)},
#include "engine/base/error_table.h"
#undef Q_ERROR
};

enum { ROWS = sizeof k_rows / sizeof k_rows[0] };

static void each_error_has_the_number_of_the_header(void **state) {
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        if (k_rows[i].number != k_rows[i].public_one) {
            fail_msg("%s", k_rows[i].name);
        }
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(k_rows[i].number, k_rows[j].number);
        }
    }
}

// Every enumerator of the header, by its text: one that the table lacks would not be seen above.
static void the_header_has_no_error_of_its_own(void **state) {
    char line[512];
    int count = 0;
    (void)state;
    FILE *header = fopen("api/quoit/error.h", "r");
    assert_non_null(header);
    while (fgets(line, sizeof line, header) != NULL && strstr(line, "enum quoit_error {") == NULL) {
    }
    while (fgets(line, sizeof line, header) != NULL && strchr(line, '}') == NULL) {
        char name[64];
        int number;
        char sentence[300];
        if (sscanf(line, " QUOIT_%63[A-Z0-9_] = %d, // %299[^\n]", name, &number, sentence) != 3) {
            assert_non_null(strstr(line, "QUOIT_ERR_FORCE_32_BITS"));
            continue;
        }
        count++;
        char full[80];
        snprintf(full, sizeof full, "QUOIT_%s", name);
        assert_string_equal(quoit_error_name(number), full);
        assert_memory_equal(quoit_error_sentence(number), sentence, strlen(sentence)); // long ones go on below
    }
    fclose(header);
    assert_int_equal(count, ROWS);
}

static void each_error_has_its_words(void **state) {
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        int32_t code = k_rows[i].number;
        assert_string_equal(quoit_error_name(code), code == 0 ? "QUOIT_OK" : k_rows[i].name);
        assert_string_equal(quoit_error_sentence(code), k_rows[i].sentence);
        assert_true(strlen(k_rows[i].sentence) > 5);
        assert_int_equal(quoit_error_is_retryable(code), k_rows[i].is_retryable);
        assert_int_equal(quoit_error_category(code), code / 100);
        assert_true(quoit_error_category(code) <= QUOIT_CATEGORY_ENDED);
    }
}

static void numbers_that_are_no_errors_are_told_as_such(void **state) {
    static const int32_t k_numbers[] = {-1, 1, 99, 199, 999, 1000, INT32_MAX, INT32_MIN, -100};
    (void)state;
    for (size_t i = 0; i < sizeof k_numbers / sizeof k_numbers[0]; i++) {
        assert_string_equal(quoit_error_name(k_numbers[i]), "QUOIT_ERR_UNKNOWN");
        assert_non_null(quoit_error_sentence(k_numbers[i]));
        assert_int_equal(quoit_error_is_retryable(k_numbers[i]), 0);
        (void)quoit_error_category(k_numbers[i]);
    }
    assert_int_equal(quoit_error_category(-1), QUOIT_CATEGORY_NONE);
    assert_int_equal(quoit_error_category(999), QUOIT_CATEGORY_NONE);
    assert_int_equal(quoit_error_category(INT32_MAX), QUOIT_CATEGORY_NONE);
}

static void phases_are_the_engines(void **state) {
    static const struct {
        int32_t public_one;
        int32_t ours;
        const char *name;
    } k_phases[] = {
        {QUOIT_PHASE_NONE, Q_PHASE_NONE, "none"},
        {QUOIT_PHASE_CREATE, Q_PHASE_CREATE, "create"},
        {QUOIT_PHASE_SUBMIT, Q_PHASE_SUBMIT, "submit"},
        {QUOIT_PHASE_QUEUE, Q_PHASE_QUEUE, "queue"},
        {QUOIT_PHASE_RESOLVE, Q_PHASE_RESOLVE, "resolve"},
        {QUOIT_PHASE_CONNECT, Q_PHASE_CONNECT, "connect"},
        {QUOIT_PHASE_TLS, Q_PHASE_TLS, "tls"},
        {QUOIT_PHASE_SEND, Q_PHASE_SEND, "send"},
        {QUOIT_PHASE_HEAD, Q_PHASE_HEAD, "head"},
        {QUOIT_PHASE_BODY, Q_PHASE_BODY, "body"},
        {QUOIT_PHASE_CLOSE, Q_PHASE_CLOSE, "close"},
    };
    (void)state;
    assert_int_equal(sizeof k_phases / sizeof k_phases[0], Q_PHASE_COUNT);
    for (int i = 0; i < Q_PHASE_COUNT; i++) {
        assert_int_equal(k_phases[i].public_one, i);
        assert_int_equal(k_phases[i].ours, i);
        assert_string_equal(quoit_phase_name(i), k_phases[i].name);
    }
    assert_non_null(quoit_phase_name(-1));
    assert_non_null(quoit_phase_name(Q_PHASE_COUNT));
    assert_non_null(quoit_phase_name(INT32_MAX));
    assert_non_null(quoit_phase_name(INT32_MIN));
}

static void capabilities_are_the_rings(void **state) {
    (void)state;
    assert_int_equal(QUOIT_CAP_DEFER_TASKRUN, Q_RING_DEFER_TASKRUN);
    assert_int_equal(QUOIT_CAP_HIDDEN_RING, Q_RING_HIDDEN);
    assert_int_equal(QUOIT_CAP_DIRECT_SOCKET, Q_RING_DIRECT_SOCKET);
    assert_int_equal(QUOIT_CAP_FUTEX_DOORBELL, Q_RING_FUTEX_DOORBELL);
    assert_int_equal(QUOIT_CAP_NO_IOWAIT, Q_RING_NO_IOWAIT);
    assert_int_equal(QUOIT_CAP_DIRECT_BIND, Q_RING_DIRECT_BIND);
    assert_int_equal(QUOIT_CAP_RECV_MULTISHOT, Q_RING_RECV_MULTISHOT);
    assert_int_equal(QUOIT_CAP_RECV_BUNDLE, Q_RING_RECV_BUNDLE);
}

static void errnos_have_their_symbols(void **state) {
    (void)state;
    assert_string_equal(quoit_errno_name(ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(quoit_errno_name(ECONNRESET), "ECONNRESET");
    assert_string_equal(quoit_errno_name(ENOMEM), "ENOMEM");
    assert_string_equal(quoit_errno_name(0), "");
    assert_string_equal(quoit_errno_name(-1), "");
    assert_string_equal(quoit_errno_name(INT32_MAX), "");
}

static void the_version_is_the_headers(void **state) {
    char version[32];
    (void)state;
    snprintf(version, sizeof version, "%d.%d.%d", QUOIT_VERSION_MAJOR, QUOIT_VERSION_MINOR, QUOIT_VERSION_PATCH);
    assert_string_equal(quoit_version(), version);
    assert_int_equal(quoit_abi_version(), QUOIT_ABI_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_has_the_number_of_the_header),
        cmocka_unit_test(the_header_has_no_error_of_its_own),
        cmocka_unit_test(each_error_has_its_words),
        cmocka_unit_test(numbers_that_are_no_errors_are_told_as_such),
        cmocka_unit_test(phases_are_the_engines),
        cmocka_unit_test(capabilities_are_the_rings),
        cmocka_unit_test(errnos_have_their_symbols),
        cmocka_unit_test(the_version_is_the_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
