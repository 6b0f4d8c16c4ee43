#!/usr/bin/python3
"""compare, in its small form, as a user runs it: every client does what it was asked for and what comes out is whole.
How fast anything was decides nothing here.

Usage: compare_test.py COMPARE --program-NAME=PATH...
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

COMPARE = [os.path.abspath(sys.argv[1])] + sys.argv[2:]
LIMIT_S = 240  # it takes some seconds; on a machine that is busy with other tests, several times that


def compare(*arguments, path=None):
    environment = dict(os.environ, PATH=path) if path is not None else None
    return subprocess.run(COMPARE + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          timeout=LIMIT_S, env=environment)


class Compare(unittest.TestCase):
    def test_the_small_run_runs_every_client_and_writes_both_reports(self):
        with tempfile.TemporaryDirectory() as folder:
            to_json, to_markdown = os.path.join(folder, "a.json"), os.path.join(folder, "a.md")
            ran = compare("--quick", "--json", to_json, "--markdown", to_markdown)
            self.assertEqual((ran.returncode, ran.stderr), (0, ""), ran.stdout)
            with open(to_json, encoding="utf-8") as file:
                document = json.load(file)
            with open(to_markdown, encoding="utf-8") as file:
                markdown = file.read()
        self.assertEqual(document["failures"], [])
        for fact in ("cpu", "kernel", "governor", "congestion_control", "cores", "packages"):
            self.assertTrue(document["machine"][fact], fact)
        self.assertIn("wrk", document["machine"]["packages"])
        self.assertEqual({scenario["kind"] for scenario in document["scenarios"]}, {"load", "fresh", "wake", "idle"})
        for scenario in document["scenarios"]:
            self.assertEqual(len(scenario["results"]), 1)
            self.check_results(scenario, scenario["results"][0])
            self.assertIn("## %s\n" % scenario["name"], markdown)
        self.assertIn("wake", {bar["scenario"] for bar in document["bars"]})
        self.assertEqual({scenario["tls"] for scenario in document["scenarios"]}, {None, "full", "tickets"})
        for bar in document["bars"]:
            self.assertIn(bar["verdict"], ("held", "within the spread", "missed"))
            self.assertIsInstance(bar["median"], float)
        self.assertIn("## Bars\n", markdown)
        self.assertTrue(ran.stdout.endswith(markdown + "\n"))

    def check_results(self, scenario, results):
        self.assertEqual(set(results), set(scenario["clients"]))
        for client, result in results.items():
            with self.subTest(scenario=scenario["name"], client=client):
                if client in ("bare-bundle", "bare-tls-bundle", "wake-futex") and result is None:
                    continue  # an older kernel
                self.assertGreater(result[scenario["metric"]] if scenario["kind"] != "idle" else 1, 0)
                if scenario["kind"] in ("load", "fresh"):
                    self.assertGreater(result["requests"], 0)

    def test_a_client_that_fails_fails_the_run_and_the_others_are_run(self):
        for program in ("/bin/false", "/bin/true", "/bin/echo"):  # an exit code, no output, output of another kind
            with tempfile.TemporaryDirectory() as folder:
                to_json = os.path.join(folder, "a.json")
                ran = compare("--quick", "--scenario", "threads-*", "--program-quoit", program, "--json", to_json)
                self.assertEqual(ran.returncode, 1)
                with open(to_json, encoding="utf-8") as file:
                    document = json.load(file)
                self.assertEqual(len(document["failures"]), 3)
                self.assertIn("FAILED", ran.stdout)

    def test_a_server_that_does_not_start_fails_the_run(self):
        self.assertNotEqual(compare("--quick", "--scenario", "threads-*", "--program-server", "/bin/true").returncode, 0)

    def test_missing_programs_are_named_with_their_package(self):
        with tempfile.TemporaryDirectory() as folder:
            ran = compare("--quick", path=folder)
            self.assertEqual(ran.returncode, 1)
            self.assertIn("wrk is missing", ran.stderr)
            with open(os.path.join(folder, "wrk"), "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\n")
            os.chmod(os.path.join(folder, "wrk"), 0o755)
            ran = compare("--quick", path=folder)
            self.assertEqual(ran.returncode, 1)
            self.assertIn("h2load is missing", ran.stderr)
            self.assertIn("nghttp2-client", ran.stderr)

    def test_scenarios_are_chosen_by_name(self):
        names = compare("--list").stdout.split()
        for name in ("1KiB-1", "1KiB-4096", "64KiB-64", "16MiB-8", "fresh-64", "threads-64", "wake", "idle-10000", "tls-1KiB-1",
                     "tls-1KiB-256", "tls-16MiB-8", "tls-fresh-64", "tls-resumed-64", "tls-idle-10000"):
            self.assertIn(name, names)
        self.assertNotIn("16MiB-4096", names)
        self.assertEqual(compare("--list", "--scenario", "1KiB-6*").stdout.split(), ["1KiB-64"])
        self.assertEqual(compare("--list", "--scenario", "nothing").returncode, 1)


def main():
    result = unittest.TextTestRunner(verbosity=2).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len(result.failures) + len(result.errors)
    if bad:
        print("[  FAILED  ] %d test(s)." % bad)
    print("[  PASSED  ] %d test(s)." % (result.testsRun - bad))
    return int(bad > 0 or not result.testsRun)


if __name__ == "__main__":
    sys.exit(main())
