#!/usr/bin/env python3
"""The overlays of deploy/ for an Envoy that is there: their Kubernetes objects by the published schemas, what they repeat of envoy.yaml, and
what becomes of each in an Envoy, which loads the filter and passes messages through it.

Of the schemas all but the rules in CEL is applied, and a field that a schema does not know is refused, as `kubectl apply` would.
LOWBAND_CRDS names the folder that `tools/crds` has filled, LOWBAND_ENVOY and LOWBAND_WASM the programs; what is not set is taken
from where the Makefile puts it.
"""

import base64
import contextlib
import copy
import http.client
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import jsonschema
import yaml
from parts import CBOR, JSON, ROOT, Homeserver, answer, chunked, decode, free_port, program

OVERLAYS = ROOT / "deploy/overlays"
CRDS = pathlib.Path(os.environ.get("LOWBAND_CRDS") or ROOT / ".tools/crds")
# The schemas themselves say nothing of it: these are the members of ObjectMeta that an overlay may have.
METADATA = {
    "type": "object", "required": ["name"], "additionalProperties": False,
    "properties": {
        "name": {"type": "string"}, "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def read(path):
    # The loader in C: the schemas are a megabyte of YAML.
    return list(yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader))


def closed(schema):
    """The schema with what an API server does besides: a field is known, or the schema says that any may come."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {field: closed(inner) for field, inner in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            schema[name] = closed(schema[name])
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if schema.get("nullable") and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


KINDS = {"EnvoyExtensionPolicy", "ClientTrafficPolicy", "EnvoyPatchPolicy", "WasmPlugin", "TrafficExtension", "EnvoyFilter"}


def schemas():
    """(apiVersion, kind) -> schema"""
    found = {}
    for file in CRDS.glob("*.yaml"):
        for text in file.read_text(encoding="utf-8").split("\n---\n"):
            # The others are megabytes.
            if not any(f"\n    kind: {kind}\n" in text for kind in KINDS):
                continue
            spec = yaml.load(text, yaml.CSafeLoader)["spec"]
            for version in spec["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                typed = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": METADATA}
                schema["properties"] = {**schema["properties"], **typed}
                found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


SCHEMAS = schemas()


def mistakes(thing):
    """What is wrong with a Kubernetes object, one line each."""
    kind = (str(thing.get("apiVersion")), str(thing.get("kind")))
    if kind not in SCHEMAS:
        return [f"no schema is known for {kind}"]
    found = jsonschema.Draft202012Validator(SCHEMAS[kind]).iter_errors(thing)
    return [f"{error.json_path}: {error.message}" for error in found]


def places(value, path=()):
    """All values in a value with their paths, itself first."""
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def changed(thing, path, change):
    """A copy in which `change` has been made to the value at `path`."""
    result = {"": copy.deepcopy(thing)}
    parent, key = result, ""
    for step in path:
        parent, key = parent[key], step
    parent[key] = change(parent[key])
    return result[""]


def text(value):
    """A text as Envoy's configuration holds it where anything may stand."""
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value}


def objects():
    """Those of what is there already; what is for the sidecar alone is whole only as Kustomize makes it."""
    return [thing for name in ("envoy-gateway", "istio") for thing in read(OVERLAYS / name / "clients.yaml")]


def managers(configuration):
    """The HTTP connection managers of an Envoy's configuration, by their listeners."""
    found = {}
    for listener in configuration["static_resources"]["listeners"]:
        filters = [each["typed_config"] for each in listener["filter_chains"][0]["filters"]]
        (found[listener["name"]],) = [each for each in filters if "http_filters" in each]
    return found


def whole():
    """The managers of the checkout's own envoy.yaml."""
    return managers(read(ROOT / "envoy.yaml")[0])


