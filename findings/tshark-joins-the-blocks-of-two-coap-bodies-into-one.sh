#!/usr/bin/env bash
# Version: tshark 4.0.17 (Debian 12), which has to be installed.
#
# Question: one client fetches /x and /y from one server from one port, both in blocks. tshark shows the whole
# body at the last block. Does it keep the two apart, when they are fetched at the same time, and when /x was
# given up half way?
#
# Guess: yes; each request has a token of its own, each path is known, and message ids tell the rest.
#
# What it does: it keeps one body per pair of addresses and ports. At the same time: the end of /x is shown
# with five blocks, "overlap conflicts" and "Illegal Block fragments"; the end of /y has no body at all. Given
# up: after blocks 0 and 1 of /x, the end of /y shows a body that begins with /x's two blocks and ends with
# /y's last. Tokens kept for a whole body, and ETags, change nothing. One after the other and whole, the two
# bodies are right, with a token per block too.
#
# What follows: in a capture of a client that has a long poll and a download under way, or gave one up, the
# reassembled body is not evidence; "Illegal Block fragments" is the one sign of it. Read the blocks by token
# and path (-T fields -e coap.token -e coap.opt.block_number), or take captures of one transfer at a time. A
# page that shows captures keys bodies by endpoints, path, query and ETag and begins anew at block 0.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
command -v tshark >/dev/null || { echo "tshark is needed" >&2; exit 2; }
tshark --version 2>/dev/null | head -n 1 >"$dir/version"
seen "4.0.17" "$dir/version"

cat >"$dir/write.py" <<'PY'
import socket, struct, sys
from coap import *

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 5683)

def write(name, datagrams):
    with open("%s/%s.pcap" % (sys.argv[1], name), "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for count, (source, target, data) in enumerate(datagrams):
            udp = struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0) + data
            addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
            packet = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
            file.write(struct.pack("<IIII", 1000, count * 1000, len(packet), len(packet)) + packet)

def fetch(path, numbers, mid, own=True):
    """The requests and answers of a body of 160 times the letter of its path, in blocks of 64."""
    body, out = path * 160, []
    for number in numbers:
        token = path + (b"%d" % number if own else b"")
        asked = [(11, path), (BLOCK2, block(number, 0, 64))]
        told = [(4, b"e" + path), (12, b""), (BLOCK2, block(number, number < 2, 64))]
        out.append((CLIENT, SERVER, Message(CON, code("0.01"), mid + number, token, asked).encode()))
        part = body[number * 64 : number * 64 + 64]
        out.append((SERVER, CLIENT, Message(ACK, code("2.05"), mid + number, token, told, part).encode()))
    return out

for own, name in ((True, "own"), (False, "kept")):
    x, y = fetch(b"x", [0, 1, 2], 10, own), fetch(b"y", [0, 1, 2], 50, own)
    write("together-" + name, [datagram for pair in zip(x, y) for datagram in pair])
    write("given-up-" + name, fetch(b"x", [0, 1], 10, own) + y)
    write("in-turn-" + name, x + y)
PY
PYTHONPATH=$parts python3 -B "$dir/write.py" "$dir"

# For each last block: blocks, conflicts, then the body's letters.
show() {
  tshark -r "$dir/$1.pcap" -Y 'coap.code == 69 && coap.opt.block_mflag == 0' -o data.show_as_text:TRUE -T fields -E separator='|' \
    -e coap.block.count -e coap.block.overlap.conflicts -e text 2>/dev/null | sed 's/Timestamps,*//' >"$dir/$1.out"
}

x=$(printf 'x%.0s' {1..160})
y=$(printf 'y%.0s' {1..160})
for name in own kept; do
  show "in-turn-$name"
  printf '3||%s\n3||%s\n' "$x" "$y" | cmp -s - "$dir/in-turn-$name.out" || seen "two bodies of three blocks" "$dir/in-turn-$name.out"
  show "together-$name"
  printf '5|1,1|%s\n||\n' "$x" | cmp -s - "$dir/together-$name.out" || seen "one body of five blocks" "$dir/together-$name.out"
  show "given-up-$name"
  printf '5|1,1|%s%s\n' "${x:0:128}" "${y:0:32}" | cmp -s - "$dir/given-up-$name.out" \
    || seen "128 times x, 32 times y" "$dir/given-up-$name.out"
done
echo "as described"
