"""What tests of the example programs stand on: servers that say what a test tells them, and a run of a program.

A Peer listens on loopback and plays `script(connection)` on each connection that it accepts, on a thread of its own.
Nothing here waits by sleeping: whoever waits, waits for bytes, for an end or for a process, and gives up after LIMIT_S, so
that what hangs is a failed test.
"""

import collections
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import unittest

LIMIT_S = 20

Request = collections.namedtuple("Request", "line fields body head")


class Connection:
    """One accepted connection."""

    def __init__(self, sock, number):
        self.sock, self.number = sock, number
        self.buffer = b""

    def request(self):
        """Reads one request; None when the client has gone."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        fields = [tuple(line.split(b": ", 1)) if b": " in line else (line.rstrip(b":"), b"") for line in lines[1:]]
        length = sum(int(value) for name, value in fields if name.lower() == b"content-length")
        while len(self.buffer) < length:
            if not self._more():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Request(lines[0], fields, body, head)

    def _more(self):
        piece = self.sock.recv(65536)
        self.buffer += piece
        return piece != b""

    def send(self, data):
        self.sock.sendall(data)

    def wait_for_close(self):
        while self._more():
            self.buffer = b""

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Peer:
    """A server. `requests` has what Connection.request read, in order, when the script was given as responses."""

    def __init__(self, script, address="127.0.0.1"):
        self.requests = []
        self.script = script
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, 0), family=family, backlog=16)
        self.port = self.listener.getsockname()[1]
        self.url = "http://%s:%d" % ("[%s]" % address if ":" in address else address, self.port)
        self.threads = []
        self.open = []
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(LIMIT_S)
            self.open.append(sock)
            thread = threading.Thread(target=self._play, args=(Connection(sock, len(self.open)),), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _play(self, connection):
        try:
            self.script(connection)
        except OSError:
            pass  # the client has gone, which its own report tells
        finally:
            connection.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join(LIMIT_S)
        for sock in self.open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(LIMIT_S)


def answering(respond, **options):
    """A Peer that keeps its connections alive and answers each request with what `respond(request)` gives."""

    def script(connection):
        while True:
            request = connection.request()
            if request is None:
                return
            peer.requests.append(request)
            connection.send(respond(request))

    peer = Peer(script, **options)
    return peer


def response(status, body=b"", *fields):
    head = [b"HTTP/1.1 %d Reason" % status] + list(fields)
    if status != 204 and status != 304:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


Ran = collections.namedtuple("Ran", "code out report text peak_kib")


def report_of(text):
    """The line of JSON that stderr must end with."""
    assert text.endswith(b"}\n"), text
    return json.loads(text[:-1].split(b"\n")[-1].decode("utf-8", errors="strict"))


def start(*arguments, program=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
    """Starts a program, the one under test if none is named. One that hangs is killed after LIMIT_S."""
    process = subprocess.Popen([program or PROGRAM] + list(arguments), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.daemon = True
    watchdog.start()
    return process


def end(process):
    """Reads both outputs to their ends and waits. The peak is that of resident memory."""
    pieces = {}

    def read(name, stream):
        pieces[name] = stream.read() if stream else b""

    readers = [threading.Thread(target=read, args=pair, daemon=True)
               for pair in (("out", process.stdout), ("err", process.stderr))]
    for reader in readers:
        reader.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode >= 0, "it hung or crashed: %d" % process.returncode
    for reader in readers:
        reader.join(LIMIT_S)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
    assert b"cannot be preloaded" not in pieces.get("err", b""), pieces["err"]
    has_report = process.stderr is not None and pieces["err"].endswith(b"}\n")
    return Ran(process.returncode, pieces["out"], report_of(pieces["err"]) if has_report else None, pieces["err"],
               usage.ru_maxrss)


def run(*arguments, program=None):
    return end(start(*arguments, program=program))


def main(module):
    """Runs a module's test cases, and says how many there were as the other tests do."""
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromModule(module))
    bad = len(result.failures) + len(result.errors)
    print("[  PASSED  ] %d test(s)." % (result.testsRun - bad))
    if bad:
        print("[  FAILED  ] %d test(s)." % bad)
    sys.exit(1 if bad or not result.testsRun else 0)


PROGRAM = os.path.abspath(sys.argv[1])
with open(PROGRAM, "rb") as program:
    _text = program.read()
IS_SANITIZED = b"__asan_init" in _text or b"__tsan_init" in _text
