#!/usr/bin/python3
"""Python's ssl module (OpenSSL) and Quoit by ctypes in one process, both speaking TLS at the same time: a server of ssl on a
thread, clients of ssl on others, and an engine of Quoit.

Usage: python_host.py ssl_first|quoit_first LIBQUOIT CERTIFICATE KEY ROOTS
"""

import ctypes
import socket
import sys
import threading
from ctypes import byref, c_char_p, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

BODY = b"hello from ssl"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
EACH, CLIENTS, REQUESTS, LIMIT_S = 20, 2, 60, 20
DATA, DONE, FAILED, CLOSED = 3, 5, 6, 7
FILE = 1


class Handle(ctypes.Structure):
    _fields_ = [("id", c_uint64)]


class Options(ctypes.Structure):
    """Up to `environment`; the pointers that matter here are named, the rest is room."""
    _fields_ = [("struct_size", c_uint32), ("words", c_uint32 * 7), ("memory_max", c_uint64), ("limits", c_uint32 * 2),
                ("allocator", c_void_p), ("log", c_void_p), ("log_context", c_void_p), ("level", c_uint32 * 2),
                ("hosts_file", c_char_p), ("more", c_uint32 * 6), ("tls", c_void_p), ("environment", c_void_p)]


class Event(ctypes.Structure):
    """The head of an event, a body's piece, and what of a summary comes first; the rest is room."""
    _fields_ = [("type", c_uint32), ("cookie", c_uint32), ("request", Handle), ("user_data", c_uint64),
                ("data", c_void_p), ("len", c_size_t), ("room", ctypes.c_uint8 * 512)]

    def code(self):
        return ctypes.cast(ctypes.addressof(self) + Event.data.offset, ctypes.POINTER(c_int32))[0]


def load_ssl():
    import ssl
    assert ssl.OPENSSL_VERSION.startswith("OpenSSL 3") or ssl.OPENSSL_VERSION_INFO[0] >= 3, ssl.OPENSSL_VERSION
    return ssl


def load_quoit(path):
    quoit = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)  # where its names could do most harm
    quoit.quoit_error_name.restype = c_char_p
    quoit.quoit_tls_set_roots.argtypes = (c_void_p, c_uint32, c_char_p, c_size_t)
    quoit.quoit_tls_new.argtypes = (c_void_p,)
    quoit.quoit_tls_freeze.argtypes = (c_void_p, c_void_p)
    quoit.quoit_tls_release.argtypes = quoit.quoit_request_release.argtypes = (c_void_p,)
    quoit.quoit_request_new.argtypes = (c_char_p, c_char_p, c_void_p)
    quoit.quoit_submit.argtypes = (Handle, Handle, c_void_p, c_uint64, c_void_p)
    quoit.quoit_port_wait.argtypes = (Handle, c_void_p, c_size_t, c_size_t, c_int32)
    return quoit


def serve(ssl, listener, context):
    """Each connection on a thread of its own, until the listener is shut."""
    def one(sock):
        try:
            with context.wrap_socket(sock, server_side=True) as talk:
                buffer = b""
                while True:
                    piece = talk.recv(4096)
                    if not piece:
                        return
                    buffer += piece
                    while b"\r\n\r\n" in buffer:
                        buffer = buffer.split(b"\r\n\r\n", 1)[1]
                        talk.sendall(ANSWER)
        except (ssl.SSLError, OSError):
            pass  # its client tells

    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        sock.settimeout(LIMIT_S)
        threading.Thread(target=one, args=(sock,), daemon=True).start()


def ask_by_ssl(ssl, port, roots, good):
    context = ssl.create_default_context(cafile=roots)
    for _ in range(EACH):
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as sock:
            with context.wrap_socket(sock, server_hostname="127.0.0.1") as talk:
                talk.sendall(b"GET / HTTP/1.1\r\n\r\n")
                got = b""
                while len(got) < len(ANSWER):
                    piece = talk.recv(4096)
                    assert piece, got
                    got += piece
                assert got == ANSWER, got
                good.append(talk.version())


class Talker:
    def __init__(self, quoit, roots):
        self.quoit = quoit
        tls, self.engine, self.port = c_void_p(), Handle(), Handle()
        self.check(quoit.quoit_tls_new(byref(tls)))
        self.check(quoit.quoit_tls_set_roots(tls, FILE, roots.encode(), len(roots)))
        self.check(quoit.quoit_tls_freeze(tls, None))
        options = Options(struct_size=ctypes.sizeof(Options), tls=tls)
        self.check(quoit.quoit_engine_create(byref(options), byref(self.engine), None))
        self.check(quoit.quoit_port_create(self.engine, None, byref(self.port)))
        quoit.quoit_tls_release(tls)

    def check(self, code):
        assert code == 0, self.quoit.quoit_error_name(code)

    def submit(self, url, number):
        request = c_void_p()
        self.check(self.quoit.quoit_request_new(b"GET", url.encode(), byref(request)))
        self.check(self.quoit.quoit_submit(self.engine, self.port, request, number, None))
        self.quoit.quoit_request_release(request)

    def events(self):
        """Those that have come, each with its piece of a body."""
        events = (Event * 16)()
        count = self.quoit.quoit_port_wait(self.port, events, ctypes.sizeof(Event), 16, LIMIT_S * 1000)
        assert count > 0, count
        for event in events[:count]:
            yield event, ctypes.string_at(event.data, event.len) if event.type == DATA else b""
        self.check(self.quoit.quoit_port_advance(self.port))

    def ask(self, url):
        done, bodies = 0, []
        for number in range(REQUESTS):
            self.submit(url, number)
        while done < REQUESTS:
            for event, piece in self.events():
                assert event.type != FAILED, self.quoit.quoit_error_name(event.code())
                done += event.type == DONE
                bodies += [piece] if piece else []
        assert bodies == [BODY] * REQUESTS, bodies

    def close(self):
        self.quoit.quoit_engine_close(self.engine, 0)
        while all(event.type != CLOSED for event, _ in list(self.events())):
            pass
        self.check(self.quoit.quoit_engine_destroy(self.engine))


def refused(ssl, port, roots):
    """OpenSSL's own errors stay its own: a handshake that fails in between, told as ever."""
    context = ssl.create_default_context(cafile=roots)
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as sock:
        try:
            context.wrap_socket(sock, server_hostname="other.example")
        except ssl.SSLCertVerificationError as error:
            return error.verify_code
    return None


def main(order, path, cert, key, roots):
    if order == "quoit_first":
        quoit = load_quoit(path)
        Talker(quoit, roots).close()  # at work before ssl is there
        ssl = load_ssl()
    else:
        assert order == "ssl_first", order
        ssl = load_ssl()
        ssl.create_default_context()
        quoit = load_quoit(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    threading.Thread(target=serve, args=(ssl, listener, context), daemon=True).start()
    good = []
    clients = [threading.Thread(target=ask_by_ssl, args=(ssl, port, roots, good), daemon=True) for _ in range(CLIENTS)]
    talker = Talker(quoit, roots)
    for client in clients:
        client.start()
    for _ in range(3):
        talker.ask("https://127.0.0.1:%d/" % port)
        assert refused(ssl, port, roots) is not None
    for client in clients:
        client.join(LIMIT_S)
    talker.close()
    listener.close()
    assert good == ["TLSv1.3"] * (EACH * CLIENTS), good


if __name__ == "__main__":
    main(*sys.argv[1:])
