#!/usr/bin/python3
"""Counts test cases over some runs of Bazel, and prints `N passed, N failed` as its last line.

Usage: count_tests.py NAME=EXIT_CODE=EVENTS_FILE...

A test says how many cases it has by cmocka's lines, `[  PASSED  ] 3 test(s).` and `[  FAILED  ] 1 test(s)`; one that
says nothing is one case. A target that did not build, did not run or did not pass is at least one failed case, and so
is a run that failed without naming a target. The exit code is 0 only when nothing failed and something ran.
"""

import json
import re
import sys
import urllib.parse

PASSED = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (\d+) test\(s\)", re.M)


def read_events(path):
    """The tests that Bazel meant to run, and the summary of each that it ran: {label: summary or None}."""
    tests = {}
    try:
        with open(path, encoding="utf-8") as file:
            events = [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError) as error:
        print("count_tests: %s: %s" % (path, error))
        return tests
    for event in events:
        identity = event.get("id", {})
        if "targetConfigured" in identity and event.get("configured", {}).get("testSize"):
            tests.setdefault(identity["targetConfigured"]["label"], None)
        if "testSummary" in identity and "testSummary" in event:
            tests[identity["testSummary"]["label"]] = event["testSummary"]
    return tests


def read_log(uri):
    try:
        with open(urllib.parse.unquote(urllib.parse.urlparse(uri).path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def count_target(summary):
    """(passed, failed) cases of one target."""
    if summary is None:
        return 0, 1
    text = "\n".join(read_log(log.get("uri", "")) for log in summary.get("passed", []) + summary.get("failed", []))
    passed = sum(int(n) for n in PASSED.findall(text))
    failed = sum(int(n) for n in FAILED.findall(text))
    good = summary.get("overallStatus") == "PASSED"
    if not good and failed == 0:
        failed = 1
    if good and passed + failed == 0:
        passed = 1
    return passed, failed


def count_run(name, code, path):
    passed = failed = 0
    tests = read_events(path)
    for label in sorted(tests):
        good, bad = count_target(tests[label])
        passed += good
        failed += bad
        if bad:
            status = tests[label].get("overallStatus") if tests[label] else "NOT BUILT"
            print("%s: %s: %s, %d failed" % (name, label, status, bad))
    if code != 0 and failed == 0:
        print("%s: Bazel failed (exit code %d) and no target says why" % (name, code))
        failed = 1
    print("%s: %d passed, %d failed, in %d targets" % (name, passed, failed, len(tests)))
    return passed, failed


def main():
    passed = failed = 0
    for argument in sys.argv[1:]:
        name, code, path = argument.split("=", 2)
        good, bad = count_run(name, int(code), path)
        passed += good
        failed += bad
    print("%d passed, %d failed" % (passed, failed))
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main())
