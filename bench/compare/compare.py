#!/usr/bin/python3
"""Measures the engine against the bare kernel, libcurl, wrk and h2load, side by side. bench/README.md says how to read it.

Usage: bazel/bazelw run //bench:compare -- [OPTION...]

    --scenario NAME   only these (may be given more than once; patterns such as '1KiB-*'); --list names them
    --runs N          rounds, in each of which every client runs once (5)
    --seconds S       of each run (1)
    --repeats N       how often a run that something else disturbed on its core is run again (3)
    --caps-off MASK   engine features to do without (enum quoit_capability)
    --json FILE, --markdown FILE
    --quick           the gate's small run: each kind of run once, for moments
    --list

The exit code is 0 when every client did what it was asked for. Bars are told, and decide nothing here.
"""

import argparse
import fnmatch
import json
import os
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import bars  # noqa: E402  (after the path above)
import clients  # noqa: E402
import machine  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402

OUR_PROGRAMS = ["server", "quoit", "bare", "bare-tls", "epoll", "curl", "wake"]
QUICK_SECONDS, QUICK_WARMUP_S, QUICK_RINGS = 0.2, 0.05, 200
SECONDS, WARMUP_S, RINGS_PER_SECOND = 1.0, 0.3, 5000
DESCRIPTORS_BESIDE = 100  # of a client with a connection each: its loop, its libraries, standard streams


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in OUR_PROGRAMS:
        parser.add_argument("--program-" + name, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--scenario", action="append", default=[])
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--caps-off", type=int, default=0)
    parser.add_argument("--json")
    parser.add_argument("--markdown")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args(arguments)
    options.runs = options.runs or (1 if options.quick else 5)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    options.repeats = 0 if options.quick else options.repeats
    if options.runs < 1 or options.seconds <= 0 or options.repeats < 0:
        parser.error("--runs and --seconds are positive, --repeats not negative")
    return options


def find_programs(options):
    programs = {name: os.path.abspath(getattr(options, "program_" + name.replace("-", "_"))) for name in OUR_PROGRAMS}
    for name, package in (("wrk", "wrk"), ("h2load", "nghttp2-client")):
        programs[name] = shutil.which(name)
        if programs[name] is None:
            sys.exit("compare: %s is missing. bazel/bazelw installs it (package %s); without the wrapper: apt-get install %s" %
                     (name, package, package))
    return programs


def choose(options, descriptors):
    """(scenarios to be run, what is left out)."""
    every, left_out = scenarios.quick() if options.quick else scenarios.full()
    chosen = []
    for scenario in every:
        if options.scenario and not any(fnmatch.fnmatch(scenario.name, pattern) for pattern in options.scenario):
            continue
        if scenario.connections + DESCRIPTORS_BESIDE > descriptors:
            left_out.append("%s: this process may have %d descriptors; see ulimit -Hn" % (scenario.name, descriptors))
        else:
            chosen.append(scenario)
    if not chosen:
        sys.exit("compare: no such scenario; --list names them")
    return chosen, left_out


def run_client(bench, scenario, name, repeats, failures):
    """The result, or None."""
    try:
        result = clients.run_calmly(bench, scenario, name, repeats)
    except clients.NotHere as why:
        print("    %-18s not on this kernel: %s" % (name, why), flush=True)
        return None
    except clients.Failed as why:
        failures.append("%s: %s: %s" % (scenario.name, name, why))
        print("    %-18s FAILED: %s" % (name, why), flush=True)
        return None
    print("    %-18s %10.4g %s" % (name, result[scenario.metric], report.UNITS[scenario.metric]), flush=True)
    return result


def run_all(bench, chosen, runs, repeats, failures):
    """{scenario's name: [{client: result}]}"""
    measured = {}
    for scenario in chosen:
        measured[scenario.name] = []
        for number in range(min(runs, scenario.rounds or runs)):
            print("%s, round %d" % (scenario.name, number + 1), flush=True)
            # Each round begins with another client, so that none always follows the same one.
            turn = number % len(scenario.clients)
            order = scenario.clients[turn:] + scenario.clients[:turn]
            measured[scenario.name].append({name: run_client(bench, scenario, name, repeats, failures) for name in order})
    return measured


def place(path):
    """Where the user meant, wherever Bazel has put us."""
    return os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", ""), path)


def write(path, text):
    with open(place(path), "w", encoding="utf-8") as file:
        file.write(text)


def main(arguments):
    options = parse(arguments)
    chosen, left_out = choose(options, machine.raise_limits())
    if options.list:
        print("\n".join(scenario.name for scenario in chosen))
        return 0
    server_core, client_core = machine.choose_cores(os.sched_getaffinity(0))
    bench = clients.Bench(find_programs(options), server_core, client_core, options.seconds,
                          QUICK_WARMUP_S if options.quick else WARMUP_S,
                          QUICK_RINGS if options.quick else max(QUICK_RINGS, int(options.seconds * RINGS_PER_SECOND)),
                          options.caps_off, options.quick)
    tree = os.environ.get("BUILD_WORKSPACE_DIRECTORY") or os.path.dirname(os.path.realpath(__file__))
    document = {"machine": machine.facts(server_core, client_core, tree), "quick": options.quick, "runs": options.runs,
                "repeats": options.repeats, "seconds": options.seconds, "warmup_s": bench.warmup_s,
                "capabilities_off": options.caps_off, "left_out": left_out, "failures": []}
    with clients.Servers(bench, {scenario.tls for scenario in chosen}):
        measured = run_all(bench, chosen, options.runs, options.repeats, document["failures"])
    judged = bars.judge_all(measured)
    document["scenarios"] = [dict(scenario._asdict(), results=measured[scenario.name]) for scenario in chosen]
    document["bars"] = report.judged_json(judged)
    text = report.markdown(document, chosen, measured, judged)
    print("\n" + text)
    if options.json:
        write(options.json, json.dumps(document, indent=1) + "\n")
    if options.markdown:
        write(options.markdown, text)
    return 1 if document["failures"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
