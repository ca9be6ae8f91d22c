"""inside.py FOLDER PROGRAMS: the first process of a node, in namespaces of its own (node.py makes them and calls this).

It sets up the network, shows the node's programs what they insist on, starts them and stays, since the namespaces end with it.
Everything that it writes is in FOLDER, but for the cgroups; each program has a log there.
"""

import json
import os
import pathlib
import secrets
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

from addresses import CLIENT, NODE, NODE_NAME, PODS, SERVICES, cgroup

FOLDER, PROGRAMS = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
RUNTIME = FOLDER / "run/containerd.sock"
CERTIFICATES = FOLDER / "certificates"
LOGS = FOLDER / "log"

# What the kubelet would set for the whole machine.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def command(line, **variables):
    subprocess.run([word.format(**variables) for word in line.split()], check=True)


def until(what, holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {seconds} s")
        time.sleep(0.05)


# ---- the machine, as far as the node sees it ---------------------------------------------------------------


def set_up_network():
    """The node with one link to a client outside of it, who has a network namespace of his own and is the way to everywhere else."""
    client = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    (FOLDER / "client").write_text(str(client.pid))
    ours = os.readlink("/proc/self/ns/net")
    until("the client's network", lambda: os.readlink(f"/proc/{client.pid}/ns/net") != ours, 10)
    command("ip link set lo up")
    command("ip link add node0 type veth peer name eth0 netns {pid}", pid=client.pid)
    command("ip address add {node}/24 dev node0", node=NODE)
    command("ip link set node0 up")
    # kubelet and kube-proxy find the node's address by its default route.
    command("ip route add default via {client}", client=CLIENT)
    for line in (
        "ip link set lo up", f"ip address add {CLIENT}/24 dev eth0", "ip link set eth0 up", f"ip route add default via {NODE}",
    ):
        command("nsenter --target {pid} --net " + line, pid=client.pid)
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def show_kernel_settings():
    """In this mount namespace alone, so that the machine keeps its own."""
    for name, value in KERNEL_SETTINGS.items():
        shown = FOLDER / "settings" / name
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(value + "\n")
        command("mount --bind {shown} /proc/sys/{name}", shown=shown, name=name)


def make_cgroups():
    """The kubelet wants its root to be there, and a cpuset is empty until somebody fills it."""
    for controller in pathlib.Path("/sys/fs/cgroup").iterdir():
        if (controller / "cgroup.procs").exists():
            (controller / cgroup(FOLDER)).mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        everything = pathlib.Path("/sys/fs/cgroup/cpuset")
        (everything / cgroup(FOLDER) / name).write_text((everything / name).read_text())


# ---- configurations ----------------------------------------------------------------------------------------


def write_json(name, document):
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))
    return path


def write_containerd():
    path = FOLDER / "containerd.toml"
    # Lowering a process's oom_score_adj takes a capability (CAP_SYS_RESOURCE) that containers of a
    # build machine lack.
    path.write_text(
        f"""
version = 2
root = "{FOLDER}/containerd"
state = "{FOLDER}/run"
[grpc]
  address = "{RUNTIME}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{FOLDER}/cni"
"""
    )
    addresses = {"type": "host-local", "dataDir": f"{FOLDER}/addresses", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    write_json("cni/10-bridge.conflist", {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]})
    return path


def write_kubelet():
    return write_json(
        "kubelet.json",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{RUNTIME}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup(FOLDER)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "resolvConf": "/etc/resolv.conf",
            # The usual place is the machine's: another node there would sweep these away as logs of pods that
            # it does not know.
            "podLogsDir": f"{FOLDER}/pods",
            # How often it looks whether a Secret has changed: else once a minute, which would be most of
            # a test's time.
            "syncFrequency": "10s",
            # The machine's memory and disk are not the node's: it shall not throw pods out for
            # what others take.
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
        },
    )


