"""Clients outside the node that each PUT a message a second (`writers`, a program of e2e), and what of it took effect."""

import json
import os
import signal
import subprocess
import time

from cluster import BALANCER, HOMESERVER, cluster, program

# At once, unless a test wants others.
CLIENTS = 20


class Running:
    """A program that works while the test goes on; it ends in time, whatever hangs."""

    def __init__(self, enter, line, seconds, **options):
        # What enters the node is a parent that can end without its child: so the limit is inside, and the
        # group is one of their own.
        line = enter("timeout", "--foreground", seconds, *line)
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True, **options)

    def runs(self):
        return self.process.poll() is None

    def result(self):
        """Status and output."""
        output, _ = self.process.communicate()
        return self.process.returncode, output

    def stop(self):
        if self.runs():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


class Writers(Running):
    """The clients, outside the node, while something happens to the pods."""

    def __init__(self, seconds, clients=CLIENTS, idle=0):
        self.accounts = [account(number) for number in range(clients)]
        file = cluster.folder / "accounts"
        file.touch(mode=0o600)
        file.write_text("".join(json.dumps(each) + "\n" for each in self.accounts))
        writers = program("LOWBAND_WRITERS", "target/release/writers", "build")
        line = [writers, "--server", f"{BALANCER}:8008", "--ca", cluster.certificate.path, "--accounts", file, "--seconds", seconds]
        line += ["--idle", idle]
        self.log = open(cluster.folder / "writers.log", "wb")
        super().__init__(cluster.node.enter_client, line, seconds + 180, stderr=self.log)
        assert self.process.stdout.readline() == "ready\n", (cluster.folder / "writers.log").read_text()
        self.began = time.monotonic()

    def seconds(self):
        """Since they began."""
        return time.monotonic() - self.began

    def note(self, what):
        print(f"\n{self.seconds():6.1f} s  {what}", end="", flush=True)

    def results(self):
        status, output = self.result()
        self.log.close()
        assert status == 0, (cluster.folder / "writers.log").read_text()
        return [json.loads(line) for line in output.splitlines()]


def homeserver(method, path, document=None, token=None):
    """Straight to Synapse, past everything that is tested here."""
    line = ["curl", "-sS", "--fail-with-body", "--max-time", "20", "-X", method, f"{HOMESERVER}/_matrix/client/v3/{path}"]
    line += ["-H", f"Authorization: Bearer {token}"] if token else []
    line += ["-d", json.dumps(document)] if document is not None else []
    return json.loads(cluster.node.client(*line).stdout)


def account(number):
    """A new user with a room of his own."""
    name = f"writer-{number}-{time.monotonic_ns()}"
    token = homeserver("POST", "register", {"auth": {"type": "m.login.dummy"}, "username": name, "password": "opensesame"})["access_token"]
    return {"token": token, "room": homeserver("POST", "createRoom", {"preset": "private_chat"}, token)["room_id"]}


def timeline(account):
    """All messages of a room, in the order in which they took effect."""
    path, bodies = f"rooms/{account['room']}/messages?dir=f&limit=1000", []
    answer = homeserver("GET", path, None, account["token"])
    while True:
        bodies += [each["content"]["body"] for each in answer["chunk"] if each["type"] == "m.room.message"]
        if "end" not in answer:
            return bodies
        answer = homeserver("GET", f"{path}&from={answer['end']}", None, account["token"])
