#!/usr/bin/env python3
"""envoy.yaml with a certificate that is renewed while Envoy runs, or that does not fit when it starts; and how to ask whether TLS works."""

import contextlib
import http.client
import os
import pathlib
import ssl
import tempfile
import unittest

from parts import Case, Envoy, certificate, until

READY = "/.lowband/ready"
NAMES = ("certificate.pem", "key.pem")


def unverified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Pair:
    """Makes a certificate and its key anew."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate(folder)
            self.files = {name: pathlib.Path(folder, name).read_bytes() for name in NAMES}
        self.der = ssl.PEM_cert_to_DER_cert(self.files["certificate.pem"].decode())


class Certificates(unittest.TestCase):
    def start(self, prepare=lambda envoy: None):
        envoy = Envoy("http://127.0.0.1:1", before=prepare)
        self.addCleanup(envoy.stop)
        self.folder = pathlib.Path(envoy.folder.name)
        return envoy.ready()

    def connect(self, envoy):
        connection = http.client.HTTPSConnection("127.0.0.1", envoy.public, timeout=60, context=unverified())
        self.addCleanup(connection.close)
        connection.connect()
        return connection

    def shown(self, envoy):
        """Returns the certificate that a new client is shown, or None if the handshake is cut."""
        with contextlib.suppress(ssl.SSLError, OSError):
            return self.connect(envoy).sock.getpeercert(binary_form=True)

    def is_ready(self, connection):
        connection.request("GET", READY)
        response = connection.getresponse()
        return (response.status, response.read()) == (200, b"ready\n")

    def metric(self, envoy, name):
        """Returns the one line of the family, as Prometheus reads it."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", envoy.admin, timeout=60)) as connection:
            connection.request("GET", "/stats/prometheus")
            text = connection.getresponse().read().decode()
        (value,) = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(f"envoy_{name}{{")]
        return int(value)

    def rename_into_place(self, files):
        for name, content in files.items():
            (self.folder / "new").write_bytes(content)
            os.rename(self.folder / "new", self.folder / name)

    def fill_volume(self, revision, files):
        """Writes files as the kubelet does: the names are links into `..data`, a link to a folder, which changes in one step."""
        folder = self.folder / f"..{revision}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        self.link(folder.name, "..data")

    def link(self, target, name):
        os.symlink(target, self.folder / "..new")
        os.rename(self.folder / "..new", self.folder / name)

    def test_a_renewed_pair_is_shown_to_new_connections_and_the_others_go_on(self):
        envoy = self.start()
        held = self.connect(envoy)
        self.assertTrue(self.is_ready(held))
        pair = Pair()
        self.rename_into_place(pair.files)
        self.assertTrue(until(lambda: self.shown(envoy) == pair.der))
        self.fill_volume("0", pair.files)
        for name in NAMES:
            self.link(f"..data/{name}", name)
        for revision in "12":
            pair = Pair()
            self.fill_volume(revision, pair.files)
            self.assertTrue(until(lambda: self.shown(envoy) == pair.der), revision)
        self.assertTrue(self.is_ready(held))

    def test_what_is_written_in_another_way_is_read_once_anything_is_renamed_into_the_folder(self):
        envoy = self.start()
        old = self.shown(envoy)
        pair = Pair()
        # The layout of certbot.
        (self.folder / "archive").mkdir()
        for name, content in pair.files.items():
            (self.folder / "archive" / name).write_bytes(content)
            (self.folder / name).unlink()
            os.symlink(f"archive/{name}", self.folder / name)
        self.assertEqual(self.shown(envoy), old)
        (self.folder / "new").touch()
        os.rename(self.folder / "new", self.folder / ".read-again")
        self.assertTrue(until(lambda: self.shown(envoy) == pair.der))

    def test_a_pair_that_does_not_fit_is_counted_and_told_and_the_old_one_stays(self):
        envoy = self.start()
        old = self.shown(envoy)
        self.assertEqual(self.metric(envoy, "sds_key_rotation_failed"), 0)
        self.rename_into_place({"key.pem": Pair().files["key.pem"]})
        self.assertTrue(until(lambda: self.metric(envoy, "sds_key_rotation_failed") > 0))
        self.assertTrue(until(lambda: "KEY_VALUES_MISMATCH" in envoy.read_log()))
        self.assertEqual(self.shown(envoy), old)
        right = Pair()
        self.rename_into_place(right.files)
        self.assertTrue(until(lambda: self.shown(envoy) == right.der))

    def test_one_that_does_not_fit_at_the_start_is_seen_by_a_handshake_alone(self):
        def spoil(folder):
            pathlib.Path(folder, "key.pem").write_bytes(Pair().files["key.pem"])

        # Envoy itself reports that it is ready.
        envoy = self.start(spoil)
        self.assertIsNone(self.shown(envoy))
        not_ready = "listener_server_ssl_socket_factory_downstream_context_secrets_not_ready"
        self.assertGreater(self.metric(envoy, not_ready), 0)
        pair = Pair()
        self.rename_into_place(pair.files)
        self.assertTrue(until(lambda: self.shown(envoy) == pair.der))
        self.assertTrue(self.is_ready(self.connect(envoy)))


class Readiness(Case):
    def test_it_is_asked_over_tls_or_without_and_nowhere_else_and_leaves_no_line_in_the_log(self):
        for kind, more in ((http.client.HTTPSConnection, {"context": unverified()}), (http.client.HTTPConnection, {})):
            with contextlib.closing(kind("127.0.0.1", self.envoy.public, timeout=60, **more)) as connection:
                for path, status in ((READY, 200), ("/.lowband", 404), ("/.lowband/ready/", 404), ("/.lowband/x", 404)):
                    connection.request("GET", path)
                    response = connection.getresponse()
                    response.read()
                    self.assertEqual(response.status, status, path)
        self.assertEqual(self.homeserver.requests, [])
        self.assertTrue(until(lambda: self.envoy.read_log().count(" /.lowband/x 404 ") == 2))
        self.assertNotIn(f" {READY} ", self.envoy.read_log())


if __name__ == "__main__":
    unittest.main()
