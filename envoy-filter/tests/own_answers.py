#!/usr/bin/env python3
"""The answers of Envoy itself as clients see them: a Matrix error in their form, which browsers show to a page. Tests each way in
which Envoy answers, on both listeners of the project's envoy.yaml.

Needs curl for HTTP/2. The filter's own answers are in real_envoy.py as well.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import unittest

from parts import CBOR, JSON, Envoy, Homeserver, answer, decode, program, until
from trap import TRAPS, with_body

PATH, SILENT, HANGS_UP, BREAKS_OFF = (f"/_matrix/client/v3/{name}" for name in ("x", "silent", "hangs_up", "breaks_off"))
VERSIONS = "/_matrix/client/versions"
ORIGIN = {"origin": "https://app.example"}
# Above the limits that `narrow` sets, and below the filter's own.
LONG = 100_000
LONG_TEXT = b"\x7a" + LONG.to_bytes(4, "big") + b"x" * LONG


def replaced(text, changes):
    for old, new, count in changes:
        text, found = re.subn(old, new, text)
        assert found == count, (old, found)
    return text


def impatient(text):
    """Returns the configuration with times that a test can wait for. Who asks by it must not be in time for anything."""
    return replaced(text, (
        (r"(\s)idle_timeout: (1800|300)s", r"\1idle_timeout: 0.3s", 3),
        # Matched at the beginning of its line: the listener for Prometheus, a comment in the file, has one as
        # well.
        (r"(?m)^( +)request_headers_timeout: 10s", r"\1request_headers_timeout: 1s", 1),
    ))


def narrow(text):
    """Returns the configuration with limits that a test can reach; those of the filter stay."""
    return replaced(text, (
        (r"request_body_buffer_limit: (&\w+) \d+", r"request_body_buffer_limit: \1 65536", 2),
        (r"initial_stream_window_size: \d+", "initial_stream_window_size: 65536", 2),
        (r"per_connection_buffer_limit_bytes: \d+", "per_connection_buffer_limit_bytes: 16384", 2),
    ))


def with_routes(text):
    """Returns the configuration with routes that an operator adds to the public listener."""
    mark = "              # Media streams through unchanged, in any size"
    assert text.count(mark) == 1
    routes = """
              - match: { path: /_matrix/client/v3/written }
                direct_response: { status: 200, body: { inline_string: '{"a":1}' } }
              - match: { path: /_matrix/client/v3/nothing }
                direct_response: { status: 204 }
              - match: { path: /_matrix/client/v3/gone }
                direct_response: { status: 410, body: { inline_string: 'moved to elsewhere.example' } }
              - match: { path: /_matrix/client/v3/elsewhere }
                redirect: { host_redirect: elsewhere.example }
"""
    return text.replace(mark, routes.lstrip("\n") + mark)


# Enough memory is used for requests to be refused, and not yet connections.
PRESSURE = tempfile.NamedTemporaryFile()
PRESSURE.write(b"0.92")
PRESSURE.flush()


def without_places(text):
    text, count = re.subn(r"max_pending_requests: \d+", "max_pending_requests: 0", text)
    assert count == 2
    return text


def overloaded(text):
    """Envoy's own protection at work, as when memory has run out."""
    monitor = "envoy.resource_monitors.injected_resource"
    injected = f"""  - name: {monitor}
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig
      filename: {PRESSURE.name}
"""
    text, count = re.subn(r"  - name: envoy.resource_monitors.fixed_heap\n    typed_config:\n(?:      .*\n)+", injected, text)
    assert count == 1
    return text.replace("envoy.resource_monitors.fixed_heap", monitor).replace("refresh_interval: 0.25s", "refresh_interval: 0.01s")


class Homeservers(Homeserver):
    """A homeserver that also says nothing, hangs up, and breaks off."""

    def __init__(self):
        super().__init__()
        self.answers[SILENT] = b""
        self.answers[HANGS_UP] = b""
        self.answers[BREAKS_OFF] = answer(b'{"a":1}').replace(b"length: 7", b"length: 70")
        self.hang_up_after.update((HANGS_UP, BREAKS_OFF))
        self.answers[VERSIONS] = answer(b'{"versions":["%s"]}' % (b"x" * LONG))
        self.answers[PATH] = answer(b'"%s"' % (b"x" * LONG))


class Answer:
    def __init__(self, status, fields, content):
        self.status, self.content = status, content
        self.fields = fields

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name]

    def __repr__(self):
        return f"{self.status} {self.fields} {self.content[:200]}"


