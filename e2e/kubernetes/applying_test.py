"""What `kubectl apply -f deploy/` does, again and after an edit, and what `kubectl delete` leaves."""

import re
import time

from cluster import BALANCER, CLIENT, NAMESPACE, NODE, Case, cluster, wait_for
from pods import all_ready

VERSIONS = "/_matrix/client/versions"
SERVICES = {"lowband-udp": ("70-service-udp.yaml", "coap"), "lowband-tcp": ("71-service-tcp.yaml", "https")}


def over_udp(address, path):
    return cluster.coap(address, "GET", path, seconds=3)


def over_tcp(address, path):
    return cluster.https(address, path, seconds=3)


class Applying(Case):
    def test_once_again_after_an_edit_and_away(self):
        manifests = cluster.manifests()
        self.addCleanup(cluster.delete, manifests)
        cluster.apply(manifests)
        cluster.give_address(*SERVICES)
        print(f"\nDeployment Available after {cluster.available():.1f} s", flush=True)
        self.check_exchanges(8008)

        before = self.contents()
        # Some objects kubectl calls "configured" every time: it asks, and the API server finds nothing to
        # change.
        cluster.apply(manifests)
        self.assertEqual(self.contents(), before)
        self.check_no_difference(manifests)

        # A port that clients see. In a Service with both protocols under one number this edit mixes up the
        # two.
        for options in [(), ("--server-side",)]:
            if options:
                # An operator who has applied at the client's side hands the fields over first, unchanged:
                # with a changed port number the API server would hold both and refuse.
                cluster.apply(manifests, *options, "--force-conflicts")
            for service, (file, target) in SERVICES.items():
                for old, new in ((8008, 8448), (8448, 8008)):
                    with self.subTest(options=options, service=service, port=new):
                        manifests.edit(file, f"port: {old}", f"port: {new}")
                        cluster.apply(manifests, *options)
                        (port,) = cluster.get("service", service)["spec"]["ports"]
                        self.assertEqual((port["port"], port["targetPort"]), (new, target))
                        self.check_exchanges(**{service.replace("lowband-", ""): new})
            self.check_no_difference(manifests, *options)

        cluster.delete(manifests)
        self.assertEqual(cluster.kubectl("get", "namespace", NAMESPACE, check=False).returncode, 1)
        kinds = "deployments,pods,services,secrets,configmaps,networkpolicies,hpa,pdb,serviceaccounts,endpointslices"
        left = cluster.kubectl("get", kinds, "--all-namespaces", "--selector", "app.kubernetes.io/part-of=lowband", "--output", "name")
        self.assertEqual(left.stdout, "")

    def check_exchanges(self, udp=8008, tcp=8008):
        """One over UDP and one over TCP, by the balancer's address; either way the homeserver answers."""
        answer = cluster.reaches(over_udp, f"{BALANCER}:{udp}", VERSIONS)
        self.assertEqual(cluster.reaches(over_tcp, f"{BALANCER}:{tcp}", VERSIONS), answer)
        self.assertIn("v1.1", answer["versions"])

    def check_no_difference(self, manifests, *options):
        told = cluster.kubectl("diff", *options, "--filename", manifests.folder, check=False)
        self.assertEqual((told.returncode, told.stdout), (0, ""))

    def contents(self):
        """What an apply could change of each object."""
        kinds = "deployment,service,secret,configmap,networkpolicy,hpa,pdb,serviceaccount"
        found = cluster.get(kinds)["items"]
        return {(each["kind"], each["metadata"]["name"]): (each.get("spec"), each.get("data"), each["metadata"]["labels"])
                for each in found if each["metadata"].get("labels")}

    def test_the_rules_that_the_network_policy_offers(self):
        manifests = cluster.manifests()
        file = manifests.folder / "30-network-policy.yaml"
        text = file.read_text()
        offered = re.findall(r"^  # +(to: .*)$", text, re.MULTILINE)
        self.assertEqual(len(offered), 3)
        self.addCleanup(cluster.kubectl, "delete", "--filename", manifests.folder / "00-namespace.yaml", timeout=180)
        cluster.kubectl("apply", "--filename", manifests.folder / "00-namespace.yaml")
        for rule in offered:
            file.write_text(text.replace("  - ports:\n    - { protocol: TCP, port: 1,", f"  - {rule}\n    ports:\n    - {{ protocol: TCP, port: 1,"))
            cluster.kubectl("apply", "--filename", file)
            (policy,) = cluster.get("networkpolicies")["items"]
            self.assertEqual([set(each) for each in policy["spec"]["egress"]], [{"ports"}, {"ports", "to"}], rule)

    def test_kustomize_makes_the_same_objects_with_the_images_of_its_list(self):
        manifests = cluster.manifests()
        manifests.edit("Kustomization", r"\{ name: registry.*", "{ name: localhost/lowband-sidecar, newTag: another }")
        manifests.edit("Kustomization", r"\{ name: docker.*", "{ name: localhost/envoy, digest: 'sha256:0123' }")
        rendered = cluster.kubectl("kustomize", manifests.folder).stdout
        for image, count in (("localhost/lowband-sidecar:another", 3), ("localhost/envoy@sha256:0123", 1)):
            self.assertEqual(rendered.count(f"image: {image}\n"), count, image)
        self.assertNotIn("lowband/image", rendered)
        names = ["apply", "--dry-run=client", "--output=name"]
        self.assertEqual(
            sorted(cluster.kubectl(*names, "--filename", "-", input=rendered).stdout.split()),
            sorted(cluster.kubectl(*names, "--filename", manifests.folder).stdout.split()),
        )


