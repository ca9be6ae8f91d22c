"""A Kubernetes of one node in namespaces of its own: network, mounts, processes, host name. It leaves nothing behind.

    PROGRAMS: a folder that `build` has filled. containerd, runc and the CNI plugins are Debian's.
"""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from addresses import NODE_NAME, cgroup

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOGS = ROOT / "target/logs/kubernetes"
READY_WITHIN = 240
# Settings that the kubelet is known to change; the node has to keep it from doing so.
MACHINE_SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
PR_SET_PDEATHSIG = 1


def machine_settings():
    return {name: pathlib.Path("/proc/sys", name).read_text().strip() for name in MACHINE_SETTINGS}


def die_with_parent():
    """Whoever ends the tests, and how, ends the node."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Node:
    def __init__(self, programs):
        self.programs = pathlib.Path(programs).resolve()
        # The path is short: the sockets in it have 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lowband-node-"))
        self.settings = machine_settings()
        self.process = self.first = self.namespace = None

    # ---- beginning and end ----

    def start(self):
        """Until the node is Ready: seconds that it took."""
        began = time.monotonic()
        pack = [ROOT / "tools/image", self.folder / "pause.tar", "pause:1", self.sandbox(), "--", "--config.entrypoint", "/pause"]
        subprocess.run([*pack, "--architecture", "amd64"], check=True, stdout=subprocess.DEVNULL)
        namespaces = "--net --mount --pid --uts --ipc --fork --kill-child --mount-proc --propagation private".split()
        with open(self.folder / "first.log", "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", *namespaces, sys.executable, HERE / "inside.py", self.folder, self.programs],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=die_with_parent,
            )
        self.until("the node has begun", self.find_first, READY_WITHIN)
        self.until("the node's programs have started", (self.folder / "started").exists, READY_WITHIN)
        self.until("the node is Ready", self.is_ready, READY_WITHIN)
        return time.monotonic() - began

    def sandbox(self):
        folder = self.folder / "pause"
        folder.mkdir()
        shutil.copy(self.programs / "pause", folder)
        return folder

    def find_first(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if children:
            self.first = int(children[0])
            self.namespace = os.readlink(f"/proc/{self.first}/ns/pid")
        return bool(children)

    def is_ready(self):
        asked = self.kubectl("get", "node", NODE_NAME, "--output", "json", check=False)
        if asked.returncode != 0:
            return False
        conditions = json.loads(asked.stdout)["status"].get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def until(self, what, holds, seconds):
        deadline = time.monotonic() + seconds
        while not holds():
            if self.process.poll() is not None:
                raise AssertionError(f"{what}: the node has ended\n{(self.folder / 'first.log').read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds} s; the logs are kept in {self.keep_logs()}")
            time.sleep(0.2)

    def keep_logs(self):
        shutil.rmtree(LOGS, ignore_errors=True)
        LOGS.mkdir(parents=True)
        for log in [*(self.folder / "log").glob("*.log"), self.folder / "first.log"]:
            shutil.copy(log, LOGS)
        return LOGS

    def stop(self):
        """Ends everything: the kernel kills what lives in the namespaces of the first process."""
        if self.process:
            if self.first:
                os.kill(self.first, signal.SIGKILL)
            self.process.wait(30)
        deadline = time.monotonic() + 30
        while self.cgroups() and time.monotonic() < deadline:
            for path in sorted(self.cgroups(), key=lambda path: len(path.parts), reverse=True):
                try:
                    path.rmdir()
                except OSError:
                    # The last process of the group is still about to end.
                    time.sleep(0.02)
        shutil.rmtree(self.folder)

    def cgroups(self):
        return [path for tree in pathlib.Path("/sys/fs/cgroup").glob(f"*/{cgroup(self.folder)}") for path in [tree, *tree.rglob("*/")]]

    def left_behind(self):
        """What there should not be any more after `stop`."""
        found = [f"cgroup {path}" for path in self.cgroups()]
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        found += [f"mount {line}" for line in mounts if str(self.folder) in line]
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                inside = os.readlink(process / "ns/pid") == self.namespace
                if inside or str(self.folder).encode() in (process / "cmdline").read_bytes():
                    found.append(f"process {process.name}: {(process / 'cmdline').read_bytes()!r}")
            except OSError:
                # The process has just ended.
                continue
        changed = {name: value for name, value in machine_settings().items() if value != self.settings[name]}
        return found + [f"setting {name}, now {value}" for name, value in changed.items()]

    # ---- commands on it ----

    def enter(self, *command):
        """A command line that runs `command` on the node."""
        variables = [
            f"PATH={self.programs}:{os.environ['PATH']}",
            f"KUBECONFIG={self.folder}/admin.json",
            f"CONTAINERD_ADDRESS={self.folder}/run/containerd.sock",
            "CONTAINERD_NAMESPACE=k8s.io",
        ]
        namespaces = "--mount --net --pid --uts --ipc".split()
        return ["nsenter", "--target", str(self.first), *namespaces, f"--wdns={os.getcwd()}", "env", *variables, *map(str, command)]

    def enter_client(self, *command):
        """The same in the network of a client outside the node."""
        client = (self.folder / "client").read_text()
        return self.enter("nsenter", "--target", client, "--net", *command)

    def run(self, *command, check=True, timeout=120, **options):
        return finish(self.enter(*command), check, timeout, **options)

    def client(self, *command, check=True, timeout=60, **options):
        return finish(self.enter_client(*command), check, timeout, **options)

    def kubectl(self, *arguments, **options):
        return self.run("kubectl", *arguments, **options)

    def load(self, archive):
        self.run("ctr", "images", "import", archive)


def finish(command, check, timeout, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=options.pop("text", True), timeout=timeout, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command[-6:]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done
