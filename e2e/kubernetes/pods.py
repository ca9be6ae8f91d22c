"""The pods of the deployment as tests look at them: what the API server says of them, their processes, their metrics."""

from cluster import NAMESPACE, cluster, wait_for

# The autoscaler asks for two in its first round.
REPLICAS = 2


class Pod:
    """As it was when it was asked for."""

    def __init__(self, described):
        self.name, self.spec, self.status = described["metadata"]["name"], described["spec"], described["status"]
        self.is_ending = "deletionTimestamp" in described["metadata"]
        conditions = {each["type"]: each["status"] for each in self.status.get("conditions", [])}
        self.is_ready = not self.is_ending and conditions.get("Ready") == "True"

    @property
    def address(self):
        return self.status["podIP"]

    @property
    def containers(self):
        """By their names, what the node says of them."""
        return {each["name"]: each for each in self.status["containerStatuses"] + self.status["initContainerStatuses"]}

    @property
    def restarts(self):
        """Of all containers together."""
        return sum(each["restartCount"] for each in self.containers.values())

    def process(self, container):
        """Its number on the node."""
        task = self.containers[container]["containerID"].removeprefix("containerd://")
        lines = [line.split() for line in cluster.node.run("ctr", "tasks", "list").stdout.splitlines()[1:]]
        return next(number for name, number, *_ in lines if name == task)

    def read(self, container, file):
        """What the kernel says of the process."""
        return cluster.node.run("cat", f"/proc/{self.process(container)}/{file}").stdout

    def fields(self, container):
        """Those of /proc/PID/status."""
        return dict(line.split(":\t", 1) for line in self.read(container, "status").splitlines() if ":\t" in line)

    def resident(self, container):
        """Bytes."""
        return int(self.fields(container)["VmRSS"].split()[0]) * 1024

    def metrics(self, port=9464):
        return numbers(cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{self.name}:{port}/proxy/metrics").stdout)

    def log(self, container):
        return cluster.kubectl("--namespace", NAMESPACE, "logs", self.name, "--container", container).stdout


def numbers(text):
    """The samples of a scrape."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def pods():
    return [Pod(each) for each in cluster.get("pods")["items"]]


def names():
    return {each.name for each in pods()}


def names_staying():
    """Of those that have not been told to end."""
    return {each.name for each in pods() if not each.is_ending}


def names_ending():
    return {each.name for each in pods() if each.is_ending}


def ready():
    return [each for each in pods() if each.is_ready]


def all_ready():
    """The pods, once the autoscaler has as many as it wants."""
    return wait_for(f"{REPLICAS} pods", lambda: len(found := ready()) == REPLICAS and found, 120)


def busiest():
    """The one with most sessions. That may be all of them: the clients have one address, to which the Service is true."""
    return max(ready(), key=lambda pod: pod.metrics()["lowband_sessions"])
