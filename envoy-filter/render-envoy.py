#!/usr/bin/env python3
"""Writes the envoy.yaml of this project anew for other ports, folders and homeservers, to standard output.

Plain replacement of text, without a YAML library: each value is found by the exact words around it in ../envoy.yaml, as often
as it has to be there. When that file has changed so that a value is not found like this, nothing is written. Without
arguments the output is envoy.yaml itself, byte for byte.
"""

import argparse
import ipaddress
import json
import pathlib
import re
import sys
import urllib.parse

TEMPLATE = pathlib.Path(__file__).resolve().parent.parent / "envoy.yaml"

# A socket's path has to fit into `sockaddr_un` with its closing zero (unix(7)).
SOCKET_PATH_MAX = 107
# Words that YAML takes for text without quotes, inside braces too.
PLAIN = re.compile(r"(?!true$|false$|null$|yes$|no$|on$|off$)[A-Za-z_/.][A-Za-z0-9_/.-]*|[0-9]+(\.[0-9]+){3}")
HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.IGNORECASE)


class Mistake(Exception):
    """A value that cannot be used; the text is for the person who gave it."""


# ---- the values, each checked as a whole ------------------------------------------------------------------------------------


def port(text):
    if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535:
        return int(text)
    raise Mistake(f"{text!r} is no port from 1 to 65535")


def address(text):
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Mistake(f"{text!r} is no IP address to listen on, like 0.0.0.0 or ::") from None


def path(text):
    if text and text.isprintable():
        return text
    raise Mistake(f"{text!r} is no path")


def folder(text):
    clean = path(text).rstrip("/") or "/"
    size = len(f"{clean}/envoy.sock".encode())
    if size > SOCKET_PATH_MAX:
        raise Mistake(f"{text!r}: the path of the socket in it has {size} bytes, of at most {SOCKET_PATH_MAX}")
    return clean


def base_url(text):
    if re.fullmatch(r"https?://[A-Za-z0-9.:\[\]_~%+/-]*[A-Za-z0-9\]/]", text) and not text.partition("//")[2].startswith("/"):
        return text
    raise Mistake(f"{text!r} is no URL like https://matrix.example.org")


class Homeserver:
    """scheme://host[:port], and nothing behind it."""

    def __init__(self, text):
        try:
            url = urllib.parse.urlsplit(text)
            number, host = url.port, url.hostname
        except ValueError as error:
            raise Mistake(f"{text!r}: {error}") from None
        if url.scheme not in ("http", "https") or not host:
            raise Mistake(f"{text!r} is no URL like https://matrix.example.org or http://127.0.0.1:8018")
        if number == 0:
            raise Mistake(f"{text!r}: there is no port 0")
        if "@" in url.netloc:
            raise Mistake("the URL holds a user name; Envoy passes on what the clients send, and nothing of its own")
        if url.path not in ("", "/") or url.query or url.fragment or text.endswith(("?", "#")):
            raise Mistake(f"{text!r}: the paths come from the clients; only scheme, host and port can be given")
        self.tls = url.scheme == "https"
        usual_port = 443 if self.tls else 80
        self.port = number or usual_port
        try:
            self.host, self.is_name = str(ipaddress.ip_address(host)), False
        except ValueError:
            self.host, self.is_name = host, True
            if not HOST_NAME.fullmatch(host):
                raise Mistake(f"{text!r}: {host!r} is no name of a host") from None
        # What the homeserver's own front tells its sites apart by. Clients of an address send what they like.
        self.authority = self.host if self.port == usual_port else f"{self.host}:{self.port}"


# ---- the text ---------------------------------------------------------------------------------------------------------------


def scalar(value):
    """A YAML scalar: plain where that is safe, else in double quotes, which read JSON's escapes."""
    return str(value) if isinstance(value, int) or PLAIN.fullmatch(value) else json.dumps(value)


def replace(text, old, new, count=1):
    """Replaces what must occur exactly this often."""
    found = text.count(old)
    if found != count:
        raise Mistake(f"{TEMPLATE.name}: {old!r} occurs {found} times instead of {count}; this script has to follow the change")
    return text.replace(old, new)


def uncomment(text, first, lines):
    """Takes the `# ` away from so many lines, of which the first is given."""
    start = text.find(first)
    replace(text, first, first)
    start = text.rfind("\n", 0, start) + 1
    block = text[start:].split("\n", lines)[:lines]
    if not all(re.match(r" *# ", line) for line in block):
        raise Mistake(f"{TEMPLATE.name}: {lines} lines of comment are expected from {first!r} on")
    bare = [re.sub(r"^( *)# ", r"\1", line) for line in block]
    return text[:start] + "\n".join(bare) + text[start + len("\n".join(block)):]


