#!/usr/bin/env bash
# Version: tshark 4.0.17 (Debian 12), which has to be installed.
#
# Question: which request does tshark name for an answer (coap.response_to, coap.response_time, and the path in
# coap.opt.uri_path_recon), where a client uses one token for one request after the other, where the answer comes
# late in a message of its own, and for notifications of Observe?
#
# Guess: by token and addresses: the latest request with that token, for each of the answers.
#
# What it does: response_to and response_time go by message id, so only an answer inside the acknowledgement has
# them; a late answer and all notifications but the first have none. The path goes by token, and is that of the
# first request that had it: with one token for /a and then /b, the answer to /b says response_to the right
# request and the path /a, in the Info column as well.
#
# What follows: a time from request to answer that is taken from coap.response_time leaves out every long poll and
# all that was slow, so its mean is that of the quick ones. A path beside an answer may be another request's:
# clients that count tokens from 0 in each session, or keep one token, are common. Match by addresses and token,
# the latest request first.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
command -v tshark >/dev/null || { echo "tshark is needed" >&2; exit 2; }
tshark --version 2>/dev/null | head -n 1 >"$dir/version"
seen "4.0.17" "$dir/version"

cat >"$dir/write.py" <<'PY'
import sys
from coap import *
from pcapng import *

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 5683)

def up(*message):
    return datagram(Message(*message).encode(), CLIENT, SERVER)

def down(*message):
    return datagram(Message(*message).encode(), SERVER, CLIENT)

def write(name, packets):
    parts = [packet(0, (SECOND + count) * 10**6, each) for count, each in enumerate(packets)]
    open("%s/%s.pcapng" % (sys.argv[1], name), "wb").write(b"".join([section(), interface(), *parts]))

GET, CONTENT, EMPTY = code("0.01"), code("2.05"), 0
write("token", [
    up(CON, GET, 1, b"t", [(11, b"a")]), down(ACK, CONTENT, 1, b"t"),
    up(CON, GET, 2, b"t", [(11, b"b")]), down(ACK, CONTENT, 2, b"t"),
])
write("late", [
    up(CON, GET, 1, b"t", [(11, b"a")]), down(ACK, EMPTY, 1), down(CON, CONTENT, 100, b"t"), up(ACK, EMPTY, 100),
])
write("observe", [up(CON, GET, 1, b"t", [(11, b"a"), (6, b"")]), down(ACK, CONTENT, 1, b"t", [(6, b"\x01")])]
    + [down(CON, CONTENT, 100 + count, b"t", [(6, bytes([count]))]) for count in (2, 3)])
PY
PYTHONPATH=$parts python3 -B "$dir/write.py" "$dir"

# For each answer: the frame, that of its request, the seconds between them, the path.
answers() {
  tshark -n -r "$dir/$1.pcapng" -Y 'coap.code == 69' -T fields -E separator=' ' -e frame.number -e coap.response_to \
    -e coap.response_time -e coap.opt.uri_path_recon 2>/dev/null >"$dir/$1.out"
  cmp -s - "$dir/$1.out" || seen "other answers" "$dir/$1.out"
}
printf '2 1 1.000000000 /a\n4 3 1.000000000 /a\n' | answers token
printf '3   /a\n' | answers late
printf '2 1 1.000000000 /a\n3   /a\n4   /a\n' | answers observe
echo "as described"
