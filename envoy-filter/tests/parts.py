"""The parts of the tests in a real Envoy: the project's envoy.yaml in an Envoy of its own, between raw sockets on both sides.

The homeserver here is a stub that reads its connections by the letter of HTTP/1.1 and keeps what it read, so that a wrong
length shows up as a request that no client sent. LOWBAND_ENVOY and LOWBAND_WASM name the two programs; what is not set is
taken from where the Makefile puts it.
"""

import contextlib
import dataclasses
import glob
import http.client
import json
import os
import pathlib
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
# {"msgtype": "m.text", "n": 30000.0} with the integer key 24 of version 1, and its float as the
# reference sends it.
MESSAGE_CBOR = bytes.fromhex("a2181c666d2e74657874616ef97753")
MESSAGE_JSON = b'{"msgtype":"m.text","n":30000}'


def decode(data, at=0):
    """Returns (value, next offset) of the CBOR that the filter writes; integer keys stay integers."""
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
    """Returns the content of a stream: the items up to the break (RFC 8949 section 3.2)."""
    items = []
    while data[at] != 0xFF:
        value, at = decode(data, at)
        items.append(value)
    if major == 3:
        return "".join(items), at + 1
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at + 1


# ---- the homeserver ----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: dict
    body: bytes


class Homeserver:
    """Answers each path with the raw bytes that stand in `answers`, else with the JSON `{}`. `requests` are those that have
    ended, `begun` are header fields that have come, and `broken` is how many requests had no end."""

    def __init__(self, tls=None):
        self.tls = tls
        self.answers, self.requests = {}, []
        self.begun, self.broken = [], 0
        # Paths after whose answer the connection ends, whether the answer is complete or not.
        self.hang_up_after = set()
        # Paths that are answered when the header fields of a request have come, without its body.
        self.hasty = set()
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
                # Looked up once: a client that has the answer may already ask for other things.
                hasty, hangs_up = path in self.hasty, path in self.hang_up_after
                self.begun.append(Request(method, path, headers, None))
                if hasty:
                    connection.sendall(self.answers[path])
                if headers.get("transfer-encoding") == "chunked":
                    body = dechunked(stream)
                else:
                    length = int(headers.get("content-length", 0))
                    body = stream.read(length)
                    body = body if len(body) == length else None
                if body is None:
                    self.broken += 1
                    return
                self.requests.append(Request(method, path, headers, body))
                if hasty:
                    return
                connection.sendall(self.answers.get(path.split("?")[0], answer(b"{}")))
                if hangs_up:
                    return


def dechunked(stream):
    """Reads a body in chunks; returns None if it breaks off."""
    body = b""
    while line := stream.readline():
        if not (size := int(line, 16)):
            while (line := stream.readline()) not in (b"\r\n", b""):
                pass
            return body if line else None
        body += stream.read(size)
        stream.readline()
    return None


def answer(body, *fields, status="200 OK", media_type=JSON, length=True):
    lines = [f"HTTP/1.1 {status}", *([f"content-type: {media_type}"] if media_type else []), *fields]
    if length:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(body, sizes):
    """Returns an answer of unknown length, in pieces of these sizes and the rest."""
    data = answer(b"", "transfer-encoding: chunked", length=False)
    pieces, at = [], 0
    for size in [*sizes, len(body)]:
        pieces.append(body[at : at + size])
        at += size
    return data + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


# ---- Envoy -------------------------------------------------------------------------------------------------


GIVEN_OUT = set()


