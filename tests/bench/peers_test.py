#!/usr/bin/python3
"""The peers that the engine is measured against: what they count is what a server saw, and what goes wrong ends them.

Usage: peers_test.py BARE EPOLL CURL WAKE
"""

import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../support"))

import peer  # noqa: E402  (after the path above)
from peer import answering, response  # noqa: E402

BARE, EPOLL, CURL, WAKE = (os.path.abspath(path) for path in sys.argv[1:5])
CLIENTS = [(BARE, "--receive", "single"), (BARE, "--receive", "multishot"), (BARE, "--receive", "bundle"), (EPOLL,),
           (CURL, "--loop", "poll"), (CURL, "--loop", "socket")]
KEYS = {"peer", "how", "connections", "requests", "errors", "bytes_in", "duration_s", "rps", "cpu_us_per_request",
        "user_us_per_request", "system_us_per_request", "cpu_s_per_gb", "max_rss_kib"}
NOT_HERE = 77  # this kernel has not what was asked for


def run(client, *arguments):
    return peer.run(*client[1:], *arguments, program=client[0])


def learns(client):
    """How many requests it makes before it counts: those that parse nothing ask once how long a response is."""
    return 0 if client[0] == CURL else 1


def closing(body):
    """A peer that answers one request on each connection and closes it."""
    lock = threading.Lock()

    def script(connection):
        request = connection.request()
        with lock:
            server.requests.append(request)
        connection.send(response(200, body, b"Connection: close"))

    server = peer.Peer(script)
    return server


