#!/usr/bin/env python3
"""The overlays of deploy/ for an Envoy that is there: their Kubernetes objects by the published schemas, and the values repeated from envoy.yaml.

The schemas are applied except for their rules in CEL, and a field that a schema does not know is refused, as by `kubectl apply`.
LOWBAND_CRDS names the folder that `tools/crds` has filled, if it is another one than the Makefile's.
"""

import base64
import copy
import json
import os
import pathlib
import re
import unittest

import jsonschema
import yaml
from parts import CBOR, JSON, ROOT, decode

OVERLAYS = ROOT / "deploy/overlays"
CRDS = pathlib.Path(os.environ.get("LOWBAND_CRDS") or ROOT / ".tools/crds")
# The schemas do not list these: the members of ObjectMeta that an overlay may have.
METADATA = {
    "type": "object", "required": ["name"], "additionalProperties": False,
    "properties": {
        "name": {"type": "string"}, "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def read(path):
    # The loader in C is used because the schemas are a megabyte of YAML.
    return list(yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader))


def closed(schema):
    """Returns the schema with a further rule of API servers: a field is known, or the schema says that any may come."""
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
    """Returns (apiVersion, kind) -> schema."""
    found = {}
    for file in CRDS.glob("*.yaml"):
        for text in file.read_text(encoding="utf-8").split("\n---\n"):
            # The other files are megabytes.
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
    """Returns the mistakes in a Kubernetes object, one line each."""
    kind = (str(thing.get("apiVersion")), str(thing.get("kind")))
    if kind not in SCHEMAS:
        return [f"no schema is known for {kind}"]
    found = jsonschema.Draft202012Validator(SCHEMAS[kind]).iter_errors(thing)
    return [f"{error.json_path}: {error.message}" for error in found]


def places(value, path=()):
    """Yields all values in a value with their paths, the value itself first."""
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def changed(thing, path, change):
    """Returns a copy in which `change` has been made to the value at `path`."""
    result = {"": copy.deepcopy(thing)}
    parent, key = result, ""
    for step in path:
        parent, key = parent[key], step
    parent[key] = change(parent[key])
    return result[""]


def text(value):
    """Returns a text as Envoy's configuration holds it in a field of any type."""
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value}


def objects():
    """Returns the objects for an existing Envoy; those for the sidecar alone are complete only as Kustomize makes them."""
    return [thing for name in ("envoy-gateway", "istio") for thing in read(OVERLAYS / name / "clients.yaml")]


def managers(configuration):
    """Returns the HTTP connection managers of an Envoy's configuration, by their listeners."""
    found = {}
    for listener in configuration["static_resources"]["listeners"]:
        filters = [each["typed_config"] for each in listener["filter_chains"][0]["filters"]]
        (found[listener["name"]],) = [each for each in filters if "http_filters" in each]
    return found


def whole():
    """Returns the managers of the checkout's own envoy.yaml."""
    return managers(read(ROOT / "envoy.yaml")[0])


