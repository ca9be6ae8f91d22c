#!/usr/bin/env python3
"""Clients of the sidecar that ask for the first block of long answers and never go on: what Envoy keeps of these answers stays within the
share of their network, and all other clients are served, by UDP and by HTTPS.
"""

import contextlib
import http.client
import json
import os
import select
import subprocess
import threading
import unittest

from parts import Envoy, Homeserver, Sidecar, answer, free_port, until, wait_for

MIB = 1 << 20
SESSIONS, ROUNDS = 60, 4
LONG = "/_matrix/client/v3/long"
# A network has a quarter of the sidecar's memory for answers, 32 MiB, and loses answers above an eighth more.
# Envoy's part is less than all, and its buffers are slightly larger than their content.
SHARE = 8 * MIB * 9 // 8
# Memory not yet given back of the answer that the modest client has just read to its end.
JUST_READ = 4 * MIB
# The value in deploy/.
MAX_HEAP = 335544320


def ask(number):
    """Returns a GET for the first block of LONG, confirmable, with a token of its own (RFC 7252 section 3)."""
    *first, last = LONG.strip("/").split("/")
    path = bytes([0xB0 | len(first[0])]) + first[0].encode() + b"".join(bytes([len(each)]) + each.encode() for each in (*first[1:], last))
    # Each has a query of its own, and so another body. Block2 is 8 from it: block 0 of 1,024 bytes.
    return bytes([0x42, 1, 0, number, 0, number]) + path + bytes([0x42]) + b"%02d" % number + bytes([0x81, 6])


class Stopped:
    """A session that asks and takes nothing but what comes at once."""

    def __init__(self, port, source):
        # s_client shares its address (SO_REUSEADDR), so that Linux may choose one port for two of them.
        own = f"{source}:{free_port()}"
        line = ["openssl", "s_client", "-dtls1_2", "-quiet", "-ign_eof", "-bind", own, "-connect", f"127.0.0.1:{port}"]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, number):
        self.process.stdin.write(ask(number))
        self.process.stdin.flush()

    def answered(self, number):
        """Returns whether an acknowledgement or a block has come. Until then it asks again, as every client does."""
        output = self.process.stdout.fileno()
        for _ in range(15):
            if select.select([output], [], [], 2)[0]:
                return os.read(output, 2048)
            self.ask(number)
        return b""

    def stop(self):
        self.process.kill()
        self.process.communicate()


class Paused(unittest.TestCase):
    def admin(self, path):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.envoy.admin, timeout=30)) as connection:
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def allocated(self):
        return int(json.loads(self.admin("/memory"))["allocated"])

    def is_ready(self):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.envoy.public, timeout=30)) as connection:
            connection.request("GET", "/.lowband/ready")
            return connection.getresponse().status

    def test_answers_that_a_network_does_not_read_on_are_bounded_and_everybody_else_is_served(self):
        body = json.dumps({"x": "y" * 1_200_000}).encode()
        homeserver = Homeserver()
        homeserver.answers[LONG] = answer(body)
        self.envoy = Envoy(f"http://127.0.0.1:{homeserver.port}", "--max-heap", str(MAX_HEAP))
        self.addCleanup(self.envoy.stop)
        self.addCleanup(lambda: self.assertNotIn("[critical]", self.envoy.read_log()))
        self.envoy.ready()
        sidecar = Sidecar(self.envoy.folder.name, f"unix:{self.envoy.socket}", "--admin", "off")
        self.addCleanup(sidecar.stop)
        modest = lambda: sidecar.process.poll() is None and len(sidecar.ask(LONG).stdout)  # noqa: E731
        expected = wait_for("an answer by way of the sidecar", modest)
        self.assertGreater(expected, 1_200_000)
        before = self.allocated()

        stopped = []
        for _ in range(SESSIONS):
            stopped.append(Stopped(sidecar.port, "127.10.1.1"))
            self.addCleanup(stopped[-1].stop)
        for number in range(ROUNDS):
            for each in stopped:
                each.ask(number)
            # Requests beside them while they come.
            beside = []
            thread = threading.Thread(target=lambda: beside.append(modest()))  # noqa: B023
            thread.start()
            for each in stopped:
                self.assertTrue(each.answered(number))
            thread.join()
            self.assertEqual(beside, [expected])
            self.assertEqual(self.is_ready(), 200)
            self.assertLess(self.allocated() - before, SHARE + JUST_READ)
        # All requests have been sent, those of the modest client as well.
        self.assertTrue(until(lambda: len(homeserver.requests) == SESSIONS * ROUNDS + ROUNDS + 1), len(homeserver.requests))
        self.assertGreater(len(body) * SESSIONS * ROUNDS, MAX_HEAP * 0.85)


if __name__ == "__main__":
    unittest.main()
