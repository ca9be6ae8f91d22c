#!/usr/bin/env python3
"""The behaviour of a running Envoy when it gets another configuration of the filter.

Its listeners are in a file of their own here, which Envoy watches. The rest is in parts.py.
"""

import json
import os
import pathlib
import re
import tempfile
import unittest

from parts import CBOR, JSON, Envoy, Homeserver, program, until
from streaming import Metrics
from trap import DOES_NOTHING, with_body


def taken_apart(text, listeners):
    """Returns (the configuration without its listeners, which it reads from the file `listeners`; the content of that file)."""
    head, rest = text.split("static_resources:\n  listeners:\n")
    found, clusters = rest.split("\n  clusters:\n")
    found, count = re.subn(r"^(  - )(?=name: )", r'\1"@type": type.googleapis.com/envoy.config.listener.v3.Listener\n    ', found, flags=re.MULTILINE)
    assert count == 2, count
    # Envoy needs a name for itself in its requests, even when it asks a file.
    node = "node: { id: test, cluster: test }\n"
    watched = f"dynamic_resources: {{ lds_config: {{ path_config_source: {{ path: {listeners} }} }} }}\n"
    return f"{head}{node}{watched}static_resources:\n  clusters:\n{clusters}", f"resources:\n{found}\n"


class Watched(Metrics):
    """An Envoy whose listeners can be replaced."""

    module = staticmethod(lambda filter: filter)

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.file = pathlib.Path(folder.name, "listeners.yaml")
        original, module = program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter"), f"{folder.name}/filter.wasm"
        pathlib.Path(module).write_bytes(cls.module(pathlib.Path(original).read_bytes()))

        def edit(text):
            assert text.count(original) == 1, original
            text, cls.listeners = taken_apart(text.replace(original, module), cls.file)
            cls.file.write_text(cls.listeners)
            return text

        cls.homeserver = Homeserver()
        # A replaced listener has a second to come to its end.
        cls.envoy = Envoy(f"http://127.0.0.1:{cls.homeserver.port}", edit=edit, options=("--drain-time-s", "1"))
        cls.addClassCleanup(cls.envoy.stop)
        cls.envoy.ready()

    def load(self, text):
        """Sets another configuration of the filter for the public listener. Envoy looks at a file that takes the place of the one it has read."""
        listeners, count = re.subn(r'\{"trusted": false, .*\}(?=\'$)', lambda _: text, self.listeners, flags=re.MULTILINE)
        self.assertEqual(count, 1)
        new = self.file.with_suffix(".new")
        new.write_text(listeners)
        os.replace(new, self.file)

    def port(self):
        """Returns the port that clients are given, on a new connection each time: an old one stays with its first configuration."""
        response = self.request("GET", "/_matrix/client/versions", accept=JSON)
        self.connection.close()
        return json.loads(response.content)["org.matrix.msc3079.low_bandwidth"]["dtls"]


class End(Watched):
    """The filter reports its numbers when some time has passed, and at the end of a configuration. This one never notices that time
    passes, so that it reports everything at the end."""

    module = staticmethod(lambda filter: with_body(filter, "proxy_on_tick", DOES_NOTHING))

    def messages(self):
        return {name: value for name, value in self.metrics().items() if name.startswith("lowband_messages") and value != "0"}

    def test_a_configuration_that_is_replaced_leaves_no_number_untold(self):
        self.request("GET", accept=CBOR)
        self.connection.close()
        self.assertEqual(self.messages(), {}, "time has passed")
        self.load('{"advertise": {"dtls_port": 9}}')
        told = {
            'lowband_messages{direction="request",result="passed"}': "1",
            'lowband_messages{direction="response",result="translated"}': "1",
        }
        until(lambda: self.messages() == told)
        self.assertEqual(self.messages(), told)
        self.assertEqual(self.port(), 9)


class Mistakes(Watched):
    def tearDown(self):
        """Envoy itself logs these mistakes as critical."""

    def test_mistakes_are_told_and_the_old_configuration_serves_until_there_is_a_good_one(self):
        self.assertEqual(self.port(), self.envoy.public)
        self.load('{"max_depth": 0, "advertise": {"dtls_port": "x"}}')
        # Envoy's own message comes last.
        self.assertTrue(until(lambda: "update rejected" in self.envoy.read_log()), self.envoy.read_log())
        for field in ("max_depth", "advertise.dtls_port"):
            self.assertIn(f"lowband: configuration: {field}: ", self.envoy.read_log())
        self.assertEqual(self.port(), self.envoy.public)
        self.load('{"advertise": {"dtls_port": 9}}')
        self.assertTrue(until(lambda: self.port() == 9))


if __name__ == "__main__":
    unittest.main()
