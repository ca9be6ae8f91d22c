"""What the tests of deploy/ share: a node with the images, a Synapse outside of it, and manifests that an operator has edited."""

import base64
import contextlib
import json
import pathlib
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import unittest

from addresses import CLIENT, NODE
from node import ROOT, Node

sys.path.insert(0, str(ROOT / "envoy-filter/tests"))

from parts import program, wait_for  # noqa: E402

DEPLOY = ROOT / "deploy"
NAMESPACE = "lowband"
# Address of a load balancer, which is missing here: the client's way to everywhere is the node.
BALANCER = "198.51.100.7"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
SIDECAR_IMAGE, ENVOY_IMAGE = f"localhost/lowband-sidecar:{VERSION}", "localhost/envoy:test"
CRDS = ".tools/crds"
HOMESERVER = f"http://{CLIENT}:8018"


def command(line, **options):
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, **options).stdout


def lowband():
    return program("LOWBAND", "target/release/lowband", "build")


def to_cbor(document):
    return command([lowband(), "jc", "--out", "-", "-"], input=json.dumps(document).encode())


def from_cbor(data):
    return json.loads(command([lowband(), "jc", "--c2j", "-"], input=data))


class Certificate:
    """A key and a certificate for a host and all addresses of a service, each PEM text: FILE.pem, FILE-key.pem."""

    def __init__(self, folder, host="localhost", file="certificate"):
        self.path, self.key_path = folder / f"{file}.pem", folder / f"{file}-key.pem"
        names = f"subjectAltName=DNS:{host},IP:{NODE},IP:{BALANCER}"
        request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2".split()
        command([*request, "-addext", names, "-keyout", self.key_path, "-out", self.path], stderr=subprocess.DEVNULL)
        self.text, self.key = self.path.read_text(), self.key_path.read_text()


class Manifests:
    """A copy of deploy/ with the values of an operator in it: edited as text, as he would."""

    def __init__(self, folder, certificate):
        self.folder = folder / f"deploy-{secrets.token_hex(4)}"
        shutil.copytree(DEPLOY, self.folder)
        self.edit("10-settings.yaml", r'LOWBAND_HOMESERVER: ".*"', f'LOWBAND_HOMESERVER: "{HOMESERVER}"')
        self.edit("10-settings.yaml", r'LOWBAND_BASE_URL: ".*"', f'LOWBAND_BASE_URL: "https://{BALANCER}:8008"')
        self.paste("tls.crt", certificate.text)
        self.paste("tls.key", certificate.key)
        self.edit("40-deployment.yaml", "&sidecar .*", f"&sidecar {SIDECAR_IMAGE}")
        self.edit("40-deployment.yaml", "&envoy .*", f"&envoy {ENVOY_IMAGE}")

    def edit(self, file, pattern, new):
        path = self.folder / file
        text, count = re.subn(pattern, lambda _: new, path.read_text(), count=1)
        assert count == 1, f"{pattern} is not in {file}"
        path.write_text(text)
        return self

    def paste(self, name, pem):
        """PEM text under a name of the Secret, in place of what is there."""
        lines = "".join(f"    {line}\n" for line in pem.splitlines())
        return self.edit("10-settings.yaml", rf"  {re.escape(name)}: \|\n(    .*\n)+", f"  {name}: |\n{lines}")


