#!/usr/bin/python3
"""The long runner's judgement: a fault that slipped through must never look caught."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import long  # noqa: E402

PATCH = """Floor: queue
Test: //tests/engine/queue:mpsc_test //tests/engine/queue:other_test
Fault: drain hands the batch out newest first: as it was pushed

diff --git a/x.c b/x.c
--- a/x.c
+++ b/x.c
Fault: not a header any more
"""


class Mutations(unittest.TestCase):
    def test_a_header_is_read_down_to_the_diff(self):
        self.assertEqual(long.read_header(PATCH), {
            "Floor": "queue", "Test": "//tests/engine/queue:mpsc_test //tests/engine/queue:other_test",
            "Fault": "drain hands the batch out newest first: as it was pushed"})

    def test_a_bare_diff_has_an_empty_header(self):
        self.assertEqual(set(long.read_header("--- a/x\n+++ b/x\nTest: x\n").values()), {""})

    def test_a_failing_test_is_a_catch(self):
        self.assertTrue(long.judge([long.TESTS_FAILED, long.TESTS_FAILED])[0])

    def test_a_passing_test_is_no_catch(self):
        self.assertFalse(long.judge([long.TESTS_PASSED])[0])
        self.assertFalse(long.judge([long.TESTS_FAILED, long.TESTS_PASSED])[0])

    def test_a_fault_that_does_not_build_is_no_catch(self):
        self.assertFalse(long.judge([long.BUILD_FAILED])[0])
        self.assertFalse(long.judge([long.BUILD_FAILED, long.TESTS_FAILED])[0])

    def test_a_target_that_is_not_there_is_no_catch(self):
        self.assertFalse(long.judge([long.NO_TESTS])[0])
        self.assertFalse(long.judge([37])[0])


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
