#!/usr/bin/env python3
"""How fast a capture is read: `make bench-capture`.

A capture of the chain is repeated to 100 MB, each time with other clients and a tenth of a second later, so that
thousands of sessions and exchanges are open side by side. `lowband show --json` and tshark read it by turns with the
same key log; tshark prints the fields that are comparable: of each datagram its ends and length, and of each message
type, code, id, token, path, query and format. That both have decrypted the same messages is checked.

What counts is the processor time of the process, user and system, and of all rounds the least: what else the machine
does only ever adds. A table, then one JSON object a line, and a status of 1 below the gate.
"""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "capture/tests/data"
# lowband show has to be so many times faster.
GATE = 10
ROUNDS = 3
# Between the repetitions of the capture, in microseconds.
STEP = 100_000

FILE_HEADER, PACKET_HEADER = 24, 16
FIELDS = [
    "frame.number", "frame.time_epoch", "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "udp.length",
    "dtls.record.content_type", "coap.type", "coap.code", "coap.mid", "coap.token", "coap.opt.uri_path",
    "coap.opt.uri_query", "coap.opt.ctype", "coap.payload_length",
]


def packets(capture):
    """Time in microseconds and bytes of each packet."""
    at = FILE_HEADER
    while at < len(capture):
        seconds, fraction, length, _ = struct.unpack_from("<IIII", capture, at)
        yield seconds * 1_000_000 + fraction, capture[at + PACKET_HEADER : at + PACKET_HEADER + length]
        at += PACKET_HEADER + length


def repeat(capture, megabytes, path):
    """Writes the capture again and again; returns bytes, packets and repetitions."""
    once = list(packets(capture))
    repetitions = megabytes * 1_000_000 // (len(capture) - FILE_HEADER)
    with open(path, "wb") as out:
        out.write(capture[:FILE_HEADER])
        for number in range(repetitions):
            for when, packet in once:
                seconds, fraction = divmod(when + number * STEP, 1_000_000)
                out.write(struct.pack("<IIII", seconds, fraction, len(packet), len(packet)))
                out.write(with_other_client(packet, number))
    return os.path.getsize(path), repetitions * len(once), repetitions


def with_other_client(packet, number):
    """The same packet of a client of this repetition: 10.0.0.1, port 50,000, becomes 10.N.N.1 and a port of its own.
    Neither reader looks at the checksum of IP."""
    packet = bytearray(packet)
    # Addresses, and ports behind the 20 bytes of IPv4.
    for address, port in ((12, 20), (16, 22)):
        if packet[address] == 10:
            packet[address + 1 : address + 3] = struct.pack(">H", number & 0xFFFF)
            packet[port : port + 2] = struct.pack(">H", 50_000 + number % 10_000)
    return bytes(packet)


def measure(command, out):
    """Runs a command with its output in a file; returns seconds of processor and of the clock."""
    begin = time.monotonic()
    with open(out, "wb") as stdout:
        child = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]} ended with status {child.returncode}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begin, usage.ru_maxrss


def messages_of_show(path):
    """Exchanges, and the messages in them."""
    exchanges = messages = 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            told = json.loads(line)
            if "unread" in told:
                sys.exit(f"lowband show could not read all: {line}")
            exchanges += "exchange" in told
            messages += len(told.get("frames", ()))
    return exchanges, messages


def messages_of_tshark(path):
    """Datagrams in which tshark has found CoAP."""
    code = FIELDS.index("coap.code")
    with open(path, encoding="utf-8") as lines:
        return sum(bool(line.split("\t")[code]) for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--lowband", default=os.environ.get("LOWBAND_BIN_DIR", str(ROOT / "target/release")) + "/lowband")
    options = parser.parse_args()
    keys = str(DATA / "chain.keys")
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        capture = os.path.join(folder, "capture.pcap")
        size, count, repetitions = repeat((DATA / "chain.pcap").read_bytes(), options.megabytes, capture)
        show = [options.lowband, "show", capture, "--key-log", keys, "--json"]
        tshark = ["tshark", "-r", capture, "-o", f"tls.keylog_file:{keys}"]
        tshark += ["-d", "udp.port==8008,dtls", "-d", "dtls.port==8008,coap", "-T", "fields"]
        tshark += [part for field in FIELDS for part in ("-e", field)]
        results = {"show": [], "tshark": []}
        outputs = {name: os.path.join(folder, name) for name in results}
        for _ in range(ROUNDS):
            results["show"].append(measure(show, outputs["show"]))
            results["tshark"].append(measure(tshark, outputs["tshark"]))
        exchanges, messages = messages_of_show(outputs["show"])
        seen = messages_of_tshark(outputs["tshark"])
    if messages != seen:
        sys.exit(f"lowband show has {messages} messages in its exchanges, tshark has found {seen}")

    print(f"{size / 1e6:.0f} MB, {count:,} packets, {4 * repetitions:,} sessions, {exchanges:,} exchanges\n")
    print(f"{'':24}{'processor':>12}{'MB/s':>10}{'clock':>10}{'memory':>12}")
    least = {}
    for name, title in (("show", "lowband show --json"), ("tshark", "tshark -T fields")):
        processor, clock, memory = (min(values) for values in zip(*results[name]))
        least[name] = processor
        speed = size / 1e6 / processor
        print(f"{title:24}{processor:>10.2f} s{speed:>10.1f}{clock:>8.2f} s{memory / 1024:>9.0f} MiB")
    ratio = least["tshark"] / least["show"]
    print(f"\nlowband show is {ratio:.1f} times as fast; at least {GATE} is the gate.")
    for name, processor in least.items():
        figure = {"reader": name, "bytes": size, "processor_s": round(processor, 3), "MB_per_s": round(size / 1e6 / processor, 1)}
        print(json.dumps(figure))
    print(json.dumps({"ratio": round(ratio, 2), "gate": GATE}))
    sys.exit(ratio < GATE)


main()
