"""Captures, byte by byte: pcapng blocks (draft-ietf-opsawg-pcapng) and one small CoAP packet over raw IP."""

import socket
import struct

RAW_IP, ETHERNET, IPV4 = 101, 1, 228
SECOND = 1_700_000_000


def padded(data):
    return data + bytes(-len(data) % 4)


def block(kind, body, order="<"):
    body = padded(body)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link=RAW_IP, resolution=None, offset=None, order="<"):
    """An interface whose times are in units of 10^-resolution seconds, and so many seconds later."""

    def option(code, value):
        return struct.pack(order + "HH", code, len(value)) + padded(value)

    options = b"" if resolution is None else option(9, bytes([resolution]))
    options += b"" if offset is None else option(14, struct.pack(order + "q", offset))
    options += option(0, b"") if options else b""
    return block(1, struct.pack(order + "HHI", link, 0, 65535) + options, order)


def packet(which, time, data, order="<"):
    """An Enhanced Packet Block."""
    head = struct.pack(order + "IIIII", which, time >> 32, time & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + padded(data), order)


def simple_packet(data):
    return block(3, struct.pack("<I", len(data)) + data)


def datagram(coap, source=("10.0.0.1", 40000), target=("10.0.0.2", 5683)):
    """An IPv4 packet with this message; no checksums."""
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(coap), 0) + coap
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
    return head + socket.inet_aton(source[0]) + socket.inet_aton(target[0]) + udp


# GET /a, Confirmable.
PACKET = datagram(b"\x41\x01\x00\x01t\xb1a")
ETHERNET_PACKET = bytes(6) + b"\x02" * 6 + b"\x08\x00" + PACKET
