#!/usr/bin/python3
"""quoit-bench, as a user runs it: what it counts is what a server saw, and what goes wrong is told.

Usage: driver_test.py QUOIT_BENCH
"""

import json
import os
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../support"))

import peer  # noqa: E402  (after the path above)
from peer import answering, response, run  # noqa: E402

KEYS = {"requests", "errors", "bytes_in", "duration_s", "rps", "latency_us", "cpu_us_per_request", "max_rss_kib",
        "http_version", "engine", "valid"}


def result(*arguments):
    ran = run("--json", "-", *arguments)
    return ran.code, json.loads(ran.out)


class Driver(unittest.TestCase):
    def test_each_request_is_counted_once_in_each_mode(self):
        body = b"x" * 1000
        for mode in ("inline", "port"):
            for connections, engines, requests in ((1, 1, 1), (1, 1, 100), (7, 1, 500), (8, 3, 500), (5, 2, 3), (4, 4, 2)):
                with self.subTest((mode, connections, engines, requests)), \
                        answering(lambda request: response(200, body)) as server:
                    code, told = result("-c", str(connections), "-t", str(engines), "-n", str(requests), "--mode", mode,
                                        server.url)
                    self.assertEqual((code, told["requests"], told["errors"]), (0, requests, {}))
                    self.assertEqual(len(server.requests), requests)
                    self.assertEqual(told["bytes_in"], requests * len(response(200, body)))
                    self.assertLessEqual(len(server.open), connections)
                    self.assertEqual(told["engine"]["connections_opened"], len(server.open))
                    self.assertTrue(KEYS <= set(told), told)
                    self.assertEqual(told["http_version"], "1.1")
                    latency = [told["latency_us"][name] for name in ("p50", "p90", "p99", "p99_9", "max")]
                    self.assertEqual(latency, sorted(latency))
                    self.assertGreater(latency[0], 0)

    def test_time_ends_it(self):
        for mode in ("inline", "port"):
            with answering(lambda request: response(200)) as server:
                code, told = result("-c", "4", "-d", "0.2", "--mode", mode, server.url)
                self.assertEqual((code, told["errors"], told["requests"]), (0, {}, len(server.requests)))
                self.assertGreater(told["requests"], 0)

    def test_producers_share_an_engine_and_lose_nothing(self):
        for connections, producers, requests in ((8, 8, 800), (9, 2, 300), (3, 8, 100), (8, 8, 3)):
            with answering(lambda request: response(200)) as server:
                code, told = result("-c", str(connections), "-n", str(requests), "--mode", "port", "--producers",
                                    str(producers), server.url)
                self.assertEqual((code, told["requests"], told["errors"]), (0, requests, {}))
                self.assertEqual(len(server.requests), requests)
                self.assertEqual(told["engine"]["producers"], producers)
                self.assertLessEqual(len(server.open), connections)

    def test_the_warm_up_does_not_count(self):
        for mode in (("inline",), ("port", "--producers", "3")):
            with answering(lambda request: response(200, b"abc")) as server:
                for seconds in ("0.2", "1", "5"):  # on a busy machine a moment can pass without any request
                    code, told = result("-c", "4", "-d", seconds, "--warmup", "0.2", "--mode", *mode, server.url)
                    if told["requests"] > 0:
                        break
                self.assertEqual((code, told["errors"]), (0, {}))
                self.assertGreater(told["requests"], 0)
                self.assertLess(told["requests"], len(server.requests))
                self.assertLess(told["bytes_in"], len(server.requests) * len(response(200, b"abc")))
                self.assertGreater(told["duration_s"], 0)
                self.assertGreater(told["cpu_s_per_gb"], 0)

    def test_fresh_means_a_connection_for_each_request(self):
        with answering(lambda request: response(200)) as server:
            code, told = result("-c", "3", "-n", "30", "--fresh", server.url)
            self.assertEqual((code, told["errors"], told["engine"]["connections_opened"]), (0, {}, 30))
            self.assertEqual(len(server.open), 30)

    def test_idle_connections_are_all_open_and_weighed(self):
        lock, first, barrier = threading.Lock(), [True], threading.Barrier(12)

        def respond(request):
            with lock:
                is_first, first[0] = first[0], False
            if not is_first:
                barrier.wait(peer.LIMIT_S)  # no answer before all have asked
            return response(200, b"abc")

        with answering(respond) as server:
            code, told = result("-c", "12", "--idle", server.url)
            self.assertEqual((code, told["connections"], told["valid"], len(server.open)), (0, 12, True, 12))
            # Few connections may fit into what was there for one; that many cannot take much.
            self.assertGreaterEqual(told["allocated_bytes_per_connection"], 0)
            self.assertLess(told["allocated_bytes_per_connection"], 100000)
            self.assertGreater(told["rss_bytes"], 1 << 20)
        code, told = result("-c", "2", "--idle", "http://127.0.0.1:1/")
        self.assertEqual((code, told["valid"]), (1, False))

    def test_urls_are_asked_for_in_turn(self):
        with answering(lambda request: response(200)) as server:
            result("-c", "1", "-n", "6", server.url + "/a", server.url + "/b", server.url + "/c")
            self.assertEqual([request.line.split(b" ")[1] for request in server.requests], [b"/a", b"/b", b"/c"] * 2)

    def test_failures_are_counted_by_name_and_fail_the_run(self):
        code, told = result("-c", "2", "-n", "10", "http://127.0.0.1:1/")
        self.assertEqual((code, told["errors"], told["requests"]), (1, {"QUOIT_ERR_CONNECT_REFUSED": 10}, 10))
        code, told = result("-c", "2", "-n", "10", "--allow-errors", "http://127.0.0.1:1/")
        self.assertEqual((code, told["errors"]), (0, {"QUOIT_ERR_CONNECT_REFUSED": 10}))
        lock = threading.Lock()
        count = [0]

        def script(connection):
            while connection.request() is not None:
                with lock:
                    count[0] += 1
                    cuts = count[0] % 5 == 0
                if cuts:
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
                    return
                connection.send(response(200, b"abc"))

        with peer.Peer(script) as server:
            code, told = result("-c", "1", "-n", "50", server.url)
            self.assertEqual((code, told["errors"], told["requests"]), (1, {"QUOIT_ERR_HTTP_TRUNCATED_BODY": 10}, 50))

    def test_a_bad_status_is_no_failure_but_is_told(self):
        with answering(lambda request: response(503)) as server:
            code, told = result("-c", "1", "-n", "5", server.url)
            self.assertEqual((code, told["errors"], told["bad_status"]), (0, {}, 5))
            self.assertIn(b"5 of status 400 and above", run("-c", "1", "-n", "5", server.url).out)

    def test_the_result_may_go_to_a_file(self):
        with answering(lambda request: response(200)) as server, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "result.json")
            ran = run("-c", "1", "-n", "5", "--json", path, server.url)
            self.assertEqual(ran.code, 0)
            self.assertIn(b"requests       5 (0 failed", ran.out)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(json.load(file)["requests"], 5)
            self.assertEqual(run("-c", "1", "-n", "1", "--json", "/nowhere/at/all", server.url).code, 1)

    def test_features_may_be_switched_off(self):
        with answering(lambda request: response(200)) as server:
            _, every = result("-c", "1", "-n", "5", server.url)
            code, fewer = result("-c", "1", "-n", "5", "--caps-off", "4", server.url)
            self.assertEqual((code, fewer["engine"]["capabilities"]), (0, every["engine"]["capabilities"] & ~4))

    def test_wrong_arguments_are_told(self):
        for arguments in ([], ["-c"], ["-c", "0", "http://a/"], ["-c", "x", "http://a/"], ["-t", "65", "http://a/"],
                          ["-c", "1", "-t", "2", "http://a/"], ["-d", "0", "http://a/"], ["-d", "inf", "http://a/"],
                          ["-n", "0", "http://a/"], ["--mode", "other", "http://a/"], ["--nonsense", "1", "http://a/"],
                          ["-c", "999999999", "http://a/"], ["--caps-off", "-1", "http://a/"], ["-R", "10", "http://a/"],
                          ["--producers", "2", "http://a/"], ["--mode", "port", "--producers", "65", "http://a/"],
                          ["--warmup", "x", "http://a/"], ["--warmup", "1", "-n", "1", "http://a/"],
                          ["--idle", "--fresh", "http://a/"], ["--idle", "-t", "2", "http://a/"], ["--idle", "-c", "1", "http://a/"]):
            with self.subTest(arguments):
                ran = run(*arguments)
                self.assertEqual((ran.code, ran.out), (2, b""))
                self.assertIn(b"usage: quoit-bench", ran.text)
        ran = run("-n", "1", "ftp://127.0.0.1:1/")
        self.assertEqual(ran.code, 1)
        self.assertIn(b"QUOIT_ERR_UNSUPPORTED_SCHEME", ran.text)


if __name__ == "__main__":
    peer.main(sys.modules["__main__"])
