"""What came of a comparison, as Markdown for people and as JSON for programs."""

import bars
import figures
from clients import DISTURBED

UNITS = {"cpu_us_per_request": "CPU us/request", "cpu_s_per_gb": "CPU s/GB", "cpu_us_per_wake": "CPU us/wake-up",
         "bytes_per_connection": "bytes/connection"}


def text_of(figure, form="%.3g"):
    if figure is None:
        return "-"
    if figure.least == figure.most:
        return form % figure.median
    return "%s [%s, %s]" % (form % figure.median, form % figure.least, form % figure.most)


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return [row(head), row(["---"] * len(head))] + [row(cells) for cells in rows] + [""]


def ratio_text(scenario, rounds, client, reference):
    if client == reference or reference not in scenario.clients:
        return "-"
    values = bars.column(rounds, client, scenario.metric)
    return text_of(figures.figure(figures.ratios(values, bars.column(rounds, reference, scenario.metric))), "%.2f")


def references_of(scenario, rounds):
    """What ratios are shown to: (heading, client)."""
    if scenario.kind == "wake":
        return [("x futex", "wake-futex")]
    if scenario.name.startswith("threads"):
        return [("x inline", "quoit")]
    bare = "bare" if scenario.tls is None else "bare-tls"
    bare = bare if bare in scenario.clients else "%s-%s" % (bare, bars.receive_of(rounds))
    return [("x " + bare, bare), ("x epoll", "epoll"), ("x wrk", "wrk"), ("x curl-poll", "curl-poll")]


def extra_columns(scenario):
    if scenario.kind == "wake":
        return [("call us", "call_us", "%.2f"), ("loop's CPU us", "loop_cpu_us", "%.2f")]
    if scenario.kind == "idle":
        return [("RSS bytes/connection", "rss_bytes_per_connection", "%.0f")]
    extra = [("resumed", "resumed", "%.0f")] if scenario.tls == "tickets" else []
    return extra + [("of it user us", "user_us_per_request", "%.2f"), ("requests/s", "rps", "%.0f"),
            ("others on the core", "others_share", "%.2f")]


def scenario_table(scenario, rounds):
    references = [r for r in references_of(scenario, rounds) if r[1] in scenario.clients]
    extras = extra_columns(scenario)
    head = ["client", UNITS[scenario.metric]] + [heading for heading, _ in references] + [heading for heading, _, _ in extras]
    form = "%.0f" if scenario.metric == "bytes_per_connection" else "%.3g"
    lines = []
    for client in scenario.clients:
        cells = [client, text_of(figures.figure(bars.column(rounds, client, scenario.metric)), form)]
        cells += [ratio_text(scenario, rounds, client, reference) for _, reference in references]
        cells += [text_of(figures.figure(bars.column(rounds, client, key)), shape) for _, key, shape in extras]
        lines.append(cells)
    return ["## " + scenario.name, ""] + table(head, lines)


def bars_table(judged):
    def cells(it):
        against = " or ".join(it.bar.against) if it.bar.against else "-"
        what = it.bar.what if it.bar.less is None else "(%s - %s)" % (it.bar.what, it.bar.less)
        return [it.bar.scenario, it.bar.text, "%s / %s" % (what, against) if it.bar.against else what,
                text_of(it.figure, "%.3f" if it.bar.against else "%.0f"), "%g" % it.bar.most, it.verdict]
    return ["## Bars", ""] + table(["scenario", "what", "ratio", "median [least, most]", "at most", "verdict"],
                                   [cells(it) for it in judged])


def growth_table(scenarios, measured):
    """CPU per request by number of connections, to that at 16."""
    there = [s for s in scenarios if s.name.startswith("1KiB-") and s.name in measured]
    base = next((s for s in there if s.connections == 16), None)
    if len(there) < 2 or base is None:
        return []
    lines = []
    for client in base.clients:
        at_16 = figures.figure(bars.column(measured[base.name], client, base.metric))
        cells = [client]
        for scenario in there:
            found = figures.figure(bars.column(measured[scenario.name], client, scenario.metric))
            grown = " (%.2f)" % (found.median / at_16.median) if found and at_16 else ""
            cells.append(("%.3g" % found.median if found else "-") + grown)
        lines.append(cells)
    return ["## Growth with connections", "", "CPU us per 1 KiB request, and to that at 16 connections.", ""] + table(
        ["client"] + [str(s.connections) for s in there], lines)


def facts_lines(facts):
    packages = ", ".join("%s %s" % pair for pair in sorted(facts["packages"].items()))
    lines = ["%s, %s cores%s, %s; %s" % (facts["cpu"], facts["cores"], ", virtual" if facts["virtual"] else "",
                                         facts["memory"], facts["kernel"]),
             "server on core %s, clients on core %s; governor %s, idle driver %s, congestion control %s" %
             (facts["server_core"], facts["client_core"], facts["governor"], facts["idle_driver"],
              facts["congestion_control"]),
             "tree %s; %s; load average at the start %s" % (facts["tree"], packages, facts["load_average"])]
    if facts["server_core"] == facts["client_core"]:
        lines.append("**one core for server and clients: the figures mean little**")
    return ["- " + line for line in lines]


def disturbed(measured):
    """(runs on whose core others used more than a little, all runs that can tell)."""
    shares = [result["others_share"] for rounds in measured.values() for results in rounds for result in results.values()
              if result and "others_share" in result]
    return sum(share > DISTURBED for share in shares), len(shares)


def markdown(document, scenarios, measured, judged):
    count, known = disturbed(measured)
    lines = ["# Comparison", ""] + facts_lines(document["machine"])
    lines += ["- %d rounds of %g s behind a warm-up of %g s, clients in turn; cells are the median [least, most] of the "
              "rounds, ratios are taken within a round" % (document["runs"], document["seconds"], document["warmup_s"]),
              "- a run on whose core something else ran for more than %d %% of its time was run again, at most %d times; of %d "
              "runs %d stayed so" % (DISTURBED * 100, document["repeats"], known, count)]
    lines += ["- left out: " + reason for reason in document["left_out"]] + [""]
    lines += bars_table(judged) if judged else []
    lines += growth_table(scenarios, measured)
    for scenario in scenarios:
        if scenario.name in measured:
            lines += scenario_table(scenario, measured[scenario.name])
    if document["failures"]:
        lines += ["## Failures", ""] + ["- %s" % failure for failure in document["failures"]] + [""]
    return "\n".join(lines)


def judged_json(judged):
    return [{"scenario": it.bar.scenario, "what": it.bar.text, "client": it.bar.what, "against": it.bar.against,
             "metric": it.bar.metric, "at_most": it.bar.most, "verdict": it.verdict, "rounds": it.rounds,
             "median": it.figure.median if it.figure else None} for it in judged]
