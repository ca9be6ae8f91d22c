#!/usr/bin/env python3
"""deploy/overlays/istio in what Istio's control plane makes of it, in a real Envoy, between the sidecar and a homeserver.

The control plane itself, run as its own tests run it, translates the overlay into what it tells the Envoys of its gateways. This file does what
the agent beside such an Envoy does, and puts the parts together, without what only Istio's build of Envoy knows: numbers and the peer's name.
LOWBAND_ISTIO names the program that translates.
"""

import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import yaml
from chain import PATH, PUBLIC, Chain, Homeserver, Sidecar, ask, existing, free_port, program, snippet, wait_for, with_overlay

FORGERY = "The client's address"
INNER = 8009
WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
# No program talks to a workload without the mesh's TLS; this does not concern a gateway's own listeners.
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: matrix }
spec: { mtls: { mode: STRICT } }
"""
# A Service with a pod, as Istio's deployment controller makes it of a Gateway, and as the homeserver has one.
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{ name: {service}, namespace: matrix }}
spec: {{ clusterIP: {cluster_ip}, selector: {labels}, ports: [{{ name: {protocol}, port: {port}, targetPort: {port}, protocol: TCP }}] }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: {service}-0, namespace: matrix, labels: {labels} }}
spec: {{ containers: [{{ name: one, image: one }}] }}
status: {{ podIP: {address}, podIPs: [{{ ip: {address} }}], phase: Running, conditions: [{{ type: Ready, status: "True" }}] }}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: {service}-0, namespace: matrix, labels: {{ kubernetes.io/service-name: {service} }} }}
addressType: IPv4
endpoints: [{{ addresses: [{address}], conditions: {{ ready: true }}, targetRef: {{ kind: Pod, name: {service}-0, namespace: matrix }} }}]
ports: [{{ name: {protocol}, port: {port}, protocol: TCP }}]
"""


