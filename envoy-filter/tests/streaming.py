#!/usr/bin/env python3
"""Long answers through the filter in a real Envoy: their cost, how they break off, and their counts.

The rest is in parts.py.
"""

import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

from parts import CBOR, JSON, MESSAGE_CBOR, MESSAGE_JSON, Case, answer, chunked, decode, until, with_trailers

SYNC = "/_matrix/client/v3/sync"
MIB = 1 << 20
# One event of a sync, and the same event as the filter writes it in a stream: maps of indefinite length,
# names as text.
EVENT_JSON = b'{"type":"m.room.message","content":{"body":"\\u00fcber ' + b"x" * 400 + b'"}},'
EVENT_CBOR = b"\xbf\x64type\x6em.room.message\x67content\xbf\x64body\x79\x01\x96\xc3\xbcber " + b"x" * 400 + b"\xff\xff"


def sync(size):
    """Returns (a JSON text of at least this size, the CBOR that it streams as)."""
    count = size // len(EVENT_JSON) + 1
    return b'{"events":[' + EVENT_JSON * count + b"0]}", b"\xbf\x66events\x9f" + EVENT_CBOR * count + b"\x00\xff\xff"


def status_field(pid, name):
    """Returns a field of /proc/PID/status in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(rf"^{name}:\s+(\d+) kB$", status.read(), re.MULTILINE)[1]) * 1024


def forget_peak(pid):
    """Sets VmHWM to the resident size (proc(5), clear_refs)."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as clear:
        clear.write("5")


class Reader:
    """One GET by a raw socket, of which the test reads as much as it likes, whenever it likes."""

    def __init__(self, port, path=SYNC):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        # A small kernel buffer: bytes that are not read stay in Envoy.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: {CBOR}\r\n\r\n".encode())

    def start(self):
        """Reads the header fields and the first bytes of the body."""
        self.response = http.client.HTTPResponse(self.socket)
        self.response.begin()
        return self.response.read(1)

    def rest(self):
        """Returns the digest of the rest."""
        digest = hashlib.sha256()
        while data := self.response.read(MIB):
            digest.update(data)
        self.socket.close()
        return digest.hexdigest()


