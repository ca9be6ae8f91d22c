#!/usr/bin/env python3
"""The result of each overlay for an existing Envoy, run in an Envoy that loads the filter and passes messages through it.

LOWBAND_ENVOY and LOWBAND_WASM name the programs; what is not set is taken from where the Makefile puts it.
"""

import contextlib
import http.client
import json
import pathlib
import subprocess
import tempfile
import time
import unittest

from overlays import OVERLAYS, read, text, whole
from parts import CBOR, JSON, ROOT, Homeserver, answer, chunked, decode, free_port, program
from paths import LEGAL, STRAYING


class InEnvoy(unittest.TestCase):
    """The result of each overlay for clients that come by HTTP, in the frame of the plain one."""

    def setUp(self):
        (self.envoy,) = read(OVERLAYS / "envoy/envoy.yaml")
        static = self.envoy["static_resources"]
        # The sidecar's listener is tested with the sidecar, in e2e/ingress.
        del static["listeners"][1]
        (self.listener,), (self.cluster,) = static["listeners"], static["clusters"]
        self.manager = self.listener["filter_chains"][0]["filters"][0]["typed_config"]
        # The part that the other two overlays have as an object of its own.
        self.own_answers = self.manager.pop("local_reply_config")
        self.filter = self.manager["http_filters"][0]
        (self.host,) = self.manager["route_config"]["virtual_hosts"]
        self.apart = False

    def take_plugin(self, plugin, listener, cluster):
        """Replaces the plain Envoy's plugin, and the limits in bytes of what Envoy keeps; sets none by route."""
        self.filter["typed_config"]["config"] = plugin
        for route in self.host["routes"]:
            del route["request_body_buffer_limit"]
        self.listener["per_connection_buffer_limit_bytes"] = listener
        self.cluster["per_connection_buffer_limit_bytes"] = cluster

    def start(self, *arguments):
        """Starts Envoy with this checkout's module in place of the overlay's. Returns its process and the file of its output."""
        wasm = program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")
        self.filter["typed_config"]["config"]["vm_config"]["code"] = {"local": {"filename": wasm}}
        binary = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        configuration, log = pathlib.Path(folder.name, "envoy.json"), pathlib.Path(folder.name, "log")
        if self.apart:
            self.move_filter(pathlib.Path(folder.name, "filter.json"))
        configuration.write_text(json.dumps(self.envoy), encoding="utf-8")
        command = [binary, "-c", str(configuration), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", *arguments]
        with open(log, "w", encoding="utf-8") as output:
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT), log

    def move_filter(self, file):
        """The filter in a file of its own that the listener names: Istio also reports it apart from the listener (Envoy's ECDS)."""
        resource = {"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", **self.filter}
        file.write_text(json.dumps({"resources": [resource]}), encoding="utf-8")
        discovery = {
            "config_source": {"path_config_source": {"path": str(file)}, "initial_fetch_timeout": "0s"},
            "type_urls": [self.filter.pop("typed_config")["@type"]],
        }
        self.filter["config_discovery"] = discovery
        self.envoy["node"] = {"id": "gateway", "cluster": "matrix"}

    def validate(self):
        """Returns Envoy's status and its output about the configuration."""
        process, log = self.start("--mode", "validate")
        return process.wait(60), log.read_text(encoding="utf-8")

    def serve(self):
        """Runs until the end of the test, in front of a homeserver of its own."""
        self.homeserver = Homeserver()
        (endpoint,) = self.cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = self.homeserver.port
        port = free_port()
        self.listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
        process, log = self.start()
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.terminate)
        self.log = log
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.addCleanup(self.connection.close)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.connection.connect()
                return
            time.sleep(0.05)
        self.fail(log.read_text(encoding="utf-8"))

    def request(self, method, body=None, path="/_matrix/client/v3/x", **fields):
        self.connection.request(method, path, body=body, headers={name.replace("_", "-"): value for name, value in fields.items()})
        response = self.connection.getresponse()
        return response.status, response.getheader("content-type"), response.read()

    def assert_it_serves(self, longest_request):
        """Bodies of many sizes both ways; a request beyond the limit is refused by the filter, not by Envoy."""
        self.assert_it_serves_answers_of_any_length()
        for size in (10, 100_000, longest_request - 5):
            self.homeserver.requests.clear()
            sent = self.request("POST", b"\x7a" + size.to_bytes(4, "big") + b"x" * size, content_type=CBOR)
            self.assertEqual((sent, [r.body for r in self.homeserver.requests]), ((200, CBOR, b"\xa0"), [b'"%s"' % (b"x" * size)]))
        # Only the header fields are sent, so that the answer cannot meet a body on its way.
        sent = self.request("POST", content_type=CBOR, content_length=str(longest_request + 1))
        self.assertEqual(sent[:2], (413, CBOR))
        self.assertNotRegex(self.log.read_text(encoding="utf-8"), r"\[(error|critical)\]|\[wasm\]")

    def assert_it_serves_answers_of_any_length(self):
        self.serve()
        for size in (10, 20_000, 100_000, 3 << 20):
            for raw in (answer(b'"%s"' % (b"x" * size)), chunked(b'"%s"' % (b"x" * size), [1000])):
                self.homeserver.answers["/_matrix/client/v3/x"] = raw
                status, media_type, body = self.request("GET", accept=CBOR)
                self.assertEqual((status, media_type, decode(body)[0]), (200, CBOR, "x" * size))
        self.homeserver.answers.clear()

    def assert_envoys_own_answers_are_matrix_errors(self):
        path = "/_matrix/client/v3/x"
        self.homeserver.answers[path] = b""
        self.homeserver.hang_up_after.add(path)
        for accept in (JSON, CBOR):
            status, media_type, body = self.request("GET", accept=accept, origin="https://app.example")
            self.assertEqual((status, media_type), (503, accept))
            error = json.loads(body) if accept == JSON else decode(body)[0]
            self.assertEqual(error["errcode"], "M_UNKNOWN")
        self.assertEqual(self.request("OPTIONS", access_control_request_method="GET", origin="https://app.example")[0], 200)
        # The filter's own answer is not one of them.
        status, media_type, body = self.request("POST", b"\xff", content_type=CBOR)
        self.assertEqual((status, media_type, decode(body)[0]["errcode"]), (400, CBOR, "M_NOT_JSON"))

    def assert_paths_do_not_stray(self):
        """Envoy's own treatment of requests, before the filter sees them, is that of the overlay."""
        self.homeserver.begun.clear()
        for path in STRAYING:
            status, _, body = self.request("GET", path=path, accept=CBOR)
            self.assertEqual(status, 400, path)
            self.assertIn(b"M_UNKNOWN", body)
        self.assertEqual(self.homeserver.begun, [])
        for path in LEGAL:
            self.assertEqual((self.request("GET", path=path)[0], self.homeserver.begun[-1].path), (200, path))

    def test_plain_envoy(self):
        # The public listener of the checkout's own envoy.yaml.
        manager = whole()["public"]
        config, ours = manager["http_filters"][0]["typed_config"]["config"], self.filter["typed_config"]["config"]
        for field in ("allow_on_headers_stop_iteration", "failure_policy"):
            self.assertEqual(ours[field], config[field], field)
        # The limit for GET may be lower than the others, but only with short pieces.
        limits = [route.get("request_body_buffer_limit") for route in manager["route_config"]["virtual_hosts"][0]["routes"]]
        highest, piece = max(filter(None, limits)), "per_connection_buffer_limit_bytes"
        for route in self.host["routes"]:
            limit = route["request_body_buffer_limit"]
            if limit != highest:
                self.assertIn("GET", str(route["match"]))
                self.assertEqual(self.cluster[piece], read(ROOT / "envoy.yaml")[0]["static_resources"]["clusters"][0][piece])
            self.assertIn(limit, limits)
        self.manager["local_reply_config"] = self.own_answers
        self.assert_it_serves(longest_request=8 << 20)
        self.assert_paths_do_not_stray()
        self.assert_envoys_own_answers_are_matrix_errors()

    def istio(self):
        thing, _ = read(OVERLAYS / "istio/clients.yaml")
        spec = thing["spec"]
        # The filter that Istio 1.31 makes of a plugin, which it leaves with Envoy's own limits; the gateway's
        # agent has removed the variables that are meant for itself, and put a file in place of the image.
        plugin = {
            "name": "{namespace}.{name}~istio-translated-wasmplugin".format(**thing["metadata"]),
            "configuration": text(json.dumps(spec["pluginConfig"])),
            "failure_policy": spec["failStrategy"],
            "vm_config": {"runtime": "envoy.wasm.runtime.v8"},
        }
        self.take_plugin(plugin, listener=1 << 20, cluster=1 << 20)
        self.filter["name"] = "extensions.istio.io/trafficextension/" + plugin["name"]
        self.apart = True
        return spec["pluginConfig"]

    def test_istio(self):
        longest = self.istio()["max_request_bytes"]
        _, envoy_filter = read(OVERLAYS / "istio/clients.yaml")
        (patch,) = envoy_filter["spec"]["configPatches"]
        self.assertEqual(patch["match"]["listener"]["filterChain"]["filter"]["name"], self.listener["filter_chains"][0]["filters"][0]["name"])
        # The patch is merged, as far as it concerns parts that are absent.
        merged = patch["patch"]["value"]["typed_config"]
        self.assertEqual(merged.pop("@type"), self.manager["@type"])
        self.manager.update(merged)
        self.assert_it_serves(longest)
        self.assert_paths_do_not_stray()
        self.assert_envoys_own_answers_are_matrix_errors()

    def test_a_mistake_in_the_first_configuration_that_istio_tells_of_means_500_for_every_request(self):
        mistaken = {**self.istio(), "truste": False}
        self.filter["typed_config"]["config"]["configuration"] = text(json.dumps(mistaken))
        self.serve()
        for fields in ({}, {"accept": CBOR}):
            self.assertEqual(self.request("GET", **fields), (500, None, b""))
        self.assertEqual(self.homeserver.begun, [])
        self.assertIn("truste: no such field", self.log.read_text(encoding="utf-8"))

    def envoy_gateway(self, buffer_limit):
        policy, *_ = read(OVERLAYS / "envoy-gateway/clients.yaml")
        (wasm,) = policy["spec"]["wasm"]
        # The filter that Envoy Gateway 1.9 makes of a policy, turned on for the routes of the policy alone.
        name = "envoyextensionpolicy/{namespace}/{name}/wasm/0".format(**policy["metadata"])
        plugin = {
            "name": wasm["name"],
            "configuration": text(json.dumps(wasm["config"])),
            "vm_config": {"vm_id": name, "runtime": "envoy.wasm.runtime.v8"},
        }
        self.take_plugin(plugin, listener=buffer_limit, cluster=32768)
        self.filter.update(name=f"envoy.filters.http.wasm/{name}", disabled=True)
        for route in self.host["routes"]:
            on = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
            route["typed_per_filter_config"] = {self.filter["name"]: on}
        return wasm["config"]["max_request_bytes"]

    def test_envoy_gateway(self):
        _, clients, patches = read(OVERLAYS / "envoy-gateway/clients.yaml")
        limits = (clients["spec"]["connection"]["bufferLimit"], clients["spec"]["http2"]["initialStreamWindowSize"])
        self.assertEqual(limits, ("1Mi", "1Mi"))
        longest = self.envoy_gateway(buffer_limit=1 << 20)
        (patch,) = patches["spec"]["jsonPatches"]
        # Envoy Gateway 1.9 names a listener by its namespace, its gateway, and the section of the policy for
        # clients.
        (target,) = clients["spec"]["targetRefs"]
        self.assertEqual(patch["name"], f"{clients['metadata']['namespace']}/{target['name']}/{target['sectionName']}")
        operation = patch["operation"]
        manager = self.listener["filter_chains"][0]["filters"][0]["name"]
        self.assertEqual(operation["jsonPath"], f"..filters[?(@.name=='{manager}')].typed_config")
        self.assertEqual((operation["op"], operation["path"]), ("add", "/local_reply_config"))
        self.manager["local_reply_config"] = operation["value"]
        self.assert_it_serves(longest)
        self.assert_paths_do_not_stray()
        self.assert_envoys_own_answers_are_matrix_errors()

    def test_the_policy_of_envoy_gateway_alone_serves_all_but_long_requests(self):
        self.envoy_gateway(buffer_limit=32768)
        self.assert_it_serves_answers_of_any_length()
        long = b"\x7a" + (33_000).to_bytes(4, "big") + b"x" * 33_000
        self.assertEqual(self.request("POST", long, content_type=CBOR)[:2], (413, "text/plain"))

    def test_envoy_refuses_a_field_of_its_own_or_of_the_filters_that_is_misspelt(self):
        config = self.filter["typed_config"]["config"]
        config["configuration"]["value"] = '{"trusted": false, "truste": false}'
        status, said = self.validate()
        self.assertNotEqual(status, 0)
        self.assertIn("truste: no such field", said)
        config["configuration"]["value"] = "{}"
        self.assertEqual(self.validate()[0], 0)
        config["failure_policies"] = config.pop("failure_policy")
        status, said = self.validate()
        self.assertNotEqual(status, 0)
        self.assertIn("failure_policies", said)


if __name__ == "__main__":
    unittest.main()
