#!/usr/bin/python3
"""The pure parts of compare: medians, ratios and verdicts, and what wrk and h2load are understood to say."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../bench/compare"))

import bars  # noqa: E402  (after the path above)
import clients  # noqa: E402
import figures  # noqa: E402
import machine  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402

WRK = """Running 1s test @ http://127.0.0.1:8080/size/1024
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    86.29us   31.15us   1.58ms   93.50%
    Req/Sec   186.57k     3.94k  192.74k    80.00%
  185594 requests in 1.00s, 205.83MB read
Requests/sec: 185448.92
Transfer/sec:    205.67MB
"""

H2LOAD = """starting benchmark...
finished in 200.41ms, 168630.00 req/s, 190.21MB/s
requests: 33726 total, 33742 started, 33726 done, 33726 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 33726 2xx, 0 3xx, 0 4xx, 0 5xx
"""


def results(**values):
    """A round in which each client cost so much."""
    return {client.replace("_", "-"): {"cpu_us_per_request": value, "cpu_s_per_gb": value, "cpu_us_per_wake": value}
            for client, value in values.items()}


def verdict_of(rounds, scenario, what, against):
    for it in bars.judge_all({scenario: rounds}):
        if it.bar.what == what and it.bar.against == against:
            return it
    raise AssertionError("there is no such bar")


class Figures(unittest.TestCase):
    def test_a_median_is_the_middle_one_or_between_the_two(self):
        self.assertEqual(figures.median([3, 1, 2]), 2)
        self.assertEqual(figures.median([4, 1, 2, 3]), 2.5)
        self.assertEqual(figures.median([7]), 7)

    def test_a_figure_has_the_spread_of_what_is_there(self):
        self.assertEqual(figures.figure([3, None, 1, 2]), (2, 1, 3))
        self.assertIsNone(figures.figure([None]))
        self.assertIsNone(figures.figure([]))

    def test_ratios_are_taken_within_a_round(self):
        self.assertEqual(figures.ratios([2, 9, None, 4], [1, 3, 5, None]), [2, 3])
        self.assertEqual(figures.ratios([1], [0]), [])

    def test_the_better_of_several_is_chosen_in_each_round(self):
        self.assertEqual(figures.least_of([[3, 1, None, None], [2, 4, 5, None]]), [2, 1, 5, None])

    def test_a_difference_needs_both(self):
        self.assertEqual(figures.differences([5, None, 5], [3, 1, None]), [2, None, None])

    def test_a_median_at_the_bar_is_held(self):
        self.assertEqual(figures.verdict([1.25, 1.0, 2.0], 1.25)[0], figures.HELD)
        self.assertEqual(figures.verdict([1.0], 1.25)[0], figures.HELD)

    def test_a_miss_smaller_than_the_spread_is_none(self):
        self.assertEqual(figures.verdict([1.2, 1.3, 1.4], 1.25)[0], figures.WITHIN)
        self.assertEqual(figures.verdict([1.29, 1.30, 1.31], 1.25)[0], figures.MISSED)
        self.assertEqual(figures.verdict([1.3], 1.25)[0], figures.MISSED)
        self.assertEqual(figures.verdict([1.25, 1.5, 1.5], 1.25)[0], figures.WITHIN)
        self.assertEqual(figures.verdict([1.26, 1.3, 9.0], 1.25)[0], figures.MISSED)  # an outlier is no excuse

    def test_without_a_value_there_is_no_verdict(self):
        self.assertEqual(figures.verdict([], 1.25), (figures.UNMEASURED, None))


class Bars(unittest.TestCase):
    def test_a_bar_goes_by_the_ratios_of_rounds(self):
        rounds = [results(quoit=5, bare=4), results(quoit=10, bare=8.5), results(quoit=5, bare=4.5)]
        it = verdict_of(rounds, "1KiB-64", "quoit", ["bare"])
        self.assertEqual(it.verdict, figures.HELD)
        self.assertAlmostEqual(it.figure.median, 10 / 8.5)
        rounds = [results(quoit=6, bare=4), results(quoit=6.1, bare=4), results(quoit=6.2, bare=4)]
        self.assertEqual(verdict_of(rounds, "1KiB-64", "quoit", ["bare"]).verdict, figures.MISSED)

    def test_libcurl_is_taken_by_its_better_loop(self):
        rounds = [results(quoit=5, curl_poll=9, curl_socket=30)]
        it = verdict_of(rounds, "1KiB-64", "quoit", ["curl-poll", "curl-socket"])
        self.assertEqual((it.verdict, it.figure.median), (figures.MISSED, 5 / 9))

    def test_bulk_is_compared_with_the_bare_client_that_receives_alike(self):
        for receive, ratio in (("single", 1.0), ("bundle", 2.0)):
            rounds = [results(quoit=4, bare_single=4, bare_bundle=2)]
            rounds[0]["quoit"]["engine"] = {"receive": receive}
            it = verdict_of(rounds, "16MiB-8", "quoit", ["bare-" + receive])
            self.assertEqual(it.figure.median, ratio)

    def test_tls_bulk_is_compared_with_the_bare_tls_client_that_receives_alike(self):
        rounds = [results(quoit=4, bare_tls_single=4, bare_tls_bundle=2)]
        rounds[0]["quoit"]["engine"] = {"receive": "bundle"}
        self.assertEqual(verdict_of(rounds, "tls-16MiB-8", "quoit", ["bare-tls-bundle"]).figure.median, 2.0)

    def test_the_tls_bars_are_what_was_agreed(self):
        self.assertEqual({(bar.scenario, bar.what, tuple(bar.against or ()), round(bar.most, 3)) for bar in bars.tls_bars()},
                         {("tls-1KiB-64", "quoit", ("bare-tls",), 1.25),
                          ("tls-1KiB-64", "quoit", ("curl-poll", "curl-socket"), 0.667),
                          ("tls-fresh-64", "quoit", ("bare-tls",), 1.1),
                          ("tls-fresh-64", "quoit", ("curl-poll", "curl-socket"), 0.7),
                          ("tls-16MiB-8", "quoit", ("bare-tls-SAME",), 1.1),
                          ("tls-idle-10000", "quoit", (), 8192)})

    def test_memory_is_compared_with_a_number(self):
        for octets, verdict in ((1024, figures.HELD), (1025, figures.MISSED)):
            self.assertEqual(verdict_of([{"quoit": {"bytes_per_connection": octets}}], "idle-10000", "quoit", None).verdict,
                             verdict)

    def test_what_waking_adds_is_a_difference(self):
        rounds = [results(wake_submit=6, submit_awake=2, wake_futex=5, wake_eventfd=4)]
        found = {it.bar.less: it for it in bars.judge_all({"wake": rounds})}
        self.assertEqual(found["submit-awake"].figure.median, 1.0)
        self.assertEqual(found[None].figure.median, 1.5)

    def test_the_reference_is_judged_too(self):
        rounds = [results(bare=5, epoll=4)]
        self.assertEqual(verdict_of(rounds, "1KiB-64", "bare", ["epoll"]).verdict, figures.MISSED)

    def test_a_client_that_failed_is_left_out(self):
        rounds = [{"quoit": None, "bare": None}, results(quoit=4, bare=4)]
        self.assertEqual(verdict_of(rounds, "1KiB-64", "quoit", ["bare"]).rounds, [1.0])
        self.assertEqual(verdict_of(rounds[:1], "1KiB-64", "quoit", ["bare"]).verdict, figures.UNMEASURED)

    def test_every_bar_is_of_a_scenario_and_of_clients_that_exist(self):
        every = {scenario.name: scenario for scenario in scenarios.full()[0]}
        for bar in [*bars.bars(), *bars.tls_bars(), *bars.reference_bars()]:
            of_it = every[bar.scenario].clients
            for client in [bar.what] + [bar.less or bar.what] + (bar.against or []):
                if client not in (bars.SAME_RECEIVE, bars.SAME_RECEIVE_TLS):
                    self.assertIn(client, of_it)

    def test_what_is_left_out_is_said(self):
        every, left_out = scenarios.full()
        self.assertTrue(any("16MiB-4096" in reason for reason in left_out))
        self.assertFalse(any(scenario.name == "16MiB-4096" for scenario in every))


class Understanding(unittest.TestCase):
    def test_wrk(self):
        self.assertEqual(clients.read_wrk(WRK), (185594, 1.0))
        self.assertEqual(clients.read_wrk(WRK.replace("in 1.00s", "in 250.5ms")), (185594, 0.2505))
        for wrong in ("nothing", WRK + "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
                      WRK + "  Non-2xx or 3xx responses: 7\n"):
            self.assertRaises(clients.Failed, clients.read_wrk, wrong)
        clients.read_wrk(WRK + "  Socket errors: connect 0, read 0, write 0, timeout 0\n")

    def test_h2load(self):
        self.assertEqual(clients.read_h2load(H2LOAD), (33726, 0.20041))
        for wrong in ("nothing", H2LOAD.replace("0 failed", "1 failed"), H2LOAD.replace("0 errored", "1 errored")):
            self.assertRaises(clients.Failed, clients.read_h2load, wrong)

    def test_our_own_must_be_whole(self):
        good = ('{"requests":5,"duration_s":1,"rps":5,"cpu_us_per_request":2,"errors":{}}')
        self.assertEqual(clients.read_own(good, "fresh")["requests"], 5)
        for wrong in ("", "{}", good.replace('"rps":5,', ""), good.replace("{}", '{"QUOIT_ERR_CLOSED":1}'),
                      good.replace('"requests":5', '"requests":0')):
            self.assertRaises(clients.Failed, clients.read_own, wrong, "fresh")

    def test_memory_is_without_what_is_shared(self):
        text = ('{"connections":9,"errors":{},"valid":%s,"allocated_bytes_per_connection":1000,'
                '"buffer_bytes_per_connection":100,"rss_bytes_per_connection":2000}')
        self.assertEqual(clients.read_own(text % "true", "idle")["bytes_per_connection"], 900)
        self.assertRaises(clients.Failed, clients.read_own, text % "false", "idle")

    def test_a_disturbed_run_is_run_again_and_the_calmest_counts(self):
        scenario = next(s for s in scenarios.full()[0] if s.name == "1KiB-64")
        for shares, repeats, wanted, runs in (([0.5, 0.2, 0.3], 2, 0.2, 3), ([0.5, 0.01, 0.3], 2, 0.01, 2),
                                              ([0.01], 2, 0.01, 1), ([0.5], 0, 0.5, 1), ([None], 2, None, 1)):
            left = list(shares)
            runner = lambda *_: {"others_share": left.pop(0)}  # noqa: E731
            result = clients.run_calmly(None, scenario, "quoit", repeats, runner)
            self.assertEqual((result["others_share"], len(shares) - len(left)), (wanted, runs))

    def test_cores_are_of_those_that_may_be_used(self):
        self.assertEqual(machine.choose_cores({3, 1, 2}), (1, 3))
        self.assertEqual(machine.choose_cores({2}), (2, 2))

    def test_a_ratio_of_bulk_has_a_column(self):
        scenario = next(s for s in scenarios.full()[0] if s.name == "16MiB-8")
        rounds = [results(quoit=4, bare_single=2, wrk=5)]
        text = "\n".join(report.scenario_table(scenario, rounds))
        self.assertIn("x bare-single", text)
        self.assertIn("| quoit | 4 | 2.00 |", text)


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
