"""The overlays: an API server with the real schemas takes each of them, and refuses a misspelt field."""

import pathlib
import re
import shutil

from cluster import CRDS, NODE, Case, cluster, program

VERSIONS = "/_matrix/client/versions"


def definition(kind):
    """The published schema of a kind, as text."""
    folder = pathlib.Path(program("LOWBAND_CRDS", CRDS, "setup-test"))
    for file in folder.glob("*.yaml"):
        for text in file.read_text().split("\n---\n"):
            if f"\n    kind: {kind}\n" in text and "kind: CustomResourceDefinition" in text:
                return text
    raise AssertionError(f"no schema of {kind} in {folder}")


class Overlay(Case):
    """A test of some of them."""

    @classmethod
    def take_schemas(cls, *kinds):
        """Until the API server knows these kinds: their names there."""
        schemas = "\n---\n".join(map(definition, kinds))
        told = cluster.kubectl("apply", "--server-side", "--filename", "-", "--output=name", input=schemas).stdout.split()
        cls.addClassCleanup(cluster.kubectl, "delete", *told, timeout=180)
        assert len(told) == len(kinds), told
        cluster.kubectl("wait", "--for=condition=Established", *told, "--timeout=120s", timeout=150)
        return [each.removeprefix("customresourcedefinition.apiextensions.k8s.io/") for each in told]

    def overlay(self, *names):
        """An edited copy of deploy/ with these in it."""
        manifests = cluster.manifests()
        manifests.edit("Kustomization", r"\{ name: registry.*", "{ name: unused, newTag: unused }")
        manifests.edit("Kustomization", r"\{ name: docker.*", "{ name: unused-too, newTag: unused }")
        manifests.edit("Kustomization", r"components: \[\]", f"components: [{', '.join(f'overlays/{name}' for name in names)}]")
        self.addCleanup(self.away, manifests.folder)
        return manifests.folder

    def away(self, folder):
        cluster.kubectl("delete", "--kustomize", folder, "--ignore-not-found", timeout=180)

    def refuses(self, folder, file, old, new):
        """A field that is misspelt, by its name."""
        wrong = folder.with_name(folder.name + "-wrong")
        shutil.rmtree(wrong, ignore_errors=True)
        shutil.copytree(folder, wrong)
        text, count = re.subn(rf"\b{old}:", f"{new}:", (wrong / file).read_text(), count=1)
        self.assertEqual(count, 1)
        (wrong / file).write_text(text)
        told = cluster.kubectl("apply", "--kustomize", wrong, check=False)
        self.assertEqual(told.returncode, 1)
        self.assertRegex(told.stderr, f'unknown field ".*{new}"')


class Overlays(Overlay):
    def test_without_a_load_balancer_the_nodes_ports_are_reached(self):
        folder = self.overlay("nodeport")
        cluster.kubectl("apply", "--kustomize", folder)
        cluster.available()
        answer = cluster.reaches(lambda address, path: cluster.coap(address, "GET", path, seconds=3), f"{NODE}:30808", VERSIONS)
        self.assertEqual(cluster.reaches(cluster.https, f"{NODE}:30809", VERSIONS), answer)
        self.assertEqual(cluster.kubectl("diff", "--kustomize", folder, check=False).returncode, 0)

    def test_cert_managers_certificate_stands_in_for_the_secret(self):
        self.take_schemas("Certificate")
        folder = self.overlay("cert-manager")
        told = cluster.kubectl("apply", "--kustomize", folder).stdout
        self.assertIn("certificate.cert-manager.io/lowband created", told)
        self.assertNotIn("secret/", told)
        (certificate,) = cluster.get("certificates.cert-manager.io")["items"]
        volumes = cluster.get("deployment", "lowband")["spec"]["template"]["spec"]["volumes"]
        self.assertIn(certificate["spec"]["secretName"], [each.get("secret", {}).get("secretName") for each in volumes])
        self.refuses(folder, "overlays/cert-manager/certificate.yaml", "rotationPolicy", "rotatePolicy")
