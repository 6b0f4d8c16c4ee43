#!/usr/bin/python3
"""Names, by the fetch example as a user runs it: static addresses, and name servers: dnsmasq, and scripted ones.

Usage: fetch_names_test.py FETCH
"""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../support"))

import peer  # noqa: E402  (after the path above)
from peer import answering, response, run  # noqa: E402

# What libc's resolver would be led astray by.
POISON = {"RES_OPTIONS": "ndots:9 timeout:1 attempts:1", "LOCALDOMAIN": "astray.test", "HOSTALIASES": "/nowhere/aliases",
          "RESOLV_HOST_CONF": "/nowhere/host.conf", "LOCALE": "xx_YY"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Dnsmasq:
    """dnsmasq on loopback, with a hosts file of its own."""

    def __init__(self, hosts):
        self.hosts = tempfile.NamedTemporaryFile("w", suffix=".hosts")
        self.hosts.write(hosts)
        self.hosts.flush()

    def __enter__(self):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["/usr/sbin/dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--pid-file=", "--port=%d" % self.port,
             "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts",
             "--addn-hosts=" + self.hosts.name, "--local=/#/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self.process.poll() is not None:
                raise RuntimeError("dnsmasq does not run")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.hosts.close()


class Scripted:
    """A name server on UDP that answers each query with what `answer(query)` gives: datagrams, in their order."""

    def __init__(self, answer):
        self.answer = answer
        self.queries = []

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def serve(self):
        while True:
            query, sender = self.socket.recvfrom(4096)
            if not query:
                return
            self.queries.append(query)
            for datagram in self.answer(query):
                self.socket.sendto(datagram, sender)

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()


def question_end(query):
    at = 12
    while query[at] != 0:
        at += 1 + query[at]
    return at + 5


def record(rtype, data, ttl=60):
    return b"\xc0\x0c" + struct.pack(">HHIH", rtype, 1, ttl, len(data)) + data


def reply(query, records=(), rcode=0, ident=None):
    end = question_end(query)
    ident = query[:2] if ident is None else ident
    return (ident + struct.pack(">HHHHH", 0x8180 | rcode, 1, len(records), 0, 0) + query[12:end] + b"".join(records))


def type_of(query):
    return struct.unpack(">H", query[question_end(query) - 4:question_end(query) - 2])[0]


class Static(unittest.TestCase):
    def test_a_name_has_the_addresses_that_it_is_given(self):
        with answering(lambda request: response(200, b"here")) as server:
            for rule in ("www.test:%d:127.0.0.1", "WWW.Test.:%d:[::2],127.0.0.1"):
                ran = run("--resolve", rule % server.port, "http://www.test:%d/" % server.port)
                self.assertEqual((ran.out, ran.report["error"]), (b"here", None), rule)
            ran = run("--resolve", "www.test::127.0.0.1", "http://www.test:%d/" % server.port)
            self.assertEqual(ran.out, b"here")

    def test_it_holds_for_its_port_alone(self):
        with Scripted(lambda query: [reply(query, rcode=3)]) as names:
            ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "--resolve", "www.test:81:127.0.0.1",
                      "http://www.test:82/")
            self.assertEqual((ran.report["error"], ran.report["phase"]), ("QUOIT_ERR_NAME_NOT_FOUND", "resolve"))
            self.assertGreaterEqual(len(names.queries), 2)

    def test_what_is_none_is_refused(self):
        for rule in ("www.test", "www.test:80", ":80:127.0.0.1", "www.test:x:127.0.0.1"):
            self.assertEqual(run("--resolve", rule, "http://www.test/").code, 2, rule)
        self.assertEqual(run("--dns-servers", "", "http://www.test/").code, 2)
        self.assertEqual(run("--dns-servers", "nonsense", "http://127.0.0.1:1/").report["error"],
                         "QUOIT_ERR_INVALID_ARGUMENT")


class Servers(unittest.TestCase):
    def test_dnsmasq_knows_and_does_not_know(self):
        with Dnsmasq("127.0.0.1 www.test\n127.0.0.1 %s\n" % " ".join("n%d.test" % i for i in range(50))) as names:
            with answering(lambda request: response(200, b"here")) as server:
                ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "http://www.test:%d/" % server.port)
                self.assertEqual((ran.out, ran.report["error"]), (b"here", None))
                ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "http://www.test.:%d/" % server.port)
                self.assertEqual(ran.out, b"here")
            ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "http://nobody.test/")
            self.assertEqual((ran.report["error"], ran.report["phase"]), ("QUOIT_ERR_NAME_NOT_FOUND", "resolve"))
            self.assertTrue(ran.report["retry_safe"])

    def test_the_environment_leads_nobody_astray(self):
        with Dnsmasq("127.0.0.1 www.test\n") as names, answering(lambda request: response(200, b"here")) as server:
            before = dict(os.environ)
            os.environ.update(POISON)
            try:
                ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "http://www.test:%d/" % server.port)
            finally:
                os.environ.clear()
                os.environ.update(before)
            self.assertEqual(ran.out, b"here")

    def test_forged_answers_in_front_of_the_true_one_are_not_believed(self):
        def answer(query):
            if type_of(query) != 1:
                return [reply(query)]
            forged = [reply(query, [record(1, bytes([127, 0, 0, 9]))], ident=bytes([query[0] ^ 1, query[1]])),
                      reply(query.replace(b"\3www", b"\3xxx"), [record(1, bytes([127, 0, 0, 9]))]), b"", b"x"]
            return forged + [reply(query, [record(1, bytes([127, 0, 0, 1]))])]

        with Scripted(answer) as names, answering(lambda request: response(200, b"here")) as server:
            ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "http://www.test:%d/" % server.port)
            self.assertEqual((ran.out, ran.report["remote"]), (b"here", "127.0.0.1:%d" % server.port))

    def test_servers_that_fail_refuse_or_are_not_there_are_told_apart(self):
        for rcode, error in ((2, "QUOIT_ERR_NAME_SERVER_FAILED"), (5, "QUOIT_ERR_NAME_SERVER_REFUSED")):
            with Scripted(lambda query, rcode=rcode: [reply(query, rcode=rcode)]) as names:
                ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "http://www.test/")
                self.assertEqual((ran.report["error"], ran.report["phase"]), (error, "resolve"))
        with Scripted(lambda query: [reply(query) + b"rubbish"]) as names:
            ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "http://www.test/")
            self.assertEqual(ran.report["error"], "QUOIT_ERR_NAME_BAD_ANSWER")
        ran = run("--dns-servers", "127.0.0.1:%d" % free_port(), "http://www.test/")
        self.assertEqual(ran.report["error"], "QUOIT_ERR_NAME_SERVERS_SILENT")

    def test_a_second_server_helps_out(self):
        with Dnsmasq("127.0.0.1 www.test\n") as names, answering(lambda request: response(200, b"here")) as server:
            with Scripted(lambda query: [reply(query, rcode=2)]) as broken:
                ran = run("--dns-servers", "127.0.0.1:%d,127.0.0.1:%d" % (broken.port, names.port),
                          "http://www.test:%d/" % server.port)
                self.assertEqual(ran.out, b"here")

    def test_mute_servers_are_bounded_by_the_whole_time(self):
        with Scripted(lambda query: []) as names:
            ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "--max-time", "0.5", "http://www.test/")
            self.assertEqual(ran.report["error"], "QUOIT_ERR_TIMEOUT_TOTAL")

    def test_localhost_asks_nobody(self):
        with Scripted(lambda query: [reply(query, rcode=3)]) as names:
            with answering(lambda request: response(200, b"here")) as server:
                ran = run("--dns-servers", "127.0.0.1:%d" % names.port, "http://x.localhost:%d/" % server.port)
                self.assertEqual(ran.out, b"here")
                self.assertEqual(run("--dns-servers", "127.0.0.1:%d" % names.port, "http://a.invalid/").report["error"],
                                 "QUOIT_ERR_NAME_NOT_FOUND")
            self.assertEqual(names.queries, [])


if __name__ == "__main__":
    peer.main(sys.modules["__main__"])
