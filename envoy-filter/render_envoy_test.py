"""What render-envoy.py writes and what it refuses."""

import contextlib
import difflib
import importlib.util
import io
import json
import pathlib
import re
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("render_envoy", HERE / "render-envoy.py")
render_envoy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(render_envoy)

TEMPLATE = (HERE.parent / "envoy.yaml").read_text(encoding="utf-8")


def run(*arguments):
    """(status, standard output, lines of the error output)"""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = render_envoy.main(list(arguments))
    return status, out.getvalue(), err.getvalue().splitlines()


def changes(*arguments):
    """The lines that were taken away and those that came in their place, without what surrounds them."""
    status, text, errors = run(*arguments)
    assert (status, errors) == (0, []), errors
    lines = list(difflib.unified_diff(TEMPLATE.splitlines(), text.splitlines(), n=0, lineterm=""))[2:]
    return tuple([line[1:].strip() for line in lines if line.startswith(sign)] for sign in "-+")


class Rendering(unittest.TestCase):
    def test_without_arguments_it_is_the_file_itself(self):
        self.assertEqual(run(), (0, TEMPLATE, []))

    def test_the_defaults_spelled_out_are_the_file_itself(self):
        arguments = (
            "--public-port 8008 --public-address 0.0.0.0 --admin-port 9901 --dir run --wasm target/lowband-filter.wasm"
            " --homeserver http://127.0.0.1:8018 --dtls-port 8008"
        )
        self.assertEqual(run(*arguments.split()), (0, TEMPLATE, []))

    def test_ports_and_addresses(self):
        gone, new = changes("--public-port", "9008", "--public-address", "::", "--admin-port", "9902")
        self.assertEqual(len(gone), 4)
        self.assertEqual(
            new,
            [
                "address: { socket_address: { address: 127.0.0.1, port_value: 9902 } }",
                """value: '{"trusted": true, "default_key_table": "v1", "advertise": {"dtls_port": 9008}}'""",
                'address: { socket_address: { address: "::", port_value: 9008 } }',
                """value: '{"trusted": false, "default_key_table": "none", "advertise": {"dtls_port": 9008}}'""",
            ],
        )

    def test_what_is_advertised_is_what_clients_reach_and_not_what_is_bound(self):
        for base_url in ("https://lb.example.org", "https://lb.example.org:8448/", "http://[2001:db8::1]:80"):
            _, new = changes("--public-port", "9008", "--dtls-port", "443", "--base-url", base_url)
            filters = [json.loads(line[len("value: '") : -1]) for line in new if line.startswith("value: ")]
            self.assertEqual([each["advertise"] for each in filters], [{"base_url": base_url, "dtls_port": 443}] * 2)

    def test_a_base_url_is_a_scheme_and_a_host(self):
        for url in ("", "x", "https://", "https:///x", "https://a'b", 'https://a"b', "https://a b", "https://u@h", "https://a?b", "ftp://a"):
            status, out, errors = run("--base-url", url)
            self.assertEqual((status, out, len(errors)), (2, "", 1), url)

    def test_a_folder_with_odd_characters_is_quoted(self):
        _, new = changes("--dir", '/srv/a "b": c/', "--wasm", "/x/y.wasm")
        self.assertEqual(
            new,
            [
                r'address: { pipe: { path: "/srv/a \"b\": c/envoy.sock", mode: 384 } }',
                "code: &filter { local: { filename: /x/y.wasm } }",
                r'- certificate_chain: { filename: "/srv/a \"b\": c/certificate.pem" }',
                r'private_key: { filename: "/srv/a \"b\": c/key.pem" }',
            ],
        )

    def test_a_homeserver_by_address_and_without_tls_keeps_the_host_field_of_the_clients(self):
        _, new = changes("--homeserver", "http://192.0.2.1")
        self.assertEqual(new, ["- endpoint: { address: { socket_address: { address: 192.0.2.1, port_value: 80 } } }"])

    def test_a_homeserver_by_name_and_without_tls_gets_its_host_field(self):
        _, new = changes("--homeserver", "http://synapse:8008/")
        endpoint = "- endpoint: { address: { socket_address: { address: synapse, port_value: 8008 } } }"
        self.assertEqual(new, ['host_rewrite_literal: "synapse:8008"'] * 2 + [endpoint])

    def test_a_homeserver_behind_https_is_verified_by_its_name(self):
        gone, new = changes("--homeserver", "https://Matrix.example.com", "--ca-file", "/etc/ca.pem")
        self.assertEqual(
            new,
            ["host_rewrite_literal: matrix.example.com"] * 2
            + [
                "- endpoint: { address: { socket_address: { address: matrix.example.com, port_value: 443 } } }",
                "transport_socket:",
                "name: envoy.transport_sockets.tls",
                "typed_config:",
                '"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
                "sni: matrix.example.com",
                "common_tls_context:",
                "validation_context:",
                "trusted_ca: { filename: /etc/ca.pem }",
                "match_typed_subject_alt_names:",
                "- { san_type: DNS, matcher: { exact: matrix.example.com } }",
            ],
        )
        self.assertTrue(all(line.startswith(("# ", "- endpoint")) for line in gone), gone)

    def test_an_address_behind_https_is_verified_as_an_address_and_has_no_server_name(self):
        _, new = changes("--homeserver", "https://[2001:db8::1]:8448")
        self.assertIn('- { san_type: IP_ADDRESS, matcher: { exact: "2001:db8::1" } }', new)
        self.assertFalse([line for line in new if line.startswith(("sni", "host_rewrite"))])