class Users:
    """Who may ask the API server for what, by tokens in a file."""

    def __init__(self):
        self.lines = []

    def add(self, file, name, groups):
        token = secrets.token_hex(16)
        self.lines.append(f'{token},{name},{len(self.lines)},"{groups}"\n')
        authority = f"{CERTIFICATES}/apiserver.crt"
        return write_json(
            file,
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "node",
                "clusters": [{"name": "node", "cluster": {"server": f"https://{NODE}:6443", "certificate-authority": authority}}],
                "users": [{"name": name, "user": {"token": token}}],
                "contexts": [{"name": "node", "context": {"cluster": "node", "user": name}}],
            },
        )

    def write(self):
        path = FOLDER / "tokens.csv"
        path.touch(mode=0o600)
        path.write_text("".join(self.lines))
        return path


# ---- programs ----------------------------------------------------------------------------------------------


def start(program, *arguments, **options):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    with open(LOGS / f"{program}.log", "wb") as log:
        process = subprocess.Popen([program, *arguments, *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    (LOGS / f"{program}.pid").write_text(str(process.pid))


def is_ready():
    try:
        context = ssl._create_unverified_context()
        with urllib.request.urlopen(f"https://{NODE}:6443/readyz", context=context, timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def is_listening(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def main():
    os.environ["PATH"] = f"{PROGRAMS}:{os.environ['PATH']}"
    socket.sethostname(NODE_NAME)
    set_up_network()
    show_kernel_settings()
    make_cgroups()
    for folder in (FOLDER / "run", CERTIFICATES, LOGS):
        folder.mkdir(exist_ok=True)

    users = Users()
    users.add("admin.json", "admin", "system:masters")
    # Under its own name the controller manager would need a service account for each controller, and
    # seven seconds more.
    manager = users.add("manager.json", "system:kube-controller-manager", "system:masters")
    scheduler = users.add("scheduler.json", "system:kube-scheduler", "")
    proxy = users.add("proxy.json", "system:kube-proxy", "")
    kubelet = users.add("kubelet-user.json", f"system:node:{NODE_NAME}", "system:nodes")
    key = CERTIFICATES / "accounts.key"
    command("openssl genrsa -out {key} 2048", key=key)

    start("containerd", config=write_containerd())
    start("etcd", data_dir=FOLDER / "etcd", unsafe_no_fsync="true", log_level="warn")
    start(
        "kube-apiserver",
        etcd_servers="http://127.0.0.1:2379", cert_dir=CERTIFICATES, bind_address=NODE, advertise_address=NODE, secure_port=6443,
        service_cluster_ip_range=SERVICES, allow_privileged="true", authorization_mode="Node,RBAC",
        enable_admission_plugins="NodeRestriction", token_auth_file=users.write(),
        service_account_issuer="https://kubernetes.default.svc", service_account_key_file=key, service_account_signing_key_file=key,
        kubelet_preferred_address_types="InternalIP",
    )
    until("containerd", lambda: is_listening(RUNTIME), 60)
    command("ctr --address {runtime} --namespace k8s.io images import {folder}/pause.tar", runtime=RUNTIME, folder=FOLDER)
    until("the API server", is_ready, 180)
    start(
        "kube-controller-manager",
        kubeconfig=manager, leader_elect="false", bind_address="127.0.0.1", service_account_private_key_file=key,
        root_ca_file=CERTIFICATES / "apiserver.crt",
    )
    start("kube-scheduler", kubeconfig=scheduler, leader_elect="false", bind_address="127.0.0.1")
    start(
        "kubelet",
        config=write_kubelet(), kubeconfig=kubelet, root_dir=FOLDER / "kubelet", cert_dir=CERTIFICATES / "kubelet", node_ip=NODE,
        hostname_override=NODE_NAME,
    )
    start(
        "kube-proxy",
        kubeconfig=proxy, hostname_override=NODE_NAME, proxy_mode=os.environ.get("LOWBAND_PROXY_MODE", "iptables"), cluster_cidr=PODS,
        # Else it sets limits of the machine.
        conntrack_max_per_core=0,
    )
    (FOLDER / "started").touch()
    while True:
        # Processes without a waiting parent come to the first process.
        ended, status = os.wait()
        print(f"process {ended} has ended with status {status}", flush=True)


main()