class Memory(Case):
    def setUp(self):
        super().setUp()
        self.pid = self.envoy.process.pid
        # An Envoy that has served a request, but nothing long.
        self.assert_next_request_is_served()
        forget_peak(self.pid)
        self.before = status_field(self.pid, "VmRSS")

    def read(self, count, pause=False):
        """Runs `count` readers at once; with `pause` all of them stop in the middle until nothing moves any more."""
        readers = [Reader(self.envoy.public) for _ in range(count)]
        for reader in readers:
            self.assertEqual(reader.start(), b"\xbf")
        if pause:
            self.wait_until_nothing_moves()
        digests = [None] * count

        def finish(number):
            digests[number] = readers[number].rest()

        threads = [threading.Thread(target=finish, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return digests

    def wait_until_nothing_moves(self):
        """Waits until Envoy and the homeserver have used no processor time for a while, nor waited for any: all buffers on the way are full."""
        def threads(process, *but):
            for thread in set(os.listdir(f"/proc/{process}/task")) - set(map(str, but)):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{process}/task/{thread}/stat", encoding="ascii") as stat:
                    state, *numbers = stat.read().rpartition(") ")[2].split()
                    yield thread, state == "R", *numbers[10:12]

        def look():
            """Returns the time that each thread has used, and whether one is running or waits for its turn."""
            found = sorted([*threads(self.pid), *threads(os.getpid(), threading.get_native_id())])
            return found, any(is_running for _, is_running, *_ in found)

        seen, still = look()[0], 0
        while still < 10:
            time.sleep(0.05)
            now, is_running = look()
            still = 0 if is_running or now != seen else still + 1
            seen = now

    def grown(self):
        return (status_field(self.pid, "VmHWM") - self.before) / MIB

    def test_a_sync_of_64_mib_costs_at_most_10_mb(self):
        json, cbor = sync(64 * MIB)
        self.homeserver.answers[SYNC] = answer(json)
        self.assertEqual(self.read(1), [hashlib.sha256(cbor[1:]).hexdigest()])
        print(f"64 MiB: {self.grown():.1f} MiB")
        self.assertLess(self.grown(), 10)

    def test_each_further_slow_reader_costs_at_most_1_5_mb(self):
        json, cbor = sync(16 * MIB)
        self.homeserver.answers[SYNC] = chunked(json, [100, 1, 65536, MIB])
        digest = hashlib.sha256(cbor[1:]).hexdigest()
        self.assertEqual(self.read(1, pause=True), [digest])
        one = self.grown()
        self.assertEqual(self.read(8, pause=True), [digest] * 8)
        each = (self.grown() - one) / 7
        print(f"slow readers: {one:.1f} MiB, {each:.2f} MiB for each further one")
        self.assertLess(each, 1.5)


class Streams(Case):
    def get(self, raw, accept=CBOR):
        self.homeserver.answers[SYNC] = raw
        return self.request("GET", SYNC, accept=accept)

    def test_any_chunking_gives_the_same_bytes(self):
        json, cbor = sync(400_000)
        for sizes in ([], [1] * 50, [4096] * 90, [262_144], [262_145], [300_000, 1]):
            response = self.get(chunked(json, sizes))
            self.assertEqual((response.getheader("content-type"), response.getheader("transfer-encoding")), (CBOR, "chunked"))
            self.assertIsNone(response.getheader("content-length"))
            self.assertEqual(response.content, cbor)
            self.assert_next_request_is_served()

    def test_a_stream_in_json_is_not_touched(self):
        json, _ = sync(400_000)
        self.assertEqual(self.get(answer(json), accept=JSON).content, json)

    def assert_cut(self, raw):
        """Checks that over HTTP/1 the connection ends without the last chunk, and over HTTP/2 the stream is reset."""
        self.homeserver.answers[SYNC] = raw
        with self.assertRaises(http.client.IncompleteRead):
            self.request("GET", SYNC, accept=CBOR)
        self.connection.close()
        self.assert_next_request_is_served()
        curl = ["curl", "--silent", "--http2-prior-knowledge", "--unix-socket", self.envoy.socket, "-H", f"accept: {CBOR}"]
        reset = subprocess.run([*curl, f"http://localhost{SYNC}"], stdout=subprocess.DEVNULL, check=False)
        self.assertEqual(reset.returncode, 92, "curl: stream error in the HTTP/2 framing layer")

    def test_json_that_turns_bad_in_the_middle_is_cut(self):
        json, _ = sync(3 * MIB)
        border = json.index(EVENT_JSON, 2 * MIB)
        for bad in (b"}", b"\xff", b'{"a" 1},'):
            self.assert_cut(answer(json[:border] + bad + json[border:]))
        self.assert_cut(answer(json + b"{}"))

    def test_a_homeserver_that_breaks_off_is_not_finished(self):
        json, _ = sync(3 * MIB)
        self.homeserver.hang_up_after.add(SYNC)
        self.addCleanup(self.homeserver.hang_up_after.clear)
        self.assert_cut(answer(json, "x: y", length=False)[:-100].replace(b"x: y", b"content-length: %d" % len(json)))
        self.assert_cut(chunked(json, [1000]).removesuffix(b"0\r\n\r\n"))

    def test_an_answer_that_ends_too_early_is_cut_though_its_length_is_right(self):
        json, _ = sync(3 * MIB)
        self.assert_cut(answer(json[:-1]))

    def test_a_bad_beginning_is_still_told(self):
        json, _ = sync(600_000)
        for raw in (answer(b"<" + json), chunked(b"{" + json, [300_000])):
            self.assertIn("byte", self.assert_matrix_error(self.get(raw), 502, "M_UNKNOWN"))
            self.assert_next_request_is_served()

    def test_a_client_that_goes_away_ends_its_stream_alone(self):
        self.homeserver.answers[SYNC] = answer(sync(16 * MIB)[0])
        for _ in range(5):
            reader = Reader(self.envoy.public)
            reader.start()
            reader.socket.close()
        self.assert_next_request_is_served()


class Trailers(Case):
    """The bytes at the end of HTTP/1 after the body: the last piece is then not marked as the last."""

    edit = staticmethod(with_trailers)

    def get(self, json, sizes):
        self.homeserver.answers[SYNC] = chunked(json, sizes).removesuffix(b"0\r\n\r\n") + b"0\r\nx-checked: yes\r\n\r\n"
        return self.request("GET", SYNC, accept=CBOR)

    def test_a_short_answer_with_trailers_is_translated_whole_and_has_no_length(self):
        response = self.get(b'{"a":1}', [3])
        self.assertEqual((response.content, response.getheader("content-length")), (b"\xa1\x61a\x01", None))
        self.assert_next_request_is_served()

    def test_a_request_with_trailers_is_translated_whole_and_has_no_length(self):
        with socket.create_connection(("127.0.0.1", self.envoy.public), timeout=30) as connection:
            connection.sendall(
                f"POST {SYNC} HTTP/1.1\r\nhost: x\r\ncontent-type: {CBOR}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
                + b"%x\r\n%s\r\n0\r\nx-checked: yes\r\n\r\n" % (len(MESSAGE_CBOR), MESSAGE_CBOR)
            )
            response = http.client.HTTPResponse(connection)
            response.begin()
            self.assertEqual((response.status, response.read()), (200, b"\xa0"))
        (got,) = self.homeserver.requests
        self.assertEqual((got.body, got.headers.get("content-length")), (MESSAGE_JSON, None))
        self.assert_next_request_is_served()

    def test_trailers_end_a_stream(self):
        json, cbor = sync(3 * MIB)
        for sizes in ([], [1000], [len(json) - 1]):
            self.assertEqual(self.get(json, sizes).content, cbor)
            self.assert_next_request_is_served()

    def test_trailers_do_not_make_half_a_document_whole(self):
        json, _ = sync(3 * MIB)
        with self.assertRaises(http.client.IncompleteRead):
            self.get(json[:-1], [1000])
        self.connection.close()
        self.assert_next_request_is_served()

    def test_trailers_arrive(self):
        json, _ = sync(3 * MIB)
        self.homeserver.answers[SYNC] = chunked(json, []).removesuffix(b"0\r\n\r\n") + b"0\r\nx-checked: yes\r\n\r\n"
        curl = ["curl", "--silent", "--http2-prior-knowledge", "--unix-socket", self.envoy.socket, "-H", f"accept: {CBOR}", "--dump-header", "-"]
        output = subprocess.run([*curl, "-o", "/dev/null", f"http://localhost{SYNC}"], stdout=subprocess.PIPE, check=True).stdout
        self.assertIn(b"x-checked: yes", output)


class Metrics(Case):
    def metrics(self):
        url = f"http://127.0.0.1:{self.envoy.admin}/stats/prometheus"
        with urllib.request.urlopen(url, timeout=30) as response:
            lines = response.read().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if line.startswith("lowband_"))


class Counters(Metrics):
    """Runs in an Envoy of its own: counts that others have caused may be reported late."""

    def test_what_was_translated_refused_and_repaired_is_counted_under_its_labels(self):
        before = self.metrics()
        self.assertEqual(before['lowband_repaired{kind="repeated_key"}'], "0", "every series is there from the start")
        self.homeserver.answers[SYNC] = answer(b'{"a":1,"a":2}')
        self.request("GET", SYNC, accept=CBOR)
        self.request(body=b"\xa0", content_type=CBOR, accept=JSON)
        self.request(body=b"\xff", content_type=CBOR)
        self.request("GET", "/_matrix/client/v3/x")

        def changed():
            after = {name: value for name, value in self.metrics().items() if not name.startswith("lowband_body_size")}
            return {name: int(value) - int(before[name]) for name, value in after.items() if value != before[name]}

        expected = {
            'lowband_messages{direction="request",result="translated"}': 1,
            'lowband_messages{direction="request",result="passed"}': 2,
            'lowband_messages{direction="request",result="refused"}': 1,
            'lowband_messages{direction="response",result="translated"}': 1,
            'lowband_messages{direction="response",result="passed"}': 2,
            'lowband_refused{direction="request",kind="malformed"}': 1,
            'lowband_repaired{kind="repeated_key"}': 1,
            'lowband_bytes_in{direction="request"}': 1,
            'lowband_bytes_out{direction="request"}': 2,
            'lowband_bytes_in{direction="response"}': 13,
            'lowband_bytes_out{direction="response"}': 4,
        }
        # The filter reports to Envoy several times a second, also when nothing more comes, and each number
        # once.
        for _ in range(2):
            until(lambda: changed() == expected)
            self.assertEqual(changed(), expected)
            self.request("GET", "/_matrix/client/v3/x")
            for direction in ("request", "response"):
                expected[f'lowband_messages{{direction="{direction}",result="passed"}}'] += 1


class Numbers(Metrics):
    def test_the_sizes_of_bodies_are_a_histogram(self):
        self.homeserver.answers[SYNC] = answer(sync(100_000)[0])
        self.request("GET", SYNC, accept=CBOR)
        # Envoy merges the values of its workers every five seconds.
        above = 'lowband_body_size_bucket{direction="response",le="%s"}'

        def between():
            metrics = self.metrics()
            return int(metrics.get(above % 300000, 0)) - int(metrics.get(above % 60000, 0))

        until(lambda: between() != 0)
        self.assertEqual(between(), 1)

    def test_the_access_log_shows_bytes_before_and_after(self):
        json, cbor = sync(400_000)
        self.homeserver.answers[SYNC] = answer(json)
        self.request("GET", SYNC, accept=CBOR)
        self.request("PUT", "/_matrix/client/v3/y", body=b"\xa0", content_type=CBOR, accept=JSON)
        until(lambda: "/v3/y" in self.envoy.read_log())
        log = self.envoy.read_log()
        self.assertRegex(log, rf"GET {SYNC} 200 in=0 out={len(cbor)} request=- response={len(json)}>{len(cbor)} ")
        self.assertRegex(log, r"PUT /_matrix/client/v3/y 200 in=1 out=2 request=1>2 response=- ")


def advertised(text):
    text, count = re.subn(r'"advertise": \{', '"advertise": {"base_url": "https://lb.example.org", ', text)
    assert count == 2, count
    return text


class Discovery(Case):
    edit = staticmethod(advertised)
    WELL_KNOWN = "/.well-known/matrix/client"
    DOCUMENT = b'{"m.homeserver": {"base_url": "https://hs.internal.example"}}'

    def test_a_document_is_known_by_its_path_whatever_its_type(self):
        for media_type in ("application/octet-stream", "text/plain; charset=utf-8", None, JSON):
            for body in (self.DOCUMENT, b"\xef\xbb\xbf" + self.DOCUMENT):
                for raw in (answer(body, media_type=media_type), chunked(body, [1, 9]).replace(b"content-type: application/json\r\n", b"")):
                    self.homeserver.answers[self.WELL_KNOWN] = raw
                    for accept in (JSON, CBOR):
                        response = self.request("GET", self.WELL_KNOWN, accept=accept, range="bytes=0-5", if_none_match="x")
                        self.assertEqual((response.status, response.getheader("content-type")), (200, accept))
                        value = json.loads(response.content) if accept == JSON else decode(response.content)[0]
                        self.assertEqual(value, {"m.homeserver": {"base_url": "https://lb.example.org"}})
                        self.assertEqual({"range", "if-none-match"} & set(self.homeserver.requests[-1].headers), set())
            response = self.request("HEAD", self.WELL_KNOWN, accept=CBOR)
            self.assertEqual((response.status, response.getheader("content-type"), response.content), (200, CBOR, b""))
            self.assert_next_request_is_served()

    def missed(self):
        """Returns the numbers, when they are there."""
        def lines():
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.envoy.admin, timeout=10)) as connection:
                connection.request("GET", "/stats/prometheus?filter=lowband_unadvertised")
                text = connection.getresponse().read().decode()
            found = re.findall(r'^\w*lowband_unadvertised\{(.*)\} (\d+)$', text, re.MULTILINE)
            return {tuple(re.findall(r'(?:document|kind)="(\w+)"', labels)): int(count) for labels, count in found}

        return lines

    def test_what_passes_without_what_is_advertised_is_counted_and_the_log_says_so_once(self):
        numbers, before = self.missed(), self.missed()()
        self.assertEqual(len(before), 15, before)
        versions = "/_matrix/client/versions"
        cases = (
            (self.WELL_KNOWN, answer(b"\x1f\x8b", "content-encoding: gzip", media_type=None), ("well_known", "encoded")),
            (self.WELL_KNOWN, answer(b"<html>", media_type="text/html"), ("well_known", "not_json")),
            (self.WELL_KNOWN, answer(self.DOCUMENT + b" " * 300_000), ("well_known", "too_long")),
            (self.WELL_KNOWN, answer(b'{"m.homes', "content-range: bytes 0-8/60", status="206 Partial Content"), ("well_known", "partial")),
            (self.WELL_KNOWN, answer(b"{}"), ("well_known", "no_member")),
            (versions, answer(b"[]"), ("versions", "not_json")),
        )
        for _ in range(3):
            for path, raw, _ in cases:
                self.homeserver.answers[path] = raw
                response = self.request("GET", path)
                self.assertEqual(response.content, raw.partition(b"\r\n\r\n")[2], "it passes as it is")
        for _, _, labels in cases:
            self.assertTrue(until(lambda labels=labels: numbers()[labels] == before[labels] + 3), labels)
        log = [line for line in self.envoy.read_log().splitlines() if "without what is advertised here" in line]
        self.assertEqual(len(log), len(cases), log)
        self.assertEqual(sum("/.well-known/matrix/client" in line for line in log), 5)
        self.assertTrue(all("[warning]" in line for line in log), log)

    def test_versions_tells_where_the_wire_is_in_both_forms_and_keeps_every_byte(self):
        for way in ("public", "sidecar"):
            for accept in (JSON, CBOR):
                self.homeserver.answers["/_matrix/client/versions"] = answer(b'{ "versions" : ["v1.1"] }')
                content = self.ask(way, accept)
                entry = {"dtls": self.envoy.public, "cbor_enum_version": 1, "coap_enum_version": 1}
                if accept == JSON:
                    expected = b'{ "versions" : ["v1.1"] ,"org.matrix.msc3079.low_bandwidth":{"dtls":%d,"cbor_enum_version":1,"coap_enum_version":1}}'
                    self.assertEqual(content, expected % self.envoy.public)
                else:
                    value = decode(content)[0]
                    self.assertEqual(value["org.matrix.msc3079.low_bandwidth"], entry)

    def ask(self, way, accept):
        if way == "public":
            return self.request("GET", "/_matrix/client/versions", accept=accept).content
        curl = ["curl", "--silent", "--http2-prior-knowledge", "--unix-socket", self.envoy.socket, "-H", f"accept: {accept}"]
        return subprocess.run([*curl, "http://localhost/_matrix/client/versions"], stdout=subprocess.PIPE, check=True).stdout


if __name__ == "__main__":
    unittest.main()