class Schemas(unittest.TestCase):
    # Below these the schema takes anything: it is Envoy's or the filter's own.
    OPEN = {"config", "pluginConfig", "value"}

    def test_each_object_is_what_its_published_schema_allows(self):
        self.assertEqual(sorted(thing["kind"] for thing in objects()), sorted(KINDS - {"TrafficExtension"}))
        for thing in objects():
            self.assertEqual(mistakes(thing), [], thing["kind"])

    def closed_places(self, thing):
        found = [(path, value) for path, value in places(thing) if not self.OPEN & set(path)]
        self.assertGreater(len(found), 10)
        return found

    def test_a_field_that_no_schema_knows_is_refused_at_any_place(self):
        for thing in objects():
            for path, value in self.closed_places(thing):
                if isinstance(value, dict):
                    self.assertTrue(mistakes(changed(thing, path, lambda old: {**old, "noSuchField": {}})), path)

    def test_a_value_of_another_type_is_refused_at_any_place(self):
        for thing in objects():
            for path, value in self.closed_places(thing)[1:]:
                other = "text" if isinstance(value, (dict, list)) else ["a", "list"]
                self.assertTrue(mistakes(changed(thing, path, lambda _: other)), path)

    def test_another_kind_or_version_and_values_out_of_range_are_refused(self):
        for path, value in (
            (("kind",), "EnvoyExtensionPolicies"),
            (("apiVersion",), "gateway.envoyproxy.io/v1"),
            (("spec", "wasm", 0, "code", "type"), "Oci"),
            (("spec", "targetRefs", 0, "name"), ""),
            (("metadata",), {"namespace": "matrix"}),
        ):
            self.assertTrue(mistakes(changed(objects()[0], path, lambda _, value=value: value)), path)
        for number, path, value in (
            (1, ("spec", "connection", "bufferLimit"), "1MiB"),
            (1, ("spec", "path", "escapedSlashesAction"), "Keep"),
            (2, ("spec", "jsonPatches", 0, "operation", "op"), "merge"),
            (3, ("spec", "failStrategy"), "FAIL_CLOSED"),
            (3, ("spec", "url"), ""),
            (4, ("spec", "configPatches", 0, "applyTo"), "LISTENERS"),
        ):
            self.assertTrue(mistakes(changed(objects()[number], path, lambda _, value=value: value)), path)

    def test_istio_takes_the_digest_of_an_image_without_the_name_of_its_hash(self):
        plugin, _ = read(OVERLAYS / "istio/clients.yaml")
        for digest, refused in (("0a" * 32, False), ("sha256:" + "0a" * 32, True)):
            self.assertEqual(bool(mistakes(changed(plugin, ("spec",), lambda spec: {**spec, "sha256": digest}))), refused, digest)

    def test_neither_istio_nor_envoy_gateway_can_say_that_the_body_comes_while_the_headers_wait(self):
        # Both overlays say so. When it is no longer true, they need no `hold_headers`.
        for kind, known in (("WasmPlugin", "pluginconfig"), ("TrafficExtension", "pluginconfig"), ("EnvoyExtensionPolicy", "wasm")):
            (schema,) = [schema for (_, name), schema in SCHEMAS.items() if name == kind]
            fields = [str(path[-1]).lower() for path, _ in places(schema) if path]
            self.assertIn(known, fields)
            self.assertEqual([field for field in fields if "stopiteration" in field], [])


