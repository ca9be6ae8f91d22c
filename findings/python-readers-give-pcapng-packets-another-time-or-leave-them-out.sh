#!/usr/bin/env bash
# Versions: scapy 2.6.1, dpkt 1.9.8, python-pcapng 2.1.1 (PyPI).
#
# Question: which of them give each packet of a valid pcapng file its own time? The files: two interfaces with
# units of 1 µs and 1 ns; two sections (`cat a.pcapng b.pcapng` is a valid file) with one such interface each; a
# second section of the other byte order; an interface with if_tsoffset; a Simple Packet Block, which has no time.
#
# Guess: dpkt keeps one unit for the whole file and leaves the Simple Packet out; the other two are right, but for
# scapy, which does not know if_tsoffset. dpkt raises an error at the other byte order.
#
# What they do, as seconds after 2023-11-14 22:13:20, or what stands in their place:
#                         scapy                    dpkt                       python-pcapng
#   two interfaces        0, 0                     0, the year 55840          0, 0
#   two sections          0, 1970-01-20            0, 1970-01-20              0, 0
#   other byte order      0, 0                     0; the second is left out  0, 0
#   if_tsoffset           offset left out          0                          offset left out
#   Simple Packet         the time of the reading  left out                   None
# scapy knows the interfaces of all sections by one list, so the first of the second section is the first of the
# file. No reader says a word.
#
# What follows: to compare a reader of captures with these needs files of one section and one interface, with Enhanced
# Packets alone. A reader of its own begins its list of interfaces anew with each section, adds if_tsoffset, and
# shows a packet without a time as one.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages scapy==2.6.1 dpkt==1.9.8 python-pcapng==2.1.1

cat >"$dir/read.py" <<'PY'
import logging, sys, time
from pcapng import blocks as _  # the package, before parts/ is on the path
from pcapng import FileScanner
sys.modules.pop("pcapng")
sys.path.insert(0, sys.argv[2])
from pcapng import *
logging.disable(logging.CRITICAL)
import dpkt
from scapy.all import rdpcap

MICRO, NANO = SECOND * 10**6, SECOND * 10**9
files = {
    "two interfaces": [section(), interface(resolution=6), interface(resolution=9), packet(0, MICRO, PACKET), packet(1, NANO, PACKET)],
    "two sections": [section(), interface(resolution=9), packet(0, NANO, PACKET), section(), interface(resolution=6), packet(0, MICRO, PACKET)],
    "other byte order": [section(), interface(), packet(0, MICRO, PACKET), section(">"), interface(order=">"), packet(0, MICRO, PACKET, ">")],
    "if_tsoffset": [section(), interface(offset=SECOND - 5), packet(0, 5 * 10**6, PACKET)],
    "simple": [section(), interface(), simple_packet(PACKET)],
}
for title, parts in files.items():
    name = sys.argv[1] + "/made.pcapng"
    open(name, "wb").write(b"".join(parts))
    now = time.time()
    scapy = [float(packet.time) for packet in rdpcap(name)]
    scapy = ["now" if abs(each - now) < 60 else int(each) for each in scapy]
    with open(name, "rb") as file:
        by_dpkt = [int(when) for when, _ in dpkt.pcap.UniversalReader(file)]
    with open(name, "rb") as file:
        packets = [block for block in FileScanner(file) if type(block).__name__.endswith("Packet")]
        whens = [getattr(block, "timestamp", None) for block in packets]
        by_pcapng = [None if when is None else int(when) for when in whens]
    print(title, "| scapy", scapy, "| dpkt", by_dpkt, "| python-pcapng", by_pcapng)
PY
"$dir/venv/bin/python" -B "$dir/read.py" "$dir" "$parts" >"$dir/read.out" 2>"$dir/read.err" || { cat "$dir/read.err" >&2; exit 2; }
time=1700000000
seen "two interfaces | scapy [$time, $time] | dpkt [$time, ${time}000] | python-pcapng [$time, $time]" "$dir/read.out"
seen "two sections | scapy [$time, 1700000] | dpkt [$time, 1700000] | python-pcapng [$time, $time]" "$dir/read.out"
seen "other byte order | scapy [$time, $time] | dpkt [$time] | python-pcapng [$time, $time]" "$dir/read.out"
seen "if_tsoffset | scapy [5] | dpkt [$time] | python-pcapng [5]" "$dir/read.out"
seen "simple | scapy ['now'] | dpkt [] | python-pcapng [None]" "$dir/read.out"
echo "as described"
