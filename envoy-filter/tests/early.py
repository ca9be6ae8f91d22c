#!/usr/bin/env python3
"""The filter with `hold_headers: false`, in an Envoy without `allow_on_headers_stop_iteration`: as a WasmPlugin of Istio or an
EnvoyExtensionPolicy of Envoy Gateway sets it up.

Repeats the tests of real_envoy.py and streaming.py, except for the intended differences. Also tests an Envoy that lacks both
settings.
"""

import http.client
import json
import re
import socket
import unittest

import real_envoy
import streaming
import trap
from parts import CBOR, JSON, MESSAGE_CBOR, MESSAGE_JSON, Case, answer, chunked, decode, until, with_trailers


def without_the_flag(text):
    text, count = re.subn(r"\n *allow_on_headers_stop_iteration: true", "", text)
    assert count == 2, count
    return text


def early(text):
    text, count = re.subn(r"(?<=value: '\{)", '"hold_headers": false, ', without_the_flag(text))
    assert count == 2, count
    return text


class Requests(real_envoy.Requests):
    edit = staticmethod(early)

    def test_a_cbor_body_arrives_as_json_with_its_own_length(self):
        """The body arrives without a length: when it is known, the header fields have left."""
        for body in (MESSAGE_CBOR, iter([MESSAGE_CBOR])):
            response = self.request(body=body, content_type="Application/CBOR; x=1", content_digest="sha-256=:AA==:")
            self.assertEqual((response.status, response.getheader("content-type"), response.content), (200, CBOR, b"\xa0"))
            got = self.homeserver.requests.pop()
            self.assertEqual((got.body, got.headers["content-type"], got.headers["accept"]), (MESSAGE_JSON, JSON, JSON))
            self.assertEqual((got.headers.get("content-length"), got.headers["transfer-encoding"]), (None, "chunked"))
            self.assertNotIn("content-digest", got.headers)
        self.assert_next_request_is_served()

    def begin(self, body):
        """Sends a CBOR request of which the homeserver has the header fields and the filter has these bytes of the body."""
        begun, broken = len(self.homeserver.begun), self.homeserver.broken
        connection = socket.create_connection(("127.0.0.1", self.envoy.public), timeout=30)
        self.addCleanup(connection.close)
        fields = f"POST /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\ncontent-type: {CBOR}\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(fields.encode() + b"%x\r\n%s\r\n" % (len(body), body))
        self.assertTrue(until(lambda: len(self.homeserver.begun) > begun))
        return connection, broken

    def test_a_request_that_turns_out_to_be_broken_breaks_off_at_the_homeserver(self):
        for first, rest, status, errcode in (
            (b"\xa1\x61", b"\xff", 400, "M_NOT_JSON"),
            (MESSAGE_CBOR, b"\xa0", 400, "M_NOT_JSON"),
            (b"\x7a\x01", b"x" * (8 << 20), 413, "M_TOO_LARGE"),
        ):
            connection, broken = self.begin(first)
            try:
                connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(rest), rest))
            except ConnectionError:
                pass
            response = http.client.HTTPResponse(connection)
            response.begin()
            response.content = response.read()
            self.assert_matrix_error(response, status, errcode)
            self.assertTrue(until(lambda: self.homeserver.broken > broken), "the homeserver waits for more")
        self.assertEqual(self.homeserver.requests, [])
        self.assert_next_request_is_served()

    def test_a_client_that_goes_away_leaves_no_whole_request_behind(self):
        connection, broken = self.begin(MESSAGE_CBOR)
        connection.close()
        self.assertTrue(until(lambda: self.homeserver.broken > broken))
        self.assertEqual(self.homeserver.requests, [])

    def test_what_is_refused_at_its_header_fields_never_begins_at_the_homeserver(self):
        begun = len(self.homeserver.begun)
        for fields, status, errcode in (
            ({"content_encoding": "gzip"}, 415, "M_UNKNOWN"),
            ({"content_length": str(9 << 20)}, 413, "M_TOO_LARGE"),
        ):
            response = self.request(body=b"\xa0", content_type=CBOR, **fields)
            self.assert_matrix_error(response, status, errcode)
            self.connection.close()
        self.assertEqual(len(self.homeserver.begun), begun)

    def test_an_answer_may_come_before_the_end_of_the_request(self):
        self.homeserver.hasty.add("/_matrix/client/v3/x")
        self.addCleanup(self.homeserver.hasty.clear)
        self.homeserver.answers["/_matrix/client/v3/x"] = answer(b'{"errcode":"M_MISSING_TOKEN"}', status="401 Unauthorized")
        connection, _ = self.begin(MESSAGE_CBOR[:3])
        response = http.client.HTTPResponse(connection)
        response.begin()
        self.assertEqual((response.status, response.getheader("content-type")), (401, CBOR))
        self.assertEqual(decode(response.read())[0], {"errcode": "M_MISSING_TOKEN"})
        # Half an answer has left, and then the request turns out to be broken.
        self.homeserver.answers["/_matrix/client/v3/x"] = chunked(b'{"errcode":"M_MISSING_TOKEN"}', [5]).removesuffix(b"0\r\n\r\n")
        connection, _ = self.begin(MESSAGE_CBOR[:3])
        response = http.client.HTTPResponse(connection)
        response.begin()
        self.assertEqual(response.status, 200)
        connection.sendall(b"1\r\n\xff\r\n0\r\n\r\n")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)) as caught:
            response.read()
        self.assertNotIn(b'"', getattr(caught.exception, "partial", b""))
        self.assert_next_request_is_served()

    def test_bodies_that_hold_requests_stay_bodies_whatever_length_is_told(self):
        smuggled = b"GET /_matrix/client/v3/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
        # One byte of CBOR for each six bytes of JSON, and the other way round.
        for text in (smuggled, b"\x01" * 100 + smuggled, smuggled * 400):
            self.homeserver.requests.clear()
            body = b"\x7a" + len(text).to_bytes(4, "big") + text
            self.assertEqual(self.request(body=body, content_type=CBOR).status, 200)
            self.assertEqual([r.path for r in self.homeserver.requests], ["/_matrix/client/v3/x"])
            self.assert_next_request_is_served()