class Repeated(unittest.TestCase):
    """What stands in envoy.yaml as well is the same there."""

    def configurations(self):
        """Of the filter, by overlay: for clients and for the sidecar."""
        plain = managers(read(OVERLAYS / "envoy/envoy.yaml")[0])
        config = lambda name: plain[name]["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]  # noqa: E731
        yield "envoy", json.loads(config("matrix")), json.loads(config("lowband"))
        kinds = {"envoy-gateway": lambda spec: spec["wasm"][0]["config"], "istio": lambda spec: spec["pluginConfig"]}
        for name, inside in kinds.items():
            found = [thing for file in ("clients", "sidecar") for thing in read(OVERLAYS / name / f"{file}.yaml")]
            yield name, *[inside(thing["spec"]) for thing in found if thing["kind"] in ("EnvoyExtensionPolicy", "WasmPlugin")]

    def test_the_sidecars_filter_differs_from_that_of_strangers_by_trust_alone(self):
        public, sidecar = [json.loads(whole()[name]["http_filters"][0]["typed_config"]["config"]["configuration"]["value"])
                           for name in ("public", "sidecar")]
        for name, strangers, trusted in self.configurations():
            for ours, theirs in ((public, strangers), (sidecar, trusted)):
                self.assertEqual({field: theirs[field] for field in ours}, ours, name)
            differ = {field for field in strangers if strangers[field] != trusted[field]}
            self.assertEqual((differ, set(strangers)), ({"trusted", "default_key_table"}, set(trusted)), name)
            if "max_request_bytes" in trusted:
                settings = (OVERLAYS / name / "kustomization.yaml").read_text()
                self.assertIn(f'LOWBAND_UPLOAD: "{trusted["max_request_bytes"]}"', settings)

    def test_the_sidecars_listener_has_the_limits_of_envoy_yaml(self):
        limits = whole()["sidecar"]["http2_protocol_options"]
        self.assertEqual(managers(read(OVERLAYS / "envoy/envoy.yaml")[0])["lowband"]["http2_protocol_options"], limits)
        (patch,) = [thing for thing in read(OVERLAYS / "istio/sidecar.yaml") if thing["kind"] == "EnvoyFilter"]
        self.assertEqual(patch["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["http2_protocol_options"], limits)
        (policy,) = [thing for thing in read(OVERLAYS / "envoy-gateway/sidecar.yaml") if thing["kind"] == "ClientTrafficPolicy"]
        http2 = policy["spec"]["http2"]
        mebibytes = lambda name: int(http2[name].removesuffix("Mi")) << 20  # noqa: E731
        self.assertEqual(limits, {
            "max_concurrent_streams": http2["maxConcurrentStreams"],
            "initial_stream_window_size": mebibytes("initialStreamWindowSize"),
            "initial_connection_window_size": mebibytes("initialConnectionWindowSize"),
        })

    def test_envoys_own_answers(self):
        """own_answers.py tries them one by one."""
        ours = whole()["public"]["local_reply_config"]
        self.assertEqual(whole()["sidecar"]["local_reply_config"], ours)
        for manager in managers(read(OVERLAYS / "envoy/envoy.yaml")[0]).values():
            self.assertEqual(manager["local_reply_config"], ours)
        *_, gateway = read(OVERLAYS / "envoy-gateway/clients.yaml")
        self.assertEqual(gateway["spec"]["jsonPatches"][0]["operation"]["value"], ours)
        *_, istio = read(OVERLAYS / "istio/clients.yaml")
        self.assertEqual(istio["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["local_reply_config"], ours)


class OwnAnswers(unittest.TestCase):
    def test_each_error_says_the_same_in_both_forms(self):
        (envoy,) = read(OVERLAYS / "envoy/envoy.yaml")
        manager = envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        _, _, *errors = manager["local_reply_config"]["mappers"]
        self.assertEqual(len(errors), 14)
        for cbor, plain in zip(errors[::2], errors[1::2]):
            self.assertIn(plain["filter"], cbor["filter"]["and_filter"]["filters"])
            self.assertEqual(cbor["headers_to_add"], plain["headers_to_add"])
            bodies = []
            for mapper, media_type in ((cbor, CBOR), (plain, JSON)):
                body = mapper["body_format_override"]
                self.assertEqual(body["content_type"], media_type)
                bodies.append(body["text_format_source"])
            told, length = decode(data := base64.b64decode(bodies[0]["inline_bytes"]))
            self.assertEqual((told, length), (json.loads(bodies[1]["inline_string"]), len(data)))


class InEnvoy(unittest.TestCase):
    """What each overlay makes of an Envoy for those who come by HTTP, in the frame of the plain one."""

    def setUp(self):
        (self.envoy,) = read(OVERLAYS / "envoy/envoy.yaml")
        static = self.envoy["static_resources"]
        # The sidecar's listener is tried with the sidecar, in e2e/ingress.
        del static["listeners"][1]
        (self.listener,), (self.cluster,) = static["listeners"], static["clusters"]
        self.manager = self.listener["filter_chains"][0]["filters"][0]["typed_config"]
        # What the other two get in a part of its own.
        self.own_answers = self.manager.pop("local_reply_config")
        self.filter = self.manager["http_filters"][0]
        (self.host,) = self.manager["route_config"]["virtual_hosts"]
        self.apart = False

    def take_plugin(self, plugin, listener, cluster):
        """Another plugin in place of the plain Envoy's, and other limits in bytes for what Envoy keeps; none by route."""
        self.filter["typed_config"]["config"] = plugin
        for route in self.host["routes"]:
            del route["request_body_buffer_limit"]
        self.listener["per_connection_buffer_limit_bytes"] = listener
        self.cluster["per_connection_buffer_limit_bytes"] = cluster

    def start(self, *arguments):
        """Envoy with the module of this checkout in place of the overlay's, and a file with what it says."""
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
        """The filter in a file of its own that the listener names: Istio tells of it apart from the listener, too (Envoy's ECDS)."""
        resource = {"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", **self.filter}
        file.write_text(json.dumps({"resources": [resource]}), encoding="utf-8")
        discovery = {
            "config_source": {"path_config_source": {"path": str(file)}, "initial_fetch_timeout": "0s"},
            "type_urls": [self.filter.pop("typed_config")["@type"]],
        }
        self.filter["config_discovery"] = discovery
        self.envoy["node"] = {"id": "gateway", "cluster": "matrix"}

    def validate(self):
        """Envoy's status and what it said of its configuration."""
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

    def request(self, method, body=None, **fields):
        path = "/_matrix/client/v3/x"
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
        # Only the header fields, so that the answer cannot meet a body on its way.
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
        # And the filter's own word is none of them.
        status, media_type, body = self.request("POST", b"\xff", content_type=CBOR)
        self.assertEqual((status, media_type, decode(body)[0]["errcode"]), (400, CBOR, "M_NOT_JSON"))

    def test_plain_envoy(self):
        # The public listener of the checkout's own envoy.yaml.
        manager = whole()["public"]
        config, ours = manager["http_filters"][0]["typed_config"]["config"], self.filter["typed_config"]["config"]
        for field in ("allow_on_headers_stop_iteration", "failure_policy"):
            self.assertEqual(ours[field], config[field], field)
        # A limit for GET may be lower than the others, but only with short pieces.
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
        self.assert_envoys_own_answers_are_matrix_errors()

    def istio(self):
        thing, _ = read(OVERLAYS / "istio/clients.yaml")
        spec = thing["spec"]
        # As Istio 1.31 makes a filter of a plugin, which it leaves with Envoy's own limits; the gateway's agent has taken out the
        # variables that are meant for itself, and put a file in place of the image.
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
        # Merged, as far as it is about what is not there.
        merged = patch["patch"]["value"]["typed_config"]
        self.assertEqual(merged.pop("@type"), self.manager["@type"])
        self.manager.update(merged)
        self.assert_it_serves(longest)
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
        # As Envoy Gateway 1.9 makes a filter of a policy, and turns it on for the routes of the policy alone.
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
        # As Envoy Gateway 1.9 names a listener: by its namespace, its gateway, and what the policy for clients calls a section.
        (target,) = clients["spec"]["targetRefs"]
        self.assertEqual(patch["name"], f"{clients['metadata']['namespace']}/{target['name']}/{target['sectionName']}")
        operation = patch["operation"]
        manager = self.listener["filter_chains"][0]["filters"][0]["name"]
        self.assertEqual(operation["jsonPath"], f"..filters[?(@.name=='{manager}')].typed_config")
        self.assertEqual((operation["op"], operation["path"]), ("add", "/local_reply_config"))
        self.manager["local_reply_config"] = operation["value"]
        self.assert_it_serves(longest)
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
