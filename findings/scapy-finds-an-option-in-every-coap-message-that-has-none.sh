#!/usr/bin/env bash
# Version: scapy 2.6.1 (PyPI), scapy.contrib.coap.
#
# Question: scapy reads CoAP messages of a capture, changes the message id and writes them again. Which of them stay
# what they were: long options, numbers above 269, an Empty message (a ping, an acknowledgement), an answer with a
# token and nothing else, an answer with a diagnostic text and no option?
#
# Guess: all; the layer is made to build packets.
#
# What it does: messages with options stay, option 256 of 300 bytes and 65020 included. One without any gets one: an
# Empty message has [(0, "")] and is written with a byte 00 behind its four, which RFC 7252 section 4.1 makes a
# message format error. In a message that goes on with the payload marker, ff is read as the head of an option of
# number 15, and the text as its value: the payload is a Uri-Query and written as d2 02 and the text. (Unchanged
# packets hide it, since scapy repeats the bytes that it read.)
#
# What follows: tests with scapy as the peer do not send pings, empty acknowledgements or refusals that it has parsed;
# they write those bytes themselves. A capture with CoAP refusals read by scapy shows queries in place of texts.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages scapy==2.6.1

cat >"$dir/again.py" <<'PY'
import logging

logging.disable(logging.CRITICAL)
from coap import *
from scapy.contrib.coap import CoAP

messages = {
    "options": Message(CON, code("0.03"), 1, b"t", [(11, b"x" * 270), (256, b"s" * 300), (65020, b"\x01")], b"\xa0"),
    "ping": Message(CON, 0, 1),
    "token": Message(ACK, code("2.04"), 1, b"t"),
    "text": Message(ACK, code("4.00"), 1, b"t", [], b"no"),
}
for name, message in messages.items():
    read = CoAP(message.encode())
    message.mid = read.msg_id = 2
    written = bytes(read)
    print(name, "same" if written == message.encode() else written.hex(), read.options if name != "options" else "")
PY
PYTHONPATH=$parts "$dir/venv/bin/python" -B "$dir/again.py" >"$dir/again.out" 2>"$dir/again.err" || { cat "$dir/again.err" >&2; exit 2; }
seen "options same" "$dir/again.out"
seen "ping 4000000200 [(0, b'')]" "$dir/again.out"
seen "token 614400027400 [(0, b'')]" "$dir/again.out"
seen "text 6180000274d2026e6f [('Uri-Query', b'no')]" "$dir/again.out"
echo "as described"
