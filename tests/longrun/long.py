#!/usr/bin/python3
"""What is too long for the gate, with a table at the end.

Usage: bazel/bazelw run //tests:long [-- OPTION...]

    --only PART[,PART...]   asan, tsan: the whole suite under that sanitizer
                            mutations: each fault of tests/mutations must be caught by the test that it names
                            sim: many seeds of the simulation (//tests/sim with QUOIT_SIM_SEEDS)
                            configs: 100,000 requests of sixteen threads that make and drop TLS configurations, under tsan
                            fuzz: each fuzz target under libFuzzer, from its corpus
                            fresh: both commands in a new Debian without any of the packages (root, debootstrap)
    --seeds N               seeds for sim (200000)
    --fuzz-seconds N        time for each fuzz target (120)
    --match TEXT            only mutations whose file name has TEXT in it

The exit code is 0 when nothing failed.
"""

import argparse
import collections
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.environ.get("BUILD_WORKSPACE_DIRECTORY") or os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, ".ci"))

import count_tests  # noqa: E402  (after the path above)

# Bazel's exit codes that matter here.
TESTS_PASSED, BUILD_FAILED, TESTS_FAILED, NO_TESTS = 0, 1, 3, 4

Row = collections.namedtuple("Row", "part what passed failed seconds remark")


def bazel(root, *arguments, startup=(), log=None):
    """Runs the wrapper of the tree at `root`; its output goes to the terminal, or to the file `log`."""
    command = [os.path.join(root, "bazel/bazelw")] + list(startup) + list(arguments)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BUILD_", "RUNFILES", "JAVA_RUNFILES"))}
    return subprocess.run(command, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT if log else None,
                          check=False).returncode


def suite(part, work, *arguments):
    """One run over tests, counted as the gate counts."""
    start = time.monotonic()
    events = os.path.join(work, part + ".json")
    code = bazel(ROOT, "test", "--keep_going", "--noshow_progress", "--build_event_json_file=" + events, *arguments)
    passed, failed = count_tests.count_run(part, code, events)
    return Row(part, " ".join(a for a in arguments if a.startswith(("//", "--config", "--test_env"))), passed, failed,
               time.monotonic() - start, "")


def sanitizer(kind):
    def run(options, work):
        yield suite(kind, work, "--config=" + kind, "//...")
    return run


def simulation(options, work):
    if not os.path.exists(os.path.join(ROOT, "tests/sim/BUILD")):
        yield Row("sim", "//tests/sim", 0, 1, 0.0, "there is no //tests/sim")
        return
    yield suite("sim", work, "--test_env=QUOIT_SIM_SEEDS=%d" % options.seeds, "--test_timeout=7200",
                "--nocache_test_results", "//tests/sim/...")


def configurations(options, work):
    yield suite("configs", work, "--config=tsan", "--test_env=QUOIT_STRESS_REQUESTS=100000", "--test_timeout=7200",
                "--nocache_test_results", "//tests/stress:tls_configs_test")


# --- fuzzing -------------------------------------------------------------------------------------------------------

def fuzzing(options, work):
    """Each target from its corpus, for so long; what it finds stays in `work`, what breaks something is printed."""
    sources = sorted(glob.glob(os.path.join(ROOT, "tests/fuzz/*_fuzz.c")))
    if not sources:
        yield Row("fuzz", "tests/fuzz/*_fuzz.c", 0, 1, 0.0, "there are none")
    for source in sources:
        target = os.path.basename(source)[:-len(".c")]
        found = os.path.join(work, target)
        os.makedirs(found)
        start = time.monotonic()
        code = bazel(ROOT, "run", "--config=fuzz", "--noshow_progress", "//tests/fuzz:" + target, "--",
                     "-max_total_time=%d" % options.fuzz_seconds, "-max_len=600", "-timeout=20", "-print_final_stats=1",
                     "-artifact_prefix=%s/" % found, found, os.path.join(ROOT, "tests/fuzz/corpus", target))
        broken = sorted(name for name in os.listdir(found) if name.startswith(("crash-", "leak-", "timeout-", "oom-")))
        for name in broken:
            with open(os.path.join(found, name), "rb") as file:
                print("   %s: %s: %s" % (target, name, file.read().hex()), flush=True)
        good = code == 0 and not broken
        yield Row("fuzz", target, int(good), int(not good), time.monotonic() - start,
                  "" if good else "exit code %d %s" % (code, " ".join(broken)))


# --- mutations -----------------------------------------------------------------------------------------------------

def read_header(text):
    """The `Floor`, `Test` and `Fault` lines above a patch; what is missing is an empty string."""
    head = re.split(r"^(?:diff |--- )", text, maxsplit=1, flags=re.M)[0]
    fields = {key: "" for key in ("Floor", "Test", "Fault")}
    for line in head.split("\n"):
        key, _, value = line.partition(":")
        if key in fields:
            fields[key] = value.strip()
    return fields


def copy_tree(to):
    """Copies the tree as it is, uncommitted changes too, without what Bazel and git keep in it."""
    def ignore(folder, names):
        top = os.path.samefile(folder, ROOT)
        return [n for n in names if n == "__pycache__" or top and (n == ".git" or n.startswith("bazel-"))]
    shutil.copytree(ROOT, to, symlinks=True, ignore=ignore)


