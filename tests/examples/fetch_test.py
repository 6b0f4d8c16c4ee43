#!/usr/bin/python3
"""The fetch example against its contract (api/examples/README.md), point by point, as a user runs it.

Usage: fetch_test.py FETCH
"""

import itertools
import os
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../support"))

import peer  # noqa: E402  (after the path above)
from peer import answering, end, report_of, response, run, start  # noqa: E402

CREDENTIALS = ["-H", "Authorization: Basic eDp5", "-H", "Cookie: a=b", "-H", "Proxy-Authorization: Basic eDp5"]


def values(request, name):
    return [value for field, value in request.fields if field.lower() == name]


class CommandLine(unittest.TestCase):
    def refused(self, *arguments):
        ran = run(*arguments)
        self.assertEqual((ran.code, ran.out), (2, b""), arguments)
        self.assertEqual(ran.report["error"], "QUOIT_ERR_INVALID_ARGUMENT")
        self.assertEqual((ran.report["status"], ran.report["headers"]), (0, []))
        self.assertIn(b"usage: fetch", ran.text)

    def test_wrong_arguments_are_told_and_end_with_the_line_of_json(self):
        for arguments in ([], ["-L"], ["http://a/", "http://b/"], ["http://a/", "-X"], ["--compressed", "http://a/"],
                          ["--nonsense", "http://a/"], ["--max-time", "soon", "http://a/"],
                          ["--max-time", "-1", "http://a/"], ["--max-time", "0", "http://a/"],
                          ["--max-time", "nan", "http://a/"], ["--max-time", "1e99", "http://a/"],
                          ["-d", "@/nowhere/at/all", "http://a/"], ["-d", "@/", "http://a/"],
                          ["--cacert", "/nowhere/at/all", "http://a/"]):
            with self.subTest(arguments):
                self.refused(*arguments)

    def test_connect_to_wants_four_fields(self):
        for value in ("", "a", "a:1", "a:1:b", "a:1:b:2:c", "a:x:b:2", "a:1:b:70000", "a:0:b:1", "[::1:1:b:2", "a:1:b:-2"):
            with self.subTest(value):
                self.refused("--connect-to", value, "http://a/")

    def test_bad_input_is_an_error_of_its_own_and_sends_nothing(self):
        with answering(lambda request: response(200)) as server:
            for arguments, error in (
                    (["gopher://127.0.0.1:1/"], "UNSUPPORTED_SCHEME"), (["ftp://127.0.0.1/"], "UNSUPPORTED_SCHEME"),
                    (["no url"], "INVALID_URL"), (["-d", "@" + __file__, "no url"], "INVALID_URL"), (["http://"], "INVALID_URL"),
                    ([server.url + "/a\r\nX: y"], "INVALID_URL"), ([server.url + "/a\tb"], "INVALID_URL"),
                    (["-X", "G T", server.url], "INVALID_METHOD"), (["-X", "A\r\nB", server.url], "INVALID_METHOD"),
                    (["-X", "", server.url], "INVALID_METHOD"),
                    (["-H", "a: b\r\nc: d", server.url], "INVALID_HEADER_VALUE"),
                    (["-H", "a: b\nc", server.url], "INVALID_HEADER_VALUE"),
                    (["-H", "a\r: b", server.url], "INVALID_HEADER_NAME"),
                    (["-H", "a", server.url], "INVALID_HEADER_NAME"), (["-H", ": b", server.url], "INVALID_HEADER_NAME"),
                    (["-H", "Content-Length: 3", server.url], "FORBIDDEN_HEADER"),
                    (["-H", "Transfer-Encoding: chunked", server.url], "FORBIDDEN_HEADER")):
                with self.subTest(arguments):
                    ran = run(*arguments)
                    self.assertNotEqual(ran.code, 0)
                    self.assertEqual(ran.report["error"], "QUOIT_ERR_" + error)
                    self.assertEqual((ran.report["status"], ran.out), (0, b""))
            self.assertEqual(server.requests, [])

    def test_options_come_in_any_order(self):
        parts = (["-X", "PUT"], ["-d", "body"], ["-H", "X: y"], ["-L"], ["--max-time", "20"])
        with answering(lambda request: response(200, b"ok")) as server:
            for order in itertools.islice(itertools.permutations(parts + ([server.url],)), 0, 720, 37):
                ran = run(*itertools.chain(*order))
                self.assertEqual((ran.code, ran.out), (0, b"ok"), order)
                self.assertEqual(server.requests[-1].line, b"PUT / HTTP/1.1")
                self.assertEqual(server.requests[-1].body, b"body")
                self.assertEqual(values(server.requests[-1], b"x"), [b"y"])