class Istio(Chain, unittest.TestCase):
    # Envoy's attributes of the request.
    LEAVES = {"x-envoy-external-address": "127.0.0.1", "x-envoy-attempt-count": "1"}
    TAKES_STEPS = True

    @classmethod
    def setUpClass(cls):
        cls.homeserver = Homeserver()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.ports = {PUBLIC: free_port(), INNER: free_port()}
        cls.told = told = cls.translate()
        for name in ("matrix", "lowband"):
            cls.start_envoy(name, copy.deepcopy(told[name]))
        cls.sidecar = Sidecar(f"http://127.0.0.1:{cls.ports[INNER]}")
        cls.addClassCleanup(cls.sidecar.stop)
        wait_for("the public gateway serves", lambda: cls.asks_public()[0] == 200, 30)
        wait_for("the sidecar's gateway serves", lambda: cls.sidecar.coap(PATH, seconds=2)[0] == 0, 30)

    @classmethod
    def translate(cls):
        """What Istio tells each gateway, as JSON."""
        made = [each for each in with_overlay(cls.folder / "deploy", "istio") if each["metadata"].get("namespace") == "matrix"]
        istio = [each for each in made if "istio.io" in each["apiVersion"]]
        there = existing("istio", "istio.io/gateway-controller")
        there[-1]["spec"]["rules"][0]["filters"] = [snippet(FORGERY)]
        kubernetes = [each for each in made if each["apiVersion"].startswith("gateway.")] + there
        (gateway,) = [each for each in made if each["kind"] == "Gateway"]
        annotations = gateway["spec"]["infrastructure"]["annotations"]
        for number, (name, port, labels) in enumerate([
            ("synapse", 8008, {"app": "synapse"}),
            ("matrix-istio", PUBLIC, {"gateway.networking.k8s.io/gateway-name": "matrix"}),
            ("lowband-istio", INNER, {"gateway.networking.k8s.io/gateway-name": "lowband"}),
        ]):
            text = SERVICE.format(service=name, port=port, labels=json.dumps(labels), protocol="http",
                                  cluster_ip=f"10.96.0.{number + 10}", address=f"10.201.0.{number + 10}")
            kubernetes += yaml.safe_load_all(text)
        request = {
            "kubernetes": yaml.safe_dump_all(kubernetes), "istio": yaml.safe_dump_all([*istio, yaml.safe_load(STRICT)]),
            "gateways": [
                {"name": "matrix", "namespace": "matrix", "address": "10.201.0.11"},
                {"name": "lowband", "namespace": "matrix", "address": "10.201.0.12", "proxyConfig": annotations["proxy.istio.io/config"]},
            ],
        }
        (cls.folder / "request.json").write_text(json.dumps(request))
        environment = {**os.environ, "REQUEST": str(cls.folder / "request.json"), "ANSWER": str(cls.folder / "answer.json")}
        run = [program("LOWBAND_ISTIO", ".tools/istio-pilot", "setup-more"), "-test.run", "TestTranslate"]
        done = subprocess.run(run, env=environment, cwd=cls.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise AssertionError(done.stdout[-5000:])
        return json.loads((cls.folder / "answer.json").read_text())

    @classmethod
    def start_envoy(cls, name, told):
        configuration = cls.folder / f"{name}.json"
        configuration.write_text(json.dumps(cls.put_together(told)))
        binary = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        log = open(cls.folder / f"{name}.log", "w")
        cls.addClassCleanup(log.close)
        command = [binary, "-c", configuration, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]
        envoy = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        cls.addClassCleanup(envoy.wait, 20)
        cls.addClassCleanup(envoy.terminate)
        cls.addClassCleanup(lambda: sys.stderr.write((cls.folder / f"{name}.log").read_text()) if envoy.poll() else None)

    @classmethod
    def put_together(cls, told):
        """An Envoy's static configuration."""
        routes = {each["name"]: each for each in told["routes"]}
        extensions = {each["name"]: each["typedConfig"] for each in told["extensions"]}
        (listener,) = [each for each in told["listeners"] if each["address"].get("socketAddress", {}).get("portValue") in cls.ports]
        listener["address"]["socketAddress"] = {"address": "127.0.0.1", "portValue": cls.ports[listener["address"]["socketAddress"]["portValue"]]}
        for field in ("accessLog", "trafficDirection"):
            listener.pop(field, None)
        (chain,) = listener["filterChains"]
        (manager,) = [each["typedConfig"] for each in chain["filters"]]
        manager["routeConfig"] = routes[manager.pop("rds")["routeConfigName"]]
        for field in ("accessLog", "tracing", "requestIdExtension"):
            manager.pop(field, None)
        kept = []
        for each in manager["httpFilters"]:
            if "configDiscovery" in each:
                each = {"name": each["name"], "typedConfig": extensions[each["name"]]}
                cls.fetch(each["typedConfig"])
            if "istio" not in each["typedConfig"]["@type"] + each["typedConfig"].get("typeUrl", ""):
                kept.append(each)
        manager["httpFilters"] = kept
        return {"node": {"id": "gateway", "cluster": "matrix"}, "static_resources": {"listeners": [listener], "clusters": cls.clusters(told)}}

    @staticmethod
    def fetch(config):
        """The agent takes out the variables that are meant for itself, and puts a file in place of the image."""
        assert config["@type"] == WASM, config
        machine = config["config"]["vmConfig"]
        assert machine["code"]["remote"]["httpUri"]["uri"] == "oci://registry.example.org/lowband-filter:0.1.0", machine
        machine.pop("environmentVariables", None)
        machine["code"] = {"local": {"filename": program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")}}

    @classmethod
    def clusters(cls, told):
        """Those of the homeserver, where it is here."""
        kept = []
        for cluster in told["clusters"]:
            if "synapse" not in cluster["name"]:
                continue
            address = {"socketAddress": {"address": "127.0.0.1", "portValue": cls.homeserver.port}}
            endpoints = [{"lbEndpoints": [{"endpoint": {"address": address}}]}]
            for field in ("edsClusterConfig", "filters", "metadata", "transportSocketMatches", "transportSocket"):
                cluster.pop(field, None)
            kept.append({**cluster, "type": "STATIC", "loadAssignment": {"clusterName": cluster["name"], "endpoints": endpoints}})
        return kept

    @classmethod
    def asks_public(cls, **fields):
        return ask(cls.ports[PUBLIC], **fields)

    def test_the_mesh_is_between_gateway_and_homeserver_alone(self):
        (listener,) = [each for each in self.told["lowband"]["listeners"] if each["name"] == f"0.0.0.0_{INNER}"]
        self.assertEqual([chain.get("transportSocket") for chain in listener["filterChains"]], [None])
        (cluster,) = [each for each in self.told["lowband"]["clusters"] if "synapse" in each["name"]]
        ways = [each["transportSocket"]["name"] for each in cluster["transportSocketMatches"]]
        self.assertEqual(ways, ["envoy.transport_sockets.tls", "envoy.transport_sockets.raw_buffer"])


if __name__ == "__main__":
    unittest.main()