class Memory(unittest.TestCase):
    # The cost of a waiting sync in Envoy, and Envoy's own memory: of the 110 MB of docs/kubernetes.md the
    # filter's machines have 70.
    WAITING_SYNC = 50_000
    ENVOY_ITSELF = 40_000_000
    # From the default of the sidecar's `--blockwise-memory`: half is for answers, and an eighth more is used
    # when clients lose some.
    ANSWERS = (64 << 20) // 2 * 9 // 8

    def pod(self):
        """Returns Envoy's container, and the settings of all."""
        (deployment,) = read(ROOT / "deploy/40-deployment.yaml")
        check, _, envoy = deployment["spec"]["template"]["spec"]["initContainers"]
        return envoy, {each["name"]: each["value"] for each in check["env"]}

    def of_an_answer(self):
        """Returns the bytes Envoy keeps of an answer that is not read on: a window of its stream, and one read from the homeserver."""
        (homeserver,) = read(ROOT / "envoy.yaml")[0]["static_resources"]["clusters"]
        window = whole()["sidecar"]["http2_protocol_options"]["initial_stream_window_size"]
        return window, homeserver["per_connection_buffer_limit_bytes"]

    def charged(self):
        """Returns the bytes that the sidecar counts for such an answer, for itself and for Envoy."""
        (there,) = re.findall(r'"LOWBAND_HELD_BY_ENVOY", value_name = "SIZE", default_value = "(\d+)KiB"',
                              (ROOT / "sidecar/src/config/options/bodies.rs").read_text())
        (here,) = re.findall(r"STREAM_WINDOW: u32 = (\d+) << 10;", (ROOT / "sidecar/src/upstream/connection.rs").read_text())
        return int(here) << 10, int(there) << 10

    def test_the_sidecar_counts_what_envoy_keeps_of_an_answer(self):
        self.assertEqual(self.charged()[1], sum(self.of_an_answer()))

    def test_syncs_and_answers_in_all_places_leave_envoy_short_of_what_it_refuses_at(self):
        _, settings = self.pod()
        self.assertNotIn("LOWBAND_BLOCKWISE_MEMORY", settings)
        actions = read(ROOT / "envoy.yaml")[0]["overload_manager"]["actions"]
        (ends,) = [each["triggers"][0]["scaled"] for each in actions if each["name"].endswith("reset_high_memory_stream")]
        refuses_at = ends["scaling_threshold"] * int(settings["LOWBAND_ENVOY_MAX_HEAP"])
        # Of an answer of unknown length the filter has held 256 KiB before.
        paused = self.ANSWERS // sum(self.charged())
        waiting = (int(settings["LOWBAND_UPSTREAM_REQUESTS"]) - paused) * self.WAITING_SYNC
        waiting += paused * (sum(self.of_an_answer()) + (192 << 10))
        self.assertLess(self.ENVOY_ITSELF + waiting, refuses_at)
        # The number of requests is not smaller than necessary.
        self.assertGreater(self.ENVOY_ITSELF + 1.25 * waiting, refuses_at)

    def test_what_envoy_may_take_fits_into_its_pods_limit(self):
        envoy, settings = self.pod()
        heap = int(settings["LOWBAND_ENVOY_MAX_HEAP"])
        limit = envoy["resources"]["limits"]["memory"]
        self.assertRegex(limit, r"^\d+Mi$")
        self.assertEqual(heap * 8, int(limit.removesuffix("Mi")) * 5 << 20)
        # The bytes that wait in the filters of both listeners and on each thread, all at once.
        manager = whole()["public"]["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
        threads = int(envoy["args"][envoy["args"].index("--concurrency") + 1])
        self.assertLess(2 * threads * json.loads(manager).get("max_held_bytes", 64 << 20), 0.85 * heap)


class Schemas(unittest.TestCase):
    # Below these fields the schema accepts anything: the content is Envoy's or the filter's own.
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
        # Both overlays state this. When it is no longer true, they do not need `hold_headers`.
        for kind, known in (("WasmPlugin", "pluginconfig"), ("TrafficExtension", "pluginconfig"), ("EnvoyExtensionPolicy", "wasm")):
            (schema,) = [schema for (_, name), schema in SCHEMAS.items() if name == kind]
            fields = [str(path[-1]).lower() for path, _ in places(schema) if path]
            self.assertIn(known, fields)
            self.assertEqual([field for field in fields if "stopiteration" in field], [])


class Repeated(unittest.TestCase):
    """Values that also stand in envoy.yaml are equal there."""

    def configurations(self):
        """Returns the filter's settings, by overlay: for clients and for the sidecar."""
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
        # Where nothing else bounds what Envoy holds of a request, the window does: a long body has to fit.
        limits = limits | {"initial_stream_window_size": 1 << 20}
        for name in ("envoy-gateway", "istio"):
            settings = (OVERLAYS / name / "kustomization.yaml").read_text()
            self.assertIn(f'LOWBAND_HELD_BY_ENVOY: "{limits["initial_stream_window_size"] >> 20}MiB"', settings)
        self.assertEqual(patch["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["http2_protocol_options"], limits)
        (policy,) = [thing for thing in read(OVERLAYS / "envoy-gateway/sidecar.yaml") if thing["kind"] == "ClientTrafficPolicy"]
        http2 = policy["spec"]["http2"]
        size = lambda name: int(http2[name][:-2]) << {"Ki": 10, "Mi": 20}[http2[name][-2:]]  # noqa: E731
        self.assertEqual(limits, {
            "max_concurrent_streams": http2["maxConcurrentStreams"],
            "initial_stream_window_size": size("initialStreamWindowSize"),
            "initial_connection_window_size": size("initialConnectionWindowSize"),
        })

    def test_strangers_cannot_take_what_the_sidecar_needs(self):
        ours, plain = [read(path)[0]["static_resources"] for path in (ROOT / "envoy.yaml", OVERLAYS / "envoy/envoy.yaml")]
        breakers = [static["clusters"][0]["circuit_breakers"]["thresholds"] for static in (ours, plain)]
        self.assertEqual(breakers[0], breakers[1])
        for static, inner in ((ours, "sidecar"), (plain, "lowband")):
            for listener in static["listeners"]:
                apart = listener["name"] == inner
                for field in ("bypass_overload_manager", "ignore_global_conn_limit"):
                    self.assertEqual(listener.get(field, False), apart, field)
                manager = managers({"static_resources": {"listeners": [listener]}})[listener["name"]]
                routes = [each.get("route") for each in manager["route_config"]["virtual_hosts"][0]["routes"]]
                priorities = {route.get("priority") for route in routes if route}
                self.assertEqual(priorities, {"HIGH"} if apart else {None})
        # Each request takes one connection: together no more than the ports from one address to another.
        strangers, sidecar = [threshold["max_connections"] for threshold in breakers[0]]
        self.assertLess(strangers + sidecar, 60999 - 32768)
        (policy,) = [thing for thing in read(OVERLAYS / "envoy-gateway/sidecar.yaml") if thing["kind"] == "BackendTrafficPolicy"]
        self.assertEqual(policy["spec"]["circuitBreaker"]["maxConnections"], sidecar)

    def test_envoys_own_answers(self):
        """own_answers.py tries the answers one by one."""
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


if __name__ == "__main__":
    unittest.main()
