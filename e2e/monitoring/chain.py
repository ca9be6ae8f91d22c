"""What the tests of the monitoring are made of: Envoy with the filter, the sidecar and a Prometheus that scrapes both, all real. The homeserver
is a stub."""

import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "envoy-filter/tests"))

import parts  # noqa: E402
from parts import Envoy, Homeserver, free_port, program, wait_for  # noqa: E402

MONITORING = ROOT / "deploy/overlays/monitoring"
# What the Prometheus Operator would write onto the series of a pod.
TARGET = {"job": "lowband/lowband", "namespace": "lowband", "pod": "lowband-0", "container": "any"}


def promtool(*arguments, **options):
    tool = program("LOWBAND_PROMTOOL", ".tools/prometheus/promtool", "setup-test")
    return subprocess.run([tool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def plain_rules():
    """The rules for a Prometheus without the operator, by the command that stands at their head."""
    (line,) = [line for line in (MONITORING / "rules.yaml").read_text().splitlines() if line.startswith("#   sed ")]
    command = line.removeprefix("#   ").rsplit(" > ", 1)[0]
    return subprocess.run(command, shell=True, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout


def page(url, accept=None):
    """(Content-Type, text)"""
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.headers["Content-Type"], response.read().decode()


class Sidecar(parts.Sidecar):
    """The sidecar before an Envoy, with its certificate."""

    def __init__(self, envoy):
        self.admin = f"127.0.0.1:{free_port()}"
        super().__init__(envoy.folder.name, f"unix:{envoy.socket}", "--admin", self.admin)

    def coap(self, *arguments, path):
        """The status of one request of a client, as `lowband coap` has it."""
        return self.ask(path, "-o", "/dev/null", *arguments).returncode


class Relay:
    """Passes /metrics on without `Accept`, so that Prometheus gets the format for those who prefer none."""

    def __init__(self, admin):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                kind, text = page(f"http://{admin}/metrics")
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Prometheus:
    """Scrapes `targets` each second, name for the label `endpoint` -> address, under our rules."""

    def __init__(self, targets):
        self.folder = tempfile.TemporaryDirectory()
        self.address = f"127.0.0.1:{free_port()}"
        folder = pathlib.Path(self.folder.name)
        (folder / "lowband.yaml").write_text(plain_rules())
        jobs = [
            {
                "job_name": endpoint, "static_configs": [{"targets": [address], "labels": {**TARGET, "endpoint": endpoint}}],
                # By the job's name the label would be another one.
                "relabel_configs": [{"target_label": "job", "replacement": TARGET["job"]}],
            }
            for endpoint, address in targets.items()
        ]
        times = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        (folder / "prometheus.yml").write_text(json.dumps({"global": times, "rule_files": ["lowband.yaml"], "scrape_configs": jobs}))
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(
            [
                program("LOWBAND_PROMETHEUS", ".tools/prometheus/prometheus", "setup-test"), f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data", f"--web.listen-address={self.address}",
            ],
            stdout=self.log, stderr=subprocess.STDOUT,
        )

    def ask(self, path, **query):
        """The `data` of an answer of its API."""
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query, doseq=True)}", timeout=10) as response:
            return json.load(response)["data"]

    def read_log(self):
        return pathlib.Path(self.log.name).read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
        self.folder.cleanup()


class Chain:
    """All of it, after some requests that went well, waited, or failed."""

    def __init__(self, case):
        self.homeserver = Homeserver()
        metrics = f"127.0.0.1:{free_port()}"
        self.envoy = Envoy(f"http://127.0.0.1:{self.homeserver.port}", "--metrics", metrics)
        case.addClassCleanup(self.envoy.stop)
        self.envoy.ready()
        self.sidecar = Sidecar(self.envoy)
        case.addClassCleanup(self.sidecar.stop)
        wait_for("the sidecar is ready", lambda: self.answers(f"http://{self.sidecar.admin}/readyz"))
        self.relay = Relay(self.sidecar.admin)
        case.addClassCleanup(self.relay.stop)
        self.targets = {"admin": self.sidecar.admin, "plain": self.relay.address, "envoy-metrics": metrics}
        self.prometheus = Prometheus(self.targets)
        case.addClassCleanup(self.prometheus.stop)
        try:
            wait_for("Prometheus has scraped", self.scraped)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.prometheus.read_log()}") from late
        self.traffic()
        # A rate needs two scrapes behind each other, and a rule their result.
        (before,) = self.prometheus.ask("query", query="min(timestamp(up))")["result"]
        later = f"min(timestamp(up)) > {before['value'][1]} + 3"
        wait_for("Prometheus has seen it", lambda: self.prometheus.ask("query", query=later)["result"])

    def traffic(self):
        for status, arguments, path in [
            (0, [], "/_matrix/client/versions"),
            (0, [], "/_matrix/client/v3/sync?timeout=1000"),
            (0, ["-X", "PUT", "-d", "@/dev/null"], "/_matrix/client/v3/rooms/!a:b/send/m.room.message/1"),
            # 5.05: that is for HTTPS.
            (22, [], "/_synapse/admin"),
        ]:
            told = self.sidecar.coap("--fail", *arguments, path=path)
            assert told == status, f"{path}: {told}"

    def answers(self, url):
        try:
            return page(url)
        except OSError:
            return None

    def scraped(self):
        try:
            found = self.prometheus.ask("query", query="up == 1")["result"]
        except OSError:
            return False
        return len(found) == len(self.targets)

    def scrape(self, endpoint, accept=None):
        return page(f"http://{self.targets[endpoint]}/metrics", accept)
