#!/usr/bin/env python3
"""Paths at both listeners of the project's envoy.yaml: paths that may lead elsewhere than they seem to are refused before the
homeserver sees anything, and all others reach it byte for byte.

Needs curl for HTTP/2.
"""

import unittest

from own_answers import Public, Sidecar
from parts import CBOR, JSON, Case, decode

# A homeserver takes only the plain ones for steps; programs in front of it may take all.
STRAYING = [
    "/_matrix/client/../../_synapse/admin/v1/users",
    "/_matrix/client/..",
    "/_matrix/client/./versions",
    "/_matrix/client/%2e%2e/%2E./_synapse/admin",
    "/_matrix/client/..%2f..%2F_synapse/admin",
    "/_matrix/client/%2e%2e%2f%2e%2e%2f_synapse/admin",
    "/_matrix/client/%252e%252e/%252e%252e/_synapse/admin",
    "/_matrix/client//..//..//_synapse/admin",
    "/_matrix/client/..%5c..%5c_synapse/admin",
    "/_matrix/client/..;/..;a=b/_synapse/admin",
    "/_matrix/client/..%3b/..%00/_synapse/admin",
    "/_matrix/client/v1/media/../../../../_synapse/admin",
]
# Paths of the kind that only the public listener serves.
STRAYING_IN_PUBLIC = [
    "/_matrix/../_synapse/admin/v1/users",
    "/_matrix/media/../../_synapse/admin",
    "/_matrix/federation/%2e%2e/%2e%2e/_synapse/admin",
    "/_synapse/client/../admin/v1/users",
    "/.well-known/matrix/../../_synapse/admin",
    "/_matrix/..\\_synapse\\admin",
]
LEGAL = [
    "/_matrix/client/v3/rooms/%21a%3Amatrix.example.org/event/%24a%2Fb%2F%2Fc",
    "/_matrix/client/v3/rooms/!a:matrix.example.org/state/m.room.name/",
    "/_matrix/client/v3/rooms/!a:b/state//",
    "/_matrix/client/v3/rooms/!a:b/state/x/...",
    "/_matrix/client/v3/rooms/!a:b/state/x/..%61;%2E",
    "/_matrix/client/v3/directory/room/%23a%2f..c%5C:h.org",
    "/_matrix/client/v3/pushrules/global/override/.m.rule.master/enabled",
    "/_matrix/client/v3/user/@a:b/account_data/100%25",
    "/_matrix/client/v3/sync?filter=/../x&since=..%2f..",
    "/.well-known/matrix/client",
]


class Paths(Case):
    def listeners(self):
        return Public(self.envoy), Sidecar(self.envoy)

    def test_what_may_lead_elsewhere_is_refused_before_anything_is_forwarded(self):
        self.homeserver.begun.clear()
        for listener in self.listeners():
            for path in STRAYING + (STRAYING_IN_PUBLIC if isinstance(listener, Public) else []):
                for accept, form in ((JSON, JSON), (CBOR, CBOR)):
                    with self.subTest(listener=type(listener).__name__, path=path, accept=accept):
                        got = listener.ask("GET", path, {"accept": accept})
                        # Media is requested by readers of JSON.
                        form = JSON if "/media/" in path else form
                        self.assertEqual((got.status, got.values("content-type")), (400, [form]), got)
                        self.assertEqual(got.values("access-control-allow-origin"), ["*"])
                        self.assertIn(b"M_UNKNOWN", got.content)
                        if form == CBOR:
                            self.assertEqual(decode(got.content)[1], len(got.content))
        # The refusal also comes for a request with a body.
        got = Public(self.envoy).ask("POST", STRAYING[0], {"content-type": CBOR}, b"\xa0")
        self.assertEqual(got.status, 400)
        self.assertEqual(self.homeserver.begun, [])

    def test_every_other_path_arrives_as_it_was_written(self):
        for listener in self.listeners():
            for path in LEGAL:
                with self.subTest(listener=type(listener).__name__, path=path):
                    self.homeserver.requests.clear()
                    got = listener.ask("GET", path, {"accept": JSON})
                    self.assertEqual((got.status, [r.path for r in self.homeserver.requests]), (200, [path]), got)


if __name__ == "__main__":
    unittest.main()
