#!/usr/bin/python3
"""The clients that speak TLS, the engine's driver and those that it is measured against: what they count is what the server
saw, they verify it, and they resume sessions when they are asked to and only then.

Usage: tls_peers_test.py SERVER QUOIT_BENCH BARE_TLS CURL
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../support"))

import peer  # noqa: E402  (after the path above)

SERVER, QUOIT, BARE, CURL = (os.path.abspath(path) for path in sys.argv[1:5])
CLIENTS = [(QUOIT, "--json", "-"), (QUOIT, "--json", "-", "--mode", "port"), (BARE, "--receive", "single"),
           (BARE, "--receive", "multishot"), (BARE, "--receive", "bundle"), (CURL, "--loop", "poll"),
           (CURL, "--loop", "socket")]
NOT_HERE = 77  # this kernel has not what was asked for


class Server:
    """The embedded server with a certificate of its own making. `connections` and `requests` are there when it has ended."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory()
        self.authority = os.path.join(self.folder.name, "authority.pem")
        self.process = subprocess.Popen([SERVER, "--stdin", "1", "--tls-authority", self.authority] + list(arguments),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip().rstrip("/")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()
        self.folder.cleanup()

    def end(self):
        out, _ = self.process.communicate(timeout=peer.LIMIT_S)
        self.connections, self.requests = (int(n) for n in re.match(r"connections (\d+) requests (\d+)", out).groups())


def run(client, *arguments):
    return peer.run(*client[1:], *arguments, program=client[0])


def learns(client):
    """How many requests it makes before it counts."""
    return 1 if client[0] == BARE else 0


class Tls(unittest.TestCase):
    def result(self, client, server, *arguments):
        ran = run(client, "--cacert", server.authority, *arguments)
        if ran.code == NOT_HERE and client[0] == BARE:
            self.skipTest(ran.text.decode())
        self.assertEqual((ran.code, ran.text), (0, b""))
        return json.loads(ran.out)

    def test_each_request_is_counted_once(self):
        for client in CLIENTS:
            for connections, requests in ((1, 1), (4, 200), (8, 8)):
                with self.subTest(client=client, requests=requests), Server() as server:
                    told = self.result(client, server, "-c", str(connections), "-n", str(requests), server.url + "/size/1000")
                    server.end()
                    self.assertEqual((told["requests"], told["errors"]), (requests, {}))
                    self.assertEqual(server.requests, requests + learns(client))
                    self.assertLessEqual(server.connections, connections + learns(client))
                    self.assertTrue(told["tls"])

    def test_long_bodies_come_whole(self):
        for client in CLIENTS:
            with self.subTest(client), Server() as server:
                told = self.result(client, server, "-c", "2", "-n", "4", server.url + "/size/1000000")
                self.assertGreater(told["bytes_in"], 4000000)

    def test_both_versions_are_spoken(self):
        for client in CLIENTS:
            for version, name in (("12", "1.2"), ("13", "1.3")):
                with self.subTest(client=client, version=version), Server("--tls-version", version) as server:
                    told = self.result(client, server, "-c", "2", "-n", "10", "--tls-version", version, server.url + "/size/9")
                    self.assertEqual(told["requests"], 10)
                    if client[0] == QUOIT:
                        self.assertEqual(told["tls"]["version"], name)
                        self.assertRegex(told["tls"]["cipher"], r"^0x(13|c0|cc)[0-9a-f]{2}$")
                    elif client[0] == BARE:
                        self.assertIn("TLSv" + name, told["tls"])
                    other = "12" if version == "13" else "13"
                    self.assertEqual(run(client, "--cacert", server.authority, "-c", "1", "-n", "1", "--tls-version", other,
                                         server.url + "/size/9").code, 1)

    def test_fresh_means_a_handshake_for_each_request(self):
        for client in CLIENTS:
            with self.subTest(client), Server("--tls-tickets", "0") as server:
                told = self.result(client, server, "-c", "3", "-n", "30", "--fresh", server.url + "/size/100")
                server.end()
                self.assertEqual(server.connections, 30 + learns(client))
                self.assertEqual((told["requests"], told["resumed"]), (30, 0))

    def test_sessions_are_resumed_when_that_is_asked_for(self):
        for client in ((QUOIT, "--json", "-"), (BARE,)):
            for more, resumed in ((("--resume",), 27), ((), 0)):
                with self.subTest(client=client, more=more), Server() as server:
                    told = self.result(client, server, "-c", "3", "-n", "30", "--fresh", *more, server.url + "/size/100")
                    self.assertEqual(told["resumed"], resumed)

    def test_who_is_not_trusted_gets_no_request(self):
        with Server() as other:
            for client in CLIENTS:
                with self.subTest(client), Server() as server:
                    self.assertEqual(run(client, "--cacert", other.authority, "-c", "1", "-n", "1", server.url).code, 1)
                    server.end()
                    self.assertEqual(server.requests, 0)

    def test_what_idle_connections_hold_is_told(self):
        for client in (CLIENTS[0], CLIENTS[3], CLIENTS[6]):
            with self.subTest(client), Server() as server:
                how = ("-c", "12", "--idle") if client[0] == QUOIT else ("--idle", "12")
                told = self.result(client, server, *how, server.url + "/size/10?delay_ms=1000")
                self.assertEqual(told["connections"], 12)
                self.assertGreater(told["heap_bytes_per_connection"], 1000)

    def test_the_driver_names_what_is_wrong_with_its_roots(self):
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            empty = os.path.join(folder, "empty.pem")
            with open(empty, "w", encoding="utf-8") as file:
                file.write("nothing\n")
            for cacert, name in ((empty, b"QUOIT_ERR_TLS_NO_ROOTS"), (empty + ".not", b"QUOIT_ERR_TLS_FILE")):
                ran = run((QUOIT,), "--cacert", cacert, "-n", "1", server.url)
                self.assertEqual((ran.code, ran.out), (1, b""))
                self.assertIn(name, ran.text)
                self.assertIn(cacert.encode(), ran.text)
            # Without the option the system's are trusted, and they have never heard of this server.
            ran = run((QUOIT, "--json", "-"), "-n", "1", server.url)
            self.assertEqual(ran.code, 1)
            self.assertEqual(len({"QUOIT_ERR_TLS_UNTRUSTED_ROOT", "QUOIT_ERR_TLS_NO_TRUST_STORE"} &
                                 set(json.loads(ran.out)["errors"])), 1)

    def test_wrong_arguments_are_told(self):
        for program in (QUOIT, BARE, CURL):
            for arguments in (("--tls-version", "14"), ("--tls-version",), ("--cacert",)):
                with self.subTest(program=program, arguments=arguments):
                    self.assertEqual(run((program,), "-c", "1", "-n", "1", "https://127.0.0.1:1/", *arguments).code, 2)
        for arguments in (("https://127.0.0.1:1/",), ("--cacert", "/dev/null", "http://127.0.0.1:1/")):
            self.assertEqual(run((BARE,), "-c", "1", "-n", "1", *arguments).code, 1)


if __name__ == "__main__":
    peer.main(sys.modules["__main__"])
