"""Runs a client once, pinned to its core, and reads what it says.

A result is a dictionary: requests, rps, cpu_us_per_request, cpu_s_per_gb and more. Our own clients count behind their
warm-up and by themselves; wrk and h2load tell no CPU, so theirs is the process's own over the whole run, its start
included (some milliseconds, and some tens of microseconds a connection).
"""

import json
import math
import os
import re
import resource
import subprocess
import tempfile
import time

import machine
from scenarios import PEERS

NOT_HERE = 77  # a peer's exit code: this kernel has not what was asked for
SLACK_S = 60
DISTURBED = 0.05  # of a run's time, in which others used its core

OURS = {"load": ["requests", "bytes_in", "duration_s", "rps", "cpu_us_per_request", "cpu_s_per_gb", "max_rss_kib", "errors"],
        "fresh": ["requests", "duration_s", "rps", "cpu_us_per_request", "errors"],
        "wake": ["rings", "call_us", "loop_cpu_us", "cpu_us_per_wake", "latency_us", "errors"],
        "idle": ["connections", "rss_bytes_per_connection", "errors"]}


class Failed(Exception):
    """A client that did not do what it was asked for."""


class NotHere(Exception):
    """A client that this kernel is too old for."""


class Bench:
    """What all runs have in common: programs, cores, the server, times."""

    def __init__(self, programs, server_core, client_core, seconds, warmup_s, rings, capabilities_off, is_quick):
        self.programs, self.seconds, self.warmup_s, self.rings = programs, seconds, warmup_s, rings
        self.capabilities_off = capabilities_off
        self.is_quick = is_quick  # by numbers of requests where that can be asked for: a moment can pass without any
        self.server_core, self.client_core = server_core, client_core
        self.urls, self.authorities = {}, {}  # by scenarios' `tls`

    def pin(self, core):
        def prepare():
            machine.raise_limits()
            os.sched_setaffinity(0, {core})
        return prepare


class Servers:
    """The embedded server on its core, once for each kind that is asked for: None is plain, the others are scenarios' `tls`.
    They end with this object, and with this process whatever becomes of it. Those that are not asked anything sleep."""

    def __init__(self, bench, kinds):
        self.bench, self.kinds = bench, kinds
        self.processes = []

    def start(self, kind):
        command = [self.bench.programs["server"], "--stdin", "1", "--max-connections", "65536"]
        if kind is not None:
            self.bench.authorities[kind] = os.path.join(self.folder.name, kind + ".pem")
            command += ["--tls-authority", self.bench.authorities[kind], "--tls-version", "13"]
            command += ["--tls-tickets", "0"] if kind == "full" else []
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   preexec_fn=self.bench.pin(self.bench.server_core))
        self.processes.append(process)
        url = process.stdout.readline().strip().rstrip("/")
        if not url.startswith("%s://127.0.0.1:" % ("http" if kind is None else "https")):
            raise Failed("the server did not start")
        self.bench.urls[kind] = url

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        try:
            for kind in self.kinds:
                self.start(kind)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *ignored):
        for process in self.processes:
            try:
                process.communicate(timeout=10)  # closes its standard input, at which it ends
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.folder.cleanup()


# --- command lines -------------------------------------------------------------------------------------------------

def number(value):
    return "%g" % value


def quick_requests(scenario):
    return 2 * scenario.connections if scenario.size >= 1 << 20 else 10 * scenario.connections


def url_of(bench, scenario):
    return "%s/size/%d" % (bench.urls[scenario.tls], scenario.size)


