"""The commands of docs/kubernetes.md, one after the other in one shell outside of the node, give the output that stands under them."""

import pathlib
import re

from cluster import BALANCER, ROOT, Case, Certificate, cluster, lowband

# Text in the document that stands for any output.
ANYTHING = "[...]"
HOST = "matrix.example.org"


def blocks():
    text = (ROOT / "docs/kubernetes.md").read_text()
    return re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(block):
    """Each with the output that is shown."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    assert parts[0] == "", f"a block begins with a command: {parts[0]}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


class Documents(Case):
    def test_kubernetes_md(self):
        self.folder = cluster.folder / "reader"
        self.folder.mkdir()
        certificate = Certificate(self.folder, HOST)
        manifests = cluster.manifests(certificate)
        self.addCleanup(cluster.delete, manifests)
        (self.folder / "deploy").symlink_to(manifests.folder)
        renewed = Certificate(self.folder, HOST, file="renewed")
        (self.folder / "authorities.pem").write_text(certificate.text + renewed.text)
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{BALANCER} {HOST}\n")
        cluster.kubectl("create", "namespace", "monitoring")
        self.addCleanup(cluster.kubectl, "delete", "namespace", "monitoring", timeout=180)
        for block in blocks():
            for command, shown in commands(block):
                with self.subTest(command):
                    self.assertRegex(self.run_as_reader(command), pattern(shown))
            if "apply -f deploy/" in block:
                # A cloud assigns addresses in the meantime.
                cluster.give_address("lowband-udp", "lowband-tcp")
                url = f"https://{HOST}:8008/_matrix/client/versions"
                for ask in (f"lowband coap -m 3 {url} | lowband jc -c2j -", f"curl -sS -m 3 {url}"):
                    cluster.reaches(lambda _, line: self.run_as_reader(line), HOST, ask)
        self.assertEqual(cluster.kubectl("get", "namespace", "lowband", check=False).returncode, 1)

    def run_as_reader(self, command):
        """Outside of the node, with an address for the host of the document."""
        authorities = [f"{variable}={self.folder}/authorities.pem" for variable in ("SSL_CERT_FILE", "CURL_CA_BUNDLE")]
        variables = [*authorities, f"PROGRAM={pathlib.Path(lowband()).parent}"]
        shell = f'mount --bind {self.folder}/hosts /etc/hosts; cd {self.folder}; PATH="$PROGRAM:$PATH"; {command}'
        line = ["unshare", "--mount", "env", *variables, "bash", "-e", "-o", "pipefail", "-c", shell]
        return cluster.node.client(*line, timeout=240).stdout


def pattern(shown):
    """For the whole output, with the pieces that are shown."""
    return re.compile(r"\A" + ".*".join(map(re.escape, shown.rstrip().split(ANYTHING))) + r"\s*\Z", re.DOTALL)