class Requests(unittest.TestCase):
    def asked(self, *arguments):
        """What a server gets of a run with these arguments in front of its URL."""
        with answering(lambda request: response(200)) as server:
            ran = run(*arguments, server.url + "/path?q#fragment")
            self.assertEqual(ran.report["error"], None)
            self.assertEqual(len(server.requests), 1)
            return server.requests[0]._replace(line=server.requests[0].line.decode())

    def test_the_method_is_get_or_post_or_what_was_given(self):
        self.assertEqual(self.asked().line, "GET /path?q HTTP/1.1")
        self.assertEqual(self.asked("-d", "x").line, "POST /path?q HTTP/1.1")
        self.assertEqual(self.asked("-X", "GET", "-d", "x").line, "GET /path?q HTTP/1.1")
        self.assertEqual(self.asked("-X", "get").line, "get /path?q HTTP/1.1")
        self.assertEqual(self.asked("-X", "M-SEARCH").line, "M-SEARCH /path?q HTTP/1.1")

    def test_a_body_goes_with_its_length_and_no_type(self):
        request = self.asked("-d", "a=b&c=d")
        self.assertEqual((request.body, values(request, b"content-length")), (b"a=b&c=d", [b"7"]))
        self.assertEqual(values(request, b"content-type") + values(request, b"transfer-encoding"), [])
        self.assertEqual(self.asked("-d", "").body, b"")

    def test_a_body_from_a_file_is_sent_octet_for_octet(self):
        with tempfile.NamedTemporaryFile() as file:
            data = bytes(range(256)) * 1000 + b"\0end"
            file.write(data)
            file.flush()
            self.assertEqual(self.asked("-d", "@" + file.name).body, data)

    def test_post_and_put_without_a_body_say_that_its_length_is_zero(self):
        for method, lengths in (("POST", [b"0"]), ("PUT", [b"0"]), ("GET", []), ("DELETE", []), ("HEAD", [])):
            with self.subTest(method):
                self.assertEqual(values(self.asked("-X", method), b"content-length"), lengths)

    def test_fields_keep_their_order_and_may_be_empty(self):
        request = self.asked("-H", "b: 1", "-H", "a: 2", "-H", "b: 3", "-H", "empty:", "-H", "Tight:value", "-H", "c: d: e")
        mine = [pair for pair in request.fields if pair[0] in (b"a", b"b", b"empty", b"Tight", b"c")]
        self.assertEqual(mine, [(b"b", b"1"), (b"a", b"2"), (b"b", b"3"), (b"empty", b""), (b"Tight", b"value"),
                                (b"c", b"d: e")])

    def test_given_fields_take_the_place_of_defaults(self):
        for name in ("Host", "User-Agent", "Accept"):
            with self.subTest(name):
                self.assertEqual(len(values(self.asked(), name.lower().encode())), 1)
                self.assertEqual(values(self.asked("-H", name + ": mine"), name.lower().encode()), [b"mine"])
        self.assertEqual(values(self.asked(), b"accept-encoding"), [])
        self.assertEqual(values(self.asked(), b"expect"), [])
        self.assertEqual(values(self.asked("-H", "Expect: 100-continue", "-d", "x"), b"expect"), [b"100-continue"])

    def test_credentials_of_the_url_become_basic(self):
        with answering(lambda request: response(200)) as server:
            run(server.url.replace("://", "://us%65r:p%40ss@"))
            self.assertEqual(values(server.requests[0], b"authorization"), [b"Basic dXNlcjpwQHNz"])


