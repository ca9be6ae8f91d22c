#!/usr/bin/env python3
"""The filter inside a real Envoy with the project's envoy.yaml: requests, answers, and what an operator can set wrong.

Needs curl for HTTP/2. Long answers are in streaming.py, traps in trap.py.
"""

import contextlib
import http.client
import os
import re
import ssl
import subprocess
import tempfile
import unittest

from parts import CBOR, JSON, MESSAGE_CBOR, MESSAGE_JSON, Case, Envoy, Homeserver, answer, certificate, chunked, decode, until


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

    def test_the_request_id_of_a_stranger_is_replaced(self):
        theirs = "30313233-3435-4637-b839-616263646566"
        self.request("GET", x_request_id=theirs)
        got = self.homeserver.requests[-1].headers["x-request-id"]
        self.assertNotEqual(got, theirs)
        self.assertRegex(got, "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

    def test_strangers_cannot_steer_envoy(self):
        # If Envoy obeyed, the first would end the request, and the second would send it again.
        self.homeserver.answers["/_matrix/client/v3/x"] = answer(b"{}", status="500 Internal Server Error")
        response = self.request("GET", x_envoy_upstream_rq_timeout_ms="1", x_envoy_retry_on="5xx", x_envoy_max_retries="3")
        self.assertEqual((response.status, len(self.homeserver.requests)), (500, 1))
        self.assertEqual([n for n in self.homeserver.requests[0].headers if n.startswith("x-envoy")], [])

    def test_integer_keys_come_to_who_sends_them(self):
        self.homeserver.answers["/_matrix/client/v3/x"] = answer(b'{"msgtype":1}')
        self.assertEqual(decode(self.request(body=MESSAGE_CBOR, content_type=CBOR).content)[0], {28: 1})

    def test_paths_arrive_as_they_were_written(self):
        path = "/_matrix/client/v3/a/%2Eb/c%2Fd//e%7e/?b=../2&a&b=1"
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
            # This is Envoy's own answer: the headers have not left.
            self.assert_matrix_error(self.get(raw), 502, "M_UNKNOWN")
            self.assert_next_request_is_served()

    def test_unknown_paths_get_a_matrix_error_and_never_reach_the_homeserver(self):
        self.assert_matrix_error(self.request("GET", "/_synapse/admin/v1/x"), 404, "M_UNRECOGNIZED", JSON)
        self.assert_matrix_error(self.request("GET", "/_synapse/admin/v1/x", accept=CBOR), 404, "M_UNRECOGNIZED")
        self.assertEqual(self.homeserver.requests, [])
        self.assert_next_request_is_served()


class Http2(Case):
    """Asks by curl: over the socket of the sidecar, and over TLS and plain text on the public port."""

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

    def test_what_is_refused_for_its_header_fields_is_refused_after_a_short_body(self):
        """An answer before the end of the request would often make curl show only (92) Stream error."""
        for way in self.ways():
            for size in (2, 100_000):
                for _ in range(8):
                    self.assertEqual(self.refused(*way, body=b"\x1f\x8b" * (size // 2)), ["HTTP/2", "415"])
        self.assertEqual(self.homeserver.requests, [])

    def refused(self, *way, body):
        status, fields, content = self.post(*way, "-H", "content-encoding: gzip", body=body)
        self.assertEqual((fields["content-type"], len(decode(content)[0])), (CBOR, 2))
        return status

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
            theirs = "30313233-3435-4637-b839-616263646566"
            fields += ("-H", f"x-request-id: {theirs}")
            _, _, content = self.curl(*way, *fields)
            self.assertEqual(list(decode(content)[0]), keys)
            got = self.homeserver.requests[-1].headers
            self.assertEqual((got["x-forwarded-for"], "lowband-cbor-version" in got), ("192.0.2.7", False))
            self.assertEqual(got["x-request-id"], theirs)

    def test_the_socket_is_for_its_owner_alone(self):
        self.assertEqual(os.stat(self.envoy.socket).st_mode & 0o777, 0o600)


class BothFamilies(unittest.TestCase):
    def test_the_public_port_takes_ipv6_and_ipv4_and_each_client_has_its_address(self):
        homeserver = Homeserver()
        envoy = Envoy(f"http://127.0.0.1:{homeserver.port}", edit=both_families)
        self.addCleanup(envoy.stop)
        envoy.ready()
        for address in ("127.0.0.1", "::1"):
            connection = http.client.HTTPConnection(address, envoy.public, timeout=30)
            self.addCleanup(connection.close)
            connection.request("GET", "/_matrix/client/v3/x")
            self.assertEqual(connection.getresponse().status, 200)
            self.assertEqual(homeserver.requests[-1].headers["x-forwarded-for"], address)


def both_families(text):
    """Undoes --public-address, with which the tests keep their ports to this machine: the address is what envoy.yaml has."""
    kept = re.compile(r"(  - name: public\n(?:    .*\n)*?    address: \{ socket_address: \{ address: )127\.0\.0\.1(, port_value: \d+)")
    text, count = kept.subn(r'\1"::"\2, ipv4_compat: true', text)
    assert count == 1
    return text


class Log(Case):
    def test_a_request_line_shows_no_query(self):
        self.request("GET", "/_matrix/client/v3/sync?access_token=secret")
        until(lambda: "/_matrix/client/v3/sync" in self.envoy.read_log())
        self.assertRegex(self.envoy.read_log(), r"(?m) public-plain GET /_matrix/client/v3/sync 200 in=0 out=2 request=- response=- ms=\d+ via_upstream peer=127\.0\.0\.1 id=[0-9a-f-]{36}$")
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
