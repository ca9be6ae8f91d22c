#!/usr/bin/env python3
"""The image of the sidecar and what its list of contents says, read as a registry's client and a scanner read them."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = ROOT / "target"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# Compressed, and with room for what grows: the program has 2.2 MB, the libraries and certificates 4.0 MB.
LARGEST = 8_000_000


def program(name):
    path = TARGET / name
    assert path.exists(), f"{path} is not there: `make images`"
    return path


def read(archive):
    with tarfile.open(archive) as files:
        return {file.name: files.extractfile(file).read() for file in files if file.isfile()}


def blob(files, descriptor):
    kind, digest = descriptor["digest"].split(":")
    data = files[f"blobs/{kind}/{digest}"]
    assert (len(data), hashlib.sha256(data).hexdigest()) == (descriptor["size"], digest)
    return data


def files_of(layers):
    """name -> (member, content) of all layers."""
    found = {}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as content:
            found.update({each.name: (each, content.extractfile(each).read() if each.isfile() else b"") for each in content})
    return found


class Sidecar(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.archive = program("lowband-sidecar.tar")
        cls.files = read(cls.archive)
        (cls.index,) = json.loads(cls.files["index.json"])["manifests"]
        cls.manifest = json.loads(blob(cls.files, cls.index))
        cls.configuration = json.loads(blob(cls.files, cls.manifest["config"]))
        cls.content = files_of(blob(cls.files, each) for each in cls.manifest["layers"])
        cls.sbom = json.loads(program("lowband-sidecar.spdx.json").read_text())

    def test_it_holds_what_the_program_needs_and_nothing_else(self):
        linked = subprocess.run([ROOT / "tools/libraries", program("release/lowband-sidecar")], check=True, stdout=subprocess.PIPE, text=True)
        libraries = {name[1:] for name in linked.stdout.split()}
        self.assertTrue(any("libssl" in name for name in libraries) and any("ld-linux" in name for name in libraries), libraries)
        own = {"lowband-sidecar", "lowband-filter.wasm", "etc/ssl/certs/ca-certificates.crt"}
        self.assertEqual({name for name, (member, _) in self.content.items() if not member.isdir()}, libraries | own)
        for name, (member, _) in self.content.items():
            self.assertEqual((member.uid, member.gid, member.mtime, member.pax_headers), (0, 0, 0, {}), name)
            self.assertTrue(member.isfile() or member.isdir(), name)
            self.assertFalse(member.mode & 0o7022, f"{name} has mode {member.mode:o}")
        self.assertEqual(self.content["lowband-sidecar"][1], program("release/lowband-sidecar").read_bytes())
        self.assertEqual(self.content["lowband-filter.wasm"][1], program("lowband-filter.wasm").read_bytes())

    def test_it_is_small_and_holds_no_path_of_the_machine_that_built_it(self):
        size = sum(layer["size"] for layer in self.manifest["layers"])
        print(f"\nthe sidecar's image: {size:,} bytes compressed, in layers of {[layer['size'] for layer in self.manifest['layers']]}")
        self.assertLess(size, LARGEST)
        for place in (str(ROOT), os.environ.get("CARGO_HOME") or f"{pathlib.Path.home()}/.cargo"):
            self.assertNotIn(place.encode(), self.content["lowband-sidecar"][1])

    def test_its_user_is_a_number_and_its_layers_are_what_every_registry_takes(self):
        config = self.configuration["config"]
        self.assertEqual((config["User"], config["Entrypoint"]), ("65532:65532", ["/lowband-sidecar"]))
        self.assertEqual(config["Labels"]["org.opencontainers.image.version"], VERSION)
        self.assertEqual(self.index["annotations"]["org.opencontainers.image.ref.name"], f"localhost/lowband-sidecar:{VERSION}")
        for layer in self.manifest["layers"]:
            self.assertEqual(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip")

    def test_the_same_files_give_the_same_digest_in_another_folder_and_another_program_another(self):
        with tempfile.TemporaryDirectory() as folder:
            copies = []
            for name in ("release/lowband-sidecar", "lowband-filter.wasm"):
                copies.append(pathlib.Path(folder, pathlib.Path(name).name))
                shutil.copyfile(program(name), copies[-1])
                os.utime(copies[-1], (1_000_000_000, 1_000_000_000))
            copies[0].chmod(0o700)

            def build():
                line = [ROOT / "tools/image-sidecar", *copies, f"{folder}/image.tar", VERSION]
                return subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, umask=0o077, cwd=folder).stdout.strip()

            self.assertEqual(build(), self.index["digest"])
            copies[1].write_bytes(copies[1].read_bytes() + b"\0")
            self.assertNotEqual(build(), self.index["digest"])

    def test_every_crate_and_every_library_stands_in_the_list_of_contents(self):
        self.check_sbom(self.sbom, self.index["digest"])
        named = {each["externalRefs"][0]["referenceLocator"] for each in self.sbom["packages"]}
        for name in ("lowband-sidecar", "lowband-transport", "lowband-envoy-filter", "tokio", "openssl", "hyper"):
            self.assertTrue(any(re.match(rf"pkg:cargo/{name}@\d", each) for each in named), name)
        for name in ("libssl3", "libc6", "libgcc-s1", "ca-certificates"):
            self.assertTrue(any(each.startswith(f"pkg:deb/debian/{name}@") for each in named), name)
        # Crates that only the tests use are not in the list.
        self.assertFalse([each for each in named if "proptest" in each or "clap_derive" in each])

    def check_sbom(self, sbom, digest):
        self.assertEqual((sbom["spdxVersion"], sbom["dataLicense"]), ("SPDX-2.3", "CC0-1.0"))
        image, *packages = sbom["packages"]
        self.assertEqual("sha256:" + image["checksums"][0]["checksumValue"], digest)
        ids = [each["SPDXID"] for each in sbom["packages"]]
        self.assertEqual(len(ids), len(set(ids)))
        contained = {each["relatedSpdxElement"] for each in sbom["relationships"] if each["relationshipType"] == "CONTAINS"}
        self.assertEqual(contained, {each["SPDXID"] for each in packages})
        for each in packages:
            purl = each["externalRefs"][0]["referenceLocator"]
            ours = each["name"].startswith("lowband-")
            self.assertEqual("checksums" in each, purl.startswith("pkg:cargo/") and not ours, purl)
            self.assertTrue(each["licenseDeclared"] != "NOASSERTION" or purl.startswith("pkg:deb/"), purl)

    def test_the_manifests_name_this_version(self):
        for file in ("40-deployment.yaml", "Kustomization"):
            named = re.findall(r"lowband-sidecar(?::|, newTag: )([0-9.]+[0-9])", (ROOT / "deploy" / file).read_text())
            self.assertEqual(named, [VERSION], file)

    def test_the_filters_list_of_contents_is_that_of_its_image(self):
        (index,) = json.loads(read(program("lowband-filter.tar"))["index.json"])["manifests"]
        sbom = json.loads(program("lowband-filter.spdx.json").read_text())
        self.check_sbom(sbom, index["digest"])
        names = {each["name"] for each in sbom["packages"]}
        self.assertTrue({"lowband-envoy-filter", "lowband-codec", "serde_json"} <= names, names)
        self.assertFalse({"tokio", "openssl"} & names)


if __name__ == "__main__":
    unittest.main()
