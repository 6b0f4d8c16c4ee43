// International names. What is expected is what the WHATWG URL standard says, as node's URL class does it; the table of
// known deviations has both answers, so that a newer libidn2 that has got better is noticed and the row taken out.
#include "engine/wire/idna.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool is_ascii(const char *text) {
    for (; *text != 0; text++) {
        if ((unsigned char)*text >= 0x80) {
            return false;
        }
    }
    return true;
}

// ours gives the name in ASCII as a string, or NULL when it is refused.
static const char *ours(const char *name) {
    static char text[Q_IDNA_DOMAIN_MAX + 1];
    struct q_slice domain = q_slice_of_string(name);
    size_t len = domain.len;
    enum q_error_code code;
    if (is_ascii(name)) {
        assert_true(len <= Q_IDNA_DOMAIN_MAX);
        memcpy(text, name, len);
        code = q_idna_check(domain);
    } else {
        char *out = malloc(Q_IDNA_DOMAIN_MAX); // of just the promised size
        code = q_idna_to_ascii(domain, out, &len);
        memcpy(text, out, code == Q_ERR_OK ? len : 0);
        free(out);
    }
    assert_true(code == Q_ERR_OK || code == Q_ERR_INVALID_URL);
    text[code == Q_ERR_OK ? len : 0] = 0;
    return code == Q_ERR_OK ? text : NULL;
}

static void expect(const char *name, const char *expected) {
    const char *got = ours(name);
    if ((got == NULL) != (expected == NULL) || (got != NULL && strcmp(got, expected) != 0)) {
        fail_msg("'%s' gave %s instead of %s", name, got == NULL ? "an error" : got,
                 expected == NULL ? "an error" : expected);
    }
}

static void names_that_are_ascii_pass_unchanged(void **state) {
    (void)state;
    static const char *const k_names[] = {
        "", ".", "a", "a.b.", "a..b", "-a-", "ab--cd", "r3---sn", "a_b", "xn-", "axn--a", "x", "*!$&'()+,;=~",
    };
    for (size_t i = 0; i < COUNT_OF(k_names); i++) {
        expect(k_names[i], k_names[i]);
    }
    static char long_name[1000];
    memset(long_name, 'x', sizeof(long_name));
    assert_int_equal(q_idna_check(q_slice_make(long_name, sizeof(long_name))), Q_ERR_OK);
}

#ifndef Q_WITHOUT_IDN2

static void labels_with_the_ace_prefix_decode_and_encode_to_themselves(void **state) {
    (void)state;
    static const char *const k_good[] = {
        "xn--mnchen-3ya.de", "xn--fa-hia.de", "xn--zca", "xn--3xa.gr", "a_b.xn--tda", "xn--80ak6aa92e.com",
        "xn--ls8h.la", "xn--n3h", "xn--1ch", "xn--99zzzzz", "xn--nxa3b", "-a.ab--c.xn--tda.",
    };
    static const char *const k_bad[] = {
        "xn--",         // nothing to decode
        "xn--0",        // no punycode
        "xn--a",        // decodes to a control character
        "a.xn--a.b",    // at any place
        "xn--zn7c.com", // a letter that does not come out of mapping
        "xn--pokxncvks",
        "xn--maa",
        "xn--abc-",    // decodes to ASCII
        "xn--tda-.de", // likewise
        "xn--a-yoc",   // breaks the Bidi rule
        "xn--\x01-3ya",
    };
    for (size_t i = 0; i < COUNT_OF(k_good); i++) {
        expect(k_good[i], k_good[i]);
    }
    for (size_t i = 0; i < COUNT_OF(k_bad); i++) {
        expect(k_bad[i], NULL);
    }
    assert_int_equal(q_idna_check(q_slice_make("xn--m\0nchen-3ya", 15)), Q_ERR_INVALID_URL);
}

static void a_name_too_long_for_the_dns_has_no_labels_to_check(void **state) {
    (void)state;
    char name[Q_IDNA_DOMAIN_MAX + 1];
    memset(name, '.', sizeof(name));
    memcpy(name, "xn--tda", 7);
    assert_int_equal(q_idna_check(q_slice_make(name, sizeof(name) - 1)), Q_ERR_OK);
    assert_int_equal(q_idna_check(q_slice_make(name, sizeof(name))), Q_ERR_INVALID_URL);
}

struct row {
    const char *name;
    const char *expected; // NULL: refused
};

static void expect_all(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        expect(rows[i].name, rows[i].expected);
    }
}