def judge(codes):
    """(caught, remark) for the exit codes of the tests that a mutation names."""
    if any(code == BUILD_FAILED for code in codes):
        return False, "does not build: proves nothing"
    if any(code == TESTS_PASSED for code in codes):
        return False, "NOT CAUGHT"
    if all(code == TESTS_FAILED for code in codes):
        return True, "caught"
    return False, "Bazel: exit codes %s" % codes


class Mutator:
    """A copy of the tree with a Bazel of its own, so that faults never touch the user's tree or build."""

    def __init__(self, work):
        self.tree = os.path.join(work, "tree")
        self.base = os.path.join(work, "bazel")
        self.log = os.path.join(work, "mutations.log")
        copy_tree(self.tree)

    def test(self, *targets):
        with open(self.log, "a", encoding="utf-8") as log:
            return bazel(self.tree, "test", "--test_output=summary", "--test_timeout=60", *targets,
                         startup=["--output_base=" + self.base], log=log)

    def apply(self, patch, *flags):
        """Applies a patch exactly or not at all; the process tells."""
        command = ["patch", "-p1", "--fuzz=0", "--batch", "--no-backup-if-mismatch", "-i", patch, *flags]
        tried = subprocess.run(command + ["--dry-run"], cwd=self.tree, check=False, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        if tried.returncode != 0:
            return tried
        return subprocess.run(command, cwd=self.tree, check=True, stdout=subprocess.DEVNULL)

    def run(self, patch):
        """The row of one patch."""
        start = time.monotonic()
        with open(patch, encoding="utf-8") as file:
            header = read_header(file.read())
        what = "%s: %s" % (os.path.basename(patch)[:-len(".patch")], header["Fault"])
        targets = header["Test"].split()

        def row(good, remark):
            return Row("mutations", "[%s] %s" % (header["Floor"] or "?", what), int(good), int(not good),
                       time.monotonic() - start, remark)

        if not all(header.values()):
            return row(False, "needs Floor, Test and Fault lines")
        applied = self.apply(patch)
        if applied.returncode != 0:
            return row(False, "does not apply: " + applied.stdout.strip().replace("\n", "; "))
        try:
            return row(*judge([self.test(target) for target in targets]))
        finally:
            self.apply(patch, "-R")

    def shut_down(self):
        bazel(self.tree, "shutdown", startup=["--output_base=" + self.base], log=subprocess.DEVNULL)


def mutations(options, work):
    patches = [p for p in sorted(glob.glob(os.path.join(ROOT, "tests/mutations/*.patch")))
               if options.match in os.path.basename(p)]
    if not patches:
        yield Row("mutations", "tests/mutations/*.patch", 0, 1, 0.0, "there are none")
        return
    mutator = Mutator(work)
    try:
        targets = set()
        for patch in patches:
            with open(patch, encoding="utf-8") as file:
                targets.update(read_header(file.read())["Test"].split())
        start = time.monotonic()
        good = mutator.test(*sorted(targets)) == TESTS_PASSED
        yield Row("mutations", "the named tests pass without a fault", int(good), int(not good),
                  time.monotonic() - start, "" if good else "the rows below mean nothing")
        for patch in patches:
            row = mutator.run(patch)
            print("   %s: %s" % (row.what, row.remark), flush=True)
            yield row
    finally:
        mutator.shut_down()


def fresh_machine(options, work):
    start = time.monotonic()
    code = subprocess.run([os.path.join(ROOT, "tests/longrun/fresh_machine.sh"), os.path.join(work, "fresh")],
                          check=False).returncode
    remark = {0: "", 77: "not run: needs root and debootstrap"}.get(code, "exit code %d" % code)
    yield Row("fresh", "both commands on a new Debian", int(code == 0), int(code not in (0, 77)),
              time.monotonic() - start, remark)


PARTS = collections.OrderedDict([
    ("asan", sanitizer("asan")),
    ("tsan", sanitizer("tsan")),
    ("mutations", mutations),
    ("sim", simulation),
    ("configs", configurations),
    ("fuzz", fuzzing),
    ("fresh", fresh_machine),
])


def print_table(rows):
    print("\n%-10s %7s %7s %8s  %s" % ("part", "passed", "failed", "seconds", "what"))
    for row in rows:
        remark = "  -- " + row.remark if row.remark else ""
        print("%-10s %7d %7d %8.1f  %s%s" % (row.part, row.passed, row.failed, row.seconds, row.what, remark))
    print("%-10s %7d %7d %8.1f" % ("all", sum(r.passed for r in rows), sum(r.failed for r in rows),
                                   sum(r.seconds for r in rows)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--seeds", type=int, default=200000)
    parser.add_argument("--fuzz-seconds", type=int, default=120)
    parser.add_argument("--match", default="")
    options = parser.parse_args()
    parts = options.only.split(",")
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error("no such part: %s; there are %s" % (", ".join(unknown), ", ".join(PARTS)))
    rows = []
    work = tempfile.mkdtemp(prefix="quoit-long-")
    try:
        for part in parts:
            print("== " + part, flush=True)
            rows.extend(PARTS[part](options, work))
    finally:
        # Bazel's folders are write-protected here and there.
        subprocess.run(["chmod", "-R", "u+w", work], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(work, ignore_errors=True)
    print_table(rows)
    return int(any(row.failed for row in rows) or not rows)


if __name__ == "__main__":
    sys.exit(main())