class Responses(unittest.TestCase):
    def answered(self, data, *arguments, closes=True):
        def script(connection):
            connection.request()
            connection.send(data)
            if not closes:
                connection.wait_for_close()

        with peer.Peer(script) as server:
            return run(*arguments, server.url)

    def test_the_body_is_octet_for_octet(self):
        body = bytes(range(256)) * 300
        chunked = b"".join(b"%x;e=1\r\n%s\r\n" % (len(body[i:i + 999]), body[i:i + 999])
                           for i in range(0, len(body), 999)) + b"0\r\nTrailer: t\r\n\r\n"
        for data in (response(200, body), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
                     b"HTTP/1.1 200 OK\r\n\r\n" + body, b"HTTP/1.0 200 OK\r\n\r\n" + body):
            ran = self.answered(data)
            self.assertEqual((ran.code, ran.out, ran.report["error"]), (0, body, None))

    def test_what_has_no_body_writes_nothing(self):
        self.assertEqual(self.answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "-X", "HEAD").out, b"")
        for status in (204, 304):
            ran = self.answered(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status, closes=False)
            self.assertEqual((ran.code, ran.out, ran.report["status"]), (0, b"", status))

    def test_each_complete_response_is_a_success(self):
        for status in (200, 201, 301, 404, 418, 500, 503, 599):
            ran = self.answered(response(status, b"body"))
            self.assertEqual((ran.code, ran.report["status"], ran.report["error"], ran.out), (0, status, None, b"body"))

    def test_the_body_is_written_as_it_arrives(self):
        go_on = socket.socketpair()

        def script(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            go_on[0].recv(1)
            connection.send(b"later")

        with peer.Peer(script) as server:
            process = start(server.url)
            self.assertEqual(os.read(process.stdout.fileno(), 100), b"first")
            go_on[1].send(b"x")
            self.assertEqual(end(process).out, b"later")
        for side in go_on:
            side.close()

    def test_the_report_is_about_the_final_head(self):
        ran = self.answered(b"HTTP/1.1 103 Hints\r\nLink: no\r\n\r\nHTTP/1.1 200 OK\r\nB: 1\r\nA: 2\r\nb: 3\r\nB: 1\r\n"
                            b"Empty:\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(ran.report["headers"],
                         [["B", "1"], ["A", "2"], ["b", "3"], ["B", "1"], ["Empty", ""], ["Content-Length", "0"]])
        self.assertEqual((ran.report["status"], ran.report["http_version"]), (200, "1.1"))
        self.assertTrue(ran.report["remote"].startswith("127.0.0.1:"))
        self.assertEqual(self.answered(b"HTTP/1.0 200 OK\r\n\r\n").report["http_version"], "1.0")

    def test_the_report_is_valid_whatever_the_server_says(self):
        ran = self.answered(b'HTTP/1.1 200 OK\r\nA: "q\\u0041\\"\r\nB: \xff\xfe\xc3(\r\nC: \xc3\xa4\xf0\x9f\x8d\xa9\r\n'
                            b"D: a\tb\r\nE: \xed\xa0\x80\r\nF: </script>\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(dict(ran.report["headers"]),
                         {"A": '"q\\u0041\\"', "B": "\xff\xfe\xc3(", "C": "\xe4\U0001f369", "D": "a\tb",
                          "E": "\xed\xa0\x80", "F": "</script>", "Content-Length": "0"})

    def test_failures_say_what_is_known(self):
        for data, error, status, out in (
                (b"", "CONNECTION_CLOSED", 0, b""),
                (b"HTTP/1.1 200 O", "HTTP_TRUNCATED_HEAD", 0, b""),
                (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "HTTP_TRUNCATED_BODY", 200, b"abc"),
                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "HTTP_TRUNCATED_BODY", 200, b"abc"),
                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz", "HTTP_BAD_CHUNK", 200, b""),
                (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", "HTTP_BAD_LENGTH", 0, b""),
                (b"SSH-2.0-OpenSSH_9\r\n", "HTTP_BAD_STATUS_LINE", 0, b""),
                (b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", "HTTP_UNEXPECTED_UPGRADE", 0, b"")):
            with self.subTest(error):
                ran = self.answered(data)
                self.assertEqual((ran.report["error"], ran.report["status"], ran.out), ("QUOIT_ERR_" + error, status, out))
                self.assertNotEqual(ran.code, 0)
                self.assertTrue(ran.report["message"] and ran.report["phase"])

    def test_a_reset_is_no_short_success(self):
        def script(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
            go_on[0].recv(1)
            connection.reset()

        go_on = socket.socketpair()
        with peer.Peer(script) as server:
            process = start(server.url)
            self.assertEqual(os.read(process.stdout.fileno(), 100), b"abc")
            go_on[1].send(b"x")
            self.assertEqual(end(process).report["error"], "QUOIT_ERR_CONNECTION_RESET")
        for side in go_on:
            side.close()


class Redirects(unittest.TestCase):
    def chain(self, status, location, *arguments, method=None):
        """The requests of a run that is redirected once."""
        def respond(request):
            return response(200, b"final") if len(server.requests) > 1 else response(status, b"not this",
                                                                                     b"Location: " + location)

        with answering(respond) as server:
            ran = run("-L", *(["-X", method] if method else []), *arguments, server.url + "/a/b?c")
            return ran, server.requests

    def test_without_l_a_redirect_is_a_response(self):
        with answering(lambda request: response(302, b"moved", b"Location: /else")) as server:
            ran = run(server.url)
            self.assertEqual((ran.code, ran.out, ran.report["status"]), (0, b"moved", 302))

    def test_methods_and_bodies_by_status(self):
        for status in (301, 302, 303, 307, 308):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
                becomes = method
                if (status in (301, 302) and method == "POST") or (status == 303 and method != "HEAD"):
                    becomes = "GET"
                with self.subTest((status, method)):
                    body = ["-d", "body"] if method in ("POST", "PUT") else []
                    if method == "HEAD":
                        continue  # HEAD's answers have no body: below
                    ran, requests = self.chain(status, b"/next", *body, method=method)
                    self.assertEqual((ran.out, ran.report["status"], ran.report["error"]), (b"final", 200, None))
                    self.assertEqual(requests[1].line, becomes.encode() + b" /next HTTP/1.1")
                    keeps = becomes == method and bool(body)
                    self.assertEqual(requests[1].body, b"body" if keeps else b"")
                    self.assertEqual(values(requests[1], b"content-length"), [b"4"] if keeps else [])

    def test_head_stays_head(self):
        for status in (301, 302, 303, 307, 308):
            with answering(lambda request, status=status: b"HTTP/1.1 %d X\r\nLocation: /b\r\n\r\n" % status
                           if request.line.startswith(b"HEAD /a") else b"HTTP/1.1 200 OK\r\n\r\n") as server:
                self.assertEqual(run("-L", "-X", "HEAD", server.url + "/a").report["status"], 200)
                self.assertEqual([r.line for r in server.requests], [b"HEAD /a HTTP/1.1", b"HEAD /b HTTP/1.1"])

    def test_relative_references(self):
        for location, target in ((b"x", b"/a/x"), (b"./x", b"/a/x"), (b"../x", b"/x"), (b"../../../x", b"/x"),
                                 (b"?y", b"/a/b?y"), (b"#z", b"/a/b?c"), (b"", b"/a/b?c"), (b"/x#z", b"/x"),
                                 (b"/x y", b"/x%20y"), (b"/x/./y/../z", b"/x/z"), (b"/x/%2e%2E/y", b"/y"),
                                 (b"/%41%zz", b"/%41%zz"), (b"\\x", b"/x")):
            with self.subTest(location):
                ran, requests = self.chain(302, location)
                self.assertEqual(ran.report["error"], None)
                self.assertEqual(requests[1].line, b"GET " + target + b" HTTP/1.1")

    def test_a_location_that_may_not_be_followed_is_an_error(self):
        for location, error in ((b"/a\tb", "HTTP_BAD_LOCATION"), (b"http://[", "HTTP_BAD_LOCATION"),
                                (b"ftp://h/", "UNSUPPORTED_SCHEME"), (b"file:///etc/passwd", "UNSUPPORTED_SCHEME"),
                                (b"http+unix://%2Ftmp%2Fs/", "UNSUPPORTED_SCHEME"), (b"javascript:1", "UNSUPPORTED_SCHEME")):
            with self.subTest(location):
                ran, requests = self.chain(302, location)
                self.assertEqual((ran.report["error"], len(requests)), ("QUOIT_ERR_" + error, 1))
                self.assertEqual((ran.report["status"], ran.report["headers"]), (302, []))  # what is known of the end
                self.assertNotEqual(ran.code, 0)

    def test_the_status_of_a_redirect_that_was_followed_is_no_result(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            ran, _ = self.chain(302, b"http://127.0.0.1:%d/" % nobody.getsockname()[1])
            self.assertEqual((ran.report["error"], ran.report["status"]), ("QUOIT_ERR_CONNECT_REFUSED", 0))

    def test_at_most_twenty_are_followed(self):
        with answering(lambda request: response(302, b"", b"Location: /again")) as server:
            ran = run("-L", server.url)
            self.assertEqual((ran.report["error"], len(server.requests)), ("QUOIT_ERR_TOO_MANY_REDIRECTS", 21))
            self.assertEqual(ran.report["status"], 302)
        with answering(lambda request: response(302 if len(server.requests) <= 20 else 200, b"", b"Location: /x")) as server:
            self.assertEqual(run("-L", server.url).code, 0)

    def test_credentials_stay_at_their_origin(self):
        private = [b"authorization", b"cookie", b"proxy-authorization"]
        with answering(lambda request: response(200)) as other:
            for location, stays in ((b"/x", True), (other.url.encode() + b"/x", False)):
                _, requests = self.chain(307, location, *CREDENTIALS, "-H", "Host: mine", "-H", "X-Mine: 1")
                request = requests[1] if stays else other.requests[-1]
                for name in private:
                    self.assertEqual(len(values(request, name)), int(stays), (location, name))
                self.assertEqual(values(request, b"host"),
                                 [b"mine"] if stays else [b"127.0.0.1:%d" % other.port])
                self.assertEqual(values(request, b"x-mine"), [b"1"])


class ConnectTo(unittest.TestCase):
    def test_it_goes_elsewhere_and_the_name_stays(self):
        with answering(lambda request: response(200, b"here")) as server:
            for rule in ("name.example:80:127.0.0.1:%d", "name.example::127.0.0.1:%d", ":80:127.0.0.1:%d",
                         "::127.0.0.1:%d"):
                ran = run("--connect-to", "other.example:80:127.0.0.1:1", "--connect-to", rule % server.port,
                          "http://name.example/p")
                self.assertEqual((ran.out, ran.report["error"]), (b"here", None), rule)
                self.assertEqual(values(server.requests[-1], b"host"), [b"name.example"])
            ran = run("--connect-to", "name.example:81:127.0.0.1:%d" % server.port, "--connect-to", ":::1",
                      "http://127.0.0.1/")
            self.assertEqual(ran.report["error"], "QUOIT_ERR_CONNECT_REFUSED")
            self.assertEqual(run("--connect-to", "a:1::%d" % server.port, "http://127.0.0.1:1/").code, 1)
            self.assertEqual(run("--connect-to", ":1::%d" % server.port, "http://127.0.0.1:1/").out, b"here")

    def test_ipv6_in_brackets(self):
        try:
            server = answering(lambda request: response(200, b"six"), address="::1")
        except OSError:
            self.skipTest("no IPv6 on loopback")
        with server:
            ran = run("--connect-to", "[2001:db8::1]:80:[::1]:%d" % server.port, "http://[2001:db8::1]/")
            self.assertEqual((ran.out, ran.report["remote"]), (b"six", "[::1]:%d" % server.port))
            self.assertEqual(values(server.requests[0], b"host"), [b"[2001:db8::1]"])

    def test_it_counts_at_each_hop(self):
        with answering(lambda request: response(200, b"end") if values(request, b"host") == [b"b.example"]
                       else response(302, b"", b"Location: http://b.example/")) as server:
            rule = "::127.0.0.1:%d" % server.port
            self.assertEqual(run("-L", "--connect-to", rule, "http://a.example/").out, b"end")


class Outputs(unittest.TestCase):
    def test_a_readable_cacert_changes_nothing_for_http(self):
        with answering(lambda request: response(200, b"x")) as server:
            self.assertEqual(run("--cacert", "/dev/null", server.url).out, b"x")

    def test_who_closes_stdout_ends_it(self):
        def script(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.send(b"x" * 65536)

        with peer.Peer(script) as server:
            process = start(server.url)
            process.stdout.read(1)
            process.stdout.close()
            process.stdout = None
            ran = end(process)
            self.assertEqual((ran.report["error"], ran.report["os_error"]), ("QUOIT_ERR_CANCELED", "EPIPE"))
            self.assertNotEqual(ran.code, 0)

    def test_a_full_disk_is_told(self):
        with answering(lambda request: response(200, b"x")) as server, open("/dev/full", "wb") as full:
            ran = end(start(server.url, stdout=full))
            self.assertEqual((ran.report["error"], ran.report["os_error"]), ("QUOIT_ERR_CANCELED", "ENOSPC"))

    def test_closed_standard_descriptors_do_no_harm(self):
        with answering(lambda request: response(200, b"x" * 100000)) as server:
            for closed in ("0<&-", "1>&-", "0<&- 1>&-", "0<&- 1>&- 2>&-"):
                ran = subprocess.run(["/bin/sh", "-c", 'exec "$0" "$1" ' + closed, peer.PROGRAM, server.url],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=peer.LIMIT_S, check=False)
                if closed == "0<&-":
                    self.assertEqual((ran.returncode, len(ran.stdout)), (0, 100000))
                else:
                    self.assertNotEqual(ran.returncode, 0)
                    self.assertEqual(ran.stdout, b"")
                if "2" not in closed and closed != "0<&-":
                    self.assertEqual(report_of(ran.stderr)["os_error"], "EBADF")

    def test_one_output_may_be_read_to_its_end_before_the_other(self):
        fields = [b"F%d: %s" % (i, b"\x01".replace(b"\x01", b"\xff") * 150) for i in range(90)]
        with answering(lambda request: response(200, b"body", *fields)) as server:
            process = start(server.url)  # the report is longer than a pipe holds
            self.assertEqual(process.stdout.read(), b"body")
            self.assertEqual(len(end(process).report["headers"]), 91)


if __name__ == "__main__":
    peer.main(sys.modules["__main__"])
