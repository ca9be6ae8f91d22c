"""The overlays for an Envoy that is there: an API server with the real schemas takes each, alone and with another one, and refuses what is
misspelt; the pod is the sidecar alone; and what was there before stays when they go. No controller of any of them runs here."""

import re
import subprocess

from cluster import CLIENT, HOMESERVER, NAMESPACE, NODE, ROOT, cluster, program, wait_for
from overlays_test import VERSIONS, Overlay
from pods import all_ready, ready

# Overlay -> what has to be there: namespaces, and kinds by the files of their schemas.
NEEDS = {
    "envoy-gateway": (["matrix", "envoy-gateway-system"], ["Gateway", "GatewayClass", "HTTPRoute", "EnvoyProxy", "EnvoyExtensionPolicy",
                                                           "ClientTrafficPolicy", "BackendTrafficPolicy", "EnvoyPatchPolicy"]),
    "istio": (["matrix"], ["Gateway", "HTTPRoute", "WasmPlugin", "EnvoyFilter"]),
    "envoy": ([], []),
}
# File of an overlay, a field in it, and the same misspelt.
MISSPELT = {
    "envoy-gateway": [
        ("clients.yaml", "image", "imag"),
        ("clients.yaml", "bufferLimit", "bufferLimt"),
        ("clients.yaml", "jsonPatches", "jsonPatch"),
        ("sidecar.yaml", "infrastructure", "infrastructur"),
        ("sidecar.yaml", "envoyDeployment", "envoyDeploymnt"),
        ("sidecar.yaml", "numTrustedHops", "numTrustedHop"),
        ("sidecar.yaml", "connectionIdleTimeout", "connectionIdleTimout"),
        ("sidecar.yaml", "backendRefs", "backendRef"),
    ],
    "istio": [
        ("clients.yaml", "failStrategy", "failStrateg"),
        ("clients.yaml", "applyTo", "aplyTo"),
        ("sidecar.yaml", "allowedRoutes", "allowedRoute"),
        ("sidecar.yaml", "backendRefs", "backendRef"),
        ("sidecar.yaml", "policyTypes", "policyType"),
    ],
    "envoy": [("kustomization.yaml", "ipBlock", "ipBlok")],
}
DOCUMENT = (ROOT / "docs/ingress.md").read_text()
LABEL = "app.kubernetes.io/part-of=lowband"