class Answers(real_envoy.Answers):
    edit = staticmethod(early)

    def assert_cut(self, raw):
        """Checks that the client gets no end of the answer, and nothing in JSON."""
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)) as caught:
            self.get(raw)
        self.assertNotIn(b'"', getattr(caught.exception, "partial", b""))
        self.connection.close()
        self.assert_next_request_is_served()

    def test_json_becomes_cbor_for_who_asks_for_it(self):
        # The length is definite if it is known beforehand that the answer is short.
        for raw, content in (
            (answer(b'{"msgtype": "m.text"}', "vary: Origin", "etag: kept"), b"\xa1\x67msgtype\x66m.text"),
            (chunked(b'{"msgtype": "m.text"}', [3]), b"\xbf\x67msgtype\x66m.text\xff"),
        ):
            response = self.get(raw, accept_encoding="gzip")
            self.assertEqual((response.status, response.getheader("content-type")), (200, CBOR))
            self.assertEqual(response.content, content)
            self.assertEqual((response.getheader("content-length"), response.getheader("transfer-encoding")), (None, "chunked"))
            self.assertNotIn("accept-encoding", self.homeserver.requests.pop().headers)
        self.assert_next_request_is_served()

    def test_an_answer_in_pieces_is_one_answer(self):
        response = self.get(chunked(b'{"text":"' + b"y" * 70000 + b'"}', [1, 3, 8, 4096]))
        self.assertEqual(decode(response.content)[0], {"text": "y" * 70000})

    def test_broken_json_is_the_homeservers_fault(self):
        """The only thing that can be reported of it is that there is no answer."""
        for raw in (answer(b'{"a":'), chunked(b'{"a":1}x', [1]), answer(b"<html>")):
            self.assert_cut(raw)

    def test_an_answer_that_breaks_off_is_not_finished(self):
        self.homeserver.hang_up_after.add(self.PATH)
        self.addCleanup(self.homeserver.hang_up_after.clear)
        for raw in (answer(b'{"a":1}').replace(b"length: 7", b"length: 70"), chunked(b"x", []).replace(b"0\r\n\r\n", b"")):
            self.assert_cut(raw)


class Http2(real_envoy.Http2):
    edit = staticmethod(early)

    def test_what_is_refused_for_its_header_fields_is_refused_after_a_short_body(self):
        """The request is refused at once, and the homeserver has seen nothing of it."""
        for way in self.ways():
            status, _, _ = self.curl(*way, "-X", "POST", "-H", f"content-type: {CBOR}", "-H", "content-encoding: gzip")
            self.assertEqual(status[1], "415")
        self.assertEqual(self.homeserver.requests, [])


class Memory(streaming.Memory):
    edit = staticmethod(early)


class Streams(streaming.Streams):
    edit = staticmethod(early)

    def test_a_bad_beginning_is_still_told(self):
        """The mistake is not reported to the client: the header fields have left."""
        body, _ = streaming.sync(600_000)
        for raw in (answer(b"<" + body), chunked(b"{" + body, [300_000])):
            self.assert_cut(raw)