class Peers(unittest.TestCase):
    def result(self, client, *arguments):
        ran = run(client, *arguments)
        if ran.code == NOT_HERE and client[0] == BARE:
            self.skipTest(ran.text.decode())
        self.assertEqual((ran.code, ran.text), (0, b""))
        return json.loads(ran.out)

    def test_each_request_is_counted_once(self):
        body = b"x" * 1000
        for client in CLIENTS:
            with self.subTest(client):
                for connections, requests in ((1, 1), (1, 50), (4, 200), (8, 3)):
                    with answering(lambda request: response(200, body)) as server:
                        told = self.result(client, "-c", str(connections), "-n", str(requests), server.url + "/a")
                        self.assertEqual(told["requests"], requests)
                        self.assertEqual(told["bytes_in"], requests * len(response(200, body)))
                        self.assertEqual(len(server.requests), requests + learns(client))
                        self.assertLessEqual(len(server.open), connections + learns(client))
                        self.assertEqual(set(told), KEYS)
                        self.assertEqual({request.line for request in server.requests}, {b"GET /a HTTP/1.1"})

    def test_time_ends_it_and_the_warm_up_does_not_count(self):
        for client in CLIENTS:
            with self.subTest(client):
                with answering(lambda request: response(200, b"abc")) as server:
                    for seconds in ("0.2", "1", "5"):  # on a busy machine a moment can pass without any request
                        told = self.result(client, "-c", "2", "-d", seconds, "--warmup", "0.1", server.url)
                        if told["requests"] > 0:
                            break
                    self.assertGreater(told["requests"], 0)
                    self.assertLess(told["requests"], len(server.requests))
                    self.assertGreater(told["duration_s"], 0)

    def test_bodies_larger_than_all_buffers_are_counted_whole(self):
        body = bytes(range(256)) * 4096
        for client in CLIENTS:
            with self.subTest(client):
                buffers = ("--buffer", "1024", "--buffers", "16") if client[0] == BARE else ("--buffer", "1024")
                with answering(lambda request: response(200, body)) as server:
                    told = self.result(client, "-c", "3", "-n", "12", *buffers, server.url)
                    self.assertEqual(told["bytes_in"], 12 * len(response(200, body)))

    def test_fresh_means_a_connection_for_each_request(self):
        for client in CLIENTS:
            with self.subTest(client):
                with closing(b"x" * 100) as server:
                    told = self.result(client, "-c", "3", "-n", "30", "--fresh", server.url)
                    self.assertEqual(told["requests"], 30)
                    self.assertEqual(len(server.open), 30 + learns(client))
                    self.assertEqual({dict(request.fields)[b"Connection"] for request in server.requests}, {b"close"})

    def test_idle_connections_are_all_open_at_once(self):
        for client in CLIENTS:
            with self.subTest(client):
                barrier = threading.Barrier(12)
                first = [learns(client)]
                lock = threading.Lock()

                def respond(request):
                    with lock:
                        is_learning = first[0] > 0
                        first[0] = 0
                    if not is_learning:
                        barrier.wait(peer.LIMIT_S)  # no answer before all have asked
                    return response(200, b"abc")

                with answering(respond) as server:
                    told = self.result(client, "--idle", "12", server.url)
                    self.assertEqual(told["connections"], 12)
                    self.assertEqual(len(server.open), 12 + learns(client))
                    self.assertIn("heap_bytes_per_connection", told)
                    self.assertIn("rss_bytes_per_connection", told)

    def test_another_length_than_the_first_is_an_error(self):
        for client in CLIENTS[:4]:  # those that parse nothing
            for other in (b"x" * 99, b"x" * 101):
                count = [0]

                def script(connection):
                    while connection.request() is not None:
                        count[0] += 1
                        connection.send(response(200, b"x" * 100 if count[0] < 5 else other))
                        if count[0] >= 5:
                            return

                with self.subTest(client), peer.Peer(script) as server:
                    self.assertEqual(run(client, "-c", "1", "-n", "20", server.url).code, 1)

    def test_a_server_that_closes_is_an_error(self):
        def script(connection):
            if connection.number > 1:
                connection.request()
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            elif connection.request() is not None:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdefghi")

        for client in CLIENTS[:4]:
            with self.subTest(client), peer.Peer(script) as server:
                self.assertEqual(run(client, "-c", "1", "-n", "20", server.url).code, 1)
        with peer.Peer(lambda connection: connection.request()) as server:
            for client in CLIENTS:
                self.assertEqual(run(client, "-c", "1", "-n", "20", server.url).code, 1)

    def test_wrong_arguments_are_told(self):
        for program in (BARE, EPOLL, CURL):
            for arguments in ([], ["-c", "1", "http://127.0.0.1/"], ["-c", "0", "-n", "1", "http://127.0.0.1/"],
                              ["-c", "1", "-n", "1", "-d", "1", "http://127.0.0.1/"], ["-c", "1", "-n", "1"],
                              ["-c", "1", "-n", "x", "http://127.0.0.1/"], ["--receive", "twice", "http://127.0.0.1/"],
                              ["--idle", "3", "-n", "1", "http://127.0.0.1/"], ["--nonsense", "1", "http://127.0.0.1/"],
                              ["-c", "1", "-n", "1", "--buffers", "3", "http://127.0.0.1/"],
                              ["-c", "1", "-n", "1", "http://127.0.0.1/", "http://127.0.0.1/"]):
                with self.subTest(program=program, arguments=arguments):
                    ran = run((program,), *arguments)
                    self.assertEqual((ran.code, ran.out), (2, b""))
                    self.assertIn(b"usage: ", ran.text)
        for url in ("https://127.0.0.1/", "ftp://127.0.0.1/", "http:/127.0.0.1/", "http://localhost/", "http://1.2.3.4.5/", "http://127.0.0.1:99999/"):
            self.assertEqual(run((EPOLL,), "-c", "1", "-n", "1", url).code, 1)


class Wake(unittest.TestCase):
    def test_each_subject_is_woken_and_measured(self):
        for subject in ("futex", "eventfd", "engine"):
            for more in ((), ("--burst", "8")):
                with self.subTest(subject=subject, more=more):
                    ran = run((WAKE,), subject, "-n", "80", *more)
                    if ran.code == NOT_HERE and subject == "futex":
                        self.skipTest(ran.text.decode())
                    self.assertEqual((ran.code, ran.text), (0, b""))
                    told = json.loads(ran.out)
                    self.assertEqual((told["how"], told["rings"]), (subject, 80))
                    self.assertGreater(min(told["call_us"], told["loop_cpu_us"], told["latency_us"]["p50"]), 0)
                    latency = [told["latency_us"][name] for name in ("p50", "p90", "p99")]
                    self.assertEqual(latency, sorted(latency))

    def test_wrong_arguments_are_told(self):
        for arguments in ([], ["nobody"], ["futex", "-n"], ["futex", "-n", "1"], ["futex", "-n", "x"],
                          ["engine", "--burst", "0"], ["engine", "-n", "10", "--burst", "8"], ["futex", "--other", "1"]):
            with self.subTest(arguments):
                ran = run((WAKE,), *arguments)
                self.assertEqual((ran.code, ran.out), (2, b""))


if __name__ == "__main__":
    peer.main(sys.modules["__main__"])
