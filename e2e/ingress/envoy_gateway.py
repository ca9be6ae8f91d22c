#!/usr/bin/env python3
"""deploy/overlays/envoy-gateway in Envoy Gateway itself: its own controller reads the overlay, as Kustomize makes it, and runs the real Envoy,
between the sidecar and a homeserver.

Envoy Gateway runs without a cluster here ("standalone"), as root in namespaces of its own. What that mode does not have is put in its place:
a GatewayClass of its own for each Gateway, Services, images. LOWBAND_ENVOY_GATEWAY names its program.
"""

import base64
import hashlib
import http.server
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest

import yaml
from chain import PATH, PUBLIC, Chain, Homeserver, Sidecar, ask, existing, program, snippet, wait_for, with_overlay

FORGERY = "The client's address"
INSIDE = "LOWBAND_INSIDE_NAMESPACES"
WASM_PORT = 7999
BACKEND = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: { name: synapse, namespace: matrix }
spec: { endpoints: [{ ip: { address: 127.0.0.1, port: %d } }] }
"""
# Envoy Gateway serves the filter with a certificate from /certs, which is not there outside of its image, and
# under its Service's name.
ROOM = """
set -eu
ip link set lo up
mount -t tmpfs none "$1"
for each in /*; do
  if [ -L "$each" ]; then cp -P "$each" "$1/"; elif [ -d "$each" ]; then mkdir "$1$each"; mount --rbind "$each" "$1$each"; fi
done
mkdir "$1/certs"
mount --bind "$2" "$1/certs"
mount --bind "$3" "$1/etc/hosts"
shift 3
exec chroot "$@"
"""


class Controller:
    """Envoy Gateway, with the objects that the API server would give it."""

    def __init__(self, folder, port):
        self.folder = folder
        self.program = program("LOWBAND_ENVOY_GATEWAY", ".tools/envoy-gateway", "setup-more")
        self.objects = folder / "objects"
        self.objects.mkdir()
        self.home = folder / "home"
        subprocess.run([self.program, "certgen", "--local", "--config-home", self.home], check=True, stdout=subprocess.DEVNULL)
        self.write_objects(port)
        self.write_envoy()
        self.write_configuration()
        self.serve_filter()
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(
            [self.program, "server", "--config-path", folder / "configuration.yaml"], stdout=self.log, stderr=subprocess.STDOUT)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        self.server.shutdown()
        self.server.server_close()

    def read_log(self):
        return (self.folder / "log").read_text(errors="replace")

    def certificates(self):
        return self.home / "certs/envoy"

    def write_objects(self, port):
        made = [each for each in with_overlay(self.folder / "deploy", "envoy-gateway") if each["apiVersion"].startswith("gateway.")]
        self.made = [(each["kind"], each["metadata"]["name"]) for each in made]
        objects = [*made, *self.existing(), yaml.safe_load(BACKEND % port), self.secret()]
        # Of several classes Envoy Gateway reads one.
        objects = [self.fit(each) for each in objects if (each["kind"], each["metadata"]["name"]) != ("GatewayClass", "lowband")]
        (self.objects / "all.yaml").write_text(yaml.safe_dump_all(objects))

    def existing(self):
        name, gateway, route = existing("eg", "gateway.envoyproxy.io/gatewayclass-controller")
        gateway["spec"]["infrastructure"] = {"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "lowband"}}
        return [name, gateway, route]

    def fit(self, thing):
        """The object in the words of an Envoy Gateway that runs without a cluster."""
        spec = thing.get("spec", {})
        if thing["kind"] == "EnvoyProxy":
            spec["provider"] = {"type": "Host", "host": {"envoyVersion": "0.0.1"}}
        elif thing["kind"] == "Gateway":
            spec["gatewayClassName"] = "eg"
        elif thing["kind"] == "HTTPRoute":
            for rule in spec["rules"]:
                assert rule["backendRefs"] == [{"name": "synapse", "port": 8008}]
                rule["filters"] = [snippet(FORGERY)] if thing["metadata"]["name"] == "homeserver" else []
                rule["backendRefs"] = [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "synapse"}]
        elif thing["kind"] == "EnvoyExtensionPolicy":
            (wasm,) = spec["wasm"]
            assert wasm["code"] == {"type": "Image", "image": {"url": "registry.example.org/lowband-filter:0.1.0"}}, wasm["code"]
            wasm["code"] = {"type": "HTTP", "http": {"url": f"http://127.0.0.1:{WASM_PORT}/filter.wasm", "sha256": self.filter_sum()}}
        return thing

    def secret(self):
        """By it Envoy fetches the filter; without one Envoy Gateway makes another, which it does not believe itself."""
        data = {name: base64.b64encode((self.certificates() / name).read_bytes()).decode() for name in ("tls.crt", "tls.key", "ca.crt")}
        metadata = {"name": "envoy", "namespace": "envoy-gateway-system"}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}

    def filter(self):
        return pathlib.Path(program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")).read_bytes()

    def filter_sum(self):
        return hashlib.sha256(self.filter()).hexdigest()

    def write_envoy(self):
        """What it else would fetch."""
        binary = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        envoy = self.folder / "data/envoy-versions/0.0.1/bin/envoy"
        envoy.parent.mkdir(parents=True)
        # Two of them run on one machine.
        envoy.write_text(f'#!/bin/sh\nexec {binary} --disable-hot-restart "$@"\n')
        envoy.chmod(0o755)

    def write_configuration(self):
        names = {"configHome": "home", "dataHome": "data", "stateHome": "state", "runtimeDir": "runtime"}
        host = {key: str(self.folder / name) for key, name in names.items()}
        configuration = {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyGateway",
            "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
            "provider": {
                "type": "Custom",
                "custom": {
                    "resource": {"type": "File", "file": {"paths": [str(self.objects)]}},
                    "infrastructure": {"type": "Host", "host": host},
                },
            },
            "extensionApis": {"enableBackend": True, "enableEnvoyPatchPolicy": True},
        }
        (self.folder / "configuration.yaml").write_text(yaml.safe_dump(configuration))

    def serve_filter(self):
        module = self.filter()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", str(len(module)))
                self.end_headers()
                self.wfile.write(module)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", WASM_PORT), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class EnvoyGateway(Chain, unittest.TestCase):
    TAKES_STEPS = True

    @classmethod
    def setUpClass(cls):
        cls.homeserver = Homeserver()
        cls.controller = Controller(pathlib.Path(os.environ[INSIDE]), cls.homeserver.port)
        cls.addClassCleanup(cls.controller.stop)
        cls.sidecar = Sidecar("http://127.0.0.1:8009")
        cls.addClassCleanup(cls.sidecar.stop)
        try:
            wait_for("the public listener serves", lambda: cls.asks_public()[0] == 200, 60)
            wait_for("the sidecar's listener serves", lambda: cls.sidecar.coap(PATH, seconds=2)[0] == 0, 30)
        except AssertionError:
            print(cls.controller.read_log()[-6000:], file=sys.stderr)
            raise

    @staticmethod
    def asks_public(**fields):
        return ask(PUBLIC, **fields)

    def test_it_accepts_every_object(self):
        log = self.controller.read_log()
        policies = [kind for kind, _ in self.controller.made if kind.endswith("Policy")]
        self.assertEqual(len(policies), 6)
        self.assertEqual(log.count("message: Policy has been accepted."), len(policies))
        self.assertEqual(log.count("message: Patches have been successfully applied."), 1)
        # Nothing here assigns addresses.
        self.assertEqual(set(re.findall(r'reason: (\w+)\n *status: "False"', log)), {"AddressNotAssigned"})


def main():
    """Everything in namespaces of its own: ports, mounts, processes."""
    if INSIDE in os.environ:
        return unittest.main()
    with tempfile.TemporaryDirectory(prefix="lowband-envoy-gateway-") as folder:
        folder = pathlib.Path(folder)
        for name in ("room", "certs"):
            (folder / name).mkdir()
        (folder / "hosts").write_text("127.0.0.1 localhost envoy-gateway.envoy-gateway-system.svc.cluster.local\n")
        (folder / "home/certs/envoy").mkdir(parents=True)
        inside = ["bash", "-c", ROOM, "room", folder / "room", folder / "home/certs/envoy", folder / "hosts", folder / "room"]
        run = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", *inside]
        environment = {**os.environ, INSIDE: str(folder)}
        return subprocess.run([*run, "env", "-C", os.getcwd(), sys.executable, *sys.argv], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
