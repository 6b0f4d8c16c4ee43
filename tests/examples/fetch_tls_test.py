#!/usr/bin/python3
"""The fetch example over TLS, as a user runs it: whom it trusts, what it says of who is not to be trusted, and what it tells
of a connection. The servers are Python's, which speaks TLS by another library than ours.

Usage: fetch_tls_test.py FETCH
"""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../support"))

import peer  # noqa: E402  (after the path above)
from peer import answering, response, run  # noqa: E402


class Authority:
    """Certificates in a folder of the test's own, made by the openssl program. A leaf is a pair of paths."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.root = self.make("root", None, "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign")
        self.other = self.make("other", None, "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign")
        names = "subjectAltName=DNS:localhost,DNS:name.example,IP:127.0.0.1"
        self.good = self.make("good", self.root, names)
        self.misnamed = self.make("misnamed", self.root, "subjectAltName=DNS:elsewhere.example")
        self.expired = self.make("expired", self.root, names, "20200101000000Z", "20210101000000Z")
        self.early = self.make("early", self.root, names, "20490101000000Z", "20491231000000Z")
        self.stranger = self.make("stranger", self.other, names)
        self.own = self.make("own", None, names)

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *arguments):
        subprocess.run(["openssl"] + list(arguments), cwd=self.folder, check=True, capture_output=True, timeout=peer.LIMIT_S)

    def make(self, name, issuer, extensions, not_before="20200101000000Z", not_after="20491231000000Z"):
        with open(self.path(name + ".cnf"), "w", encoding="ascii") as config:
            config.write("[ca]\ndefault_ca=d\n[d]\ndatabase=%s.db\nserial=%s.srl\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n"
                         "x509_extensions=e\nunique_subject=no\n[p]\ncommonName=supplied\n[e]\n%s\n" % (name, name, extensions))
        for file, text in ((".db", ""), (".srl", "%02x\n" % (len(name) * 7 + ord(name[0])))):
            with open(self.path(name + file), "w", encoding="ascii") as out:
                out.write(text)
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
                     "-out", name + ".csr", "-subj", "/CN=" + name)
        signer = ["-selfsign", "-keyfile", name + ".key"] if issuer is None else ["-cert", issuer[0], "-keyfile", issuer[1]]
        self.openssl("ca", "-batch", "-notext", "-config", name + ".cnf", "-in", name + ".csr", "-out", name + ".pem",
                     "-startdate", not_before, "-enddate", not_after, *signer)
        return self.path(name + ".pem"), self.path(name + ".key")


MADE = None


def setUpModule():
    global MADE
    MADE = Authority()


def tearDownModule():
    shutil.rmtree(MADE.folder)


def context_of(leaf, highest=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*leaf)
    context.maximum_version = highest
    return context


class TlsPeer(peer.Peer):
    """A Peer behind TLS. `names` has what each client told of the name (SNI), `failed` the handshakes that came to nothing."""

    def __init__(self, script, leaf=None, context=None):
        self.context = context or context_of(leaf or MADE.good)
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        self.names, self.failed = [], []

        def behind_tls(connection):
            try:
                connection.sock = self.context.wrap_socket(connection.sock, server_side=True)
            except (ssl.SSLError, OSError) as error:
                self.failed.append(error)
                return
            script(connection)

        super().__init__(behind_tls)
        self.url = self.url.replace("http:", "https:")


def answering_tls(respond, **options):
    def script(connection):
        while True:
            request = connection.request()
            if request is None:
                return
            server.requests.append(request)
            connection.send(respond(request))

    server = TlsPeer(script, **options)
    return server


@contextlib.contextmanager
def environment(**variables):
    kept = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Trust(unittest.TestCase):
    def failed(self, ran, error):
        self.assertEqual((ran.code, ran.report["error"], ran.report["status"], ran.out), (1, "QUOIT_ERR_" + error, 0, b""))
        self.assertEqual((ran.report["phase"], ran.report["retry_safe"]), ("tls", True))

    def test_cacert_is_whom_to_trust(self):
        with answering_tls(lambda request: response(200, b"secret")) as server:
            ran = run("--cacert", MADE.root[0], "-d", "question", server.url)
            self.assertEqual((ran.code, ran.out, ran.report["error"]), (0, b"secret", None))
            self.assertEqual((server.requests[0].line, server.requests[0].body), (b"POST / HTTP/1.1", b"question"))
            self.assertEqual(server.names, [None])  # an address is no name

    def test_cacert_is_in_place_of_the_systems(self):
        with answering_tls(lambda request: response(200)) as server:
            with environment(SSL_CERT_FILE=MADE.root[0]):
                self.failed(run("--cacert", MADE.other[0], server.url), "TLS_UNTRUSTED_ROOT")
            self.assertEqual(server.requests, [])

    def test_without_it_the_systems_are(self):
        with answering_tls(lambda request: response(200, b"x")) as server:
            ran = run(server.url)
            self.assertIn(ran.report["error"], ("QUOIT_ERR_TLS_UNTRUSTED_ROOT", "QUOIT_ERR_TLS_NO_TRUST_STORE"))
            with environment(SSL_CERT_FILE=MADE.root[0]):
                self.assertEqual(run(server.url).out, b"x")
            with tempfile.TemporaryDirectory(dir=MADE.folder) as folder:
                shutil.copy(MADE.root[0], folder)
                with environment(SSL_CERT_DIR=folder):
                    self.assertEqual(run(server.url).out, b"x")
            self.assertEqual(len(server.requests), 2)

    def test_who_is_not_to_be_trusted_is_told_by_kind_and_gets_nothing(self):
        for leaf, error in ((MADE.misnamed, "TLS_NAME_MISMATCH"), (MADE.expired, "TLS_CERT_EXPIRED"),
                            (MADE.early, "TLS_CERT_NOT_YET_VALID"), (MADE.stranger, "TLS_UNTRUSTED_ROOT"),
                            (MADE.own, "TLS_SELF_SIGNED")):
            with self.subTest(error), answering_tls(lambda request: response(200, b"x"), leaf=leaf) as server:
                self.failed(run("--cacert", MADE.root[0], "-H", "Authorization: secret", server.url), error)
                self.assertEqual(server.requests, [])

    def test_what_is_wrong_with_a_certificate_is_said_in_a_sentence(self):
        for leaf, subject, words in ((MADE.misnamed, "CN=misnamed", "not for 127.0.0.1: it is for elsewhere.example"),
                                     (MADE.expired, "CN=expired", "valid until Jan  1 00:00:00 2021 GMT"),
                                     (MADE.early, "CN=early", "valid from Jan  1 00:00:00 2049 GMT")):
            with self.subTest(subject), answering_tls(lambda request: response(200, b"x"), leaf=leaf) as server:
                report = run("--cacert", MADE.root[0], server.url).report
                self.assertEqual(report["certificate"], {"depth": 0, "subject": subject, "issuer": "CN=root"})
                self.assertIn('certificate 0, subject "%s", issuer "CN=root"; %s' % (subject, words), report["message"])

    def test_without_a_trust_store_the_places_are_told(self):
        with environment(SSL_CERT_DIR="/nowhere/at/all:/nor/here"):
            ran = run("https://127.0.0.1:1/")
            self.failed(ran, "TLS_NO_TRUST_STORE")
            self.assertIn("/nowhere/at/all (ENOENT), /nor/here (ENOENT)", ran.report["message"])
            self.assertNotIn("certificate", ran.report)

    def test_a_file_without_certificates_is_an_error_where_tls_may_be_spoken(self):
        with answering(lambda request: response(200, b"x")) as server:
            for arguments in ([server.url.replace("http:", "https:")], ["-L", server.url], [server.url.replace("http:", " http:")]):
                for path in ("/dev/null", __file__):
                    ran = run("--cacert", path, *arguments)
                    self.assertEqual((ran.code, ran.report["error"]), (1, "QUOIT_ERR_TLS_NO_ROOTS"))
            self.assertEqual(run("--cacert", "/dev/null", server.url).out, b"x")
            self.assertEqual(len(server.requests), 1)


class Names(unittest.TestCase):
    def test_connect_to_changes_neither_sni_nor_what_is_verified(self):
        with answering_tls(lambda request: response(200, b"x")) as server:
            for name in ("name.example", "localhost"):
                ran = run("--cacert", MADE.root[0], "--connect-to", "::127.0.0.1:%d" % server.port, "https://%s/" % name)
                self.assertEqual((ran.out, server.names[-1]), (b"x", name))
            ran = run("--cacert", MADE.root[0], "--connect-to", "::127.0.0.1:%d" % server.port, "https://other.example/")
            self.assertEqual((ran.report["error"], server.names[-1]), ("QUOIT_ERR_TLS_NAME_MISMATCH", "other.example"))


class Redirects(unittest.TestCase):
    def test_what_is_trusted_goes_along(self):
        with answering_tls(lambda request: response(200, b"end")) as last:
            to_last = response(302, b"", b"Location: " + last.url.encode())
            with answering_tls(lambda request: to_last) as second:
                to_second = response(302, b"", b"Location: " + second.url.encode())
                with answering(lambda request: to_second) as first:
                    ran = run("-L", "--cacert", MADE.root[0], first.url)
                    self.assertEqual((ran.code, ran.out), (0, b"end"))
                    ran = run("-L", "--cacert", MADE.other[0], first.url)
                    self.assertEqual((ran.code, ran.report["error"]), (1, "QUOIT_ERR_TLS_UNTRUSTED_ROOT"))

    def test_from_tls_to_plain(self):
        with answering(lambda request: response(200, b"plain")) as last:
            back = response(302, b"", b"Location: " + last.url.encode())
            with answering_tls(lambda request: back) as first:
                ran = run("-L", "--cacert", MADE.root[0], "-H", "Cookie: a", first.url)
                self.assertEqual((ran.code, ran.out, "tls" in ran.report), (0, b"plain", False))
                self.assertNotIn(b"Cookie", last.requests[0].head)


class Reports(unittest.TestCase):
    def test_facts_of_the_connection(self):
        for highest, version in ((ssl.TLSVersion.TLSv1_3, "1.3"), (ssl.TLSVersion.TLSv1_2, "1.2")):
            seen = []

            def respond(connection):
                seen.append(connection.sock.cipher()[0])
                connection.request()
                connection.send(response(200, b"x"))

            with TlsPeer(respond, context=context_of(MADE.good, highest)) as server:
                facts = run("--cacert", MADE.root[0], server.url).report["tls"]
                self.assertEqual((facts["version"], facts["resumed"]), (version, False))
                self.assertGreater(facts["handshake_ms"], 0)
                ids = {cipher["name"]: cipher["id"] & 0xffff for cipher in server.context.get_ciphers()}
                self.assertEqual(int(facts["cipher"], 16), ids[seen[0]])

    def test_the_protocol_is_offered_and_a_choice_is_told(self):
        for offered in (["http/1.1"], ["h2", "http/1.1"], ["h2"], None):
            context = context_of(MADE.good)
            if offered:
                context.set_alpn_protocols(offered)
            with answering_tls(lambda request: response(200, b"x"), context=context) as server:
                ran = run("--cacert", MADE.root[0], server.url)
                self.assertEqual(ran.out, b"x")  # a server that has nothing in common says nothing, and speaks HTTP/1.1
                self.assertEqual(ran.report["tls"].get("alpn"), "http/1.1" if offered and "http/1.1" in offered else None)

    def test_plain_http_has_none(self):
        with answering(lambda request: response(200, b"x")) as server:
            self.assertNotIn("tls", run(server.url).report)

    def test_plain_http_where_tls_was_expected(self):
        with peer.Peer(lambda connection: connection.send(response(400))) as server:
            ran = run("--cacert", MADE.root[0], server.url.replace("http:", "https:"))
            self.assertEqual((ran.code, ran.report["error"]), (1, "QUOIT_ERR_TLS_PLAIN_HTTP"))

    def test_an_alert_has_its_number(self):
        context = context_of(MADE.good, ssl.TLSVersion.TLSv1_2)
        context.verify_mode = ssl.CERT_REQUIRED
        with answering_tls(lambda request: response(200), context=context) as server:
            ran = run("--cacert", MADE.root[0], server.url)
            self.assertEqual((ran.code, ran.report["error"]), (1, "QUOIT_ERR_TLS_HANDSHAKE_ALERT"))
            self.assertEqual((ran.report["alert"], ran.report["retry_safe"]), (40, True))  # handshake_failure
            self.assertEqual(server.requests, [])

    def test_a_body_to_the_end_of_the_connection_ends_with_tls(self):
        def script(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nbody")
            if is_whole:
                connection.sock = connection.sock.unwrap()
            connection.sock.shutdown(socket.SHUT_RDWR)

        for is_whole, error in ((True, None), (False, "QUOIT_ERR_TLS_TRUNCATED")):
            with TlsPeer(script) as server:
                ran = run("--cacert", MADE.root[0], server.url)
                self.assertEqual((ran.out, ran.report["error"], ran.code == 0), (b"body", error, is_whole))

    def test_a_handshake_that_is_not_answered_ends_in_time(self):
        with peer.Peer(lambda connection: connection.wait_for_close()) as server:
            ran = run("--max-time", "0.3", "--cacert", MADE.root[0], server.url.replace("http:", "https:"))
            self.assertEqual((ran.code, ran.report["error"]), (1, "QUOIT_ERR_TIMEOUT_TOTAL"))


if __name__ == "__main__":
    peer.main(sys.modules["__main__"])
