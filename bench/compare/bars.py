"""The bars: what the engine must not cost more than, and that what it is compared with is not slow itself."""

import collections

import figures

# `what`: client to be judged; `against`: clients of which the least counts, None when `most` is the bar itself; `less`: a
# client whose value is taken off first, if any.
Bar = collections.namedtuple("Bar", "text scenario metric what against most less", defaults=[None])
Judged = collections.namedtuple("Judged", "bar verdict figure rounds")

CURL = ["curl-poll", "curl-socket"]
CURL_256K = ["curl-poll-256k", "curl-socket-256k"]
SAME_RECEIVE = "bare-SAME"  # the bare client with the engine's own receive strategy
SAME_RECEIVE_TLS = "bare-tls-SAME"
WAKE = ["wake-futex", "wake-eventfd"]


def bars():
    cpu = "cpu_us_per_request"
    for connections in (16, 64, 256):
        name = "1KiB-%d" % connections
        yield Bar("CPU per request to the bare client's", name, cpu, "quoit", ["bare"], 1.25)
        yield Bar("CPU per request to wrk's", name, cpu, "quoit", ["wrk"], 1.0)
        yield Bar("CPU per request to libcurl's better loop", name, cpu, "quoit", CURL, 0.5)
    yield Bar("CPU per request to wrk's", "1KiB-1", cpu, "quoit", ["wrk"], 1.1)
    yield Bar("CPU per request to the bare client's", "1KiB-4096", cpu, "quoit", ["bare"], 1.35)
    bulk = "cpu_s_per_gb"
    yield Bar("CPU per GB to the bare client's, receiving alike", "16MiB-8", bulk, "quoit", [SAME_RECEIVE], 1.15)
    yield Bar("CPU per GB to libcurl's with 256 KiB", "16MiB-8", bulk, "quoit", CURL_256K, 1.0)
    yield Bar("user memory of an idle connection", "idle-10000", "bytes_per_connection", "quoit", None, 1024)
    yield Bar("CPU per request, 8 producers to inline", "threads-64", cpu, "quoit-port-8", ["quoit"], 1.4)
    both = "cpu_us_per_wake"
    yield Bar("what waking adds to a submit, both threads, to the bare wake-up", "wake", both, "wake-submit", WAKE, 1.2,
              "submit-awake")
    yield Bar("a submit that wakes, the request's life included, to the bare wake-up", "wake", both, "wake-submit", WAKE, 1.2)


def tls_bars():
    """TLS 1.3. New connections: full handshakes, with verification by a CA file of one certificate."""
    cpu = "cpu_us_per_request"
    yield Bar("CPU per TLS request to the bare TLS client's", "tls-1KiB-64", cpu, "quoit", ["bare-tls"], 1.25)
    yield Bar("CPU per TLS request to libcurl's better loop", "tls-1KiB-64", cpu, "quoit", CURL, 1 / 1.5)
    yield Bar("CPU per new TLS connection to the bare TLS client's", "tls-fresh-64", cpu, "quoit", ["bare-tls"], 1.1)
    yield Bar("CPU per new TLS connection to libcurl's better loop", "tls-fresh-64", cpu, "quoit", CURL, 0.7)
    yield Bar("CPU per GB by TLS to the bare TLS client's, receiving alike", "tls-16MiB-8", "cpu_s_per_gb", "quoit",
              [SAME_RECEIVE_TLS], 1.1)
    yield Bar("user memory of an idle TLS connection", "tls-idle-10000", "bytes_per_connection", "quoit", None, 8192)


def reference_bars():
    """That nobody wins against a slow reference."""
    for connections in (1, 16, 64, 256, 4096):
        yield Bar("bare client's CPU per request to raw epoll's", "1KiB-%d" % connections, "cpu_us_per_request", "bare",
                  ["epoll"], 1.1)
    yield Bar("bare TLS client's CPU per request to wrk's", "tls-1KiB-64", "cpu_us_per_request", "bare-tls", ["wrk"], 1.0)


def column(rounds, client, metric):
    """A client's values, one a round; None where it has none."""
    return [(results.get(client) or {}).get(metric) for results in rounds]


def receive_of(rounds):
    """How the engine received, as its driver tells."""
    for results in rounds:
        engine = (results.get("quoit") or {}).get("engine") or {}
        if "receive" in engine:
            return engine["receive"]
    return "single"


def judge(bar, rounds):
    """`rounds`: [{client: result}] of the bar's scenario."""
    values = column(rounds, bar.what, bar.metric)
    if bar.less is not None:
        values = figures.differences(values, column(rounds, bar.less, bar.metric))
    if bar.against is not None:
        against = [client.replace("SAME", receive_of(rounds)) for client in bar.against]
        references = figures.least_of([column(rounds, client, bar.metric) for client in against])
        bar = bar._replace(against=against)
        values = figures.ratios(values, references)
    found = [value for value in values if value is not None]
    return Judged(bar, *figures.verdict(found, bar.most), found)


def judge_all(measured):
    """`measured`: {scenario's name: rounds}. Only of scenarios that were run."""
    return [judge(bar, measured[bar.scenario]) for bar in [*bars(), *tls_bars(), *reference_bars()] if bar.scenario in measured]
