#!/usr/bin/python3
"""Runs Spin over each model: as it is (must hold), and with each of its mutations (must fail).

One test case each. A mutation that does not fail means that the model proves less than it says. Needs `spin` and a C
compiler from the distribution; no network. Run by hand, one model: `tests/model/models_test.py mpsc`.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

# Model: number of mutations, and the configurations in which it must hold (mutations run in the default one).
MODELS = {
    "mpsc": (11, [[]]),
    "evring": (11, [[]]),
    "slotword": (10, [["-DGRANTERS=1"], ["-DCANCELLERS=1"]]),
    "askword": (10, [[]]),
    "slotfree": (5, [[]]),
    "feedword": (6, [[]]),
    "pending": (9, [[]]),
    "shutdown": (12, [[]]),
    "registry": (9, [[]]),
    "contexts": (9, [[]]),
}
MEMORY_MIB = 1000  # a model that needs more has grown by mistake; the search then counts as not finished
DEPTH = 100000
TIMEOUT_S = 240  # for a machine that is busy with everything else
STATES_LINE = re.compile(r"^\s*(\d+) states, stored", re.M)
UNREACHED = re.compile(r"^\s*\((\d+) of \d+ states\)", re.M)
ERRORS_LINE = re.compile(r"errors: (\d+)")


def find_model(name):
    """The model's file, beside this script (links followed or not: Bazel makes a tree of links)."""
    for folder in (os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.realpath(__file__))):
        path = os.path.join(folder, name + ".pml")
        if os.path.exists(path):
            return path
    raise FileNotFoundError(name + ".pml")


def explore(name, defines):
    """Builds and runs the verifier. Returns its output; raises CalledProcessError when a tool fails."""
    folder = tempfile.mkdtemp(prefix="model-", dir=os.environ.get("TEST_TMPDIR"))
    try:
        shutil.copy(find_model(name), os.path.join(folder, "model.pml"))

        def run(*command):
            return subprocess.run(
                command, cwd=folder, check=True, timeout=TIMEOUT_S, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            ).stdout

        run("spin", "-a", *defines, "model.pml")
        # A mutant fails within some thousand states: there the compiler's time counts, not the search's.
        level = "-O0" if any(define.startswith("-DMUT") for define in defines) else "-O1"
        run("cc", level, "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=%d" % MEMORY_MIB, "-o", "pan", "pan.c")
        return run("./pan", "-m%d" % DEPTH)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def judge(case):
    """Runs one case. Returns (case name, None or what is wrong, a word on the run)."""
    name, mutation, defines = case
    title = name + "".join(" " + define for define in defines)
    title += " fails with mutation %d" % mutation if mutation else " holds"
    started = time.monotonic()
    try:
        output = explore(name, defines + (["-DMUT=%d" % mutation] if mutation else []))
    except subprocess.CalledProcessError as error:
        return title, "%s failed:\n%s" % (error.cmd[0], error.output), ""
    except (OSError, subprocess.TimeoutExpired) as error:
        return title, str(error), ""
    errors = ERRORS_LINE.search(output)
    states = STATES_LINE.search(output)
    word = "%s states, %.1f s" % (states.group(1) if states else "?", time.monotonic() - started)
    if errors is None:
        return title, output, word
    if mutation:
        return title, "the mutation was not noticed" if errors.group(1) == "0" else None, word
    if errors.group(1) != "0":
        return title, output, word
    if "Search not completed" in output or "max search depth too small" in output:
        return title, "the search was not finished:\n" + output, word
    if any(count != "0" for count in UNREACHED.findall(output)) and not defines:
        return title, "some steps of the model were never reached:\n" + output, word
    return title, None, word


def main(wanted):
    cases = []
    for name, (mutations, configurations) in MODELS.items():
        if wanted and name not in wanted:
            continue
        cases += [(name, 0, defines) for defines in configurations]
        cases += [(name, mutation, []) for mutation in range(1, mutations + 1)]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for title, wrong, word in pool.map(judge, cases):
            print("[ %s ] %s (%s)" % ("  FAILED" if wrong else "      OK", title, word), flush=True)
            if wrong:
                failed += 1
                print(wrong, flush=True)
    if failed:
        print("[  FAILED  ] %d test(s)." % failed)
    print("[  PASSED  ] %d test(s)." % (len(cases) - failed))
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
