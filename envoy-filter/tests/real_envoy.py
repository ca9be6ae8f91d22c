#!/usr/bin/env python3
"""The filter inside a real Envoy with the project's envoy.yaml, between raw sockets on both sides.

The homeserver here is a stub that reads its connections by the letter of HTTP/1.1 and keeps what it read, so that a wrong
length shows up as a request that nobody sent. LOWBAND_ENVOY and LOWBAND_WASM name the two programs; what is not set is
taken from where the Makefile puts it. Needs curl for HTTP/2.
"""

import contextlib
import dataclasses
import glob
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CBOR, JSON = "application/cbor", "application/json"
# {"msgtype": "m.text", "n": 30000.0} with the integer key 24 of version 1, and its float as the reference sends it.
MESSAGE_CBOR = bytes.fromhex("a2181c666d2e74657874616ef97753")
MESSAGE_JSON = b'{"msgtype":"m.text","n":30000}'


def decode(data, at=0):
    """(value, next offset) of the CBOR that the filter writes; integer keys stay integers."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info == 31:
        return indefinite(data, at, major)
    if major == 7:
        return {20: False, 21: True, 22: None}[info], at
    if info >= 24:
        size = 1 << (info - 24)
        info, at = int.from_bytes(data[at : at + size], "big"), at + size
    if major == 0:
        return info, at
    if major == 1:
        return -1 - info, at
    if major == 3:
        return data[at : at + info].decode(), at + info
    items = []
    for _ in range(info * (major - 3)):
        value, at = decode(data, at)
        items.append(value)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at


def indefinite(data, at, major):
    """What a stream holds: the items up to the break (RFC 8949 section 3.2)."""
    items = []
    while data[at] != 0xFF:
        value, at = decode(data, at)
        items.append(value)
    if major == 3:
        return "".join(items), at + 1
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at + 1


# ---- the homeserver ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: dict
    body: bytes


class Homeserver:
    """Answers each path with the raw bytes that stand in `answers`, else with the JSON `{}`."""

    def __init__(self, tls=None):
        self.tls = tls
        self.answers, self.requests = {}, []
        # Paths after whose answer the connection ends, whether the answer is complete or not.
        self.hang_up_after = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(ConnectionError, ssl.SSLError))
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            stack.enter_context(connection)
            stream = stack.enter_context(connection.makefile("rb"))
            while line := stream.readline():
                method, path, _ = line.decode("latin-1").split(" ", 2)
                headers = {}
                while (line := stream.readline()) != b"\r\n":
                    name, value = line.decode("latin-1").rstrip("\r\n").split(": ", 1)
                    headers[name.lower()] = value
                if headers.get("transfer-encoding") == "chunked":
                    body = b""
                    while size := int(stream.readline(), 16):
                        body += stream.read(size)
                        stream.readline()
                    while stream.readline() != b"\r\n":
                        pass
                else:
                    body = stream.read(int(headers.get("content-length", 0)))
                self.requests.append(Request(method, path, headers, body))
                connection.sendall(self.answers.get(path.split("?")[0], answer(b"{}")))
                if path in self.hang_up_after:
                    return


def answer(body, *fields, status="200 OK", media_type=JSON, length=True):
    lines = [f"HTTP/1.1 {status}", *([f"content-type: {media_type}"] if media_type else []), *fields]
    if length:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(body, sizes):
    """An answer of unknown length, in pieces of these sizes and the rest."""
    data = answer(b"", "transfer-encoding: chunked", length=False)
    pieces, at = [], 0
    for size in [*sizes, len(body)]:
        pieces.append(body[at : at + size])
        at += size
    return data + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


# ---- Envoy ------------------------------------------------------------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def program(variable, pattern, target):
    found = os.environ.get(variable) or next(iter(glob.glob(str(ROOT / pattern))), None)
    if not found or not os.path.exists(found):
        sys.exit(f"{found or pattern} is not there: `make {target}`, or name another one in {variable}")
    return os.path.abspath(found)


def certificate(folder):
    """Makes certificate.pem and key.pem for the name localhost."""
    openssl = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run([*openssl.split(), *names], cwd=folder, check=True, stderr=subprocess.DEVNULL)


class Envoy:
    """One Envoy with the project's configuration in a folder of its own."""

    def __init__(self, homeserver, *arguments, edit=lambda text: text):
        self.folder = tempfile.TemporaryDirectory()
        self.public, self.admin = free_port(), free_port()
        self.socket = f"{self.folder.name}/envoy.sock"
        certificate(self.folder.name)
        rendered = subprocess.run(
            [
                sys.executable, ROOT / "envoy-filter/render-envoy.py", "--public-port", str(self.public),
                "--public-address", "127.0.0.1", "--admin-port", str(self.admin), "--dir", self.folder.name,
                "--wasm", program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter"),
                "--homeserver", homeserver, *arguments,
            ],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        configuration = pathlib.Path(self.folder.name, "envoy.yaml")
        configuration.write_text(edit(rendered))
        self.log = open(f"{self.folder.name}/envoy.log", "w+")
        binary = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "-c", str(configuration), "--disable-hot-restart", "--log-level", "warn", "--concurrency", "1",
             "--file-flush-interval-msec", "50"],
            stdout=self.log, stderr=subprocess.STDOUT,
        )

    def ready(self):
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.admin, timeout=1)) as connection:
                    connection.request("GET", "/ready")
                    if connection.getresponse().status == 200:
                        return self
            time.sleep(0.05)
        raise AssertionError(f"Envoy does not serve:\n{self.read_log()}")

    def read_log(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
        self.folder.cleanup()


def with_trailers(text):
    """The configuration with trailers from the homeserver, which Envoy drops over HTTP/1 unless it is told not to."""
    return text.replace("explicit_http_config: { http_protocol_options: {} }", "explicit_http_config: { http_protocol_options: { enable_trailers: true } }")


class Case(unittest.TestCase):
    edit = staticmethod(lambda text: text)

    @classmethod
    def setUpClass(cls):
        cls.homeserver = Homeserver()
        cls.envoy = Envoy(f"http://127.0.0.1:{cls.homeserver.port}", edit=cls.edit)
        cls.addClassCleanup(cls.envoy.stop)
        cls.envoy.ready()

    def setUp(self):
        self.homeserver.requests.clear()
        self.homeserver.answers.clear()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.envoy.public, timeout=30)
        self.addCleanup(self.connection.close)

    def tearDown(self):
        self.assertNotIn("[critical]", self.envoy.read_log())

    def request(self, method="POST", path="/_matrix/client/v3/x", body=None, **headers):
        """On the test's own connection, which stays open; an iterable body goes chunked."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body=body, headers=fields, encode_chunked=body is not None and not isinstance(body, bytes))
        response = self.connection.getresponse()
        response.content = response.read()
        return response

    def assert_matrix_error(self, response, status, errcode, form=CBOR):
        self.assertEqual((response.status, response.getheader("content-type")), (status, form))
        if form == CBOR:
            value, end = decode(response.content)
            self.assertEqual(end, len(response.content))
        else:
            value = json.loads(response.content)
        self.assertEqual(sorted(value), ["errcode", "error"])
        self.assertEqual(value["errcode"], errcode)
        return value["error"]

    def assert_next_request_is_served(self):
        """On the same connection, if the server has left it open: nothing of the last exchange is left in it."""
        self.homeserver.requests.clear()
        response = self.request("GET", "/_matrix/client/v3/next")
        self.assertEqual((response.status, response.content), (200, b"{}"))
        self.assertEqual([(r.method, r.path, r.body) for r in self.homeserver.requests], [("GET", "/_matrix/client/v3/next", b"")])


class Requests(Case):
    def test_a_cbor_body_arrives_as_json_with_its_own_length(self):
        response = self.request(body=MESSAGE_CBOR, content_type="Application/CBOR; x=1", content_digest="sha-256=:AA==:")
        self.assertEqual((response.status, response.getheader("content-type"), response.content), (200, CBOR, b"\xa0"))
        (got,) = self.homeserver.requests
        self.assertEqual((got.body, got.headers["content-type"]), (MESSAGE_JSON, JSON))
        self.assertEqual(got.headers["content-length"], str(len(MESSAGE_JSON)))
        self.assertEqual(got.headers["accept"], JSON)
        self.assertNotIn("content-digest", got.headers)
        self.assert_next_request_is_served()

    def test_a_body_in_pieces_is_one_body(self):
        self.request(body=iter([MESSAGE_CBOR[:1], MESSAGE_CBOR[1:9], MESSAGE_CBOR[9:]]), content_type=CBOR)
        self.assertEqual([r.body for r in self.homeserver.requests], [MESSAGE_JSON])

    def test_a_json_body_passes_as_it_is_and_is_answered_in_json(self):
        body = b'{ "not": "touched" }'
        response = self.request(body=body, content_type=JSON, accept_encoding="gzip")
        self.assertEqual((response.getheader("content-type"), response.content), (JSON, b"{}"))
        (got,) = self.homeserver.requests
        self.assertEqual((got.body, got.headers["accept-encoding"]), (body, "gzip"))

    def test_malformed_cbor_is_answered_before_the_homeserver_sees_anything(self):
        for body, offset in ((b"\xa1\x61", 2), (b"\xff", 0), (b"\xa0\xa0", 1), (b"\xa1\x61a\x42xx", 3)):
            response = self.request(body=body, content_type=CBOR)
            self.assertIn(f"byte {offset}", self.assert_matrix_error(response, 400, "M_NOT_JSON"))
            self.assertEqual(self.homeserver.requests, [])
        self.assert_next_request_is_served()

    def test_errors_come_in_json_for_who_asked_for_json(self):
        response = self.request(body=b"\xff", content_type=CBOR, accept=JSON)
        self.assert_matrix_error(response, 400, "M_NOT_JSON", JSON)
        self.assertEqual(response.getheader("vary"), "Accept")
        self.assertEqual(response.getheader("access-control-allow-origin"), "*")

    def test_a_body_above_the_limit_is_refused_whether_its_length_is_told_or_not(self):
        text = b"\x7a" + (9 << 20).to_bytes(4, "big") + b"x" * (9 << 20)
        with contextlib.suppress(ConnectionError):
            self.assert_matrix_error(self.request(body=text, content_type=CBOR), 413, "M_TOO_LARGE")
        self.connection.close()
        pieces = iter([text[at : at + 65536] for at in range(0, len(text), 65536)])
        with contextlib.suppress(ConnectionError):
            self.assert_matrix_error(self.request(body=pieces, content_type=CBOR), 413, "M_TOO_LARGE")
        self.connection.close()
        self.assertEqual(self.homeserver.requests, [])
        self.assert_next_request_is_served()

    def test_the_longest_body_passes(self):
        size = (8 << 20) - 5
        text = b"\x7a" + (size - 2).to_bytes(4, "big") + b"x" * (size - 2)
        response = self.request(body=text, content_type=CBOR)
        self.assertEqual(response.status, 200)
        self.assertEqual(len(self.homeserver.requests[0].body), size)

    def test_json_that_outgrows_the_limit_is_too_large(self):
        body = b"\x7a" + (2 << 20).to_bytes(4, "big") + b"\0" * (2 << 20)
        self.assert_matrix_error(self.request(body=body, content_type=CBOR), 413, "M_TOO_LARGE")
        self.assertEqual(self.homeserver.requests, [])

    def test_an_empty_body_stays_empty(self):
        response = self.request(body=b"", content_type=CBOR)
        self.assertEqual((response.status, response.content), (200, b"\xa0"))
        response = self.request(body=iter([]), content_type=CBOR)
        self.assertEqual((response.status, response.content), (200, b"\xa0"))
        self.assertEqual([(r.headers["content-type"], r.body) for r in self.homeserver.requests], [(JSON, b"")] * 2)
        self.assert_next_request_is_served()

    def test_a_compressed_cbor_body_is_refused(self):
        response = self.request(body=b"\x1f\x8b", content_type=CBOR, content_encoding="gzip")
        self.assert_matrix_error(response, 415, "M_UNKNOWN")
        self.assertEqual(self.homeserver.requests, [])

    def test_a_body_that_looks_like_a_request_stays_a_body(self):
        smuggled = b"GET /_matrix/client/v3/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
        self.request(body=b"\x78" + bytes([len(smuggled)]) + smuggled, content_type=CBOR)
        self.assertEqual(len(self.homeserver.requests), 1)
        self.assert_next_request_is_served()

    def test_header_values_that_are_no_utf_8_pass(self):
        response = self.request(body=MESSAGE_CBOR, content_type=CBOR, x_odd=b"\xff\xfe\x80", accept=b"\xff, application/cbor")
        self.assertEqual((response.status, response.content), (200, b"\xa0"))
        self.assertEqual(self.homeserver.requests[0].headers["x-odd"], "\xff\xfe\x80")

    def test_what_the_sidecar_says_is_removed_from_strangers(self):
        self.homeserver.answers["/_matrix/client/v3/x"] = answer(b'{"msgtype":1}')
        response = self.request(body=b"\xa0", content_type=CBOR, lowband_cbor_version="1", Lowband_Other="x", x_forwarded_for="192.0.2.7")
        self.assertEqual(decode(response.content)[0], {"msgtype": 1})
        self.assertEqual([n for n in self.homeserver.requests[0].headers if n.startswith("lowband")], [])
        self.assertEqual(self.homeserver.requests[0].headers["x-forwarded-for"], "127.0.0.1", "nothing a client says")

    def test_strangers_cannot_steer_envoy(self):
        # Obeyed, the first one would end the request, and the second would send it again.
        self.homeserver.answers["/_matrix/client/v3/x"] = answer(b"{}", status="500 Internal Server Error")
        response = self.request("GET", x_envoy_upstream_rq_timeout_ms="1", x_envoy_retry_on="5xx", x_envoy_max_retries="3")
        self.assertEqual((response.status, len(self.homeserver.requests)), (500, 1))
        self.assertEqual([n for n in self.homeserver.requests[0].headers if n.startswith("x-envoy")], [])

    def test_integer_keys_come_to_who_sends_them(self):
        self.homeserver.answers["/_matrix/client/v3/x"] = answer(b'{"msgtype":1}')
        self.assertEqual(decode(self.request(body=MESSAGE_CBOR, content_type=CBOR).content)[0], {28: 1})

    def test_paths_arrive_as_they_were_written(self):
        path = "/_matrix/client/v3/a/%2E%2E/b/../c%2Fd//e%7e/?b=2&a&b=1"
        self.request("GET", path)
        self.assertEqual(self.homeserver.requests[0].path, path)

    def test_media_is_not_looked_into(self):
        for path in ("/_matrix/media/v3/upload", "/_matrix/client/v1/media/upload"):
            file = b"\xff" * (20 << 20)
            self.homeserver.answers[path] = answer(b'{"content_uri":"mxc://a/b"}')
            response = self.request(path=path, body=file, content_type=CBOR, accept=CBOR)
            self.assertEqual((response.status, response.content), (200, b'{"content_uri":"mxc://a/b"}'))
            self.assertEqual(self.homeserver.requests[-1].body, file)
            self.assertEqual(self.homeserver.requests[-1].headers["content-type"], CBOR)


class Answers(Case):
    PATH = "/_matrix/client/v3/x"

    def get(self, raw, method="GET", accept=CBOR, **headers):
        self.homeserver.answers[self.PATH] = raw
        return self.request(method, accept=accept, **headers)

    def test_json_becomes_cbor_for_who_asks_for_it(self):
        response = self.get(answer(b'{"msgtype": "m.text"}', "vary: Origin", "etag: kept"), accept_encoding="gzip")
        self.assertEqual((response.status, response.getheader("content-type")), (200, CBOR))
        self.assertEqual(response.content, b"\xa1\x67msgtype\x66m.text")
        self.assertEqual(response.getheader("content-length"), str(len(response.content)))
        self.assertEqual((response.getheader("vary"), response.getheader("etag")), ("Origin, Accept", "kept"))
        self.assertNotIn("accept-encoding", self.homeserver.requests[0].headers)
        self.assert_next_request_is_served()

    def test_json_stays_json_byte_for_byte_and_says_that_it_depends(self):
        body = b'{ "a" : 1.0 }'
        response = self.get(answer(body), accept="*/*")
        self.assertEqual((response.content, response.getheader("vary")), (body, "Accept"))

    def test_a_status_stays(self):
        response = self.get(answer(b'{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":5}', "retry-after: 1", status="429 Too Many Requests"))
        self.assertEqual((response.status, response.getheader("retry-after")), (429, "1"))
        self.assertEqual(decode(response.content)[0], {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 5})

    def test_an_answer_in_pieces_is_one_answer(self):
        response = self.get(chunked(b'{"text":"' + b"y" * 70000 + b'"}', [1, 3, 8, 4096]))
        self.assertEqual(decode(response.content)[0], {"text": "y" * 70000})
        self.assertEqual(response.getheader("content-length"), str(len(response.content)))

    def test_what_is_no_json_passes_untouched(self):
        for raw, body in (
            (answer(b"\x89PNG{", media_type="image/png"), b"\x89PNG{"),
            (answer(b"{}", media_type=None), b"{}"),
            (answer(b"\x1f\x8b", "content-encoding: gzip"), b"\x1f\x8b"),
            (answer(b'{"a":', "content-range: bytes 0-4/9", status="206 Partial Content"), b'{"a":'),
        ):
            response = self.get(raw)
            self.assertEqual((response.content, response.getheader("content-length")), (body, str(len(body))))

    def test_messages_without_a_body_pass(self):
        for raw, method, status in (
            (answer(b"", status="204 No Content", media_type=None, length=False), "GET", 204),
            (answer(b"", "content-length: 21", status="304 Not Modified", length=False), "GET", 304),
            (answer(b""), "GET", 200),
            (chunked(b"", []), "GET", 200),
            (answer(b"", status="204 No Content", media_type=None, length=False), "OPTIONS", 204),
        ):
            response = self.get(raw, method)
            self.assertEqual((response.status, response.content), (status, b""))
            self.assertNotEqual(response.getheader("content-length"), "21", "the length of the JSON")
            self.assert_next_request_is_served()

    def test_head_tells_what_get_would_send_but_for_the_length(self):
        response = self.get(answer(b"", "content-length: 21", length=False), "HEAD")
        self.assertEqual((response.status, response.content, response.getheader("content-type")), (200, b"", CBOR))
        self.assertNotEqual(response.getheader("content-length"), "21")
        self.assert_next_request_is_served()

    def test_broken_json_is_the_homeservers_fault(self):
        for body in (b'{"a":', b"{}{}", b"\xff", b"<html>"):
            response = self.get(answer(body))
            self.assertIn("byte", self.assert_matrix_error(response, 502, "M_UNKNOWN"))
            self.assert_next_request_is_served()

    def test_an_answer_that_breaks_off_is_not_finished(self):
        self.homeserver.hang_up_after.add(self.PATH)
        self.addCleanup(self.homeserver.hang_up_after.clear)
        for raw in (answer(b'{"a":1}').replace(b"length: 7", b"length: 70"), chunked(b"x", []).replace(b"0\r\n\r\n", b"")):
            # Envoy's own answer: the headers have not left.
            response = self.get(raw)
            self.assertEqual((response.status, response.getheader("content-type")), (502, "text/plain"))
            self.assert_next_request_is_served()

    def test_unknown_paths_get_a_matrix_error_and_never_reach_the_homeserver(self):
        self.assert_matrix_error(self.request("GET", "/_synapse/admin/v1/x"), 404, "M_UNRECOGNIZED", JSON)
        self.assert_matrix_error(self.request("GET", "/_synapse/admin/v1/x", accept=CBOR), 404, "M_UNRECOGNIZED")
        self.assertEqual(self.homeserver.requests, [])
        self.assert_next_request_is_served()


class Http2(Case):
    """By curl: over the socket of the sidecar, and over TLS and plain text on the public port."""

    def curl(self, *arguments, body=b""):
        command = ["curl", "--silent", "--show-error", "--max-time", "30", "--include", *arguments]
        output = subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True).stdout
        head, _, content = output.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        return status.split()[:2], dict(field.lower().split(": ", 1) for field in fields), content

    def post(self, *arguments, body):
        return self.curl(*arguments, "--data-binary", "@-", "-H", f"content-type: {CBOR}", body=body)

    def ways(self):
        yield ["--http2-prior-knowledge", "--unix-socket", self.envoy.socket, "http://localhost/_matrix/client/v3/x"]
        yield ["--http2-prior-knowledge", f"http://127.0.0.1:{self.envoy.public}/_matrix/client/v3/x"]
        yield ["--http2", "-k", f"https://127.0.0.1:{self.envoy.public}/_matrix/client/v3/x"]

    def test_bodies_are_translated_both_ways(self):
        for way in self.ways():
            self.homeserver.requests.clear()
            status, fields, content = self.post(*way, body=MESSAGE_CBOR)
            self.assertEqual((status, fields["content-type"], content), (["HTTP/2", "200"], CBOR, b"\xa0"))
            self.assertEqual([r.body for r in self.homeserver.requests], [MESSAGE_JSON])

    def test_an_error_leaves_the_connection_open(self):
        # Over TLS: curl 7.88 cannot use a connection of prior knowledge twice.
        *_, way = self.ways()
        first = [*way, "--data-binary", "@-", "-H", f"content-type: {CBOR}"]
        _, _, content = self.curl(*first, "--next", "--silent", "-k", "--write-out", " %{num_connects}", *way, body=b"\xff")
        self.assertTrue(content.endswith(b"{} 0"), content)
        self.assertEqual([r.method for r in self.homeserver.requests], ["GET"])

    def test_a_large_answer_passes(self):
        self.homeserver.answers["/_matrix/client/v3/x"] = answer(b'"' + b"x" * (20 << 20) + b'"')
        for way in self.ways():
            status, _, content = self.curl(*way, "-H", f"accept: {CBOR}")
            self.assertEqual((status[1], decode(content)), ("200", ("x" * (20 << 20), len(content))))

    def test_the_sidecar_is_believed(self):
        self.homeserver.answers["/_matrix/client/v3/x"] = answer(b'{"msgtype":1}')
        way = next(self.ways())
        for version, keys in (("0", ["msgtype"]), ("1", [28]), ("7", [28]), ("x", [28])):
            fields = ("-H", f"lowband-cbor-version: {version}", "-H", f"accept: {CBOR}", "-H", "x-forwarded-for: 192.0.2.7")
            _, _, content = self.curl(*way, *fields)
            self.assertEqual(list(decode(content)[0]), keys)
            got = self.homeserver.requests[-1].headers
            self.assertEqual((got["x-forwarded-for"], "lowband-cbor-version" in got), ("192.0.2.7", False))

    def test_the_socket_is_for_its_owner_alone(self):
        self.assertEqual(os.stat(self.envoy.socket).st_mode & 0o777, 0o600)


class Log(Case):
    def test_a_request_line_shows_no_query(self):
        self.request("GET", "/_matrix/client/v3/sync?access_token=secret")
        deadline = time.monotonic() + 10
        while "/_matrix/client/v3/sync" not in self.envoy.read_log() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertRegex(self.envoy.read_log(), r"(?m) public-plain GET /_matrix/client/v3/sync 200 in=0 out=2 request=- response=- ms=\d+ via_upstream$")
        self.assertNotIn("secret", self.envoy.read_log())


class HomeserverBehindTls(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        certificate(folder.name)
        self.authority = f"{folder.name}/certificate.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority, f"{folder.name}/key.pem")
        context.sni_callback = lambda connection, name, _: self.names.append(name)
        self.names = []
        self.homeserver = Homeserver(context)

    def status(self, host, *arguments):
        envoy = Envoy(f"https://{host}:{self.homeserver.port}", *arguments)
        self.addCleanup(envoy.stop)
        envoy.ready()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", envoy.public, timeout=30)) as connection:
            connection.request("GET", "/_matrix/client/versions")
            return connection.getresponse().status

    def test_it_is_asked_by_its_name_once_its_certificate_is_verified(self):
        self.assertEqual(self.status("localhost", "--ca-file", self.authority), 200)
        self.assertEqual(self.homeserver.requests[0].headers["host"], f"localhost:{self.homeserver.port}")
        self.assertEqual(self.names, ["localhost"])

    def test_it_is_not_asked_when_nobody_vouches_for_it(self):
        self.assertEqual(self.status("localhost"), 503)
        self.assertEqual(self.homeserver.requests, [])

    def test_it_is_not_asked_when_its_certificate_is_for_another_name(self):
        self.assertEqual(self.status("127.0.0.1", "--ca-file", self.authority), 503)
        self.assertEqual((self.homeserver.requests, self.names), ([], [None]))


class Configuration(unittest.TestCase):
    def envoy(self, configuration):
        def edit(text):
            text, count = re.subn(r'\{"trusted": false, .*\}(?=\'$)', configuration, text, flags=re.MULTILINE)
            self.assertEqual(count, 1)
            return text

        envoy = Envoy("http://127.0.0.1:1", edit=edit)
        self.addCleanup(envoy.stop)
        return envoy

    def test_envoy_does_not_start_with_mistakes_and_tells_them_all(self):
        envoy = self.envoy('{"trusted": "yes", "advertise": 1, "max_depth": 0}')
        self.assertNotEqual(envoy.process.wait(60), 0)
        for field in ("trusted", "advertise", "max_depth"):
            self.assertRegex(envoy.read_log(), rf"lowband: configuration: {field}: ")

    def test_no_text_is_the_defaults_and_nothing_is_warned_of(self):
        self.assertNotRegex(self.envoy("").ready().read_log(), r"\[(warning|error|critical)\]")


if __name__ == "__main__":
    unittest.main()
