#!/usr/bin/env python3
"""A client that opens many requests and ends none, at the public listener of the project's envoy.yaml: Envoy's memory stays bounded, and
all other clients are served, there and at the sidecar's listener.
"""

import contextlib
import http.client
import json
import socket
import struct
import threading
import unittest

from own_answers import PATH, Sidecar
from parts import CBOR, JSON, MESSAGE_CBOR, Envoy, Homeserver, free_port, until

MIB = 1 << 20
CONNECTIONS, STREAMS, BYTES = 8, 24, 2 * MIB
# The share of one network in the filter's `max_held_bytes`, and the other costs of a flood: windows, streams,
# the copy of a body.
SHARE, BESIDES = 16 * MIB, 24 * MIB

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_HEADERS, ACK = 4, 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def field(name, value):
    """Encodes a field without the tables of HPACK (RFC 7541 section 6.2.2)."""
    return b"\0" + b"".join(bytes((len(text),)) + text.encode() for text in (name, value))


class Greedy:
    """One connection of HTTP/2, within its windows: bodies on all of its streams in turn, each without an end. A stream that is refused is
    left alone. Done when all has been sent that may be, or the connection has ended."""

    def __init__(self, port, media_type=CBOR, most=BYTES, source="127.0.0.1"):
        self.port, self.media_type, self.most, self.source, self.done = port, media_type, most, source, threading.Event()
        self.sent = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(self.source, 0))

    def fields(self):
        return [(":method", "PUT"), (":scheme", "http"), (":authority", "localhost"), (":path", PATH), ("content-type", self.media_type)]

    def run(self):
        with contextlib.suppress(OSError), self.connect() as self.connection:
            self.flood()
        self.done.set()

    def flood(self):
        block = b"".join(field(*each) for each in self.fields())
        self.open = {2 * number + 1: [0, 65535] for number in range(STREAMS)}
        self.window, self.initial, self.buffered = 65535, 65535, b""
        opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)
        self.connection.sendall(opening + b"".join(frame(HEADERS, END_HEADERS, stream, block) for stream in self.open))
        while self.open:
            ready = [stream for stream, (sent, window) in self.open.items() if sent < self.most and window > 0]
            if not ready and all(sent >= self.most for sent, _ in self.open.values()):
                break
            if not ready or self.window <= 0:
                self.read()
            for stream in ready:
                state = self.open.get(stream)
                size = min(16384, self.window, state[1]) if state else 0
                if size <= 0:
                    continue
                # The head of a text of 8 MiB, and a part of the text.
                start = b"\x7a\0\x7f\0\0" if state[0] == 0 else b""
                self.connection.sendall(frame(DATA, 0, stream, start + b"x" * (size - len(start))))
                self.window, state[0], state[1] = self.window - size, state[0] + size, state[1] - size
                self.sent += size
            self.connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                self.read()
            self.connection.settimeout(60)
        # The bytes that were sent stay there until the test is over.
        self.done.set()
        with contextlib.suppress(TimeoutError):
            while True:
                self.read()

    def read(self):
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError
        self.buffered += data
        while len(self.buffered) >= 9 and len(self.buffered) >= 9 + (size := int.from_bytes(self.buffered[:3], "big")):
            kind, flags, stream = self.buffered[3], self.buffered[4], int.from_bytes(self.buffered[5:9], "big")
            payload, self.buffered = self.buffered[9 : 9 + size], self.buffered[9 + size :]
            self.take(kind, flags, stream, payload)

    def take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for identifier, value in struct.iter_unpack(">HI", payload):
                if identifier == 4:
                    for state in self.open.values():
                        state[1] += value - self.initial
                    self.initial = value
            self.connection.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.connection.sendall(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            (more,) = struct.unpack(">I", payload)
            if stream == 0:
                self.window += more
            elif stream in self.open:
                self.open[stream][1] += more
        elif kind in (RST_STREAM, HEADERS):
            # The stream was refused.
            self.open.pop(stream, None)
        elif kind == GOAWAY:
            raise ConnectionError


class Balanced(Greedy):
    """A flood by way of the sidecar, behind a balancer that hides its clients' addresses."""

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(self.port)
        return connection

    def fields(self):
        return [*super().fields(), ("x-forwarded-for", "192.0.2.1")]


def narrow(max_request_bytes, max_held_bytes, trusted="false"):
    """Returns an edit that sets these limits at one of the two listeners."""
    def edit(text):
        mark = f'"trusted": {trusted},'
        assert text.count(mark) == 1
        return text.replace(mark, f'{mark} "max_request_bytes": {max_request_bytes}, "max_held_bytes": {max_held_bytes},')

    return edit


class Flood(unittest.TestCase):
    def envoy(self, edit=lambda text: text):
        self.homeserver = Homeserver()
        self.metrics = free_port()
        envoy = Envoy(f"http://127.0.0.1:{self.homeserver.port}", "--metrics", f"127.0.0.1:{self.metrics}", edit=edit)
        self.addCleanup(envoy.stop)
        self.addCleanup(lambda: self.assertNotIn("[critical]", envoy.read_log()))
        return envoy.ready()

    def admin(self, envoy, path):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", envoy.admin, timeout=30)) as connection:
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def allocated(self, envoy):
        return int(json.loads(self.admin(envoy, "/memory"))["allocated"])

    def open_requests(self, envoy, listener="public"):
        return int(self.admin(envoy, f"/stats?filter=http.{listener}.downstream_rq_active$").split(": ")[1])

    def refused(self, envoy):
        """Returns the number of requests that had to give way, as reported so far."""
        lines = self.admin(envoy, "/stats?filter=lowband_refused.direction.request.kind.no_room").splitlines()
        return sum(int(line.split(": ")[1]) for line in lines)

    def asks_public(self, envoy, body, source="127.0.0.2"):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", envoy.public, timeout=30, source_address=(source, 0))) as connection:
            connection.request("PUT", PATH, body=body, headers={"content-type": CBOR})
            return connection.getresponse().status

    def test_bodies_without_an_end_are_bounded_and_everybody_else_is_served(self):
        envoy = self.envoy()
        before = self.allocated(envoy)
        greedy = [Greedy(envoy.public) for _ in range(CONNECTIONS)]
        long = b"\x7a" + MIB.to_bytes(4, "big") + b"x" * MIB
        most = 0
        while not all(each.done.wait(0.05) for each in greedy):
            most = max(most, self.allocated(envoy) - before)
            # The flood goes on; the requests come from another address and from the same one.
            self.assertEqual(self.asks_public(envoy, long), 200)
            self.assertEqual(self.asks_public(envoy, MESSAGE_CBOR, "127.0.0.1"), 200)
            self.assertEqual(Sidecar(envoy).ask("PUT", PATH, {"content-type": CBOR}, long).status, 200)
        most = max(most, self.allocated(envoy) - before)
        self.assertGreater(sum(each.sent for each in greedy), 4 * SHARE)
        self.assertLess(most, SHARE + BESIDES)
        self.assertTrue(until(lambda: self.refused(envoy) > 0))
        self.assertEqual(self.asks_public(envoy, long), 200)

    def test_requests_without_an_end_that_flow_leave_places_at_the_homeserver(self):
        # Sixteen requests for one network.
        envoy = self.envoy(narrow(1024, MIB))
        greedy = [Greedy(envoy.public, JSON, 10) for _ in range(CONNECTIONS)]
        self.assertTrue(all(each.done.wait(120) for each in greedy))
        self.assertTrue(until(lambda: self.open_requests(envoy) == 16), self.open_requests(envoy))
        for source in ("127.0.0.1", "127.0.0.2"):
            self.assertEqual(self.asks_public(envoy, MESSAGE_CBOR, source), 200)

    def test_behind_a_balancer_the_clients_of_the_sidecar_have_all_that_its_listener_has(self):
        # Sixteen requests would be a quarter.
        envoy = self.envoy(narrow(1024, MIB, trusted="true"))
        greedy = [Balanced(envoy.socket, JSON, 10) for _ in range(2)]
        self.assertTrue(all(each.done.wait(120) for each in greedy))
        self.assertTrue(until(lambda: self.open_requests(envoy, "sidecar") == 2 * STREAMS), self.open_requests(envoy, "sidecar"))
        self.assertEqual(self.refused(envoy), 0)

    def test_who_evicts_others_is_served(self):
        longest = 64 << 10
        envoy = self.envoy(narrow(longest, 2 * MIB))
        text = longest - 5
        body = b"\x7a" + text.to_bytes(4, "big") + b"x" * text
        # Each source is in a site of its own, and there are more than there is room for: less is left than
        # one of the longest needs.
        sources = [f"127.0.{site}.1" for site in range(1, 6)]
        greedy = []
        all_told = lambda: self.refused(envoy) + self.open_requests(envoy) == len(greedy) * STREAMS  # noqa: E731
        # The sources are elsewhere, in a site of a greedy network, and behind the same address as one of
        # them.
        for source in ("127.0.9.1", "127.0.1.2", sources[1]):
            with self.subTest(source=source):
                more = [Greedy(envoy.public, most=longest // 2, source=each) for each in sources]
                greedy += more
                self.assertTrue(all(each.done.wait(120) for each in more))
                self.assertTrue(until(all_told))
                before = self.refused(envoy)
                self.assertEqual(self.asks_public(envoy, body, source), 200)
                self.assertTrue(until(lambda: self.refused(envoy) > before and all_told()))

    def test_a_stranger_who_has_used_up_the_memory_leaves_the_sidecar_alone(self):
        def small(text):
            assert text.count("max_heap_size_bytes: 2147483648") == 1
            # The limit is less than Envoy uses after its start.
            return text.replace("max_heap_size_bytes: 2147483648", "max_heap_size_bytes: 1048576")

        envoy = self.envoy(small)
        active = "overload.envoy.overload_actions.stop_accepting_connections.active: 1"
        self.assertTrue(until(lambda: active in self.admin(envoy, "/stats?filter=stop_accepting_connections.active")))
        # The system accepts the connection, and Envoy does not.
        with socket.create_connection(("127.0.0.1", envoy.public), timeout=30) as stranger:
            stranger.sendall(b"GET /.lowband/ready HTTP/1.1\r\nhost: x\r\n\r\n")
            for _ in range(3):
                got = Sidecar(envoy).ask("PUT", PATH, {"content-type": CBOR}, MESSAGE_CBOR)
                self.assertEqual((got.status, got.content), (200, b"\xa0"))
            # The pod stays ready: otherwise it would lose the flows of its sessions.
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=30)) as connection:
                connection.request("GET", "/.lowband/ready")
                self.assertEqual(connection.getresponse().read(), b"ready\n")
            stranger.setblocking(False)
            self.assertRaises(BlockingIOError, stranger.recv, 1)


if __name__ == "__main__":
    unittest.main()
