// Credentials in a URL, as they go into Authorization. Expected values are coreutils' base64 of the decoded octets.
#include "engine/wire/url_basic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct q_url url_of(const char *text) {
    struct q_url url;
    if (q_url_parse(q_alloc_libc(), q_slice_of_string(text), &url).code != Q_ERR_OK) {
        fail_msg("'%s' is no URL", text);
    }
    return url;
}

static void credentials_become_basic(void **state) {
    (void)state;
    static const struct {
        const char *text, *basic;
    } k_rows[] = {
        {"http://h/", ""},
        {"http://@h/", ""},
        {"http://:@h/", ""},
        {"http://Aladdin:open%20sesame@h/", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, // RFC 7617 section 2
        {"http://test:123%C2%A3@h/", "Basic dGVzdDoxMjPCow=="},                    // RFC 7617 section 2.1
        {"http://test:123\xc2\xa3@h/", "Basic dGVzdDoxMjPCow=="},
        {"http://u@h/", "Basic dTo="},
        {"http://u:@h/", "Basic dTo="},
        {"http://:p@h/", "Basic OnA="},
        {"http://u:p@h/", "Basic dTpw"},
        {"http://us:p@h/", "Basic dXM6cA=="},
        {"http://us:pw@h/", "Basic dXM6cHc="},
        {"http://u:p:q@h/", "Basic dTpwOnE="}, // a colon in the password is the password's
        {"http://u:p%3Aq@h/", "Basic dTpwOnE="},
        {"http://a@b:c@h/", "Basic YUBiOmM="},
        {"http://%ff%FE:%80@h/", "Basic //46gA=="}, // no UTF-8: the octets as they are
        {"http://u:%3e%3F%3e@h/", "Basic dTo+Pz4="},
        {"http://u:100%@h/", "Basic dToxMDAl"}, // what is no escape stands for itself
        {"http://u:%zz%4@h/", "Basic dTolenolNA=="},
        {"http://u:%25%34%31@h/", "Basic dTolNDE="}, // decoded once
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_url url = url_of(k_rows[i].text);
        assert_true(q_url_basic_is_valid(&url));
        size_t size = strlen(k_rows[i].basic);
        assert_int_equal(q_url_write_basic(&url, NULL, 0), size);
        char *out = malloc(size + 1); // of just the promised size, so that asan sees a byte too many
        char *exact = size > 0 ? realloc(out, size) : out;
        assert_int_equal(q_url_write_basic(&url, exact, size), size);
        if (memcmp(exact, k_rows[i].basic, size) != 0) {
            fail_msg("'%s' gave %.*s", k_rows[i].text, (int)size, exact);
        }
        free(exact);
        q_url_deinit(&url);
    }
}

static void too_little_room_gets_nothing(void **state) {
    (void)state;
    struct q_url url = url_of("http://u:p@h/");
    char out[16];
    memset(out, '#', sizeof(out));
    assert_int_equal(q_url_write_basic(&url, out, 9), 10);
    for (size_t i = 0; i < sizeof(out); i++) {
        assert_int_equal(out[i], '#');
    }
    q_url_deinit(&url);
}

static void what_rfc_7617_forbids_is_not_valid(void **state) {
    (void)state;
    static const char *const k_bad[] = {
        "http://u%3Av:p@h/", "http://%3A@h/",     "http://u:p%0D%0AX@h/", "http://u%00:p@h/",
        "http://u:%7f@h/",   "http://u%1f:p@h/",  "http://u:%09@h/",      "http://\x01:p@h/",
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        struct q_url url = url_of(k_bad[i]);
        if (q_url_basic_is_valid(&url)) {
            fail_msg("'%s' was taken", k_bad[i]);
        }
        q_url_deinit(&url);
    }
}

static void long_credentials_are_written_whole(void **state) {
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof(text));
    memcpy(text, "http://", 7);
    memcpy(text + 2900, ":p@h/", 6);
    struct q_url url = url_of(text);
    size_t size = q_url_write_basic(&url, NULL, 0);
    assert_int_equal(size, 6 + (2893 + 2 + 2) / 3 * 4);
    char *out = malloc(size);
    assert_int_equal(q_url_write_basic(&url, out, size), size);
    for (size_t i = 6; i < size - 4; i++) {
        assert_int_equal(out[i], "eHh4"[(i - 6) % 4]);
    }
    free(out);
    q_url_deinit(&url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials_become_basic),
        cmocka_unit_test(too_little_room_gets_nothing),
        cmocka_unit_test(what_rfc_7617_forbids_is_not_valid),
        cmocka_unit_test(long_credentials_are_written_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
