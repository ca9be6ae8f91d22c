"""The certificate's Secret is replaced: who comes then is shown the new one, over DTLS and HTTPS, by every pod; no session ends, no container
starts again. A pair that does not fit leaves the one of before, and is told."""

import hashlib
import re
import select
import ssl
import subprocess
import time

from cluster import NAMESPACE, Case, Certificate, cluster, wait_for
from pods import all_ready, ready

# The kubelet of the tests looks at a Secret every 10 s, give or take a half, and those of clusters once a
# minute: there it took 68 to 98 s.
SYNC = 60
OVER = {"DTLS": ["-dtls1_2"], "HTTPS": []}
REFUSED, TAKEN = (f'lowband_certificate_reloads_total{{result="{result}"}}' for result in ("refused", "taken"))


def shown(pod, over):
    """SHA-256 of the certificate that a new handshake shows."""
    line = ["openssl", "s_client", *OVER[over], "-connect", f"{pod.address}:8008"]
    told = cluster.node.client("timeout", "10", *line, input="", check=False).stdout
    found = re.search("-----BEGIN CERTIFICATE-----.*-----END CERTIFICATE-----\n", told, re.DOTALL)
    return found and fingerprint(found[0])


class Held:
    """A session of OpenSSL's own client that stays open, and what it says and hears."""

    def __init__(self, pod, over, said, heard):
        line = ["openssl", "s_client", *OVER[over], "-quiet", "-connect", f"{pod.address}:8008"]
        self.over, self.said, self.heard = over, said, heard
        self.process = subprocess.Popen(
            cluster.node.enter_client(*line), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )

    def lives(self):
        self.process.stdin.write(self.said)
        got, deadline = b"", time.monotonic() + 60
        while self.heard not in got and time.monotonic() < deadline:
            if select.select([self.process.stdout], [], [], 1)[0]:
                more = self.process.stdout.read(4096)
                if not more:
                    break
                got += more
        return self.heard in got

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def held(pod):
    # The Empty message asks for an acknowledgement, "CoAP ping" (RFC 7252 section 4.3); a Reset answers it.
    ping, reset = b"\x40\x00\x12\x34", b"\x70\x00\x12\x34"
    return [Held(pod, "DTLS", ping, reset), Held(pod, "HTTPS", b"GET /.lowband/ready HTTP/1.1\r\nhost: x\r\n\r\n", b"ready\n")]


def fingerprint(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


class Renewal(Case):
    def test_a_renewed_secret_is_taken_up_by_every_pod_and_one_that_does_not_fit_is_not(self):
        with self.deployed() as self.manifests:
            cluster.available()
            self.pods = all_ready()
            self.held = [each for pod in self.pods for each in held(pod)]
            for each in self.held:
                self.addCleanup(each.end)
            self.check_all_live()
            self.check_shown(cluster.certificate)

            renewed = self.certificate("renewed")
            after = self.replace(renewed.text, renewed.key, lambda: self.all_show(renewed))
            print(f"\na renewed Secret is served by all pods, over DTLS and HTTPS, {after:.1f} s after it was applied", flush=True)
            for pod in self.pods:
                self.assertEqual(self.reloads(pod), (1, 0))
                self.assertIn("renewed certificate in use for new handshakes", pod.log("sidecar"))

            after = self.replace(self.certificate("other").text, renewed.key, self.all_have_refused, hurry=True)
            print(f"\none that does not fit is refused by all of them {after:.1f} s after it was applied", flush=True)
            self.check_shown(renewed)
            for pod in self.pods:
                # The line must not come at each look.
                (line,) = [line for line in pod.log("sidecar").splitlines() if "ERROR" in line]
                own = '--key "/etc/lowband/certificate/tls.key": it and the certificate "/etc/lowband/certificate/tls.crt" do not belong together'
                self.assertTrue(line.endswith(own), line)
                self.assertIn("KEY_VALUES_MISMATCH", pod.log("envoy"))
                self.assertEqual(pod.metrics()["lowband_certificate_last_reload_successful"], 0)

            self.check_nothing_ended()

    def certificate(self, name):
        return Certificate(cluster.folder, file=name)

    def replace(self, certificate, key, is_done, hurry=False):
        """Seconds until it shows. Whoever is in a hurry changes anything of the pods, upon which the kubelet looks at their volumes."""
        self.manifests.paste("tls.crt", certificate)
        self.manifests.paste("tls.key", key)
        began = time.monotonic()
        cluster.apply(self.manifests)
        if hurry:
            cluster.kubectl("--namespace", NAMESPACE, "annotate", "pods", "--selector", "app.kubernetes.io/name=lowband", "certificate=changed")
        wait_for("all pods have it", lambda: self.check_all_live() or is_done(), SYNC)
        return time.monotonic() - began

    def all_show(self, certificate):
        return all(shown(pod, over) == fingerprint(certificate.text) for pod in self.pods for over in OVER)

    def check_shown(self, certificate):
        for pod in self.pods:
            for over in OVER:
                self.assertEqual(shown(pod, over), fingerprint(certificate.text), over)

    def reloads(self, pod):
        metrics = pod.metrics()
        return metrics[TAKEN], metrics[REFUSED]

    def all_have_refused(self):
        failed = 'envoy_sds_key_rotation_failed{envoy_xds_resource_name="certificate"}'
        return all(pod.metrics()[REFUSED] == 1 and pod.metrics(9465)[failed] > 0 for pod in self.pods)

    def check_all_live(self):
        for each in self.held:
            self.assertTrue(each.lives(), f"a session over {each.over} has ended")

    def check_nothing_ended(self):
        self.check_all_live()
        self.assertEqual({pod.name for pod in ready()}, {pod.name for pod in self.pods})
        for pod in ready():
            self.assertEqual(pod.restarts, 0, pod.name)
            metrics = pod.metrics()
            # Peers close their sessions: the readiness probe, and the clients that have looked at the
            # certificate.
            for reason in ("alert", "replaced", "idle", "evicted"):
                self.assertEqual(metrics[f'lowband_sessions_ended_total{{reason="{reason}"}}'], 0, reason)
