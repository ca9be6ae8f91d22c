"""What sessions cost a pod, beside what the Deployment asks for. A minute, and so part of `make test-more`."""

from cluster import Case, cluster
from pods import all_ready, busiest
from writers import Writers

SESSIONS = 2000
# A session that has just asked for /versions: the answer is kept for four minutes, in case the request comes
# again. Later a silent one costs less than 1 kB.
MOST_EACH = 8_000
MIB = 1 << 20


class Memory(Case):
    def test_two_thousand_sessions_fit_into_what_a_pod_asks_for(self):
        with self.deployed():
            cluster.give_address("lowband-udp", "lowband-tcp")
            cluster.available()
            before = {pod.name: self.resident(pod) for pod in all_ready()}
            writers = Writers(5, clients=0, idle=SESSIONS)
            self.addCleanup(writers.stop)
            # All clients have one address: all of them are there.
            pod = busiest()
            self.assertGreaterEqual(pod.metrics()["lowband_sessions"], SESSIONS)
            first, now = before[pod.name], self.resident(pod)
            self.assertEqual(writers.results(), [])
            requested = {each["name"]: each["resources"]["requests"]["memory"] for each in pod.spec["containers"] + pod.spec["initContainers"]}
            for container in now:
                print(f"\n{container}: {first[container]:,} bytes resident without a session, {now[container]:,} with {SESSIONS:,}", end="", flush=True)
                self.assertTrue(requested[container].endswith("Mi"))
                self.assertLess(now[container], int(requested[container].removesuffix("Mi")) * MIB, container)
            self.assertLess((now["sidecar"] - first["sidecar"]) / SESSIONS, MOST_EACH)

    def resident(self, pod):
        return {container: pod.resident(container) for container in ("sidecar", "envoy")}