class Cluster:
    """Everything that is there for all tests. Each test applies and deletes what it needs."""

    def __init__(self):
        self.node = Node(program("LOWBAND_KUBERNETES", ".tools/kubernetes", "kubernetes"))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lowband-kubernetes-"))
        self.certificate = Certificate(self.folder)
        self.synapse = None

    def start(self):
        print(f"node Ready after {self.node.start():.1f} s", flush=True)
        self.start_synapse()
        self.load_images()

    def stop(self):
        """The end of everything, and what is left of it."""
        self.node.stop()
        if self.synapse:
            self.synapse.wait(30)
        shutil.rmtree(self.folder)
        return self.node.left_behind()

    # ---- what is there ----

    def start_synapse(self):
        folder = self.folder / "synapse"
        folder.mkdir()
        for name in ("homeserver.yaml", "log.yaml"):
            text = (ROOT / "e2e/homeserver" / name).read_text().replace("@DIR@", str(folder)).replace("@PORT@", "8018")
            # The clients are pods, not programs of this machine.
            (folder / name).write_text(text.replace('bind_addresses: ["127.0.0.1"]', f'bind_addresses: ["{CLIENT}"]'))
        key = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        (folder / "signing.key").write_text(f"ed25519 a_test {key}\n")
        python = program("LOWBAND_SYNAPSE_PYTHON", ".venv/synapse/bin/python", "setup")
        with open(folder / "output.log", "wb") as log:
            run = ["env", "-C", folder, python, "-m", "synapse.app.homeserver", "-c", "homeserver.yaml"]
            self.synapse = subprocess.Popen(self.node.enter_client(*run), stdout=log, stderr=subprocess.STDOUT)

        def answers():
            asked = self.node.client("curl", "-sf", f"{HOMESERVER}/_matrix/client/versions", check=False)
            return asked.returncode == 0

        wait_for("Synapse answers", answers, 120)

    def load_images(self):
        archives = [program("LOWBAND_SIDECAR_IMAGE", "target/lowband-sidecar.tar", "images"), self.envoy_image()]
        for archive in archives:
            self.node.load(archive)

    def envoy_image(self):
        """For these tests alone: the program of the PyPI package with its libraries, where Envoy's own image cannot be fetched."""
        envoy = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        layer = self.folder / "envoy"
        for library in command([ROOT / "tools/libraries", envoy], text=True).split():
            (layer / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, layer / library[1:])
        (layer / "usr/local/bin").mkdir(parents=True)
        shutil.copy(envoy, layer / "usr/local/bin/envoy")
        archive = self.folder / "envoy.tar"
        pack = [ROOT / "tools/image", archive, ENVOY_IMAGE.removeprefix("localhost/"), layer, "--", "--architecture", "amd64"]
        command([*pack, "--config.env", "PATH=/usr/local/bin"])
        shutil.rmtree(layer)
        return archive

    def manifests(self, certificate=None):
        return Manifests(self.folder, certificate or self.certificate)

    # ---- what an operator does ----

    def kubectl(self, *arguments, **options):
        return self.node.kubectl(*arguments, **options)

    def apply(self, manifests, *options, **more):
        return self.kubectl("apply", *options, "--filename", manifests.folder, **more)

    def delete(self, manifests):
        self.kubectl("delete", "--filename", manifests.folder, "--ignore-not-found", timeout=180)

    def get(self, kind, *more):
        """Objects as JSON."""
        asked = self.kubectl("--namespace", NAMESPACE, "get", kind, "--output", "json", *more)
        return json.loads(asked.stdout)

    def available(self, seconds=120):
        """Until the rollout is done, with as many pods as the autoscaler asks for."""
        began = time.monotonic()
        self.kubectl("--namespace", NAMESPACE, "rollout", "status", "deployment/lowband", f"--timeout={seconds}s", timeout=seconds + 10)
        return time.monotonic() - began

    def node_port(self, service):
        return self.get("service", service)["spec"]["ports"][0]["nodePort"]

    def give_address(self, *services):
        """What a load balancer's controller does."""
        status = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}})
        for service in services:
            self.kubectl("--namespace", NAMESPACE, "patch", "service", service, "--subresource=status", "--type=merge", "--patch", status)

    # ---- what a client does ----

    def coap(self, address, method, path, document=None, token=None, seconds=20):
        """The answer to a request of `lowband coap`: its document, or an exception."""
        arguments = ["coap", "--cacert", self.certificate.path, "-X", method, "-m", seconds]
        arguments += ["-H", f"Authorization: Bearer {token}"] if token else []
        body = b"" if document is None else to_cbor(document)
        arguments += ["-d", "-"] if document is not None else []
        return from_cbor(self.outside([lowband(), *arguments, f"coaps://{address}{path}"], body))

    def libcoap(self, address, method, path, document=None, token=None):
        """The same by libcoap's client, without path codes."""
        # The output does not go to standard output, where kubectl's warnings go as well.
        answer = self.folder / "answer"
        arguments = ["-m", method.lower(), "-C", self.certificate.path, "-B", "20", "-o", answer]
        arguments += ["-O", f"256,{token}"] if token else []
        if document is not None:
            body = self.folder / "body"
            body.write_bytes(to_cbor(document))
            arguments += ["-t", "60", "-f", body]
        self.outside(["coap-client-openssl", *arguments, f"coaps://{address}{path}"])
        return from_cbor(answer.read_bytes())

    def https(self, address, path, seconds=20):
        arguments = ["-sS", "--max-time", seconds, "--cacert", self.certificate.path]
        return json.loads(self.outside(["curl", *arguments, f"https://{address}{path}"]))

    def reaches(self, ask, address, path):
        """What a client that tries again is answered by a Service that has just come or changed. Each try is from a new port: the connection
        tracking of the node goes on to send a flow to where its first packet went, before kube-proxy knew of the change."""

        def answer():
            with contextlib.suppress(AssertionError):
                return ask(address, path)

        return wait_for(f"an answer from {address}", answer, 60)

    def outside(self, line, body=b""):
        return self.node.client(*line, input=body, text=False).stdout


cluster = Cluster()


class Case(unittest.TestCase):
    """A test that leaves the cluster as it found it."""

    longMessage = True

    @contextlib.contextmanager
    def deployed(self):
        manifests = cluster.manifests()
        self.addCleanup(cluster.delete, manifests)
        cluster.apply(manifests)
        yield manifests
