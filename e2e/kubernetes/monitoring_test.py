"""The overlay for Prometheus: the real schemas of its operator take it, and what it names is there to be scraped."""

from cluster import cluster
from overlays_test import Overlay


class Monitoring(Overlay):
    @classmethod
    def setUpClass(cls):
        cls.take_schemas("PodMonitor", "PrometheusRule")

    def setUp(self):
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
        for file, old, new in [("pod-monitor", "path", "pfad"), ("rules", "alert", "allert")]:
            self.refuses(self.folder, f"overlays/monitoring/{file}.yaml", old, new)
