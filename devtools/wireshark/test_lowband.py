#!/usr/bin/env python3
"""Tests of lowband.lua in tshark, over captures that they write: `make test-wireshark`.

The codec's vectors travel as bodies of CoAP over UDP, and what the plugin shows of them is compared with what the
codec gives. Blocks, options and codes are compared with what was sent.
"""

import base64
import json
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent.parent / "codec/vectors"
PLUGIN = HERE / "lowband.lua"

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 5683)
CON, NON, ACK, RST = range(4)
GET, POST, PUT, DELETE = range(1, 5)
CONTENT, CONTINUE = 0x45, 0x5F
ETAG, URI_PATH, CONTENT_FORMAT, URI_QUERY, ACCEPT, BLOCK2, BLOCK1 = 4, 11, 12, 15, 17, 23, 27
AUTHORIZATION, CBOR_VERSION, REQUEST_TAG, CAPABILITIES = 256, 257, 292, 65020
Q_BLOCK2 = 31
CBOR = (CONTENT_FORMAT, b"\x3c")
PACKED = (CONTENT_FORMAT, b"\xfe\x24")
UDP = 17


def uint(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def block(number, more, size=64):
    return uint(number << 4 | more << 3 | size.bit_length() - 5)


def path(*segments):
    return [(URI_PATH, segment.encode()) for segment in segments]


def coap(kind, code, mid, token=b"", options=(), payload=b""):
    """A CoAP message (RFC 7252 section 3)."""

    def nibble(value):
        if value < 13:
            return value, b""
        return (13, bytes([value - 13])) if value < 269 else (14, struct.pack("!H", value - 269))

    out = struct.pack("!BBH", 0x40 | kind << 4 | len(token), code, mid) + token
    last = 0
    for number, value in sorted(options, key=lambda option: option[0]):
        (delta, more), (length, long) = nibble(number - last), nibble(len(value))
        out += bytes([delta << 4 | length]) + more + long + value
        last = number
    return out + (b"\xff" + payload if payload else b"")


def up(data, client=CLIENT):
    return client, SERVER, data


def down(data, client=CLIENT):
    return SERVER, client, data


def ip(source, target, protocol, payload):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return head + socket.inet_aton(source[0]) + socket.inet_aton(target[0]) + payload


def packet(source, target, data):
    return ip(source, target, UDP, struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0) + data)


