#!/usr/bin/python3
"""The house rules themselves: each is broken on purpose in a small tree and must say so, and a clean tree is clean."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import csource  # noqa: E402
import rules  # noqa: E402

FLOORS = [["base"], ["queue"], ["loop", "wire"], ["net"]]

CLEAN = {
    "WORKSPACE": "",
    "api/quoit.h": "// Quoit.\n\n// quoit_go goes.\nQUOIT_API QUOIT_MUST_USE int quoit_go(int where,\n"
                   "                                          int how);\n",
    "engine/base/slice.h": "// Slices.\n#ifndef QUOIT_ENGINE_BASE_SLICE_H\n#define QUOIT_ENGINE_BASE_SLICE_H\n\n"
                           "// q_slice_len gives the length.\nint q_slice_len(int slice);\n#endif\n",
    "engine/base/slice.c": "#include \"engine/base/slice.h\"\n\nint q_slice_len(int slice) {\n    return slice;\n}\n",
    "engine/net/stream.c": "#include \"engine/base/slice.h\"\n",
    "tests/engine/base/slice_test.c": "#include <cmocka.h>\n",
    "tests/engine/base/BUILD": "q_test(name = \"slice_test\")\n",
    "tests/engine/net/stream_test.c": "",
    "tests/engine/net/BUILD": "[q_test(name = n) for n in glob([\"*_test.c\"])]\n",
}


def findings(rule, changes, allow=""):
    files = dict(CLEAN)
    files.update(changes)
    allowances = rules.Allowances(allow)
    return [f for f in rule(rules.Tree(files, FLOORS)) if not allowances.covers(f)]


class HouseRules(unittest.TestCase):
    def expect(self, rule, changes, name):
        found = findings(rule, changes)
        self.assertEqual([f.name for f in found], [name], found)
        self.assertTrue(found[0].message)

    def test_a_clean_tree_is_clean(self):
        tree = rules.Tree(CLEAN, FLOORS)
        for name, found in rules.inspect(tree, rules.Allowances("")).items():
            self.assertEqual(found, [], name)

    def test_an_include_upwards_is_refused(self):
        self.expect(rules.include_direction, {"engine/base/slice.c": '#include "engine/net/x.h"\n'}, "engine/net/x.h")

    def test_floors_of_one_row_never_meet(self):
        self.expect(rules.include_direction, {"engine/wire/h1.c": '#include "engine/loop/io.h"\n'}, "engine/loop/io.h")

    def test_a_folder_that_is_no_floor_is_refused(self):
        self.expect(rules.include_direction, {"engine/attic/x.c": ""}, "attic")

    def test_the_engine_does_not_include_tests(self):
        self.expect(rules.include_direction, {"engine/base/slice.c": '#include "tests/support/x.h"\n'}, "tests/support/x.h")

    def test_an_include_in_a_comment_does_not_count(self):
        self.assertEqual(findings(rules.include_direction, {"engine/base/x.c": '// #include "engine/net/x.h"\n'}), [])

    def test_a_header_not_named_from_the_root_is_refused(self):
        self.expect(rules.include_form, {"engine/base/slice.c": '#include "slice.h"\n'}, "slice.h")

    def test_a_public_header_names_others_from_where_it_is(self):
        files = {"api/quoit.h": '#include "quoit/error.h"\n', "api/quoit/error.h": '#include "abi.h"\n', "api/quoit/abi.h": ""}
        self.assertEqual(findings(rules.include_form, files), [])
        self.assertEqual(findings(rules.clients_see_the_contract_alone, files), [])
        self.expect(rules.include_form, dict(files, **{"api/quoit/error.h": '#include "quoit/abi.h"\n'}), "quoit/abi.h")

    def test_an_example_sees_the_contract_alone(self):
        self.expect(rules.clients_see_the_contract_alone,
                    {"api/examples/fetch.c": '#include "engine/base/slice.h"\n'}, "engine/base/slice.h")

    def test_a_circle_of_two_is_found(self):
        self.expect(rules.include_circles, {"engine/base/a.h": '#include "engine/base/b.h"\n',
                                            "engine/base/b.h": '#include "engine/base/a.h"\n'}, "a")

    def test_a_circle_through_a_source_file_is_found(self):
        self.expect(rules.include_circles, {"engine/base/a.h": '#include "engine/base/b.h"\n',
                                            "engine/base/b.h": "",
                                            "engine/base/b.c": '#include "engine/base/c.h"\n',
                                            "engine/base/c.h": '#include "engine/base/a.h"\n'}, "a")

    def test_an_internal_header_belongs_to_its_module(self):
        self.assertEqual(findings(rules.include_circles, {
            "engine/loop/ring_internal.h": '#include "engine/loop/ring.h"\n', "engine/loop/ring.h": "",
            "engine/loop/ring.c": '#include "engine/loop/ring_internal.h"\n'}), [])

    def test_an_outside_header_has_one_place(self):
        for header, wrong, right in (
                ("liburing.h", "engine/loop/ring.c", "engine/loop/uring_abi.h"),
                ("liburing.h", "bench/driver/main.c", "bench/peers/bare.c"),
                ("curl/curl.h", "bench/peers/bare.c", "bench/peers/curl.c"),
                ("llhttp.h", "engine/wire/headers.c", "engine/wire/h1_reader.c"),
                ("idn2.h", "engine/wire/url_host.c", "engine/wire/idna.c"),
                ("openssl/ssl.h", "engine/net/stream.c", "engine/tls/context.c"),
                ("nghttp2/nghttp2.h", "engine/wire/h1_reader.c", "engine/wire/h2_session.c"),
                ("ares.h", "engine/net/stream.c", "engine/net/dns_message.c"),
                ("cmocka.h", "engine/base/slice.c", "tests/engine/base/slice_test.c")):
            self.expect(rules.outside_headers, {wrong: "#include <%s>\n" % header}, header)
            self.assertEqual(findings(rules.outside_headers, {right: "#include <%s>\n" % header}), [])
        self.expect(rules.outside_headers, {"engine/net/hosts.c": "#include <netdb.h>\n"}, "netdb.h")

    def test_banned_calls_are_found(self):
        for name in ("getenv", "setenv", "strerror", "getaddrinfo", "gethostbyname", "localtime", "signal", "atexit",
                     "fork", "strcpy", "sprintf", "atoi", "sleep", "malloc", "calloc", "realloc", "free", "printf"):
            body = "int f(void) {\n    return (int)%s(1);\n}\n" % name
            self.expect(rules.banned_calls, {"engine/base/bad.c": body}, name)

    def test_a_banned_call_in_a_macro_is_found(self):
        self.expect(rules.banned_calls, {"engine/base/bad.h": "#define GET(x) malloc(x)\n"}, "malloc")

    def test_names_that_only_resemble_are_not_calls(self):
        self.assertEqual(findings(rules.banned_calls, {"engine/base/good.c": "\n".join([
            "void q_slots_free(struct q_slots *slots);", "// getenv() is not called", 'const char *k = "malloc(1)";',
            "x->free(x);", "alloc.malloc(3);", "snprintf(b, 1, f);", "q_time(1);", ""])}), [])

    def test_a_sleep_in_a_test_is_found(self):
        self.expect(rules.banned_calls, {"tests/engine/base/slice_test.c": "void f(void) {\n    usleep(5);\n}\n"}, "usleep")

    def test_a_function_of_71_lines_is_found_and_one_of_70_is_not(self):
        long = "static int long_one(int a,\n                    int b) {\n" + "    a++;\n" * 68 + "}\n"
        fits = "int fits(int a) {\n" + "    a++;\n" * 68 + "}\n"
        table = "static const int k_table[] = {\n" + "    1,\n" * 90 + "};\n"
        self.expect(rules.function_length, {"engine/base/long.c": fits + table + long}, "long_one")

    def test_a_file_of_701_lines_is_found(self):
        self.expect(rules.file_length, {"bench/big.c": "int a;\n" * 701}, "big.c")
        self.assertEqual(findings(rules.file_length, {"bench/big.c": "int a;\n" * 700}), [])

    def test_a_long_line_and_a_tab_are_found(self):
        self.expect(rules.line_form, {"bench/a.c": "// " + "x" * 130 + "\n"}, "1")
        self.expect(rules.line_form, {"bench/a.c": "\n\tint a;\n"}, "2")
        self.expect(rules.line_form, {"bench/a.c": "int a; \n"}, "1")

    def test_an_engine_file_without_its_test_is_found(self):
        self.expect(rules.mirrored_tests, {"engine/base/lonely.c": ""}, "lonely.c")

    def test_a_test_that_no_target_runs_is_found(self):
        self.expect(rules.tests_are_built, {"tests/engine/base/other_test.c": ""}, "other_test.c")

    def test_a_leftover_marker_is_found(self):
        for marker in ("TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"):
            self.expect(rules.leftover_markers, {"README.md": "text\n%s: later\n" % marker}, marker)

    def test_a_workplace_is_found(self):
        self.expect(rules.nothing_of_the_workplace, {"README.md": "see /wo" "rk/main\n"}, "/wo" "rk/")
        self.assertEqual(findings(rules.nothing_of_the_workplace, {"README.md": "a/wo" "rk/b and net" "work/x\n"}), [])

    def test_a_host_in_the_build_is_found(self):
        self.expect(rules.build_names_no_host, {"WORKSPACE": 'url = "http' '://example.org/x.tar"\n'},
                    "http" "://example.org")

    def test_a_public_function_without_its_contract_is_found(self):
        self.expect(rules.public_symbols_explained, {"api/quoit.h": "// Quoit.\n\nQUOIT_API int quoit_go(void);\n"},
                    "quoit_go")
        self.expect(rules.public_symbols_explained,
                    {"api/quoit.h": "// Quoit.\n\n// Goes.\nQUOIT_API int quoit_go(void);\n"}, "quoit_go")

    def test_an_engine_function_without_a_comment_is_found(self):
        head = "// Slices.\n\n"
        self.expect(rules.engine_functions_explained, {"engine/base/slice.h": head + "int q_x(void);\n"}, "q_x")
        self.expect(rules.engine_functions_explained, {"engine/base/slice.h": head + "// Does.\nint q_x(void);\n"}, "q_x")
        self.assertEqual(findings(rules.engine_functions_explained, {
            "engine/base/slice.h": head + "// Both do.\nint q_x(void);\nint q_y(void);\n"}), [])

    def test_a_header_without_a_paragraph_or_with_a_foreign_guard_is_found(self):
        self.expect(rules.headers_open_with_a_paragraph, {"engine/base/list.h": "int a;\n"}, "paragraph")
        self.expect(rules.headers_open_with_a_paragraph,
                    {"engine/base/list.h": "// Lists.\n#ifndef LIST_H\n#define LIST_H\n#endif\n"}, "guard")


class Allowed(unittest.TestCase):
    BROKEN = {"engine/base/long.c": "void f(void) {\n    getenv(1);\n    fork();\n}\n"}

    def test_an_allowance_covers_its_finding_alone(self):
        left = findings(rules.banned_calls, self.BROKEN, "call engine/base/long.c:getenv # a reason\n")
        self.assertEqual([f.name for f in left], ["fork"])

    def test_an_allowance_without_a_name_covers_the_file(self):
        self.assertEqual(findings(rules.banned_calls, self.BROKEN, "call engine/base/long.c # a reason\n"), [])

    def test_an_allowance_without_a_reason_is_refused(self):
        allowances = rules.Allowances("call engine/base/long.c:getenv\n")
        self.assertEqual(len(allowances.findings), 1)
        self.assertEqual(len(findings(rules.banned_calls, self.BROKEN, "call engine/base/long.c:getenv\n")), 2)

    def test_an_allowance_that_nothing_needs_is_found(self):
        result = rules.inspect(rules.Tree(CLEAN, FLOORS), rules.Allowances("call engine/base/gone.c:fork # was needed\n"))
        self.assertEqual(len(result["allowances_are_needed"]), 1)


class Reading(unittest.TestCase):
    def test_comments_and_strings_are_blanked_and_lines_kept(self):
        code = csource.blank('a(); // b()\n/* c()\n d() */ e("f()", \'"\');\n')
        self.assertEqual(code.count("\n"), 3)
        self.assertIn("a();", code)
        self.assertIn("e(", code)
        for gone in "bcdf":
            self.assertNotIn(gone + "()", code)

    def test_functions_are_found_in_all_their_shapes(self):
        text = ("static const struct t k[] = {\n    {1},\n};\n\nstruct s {\n    int a;\n};\n\n"
                "int one(void) {\n    if (1) {\n    }\n}\n\nstatic struct s *two(int a,\n                     int b) {\n}\n\n"
                "__attribute__((cold)) void three(void) {\n}\n")
        self.assertEqual([name for _, _, name in csource.functions(text)], ["one", "two", "three"])
        self.assertEqual([(first, last) for first, last, _ in csource.functions(text)], [(9, 12), (14, 16), (18, 19)])

    def test_declarations_are_found_and_types_are_not(self):
        text = ('extern "C" {\nstruct s {\n    int (*fn)(int);\n};\ntypedef void (*t)(int);\nint one(void);\n'
                "Q_MUST_USE struct s *two(int a,\n    void (*f)(int));\nstatic inline int three(void) {\n    return g();\n}\n"
                "extern void (*q_hook)(int);\n#define M(x) f(x)\n}\n")
        self.assertEqual(list(csource.declarations(text)), [(6, "one"), (7, "two")])


class CmockaResult(unittest.TextTestResult):
    """Speaks as cmocka does, so that the gate counts these cases with the others."""

    def addSuccess(self, test):
        super().addSuccess(test)
        print("[       OK ] %s" % test.id().split(".")[-1])


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(stream=sys.stdout, resultclass=CmockaResult, verbosity=0).run(suite)
    bad = len(result.failures) + len(result.errors)
    if bad:
        print("[  FAILED  ] %d test(s)." % bad)
    print("[  PASSED  ] %d test(s)." % (result.testsRun - bad))
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