static void names_are_mapped_and_encoded(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {"münchen.de", "xn--mnchen-3ya.de"},
        {"MÜNCHEN.DE", "xn--mnchen-3ya.de"},
        {"mu\u0308nchen.de", "xn--mnchen-3ya.de"}, // composed first
        {"日本語.jp", "xn--wgv71a119e.jp"},
        {"faß.de", "xn--fa-hia.de"}, // non-transitional: not fass.de
        {"ς.gr", "xn--3xa.gr"},
        {"\u0915\u094d\u200c\u0915.in", "xn--11ba1ow90g.in"}, // a joiner where the script wants one
        {"\u1e9e.de", "ss.de"},
        {"ⅷ.de", "viii.de"},
        {"ａ.ü", "a.xn--tda"},
        {"\u212a.com", "k.com"},
        {"\u2260", "xn--1ch"},
        {"=\u0338", "xn--1ch"},
        {"<\u0338.a", "xn--gdh.a"},
        {"\ufeffü", "xn--tda"}, // what vanishes
        {"ü\u200b", "xn--tda"},
        {"a\u00ad", "a"},
        {"\u00ad", ""}, // the caller refuses it
        {"a.\u00ad.b", "a..b"},
        {"\u30fb.jp", "xn--vek.jp"},
        {"l\u00b7l.cat", "xn--ll-0ea.cat"},
        {"\u05d0.0a", "xn--4db.0a"},
        {"à.\u05d0", "xn--0ca.xn--4db"},
        {"ｘn--mnchen-3ya", "xn--mnchen-3ya"},
    };
    expect_all(k_rows, COUNT_OF(k_rows));
}

static void every_full_stop_ends_a_label(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {"a.b\u3002c\uff0ed\uff61e", "a.b.c.d.e"}, {"ü..a", "xn--tda..a"}, {"\u3002ü", ".xn--tda"},
        {"ü\u3002", "xn--tda."},                   {"\u3002", "."},        {"１.２\uff0e３\uff61４", "1.2.3.4"},
    };
    expect_all(k_rows, COUNT_OF(k_rows));
}

// libidn2 sees labels that need it, and never their neighbours.
static void ascii_labels_beside_others_only_fold_their_case(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {"-A-.ü", "-a-.xn--tda"},
        {"R3---sn.ü", "r3---sn.xn--tda"},
        {"A_b!~.ü", "a_b!~.xn--tda"},
        {"a b%.ü", "a b%.xn--tda"}, // the caller refuses it
        {"XN--TDA.ü", "xn--tda.xn--tda"},
        {"xn--a.ü", NULL},
        {"ü.xn--", NULL},
    };
    expect_all(k_rows, COUNT_OF(k_rows));
}

static void symbols_are_taken_by_the_second_rules(void **state) {
    (void)state;
    static const struct row k_rows[] = {
        {"☃.net", "xn--n3h.net"},
        {"💩.la", "xn--ls8h.la"},
        {"I♥NY.com", "xn--iny-zx5a.com"},
        {"ⅷ☃", "xn--viii-8g3b"},
    };
    expect_all(k_rows, COUNT_OF(k_rows));
}

static void what_is_not_valid_is_refused(void **state) {
    (void)state;
    static const char *const k_bad[] = {
        "\u0301a",             // begins with a mark
        "a\u200db",            // a joiner that joins nothing
        "\U0001f3f4\u200d☠.ws",
        "\u05d0a.de",          // Bidi rule
        "\u05d0☃",             // Bidi rule, with a symbol
        "a\u05beb",
        "\u2132.com",          // an old capital letter without a small one at its time
        "\ue000",              // private use
        "\U000e0020a",         // a tag
        "a\u2026ü",            // maps to full stops
        "\u2488ü",
        "a\u2028b",
        "ü％b",                // maps to what no host may hold
        "ü／b",
        "ｘn--a",
        "xn--ß",
        "xn--ü",
        "\xff.de",             // no UTF-8
        "\xc3.de",
        "\xc0\xaf.de",         // overlong
        "\xed\xa0\x80.de",     // half of a surrogate pair
        "\xf4\x90\x80\x80.de", // above the last code point
    };
    for (size_t i = 0; i < COUNT_OF(k_bad); i++) {
        expect(k_bad[i], NULL);
    }
    char out[Q_IDNA_DOMAIN_MAX];
    size_t len;
    assert_int_equal(q_idna_to_ascii(q_slice_make("\xc3\xbc\0b", 4), out, &len), Q_ERR_INVALID_URL);
}

