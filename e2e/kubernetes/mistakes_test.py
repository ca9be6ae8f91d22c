"""Mistakes of an operator: each is one clear line where he looks, and what ran before goes on."""

import re
import subprocess

from cluster import BALANCER, NAMESPACE, Case, Certificate, cluster, command, wait_for
from pods import all_ready, names_staying, ready

VERSIONS = "/_matrix/client/versions"


class Mistakes(Case):
    @classmethod
    def setUpClass(cls):
        cls.right = cluster.manifests()
        cls.addClassCleanup(cluster.delete, cls.right)
        cluster.apply(cls.right)
        cluster.give_address("lowband-udp", "lowband-tcp")
        cluster.available()

    def setUp(self):
        self.before = {(each.name, each.restarts) for each in all_ready()}
        self.wrong = cluster.manifests()
        self.changed = self.restarted = False

    def tearDown(self):
        if self.changed:
            cluster.apply(self.right)
            if self.restarted:
                # The selector goes back to the pods that are there.
                self.rollout("undo")
            cluster.available()

    def rollout(self, verb):
        cluster.kubectl("--namespace", NAMESPACE, "rollout", verb, "deployment/lowband")

    def make(self, restart=True):
        """Applies what is wrong, and waits for the pod that suffers from it."""
        self.changed = True
        cluster.apply(self.wrong)
        self.restarted = restart
        if restart:
            self.rollout("restart")
        return wait_for("a new pod", lambda: [name for name in names_staying() - {name for name, _ in self.before}], 30)[0]

    def check_told(self, pod, pattern, https=True):
        """`kubectl describe` tells it on a line of its own, and those that ran before answer."""
        describe = lambda: cluster.kubectl("--namespace", NAMESPACE, "describe", "pod", pod).stdout  # noqa: E731
        line = wait_for(pattern, lambda: re.search(f"^.*{pattern}.*$", describe(), re.MULTILINE), 60)
        print(f"\n{' '.join(line[0].split())}", flush=True)
        self.check_the_others_serve(https)

    def check_the_others_serve(self, https=True):
        # All pods that were ready before are ready, and none has begun anew.
        self.assertLessEqual(self.before, {(each.name, each.restarts) for each in ready()})
        self.assertIn("v1.1", cluster.coap(f"{BALANCER}:8008", "GET", VERSIONS)["versions"])
        if https:
            self.assertIn("v1.1", cluster.https(f"{BALANCER}:8008", VERSIONS)["versions"])

    def test_a_homeserver_that_is_no_url(self):
        self.wrong.edit("10-settings.yaml", "LOWBAND_HOMESERVER: .*", 'LOWBAND_HOMESERVER: "matrix.example.org"')
        pod = self.make()
        self.check_told(pod, r'lowband-sidecar: --homeserver "matrix.example.org" is not a URL like https://')
        logs = cluster.kubectl("--namespace", NAMESPACE, "logs", pod, "--container", "render").stdout
        self.assertEqual(len(logs.splitlines()), 1, logs)

    def test_several_settings_that_are_wrong_are_told_at_once(self):
        for name, value in (("LOWBAND_REQUESTS_PER_SECOND", "many"), ("LOWBAND_LOG_LEVEL", "loud")):
            self.wrong.edit("10-settings.yaml", f'{name}: ".*"', f'{name}: "{value}"')
        pod = self.make()
        for option in ('requests-per-second "many" is not a whole number', 'log-level "loud" is not one of off, error, warn, info'):
            self.check_told(pod, f"lowband-sidecar: --{option}")
        status = cluster.kubectl("--namespace", NAMESPACE, "get", "pod", pod, "--no-headers").stdout.split()[2]
        self.assertIn(status, ("Init:Error", "Init:CrashLoopBackOff"))

    def test_settings_that_are_missing(self):
        self.changed = True
        cluster.kubectl("--namespace", NAMESPACE, "delete", "configmap", "lowband")
        (self.wrong.folder / "10-settings.yaml").unlink()
        self.check_told(self.make(), 'configmap "lowband" not found')

    def test_a_secret_that_is_missing(self):
        self.changed = True
        cluster.kubectl("--namespace", NAMESPACE, "delete", "secret", "lowband-certificate")
        self.wrong.edit("10-settings.yaml", r"(?s)\n---\n.*", "\n")
        self.check_told(self.make(), 'secret "lowband-certificate" not found')

    def test_a_certificate_that_does_not_fit_its_key(self):
        folder = cluster.folder / "another"
        folder.mkdir()
        self.wrong.paste("tls.key", Certificate(folder).key)
        pod = self.make()
        self.check_told(pod, r'lowband-sidecar: --(key|certificate) "/etc/lowband/certificate/tls.(key|crt)":')
        logs = cluster.kubectl("--namespace", NAMESPACE, "logs", pod, "--container", "check").stdout
        self.assertEqual(len(logs.splitlines()), 1, logs)

    def test_a_certificate_that_has_expired(self):
        was = Certificate(cluster.folder, file="expired")
        sign = ["openssl", "x509", "-in", was.path, "-signkey", was.key_path, "-days", "-1"]
        self.wrong.paste("tls.crt", command(sign, stderr=subprocess.DEVNULL).decode()).paste("tls.key", was.key)
        # Envoy does not look at the dates: it takes any certificate that fits its key, at once.
        why = r'lowband-sidecar: --certificate "/etc/lowband/certificate/tls.crt": it has expired on '
        self.check_told(self.make(), why, https=False)
        self.addCleanup(cluster.reaches, lambda address, path: cluster.https(address, path, seconds=3), f"{BALANCER}:8008", VERSIONS)

    def test_a_certificate_that_has_not_been_filled_in(self):
        for name in ("tls.crt", "tls.key"):
            self.wrong.paste(name, "it goes here")
        self.check_told(self.make(), r'lowband-sidecar: --certificate "/etc/lowband/certificate/tls.crt":')

    def test_a_digest_that_is_wrong(self):
        image = "localhost/lowband-sidecar@sha256:" + "0" * 64
        self.wrong.edit("40-deployment.yaml", "&sidecar .*", f"&sidecar {image}")
        self.check_told(self.make(restart=False), f'Failed to pull image "{image}"')

    def test_a_digest_that_has_not_been_filled_in(self):
        self.wrong.edit("40-deployment.yaml", "&envoy .*", "&envoy docker.io/envoyproxy/envoy@sha256:fill-in-the-digest")
        self.check_told(self.make(restart=False), "InvalidImageName.*fill-in-the-digest|fill-in-the-digest.*invalid reference format")

    def test_a_port_of_the_pod_that_is_in_use(self):
        # Envoy has this port.
        self.wrong.edit("40-deployment.yaml", '"0.0.0.0:9464"', '"0.0.0.0:8008"')
        self.check_told(self.make(restart=False), r"cannot bind 0\.0\.0\.0:8008/tcp \(--admin\): Address (already )?in use")

    def test_a_port_of_the_node_that_is_in_use(self):
        taken = cluster.node_port("lowband-udp")
        (self.wrong.folder / "99-another.yaml").write_text(
            "apiVersion: v1\nkind: Service\nmetadata: { name: another, namespace: lowband }\n"
            f"spec: {{ type: NodePort, ports: [{{ protocol: UDP, port: 1, nodePort: {taken} }}] }}\n"
        )
        told = cluster.apply(self.wrong, check=False)
        self.assertEqual(told.returncode, 1)
        (line,) = told.stderr.splitlines()
        self.assertIn(f"{taken}: provided port is already allocated", line)
        self.check_the_others_serve()

    def test_a_field_that_is_misspelt(self):
        self.wrong.edit("40-deployment.yaml", "readinessProbe", "redinessProbe")
        told = cluster.apply(self.wrong, check=False)
        self.assertEqual(told.returncode, 1)
        self.assertIn('unknown field "spec.template.spec.initContainers[2].redinessProbe"', told.stderr)
        self.check_the_others_serve()
