#!/usr/bin/python3
"""The gate's counting, on made-up runs: nothing that went wrong may look like a pass."""

import json
import os
import subprocess
import sys
import unittest

COUNT = ".ci/count_tests.py"
FOLDER = os.environ.get("TEST_TMPDIR", "/tmp")


def write(name, text):
    path = os.path.join(FOLDER, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def events(name, **targets):
    """A run's event file. targets: label -> None (never ran) or (status, log text)."""
    lines = []
    for label, outcome in targets.items():
        lines.append({"id": {"targetConfigured": {"label": label}}, "configured": {"testSize": "SMALL"}})
        if outcome:
            status, log = outcome
            where = "passed" if status == "PASSED" else "failed"
            uri = "file://" + write("%s_%s.log" % (name, label), log)
            lines.append({"id": {"testSummary": {"label": label}},
                          "testSummary": {"overallStatus": status, where: [{"uri": uri}]}})
    lines.append({"id": {"targetConfigured": {"label": "a library"}}, "configured": {}})
    return write(name + ".json", "".join(json.dumps(line) + "\n" for line in lines))


def count(*runs):
    """(last line, exit code) for runs of (name, exit code, path)."""
    result = subprocess.run([sys.executable, COUNT] + ["%s=%d=%s" % run for run in runs], stdout=subprocess.PIPE,
                            check=False, text=True)
    return result.stdout.strip().split("\n")[-1], result.returncode


class Counting(unittest.TestCase):
    def test_cases_of_all_runs_are_added_up(self):
        one = events("one", a=("PASSED", "[  PASSED  ] 3 test(s).\n[  PASSED  ] 2 test(s).\n"), b=("PASSED", "quiet\n"))
        two = events("two", a=("PASSED", "[  PASSED  ] 4 test(s).\n"))
        self.assertEqual(count(("one", 0, one), ("two", 0, two)), ("10 passed, 0 failed", 0))

    def test_a_failed_case_is_counted_beside_those_that_passed(self):
        path = events("failed", a=("FAILED", "[  PASSED  ] 3 test(s).\n[  FAILED  ] 2 test(s), listed below:\n"))
        self.assertEqual(count(("failed", 3, path)), ("3 passed, 2 failed", 1))

    def test_a_crash_after_good_cases_is_a_failure(self):
        path = events("crash", a=("FAILED", "[  PASSED  ] 3 test(s).\n"), b=("TIMEOUT", ""))
        self.assertEqual(count(("crash", 3, path)), ("3 passed, 2 failed", 1))

    def test_a_test_that_lies_with_its_exit_code_is_a_failure(self):
        path = events("liar", a=("PASSED", "[  FAILED  ] 1 test(s), listed below:\n"))
        self.assertEqual(count(("liar", 0, path)), ("0 passed, 1 failed", 1))

    def test_a_target_that_never_ran_is_a_failure(self):
        path = events("unbuilt", a=None, b=("PASSED", "[  PASSED  ] 1 test(s).\n"))
        self.assertEqual(count(("unbuilt", 1, path)), ("1 passed, 1 failed", 1))

    def test_a_run_that_failed_without_naming_a_target_is_a_failure(self):
        path = events("loading", b=("PASSED", "[  PASSED  ] 1 test(s).\n"))
        self.assertEqual(count(("loading", 1, path)), ("1 passed, 1 failed", 1))

    def test_a_run_that_left_no_events_is_a_failure(self):
        self.assertEqual(count(("gone", 37, os.path.join(FOLDER, "gone.json"))), ("0 passed, 1 failed", 1))

    def test_nothing_run_is_no_success(self):
        self.assertEqual(count(("empty", 0, events("empty"))), ("0 passed, 0 failed", 1))

    def test_cmocka_words_inside_a_line_do_not_count(self):
        path = events("inside", a=("PASSED", "saw [  FAILED  ] 9 test(s) in a log\n[  PASSED  ] 1 test(s).\n"))
        self.assertEqual(count(("inside", 0, path)), ("1 passed, 0 failed", 0))


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors)
    if bad:
        print("[  FAILED  ] %d test(s)." % bad)
    print("[  PASSED  ] %d test(s)." % (result.testsRun - bad))
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