class Refusing(unittest.TestCase):
    def test_all_mistakes_are_told_at_once_in_one_line_each_and_nothing_is_written(self):
        status, out, errors = run(
            "--public-port", "0", "--admin-port", "x", "--public-address", "localhost", "--dir", "/" + "d" * 100,
            "--wasm", "", "--homeserver", "ftp://h",
        )
        self.assertEqual((status, out), (2, ""))
        flags = ["--public-port", "--admin-port", "--public-address", "--dir", "--wasm", "--homeserver"]
        self.assertEqual([re.match(r"render-envoy: (--[a-z-]+): .", line)[1] for line in errors], flags)

    def test_urls_that_are_more_or_less_than_scheme_host_and_port(self):
        for url in (
            "matrix.example.org", "https://", "https://h/_matrix", "https://h?x", "https://h/?", "https://h#f", "https://u@h",
            "https://h:0", "https://h:65536", "https://h:x", "https://-h", "https://a..b", "https://[::1", "https://a b",
        ):
            status, out, errors = run("--homeserver", url)
            self.assertEqual((status, out, len(errors)), (2, "", 1), url)

    def test_a_socket_path_may_have_107_bytes(self):
        longest = "/" + "d" * (107 - len("//envoy.sock"))
        self.assertEqual(run("--dir", longest)[0], 0)
        self.assertEqual(run("--dir", longest + "d")[0], 2)

    def test_an_authority_without_https_is_a_mistake(self):
        self.assertEqual(run("--ca-file", "ca.pem")[0], 2)
        self.assertEqual(run("--ca-file", "ca.pem", "--homeserver", "http://h")[0], 2)

    def test_one_port_for_two_things_is_a_mistake(self):
        self.assertEqual(run("--public-port", "9901", "--admin-port", "9901")[0], 2)

    def test_a_template_that_has_changed_is_told_and_nothing_is_written(self):
        for old, arguments in (
            ("port_value: 8008", []),
            ("port_value: 9901", ["--admin-port", "1"]),
            ("run/key.pem", ["--dir", "x"]),
            ("filename: target/", ["--wasm", "x"]),
            ("port_value: 8018", ["--homeserver", "http://h"]),
            ("# host_rewrite_literal", ["--homeserver", "http://h"]),
            ("    # transport_socket", ["--homeserver", "https://h"]),
            ("    #         - { san_type", ["--homeserver", "https://h"]),
        ):
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(TEMPLATE.replace(old, "changed", 1))
                file.flush()
                original, render_envoy.TEMPLATE = render_envoy.TEMPLATE, pathlib.Path(file.name)
                try:
                    status, out, errors = run(*arguments)
                finally:
                    render_envoy.TEMPLATE = original
            self.assertEqual((status, out, len(errors)), (2, "", 1), old)


if __name__ == "__main__":
    unittest.main()
