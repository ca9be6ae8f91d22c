#!/usr/bin/env bash
# Version: tshark, capinfos and editcap 4.0.17 (Debian 12), which have to be installed.
#
# Question: a pcapng file has a block of another kind before its one packet: a Custom Block, an entry of the
# systemd journal, name resolution, statistics, a kind that nobody has registered. Which frame is the packet, and
# how many packets does capinfos count?
#
# Guess: frame 1 for all but the journal, which Wireshark dissects; capinfos counts what tshark numbers.
#
# What it does: behind a Custom Block (0xbad, and 0x40000bad, which is not to be copied) and behind a journal entry
# the packet is frame 2; the block is frame 1, without a time and without a length on the wire. Name resolution,
# statistics and unknown kinds are not numbered. capinfos counts one packet in each of these files. `editcap -F pcap`
# refuses a file with such a block, and writes nothing of it: "has a record type that can't be saved"; editcap to
# pcapng keeps 0xbad and drops 0x40000bad, so that the packet is frame 1 again.
#
# What follows: whoever names frames as Wireshark does counts these three kinds of blocks too, and a tool that
# compares its frames with tshark's looks at frame.number rather than at the line. A count of packets is not the
# number of the last frame.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
for program in tshark capinfos editcap; do
  command -v $program >/dev/null || { echo "$program is needed" >&2; exit 2; }
done
tshark --version 2>/dev/null | head -n 1 >"$dir/version"
seen "4.0.17" "$dir/version"

cat >"$dir/write.py" <<'PY'
import sys
from pcapng import *

# The private enterprise number of an example, then data.
custom = struct.pack("<I", 32473) + b"abcd"
name = struct.pack("<HH", 1, 7) + b"\x0a\0\0\1a\0\0" + b"\0" + struct.pack("<HH", 0, 0)
blocks = {
    "custom": block(0xBAD, custom),
    "custom-not-copied": block(0x40000BAD, custom),
    "journal": block(9, b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=hello\n\n"),
    "names": block(4, name),
    "statistics": block(5, struct.pack("<III", 0, 0, 0)),
    "unknown": block(0x80000001, b"abcdabcd"),
}
for title, other in blocks.items():
    parts = [section(), interface(), other, packet(0, SECOND * 10**6, PACKET)]
    open("%s/%s.pcapng" % (sys.argv[1], title), "wb").write(b"".join(parts))
PY
PYTHONPATH=$parts python3 -B "$dir/write.py" "$dir"

frame_of_packet() {
  tshark -n -r "$1" -Y coap -T fields -e frame.number 2>/dev/null >"$dir/frame"
  seen "$2" "$dir/frame"
}

for name in custom custom-not-copied journal names statistics unknown; do
  capinfos -c "$dir/$name.pcapng" >"$dir/count" 2>&1
  grep -q 'Number of packets: *1$' "$dir/count" || seen "one packet" "$dir/count"
  code=0
  editcap -F pcap "$dir/$name.pcapng" "$dir/$name.pcap" 2>"$dir/$name.err" || code=$?
  editcap "$dir/$name.pcapng" "$dir/$name-again.pcapng"
  case $name in
    custom | custom-not-copied | journal)
      frame_of_packet "$dir/$name.pcapng" 2
      seen "has a record type that can't be saved" "$dir/$name.err"
      [ "$code" = 2 ] || { echo "changed: editcap ended with $code" >&2; exit 1; }
      ;;
    *)
      frame_of_packet "$dir/$name.pcapng" 1
      frame_of_packet "$dir/$name.pcap" 1
      ;;
  esac
done
frame_of_packet "$dir/custom-again.pcapng" 2
frame_of_packet "$dir/custom-not-copied-again.pcapng" 1
echo "as described"