def free_port():
    """Returns a port of 127.0.0.1 that neither TCP nor UDP has taken, another one each time."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            port = taken.getsockname()[1]
            with contextlib.suppress(OSError):
                datagrams.bind(("127.0.0.1", port))
                if port not in GIVEN_OUT:
                    GIVEN_OUT.add(port)
                    return port


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
    """One Envoy with the project's configuration in a folder of its own, perhaps run by another program. `arguments` are for the program that
    renders the configuration, `options` for Envoy, `before` is called with the folder. Unless it is patient, a connection that is cut ends sooner, so
    that tests need not wait."""

    def __init__(
        self, homeserver, *arguments, edit=lambda text: text, patient=False, options=(), run_by=(), before=lambda folder: None
    ):
        self.folder = tempfile.TemporaryDirectory()
        self.public, self.admin = free_port(), free_port()
        self.socket = f"{self.folder.name}/envoy.sock"
        certificate(self.folder.name)
        render = [
            program("LOWBAND_SIDECAR", "target/release/lowband-sidecar", "build"), "render-envoy", "--public-port", str(self.public),
            "--public-address", "127.0.0.1", "--admin-port", str(self.admin), "--dir", self.folder.name,
            "--wasm", program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter"),
            "--homeserver", homeserver, *arguments,
        ]
        rendered = subprocess.run(render, check=True, stdout=subprocess.PIPE, text=True).stdout
        with open(f"{self.folder.name}/envoy-certificate.yaml", "w") as certificate_file:
            subprocess.run([*render, "--only-certificate"], check=True, stdout=certificate_file)
        delay = "delayed_close_timeout: 5s"
        assert delay in rendered
        rendered = rendered if patient else rendered.replace(delay, "delayed_close_timeout: 1s")
        configuration = pathlib.Path(self.folder.name, "envoy.yaml")
        configuration.write_text(edit(rendered))
        before(self.folder.name)
        self.log = open(f"{self.folder.name}/envoy.log", "w+")
        binary = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        # Under a program that counts instructions everything takes fifty times as long.
        self.patience = 400 if run_by else 60
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*run_by, binary, "-c", str(configuration), "--disable-hot-restart", "--log-level", "warn", "--concurrency", "1",
             "--file-flush-interval-msec", "50", *options],
            stdout=self.log, stderr=subprocess.STDOUT,
        )

    def ready(self):
        deadline = time.monotonic() + self.patience
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
        self.process.wait(self.patience)
        self.log.close()
        self.folder.cleanup()


def with_trailers(text):
    """Returns the configuration with trailers from both sides, which Envoy drops over HTTP/1 by default."""
    text = text.replace("codec_type: AUTO\n", "codec_type: AUTO\n          http_protocol_options: { enable_trailers: true }\n")
    return text.replace("explicit_http_config: { http_protocol_options: {} }", "explicit_http_config: { http_protocol_options: { enable_trailers: true } }")


def until(holds):
    """Waits until an event has happened in another process, and returns what `holds` gives then, or after a minute."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def wait_for(what, holds, seconds=60):
    """Returns what `holds` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.1)
    return result


class Sidecar:
    """The sidecar before `upstream`, with certificate.pem and key.pem of a folder, and a client of it."""

    def __init__(self, folder, upstream, *options):
        self.folder, self.port = folder, free_port()
        binary = program("LOWBAND_SIDECAR", "target/release/lowband-sidecar", "build")
        given = ["--listen", f"127.0.0.1:{self.port}", "--upstream", upstream, "--certificate", "certificate.pem", "--key", "key.pem"]
        self.log = open(f"{folder}/sidecar.log", "w+")
        self.process = subprocess.Popen([binary, *given, *options], cwd=folder, stdout=self.log, stderr=subprocess.STDOUT)

    def ask(self, path, *arguments, body=b""):
        """Runs `lowband coap` and returns its result."""
        lowband = program("LOWBAND", "target/release/lowband", "build")
        line = [lowband, "coap", "--cacert", f"{self.folder}/certificate.pem", *arguments, f"coaps://localhost:{self.port}{path}"]
        return subprocess.run(line, input=body, capture_output=True, timeout=90)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


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
        """Sends on the test's own connection, which stays open; an iterable body is sent in chunks."""
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
        """Asks on the same connection, if the server has left it open: nothing of the last exchange is left in it."""
        self.homeserver.requests.clear()
        response = self.request("GET", "/_matrix/client/v3/next")
        self.assertEqual((response.status, response.content), (200, b"{}"))
        self.assertEqual([(r.method, r.path, r.body) for r in self.homeserver.requests], [("GET", "/_matrix/client/v3/next", b"")])
