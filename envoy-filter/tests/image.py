#!/usr/bin/env python3
"""The OCI image of the filter, read as a registry's client reads it: by its blobs and their digests.

LOWBAND_WASM names the module; what is not set is taken from where the Makefile puts it.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WASM = pathlib.Path(os.environ.get("LOWBAND_WASM") or ROOT / "target/lowband-filter.wasm")


class Image(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def build(self, module=WASM, umask=0o022):
        """Returns (the digest that is printed, the files of the archive)."""
        archive = self.folder / "image.tar"
        command = [ROOT / "tools/image-filter", module, archive, "0.1.0"]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, umask=umask, cwd=self.folder).stdout
        with tarfile.open(archive) as files:
            return printed.strip(), {file.name: files.extractfile(file).read() for file in files if file.isfile()}

    def blob(self, files, descriptor):
        """Returns the content of a descriptor, checked against its digest and size."""
        kind, digest = descriptor["digest"].split(":")
        data = files[f"blobs/{kind}/{digest}"]
        self.assertEqual((len(data), kind, hashlib.sha256(data).hexdigest()), (descriptor["size"], "sha256", digest))
        return data

    def test_its_one_layer_holds_the_module_and_nothing_else(self):
        printed, files = self.build()
        (only,) = json.loads(files["index.json"])["manifests"]
        self.assertEqual(only["digest"], printed)
        manifest = json.loads(self.blob(files, only))
        (layer,) = manifest["layers"]
        # The kind that Envoy Gateway and Istio look for, besides one of Docker's and one of their own.
        self.assertEqual(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip")
        unpacked = gzip.decompress(self.blob(files, layer))
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as content:
            (file,) = content.getmembers()
            self.assertEqual((file.name, file.isfile(), file.mode), ("plugin.wasm", True, 0o644))
            self.assertEqual((file.uid, file.gid, file.mtime, file.pax_headers), (0, 0, 0, {}))
            self.assertEqual(content.extractfile(file).read(), WASM.read_bytes())
        configuration = json.loads(self.blob(files, manifest["config"]))
        self.assertEqual(configuration["rootfs"]["diff_ids"], [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"])
        self.assertEqual(configuration["config"], {})

    def test_the_same_module_gives_the_same_digest_and_another_one_another(self):
        first, _ = self.build()
        copy = self.folder / "copy"
        copy.write_bytes(WASM.read_bytes())
        copy.chmod(0o600)
        os.utime(copy, (1_000_000_000, 1_000_000_000))
        self.assertEqual(self.build(copy, umask=0o077)[0], first)
        copy.write_bytes(WASM.read_bytes() + b"\0")
        self.assertNotEqual(self.build(copy)[0], first)


if __name__ == "__main__":
    unittest.main()
