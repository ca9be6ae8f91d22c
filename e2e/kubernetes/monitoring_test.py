"""The overlay for Prometheus: the real schemas of its operator take it, and what it names is there to be scraped."""

import shutil

import overlays_test
from cluster import CRDS, Case, cluster, part

SCHEMAS = ("podmonitors", "prometheusrules")


class Monitoring(Case):
    overlay, away = overlays_test.Overlays.overlay, overlays_test.Overlays.away

    def setUp(self):
        crds = part("LOWBAND_CRDS", CRDS, "setup-test")
        for kind in SCHEMAS:
            schema = f"{crds}/monitoring.coreos.com_{kind}.yaml"
            cluster.kubectl("apply", "--server-side", "--filename", schema)
            self.addCleanup(cluster.kubectl, "delete", "--filename", schema)
            cluster.kubectl("wait", "--for=condition=Established", f"crd/{kind}.monitoring.coreos.com", "--timeout=60s")
        self.folder = self.overlay("monitoring")
        self.told = cluster.kubectl("apply", "--kustomize", self.folder).stdout

    def test_the_operators_schemas_take_the_overlay_and_its_targets_answer(self):
        for made in ("podmonitor.monitoring.coreos.com/lowband", "prometheusrule.monitoring.coreos.com/lowband", "configmap/lowband-dashboard"):
            self.assertIn(f"{made} created", self.told)
        dashboard = cluster.get("configmap", "lowband-dashboard")
        self.assertEqual(dashboard["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(dashboard["data"]["lowband.json"], (self.folder / "overlays/monitoring/dashboard.json").read_text())
        cluster.available()
        monitor = cluster.get("podmonitors.monitoring.coreos.com", "lowband")
        selector = ",".join(f"{name}={value}" for name, value in monitor["spec"]["selector"]["matchLabels"].items())
        pods = cluster.get("pods", "--selector", selector)["items"]
        self.assertTrue(pods)
        for pod in pods:
            # Of all containers, as Prometheus finds them: Envoy's is an init container that stays.
            containers = pod["spec"]["containers"] + pod["spec"]["initContainers"]
            ports = {port["name"]: port["containerPort"] for container in containers for port in container.get("ports", [])}
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                url = f"http://{pod['status']['podIP']}:{ports[endpoint['port']]}{endpoint['path']}"
                scrape = cluster.outside(["curl", "-sSf", "--max-time", "10", url]).decode()
                self.assertIn("# TYPE lowband_", scrape, url)

    def test_a_misspelt_field_is_refused(self):
        for file, right, wrong in [("pod-monitor", "path: /metrics", "pfad: /metrics"), ("rules", "- alert: LowbandDown", "- allert: LowbandDown")]:
            folder = self.folder.with_name(f"{self.folder.name}-{file}")
            shutil.copytree(self.folder, folder)
            path = folder / f"overlays/monitoring/{file}.yaml"
            path.write_text(path.read_text().replace(right, wrong, 1))
            told = cluster.kubectl("apply", "--kustomize", folder, check=False)
            self.assertEqual(told.returncode, 1)
            self.assertRegex(told.stderr, f'unknown field ".*{wrong.split(":")[0].removeprefix("- ")}"')