class Ingress(Overlay):
    @classmethod
    def setUpClass(cls):
        kinds = sorted({kind for _, kinds in NEEDS.values() for kind in kinds})
        cls.kinds = cls.take_schemas(*kinds)
        for namespace in ("matrix", "envoy-gateway-system"):
            cluster.kubectl("create", "namespace", namespace)
            cls.addClassCleanup(cluster.kubectl, "delete", "namespace", namespace, timeout=180)

    def test_each_is_taken_and_goes_without_a_trace(self):
        for name in NEEDS:
            with self.subTest(name):
                folder = self.overlay(name)
                for command in self.commands(folder, "apply", "diff"):
                    # `diff` has another status where there is a difference.
                    cluster.kubectl(*command)
                self.assertNotEqual(self.ours(), [])
                self.check_pod()
                (command,) = self.commands(folder, "delete")
                cluster.kubectl(*command, timeout=180)
                self.assertEqual(self.ours(), [])
                self.assertEqual(cluster.kubectl("get", "namespace", NAMESPACE, check=False).returncode, 1)
                cluster.kubectl("get", "namespace", "matrix", "envoy-gateway-system")

    def commands(self, folder, *verbs):
        """Those of docs/ingress.md, for this folder."""
        found = [re.search(rf"kubectl ({verb} -k)\s+deploy/", DOCUMENT) for verb in verbs]
        return [[*each[1].split(), folder] for each in found]

    def ours(self):
        """All that the overlays have put anywhere."""
        kinds = ",".join([*self.kinds, "networkpolicies", "configmaps", "deployments", "services"])
        return cluster.kubectl("get", kinds, "--all-namespaces", "--selector", LABEL, "--output", "name").stdout.split()

    def check_pod(self):
        cluster.available()
        spec = cluster.get("deployment", "lowband")["spec"]["template"]["spec"]
        self.assertEqual([each["name"] for each in spec["containers"] + spec["initContainers"]], ["sidecar", "check"])
        self.assertEqual([each["name"] for each in spec["volumes"]], ["certificate"])
        # Nothing is left that is about an Envoy in the pod.
        self.assertEqual(re.findall("envoy|9465|/run/lowband", str(spec), re.IGNORECASE), [])
        self.assertEqual([each["metadata"]["name"] for each in cluster.get("services")["items"]], ["lowband-udp"])

    def test_each_goes_with_the_ports_of_the_nodes_in_either_order(self):
        for name in NEEDS:
            rendered = [cluster.kubectl("kustomize", self.overlay(*names)).stdout for names in ((name, "nodeport"), ("nodeport", name))]
            self.assertEqual(rendered[0], rendered[1], name)
            self.assertIn("nodePort: 30808", rendered[0])
            self.assertNotIn("lowband-tcp", rendered[0])

    def test_a_misspelt_field_is_refused_in_each(self):
        for name, fields in MISSPELT.items():
            folder = self.overlay(name)
            for file, old, new in fields:
                with self.subTest(name, file=file, field=new):
                    self.refuses(folder, f"overlays/{name}/{file}", old, new)

    def test_an_envoy_outside_the_cluster(self):
        """The whole way: a client, the pod, an Envoy that is no pod, Synapse."""
        envoy, number = self.start_envoy()
        folder = self.overlay("envoy", "nodeport")
        kustomization = folder / "overlays/envoy/kustomization.yaml"
        kustomization.write_text(kustomization.read_text().replace("10.0.0.2", CLIENT))
        cluster.kubectl("apply", "--kustomize", folder)
        cluster.available()
        asks = lambda address, path: cluster.coap(address, "GET", path, seconds=3)  # noqa: E731
        self.assertIn("v1.1", cluster.reaches(asks, f"{NODE}:30808", VERSIONS)["versions"])
        pods = {each.name for each in all_ready()}
        # Without it the sidecar says so, and serves on.
        cluster.node.client("kill", number.read_text().strip())
        envoy.wait(30)
        lowband = program("LOWBAND", "target/release/lowband", "build")
        asked = [lowband, "coap", "-i", "-k", "-m", "10", f"coaps://{NODE}:30808{VERSIONS}"]
        told = cluster.node.client(*asked, check=False, text=False)
        self.assertIn(b"5.02", told.stdout + told.stderr)
        self.assertEqual({each.name for each in ready()}, pods)

    def start_envoy(self):
        text = (ROOT / "deploy/overlays/envoy/envoy.yaml").read_text()
        filter_ = program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")
        homeserver = HOMESERVER.removeprefix("http://").split(":")
        for old, new in (
            ("address: 0.0.0.0, port_value: 8008", f"address: {CLIENT}, port_value: 8448"),
            ("address: 10.0.0.2, port_value: 8009", f"address: {CLIENT}, port_value: 8009"),
            ("address_prefix: 10.0.0.0, prefix_len: 16", f"address_prefix: {NODE}, prefix_len: 32"),
            ("filename: /etc/envoy/lowband-filter.wasm", f"filename: {filter_}"),
            ("address: 127.0.0.1, port_value: 8018", "address: {}, port_value: {}".format(*homeserver)),
        ):
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        configuration = cluster.folder / "outside-envoy.yaml"
        configuration.write_text(text)
        binary = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        run = [binary, "-c", configuration, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]
        number = cluster.folder / "outside-envoy.pid"
        # What enters the namespace of processes is another process than the one that runs there.
        run = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', number, *run]
        with open(cluster.folder / "outside-envoy.log", "wb") as log:
            envoy = subprocess.Popen(cluster.node.enter_client(*run), stdout=log, stderr=subprocess.STDOUT)
        answers = lambda: cluster.node.client("curl", "-sf", f"http://{CLIENT}:8448{VERSIONS}", check=False).returncode == 0  # noqa: E731
        wait_for("the Envoy outside serves", answers, 30)
        return envoy, number
