// nsswitch.conf: which name services are more than files and dns.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "engine/net/nsswitch.h"

static const char *needs(const char *text) {
    static struct q_nsswitch nsswitch;
    q_nsswitch_parse(&nsswitch, q_slice_of_string(text));
    assert_int_equal(nsswitch.needs_more, nsswitch.first[0] != 0);
    return nsswitch.first;
}

static void files_and_dns_in_this_order_are_what_is_done_here(void **state) {
    (void)state;
    assert_string_equal(needs("hosts: files dns\n"), "");
    assert_string_equal(needs("passwd: files sss\nhosts:\tfiles  dns # mdns\n"), "");
    assert_string_equal(needs("hosts:files dns"), "");
    assert_string_equal(needs("hosts: mdns\nhosts: files dns\n"), "");
    assert_string_equal(needs(""), "");
    assert_string_equal(needs("# hosts: mdns\npasswd: files\n"), "");
}

static void anything_else_is_told_by_its_name(void **state) {
    (void)state;
    assert_string_equal(needs("hosts: files mdns4_minimal [NOTFOUND=return] dns\n"), "mdns4_minimal");
    assert_string_equal(needs("hosts: files dns myhostname\n"), "myhostname");
    assert_string_equal(needs("hosts: resolve [!UNAVAIL=return] files dns\n"), "resolve");
    assert_string_equal(needs("hosts: files [NOTFOUND=return] dns\n"), "[NOTFOUND=return]");
    assert_string_equal(needs("hosts: files ldap dns\n"), "ldap");
}

static void another_order_or_less_is_another_thing(void **state) {
    (void)state;
    assert_string_equal(needs("hosts: dns files\n"), "dns");
    assert_string_equal(needs("hosts: files\n"), "hosts:");
    assert_string_equal(needs("hosts:\n"), "hosts:");
    assert_string_equal(needs("hosts: dns\n"), "dns");
    assert_string_equal(needs("hosts: files dns dns\n"), "dns");
}

static void a_name_is_cut_and_shown_in_visible_characters(void **state) {
    (void)state;
    assert_string_equal(needs("hosts: files \x01\xff\x7f dns\n"), "???");
    assert_string_equal(needs("hosts: files a-service-of-which-the-name-is-very-long dns\n"),
                        "a-service-of-which-the-name-is-");
}

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        cmocka_unit_test(files_and_dns_in_this_order_are_what_is_done_here),
        cmocka_unit_test(anything_else_is_told_by_its_name),
        cmocka_unit_test(another_order_or_less_is_another_thing),
        cmocka_unit_test(a_name_is_cut_and_shown_in_visible_characters),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}
