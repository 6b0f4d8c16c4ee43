#!/usr/bin/python3
"""The small examples, as a user runs them: each way to embed an engine.

Usage: hosts_test.py MANY EPOLL_HOST HOSTDRIVEN INLINE ASYNCIO_HOST LIBQUOIT
"""

import asyncio
import importlib.util
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../support"))

import peer  # noqa: E402  (after the path above)
from peer import answering, response, run  # noqa: E402

MANY, EPOLL_HOST, HOSTDRIVEN, INLINE, ASYNCIO_HOST, LIBQUOIT = [os.path.abspath(path) for path in sys.argv[1:7]]
REFUSED = "http://127.0.0.1:1/"


def cut(connection):
    """A server that breaks off."""
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")


class Programs(unittest.TestCase):
    def test_many(self):
        with answering(lambda request: response(200, b"x" * 10)) as server:
            ran = run(server.url, program=MANY)
            self.assertEqual((ran.code, ran.text), (0, b""))
            self.assertTrue(ran.out.startswith(b"1000 done, 0 failed, 10000 bytes of bodies, "), ran.out)
            self.assertEqual(len(server.requests), 1000)
            self.assertLessEqual(len(server.open), 50)
            self.assertLessEqual(int(ran.out.split(b", ")[-1].split(b" ")[0]), 50)
        ran = run(REFUSED, program=MANY)
        self.assertEqual((ran.code, ran.out.split(b",")[:2]), (1, [b"0 done", b" 1000 failed"]))

    def test_epoll_host(self):
        with answering(lambda request: response(200, b"x" * 40000)) as server, peer.Peer(cut) as cutting:
            good, bad = server.url + "/good", cutting.url + "/bad"
            ran = run(good, bad, REFUSED, "nonsense", program=EPOLL_HOST)
            self.assertEqual(ran.code, 0)
            lines = ran.out.decode().split("\n")
            self.assertEqual(sum(int(line.split(": ")[1].split(" ")[0]) for line in lines
                                 if line.startswith(good) and line.endswith(" bytes")), 40000)
            for line in (good + ": status 200", good + ": done", bad + ": status 200",
                         bad + ": QUOIT_ERR_HTTP_TRUNCATED_BODY", REFUSED + ": QUOIT_ERR_CONNECT_REFUSED",
                         "nonsense: QUOIT_ERR_INVALID_URL"):
                self.assertEqual(lines.count(line), 1, line)

    def test_hostdriven(self):
        body = bytes(range(256)) * 1000
        with answering(lambda request: response(200, body)) as server:
            ran = run(server.url, program=HOSTDRIVEN)
            self.assertEqual((ran.code, ran.out, ran.text), (0, body, b""))
        with peer.Peer(cut) as server:
            self.assertEqual(run(server.url, program=HOSTDRIVEN).code, 1)
        self.assertEqual(run("nonsense", program=HOSTDRIVEN).code, 1)
        self.assertEqual(run(program=HOSTDRIVEN).code, 1)

    def test_inline(self):
        with answering(lambda request: response(200, b"x" * 10)) as server:
            ran = run(server.url, "500", program=INLINE)
            self.assertEqual((ran.code, ran.out), (0, b"500 requests, 5000 bytes of bodies\n"))
            self.assertEqual((len(server.requests), len(server.open)), (500, 1))
        with peer.Peer(cut) as server:
            ran = run(server.url, "500", program=INLINE)
            self.assertEqual((ran.code, ran.out), (1, b"1 requests, 3 bytes of bodies\n"))
        self.assertEqual(run(REFUSED, "0", program=INLINE).code, 2)


@unittest.skipIf(peer.IS_SANITIZED, "Python itself is not built with the sanitizer")
class Asyncio(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        spec = importlib.util.spec_from_file_location("asyncio_host", ASYNCIO_HOST)
        cls.host = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cls.host)

    def test_the_program(self):
        with answering(lambda request: response(200, b"x" * 100000)) as server, peer.Peer(cut) as cutting:
            ran = run(LIBQUOIT, server.url + "/a", server.url + "/b", program=ASYNCIO_HOST)
            self.assertEqual((ran.code, sorted(ran.out.decode().split("\n"))),
                             (0, ["", server.url + "/a: status 200, 100000 bytes", server.url + "/b: status 200, 100000 bytes"]))
            ran = run(LIBQUOIT, cutting.url, REFUSED, program=ASYNCIO_HOST)
            self.assertEqual((ran.code, sorted(ran.out.decode().split("\n"))),
                             (1, ["", REFUSED + ": QUOIT_ERR_CONNECT_REFUSED",
                                  cutting.url + ": QUOIT_ERR_HTTP_TRUNCATED_BODY"]))

    def test_bodies_are_whole_and_slices_go_back(self):
        body = bytes(range(256)) * 4096

        async def get(url):
            engine = self.host.Engine(LIBQUOIT)
            pieces = [bytes(piece) if not isinstance(piece, int) else b"" async for piece in engine.get(url)]
            await engine.close()  # says BUSY when a slice is still out
            return b"".join(pieces)

        with answering(lambda request: response(200, body)) as server:
            self.assertEqual(asyncio.run(get(server.url)), body)

    def test_a_cancelled_task_cancels_its_request(self):
        def endless(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.send(b"x" * 65536)

        async def get(url):
            engine = self.host.Engine(LIBQUOIT)
            has_begun = asyncio.Event()

            async def read():
                async for _ in engine.get(url):
                    has_begun.set()

            task = asyncio.create_task(read())
            await has_begun.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            while engine.requests:
                await asyncio.sleep(0)  # the generator's end runs in a task of its own
            await engine.close()

        with peer.Peer(endless) as server:
            asyncio.run(get(server.url))


if __name__ == "__main__":
    peer.main(sys.modules["__main__"])
