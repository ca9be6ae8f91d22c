"""What the tests of the overlays for somebody's ingress are made of: the sidecar, a client of it, and a homeserver that keeps what came."""

import contextlib
import http.client
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "envoy-filter/tests"))

import parts  # noqa: E402
from parts import CBOR, JSON, Homeserver, answer, certificate, decode, free_port, program, wait_for  # noqa: E402, F401

PATH, WAITS = "/_matrix/client/v3/x", "/_matrix/client/v3/sync"
# The address that a stranger claims to have.
FORGED = "203.0.113.9"
# The port of the Gateway that is there before the overlay comes.
PUBLIC = 18443
EXISTING = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{ name: {name} }}
spec: {{ controllerName: {controller} }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: matrix, namespace: matrix }}
spec: {{ gatewayClassName: {name}, listeners: [{{ name: https, protocol: HTTP, port: {port} }}] }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: homeserver, namespace: matrix }}
spec: {{ parentRefs: [{{ name: matrix }}], rules: [{{ backendRefs: [{{ name: synapse, port: 8008 }}] }}] }}
"""
# Seconds: longer than Envoy's default for a route, 15 s.
LONG = 17


class Patient(dict):
    """A homeserver's answers, of which one comes late."""

    def get(self, path, default=None):
        if path == WAITS:
            time.sleep(LONG)
        return super().get(path, default)


class Chain:
    """What holds with every overlay: the sidecar gets through somebody's ingress as it does through the Envoy of its own pod. A test has the
    `homeserver`, the `sidecar` and `asks_public`, which gives status, media type and body of what a client gets by HTTP."""

    # Fields that an ingress adds.
    LEAVES = {}
    # Whether the ingress resolves `.` and `..` in any case.
    TAKES_STEPS = False

    def setUp(self):
        self.homeserver.requests.clear()
        self.homeserver.answers = Patient()
        self.homeserver.hang_up_after.clear()

    def last(self):
        return self.homeserver.requests[-1]

    def test_a_request_arrives_with_its_clients_address_and_path_and_nothing_of_ours(self):
        path = "/_matrix/client/v3/directory/room/%23a%2Fb:c"
        self.homeserver.answers[path] = answer(b'{"room_id":"!x:y"}')
        self.assertEqual(self.sidecar.coap(path, {"msgtype": "m.text"}, method="PUT")[:2], (0, {"room_id": "!x:y"}))
        request = self.last()
        self.assertEqual((request.method, request.path, request.body), ("PUT", path, b'{"msgtype":"m.text"}'))
        self.assertEqual(request.headers["x-forwarded-for"], "127.0.0.1")
        self.assertEqual(request.headers["x-forwarded-proto"], "https")
        ours = {name: value for name, value in request.headers.items() if name.startswith(("lowband", "x-envoy"))}
        self.assertEqual(ours, self.LEAVES)

    def test_paths_that_may_lead_elsewhere_reach_nobody(self):
        for path in ("/_matrix/client/../../_synapse/admin", "/_matrix/client/%2e%2e/x", "/_matrix/client/..%2f..%2f_synapse/admin", "/_matrix/client/..;/x"):
            self.homeserver.begun.clear()
            status, _, _ = self.asks_public(path=path, accept=JSON)
            arrived = [request.path for request in self.homeserver.begun]
            if status != 400:
                # An ingress resolves such segments itself, before it chooses a route.
                self.assertTrue(self.TAKES_STEPS, path)
                self.assertNotIn(".", "".join(arrived))
            else:
                self.assertEqual(arrived, [])

    def test_a_sync_may_wait(self):
        self.homeserver.answers[WAITS] = answer(b'{"next_batch":"s1"}')
        self.assertEqual(self.sidecar.coap(f"{WAITS}?timeout={LONG * 1000}", seconds=LONG + 60)[:2], (0, {"next_batch": "s1"}))

    def test_requests_and_answers_of_hundreds_of_kilobytes(self):
        text = "x" * 900_000
        self.homeserver.answers[PATH] = answer(json.dumps({"body": text}).encode())
        self.assertEqual(self.sidecar.coap(PATH, {"body": text}, method="PUT", seconds=60)[:2], (0, {"body": text}))
        self.assertEqual(json.loads(self.last().body), {"body": text})

    def test_a_homeserver_that_hangs_up_is_told_as_such(self):
        self.homeserver.answers[PATH] = b""
        self.homeserver.hang_up_after.add(PATH)
        status, told, why = self.sidecar.coap(PATH)
        self.assertNotEqual(status, 0)
        self.assertEqual((told or {}).get("errcode"), "M_UNKNOWN", why)

    def test_strangers_get_matrix_errors_and_do_not_choose_the_keys(self):
        self.homeserver.answers[PATH] = answer(b'{"event_id":"$x"}')
        status, media_type, body = self.asks_public(accept=CBOR, lowband_cbor_version="1")
        self.assertEqual((status, media_type, decode(body)[0]), (200, CBOR, {"event_id": "$x"}))
        self.assertNotIn("lowband-cbor-version", self.last().headers)
        self.homeserver.answers[PATH] = b""
        self.homeserver.hang_up_after.add(PATH)
        for form, read in ((JSON, json.loads), (CBOR, lambda data: decode(data)[0])):
            status, media_type, body = self.asks_public(accept=form)
            self.assertEqual((status, media_type, read(body)["errcode"]), (503, form, "M_UNKNOWN"))

    def test_a_stranger_has_the_address_of_his_socket(self):
        self.assertEqual(self.asks_public(x_forwarded_for=FORGED)[0], 200)
        self.assertEqual(self.last().headers["x-forwarded-for"], "127.0.0.1")


