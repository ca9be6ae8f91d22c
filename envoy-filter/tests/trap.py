#!/usr/bin/env python3
"""The cost of a trap in the filter: the request that meets it, and no others but those of the next 20 ms.

The filter has no known way to trap. Here one of its callbacks is replaced by the instruction `unreachable` in a copy
of the module, once for each callback. The rest is in parts.py.
"""

import http.client
import os
import pathlib
import tempfile
import unittest

from parts import CBOR, MESSAGE_CBOR, Envoy, Homeserver, answer, chunked, program, until, with_trailers

JSON_BODY = b'{"secret":"' + b"s" * 300_000 + b'"}'
SHORT = b'{"secret":"s"}'


# ---- the module (WebAssembly Core Specification, chapter 5) ------------------------------------------------


def leb128(data, at):
    """Returns (unsigned number, offset behind it)."""
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def to_leb128(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def sections(module):
    at = 8
    while at < len(module):
        size, start = leb128(module, at + 1)
        yield module[at], module[start : start + size]
        at = start + size


def skip_import(data, at):
    """Returns (whether it is a function, offset behind it)."""
    for _ in range(2):
        size, at = leb128(data, at)
        at += size
    assert data[at] == 0, "only functions are imported"
    return leb128(data, at + 1)[1]


def exported_function(data, name):
    count, at = leb128(data, 0)
    for _ in range(count):
        size, at = leb128(data, at)
        found, kind = data[at : at + size], data[at + size]
        index, at = leb128(data, at + size + 1)
        if (found, kind) == (name, 0):
            return index
    raise AssertionError(f"{name} is not exported")


# No locals, the instructions and `end`.
TRAPS, DOES_NOTHING = b"\x00\x00\x0b", b"\x00\x0b"


def with_body(module, name, body):
    """Returns the module with another body for an exported function."""
    parts = dict(sections(module))
    imports, at = leb128(parts[2], 0)
    for _ in range(imports):
        at = skip_import(parts[2], at)
    number = exported_function(parts[7], name.encode()) - imports
    count, at = leb128(parts[10], 0)
    code = to_leb128(count)
    for index in range(count):
        size, start = leb128(parts[10], at)
        kept = parts[10][start : start + size]
        code += to_leb128(len(body)) + body if index == number else to_leb128(size) + kept
        at = start + size
    out = module[:8]
    for kind, data in sections(module):
        data = code if kind == 10 else data
        out += bytes([kind]) + to_leb128(len(data)) + data
    return out


# ---- the tests ---------------------------------------------------------------------------------------------


class Trap(unittest.TestCase):
    """Each case: the callback that traps, and a request that reaches it."""

    PATH = "/_matrix/client/v3/x"
    edit = staticmethod(with_trailers)

    def envoy(self, callback):
        original = program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")
        module = pathlib.Path(original).read_bytes()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        trapping = f"{folder.name}/filter.wasm"
        pathlib.Path(trapping).write_bytes(with_body(module, callback, TRAPS))
        self.homeserver = Homeserver()
        envoy = Envoy(
            f"http://127.0.0.1:{self.homeserver.port}",
            edit=lambda text: self.edit(text).replace(os.path.abspath(original), trapping),
        )
        self.addCleanup(envoy.stop)
        self.assertIn(trapping, pathlib.Path(envoy.folder.name, "envoy.yaml").read_text())
        return envoy.ready()

    def request(self, envoy, method="GET", body=None, **fields):
        """Returns (status, content), or the exception with which the connection ended."""
        connection = http.client.HTTPConnection("127.0.0.1", envoy.public, timeout=30)
        self.addCleanup(connection.close)
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        try:
            connection.request(method, self.PATH, body=body, headers=fields)
            response = connection.getresponse()
            return response.status, response.read()
        except (http.client.HTTPException, ConnectionError) as error:
            return error, getattr(error, "partial", b"")

    def request_after_reload(self, envoy, **fields):
        """Returns the first answer of the new VM. Until the VM is there Envoy answers 503."""
        results = []

        def is_there():
            results.append(self.request(envoy, **fields))
            return results[-1][0] != 503

        until(is_there)
        return results[-1]

    def assert_trapped(self, result):
        status, content = result
        self.assertNotEqual(status, 200)
        self.assertNotIn(b'"secret', content, "the homeserver's JSON has reached a client that asked for CBOR")

    def test_a_trap_in_the_request_costs_that_request(self):
        envoy = self.envoy("proxy_on_request_body")
        for _ in range(3):
            self.assert_trapped(self.request(envoy, "POST", MESSAGE_CBOR, content_type=CBOR))
            self.assertEqual(self.homeserver.requests, [], "CBOR has reached the homeserver")
            self.assertEqual(self.request_after_reload(envoy, accept=CBOR), (200, b"\xa0"))
            self.homeserver.requests.clear()

    def test_a_trap_in_the_answers_body_costs_that_answer(self):
        envoy = self.envoy("proxy_on_response_body")
        for body in (SHORT, JSON_BODY):
            self.homeserver.answers[self.PATH] = answer(body)
            self.assert_trapped(self.request(envoy, accept=CBOR))
            self.homeserver.answers[self.PATH] = answer(b"", status="204 No Content", media_type=None, length=False)
            self.assertEqual(self.request_after_reload(envoy, accept=CBOR), (204, b""))

    def test_a_trap_at_the_trailers_costs_that_answer(self):
        envoy = self.envoy("proxy_on_response_trailers")
        trailers = chunked(SHORT, []).removesuffix(b"0\r\n\r\n") + b"0\r\nx-y: z\r\n\r\n"
        for _ in range(3):
            self.homeserver.answers[self.PATH] = trailers
            self.assert_trapped(self.request(envoy, accept=CBOR))
            self.homeserver.answers[self.PATH] = answer(SHORT)
            self.assertEqual(self.request_after_reload(envoy, accept=CBOR), (200, b"\xa1\x66secret\x61s"))

    def test_no_answer_passes_a_filter_that_traps_at_its_headers(self):
        envoy = self.envoy("proxy_on_response_headers")
        self.homeserver.answers[self.PATH] = answer(SHORT)
        for _ in range(3):
            self.assert_trapped(self.request(envoy, accept=CBOR))
            # The reload may or may not have happened; there is no answer either way.
            self.assert_trapped(self.request(envoy, accept=CBOR))


if __name__ == "__main__":
    unittest.main()