def own_command(bench, scenario, program, extra):
    command = [bench.programs[program]] + extra
    if scenario.kind == "wake":
        return command + ["-n", str(bench.rings), "--producer-cpu", str(bench.server_core), "--loop-cpu", str(bench.client_core)]
    url = url_of(bench, scenario)
    if scenario.tls is not None:
        command += ["--cacert", bench.authorities[scenario.tls], "--tls-version", "13"]
        command += ["--resume"] if scenario.tls == "tickets" else []
    if program == "quoit":
        command += ["--json", "-", "--caps-off", str(bench.capabilities_off)]
    if scenario.kind == "idle":
        # Nobody may have an answer before all have a connection.
        url += "?delay_ms=%d" % (1500 + scenario.connections // 5)
        return command + (["-c", str(scenario.connections), "--idle"] if program == "quoit" else
                          ["--idle", str(scenario.connections)]) + [url]
    command += ["-c", str(scenario.connections)]
    if bench.is_quick:
        command += ["-n", str(quick_requests(scenario))]
    else:
        command += ["-d", number(bench.seconds), "--warmup", number(bench.warmup_s)]
    return command + (["--fresh"] if scenario.kind == "fresh" else []) + [url]


def wrk_command(bench, scenario):
    command = [bench.programs["wrk"], "-t", "1", "-c", str(scenario.connections), "-d",
               "%ds" % math.ceil(bench.seconds), "--timeout", "30s"]
    if scenario.kind == "fresh":
        command += ["-H", "Connection: close"]
    return command + [url_of(bench, scenario)]


def h2load_command(bench, scenario):
    how_long = ["-n", str(quick_requests(scenario))] if bench.is_quick else ["-D", "%dms" % int(bench.seconds * 1000)]
    return [bench.programs["h2load"], "--h1", "-t", "1", "-c", str(scenario.connections)] + how_long + [url_of(bench, scenario)]


# --- what they say -------------------------------------------------------------------------------------------------

def check_tls(result, tls):
    """The client spoke TLS where it was to, and resumed every session or none. libcurl does not tell how many."""
    told = result.get("tls")
    if (told is not None) != (tls is not None):
        raise Failed("it speaks %s" % (told or "no TLS"))
    if tls is not None and result.get("peer") != "curl" and (result["resumed"] > 0) != (tls == "tickets"):
        raise Failed("%d sessions were resumed" % result["resumed"])


def read_own(text, kind, tls=None):
    try:
        result = json.loads(text)
    except ValueError:
        raise Failed("its output is no JSON: %r" % text[:200]) from None
    missing = [key for key in OURS[kind] if key not in result]
    if missing:
        raise Failed("its JSON lacks %s" % ", ".join(missing))
    if result["errors"] or result.get("valid") is False:
        raise Failed("it tells of errors: %s" % json.dumps(result["errors"]))
    if kind in ("load", "fresh"):
        if result["requests"] <= 0:
            raise Failed("it made no request")
        check_tls(result, tls)
    if kind == "idle":
        # The engine's allocator knows what is allocated, and what of that are shared buffers; of a peer, and of what a TLS
        # library holds, the heap tells.
        if "allocated_bytes_per_connection" in result:
            whole = "allocated_bytes_per_connection" if tls is None else "heap_bytes_per_connection"
            result["bytes_per_connection"] = result[whole] - result["buffer_bytes_per_connection"]
        else:
            result["bytes_per_connection"] = result["heap_bytes_per_connection"]
    return result


def read_wrk(text):
    """(requests, seconds) of wrk's report."""
    match = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h),", text)
    if not match:
        raise Failed("wrk tells no number of requests: %r" % text[-300:])
    wrong = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if (wrong and any(int(n) for n in wrong.groups())) or status:
        raise Failed("wrk tells of errors: %s" % (wrong or status).group(0))
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}[match.group(3)]
    return int(match.group(1)), float(match.group(2)) * unit


def read_h2load(text):
    """(requests, seconds) of h2load's report."""
    match = re.search(r"^finished in ([\d.]+)(us|ms|s), ([\d.]+) req/s", text, re.M)
    counts = re.search(r"^requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text,
                       re.M)
    if not match or not counts:
        raise Failed("h2load tells no number of requests: %r" % text[-300:])
    if int(counts.group(4)) or int(counts.group(5)):
        raise Failed("h2load tells of errors: %s" % counts.group(0))
    return int(counts.group(3)), float(match.group(1)) * {"us": 1e-6, "ms": 1e-3, "s": 1}[match.group(2)]


def external(requests, seconds, cpu_s, size):
    if requests <= 0 or seconds <= 0:
        raise Failed("it made no request")
    return {"requests": requests, "duration_s": seconds, "rps": requests / seconds, "bytes_in": requests * size,
            "cpu_us_per_request": cpu_s * 1e6 / requests, "cpu_s_per_gb": cpu_s / (requests * size / 1e9), "errors": {}}


# --- running -------------------------------------------------------------------------------------------------------

def run_process(command, prepare, limit_s):
    """(output, CPU seconds). Ends the process when it takes too long."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=prepare)
    try:
        out, error = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed("not done after %d s" % limit_s) from None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode == NOT_HERE:
        raise NotHere(error.strip() or "this kernel cannot do it")
    if process.returncode != 0:
        raise Failed("exit code %d: %s" % (process.returncode, (error or out).strip()[-300:]))
    return out, (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def run(bench, scenario, name):
    """One run of one client: its result, with the share of the client's core that others used meanwhile."""
    program, extra = PEERS[name]
    if program == "wrk":
        command = wrk_command(bench, scenario)
    elif program == "h2load":
        command = h2load_command(bench, scenario)
    else:
        command = own_command(bench, scenario, program, extra)
    begin_s, busy_s = time.monotonic(), machine.busy_s(bench.client_core)
    out, cpu_s = run_process(command, bench.pin(bench.client_core) if scenario.kind != "wake" else machine.raise_limits,
                             bench.seconds + bench.warmup_s + SLACK_S)
    wall_s = time.monotonic() - begin_s
    others_s = machine.busy_s(bench.client_core) - busy_s - cpu_s
    if program == "wrk":
        result = external(*read_wrk(out), cpu_s, scenario.size)
    elif program == "h2load":
        result = external(*read_h2load(out), cpu_s, scenario.size)
    else:
        result = read_own(out, scenario.kind, scenario.tls)
    if scenario.kind != "wake":  # its producer works on the other core
        result["others_share"] = max(0.0, others_s / wall_s)
    return result


def run_calmly(bench, scenario, name, repeats, runner=run):
    """A run that others disturbed is run again, at most `repeats` times. The calmest counts, whatever its figures are."""
    calmest = None
    for _ in range(repeats + 1):
        result = runner(bench, scenario, name)
        share = result.get("others_share") or 0
        if calmest is None or share < (calmest.get("others_share") or 0):
            calmest = result
        if share <= DISTURBED:
            break
    return calmest
