"""What clients notice of an update, a drained node and a killed pod: twenty of them, each with a message a second, by `writers`."""

import contextlib
import subprocess
import time

from addresses import NODE_NAME
from cluster import NAMESPACE, Case, cluster, wait_for
from pods import all_ready, busiest, names, names_ending
from writers import CLIENTS, Running, Writers, timeline

# Of the run with the rolling update and the drained node in it, one after the other.
SECONDS = 120
# Of the run in which first the sidecar's process is killed and then a pod, so far apart that the clients have
# found their way back.
SECONDS_OF_KILLS, APART = 50, 25
LONGEST_GAP = 5
QUIET = 5


class Updates(Case):
    @contextlib.contextmanager
    def writers(self, seconds):
        """Two pods, and clients that write while the block runs and on to the end of their time."""
        with self.deployed():
            cluster.give_address("lowband-udp", "lowband-tcp")
            cluster.available()
            all_ready()
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
            writers.note("kill -9 of the sidecar that has the sessions")
            cluster.node.run("kill", "-KILL", busiest().process("sidecar"))
            time.sleep(APART)
            pod = busiest().name
            # It gets SIGTERM all the same, and the time that the kubelet takes for the least.
            writers.note("the pod that has the sessions is deleted by force")
            second = writers.seconds()
            cluster.kubectl("--namespace", NAMESPACE, "delete", "pod", pod, "--grace-period=0", "--force")
            results = self.check(writers)
            for what, begin, end in (("kill -9", 0, second - 2), ("delete --force", second - 2, SECONDS_OF_KILLS)):
                gaps = [length for each in results for since, length in each["gaps"] if begin <= since < end]
                print(f"         {what}: longest gap {max(gaps, default=0):.2f} s, {len(gaps)} clients noticed", flush=True)

    def update(self, writers):
        before = names()
        writers.note("kubectl rollout restart")
        cluster.kubectl("--namespace", NAMESPACE, "rollout", "restart", "deployment/lowband")
        writers.note(f"rolled out after {cluster.available():.1f} s")
        wait_for("the end of the old pods", lambda: not before & names(), 60)
        writers.note("the old pods are gone")

    def drain(self, writers):
        """There is one node, and what is drained off it has to go somewhere: it takes pods again as soon as the first has to go. The second
        has to wait until the disruption budget finds the successor of the first ready."""
        before = names()
        writers.note("kubectl drain")
        line = ["kubectl", "drain", NODE_NAME, "--pod-selector=app.kubernetes.io/name=lowband", "--delete-emptydir-data", "--timeout=100s"]
        draining = Running(cluster.node.enter, line, 120, stderr=subprocess.STDOUT)
        self.addCleanup(draining.stop)
        evicted = wait_for("an eviction", names_ending, 60)
        cluster.kubectl("uncordon", NODE_NAME)
        self.assertEqual(len(evicted), 1, "the budget lets one go at a time")
        writers.note("one pod has to go, and the node takes pods again")
        status, told = draining.result()
        self.assertEqual(status, 0, told)
        self.assertIn("Cannot evict pod as it would violate the pod's disruption budget", told)
        self.assertFalse(before & names())
        writers.note("drained")
        all_ready()

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