def render(text, options):
    """envoy.yaml with the values that are given; `None` leaves one as it is."""
    if options.admin_port is not None:
        text = replace(text, "address: 127.0.0.1, port_value: 9901 }", f"address: 127.0.0.1, port_value: {options.admin_port} }}")
    listener = "address: { socket_address: { address: %s, port_value: %s } }"
    old, public = listener % ("0.0.0.0", 8008), (options.public_address or "0.0.0.0", options.public_port or 8008)
    text = replace(text, old, listener % (scalar(public[0]), public[1]))
    dtls_port = options.dtls_port or options.public_port
    if dtls_port is not None:
        text = replace(text, '"dtls_port": 8008', f'"dtls_port": {dtls_port}', 2)
    if options.base_url is not None:
        # JSON inside a YAML text in single quotes, neither of which a URL that is accepted needs to escape.
        text = replace(text, '"advertise": {', f'"advertise": {{"base_url": "{options.base_url}", ', 2)
    if options.dir is not None:
        text = replace(text, "path: run/envoy.sock,", f"path: {scalar(options.dir + '/envoy.sock')},")
        for name in ("certificate.pem", "key.pem"):
            text = replace(text, f"filename: run/{name} }}", f"filename: {scalar(f'{options.dir}/{name}')} }}")
    if options.wasm is not None:
        text = replace(text, "filename: target/lowband-filter.wasm }", f"filename: {scalar(options.wasm)} }}")
    if options.homeserver is not None:
        text = with_homeserver(text, options.homeserver, options.ca_file)
    return text


def with_homeserver(text, homeserver, ca_file):
    host = scalar(homeserver.host)
    text = replace(text, "address: 127.0.0.1, port_value: 8018 }", f"address: {host}, port_value: {homeserver.port} }}")
    if homeserver.is_name:
        text = replace(text, "# host_rewrite_literal: matrix.example.org", f"host_rewrite_literal: {scalar(homeserver.authority)}", 2)
    if homeserver.tls:
        text = uncomment(text, "# transport_socket:\n", 10)
        # An address is no server name (RFC 6066 section 3), and its certificate names it as an address.
        sni = "        sni: matrix.example.org\n"
        text = replace(text, sni, f"        sni: {host}\n" if homeserver.is_name else "")
        kind = "DNS" if homeserver.is_name else "IP_ADDRESS"
        text = replace(
            text,
            "{ san_type: DNS, matcher: { exact: matrix.example.org } }",
            f"{{ san_type: {kind}, matcher: {{ exact: {host} }} }}",
        )
        if ca_file is not None:
            text = replace(text, "filename: /etc/ssl/certs/ca-certificates.crt }", f"filename: {scalar(ca_file)} }}")
    return text


# ---- the command line -------------------------------------------------------------------------------------------------------


def options_of(arguments):
    parser = argparse.ArgumentParser(description="Writes envoy.yaml anew, to standard output. What is not given stays as it is.", allow_abbrev=False)
    mistakes = []

    def option(flag, parse, metavar, text):
        def collect(value):
            try:
                return parse(value)
            except Mistake as mistake:
                mistakes.append(f"{flag}: {mistake}")

        parser.add_argument(flag, type=collect, metavar=metavar, help=text)

    option("--public-port", port, "PORT", "TCP port for clients; the sidecar's UDP port has the same number (8008)")
    option("--public-address", address, "IP", "address that the port is bound to; :: takes IPv4 as well where the system does so (0.0.0.0)")
    option("--admin-port", port, "PORT", "port of Envoy's administration, on 127.0.0.1 (9901)")
    option("--dtls-port", port, "PORT", "UDP port that /versions names to clients, where it is not the public port, as behind a load balancer")
    option("--base-url", base_url, "URL", "what clients shall take for the homeserver: replaces base_url in discovery and login (stays as it is)")
    option("--dir", folder, "FOLDER", "where envoy.sock, certificate.pem and key.pem are (run)")
    option("--wasm", path, "FILE", "the filter (target/lowband-filter.wasm)")
    option("--homeserver", Homeserver, "URL", "http or https; https is verified, and by a name the Host field follows (http://127.0.0.1:8018)")
    option("--ca-file", path, "FILE", "who may vouch for an https homeserver (/etc/ssl/certs/ca-certificates.crt)")
    options = parser.parse_args(arguments)
    if options.ca_file is not None and not mistakes and not (options.homeserver and options.homeserver.tls):
        mistakes.append("--ca-file: only with --homeserver https://...")
    if options.public_port is not None and options.public_port == options.admin_port:
        mistakes.append("--admin-port: is the public port as well")
    return options, mistakes


def main(arguments):
    options, mistakes = options_of(arguments)
    if not mistakes:
        try:
            sys.stdout.write(render(TEMPLATE.read_text(encoding="utf-8"), options))
            return 0
        except (Mistake, OSError) as mistake:
            mistakes.append(str(mistake))
    for mistake in mistakes:
        print(f"render-envoy: {mistake}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