// Where libidn2 (2.3) and the standard part. All but the last row refuse what the standard takes; no row encodes a name
// differently, so that no name leads to two hosts.
static void known_deviations_from_the_standard(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *standard, *ours;
        const char *reason;
    } k_rows[] = {
        {"ü-", "xn----dha", NULL, "hyphen at an end of an international label"},
        {"-ü", "xn----eha", NULL, "likewise"},
        {"☃-", "xn----0xp", NULL, "likewise"},
        {"ab--ü", "xn--ab---3ra", NULL, "hyphens in third and fourth place of one"},
        {"xn--xn---epa", "xn--xn---epa", NULL, "likewise, encoded"},
        {"a,ü", "xn--a,-yka", NULL, "ASCII punctuation in one; IDNA2008 has none"},
        {"xn--a,-yka", "xn--a,-yka", NULL, "likewise, encoded"},
        {"\u0661.de", "xn--9hb.de", NULL, "Arabic digits alone; Bidi rule 1, read strictly"},
        {"ςሀ☃", "xn--3xa604eetp", NULL, "a symbol beside a deviation character"},
        {"\U0001e4d0.de", "xn--oh5h.de", NULL, "a letter newer than libidn2's tables (Unicode 15)"},
        {"üxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         "xn--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-kug", NULL, "more than 63 octets"},
        {"\u06271\u05d0\u0660", NULL, "xn--1-0hc3x1h", "European beside Arabic digits; Bidi rule 4 is not applied"},
    };
    for (size_t i = 0; i < COUNT_OF(k_rows); i++) {
        const char *got = ours(k_rows[i].name);
        const char *want = k_rows[i].ours;
        if ((got == NULL) != (want == NULL) || (got != NULL && strcmp(got, want) != 0)) {
            fail_msg("'%s' now gives %s; the standard says %s (%s)", k_rows[i].name, got == NULL ? "an error" : got,
                     k_rows[i].standard == NULL ? "an error" : k_rows[i].standard, k_rows[i].reason);
        }
    }
}

static void a_result_is_bounded_by_what_the_dns_holds(void **state) {
    (void)state;
    char name[2100];
    char *out = malloc(Q_IDNA_DOMAIN_MAX);
    size_t out_len;
    size_t len = 0;
    for (size_t i = 0; i < 30; i++) { // labels that grow: one letter of three octets becomes four kana
        memcpy(name + len, "\xe3\x8c\x80.", 4);
        len += 4;
        bool fits = (i + 1) * 14 <= Q_IDNA_DOMAIN_MAX; // "xn--cckzd0a3n" and the dot
        assert_int_equal(q_idna_to_ascii(q_slice_make(name, len), out, &out_len), fits ? 0 : Q_ERR_INVALID_URL);
    }
    for (len = 0; len + 2 <= 1026; len += 2) { // a label that shrinks, to nothing
        memcpy(name + len, "\xc2\xad", 2);
    }
    assert_int_equal(q_idna_to_ascii(q_slice_make(name, 1024), out, &out_len), Q_ERR_OK);
    assert_int_equal(out_len, 0);
    assert_int_equal(q_idna_to_ascii(q_slice_make(name, 1026), out, &out_len), Q_ERR_INVALID_URL);
    memset(name, '.', 300);
    memcpy(name, "\xc3\xbc", 2);
    assert_int_equal(q_idna_to_ascii(q_slice_make(name, 2 + 248), out, &out_len), Q_ERR_OK);
    assert_int_equal(out_len, Q_IDNA_DOMAIN_MAX);
    assert_int_equal(q_idna_to_ascii(q_slice_make(name, 2 + 249), out, &out_len), Q_ERR_INVALID_URL);
    free(out);
}

#else

static void without_libidn2_only_ascii_passes(void **state) {
    (void)state;
    expect("xn--mnchen-3ya.de", "xn--mnchen-3ya.de");
    expect("xn--0", "xn--0"); // not looked into
    expect("münchen.de", NULL);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_ascii_pass_unchanged),
#ifndef Q_WITHOUT_IDN2
        cmocka_unit_test(labels_with_the_ace_prefix_decode_and_encode_to_themselves),
        cmocka_unit_test(a_name_too_long_for_the_dns_has_no_labels_to_check),
        cmocka_unit_test(names_are_mapped_and_encoded),
        cmocka_unit_test(every_full_stop_ends_a_label),
        cmocka_unit_test(ascii_labels_beside_others_only_fold_their_case),
        cmocka_unit_test(symbols_are_taken_by_the_second_rules),
        cmocka_unit_test(what_is_not_valid_is_refused),
        cmocka_unit_test(known_deviations_from_the_standard),
        cmocka_unit_test(a_result_is_bounded_by_what_the_dns_holds),
#else
        cmocka_unit_test(without_libidn2_only_ascii_passes),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
