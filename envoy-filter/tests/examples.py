#!/usr/bin/env python3
"""envoy-filter/examples: the Kubernetes objects by their published schemas, and what becomes of each example by Envoy itself, which
loads the filter and lets it read its configuration.

Of the schemas all but the rules in CEL is applied, and a field that a schema does not know is refused, as `kubectl apply` would.
LOWBAND_CRDS names the folder that `tools/crds` has filled, LOWBAND_ENVOY and LOWBAND_WASM the programs; what is not set is taken
from where the Makefile puts it.
"""

import copy
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import jsonschema
import yaml
from parts import ROOT, program

EXAMPLES = ROOT / "envoy-filter/examples"
CRDS = pathlib.Path(os.environ.get("LOWBAND_CRDS") or ROOT / ".tools/crds")
# The schemas themselves say nothing of it: these are the members of ObjectMeta that an example may have.
METADATA = {
    "type": "object", "required": ["name"], "additionalProperties": False,
    "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
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


def schemas():
    """(apiVersion, kind) -> schema"""
    found = {}
    for file in CRDS.glob("*.yaml"):
        for definition in read(file):
            spec = definition["spec"]
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


def objects():
    return [thing for name in ("envoy-gateway.yaml", "istio.yaml") for thing in read(EXAMPLES / name)]


class Schemas(unittest.TestCase):
    # Below these the schema takes anything: it is Envoy's or the filter's own.
    OPEN = {"config", "value"}

    def test_each_object_is_what_its_published_schema_allows(self):
        self.assertEqual([thing["kind"] for thing in objects()], ["EnvoyExtensionPolicy", "EnvoyPatchPolicy", "EnvoyFilter"])
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

    def test_neither_wasm_plugin_nor_extension_policy_can_say_that_the_body_comes_while_the_headers_wait(self):
        # Both examples say so. When it is no longer true, the patches can go.
        for kind in (("extensions.istio.io/v1alpha1", "WasmPlugin"), ("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy")):
            fields = [str(path[-1]).lower() for path, _ in places(SCHEMAS[kind]) if path]
            self.assertIn("wasm" if kind[1] == "EnvoyExtensionPolicy" else "pluginconfig", fields)
            self.assertEqual([field for field in fields if "stopiteration" in field], [])


class InEnvoy(unittest.TestCase):
    """What each example makes of an Envoy, in the frame of the plain one."""

    def setUp(self):
        (self.envoy,) = read(EXAMPLES / "envoy.yaml")
        self.manager = self.envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        self.filter = self.manager["http_filters"][0]
        (self.host,) = self.manager["route_config"]["virtual_hosts"]

    def without_limits(self):
        """The plain example's own limits taken out, for those of another one."""
        for route in self.host["routes"]:
            del route["request_body_buffer_limit"]

    def validate(self):
        """Envoy's status and what it said, with the module of this checkout in place of the example's."""
        wasm = program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")
        self.filter["typed_config"]["config"]["vm_config"]["code"] = {"local": {"filename": wasm}}
        binary = program("LOWBAND_ENVOY", ".venv/envoy/lib/python3*/site-packages/envoy/_bin/envoy", "setup")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(self.envoy, file)
            file.flush()
            done = subprocess.run([binary, "--mode", "validate", "-c", file.name], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def assert_it_works_as_the_whole_does(self):
        status, said = self.validate()
        self.assertEqual(status, 0, said)
        self.assertNotRegex(said, r"\[(warning|error|critical)\]")
        # The public listener of the checkout's own envoy.yaml.
        (whole,) = read(ROOT / "envoy.yaml")
        (public,) = [listener for listener in whole["static_resources"]["listeners"] if listener["name"] == "public"]
        manager = public["filter_chains"][0]["filters"][0]["typed_config"]
        config, ours = manager["http_filters"][0]["typed_config"]["config"], self.filter["typed_config"]["config"]
        for field in ("allow_on_headers_stop_iteration", "failure_policy"):
            self.assertEqual(ours[field], config[field], field)
        # A limit for GET may be lower than the others, but only with short pieces.
        limits = [route.get("request_body_buffer_limit") for route in manager["route_config"]["virtual_hosts"][0]["routes"]]
        highest = max(filter(None, limits))
        (cluster,), (whole_cluster,) = self.envoy["static_resources"]["clusters"], whole["static_resources"]["clusters"]
        piece = "per_connection_buffer_limit_bytes"
        for route in self.host["routes"]:
            limit = route.get("request_body_buffer_limit", self.host.get("request_body_buffer_limit"))
            if limit != highest:
                self.assertIn("GET", str(route["match"]))
                self.assertEqual(cluster[piece], whole_cluster[piece])
            self.assertIn(limit, limits)
            self.assertIsNotNone(limit)

    def test_plain_envoy(self):
        self.assert_it_works_as_the_whole_does()

    def test_istio(self):
        (thing,) = read(EXAMPLES / "istio.yaml")
        values = {patch["applyTo"]: patch["patch"]["value"] for patch in thing["spec"]["configPatches"]}
        discovered, extension = values["HTTP_FILTER"], values["EXTENSION_CONFIG"]
        self.assertEqual(discovered["name"], extension["name"])
        self.assertEqual(discovered["config_discovery"]["type_urls"], [extension["typed_config"]["@type"]])
        self.filter["typed_config"] = extension["typed_config"]
        self.without_limits()
        self.host.update(values["VIRTUAL_HOST"])
        self.assert_it_works_as_the_whole_does()

    def test_envoy_gateway(self):
        policy, patches = read(EXAMPLES / "envoy-gateway.yaml")
        (wasm,) = policy["spec"]["wasm"]
        # As Envoy Gateway 1.9 makes a filter of a policy.
        name = f"envoy.filters.http.wasm/envoyextensionpolicy/{policy['metadata']['namespace']}/{policy['metadata']['name']}/wasm/0"
        text = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps(wasm["config"])}
        config = {"name": wasm["name"], "configuration": text, "vm_config": {"vm_id": name, "runtime": "envoy.wasm.runtime.v8"}}
        self.filter["typed_config"]["config"] = config
        self.without_limits()
        into = {
            f"$..http_filters[?(@.name=='{name}')].typed_config.config": [config],
            "$.virtual_hosts[?(@.name=='matrix/matrix/https/matrix_example_org')].routes[*]": self.host["routes"],
        }
        for patch in patches["spec"]["jsonPatches"]:
            operation = patch["operation"]
            self.assertEqual(operation["op"], "add")
            for place in into[operation["jsonPath"]]:
                place[operation["path"]] = operation["value"]
        self.assert_it_works_as_the_whole_does()

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
