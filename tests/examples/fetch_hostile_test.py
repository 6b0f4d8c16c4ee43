#!/usr/bin/python3
"""The fetch example against servers that never end, and outputs that nobody reads: it ends as its limits and its
--max-time say, and its memory stays small.

Usage: fetch_hostile_test.py FETCH
"""

import itertools
import os
import select
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../support"))

import peer  # noqa: E402  (after the path above)
from peer import end, run, start  # noqa: E402

PEAK_KIB_MAX = 32 * 1024  # of resident memory, that of this program before it becomes the other one included
GIB = 1 << 30


class Endless(unittest.TestCase):
    def fetched(self, head, piece, *arguments, limit=None):
        """A run against a server that sends `head`, then `piece` again and again, up to `limit` octets in all."""
        sent = []

        def script(connection):
            connection.request()
            connection.send(head)
            count = len(head)
            try:
                while limit is None or count < limit:
                    connection.send(piece)
                    count += len(piece)
            finally:
                sent.append(count)

        with peer.Peer(script) as server:
            ran = end(start(*arguments, server.url, stdout=subprocess.DEVNULL))
        self.assertNotEqual(ran.code, 0)
        if not peer.IS_SANITIZED:
            self.assertLess(ran.peak_kib, PEAK_KIB_MAX)
        return ran.report["error"], ran.report["status"], max(sent, default=0)

    def test_heads_end_at_a_limit(self):
        for head, piece, error in ((b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 1000 + b"\r\n", "HEAD_TOO_LARGE"),
                                   (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100, "TOO_MANY_HEADERS"),
                                   (b"HTTP/1.1 200 ", b"x" * 1000, "HEAD_TOO_LARGE"),
                                   (b"HTTP/1.1 200 OK\r\n", b"x" * 1000, "HEAD_TOO_LARGE"),
                                   (b"\r\n", b"\r\n" * 500, "HTTP_BAD_STATUS_LINE"),
                                   (b"", b"x" * 65536, "HTTP_BAD_STATUS_LINE")):
            with self.subTest((piece[:8], error)):
                self.assertEqual(self.fetched(head, piece)[:2], ("QUOIT_ERR_" + error, 0))

    def test_a_line_of_a_gib_is_not_read_to_its_end(self):
        error, status, sent = self.fetched(b"HTTP/1.1 200 OK\r\nA: ", b"x" * (1 << 20), limit=GIB)
        self.assertEqual((error, status), ("QUOIT_ERR_HEAD_TOO_LARGE", 0))
        self.assertLess(sent, GIB // 16)  # what the kernel's buffers took

    def test_informational_heads_end_at_a_limit(self):
        error, status, _ = self.fetched(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)
        self.assertEqual((error, status), ("QUOIT_ERR_TOO_MANY_INFORMATIONAL", 0))

    def test_framing_without_content_ends_at_a_limit(self):
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for head, piece, error in ((b"1;a=", b"x" * 65536, "CHUNK_EXTENSION_TOO_LARGE"),
                                   (b"", b"1;abcdefgh\r\nx\r\n" * 4000, "CHUNK_EXTENSION_TOO_LARGE"),
                                   (b"", b"0" * 65536, "CHUNK_EXTENSION_TOO_LARGE"),
                                   (b"0\r\n", b"T: " + b"x" * 100 + b"\r\n", "TRAILERS_TOO_LARGE"),
                                   (b"0\r\nT: ", b"x" * 65536, "TRAILERS_TOO_LARGE")):
            with self.subTest(error):
                self.assertEqual(self.fetched(chunked + head, piece)[:2], ("QUOIT_ERR_" + error, 200))

    def test_bodies_end_at_the_deadline(self):
        for head, piece in ((b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
                            (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 62), b"x" * 65536),
                            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10000),
                            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", b"x" * 65536)):
            with self.subTest((head, piece[:8])):
                self.assertEqual(self.fetched(head, piece, "--max-time", "0.5")[:2], ("QUOIT_ERR_TIMEOUT_TOTAL", 200))

    def test_redirects_with_bodies_without_end_are_followed_to_the_limit(self):
        error, status, _ = self.fetched(b"HTTP/1.1 302 X\r\nLocation: /again\r\n\r\n", b"x" * 65536, "-L")
        self.assertEqual((error, status), ("QUOIT_ERR_TOO_MANY_REDIRECTS", 302))


class Slow(unittest.TestCase):
    def test_an_octet_now_and_then_ends_at_the_deadline(self):
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

        def script(connection):
            connection.request()
            connection.send(whole[:begin])
            for octet in itertools.chain(whole[begin:], itertools.repeat(120)):
                connection.send(bytes([octet]))
                if select.select([connection.sock], [], [], 0.2)[0]:
                    return  # it has closed

        for begin, status in ((0, 0), (len(whole) - 1, 200), (len(whole), 200)):
            with peer.Peer(script) as server:
                ran = run("--max-time", "0.5", server.url)
                self.assertEqual((ran.report["error"], ran.report["status"]), ("QUOIT_ERR_TIMEOUT_TOTAL", status))

    def test_silence_ends_at_the_deadline(self):
        for said in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"):
            def script(connection, said=said):
                connection.request()
                connection.send(said)
                connection.wait_for_close()

            with peer.Peer(script) as server:
                self.assertEqual(run("--max-time", "0.3", server.url).report["error"], "QUOIT_ERR_TIMEOUT_TOTAL")


class Unread(unittest.TestCase):
    """Outputs that nobody reads hold nobody up beyond --max-time."""

    def endless(self, connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nF: " + b"\xff" * 16000 + b"\r\n\r\n")
        while True:
            connection.send(b"x" * 65536)

    def wait(self, process):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if not peer.IS_SANITIZED:
            self.assertLess(usage.ru_maxrss, PEAK_KIB_MAX)
        self.assertGreater(process.returncode, 0)  # no signal: neither crash nor watchdog

    def test_stdout(self):
        with peer.Peer(self.endless) as server:
            process = start("--max-time", "0.5", server.url)
            report = process.stderr.read()
            self.wait(process)
            self.assertEqual(peer.report_of(report)["error"], "QUOIT_ERR_TIMEOUT_TOTAL")
            self.assertEqual(peer.report_of(report)["status"], 200)
            process.stdout.close()
            process.stderr.close()

    def test_stdout_that_is_a_socket(self):
        ours, theirs = socket.socketpair()
        with peer.Peer(self.endless) as server, ours:
            process = start("--max-time", "0.5", server.url, stdout=theirs)
            theirs.close()
            self.assertEqual(end(process).report["error"], "QUOIT_ERR_TIMEOUT_TOTAL")

    def test_stdout_and_stderr(self):
        with peer.Peer(self.endless) as server:
            process = start("--max-time", "0.5", server.url)
            self.wait(process)
            process.stdout.close()
            process.stderr.close()

    def test_a_body_that_never_comes_from_its_file(self):
        with tempfile.TemporaryDirectory() as folder:
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo)
            ran = run("--max-time", "0.3", "-d", "@" + fifo, "http://127.0.0.1:1/")
            self.assertEqual(ran.report["error"], "QUOIT_ERR_TIMEOUT_TOTAL")
            writer = os.open(fifo, os.O_RDWR)  # open, but silent
            ran = run("--max-time", "0.3", "-d", "@" + fifo, "http://127.0.0.1:1/")
            self.assertEqual(ran.report["error"], "QUOIT_ERR_TIMEOUT_TOTAL")
            os.close(writer)


if __name__ == "__main__":
    peer.main(sys.modules["__main__"])
