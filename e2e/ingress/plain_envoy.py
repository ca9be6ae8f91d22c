#!/usr/bin/env python3
"""deploy/overlays/envoy in a real Envoy, between the sidecar and a homeserver."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import yaml
from chain import ROOT, Chain, Homeserver, Sidecar, ask, free_port, program, wait_for

CONFIGURATION = ROOT / "deploy/overlays/envoy/envoy.yaml"


class PlainEnvoy(Chain, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.homeserver = Homeserver()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.public, cls.inner = free_port(), free_port()
        (cls.folder / "envoy.json").write_text(json.dumps(cls.configuration()))
        binary = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        log = open(cls.folder / "log", "w")
        cls.addClassCleanup(log.close)
        command = [binary, "-c", cls.folder / "envoy.json", "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]
        envoy = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        cls.addClassCleanup(envoy.wait, 20)
        cls.addClassCleanup(envoy.terminate)
        cls.sidecar = Sidecar(f"http://127.0.0.1:{cls.inner}")
        cls.addClassCleanup(cls.sidecar.stop)
        wait_for("Envoy serves", lambda: envoy.poll() is not None or cls.asks_public()[0] == 200, 30)
        if envoy.poll() is not None:
            raise AssertionError((cls.folder / "log").read_text())

    @classmethod
    def configuration(cls):
        """The overlay's, on this machine alone."""
        configuration = yaml.safe_load(CONFIGURATION.read_text())
        static = configuration["static_resources"]
        public, inner = static["listeners"]
        for listener, port in ((public, cls.public), (inner, cls.inner)):
            listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
            for manager in [each["typed_config"] for each in listener["filter_chains"][0]["filters"] if "http_filters" in each["typed_config"]]:
                wasm = program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")
                manager["http_filters"][0]["typed_config"]["config"]["vm_config"]["code"] = {"local": {"filename": wasm}}
        (sidecar,) = inner["filter_chains"][0]["filters"][0]["typed_config"]["rules"]["policies"]["sidecar"]["principals"]
        sidecar["direct_remote_ip"] = {"address_prefix": "127.0.0.1", "prefix_len": 32}
        (endpoint,) = static["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = cls.homeserver.port
        return configuration

    @classmethod
    def asks_public(cls, **fields):
        return ask(cls.public, **fields)

    def test_the_sidecars_listener_takes_nobody_else(self):
        self.assertEqual(ask(self.inner)[0], 200)
        self.homeserver.requests.clear()
        self.assertEqual(ask(self.inner, "127.0.0.2")[0], None)
        self.assertEqual(self.homeserver.requests, [])

    def test_the_sidecar_asks_where_that_listener_is(self):
        # Parts that stand in the file in two forms.
        address = yaml.safe_load(CONFIGURATION.read_text())["static_resources"]["listeners"][1]["address"]["socket_address"]
        overlay = yaml.safe_load((CONFIGURATION.parent / "kustomization.yaml").read_text())
        settings, policy = [yaml.safe_load(each["patch"]) for each in overlay["patches"]]
        self.assertEqual(settings["data"]["LOWBAND_UPSTREAM"], "http://{address}:{port_value}".format(**address))
        self.assertEqual([each["value"] for each in policy], [[{"ipBlock": {"cidr": f"{address['address']}/32"}}]])


if __name__ == "__main__":
    unittest.main()