def pcap(packets, kept=65535):
    """A capture of IP packets, of each of which so many bytes are kept."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, kept, 101)]
    for count, data in enumerate(packets):
        out.append(struct.pack("<IIII", 1000, count * 1000, len(data[:kept]), len(data)) + data[:kept])
    return b"".join(out)


class PluginTest(unittest.TestCase):
    limits = {}

    def tshark(self, capture, *arguments):
        """Runs tshark with the plugin alone, without what this user has set; returns what it printed. Limits that
        the test names are smaller in the plugin."""
        with tempfile.TemporaryDirectory() as folder:
            name, plugin = pathlib.Path(folder) / "made.pcap", pathlib.Path(folder) / "lowband.lua"
            name.write_bytes(capture)
            text = PLUGIN.read_text()
            for limit, value in self.limits.items():
                text, count = re.subn(rf"^local {limit} = .*$", f"local {limit} = {value}", text, flags=re.MULTILINE)
                self.assertEqual(count, 1, limit)
            plugin.write_text(text)
            run = subprocess.run(
                ["tshark", "-n", "-r", name, "-X", f"lua_script:{plugin}", *arguments],
                capture_output=True, env={**os.environ, "HOME": folder, "XDG_CONFIG_HOME": folder},
            )
        told = run.stdout.decode()
        self.assertEqual((run.returncode, "Lua" in run.stderr.decode()), (0, False), run.stderr.decode())
        self.assertNotIn("Lua Error", told)
        return told

    def rows(self, datagrams, *fields, more=()):
        """The values of these fields, a row for each datagram; several in one datagram are joined by `|`."""
        names = [part for field in fields for part in ("-e", field)]
        capture = datagrams if isinstance(datagrams, bytes) else pcap([packet(*datagram) for datagram in datagrams])
        told = self.tshark(capture, *more, "-T", "fields", "-E", "aggregator=|", *names)
        return [tuple(line.split("\t")) for line in told.removesuffix("\n").split("\n")]


def vectors(name):
    return json.loads((VECTORS / name).read_text())


def exact(text):
    """A JSON value in which an integer is not a float and the order of keys counts."""
    floats = lambda number: ("float", float(number))
    return json.loads(text, parse_float=floats, object_pairs_hook=lambda pairs: ("map", pairs))


class Bodies(PluginTest):
    def bodies(self, payloads):
        put = lambda mid, payload: up(coap(CON, PUT, mid, b"t", [*path("x"), CBOR], payload))
        return self.rows(
            [put(mid, payload) for mid, payload in enumerate(payloads)],
            "lowband.json", "lowband.error", "lowband.cbor_bytes", "lowband.json_bytes",
        )

    def test_cbor_of_the_vectors_becomes_the_json_that_the_codec_gives(self):
        told = [vector for name in ("cbor-to-json.json", "both-ways.json") for vector in vectors(name)]
        told = [vector for vector in told if vector.get("keys", "v1") == "v1" and "limits" not in vector]
        self.assertGreater(len(told), 150)
        payloads = [bytes.fromhex(vector["cbor"]) for vector in told]
        for vector, payload, row in zip(told, payloads, self.bodies(payloads), strict=True):
            with self.subTest(vector["name"]):
                text, error, cbor_bytes, json_bytes = row
                self.assertEqual(exact(text), exact(vector["json"]))
                self.assertEqual((error, int(cbor_bytes)), ("", len(payload)))
                self.assertEqual(int(json_bytes), len(vector["json"].encode()))

    def test_cbor_that_the_codec_refuses_is_refused_at_the_same_byte_in_the_same_words(self):
        told = [vector for vector in vectors("refused-cbor.json") if "limits" not in vector and vector["cbor"]]
        self.assertGreater(len(told), 80)
        source = (HERE.parent.parent / "codec/src/error.rs").read_text()
        for vector, row in zip(told, self.bodies([bytes.fromhex(vector["cbor"]) for vector in told]), strict=True):
            with self.subTest(vector["name"]):
                offset, _, sentence = row[1].partition(": ")
                self.assertEqual(offset, f"byte {vector['offset']}")
                self.assertIn(f'"{vector["error"]}", "{sentence}"', source)


# An event as lowband_wire::packed::pack gives it, and as JSON.
PACKED_EVENT = (
    "a303a31854e21857d6584503080012700280090b9adeaa17ce082bef89ed40c7d996b56157211f2a6ba93aac836cb23b002d1da653c32360"
    "dfb69fce0f1fdebf48b0df6be1134583b31a65e9dc5097b81856d65820224c2a5b14f6cf2dc323513fcccd96abe084f2daf7784a6cc6c5468c"
    "6acc3ddc01c658200102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2002e1"
)
EVENT = (
    '{"content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"AwgAEnACgAkLmt6qF84IK++J7UDH2Za1YVchHyprqTqsg2yyOwAt'
    'HaZTwyNg37afzg8f3r9IsN9r4RNFg7MaZencUJe4","session_id":"IkwqWxT2zy3DI1E/zM2Wq+CE8tr3eEpsxsVGjGrMPdw"},"event_id":'
    '"$AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA","type":"m.room.encrypted"}'
)


class PackedBodies(PluginTest):
    def bodies(self, payloads, more=()):
        put = lambda mid, payload: up(coap(CON, PUT, mid, b"t", [*path("x"), PACKED], payload))
        return self.rows(
            [put(mid, payload) for mid, payload in enumerate(payloads)],
            "lowband.json", "lowband.error", "lowband.packed_bytes", "lowband.cbor_bytes", more=more,
        )

    def test_an_event_is_shown_as_its_json_whole_or_in_blocks(self):
        packed = bytes.fromhex(PACKED_EVENT)
        self.assertEqual(self.bodies([packed]), [(EVENT, "", str(len(packed)), "234")])
        last = (len(packed) - 1) // SIZE
        options = lambda number: [*path("x"), PACKED, (BLOCK1, block(number, number < last))]
        parts = [(number, packed[number * SIZE : number * SIZE + SIZE]) for number in range(last + 1)]
        datagrams = [up(coap(CON, PUT, number, b"t", options(number), part)) for number, part in parts]
        rows = self.rows(datagrams, "lowband.json", "lowband.content_format")
        self.assertEqual([row[0] for row in rows], [""] * last + [EVENT])
        self.assertEqual(rows[0][1], "65060")
        tree = self.tshark(pcap([packet(*datagrams[-1])]), "-O", "lowband")
        self.assertIn("Option 12 Content-Format: 65060 (packed CBOR)\n", tree)

    def test_each_text_of_the_table_has_its_number(self):
        source = (HERE.parent.parent / "wire/src/packed/table.rs").read_text()
        known = re.findall(r'^    "([^"]+)",$', source, re.MULTILINE)
        self.assertEqual(len(known), 224)

        def number(place):
            if place < 16:
                return bytes([0xE0 | place])
            major, value = (place - 16) % 2 * 0x20, (place - 16) // 2
            return b"\xc6" + bytes([major | value] if value < 24 else [major | 24, value])

        body = b"\x98\xe0" + b"".join(number(place) for place in range(len(known)))
        ((text, error, _, _),) = self.bodies([body])
        self.assertEqual((json.loads(text), error), (known, ""))

    def test_base64_of_any_length_and_alphabet_comes_back(self):
        chance = random.Random(7)
        lengths = [0, 1, 2, 3, 22, 23, 24, 32, 190, 191, 192, 255, 256, 700]
        for tag, sign, encode in (
            (b"\xd6", "", base64.b64encode), (b"\xd5", "", base64.urlsafe_b64encode),
            (b"\xc6", "$", base64.urlsafe_b64encode), (b"\xc6\xf5", "!", base64.urlsafe_b64encode),
        ):
            texts = [chance.randbytes(length) for length in lengths] + [bytes(range(256))]
            body = bytes([0x80 | 24, len(texts)])
            for text in texts:
                body += tag + b"\x59" + struct.pack("!H", len(text)) + text
            expected = [sign + encode(text).decode().rstrip("=") for text in texts]
            ((text, error, _, _),) = self.bodies([body])
            self.assertEqual((json.loads(text), error), (expected, ""))

    def test_what_no_packer_writes_is_refused_in_the_words_of_the_crate(self):
        tests = (HERE.parent.parent / "wire/src/packed/tests.rs").read_text()
        told = re.findall(r'\("([0-9a-f ]+)", NotPacked::(\w+)\((\d+)\)\)', tests)
        self.assertGreater(len(told), 10)
        source = (HERE.parent.parent / "wire/src/packed.rs").read_text()
        words = {name: text for text, name in re.findall(r'#\[error\("([^"]+)"\)\]\n    (\w+)\(', source)}
        rows = self.bodies([bytes.fromhex(packed) for packed, _, _ in told])
        for (packed, name, number), row in zip(told, rows, strict=True):
            with self.subTest(packed):
                self.assertEqual(row[1], words[name].format(number))

    def test_what_was_read_before_a_mistake_is_shown_and_what_json_does_not_have_is_refused(self):
        bodies = ["82e0c1", "82e0d64601", "82e0c6f6c101", "a102", "82e01c", "5f01", "7f646a6f696eff", "7f01"]
        self.assertEqual([row[:2] for row in self.bodies([bytes.fromhex(body) for body in bodies])], [
            ('["m.room.message",', "byte 2 of the packed body stands for nothing"),
            ('["m.room.message",', "the packed body breaks off at byte 5"),
            ('["m.room.message",', "byte 16: a CBOR tag has no form in JSON"),
            ('{"type":', "byte 2: the input ends inside a value"),
            ('["m.room.message",', "byte 16: the CBOR head is reserved or not well-formed"),
            ("", "byte 0: a CBOR byte string has no form in JSON"),
            ('"join"', ""),
            ("", "byte 1: an indefinite-length text may only hold definite-length texts"),
        ])

    def test_nothing_that_is_cut_off_or_changed_makes_the_plugin_fail(self):
        packed, chance = bytes.fromhex(PACKED_EVENT), random.Random(11)
        bodies = [packed[:length] for length in range(1, len(packed))]
        for _ in range(500):
            changed = bytearray(packed)
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            bodies.append(bytes(changed))
        rows = self.bodies(bodies)
        self.assertEqual(len(rows), len(bodies))
        self.assertNotIn("plugin failed", str(rows))
        self.assertTrue(all(row[1] for row in rows[: len(packed) - 1]))


class PackedLimits(PluginTest):
    limits = {"MAX_BODY": "300"}

    def test_a_body_that_stands_for_too_much_is_given_up(self):
        put = up(coap(CON, PUT, 1, b"t", [*path("x"), PACKED], b"\x98\x20" + b"\xe0" * 32))
        ((error,),) = self.rows([put], "lowband.error")
        self.assertEqual(error, "the packed body stands for more than 300 bytes")


class Paths(PluginTest):
    def test_path_options_of_the_vectors_become_the_paths_that_the_codec_gives(self):
        told = [vector for vector in vectors("paths.json") if "segments" in vector and vector.get("only") != "compress"]
        self.assertGreater(len(told), 70)
        get = lambda mid, vector: up(coap(CON, GET, mid, b"t", path(*vector["segments"])))
        rows = self.rows([get(*each) for each in enumerate(told)], "lowband.path", "lowband.error")
        for vector, row in zip(told, rows, strict=True):
            with self.subTest(vector["name"]):
                self.assertEqual(row[0], vector.get("path", ""))
                self.assertEqual(row[1] == "", "path" in vector)


class Messages(PluginTest):
    def test_options_are_shown_by_name_and_tokens_only_on_demand(self):
        options = [
            *path("7"), (URI_QUERY, b"access_token=syt_x"), (URI_QUERY, b"timeout=0"), (AUTHORIZATION, b"syt_secret"),
            (CBOR_VERSION, b"\x01"), (REQUEST_TAG, b"xy"), (REQUEST_TAG, b""), (CAPABILITIES, b"\x07"),
        ]
        datagrams = [up(coap(CON, GET, 1, b"t", options))]
        names = ["authorization", "cbor_version", "request_tag", "capabilities", "query"]
        fields = ["lowband." + name for name in names]
        shown = ("1", "7879|<MISSING>", "7")
        self.assertEqual(self.rows(datagrams, *fields), [("hidden, 10 bytes", *shown, "access_token=hidden&timeout=0")])
        told = self.rows(datagrams, *fields, more=["-o", "lowband.show_tokens:TRUE"])
        self.assertEqual(told, [("syt_secret", *shown, "access_token=syt_x&timeout=0")])
        tree = self.tshark(pcap([packet(*datagram) for datagram in datagrams]), "-O", "lowband")
        for line in (
            "Low-bandwidth Matrix: GET /_matrix/client/r0/sync",
            "Option 256 Authorization: hidden, 10 bytes",
            "Option 257 CBOR-Version: 1",
            "Option 65020 Capabilities: 7 (1: may repeat a request sooner than after 2 s) (2: knows bodies in any order)"
            " (4: knows packed bodies)",
        ):
            self.assertIn(line + "\n", tree)

    def test_options_that_hold_no_number_are_left_to_wireshark(self):
        options = [*path("7"), (CBOR_VERSION, b"12345"), (CAPABILITIES, b"12345")]
        rows = self.rows([up(coap(CON, GET, 1, b"t", options))], "lowband.path", "lowband.cbor_version", "lowband.capabilities")
        self.assertEqual(rows, [("/_matrix/client/r0/sync", "", "")])

    def test_each_code_has_its_name(self):
        source = "".join(file.read_text() for file in sorted(HERE.parent.parent.glob("*/src/**/code.rs")))
        known = re.findall(r' = (\d), (\d+), "([^"]+)";', source)
        self.assertGreater(len(known), 20)
        codes = [(int(kind) << 5 | int(detail), text) for kind, detail, text in known]
        codes += [(1, "GET"), (2, "POST"), (3, "PUT"), (4, "DELETE"), (0x9F, "4.31")]
        rows = self.rows([up(coap(NON, code, mid, b"t", path("7"))) for mid, (code, _) in enumerate(codes)], "lowband.code")
        self.assertEqual([row[0] for row in rows], [text for _, text in codes])

    def test_an_answer_has_the_path_of_its_request_whatever_comes_between(self):
        datagrams = [
            up(coap(CON, GET, 1, b"a", [*path("7"), (URI_QUERY, b"timeout=30000")])),
            up(coap(CON, GET, 1, b"a", path("I")), ("10.0.0.1", 40001)),
            up(coap(CON, PUT, 2, b"b", path("b", "@u:hs"))),
            down(coap(ACK, 0, 1)),
            down(coap(ACK, CONTENT, 2, b"b")),
            down(coap(CON, CONTENT, 9, b"a")),
            down(coap(CON, CONTENT, 8, b"c")),
            # One token for one request after the other, and a notification for the second one.
            up(coap(CON, GET, 3, b"a", path("I"))),
            down(coap(ACK, CONTENT, 3, b"a")),
            down(coap(CON, CONTENT, 10, b"a")),
        ]
        rows = self.rows(datagrams, "lowband.request_in", "lowband.method", "lowband.path", "lowband.query")
        self.assertEqual(rows[3:], [
            ("", "", "", ""),
            ("3", "PUT", "/_matrix/client/r0/presence/@u:hs/status", ""),
            ("1", "GET", "/_matrix/client/r0/sync", "timeout=30000"),
            ("", "", "", ""),
            ("", "GET", "/_matrix/client/r0/joined_rooms", ""),
            ("8", "GET", "/_matrix/client/r0/joined_rooms", ""),
            ("8", "GET", "/_matrix/client/r0/joined_rooms", ""),
        ])

    def test_paths_stand_in_the_list_of_packets(self):
        told = self.tshark(pcap([packet(*up(coap(CON, GET, 1, b"a", path("7"))))]))
        self.assertIn("/7 = /_matrix/client/r0/sync", told)

    def test_dtls_is_looked_for_at_the_ports_of_the_preference(self):
        # Too short for Wireshark to take it for DTLS by itself.
        datagrams = [(CLIENT, ("10.0.0.2", port), bytes.fromhex("17feff")) for port in (8008, 9001, 9002)]
        found = lambda more: [row[0].rpartition(":")[2] for row in self.rows(datagrams, "frame.protocols", more=more)]
        self.assertEqual(found([]), ["dtls", "data", "data"])
        self.assertEqual(found(["-o", "lowband.ports:9001-9002"]), ["data", "dtls", "dtls"])

    def test_keys_can_be_asked_for_and_are_shown_with_their_integer(self):
        body = bytes.fromhex("a2181ca10201616181f5")
        capture = pcap([packet(*up(coap(CON, PUT, 1, b"t", [*path("x"), CBOR], body)))] * 2)
        self.assertEqual(len(self.tshark(capture, "-Y", 'lowband.key == "type"').splitlines()), 2)
        self.assertEqual(self.tshark(capture, "-Y", 'lowband.key == "content"'), "")
        tree = self.tshark(capture, "-O", "lowband")
        for line in ('"msgtype" (28): 1 key', '"type" (2): 1', '"a": 1 element', "0: true"):
            self.assertIn(f" {line}\n", tree)

    def test_bodies_of_other_formats(self):
        def put(format):
            return up(coap(CON, PUT, 1, b"t", [*path("x"), *format], b"\x01"))

        json_format, octets, other = [(CONTENT_FORMAT, b"\x32")], [(CONTENT_FORMAT, b"\x2a")], [(CONTENT_FORMAT, b"\x28")]
        datagrams = [put([]), put(octets), put(other), up(coap(CON, PUT, 2, b"t", [*path("x"), *json_format], b"[1]"))]
        datagrams += [down(coap(ACK, code, 1, b"t", format, b"no")) for code in (CONTENT, 0x80) for format in ([], octets)]
        datagrams += [up(coap(CON, GET, 3, b"t", [*path("x"), CBOR], b"\x01"))]
        rows = self.rows(datagrams, "lowband.json", "lowband.cbor_bytes", "lowband.diagnostic", "lowband.error")
        nothing = ("", "", "", "")
        self.assertEqual(rows, [
            ("1", "1", "", ""), ("1", "1", "", ""), nothing, ("[1]", "", "", ""),
            nothing, nothing, ("", "", "no", ""), nothing, nothing,
        ])

    def test_what_was_read_before_a_mistake_is_shown(self):
        datagrams = [up(coap(CON, PUT, 1, b"t", [*path("x"), CBOR], b"\xa2\x02\x01\x03\x82\x01"))]
        (row,) = self.rows(datagrams, "lowband.json", "lowband.error", "_ws.expert.message")
        self.assertEqual(row[:2], ('{"type":1,"content":[1,', "byte 6: the input ends inside a value"))
        self.assertIn("byte 6: the input ends inside a value", row[2])

    def test_nothing_that_is_cut_off_or_changed_makes_the_plugin_fail(self):
        body = bytes.fromhex("a3181ca1020161619ff53801fb3ff19999999a1b00ffffff7f6161ff")
        options = [*path("9", "!r:hs", "m", "1"), CBOR, (BLOCK1, block(0, 0)), (AUTHORIZATION, b"x"), (CAPABILITIES, b"\x01")]
        message = coap(CON, PUT, 1, b"token", options, body)
        datagrams = [up(message[:length]) for length in range(len(message))]
        seed = 20
        chance = random.Random(seed)
        for _ in range(700):
            changed = bytearray(message)
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            datagrams.append(up(bytes(changed)))
        for more in ([], ["-2"]):
            rows = self.rows(datagrams, "lowband.error", "lowband.code", "lowband.json", more=more)
            self.assertEqual(len(rows), len(datagrams))
            self.assertNotIn("plugin failed", str(rows), f"seed {seed}")
            self.assertGreater(sum(row[0] != "" for row in rows), 40)

    def test_a_capture_that_keeps_the_beginning_of_each_packet_is_read_as_far_as_it_goes(self):
        message = coap(CON, PUT, 1, b"t", [*path("9", "!r:hs", "m", "1"), CBOR], b"\x82\x01" + b"\x78\xc8" + b"x" * 200)
        rows = self.rows(pcap([packet(*up(message))], kept=80), "lowband.path", "lowband.json", "lowband.error")
        length = 80 - 28 - (len(message) - 204)
        self.assertEqual(rows, [
            ("/_matrix/client/r0/rooms/!r:hs/send/m/1", "[1,", f"byte {length}: the input ends inside a value"),
        ])

    def test_a_message_that_an_icmp_error_quotes_is_no_message(self):
        source, target, message = up(coap(CON, GET, 1, b"t", path("7")))
        quoted = struct.pack("!BBHI", 3, 3, 0, 0) + packet(source, target, message)
        rows = self.rows(pcap([ip(SERVER, CLIENT, 1, quoted)]), "coap.mid", "lowband.code")
        self.assertEqual(rows, [("1", "")])


SIZE = 64


class Transfer:
    """One body in blocks of 64 bytes: a request and an answer for each."""

    def __init__(self, name, bodies, mid, method=GET, etag=True, tag=b""):
        self.name, self.mid, self.method, self.etag, self.tag = name, mid, method, etag, tag
        self.use(bodies)

    def use(self, text):
        self.body = b"\x79" + struct.pack("!H", len(text)) + text.encode()
        self.last = (len(self.body) - 1) // SIZE
        return self

    def block(self, number):
        self.mid += 1
        token = self.name.encode() + uint(self.mid)
        value = block(number, number < self.last)
        part = self.body[number * SIZE : number * SIZE + SIZE]
        options = path("_matrix", self.name) + ([(REQUEST_TAG, self.tag)] if self.tag else [])
        if self.method == GET:
            etag = [(ETAG, self.body[3:11])] if self.etag else []
            return [
                up(coap(CON, GET, self.mid, token, [*options, (BLOCK2, block(number, 0))])),
                down(coap(ACK, CONTENT, self.mid, token, [*etag, CBOR, (BLOCK2, value)], part)),
            ]
        code = CONTINUE if number < self.last else CONTENT
        return [
            up(coap(CON, PUT, self.mid, token, [*options, CBOR, (BLOCK1, value)], part)),
            down(coap(ACK, code, self.mid, token, [(BLOCK1, value)])),
        ]

    def blocks(self, *numbers):
        return [datagram for number in numbers or range(self.last + 1) for datagram in self.block(number)]


def mixed(*lists):
    """The datagrams of several transfers, a request and an answer of each in turn."""
    pairs = [[each[at : at + 2] for at in range(0, len(each), 2)] for each in lists]
    return [datagram for row in zip(*pairs, strict=True) for pair in row for datagram in pair]


class Blocks(PluginTest):
    def whole(self, datagrams, more=()):
        """The text and the number of blocks of each body that was put together."""
        rows = self.rows(datagrams, "lowband.json", "lowband.blocks", "lowband.error", more=more)
        self.assertEqual([row[2] for row in rows if row[2]], [])
        return [(json.loads(row[0]), int(row[1])) for row in rows if row[0]]

    def test_bodies_that_are_under_way_at_the_same_time_stay_apart_in_either_direction(self):
        x, y = "x" * 250, "y" * 250
        for method in (GET, PUT):
            for etag in (True, False):
                one, other = Transfer("x", x, 10, method, etag), Transfer("y", y, 50, method, etag)
                expected = [(x, 4), (y, 4)]
                self.assertEqual(self.whole(mixed(one.blocks(), other.blocks())), expected)
                # Tshark reads the file twice with -2, as Wireshark does.
                self.assertEqual(self.whole(mixed(one.blocks(), other.blocks()), ["-2"]), expected)

    def test_two_uploads_to_one_path_are_told_by_their_request_tags(self):
        one, other = (Transfer("x", letter * 250, mid, PUT, tag=letter.encode()) for letter, mid in (("a", 10), ("b", 50)))
        self.assertEqual(self.whole(mixed(one.blocks(), other.blocks())), [("a" * 250, 4), ("b" * 250, 4)])

    def test_blocks_may_come_in_any_order_and_more_than_once(self):
        x = "x" * 300
        one = Transfer("x", x, 10)
        first, third, second = one.blocks(0), one.blocks(2), one.blocks(1)
        end = one.blocks(4, 3)
        self.assertEqual(self.whole(first + third + third + first + second + end + second), [(x, 5)])

    def test_blocks_of_a_request_may_begin_with_the_last_and_come_again_as_other_messages(self):
        hello = [up(coap(CON, GET, 1, b"h", [*path("0"), (CAPABILITIES, b"\x02")]))]
        one = Transfer("x", "x" * 250, 10, PUT, tag=b"t")
        # Block 0 comes twice before the end, and again after it.
        datagrams = hello + one.blocks(3, 0, 2, 2, 0, 1, 0, 3)
        for more in ([], ["-2"]):
            self.assertEqual(self.whole(datagrams, more), [("x" * 250, 4)])

    def test_a_tag_may_name_another_body_for_a_client_that_knows_no_bodies_in_any_order(self):
        one = Transfer("x", "x" * 250, 10, PUT, tag=b"t")
        datagrams = one.blocks(3, 0, 2, 1) + one.use("z" * 100).blocks()
        self.assertEqual(self.whole(datagrams), [("x" * 250, 4), ("z" * 100, 2)])
        hello = [up(coap(CON, GET, 1, b"h", [*path("0"), (CAPABILITIES, b"\x02")]))]
        self.assertEqual(self.whole(hello + datagrams), [("x" * 250, 4)])

    def test_blocks_that_are_asked_for_at_once_under_one_token_are_one_body(self):
        body = Transfer("x", "x" * 250, 10).body
        asked = lambda number: up(coap(CON, GET, number, b"a", [*path("x"), (BLOCK2, block(number, 0))]))
        part = lambda number: down(
            coap(ACK, CONTENT, number, b"a", [CBOR, (ETAG, b"e"), (BLOCK2, block(number, number < 3))], body[number * SIZE :][:SIZE])
        )
        datagrams = [asked(0), part(0), asked(1), asked(2), asked(3), part(3), part(1), part(1), part(2), part(2)]
        self.assertEqual(self.whole(datagrams), [("x" * 250, 4)])

    def test_a_body_that_was_given_up_leaves_nothing_behind(self):
        one = Transfer("x", "x" * 250, 10, etag=False)
        begun = one.blocks(0, 1, 3)
        whole = one.use("z" * 250).blocks()
        self.assertEqual(self.whole(begun + whole), [("z" * 250, 4)])

    def test_another_etag_is_another_body(self):
        one = Transfer("x", "a" * 250, 10)
        begun = one.blocks(0, 1)
        self.assertEqual(self.whole(begun + one.use("b" * 250).blocks(2, 3)), [])

    def test_a_poll_of_the_same_path_is_a_new_body(self):
        one = Transfer("x", "x" * 250, 10, etag=False)
        self.assertEqual(self.whole(one.blocks() + one.use("z" * 100).blocks()), [("x" * 250, 4), ("z" * 100, 2)])

    def test_a_frame_names_the_others_of_its_body(self):
        datagrams = Transfer("x", "x" * 150, 10).blocks()
        fields = ["lowband.block", "lowband.so_far", "lowband.whole_in", "lowband.path"]
        self.assertEqual(self.rows(datagrams, *fields)[1::2], [
            ("", "64 bytes from its beginning on", "", "/_matrix/x"),
            ("", "128 bytes from its beginning on", "", "/_matrix/x"),
            ("2|4|6", "", "", "/_matrix/x"),
        ])
        self.assertEqual([row[2] for row in self.rows(datagrams, *fields, more=["-2"])[1::2]], ["6", "6", ""])

    def test_an_end_without_its_beginning_says_how_much_is_there(self):
        rows = self.rows(Transfer("x", "x" * 150, 10).blocks(2), "lowband.so_far", "lowband.json")
        self.assertEqual(rows[1], ("0 of 153 bytes from its beginning on", ""))

    def test_blocks_without_their_requests_are_told_by_the_token(self):
        one = Transfer("x", "x" * 100, 10)
        answers = [
            down(coap(CON, CONTENT, number, b"t", [CBOR, (BLOCK2, block(number, number == 0))], one.body[number * SIZE :][:SIZE]))
            for number in (0, 1)
        ]
        self.assertEqual(self.whole(answers), [("x" * 100, 2)])

    def test_blocks_of_a_list_belong_to_the_body_that_their_names_say(self):
        body = Transfer("x", "x" * 250, 10).body
        last = (len(body) - 1) // SIZE
        asked = lambda mid, token, *numbers: up(
            coap(NON if mid > 1 else CON, GET, mid, token, [*path("x"), *[(Q_BLOCK2, block(number, 0)) for number in numbers]])
        )
        part = lambda kind, mid, token, option, number: down(
            coap(kind, CONTENT, mid, token, [CBOR, (ETAG, b"e"), (option, block(number, number < last))], body[number * SIZE :][:SIZE])
        )
        listed = [part(NON, 50 + number, b"a", Q_BLOCK2, number) for number in (1, 2)]
        rest = [part(NON, 50 + number, b"b", Q_BLOCK2, number) for number in range(3, last + 1)]
        first = [part(ACK, 1, b"a", BLOCK2, 0)]
        # A list beside the request, whose first block may come late; then a list by itself.
        for datagrams in ([*first, *listed], [*listed, *first]):
            datagrams = [asked(1, b"a", 1, 2), *datagrams, asked(2, b"b", *range(3, last + 1)), *rest]
            self.assertEqual(self.whole(datagrams), [("x" * 250, last + 1)])

    def test_an_empty_last_block_ends_a_body(self):
        def put(number, part):
            return up(coap(CON, PUT, number, b"t", [*path("x"), CBOR, (BLOCK1, block(number, number == 0))], part))

        self.assertEqual(self.whole([put(0, b"\x78\x3e" + b"x" * 62), put(1, b"")]), [("x" * 62, 2)])

    def test_a_block_that_is_shorter_than_it_says_is_a_mistake(self):
        rows = self.rows([up(coap(CON, PUT, 1, b"t", [*path("x"), CBOR, (BLOCK1, block(0, 1))], b"\x01"))], "lowband.error")
        self.assertEqual(rows, [("a block of 64 bytes holds 1",)])


class Limits(PluginTest):
    def test_a_body_of_more_items_than_the_limit_is_read_up_to_it(self):
        self.limits = {"MAX_ITEMS": 4}
        datagrams = [up(coap(CON, PUT, 1, b"t", [*path("x"), CBOR], bytes([0x80 + count] + [1] * count))) for count in (3, 4)]
        rows = self.rows(datagrams, "lowband.json", "lowband.error")
        self.assertEqual(rows, [("[1,1,1]", ""), ("[1,1,1,", "byte 4: more items than this plugin reads")])

    def test_a_body_with_more_json_than_the_limit_is_read_up_to_it(self):
        self.limits = {"MAX_JSON": 7}
        datagrams = [up(coap(CON, PUT, 1, b"t", [*path("x"), CBOR], bytes([0x80 + count] + [1] * count))) for count in (3, 4)]
        rows = self.rows(datagrams, "lowband.json", "lowband.error")
        self.assertEqual(rows[0], ("[1,1,1]", ""))
        self.assertEqual(rows[1][1], "byte 4: from here on the output would be longer than the limit allows")

    def test_a_longer_body_than_the_limit_is_not_read_nor_put_together(self):
        self.limits = {"MAX_BODY": 100}
        datagrams = Transfer("x", "x" * 97, 10).blocks() + Transfer("y", "y" * 98, 50).blocks()
        datagrams += [up(coap(CON, PUT, 1, b"t", [*path("x"), CBOR], b"\x18" * 101))]
        rows = self.rows(datagrams, "lowband.json", "lowband.error")
        self.assertEqual(rows[3], (json.dumps("x" * 97), ""))
        self.assertEqual(rows[7], ("", "the body is longer than 100 bytes"))
        self.assertEqual(rows[8], ("", "byte 100: the input is longer than the limit allows"))

    def test_the_tree_shows_items_up_to_the_limit_and_the_json_all(self):
        self.limits = {"MAX_SHOWN": 3}
        body = bytes.fromhex("a4616101616202616303616404")
        rows = self.rows([up(coap(CON, PUT, 1, b"t", [*path("x"), CBOR], body))], "lowband.key", "lowband.json")
        self.assertEqual(rows, [("a|b", '{"a":1,"b":2,"c":3,"d":4}')])

    def test_the_oldest_request_is_forgotten_first(self):
        self.limits = {"MAX_REQUESTS": 2}
        asked = [up(coap(CON, GET, mid, bytes([mid]), path("7"))) for mid in (1, 2, 3)]
        rows = self.rows(asked + [down(coap(ACK, CONTENT, mid, bytes([mid]))) for mid in (1, 2, 3)], "lowband.request_in")
        self.assertEqual(rows[3:], [("",), ("2",), ("3",)])

    def test_the_oldest_client_that_knows_bodies_in_any_order_is_forgotten_first(self):
        clients = [("10.0.0.1", port) for port in (40000, 40001)]
        hello = [up(coap(CON, GET, 1, b"h", [*path("0"), (CAPABILITIES, b"\x02")]), client) for client in clients]
        one = Transfer("x", "x" * 100, 10, PUT, tag=b"t")
        both = lambda *numbers: [(client, SERVER, data) for client in clients for _, _, data in one.blocks(*numbers)[::2]]
        # Both blocks go again: for a client that was forgotten they are another body.
        datagrams = hello + both(1, 0) + both(0, 1)
        ended = lambda: [row for row in self.rows(datagrams, "lowband.json") if row[0]]
        self.assertEqual(len(ended()), 2)
        self.limits = {"MAX_ANY_ORDER": 1}
        self.assertEqual(len(ended()), 3)

    def test_the_oldest_body_is_forgotten_first(self):
        one, other, third = (Transfer(name, name * 100, mid) for name, mid in (("x", 10), ("y", 50), ("z", 90)))
        datagrams = one.blocks(0) + other.blocks(0) + third.blocks(0) + third.blocks(1) + one.blocks(1) + other.blocks(1)
        self.limits = {"MAX_OPEN_BODIES": 3}
        self.assertEqual(self.bodies(datagrams), ["z", "x", "y"])
        self.limits = {"MAX_OPEN_BODIES": 2}
        # The end of x opens a body anew, and y goes for it.
        self.assertEqual(self.bodies(datagrams), ["z"])

    def test_blocks_are_kept_up_to_so_many_bytes(self):
        one, other = Transfer("x", "x" * 150, 10), Transfer("y", "y" * 150, 50)
        datagrams = one.blocks(0, 1) + other.blocks(0, 1) + other.blocks(2) + one.blocks(2)
        self.assertEqual(self.bodies(datagrams), ["y", "x"])
        self.limits = {"MAX_KEPT": 500}
        self.assertEqual(self.bodies(datagrams), ["y"])

    def test_messages_are_remembered_up_to_the_limit(self):
        self.limits = {"MAX_NOTED": 2}
        asked = [up(coap(CON, GET, mid, bytes([mid]), path("7"))) for mid in (1, 2, 3)]
        rows = self.rows(asked, "lowband.code", "lowband.path", more=["-2"])
        self.assertEqual(rows, [("GET", "")] + [("GET", "/_matrix/client/r0/sync")] * 2)

    def bodies(self, datagrams):
        return [row[0][1] for row in self.rows(datagrams, "lowband.json") if row[0]]


if __name__ == "__main__":
    unittest.main()