class Running(Case):
    """What runs is what was written down."""

    def test_the_main_job_from_outside(self):
        with self.deployed():
            cluster.give_address(*SERVICES)
            cluster.available()
            ways = {"node": f"{NODE}:{cluster.node_port('lowband-udp')}", "balancer": f"{BALANCER}:8008"}
            for way, address in ways.items():
                cluster.reaches(over_udp, address, VERSIONS)
                for client in (cluster.coap, cluster.libcoap):
                    with self.subTest(way, client=client.__name__):
                        self.do_the_main_job(client, address, f"{way}-{client.__name__}")
            for pod in all_ready():
                self.check_pod(pod)
                for container in ("sidecar", "envoy"):
                    self.check_process(pod, container)

    def test_what_holds_a_client_to_its_pod_and_what_hides_it(self):
        """As the document says it of `sessionAffinity` and `externalTrafficPolicy`, each with its switch."""
        address = f"{BALANCER}:8008"
        with self.deployed() as manifests:
            cluster.give_address(*SERVICES)
            cluster.available()
            pods = all_ready()
            cluster.reaches(over_udp, address, VERSIONS)
            self.assertEqual(len(self.asked(pods, address)), 1, "from one address, each time from another port")
            manifests.edit("70-service-udp.yaml", "sessionAffinity: ClientIP", "sessionAffinity: None")
            manifests.edit("70-service-udp.yaml", r"  sessionAffinityConfig: .*\n", "")
            cluster.apply(manifests)
            wait_for("both pods are asked", lambda: len(self.asked(pods, address)) == len(pods), 60)
            for file, _ in SERVICES.values():
                manifests.edit(file, "externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster")
            cluster.apply(manifests)
            seen = lambda *_: self.whois(cluster.coap, address)[1]  # noqa: E731
            wait_for("the client's address is hidden", lambda: cluster.reaches(seen, address, "").isdisjoint({CLIENT}), 60)

    def asked(self, pods, address):
        """The pods that ten clients got to."""
        count = lambda: {pod.name: pod.metrics()["lowband_handshake_seconds_count"] for pod in pods}  # noqa: E731
        before = count()
        for _ in range(10):
            cluster.reaches(over_udp, address, VERSIONS)
        return {name for name, after in count().items() if after > before[name]}

    def whois(self, client, address, name=None):
        """A new user, and the addresses from which the homeserver has seen him."""
        account = {"auth": {"type": "m.login.dummy"}, "username": name or f"user-{time.monotonic_ns()}", "password": "opensesame"}
        user = client(address, "POST", "/_matrix/client/v3/register", account)
        whois = client(address, "GET", f"/_matrix/client/v3/admin/whois/{user['user_id']}", None, user["access_token"])
        connections = [each for device in whois["devices"].values() for session in device["sessions"] for each in session["connections"]]
        return user, {each["ip"] for each in connections}

    def do_the_main_job(self, client, address, name):
        """Register, make a room, send, sync; and the homeserver knows from where."""
        user, seen = self.whois(client, address, name)
        self.assertEqual(seen, {CLIENT})
        token = user["access_token"]
        room = client(address, "POST", "/_matrix/client/v3/createRoom", {"preset": "private_chat"}, token)["room_id"]
        message = {"msgtype": "m.text", "body": f"Hello from {name}"}
        sent = client(address, "PUT", f"/_matrix/client/v3/rooms/{room}/send/m.room.message/1", message, token)
        synced = client(address, "GET", "/_matrix/client/v3/sync?timeout=0", None, token)
        timeline = synced["rooms"]["join"][room]["timeline"]["events"]
        self.assertEqual([each["content"]["body"] for each in timeline if each["event_id"] == sent["event_id"]], [message["body"]])

    def check_pod(self, pod):
        containers = {each["name"]: each for each in pod.spec["containers"] + pod.spec["initContainers"]}
        self.assertEqual(set(containers), {"check", "render", "envoy", "sidecar"})
        # The API server may drop unknown fields, without a word.
        for each in containers.values():
            mounts = {mount["mountPath"] for mount in each["volumeMounts"]}
            self.assertEqual(mounts, {"/run/lowband", "/etc/lowband/certificate"}, each["name"])
        self.assertEqual({name: each["restartCount"] for name, each in pod.containers.items()}, dict.fromkeys(containers, 0))

    def check_process(self, pod, container):
        """As the kernel sees it: no rights, no way to new ones, the filter of system calls on, nothing to write to but the volume."""
        status = pod.fields(container)
        self.assertEqual(set(status["Uid"].split() + status["Gid"].split()), {"65532"}, container)
        self.assertEqual({status[each] for each in ("CapPrm", "CapEff", "CapBnd")}, {"0" * 16}, container)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), container)
        mounts = {line.split()[1]: line.split()[3].split(",")[0] for line in pod.read(container, "mounts").splitlines()}
        self.assertEqual((mounts["/"], mounts["/etc/lowband/certificate"], mounts["/run/lowband"]), ("ro", "ro", "rw"), container)