class Trailers(streaming.Trailers):
    edit = staticmethod(lambda text: with_trailers(early(text)))

    def test_a_short_answer_with_trailers_is_translated_whole_and_has_no_length(self):
        """The answer is not known to be short, unless it is a document in which something is to be exchanged."""
        self.assertEqual(self.get(b'{"a":1}', [3]).content, b"\xbf\x61a\x01\xff")
        path = "/_matrix/client/versions"
        for sizes in ([], [1, 3]):
            self.homeserver.answers[path] = chunked(b"{}", sizes).removesuffix(b"0\r\n\r\n") + b"0\r\nx-checked: yes\r\n\r\n"
            for accept in (JSON, CBOR):
                response = self.request("GET", path, accept=accept)
                value = json.loads(response.content) if accept == JSON else decode(response.content)[0]
                self.assertEqual(value["org.matrix.msc3079.low_bandwidth"]["dtls"], self.envoy.public)
                self.assertIsNone(response.getheader("content-length"))
        self.assert_next_request_is_served()

    def test_trailers_do_not_make_a_broken_document_whole(self):
        for body, sizes in ((b'{"a":', []), (b'{"a":1}}', [3])):
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                self.get(body, sizes)
            self.connection.close()
            self.assert_next_request_is_served()


class Discovery(streaming.Discovery):
    edit = staticmethod(lambda text: streaming.advertised(early(text)))


class LowLimits(Case):
    """The buffers of an Envoy Gateway without settings for them: 32 KiB over HTTP/1, and no limits by route."""

    @staticmethod
    def edit(text):
        text = re.sub(r"\n *request_body_buffer_limit: .*", "", early(text))
        text, count = re.subn(r"(per_connection_buffer_limit_bytes): \d+", r"\1: 32768", text)
        assert count == 2, count
        return text.replace('"hold_headers": false', '"hold_headers": false, "hold_response_bytes": 16384')

    def test_no_answer_is_too_long_for_them(self):
        for size in (10_000, 16_000, 20_000, 50_000, 300_000, 3 * streaming.MIB):
            body, _ = streaming.sync(size)
            for raw in (answer(body), chunked(body, [1000]), chunked(body, [])):
                self.homeserver.answers["/_matrix/client/v3/x"] = raw
                response = self.request("GET", accept=CBOR)
                self.assertEqual((response.status, decode(response.content)[1]), (200, len(response.content)))

    def test_a_longer_request_gets_envoys_own_error(self):
        for size, status in ((30_000, 200), (33_000, 413)):
            text = b"\x7a" + size.to_bytes(4, "big") + b"x" * size
            with socket.create_connection(("127.0.0.1", self.envoy.public), timeout=30) as connection:
                head = f"POST /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\ncontent-type: {CBOR}\r\ncontent-length: {len(text)}\r\n\r\n"
                connection.sendall(head.encode() + text)
                response = http.client.HTTPResponse(connection)
                response.begin()
                self.assertEqual((response.status, response.getheader("content-type")), (status, CBOR))
                if status == 413:
                    self.assertIn(b"The request is larger than the proxy takes", response.read())
        self.assertEqual([len(r.body) for r in self.homeserver.requests], [30_002])


class Trap(trap.Trap):
    edit = staticmethod(lambda text: with_trailers(early(text)))


class NeitherSetting(Case):
    """Header fields wait, and Envoy lets the body wait with them."""

    edit = staticmethod(lambda text: re.sub(r"(stream_)?idle_timeout: (300|1800)s", r"\1idle_timeout: 3s", without_the_flag(text)))

    def test_what_is_to_be_translated_hangs_until_envoy_gives_it_up_and_the_log_says_why(self):
        self.assertEqual(self.request("GET").content, b"{}", "all else passes")
        self.assertNotIn("waited in vain", self.envoy.read_log())
        for method, body, fields in (("POST", MESSAGE_CBOR, {"content_type": CBOR}), ("GET", None, {"accept": CBOR})):
            self.assert_matrix_error(self.request(method, body=body, **fields), 504, "M_UNKNOWN")
            self.connection.close()
        self.assertTrue(until(lambda: "waited in vain" in self.envoy.read_log()))
        self.assertEqual(self.envoy.read_log().count("waited in vain"), 1)
        self.assertIn("allow_on_headers_stop_iteration", self.envoy.read_log())

    def test_what_is_refused_by_its_header_fields_at_once_is(self):
        # The body is sent as late as possible, so that the answer does not meet it on its way.
        for fields in ({}, {"content_encoding": "gzip"}):
            response = self.request(content_type=CBOR, content_length=str(9 << 20), **fields)
            self.assert_matrix_error(response, 415 if fields else 413, "M_UNKNOWN" if fields else "M_TOO_LARGE")
            self.connection.close()


if __name__ == "__main__":
    unittest.main()
