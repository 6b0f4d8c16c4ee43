"""What is measured: scenarios by name, each with the clients that run in it, and the clients' command lines."""

import collections

KIB, MIB = 1024, 1024 * 1024
SIZES = [("1KiB", KIB), ("64KiB", 64 * KIB), ("16MiB", 16 * MIB)]
CONNECTIONS = [1, 16, 64, 256, 4096]
TLS_CONNECTIONS = [1, 16, 64, 256]
BULK_IN_FLIGHT_MAX = 2048 * MIB  # beyond it bodies lie in socket buffers and swap; no client has much to do with that
IDLE_CONNECTIONS = 10000

# `metric` is what bars and tables go by. `rounds`: at most so many (None: as many as are asked for). `tls`: the server that
# speaks it, "full" where no session is ever resumed and "tickets" where they all are; None: plain HTTP.
Scenario = collections.namedtuple("Scenario", "name kind size connections clients metric rounds tls", defaults=[None])

# How a client is run: (program, arguments). PROGRAM -c CONNECTIONS -d SECONDS URL unless it is said otherwise.
PEERS = {
    "quoit": ("quoit", []),
    "quoit-port": ("quoit", ["--mode", "port"]),
    "quoit-port-8": ("quoit", ["--mode", "port", "--producers", "8"]),
    "bare": ("bare", []),
    "bare-single": ("bare", ["--receive", "single"]),
    "bare-multishot": ("bare", ["--receive", "multishot", "--buffer", "65536"]),
    "bare-bundle": ("bare", ["--receive", "bundle"]),
    "bare-tls": ("bare-tls", []),
    "bare-tls-single": ("bare-tls", ["--receive", "single"]),
    "bare-tls-multishot": ("bare-tls", ["--receive", "multishot", "--buffer", "65536"]),
    "bare-tls-bundle": ("bare-tls", ["--receive", "bundle"]),
    "epoll": ("epoll", []),
    "curl-poll": ("curl", ["--loop", "poll"]),
    "curl-socket": ("curl", ["--loop", "socket"]),
    "curl-poll-256k": ("curl", ["--loop", "poll", "--buffer", "262144"]),
    "curl-socket-256k": ("curl", ["--loop", "socket", "--buffer", "262144"]),
    "wake-futex": ("wake", ["futex"]),
    "wake-eventfd": ("wake", ["eventfd"]),
    "wake-submit": ("wake", ["engine"]),
    "submit-awake": ("wake", ["engine", "--burst", "32"]),
    "wrk": ("wrk", []),
    "h2load": ("h2load", []),
}

SMALL = ["quoit", "bare", "epoll", "curl-poll", "curl-socket", "wrk", "h2load", "quoit-port"]
BULK = ["quoit", "bare-single", "bare-multishot", "bare-bundle", "epoll", "curl-poll", "curl-socket", "curl-poll-256k",
        "curl-socket-256k", "wrk"]
FRESH = ["quoit", "bare", "epoll", "curl-poll", "curl-socket", "wrk"]
THREADS = ["quoit", "quoit-port", "quoit-port-8"]
WAKE = ["wake-futex", "wake-eventfd", "wake-submit", "submit-awake"]
IDLE = ["quoit", "bare", "curl-socket"]
# wrk does not verify, so it has no part where handshakes are measured.
TLS_SMALL = ["quoit", "bare-tls", "curl-poll", "curl-socket", "wrk", "quoit-port"]
TLS_BULK = ["quoit", "bare-tls-single", "bare-tls-multishot", "bare-tls-bundle", "curl-poll", "curl-socket", "curl-poll-256k",
            "curl-socket-256k", "wrk"]
TLS_FRESH = ["quoit", "bare-tls", "curl-poll", "curl-socket"]
TLS_RESUMED = ["quoit", "bare-tls", "curl-poll", "curl-socket"]
TLS_IDLE = ["quoit", "bare-tls", "curl-socket"]


def load(label, size, connections):
    is_bulk = size >= MIB
    return Scenario("%s-%d" % (label, connections), "load", size, connections, BULK if is_bulk else SMALL,
                    "cpu_s_per_gb" if is_bulk else "cpu_us_per_request", None)


def tls_load(label, size, connections):
    is_bulk = size >= MIB
    return Scenario("tls-%s-%d" % (label, connections), "load", size, connections, TLS_BULK if is_bulk else TLS_SMALL,
                    "cpu_s_per_gb" if is_bulk else "cpu_us_per_request", None, "full")


def tls_others(connections, idle):
    cpu = "cpu_us_per_request"
    return [
        Scenario("tls-fresh-%d" % connections, "fresh", KIB, connections, TLS_FRESH, cpu, None, "full"),
        Scenario("tls-resumed-%d" % connections, "fresh", KIB, connections, TLS_RESUMED, cpu, None, "tickets"),
        Scenario("tls-idle-%d" % idle, "idle", KIB, idle, TLS_IDLE, "bytes_per_connection", 1, "full"),
    ]


def others(connections, idle):
    return [
        Scenario("fresh-%d" % connections, "fresh", KIB, connections, FRESH, "cpu_us_per_request", None),
        Scenario("threads-%d" % connections, "load", KIB, connections, THREADS, "cpu_us_per_request", None),
        Scenario("wake", "wake", 0, 0, WAKE, "cpu_us_per_wake", None),
        Scenario("idle-%d" % idle, "idle", KIB, idle, IDLE, "bytes_per_connection", 1),  # memory has no noise
    ]


def full():
    """(scenarios, what is left out and why)."""
    scenarios, left_out = [], []
    for label, size in SIZES:
        for connections in sorted(CONNECTIONS + ([8] if size >= MIB else [])):
            if size * connections > BULK_IN_FLIGHT_MAX:
                left_out.append("%s-%d: %d MiB in flight at once measure the machine's memory" %
                                (label, connections, size * connections // MIB))
            else:
                scenarios.append(load(label, size, connections))
    scenarios += others(64, IDLE_CONNECTIONS)
    scenarios += [tls_load("1KiB", KIB, connections) for connections in TLS_CONNECTIONS]
    scenarios += [tls_load("16MiB", 16 * MIB, 8)] + tls_others(64, IDLE_CONNECTIONS)
    return scenarios, left_out


def quick():
    """Each kind of run once, small: it shows that everything runs, and nothing about speed."""
    left_out = ["everything large: this is the small run, and its figures mean nothing"]
    plain = [load("1KiB", KIB, 16), load("16MiB", 16 * MIB, 2)] + others(4, 100)
    return plain + [tls_load("1KiB", KIB, 16), tls_load("16MiB", 16 * MIB, 2)] + tls_others(4, 50), left_out
