#!/usr/bin/env python3
"""lint.py: checkov and kube-score over all manifests, the plain ones and each overlay as Kustomize makes it, with every check that they have.

What they are told to leave alone stands with its reason in the manifests' annotations. An exception that nothing needs any more is a mistake.
LOWBAND_CHECKOV and LOWBAND_KUBE_SCORE name the programs.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from cluster import DEPLOY, program

# Objects of other projects.
NOT_ALONE = {"sidecar-alone"}


def run(*command, **options):
    return subprocess.run([str(each) for each in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def rendered(folder, overlay):
    """The objects as one text."""
    shutil.copytree(DEPLOY, folder, dirs_exist_ok=True)
    kustomization = folder / "Kustomization"
    text = (DEPLOY / "Kustomization").read_text()
    assert "components: []" in text
    kustomization.write_text(text.replace("components: []", f"components: [overlays/{overlay}]") if overlay else text)
    made = run(program("LOWBAND_KUBECTL", ".tools/kubernetes/kubectl", "kubernetes"), "kustomize", folder)
    if made.returncode:
        sys.exit(made.stderr)
    return made.stdout


def checkov(file):
    """What it is against: one line each."""
    checker = program("LOWBAND_CHECKOV", ".venv/linters/bin/checkov", "test-kubernetes")
    options = ["--framework", "kubernetes", "--output", "json", "--skip-download", "--quiet", "--compact"]
    # The lookup would ask its maker's machine.
    told = run(checker, "--file", file, *options, env={**os.environ, "BC_SKIP_MAPPING": "TRUE"})
    try:
        report = json.loads(told.stdout)
        passed, failed = report["summary"]["passed"], report["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        sys.exit(f"checkov: {told.stdout}\n{told.stderr}")
    assert passed > 50, report["summary"]
    return [f"{each['check_id']} {each['resource']}: {each['check_name']}" for each in failed]


def kube_score(file, *options):
    checker = program("LOWBAND_KUBE_SCORE", ".tools/kube-score", "test-kubernetes")
    optional = [line.split(",")[0] for line in run(checker, "list", check=True).stdout.splitlines() if line.endswith(",optional")]
    every = [part for each in optional for part in ("--enable-optional-test", each)]
    told = run(checker, "score", *every, "--output-format", "json", "--output-version", "v2", *options, file)
    objects = json.loads(told.stdout)
    assert objects, told.stderr
    return [
        f"{check['check']['id']} {each['object_name']}: {'; '.join(comment['summary'] for comment in check['comments'] or [])}"
        for each in objects for check in each["checks"] if not check["skipped"] and check["grade"] < 10
    ]


def exceptions(file):
    """Those that the manifests make and that nothing needs."""
    text = file.read_text()
    bare = file.with_name("without-exceptions.yaml")
    bare.write_text(text.replace("checkov.io/skip", "checkov.io/was-skip"))
    skipped = set(re.findall(r"checkov\.io/skip\d+: \W?(CKV\w+)=", text)) - {line.split()[0] for line in checkov(bare)}
    made = {name.strip() for names in re.findall(r"kube-score/ignore: (.*(?:\n      .*)*)", text) for name in names.replace("\n", " ").split(",")}
    needed = {line.split()[0] for line in kube_score(file, "--disable-ignore-checks-annotations")}
    return [f"an exception that nothing needs: {name}" for name in sorted(skipped | (made - needed))]


def main():
    overlays = sorted(each.parent.name for each in DEPLOY.glob("overlays/*/kustomization.yaml"))
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        file = folder / "manifests.yaml"
        for overlay in ["", *(each for each in overlays if each not in NOT_ALONE)]:
            file.write_text(rendered(folder / "deploy", overlay))
            found = [*checkov(file), *kube_score(file), *exceptions(file)]
            for line in found:
                print(f"deploy/{overlay and f'overlays/{overlay}'}: {line}", file=sys.stderr)
            wrong += len(found)
        # The linters do look: they have to find fault with this text.
        file.write_text(rendered(folder / "deploy", "").replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"))
        for linter in (checkov, kube_score):
            assert linter(file), f"{linter.__name__} finds nothing in what is wrong"
    print(f"checkov and kube-score: {wrong} findings in {len(overlays) - len(NOT_ALONE) + 1} sets of manifests")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
