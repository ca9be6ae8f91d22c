#!/usr/bin/env python3
"""Connections over HTTP/1 that end after an answer, on a link that is slow or stalls: no client loses the answer.

The rest is in parts.py.
"""

import contextlib
import http.client
import socket
import threading
import time
import unittest

from parts import CBOR, Case, Envoy, Homeserver, answer
from streaming import sync

# From envoy.yaml, in seconds: how long Envoy waits for a reader that takes nothing.
DELAYED_CLOSE = 5


class Closing(Case):
    @classmethod
    def setUpClass(cls):
        cls.homeserver = Homeserver()
        cls.envoy = Envoy(f"http://127.0.0.1:{cls.homeserver.port}", patient=True)
        cls.addClassCleanup(cls.envoy.stop)
        cls.envoy.ready()

    def test_who_still_sends_when_refused_has_time_to_read_why(self):
        """Envoy reads no more of the body and ends with a reset, upon which many clients drop an answer that they have not read."""
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.envoy.public), timeout=30) as connection:
            head = f"POST /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\ncontent-type: {CBOR}\r\ncontent-length: {9 << 20}\r\n\r\n"
            connection.sendall(head.encode() + b"\x7a")
            response = http.client.HTTPResponse(connection)
            response.begin()
            response.content = response.read()
            self.assert_matrix_error(response, 413, "M_TOO_LARGE")
            # Reads the bytes that were on their way, and the end.
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"x" * 1000)
                self.assertEqual(connection.recv(1), b"")
        # Counted from before the refusal: a busy machine can only make it longer.
        self.assertGreater(time.monotonic() - begun, 0.9 * DELAYED_CLOSE)


class Stalling(Case):
    @classmethod
    def setUpClass(cls):
        def patient(text):
            given = f"delayed_close_timeout: {DELAYED_CLOSE}s"
            assert given in text
            # Above shows what it is. Here a busy machine may make a stall longer than it is meant to be.
            return text.replace(given, "delayed_close_timeout: 60s")

        cls.homeserver = Homeserver()
        cls.envoy = Envoy(f"http://127.0.0.1:{cls.homeserver.port}", edit=patient, patient=True)
        cls.addClassCleanup(cls.envoy.stop)
        cls.envoy.ready()

    def test_a_reader_that_stalls_gets_a_whole_answer_whose_connection_is_to_end(self):
        """Answers of sizes of which some end in the kernel's buffers and some in Envoy's, wherever the boundary is."""
        whole, threads = {}, []

        def read(size, cbor):
            path = f"/_matrix/client/v3/sync/{size}"
            with socket.socket() as connection:
                connection.settimeout(60)
                # Set before the connection exists, so that little is on its way.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(("127.0.0.1", self.envoy.public))
                head = f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: {CBOR}\r\nconnection: close\r\n\r\n"
                connection.sendall(head.encode())
                response = http.client.HTTPResponse(connection)
                response.begin()
                begin = response.read(1)
                # The link stalls.
                time.sleep(0.4 * DELAYED_CLOSE)
                with contextlib.suppress(http.client.IncompleteRead):
                    whole[size] = begin + response.read() == cbor

        sizes = range(1 << 20, 6 << 20, 1 << 18)
        for size in sizes:
            json, cbor = sync(size)
            self.homeserver.answers[f"/_matrix/client/v3/sync/{size}"] = answer(json)
            threads.append(threading.Thread(target=read, args=(size, cbor)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(whole, dict.fromkeys(sizes, True))


if __name__ == "__main__":
    unittest.main()