class Public:
    """HTTP/1.1 by hand, because some requests here are not valid."""

    def __init__(self, envoy):
        self.envoy = envoy

    def ask(self, method, path, fields, body=None):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.envoy.public, timeout=30)) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body=body, headers={**ORIGIN, **fields})
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())

    def raw(self, text):
        with socket.create_connection(("127.0.0.1", self.envoy.public), timeout=30) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(text.encode())
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.getheaders(), response.read())


class Sidecar:
    """HTTP/2 over the socket."""

    def __init__(self, envoy):
        self.envoy = envoy

    def ask(self, method, path, fields, body=None):
        given = [part for name, value in fields.items() for part in ("-H", f"{name}: {value}")]
        command = [
            "curl", "--silent", "--show-error", "--path-as-is", "--globoff", "--max-time", "30", "--include", "--http2-prior-knowledge", "--unix-socket",
            self.envoy.socket, "-X", method, *given, *(["--data-binary", "@-"] if body is not None else []), f"http://localhost{path}",
        ]
        output = subprocess.run(command, input=body or b"", stdout=subprocess.PIPE, check=True).stdout
        head, _, content = output.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        return Answer(int(status.split()[1]), [tuple(line.split(": ", 1)) for line in lines], content)


class OwnAnswers(unittest.TestCase):
    def envoy(self, edit=lambda text: text, homeserver=None):
        homeserver = homeserver or Homeservers()
        envoy = Envoy(f"http://127.0.0.1:{homeserver.port}", edit=edit)
        self.addCleanup(envoy.stop)
        self.addCleanup(lambda: self.assertNotIn("[critical]", envoy.read_log()))
        return envoy.ready()

    def assert_matrix_error(self, got, status, errcode, form):
        self.assertEqual((got.status, got.values("content-type")), (status, [form]), got)
        self.assertEqual((got.values("access-control-allow-origin"), got.values("vary")), (["*"], ["Accept"]), got)
        self.assertEqual(got.values("x-envoy-upstream-service-time"), [], "the sidecar would take it for the homeserver's")
        self.assertEqual(got.values("retry-after"), ["5"] if status == 503 else [], got)
        self.assertEqual(got.values("content-length"), [str(len(got.content))], got)
        if form == CBOR:
            value, end = decode(got.content)
            self.assertEqual(end, len(got.content))
            # Integer keys of version 1, which the filter writes for the sidecar.
            value = {{102: "errcode", 103: "error"}.get(key, key): inner for key, inner in value.items()}
        else:
            value = json.loads(got.content)
        self.assertEqual(sorted(value), ["errcode", "error"])
        self.assertEqual(value["errcode"], errcode)
        self.assertGreater(len(value["error"]), 10)

    def assert_each_form(self, envoy, status, errcode, method="GET", path=PATH, body=None, listeners=(Public, Sidecar), **fields):
        """Checks the answer for every client that asks for this, and for the page that has to ask first."""
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        for listener in [each(envoy) for each in listeners]:
            for accept, form in (({}, JSON), ({"accept": JSON}, JSON), ({"accept": "*/*"}, JSON), ({"accept": CBOR}, CBOR)):
                if body is not None and accept.get("accept") in (None, "*/*"):
                    # A request with a CBOR body is answered in CBOR.
                    form = CBOR
                with self.subTest(listener=type(listener).__name__, path=path, accept=accept):
                    self.assert_matrix_error(listener.ask(method, path, {**fields, **accept}, body), status, errcode, form)

    def assert_page_may_ask(self, envoy, path=PATH):
        asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
        for accept in ({}, {"accept": "*/*"}, {"accept": CBOR}):
            got = Public(envoy).ask("OPTIONS", path, {**asked, **accept})
            self.assertEqual((got.status, got.values("access-control-allow-origin")), (200, ["*"]), got)
            (methods,), (names,) = got.values("access-control-allow-methods"), got.values("access-control-allow-headers")
            self.assertLessEqual({"GET", "POST", "PUT", "DELETE"}, set(methods.split(", ")))
            self.assertIn("authorization", names.lower().split(", "))
        # Browsers do not send it like this.
        self.assertGreaterEqual(Public(envoy).ask("OPTIONS", path, {}).status, 400)

    def test_a_homeserver_that_is_away(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        away = type("Away", (), {"port": port})
        envoy = self.envoy(homeserver=away)
        self.assert_each_form(envoy, 503, "M_UNKNOWN")
        self.assert_each_form(envoy, 503, "M_UNKNOWN", "POST", body=b"\xa0", content_type=CBOR)
        self.assert_each_form(envoy, 503, "M_UNKNOWN", path="/.well-known/matrix/client")
        self.assert_page_may_ask(envoy)
        got = Public(envoy).ask("GET", "/_matrix/media/v3/download/a/b", {"accept": "image/png"})
        self.assert_matrix_error(got, 503, "M_UNKNOWN", JSON)
        got = Public(envoy).ask("HEAD", PATH, {})
        self.assertEqual((got.status, got.values("access-control-allow-origin"), got.content), (503, ["*"], b""))

    def test_a_homeserver_that_hangs_up_breaks_off_or_says_nothing(self):
        envoy = self.envoy(impatient)
        self.assert_each_form(envoy, 504, "M_UNKNOWN", path=SILENT)
        self.assert_page_may_ask(envoy, SILENT)
        envoy = self.envoy(narrow)
        self.assert_each_form(envoy, 503, "M_UNKNOWN", path=HANGS_UP)
        self.assert_page_may_ask(envoy, HANGS_UP)
        # A reader of JSON has the beginning by then, except of a document in which something is exchanged.
        for listener in (Public(envoy), Sidecar(envoy)):
            self.assert_matrix_error(listener.ask("GET", BREAKS_OFF, {"accept": CBOR}), 502, "M_UNKNOWN", CBOR)

    def test_limits_of_envoy(self):
        envoy = self.envoy(narrow)
        for listener in (Public(envoy), Sidecar(envoy)):
            for accept, form in (({}, CBOR), ({"accept": CBOR}, CBOR), ({"accept": JSON}, JSON)):
                got = listener.ask("POST", PATH, {"content-type": CBOR, **accept}, LONG_TEXT)
                self.assert_matrix_error(got, 413, "M_TOO_LARGE", form)
            self.assert_matrix_error(listener.ask("GET", PATH, {"accept": CBOR}), 500, "M_UNKNOWN", CBOR)
            for accept in (JSON, CBOR):
                self.assert_matrix_error(listener.ask("GET", VERSIONS, {"accept": accept}), 500, "M_UNKNOWN", accept)

    def test_requests_for_which_there_is_no_place(self):
        for edit, refused in ((without_places, (Public, Sidecar)), (overloaded, (Public,))):
            envoy = self.envoy(edit)
            self.assertTrue(until(lambda: Public(envoy).ask("GET", PATH, {}).status == 503))
            self.assert_each_form(envoy, 503, "M_UNKNOWN", listeners=refused)
            self.assert_page_may_ask(envoy)
        # Strangers have used up the memory, and the sidecar is served.
        self.assertEqual(Sidecar(envoy).ask("GET", "/_matrix/client/v3/y", {}).status, 200)

    def test_paths_that_are_not_served(self):
        envoy = self.envoy()
        for path in ("/", "/_synapse/admin/v1/x", "/_matrixx"):
            self.assert_each_form(envoy, 404, "M_UNRECOGNIZED", path=path)
        self.assert_page_may_ask(envoy, "/_synapse/admin/v1/x")

    def test_what_an_operator_has_written_into_a_route_and_what_is_no_error_stays(self):
        public = Public(self.envoy(with_routes))
        for accept in ({}, {"accept": JSON}, {"accept": CBOR}):
            for name, status, content in (
                ("written", 200, b'{"a":1}'),
                ("nothing", 204, b""),
                ("gone", 410, b"moved to elsewhere.example"),
                ("elsewhere", 301, b""),
            ):
                got = public.ask("GET", f"/_matrix/client/v3/{name}", accept)
                self.assertEqual((got.status, got.content), (status, content), got)
                self.assertEqual(got.values("location"), ["http://elsewhere.example/_matrix/client/v3/elsewhere"] if status == 301 else [])

    def test_requests_that_are_none(self):
        usual, slow = Public(self.envoy(narrow)), Public(self.envoy(impatient))
        long = "x" * 70_000
        for text, status, errcode in (
            ("GET /_matrix/client/v3/x HTTP/1.1\r\naccept: {accept}\r\n\r\n", 400, "M_UNKNOWN"),
            ("GET /_matrix/client/v3/x HTTP/1.0\r\naccept: {accept}\r\n\r\n", 426, "M_UNKNOWN"),
            ("GET /_matrix/client/v3/x HTTP/1.1\r\nhost\r\n\r\n", 400, "M_UNKNOWN"),
            ("GET /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nx: {long}\r\n\r\n", 431, "M_TOO_LARGE"),
            ("GET /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\naccept: {accept}\r\n\r\n", 501, "M_UNKNOWN"),
            ("GET /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", 403, "M_UNKNOWN"),
            ("GET /_matrix/client/v3/x#y HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n", 400, "M_UNKNOWN"),
            ("GET /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\n", 408, "M_UNKNOWN"),
        ):
            for accept in (JSON, CBOR):
                got = (slow if status == 408 else usual).raw(text.format(accept=accept, long=long))
                # Nothing is known of a client whose header fields cannot be read.
                form = got.values("content-type")[0]
                self.assertIn(form, (JSON, accept))
                self.assert_matrix_error(got, status, errcode, form)

    def test_a_trap_in_the_filter(self):
        module = program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")
        for callback in ("proxy_on_request_headers", "proxy_on_request_body", "proxy_on_response_headers", "proxy_on_response_body"):
            trapping = tempfile.NamedTemporaryFile(suffix=".wasm")
            self.addCleanup(trapping.close)
            trapping.write(with_body(pathlib.Path(module).read_bytes(), callback, TRAPS))
            trapping.flush()
            homeserver = Homeservers()
            homeserver.answers[PATH] = answer(b"{}")
            path = trapping.name

            def stays(text, path=path):
                # A reload would interfere: here the filter stays as it is after the trap.
                return text.replace(os.path.abspath(module), path).replace("FAIL_RELOAD", "FAIL_CLOSED")

            envoy = self.envoy(stays, homeserver)
            for accept in (CBOR, CBOR, JSON):
                with self.subTest(callback=callback, accept=accept):
                    got = Public(envoy).ask("POST", PATH, {"content-type": CBOR, "accept": accept}, b"\xa0")
                    self.assert_matrix_error(got, 503, "M_UNKNOWN", accept)
                    if callback != "proxy_on_request_body":
                        # The request has no body, since curl discards an early answer to a request with one.
                        got = Sidecar(envoy).ask("GET", PATH, {"accept": CBOR})
                        self.assert_matrix_error(got, 503, "M_UNKNOWN", CBOR)

    def test_what_the_filter_refuses_has_its_own_words(self):
        envoy_says = [b"The proxy does not take this request", b"The proxy has no whole answer of the homeserver"]
        homeserver = Homeservers()
        homeserver.answers[PATH] = answer(b"<html>")
        envoy = self.envoy(homeserver=homeserver)
        for listener in (Public(envoy), Sidecar(envoy)):
            for accept in (JSON, CBOR):
                got = listener.ask("POST", PATH, {"content-type": CBOR, "accept": accept}, b"\xff")
                self.assert_matrix_error(got, 400, "M_NOT_JSON", accept)
                self.assertIn(b"byte 0", got.content)
            got = listener.ask("GET", PATH, {"accept": CBOR})
            self.assert_matrix_error(got, 502, "M_UNKNOWN", CBOR)
            self.assertIn(b"byte 0", got.content)
            self.assertFalse([text for text in envoy_says if text in got.content])

    def test_what_the_homeserver_says_stays_as_it_is(self):
        homeserver = Homeservers()
        envoy = self.envoy(homeserver=homeserver)
        for status in ("200 OK", "404 Not Found", "413 Too Large", "429 Too Many", "500 Oh", "502 Bad", "503 Away", "504 Slow"):
            for media_type in ("text/html", JSON):
                body = b'{"errcode": "M_X"}'
                homeserver.answers[PATH] = answer(body, "access-control-allow-origin: https://one", "x-y: z", status=status, media_type=media_type)
                for method, fields in (("GET", {}), ("GET", {"accept": JSON}), ("OPTIONS", {"access-control-request-method": "GET"})):
                    got = Public(envoy).ask(method, PATH, fields)
                    self.assertEqual((got.status, got.content), (int(status[:3]), body))
                    for name, values in (("content-type", [media_type]), ("access-control-allow-origin", ["https://one"]), ("retry-after", [])):
                        self.assertEqual(got.values(name), values, got)

    def test_a_client_that_would_rather_have_json_gets_it(self):
        envoy = self.envoy(narrow)
        for accept, form in (
            ("application/json, application/cbor;q=0.5", JSON),
            ("application/cbor;q=0", JSON),
            ("application/cbor;q=0.0, */*", JSON),
            ("application/json;q=0.5, application/cbor", CBOR),
            ("Application/CBOR; q=0.9", CBOR),
            ("text/html, application/cbor", CBOR),
        ):
            for path, status, errcode in ((HANGS_UP, 503, "M_UNKNOWN"), ("/", 404, "M_UNRECOGNIZED"), (VERSIONS, 500, "M_UNKNOWN")):
                with self.subTest(accept=accept, path=path):
                    self.assert_matrix_error(Public(envoy).ask("GET", path, {"accept": accept}), status, errcode, form)


if __name__ == "__main__":
    unittest.main()
