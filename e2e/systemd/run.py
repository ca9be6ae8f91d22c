#!/usr/bin/env python3
"""run.py: the systemd unit under a real systemd, after `make install`.

systemd is process 1 of namespaces of its own. It sees this machine's files through an overlay, and is gone with all that it
started when the tests end. Needs root, systemd 247 or later, and a kernel that mounts overlays.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
UNIT = "lowband-sidecar.service"
WITHIN = 30
# Ten times the exposure that `systemd-analyze security` may come to. What is left: sockets of the families
# that the sidecar needs, this machine's network and its root folder.
EXPOSURE = 11
DROP_IN = """[Service]
StandardOutput=append:/shared/sidecar.log
StandardError=append:/shared/sidecar.log
# In place of 30 s.
WatchdogSec=1s
"""


def run(*command, **options):
    return subprocess.run([str(each) for each in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def succeed(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def until(what, look):
    """What `look` returns as soon as that is true."""
    end = time.monotonic() + WITHIN
    while not (seen := look()):
        assert time.monotonic() < end, f"not within {WITHIN} s: {what}"
        time.sleep(0.05)
    return seen


def free_port():
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        return tcp.getsockname()[1]


def make_pair(folder):
    succeed("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "key.pem")
    succeed("openssl", "req", "-new", "-x509", "-key", folder / "key.pem", "-out", folder / "certificate.pem", "-days", "365",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    os.chmod(folder / "key.pem", 0o600)


class Systemd:
    """A systemd with the unit installed."""

    def __init__(self, folder):
        self.shared = folder / "shared"
        self.log = self.shared / "sidecar.log"
        self.admin = free_port()
        installed = folder / "installed"
        self.shared.mkdir()
        installed.mkdir()
        succeed("make", "-C", ROOT, "install", f"DESTDIR={installed}")
        settings = installed / "etc/lowband"
        settings.mkdir(parents=True)
        make_pair(settings)
        (settings / "sidecar.env").write_text(f"LOWBAND_LISTEN=127.0.0.1:{free_port()}\nLOWBAND_ADMIN=127.0.0.1:{self.admin}\n")
        drop_in = installed / f"etc/systemd/system/{UNIT}.d"
        drop_in.mkdir(parents=True)
        (drop_in / "test.conf").write_text(DROP_IN)
        self.cgroup = pathlib.Path(self.hierarchy()) / f"lowband-systemd-{os.getpid()}"
        self.cgroup.mkdir()
        self.console = open(folder / "console.log", "w")
        self.unshare = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--cgroup", "--ipc", "--propagation", "private", "--kill-child",
             "bash", HERE / "root.sh", installed, self.shared],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console,
            preexec_fn=lambda: (self.cgroup / "cgroup.procs").write_text(str(os.getpid())),
        )
        until("that systemd runs", lambda: self.is_up() or self.unshare.poll() is not None)
        assert self.unshare.poll() is None, (folder / "console.log").read_text()

    @staticmethod
    def hierarchy():
        mounts = (line.split() for line in open("/proc/self/mounts"))
        return next(place for _, place, kind, *_ in mounts if kind == "cgroup2")

    def is_up(self):
        children = pathlib.Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text().split()
        self.first = children[0] if children else None
        return self.first and self.command("systemctl", "show", "--property=Version").returncode == 0

    def command(self, *command):
        return run("nsenter", f"--target={self.first}", "--mount", "--pid", "--root", "--wd", *command)

    def end(self):
        self.unshare.kill()
        self.unshare.wait()
        # Processes of a namespace that ends leave their groups a moment later.
        groups = sorted(self.cgroup.rglob("*/"), reverse=True) + [self.cgroup]
        for group in groups:
            until(f"that {group} is empty", lambda: not group.exists() or remove(group))
        self.console.close()


def remove(group):
    try:
        group.rmdir()
    except OSError:
        return False
    return True


class Unit(unittest.TestCase):
    def setUp(self):
        # Also after a test that has failed.
        systemd.command("systemctl", "stop", UNIT)
        systemd.command("systemctl", "reset-failed", UNIT)

    def start(self):
        done = systemd.command("systemctl", "start", UNIT)
        log = systemd.log.read_text() if systemd.log.exists() else ""
        self.assertEqual(done.returncode, 0, done.stdout + log)
        return self.state()

    def state(self):
        """What systemd says of the unit, by property."""
        names = "Type,ActiveState,SubState,MainPID,NRestarts,ExecMainStatus,Documentation"
        shown = systemd.command("systemctl", "show", f"--property={names}", UNIT).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def test_it_is_active_once_it_serves_and_has_no_rights(self):
        state = self.start()
        self.assertEqual((state["Type"], state["ActiveState"], state["SubState"]), ("notify", "active", "running"))
        with urllib.request.urlopen(f"http://127.0.0.1:{systemd.admin}/readyz") as ready:
            self.assertEqual(ready.read(), b"ready\n")
        status = systemd.command("cat", f"/proc/{state['MainPID']}/status").stdout
        fields = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
        self.assertEqual(fields["Uid"].split(), ["64321"] * 4)
        self.assertEqual((fields["CapEff"], fields["CapBnd"]), ("0" * 16, "0" * 16))
        self.assertEqual((fields["NoNewPrivs"], fields["Seccomp"]), ("1", "2"))
        folder = systemd.command("stat", "--format=%U %a", "/run/lowband").stdout
        self.assertEqual(folder.split(), ["lowband", "700"])

    def test_reload_has_a_renewed_pair_taken_at_once(self):
        before = self.start()
        with tempfile.TemporaryDirectory() as folder:
            make_pair(pathlib.Path(folder))
            for name in ("certificate.pem", "key.pem"):
                (systemd.shared / name).write_bytes((pathlib.Path(folder) / name).read_bytes())
        self.assertEqual(systemd.command("sh", "-c", "cd /shared && cat certificate.pem > /etc/lowband/certificate.pem && cat key.pem > /etc/lowband/key.pem").returncode, 0)
        self.assertEqual(systemd.command("systemctl", "reload", UNIT).returncode, 0)
        until("that the new pair is taken", lambda: "renewed certificate in use" in systemd.log.read_text())
        self.assertEqual(self.state()["MainPID"], before["MainPID"])

    def test_a_process_that_hangs_is_replaced(self):
        before = self.start()
        self.assertEqual(systemd.command("kill", "-STOP", before["MainPID"]).returncode, 0)
        after = until("another process", lambda: (state := self.state())["MainPID"] not in ("0", before["MainPID"])
                      and state["ActiveState"] == "active" and state)
        self.assertEqual(after["NRestarts"], "1")

    def test_it_ends_in_order(self):
        self.start()
        self.assertEqual(systemd.command("systemctl", "stop", UNIT).returncode, 0)
        state = self.state()
        self.assertEqual((state["ActiveState"], state["ExecMainStatus"]), ("inactive", "0"))
        self.assertTrue(systemd.log.read_text().rstrip().endswith("ended"))

    def test_a_wrong_configuration_is_not_tried_again(self):
        wrong = f"/run/systemd/system/{UNIT}.d"
        command = f"mkdir -p {wrong} && printf '[Service]\\nEnvironment=LOWBAND_SESSIONS=many\\n' > {wrong}/wrong.conf && systemctl daemon-reload"
        self.assertEqual(systemd.command("sh", "-c", command).returncode, 0)
        self.addCleanup(systemd.command, "sh", "-c", f"rm -r {wrong} && systemctl daemon-reload")
        self.assertNotEqual(systemd.command("systemctl", "start", UNIT).returncode, 0)
        state = self.state()
        self.assertEqual((state["ActiveState"], state["ExecMainStatus"], state["NRestarts"]), ("failed", "2", "0"))

    def test_systemd_finds_no_mistake_in_it(self):
        told = systemd.command("systemd-analyze", "verify", "--man=no", UNIT)
        about_it = [line for line in told.stdout.splitlines() if "lowband" in line]
        self.assertEqual((told.returncode, about_it), (0, []), told.stdout)
        self.assertEqual(self.state()["Documentation"].strip('"'), "man:lowband-sidecar(8)")

    def test_little_is_exposed(self):
        unit = ROOT / "deploy/systemd" / UNIT
        told = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", unit)
        self.assertEqual(told.returncode, 0, told.stdout)


def main():
    global systemd
    if os.geteuid() != 0:
        sys.exit("run.py needs root, for namespaces, mounts and a cgroup")
    for program in ("systemd-analyze", "systemctl"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: make setup-more")
    with tempfile.TemporaryDirectory(prefix="lowband-systemd-") as folder:
        systemd = Systemd(pathlib.Path(folder))
        try:
            done = unittest.main(exit=False)
        finally:
            systemd.end()
    sys.exit(0 if done.result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