class Sidecar(parts.Sidecar):
    """The sidecar in front of somebody's Envoy, at `upstream`."""

    def __init__(self, upstream):
        self.own = tempfile.TemporaryDirectory()
        certificate(self.own.name)
        super().__init__(self.own.name, upstream, "--admin", "off", "--grace-period", "0s")

    def stop(self):
        super().stop()
        self.own.cleanup()

    def coap(self, path, document=None, seconds=10, method="GET"):
        """(exit status, document of the answer, what went wrong) of `lowband coap`, in CBOR both ways."""
        lowband = program("LOWBAND", "target/release/lowband", "build")
        convert = lambda data, *way: subprocess.run([lowband, "jc", *way, "-"], input=data, stdout=subprocess.PIPE, check=True).stdout  # noqa: E731
        body = b"" if document is None else convert(json.dumps(document).encode(), "--out", "-")
        given = ["-d", "-"] if document is not None else []
        done = self.ask(path, "-X", method, "-m", str(seconds), *given, body=body)
        return done.returncode, json.loads(convert(done.stdout, "--c2j")) if done.stdout else None, done.stderr.decode()


def ask(port, source="127.0.0.1", path=PATH, **fields):
    """Status, media type and body of what an HTTP client gets, each None without an answer."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))) as connection:
        try:
            connection.request("GET", path, headers=headers)
            got = connection.getresponse()
        except (OSError, http.client.HTTPException):
            return None, None, None
        return got.status, got.getheader("content-type"), got.read()


def snippet(heading):
    """The first piece of YAML below a heading of docs/ingress.md."""
    _, found, after = (ROOT / "docs/ingress.md").read_text().partition(f"\n## {heading}\n")
    assert found, f"docs/ingress.md has no heading {heading}"
    return yaml.safe_load(after.split("```yaml\n", 1)[1].split("```", 1)[0])


def existing(name, controller):
    """The class, the Gateway and the HTTPRoute that the overlays find."""
    return list(yaml.safe_load_all(EXISTING.format(name=name, controller=controller, port=PUBLIC)))


def with_overlay(folder, name):
    """deploy/ with this overlay, as `kubectl kustomize` makes it."""
    shutil.copytree(ROOT / "deploy", folder)
    kustomization = folder / "Kustomization"
    text = kustomization.read_text()
    assert "components: []" in text
    kustomization.write_text(text.replace("components: []", f"components: [overlays/{name}]"))
    kubectl = program("LOWBAND_KUBECTL", ".tools/kubernetes/kubectl", "kubernetes")
    made = subprocess.run([kubectl, "kustomize", folder], check=True, stdout=subprocess.PIPE, text=True).stdout
    return list(yaml.safe_load_all(made))
