"""What clients notice of an update, a drained node and a killed pod: twenty of them, each with a message a second, by `writers`."""

import contextlib
import json
import os
import signal
import subprocess
import time

from addresses import NODE_NAME
from cluster import BALANCER, HOMESERVER, NAMESPACE, Case, cluster, part, until

CLIENTS = 20
# Of the run with the rolling update and the drained node in it, one after the other.
SECONDS = 120
# Of the run in which first the sidecar's process is killed and then a pod, so far apart that the clients have found their way back.
SECONDS_OF_KILLS, APART = 50, 25
LONGEST_GAP = 5
QUIET = 5
PODS = 2


class Running:
    """A program that works while the test goes on; it ends in time, whatever hangs."""

    def __init__(self, enter, line, seconds, **options):
        # What enters the node is a parent that can end without its child: so the limit is inside, and the group is one of their own.
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

    def __init__(self, seconds):
        self.accounts = [account(number) for number in range(CLIENTS)]
        file = cluster.folder / "accounts"
        file.touch(mode=0o600)
        file.write_text("".join(json.dumps(each) + "\n" for each in self.accounts))
        program = part("LOWBAND_WRITERS", "target/release/writers", "build")
        line = [program, "--server", f"{BALANCER}:8008", "--ca", cluster.certificate.path, "--accounts", file, "--seconds", seconds]
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


class Updates(Case):
    @contextlib.contextmanager
    def writers(self, seconds):
        """Two pods, and clients that write while the block runs and on to the end of their time."""
        with self.deployed():
            cluster.give_address("lowband-udp", "lowband-tcp")
            cluster.available()
            # The autoscaler asks for two in its first round.
            until("two pods", lambda: len(self.ready()) == PODS, 120)
            writers = Writers(seconds)
            self.addCleanup(writers.stop)
            yield writers

    def test_a_rolling_update_and_a_drained_node_cost_nobody_more_than_five_seconds(self):
        with self.writers(SECONDS) as writers:
            time.sleep(QUIET)
            self.update(writers)
            time.sleep(QUIET)
            self.drain(writers)
            self.assertTrue(writers.runs(), f"update and drained node took longer than {SECONDS} s")
            results = self.check(writers)
            self.assertLess(max(each["longest_gap"] for each in results), LONGEST_GAP)

    def test_killed_pods_cost_no_message(self):
        with self.writers(SECONDS_OF_KILLS) as writers:
            time.sleep(QUIET)
            pod = self.busiest()
            writers.note("kill -9 of the sidecar that has the sessions")
            cluster.node.run("kill", "-KILL", self.process(pod))
            time.sleep(APART)
            pod = self.busiest()["metadata"]["name"]
            # It gets SIGTERM all the same, and the time that the kubelet takes for the least.
            writers.note("the pod that has the sessions is deleted by force")
            second = writers.seconds()
            cluster.kubectl("--namespace", NAMESPACE, "delete", "pod", pod, "--grace-period=0", "--force")
            results = self.check(writers)
            for what, begin, end in (("kill -9", 0, second - 2), ("delete --force", second - 2, SECONDS_OF_KILLS)):
                gaps = [length for each in results for since, length in each["gaps"] if begin <= since < end]
                print(f"         {what}: longest gap {max(gaps, default=0):.2f} s, {len(gaps)} clients noticed", flush=True)

    def update(self, writers):
        before = set(self.names())
        writers.note("kubectl rollout restart")
        cluster.kubectl("--namespace", NAMESPACE, "rollout", "restart", "deployment/lowband")
        writers.note(f"rolled out after {cluster.available():.1f} s")
        until("the end of the old pods", lambda: not before & set(self.names()), 60)
        writers.note("the old pods are gone")

    def drain(self, writers):
        """There is one node, and what is drained off it has to go somewhere: it takes pods again as soon as the first has to go. The second
        has to wait until the disruption budget finds the successor of the first ready."""
        before = set(self.names())
        writers.note("kubectl drain")
        line = ["kubectl", "drain", NODE_NAME, "--pod-selector=app.kubernetes.io/name=lowband", "--delete-emptydir-data", "--timeout=100s"]
        draining = Running(cluster.node.enter, line, 120, stderr=subprocess.STDOUT)
        self.addCleanup(draining.stop)
        evicted = until("an eviction", self.ending, 60)
        cluster.kubectl("uncordon", NODE_NAME)
        self.assertEqual(len(evicted), 1, "the budget lets one go at a time")
        writers.note("one pod has to go, and the node takes pods again")
        status, told = draining.result()
        self.assertEqual(status, 0, told)
        self.assertIn("Cannot evict pod as it would violate the pod's disruption budget", told)
        self.assertFalse(before & set(self.names()))
        writers.note("drained")
        until("two pods", lambda: len(self.ready()) == PODS, 60)

    def check(self, writers):
        """Each message took effect once, in its order. What the clients tell."""
        results = writers.results()
        self.assertEqual(len(results), CLIENTS)
        longest = max(each["longest_gap"] for each in results)
        redials = sorted(each["redials"] for each in results)
        print(f"\n         longest gap of each client: {[round(each['longest_gap'], 2) for each in results]}, redials {redials}")
        for each, account in zip(results, writers.accounts):
            self.assertEqual((each["failed"], each["answered"]), ([], each["sent"]), each)
            self.assertEqual(timeline(account), [f"{each['client']} {number}" for number in range(each["sent"])], each)
        self.assertGreaterEqual(redials[0], 1, "what happened did not reach all clients")
        print(f"         longest gap {longest:.2f} s, {sum(each['sent'] for each in results)} messages, each once", flush=True)
        return results

    # ---- pods ----

    def pods(self):
        return cluster.get("pods")["items"]

    def names(self):
        return [each["metadata"]["name"] for each in self.pods()]

    def ending(self):
        return {each["metadata"]["name"] for each in self.pods() if "deletionTimestamp" in each["metadata"]}

    def ready(self):
        """Those that are ready and have not been told to end."""

        def is_ready(pod):
            conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
            return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"

        return [each["metadata"]["name"] for each in self.pods() if is_ready(each)]

    def busiest(self):
        """The pod with most sessions. That may be all of them: the clients have one address, to which the Service is true."""

        def sessions(pod):
            scraped = cluster.node.run("curl", "-sSf", f"http://{pod['status']['podIP']}:9464/metrics").stdout
            return next(int(line.split()[1]) for line in scraped.splitlines() if line.startswith("lowband_sessions "))

        return max(self.pods(), key=sessions)

    def process(self, pod):
        """Of the container with the sidecar, as the node numbers it."""
        (status,) = pod["status"]["containerStatuses"]
        name = status["containerID"].removeprefix("containerd://")
        tasks = [line.split() for line in cluster.node.run("ctr", "tasks", "list").stdout.splitlines()[1:]]
        return next(number for task, number, *_ in tasks if task == name)
