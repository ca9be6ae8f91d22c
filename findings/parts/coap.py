"""A CoAP peer that says each message it sees and answers as a finding wants: enough of RFC 7252 and 7959 for that."""

import socket
import struct
import sys
import threading
import time

CON, NON, ACK, RST = range(4)
MAX_AGE, BLOCK2, BLOCK1, SIZE2 = 14, 23, 27, 28
NAMES = {BLOCK2: "Block2", BLOCK1: "Block1"}


def code(text):
    kind, detail = text.split(".")
    return int(kind) << 5 | int(detail)


def uint(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def block(number, more, size):
    return uint(number << 4 | more << 3 | (size.bit_length() - 5))


class Message:
    def __init__(self, kind, code, mid, token=b"", options=(), payload=b""):
        self.kind, self.code, self.mid, self.token = kind, code, mid, token
        self.options, self.payload = list(options), payload

    @classmethod
    def decode(cls, data):
        head, number, mid = struct.unpack("!BBH", data[:4])
        at = 4 + (head & 15)
        message = cls(head >> 4 & 3, number, mid, data[4:at])
        last = 0
        while at < len(data) and data[at] != 0xFF:
            delta, length, at = data[at] >> 4, data[at] & 15, at + 1
            for which in range(2):
                value = length if which else delta
                if value == 13:
                    value, at = 13 + data[at], at + 1
                elif value == 14:
                    value, at = 269 + int.from_bytes(data[at : at + 2], "big"), at + 2
                delta, length = (delta, value) if which else (value, length)
            last += delta
            message.options.append((last, data[at : at + length]))
            at += length
        message.payload = data[at + 1 :]
        return message

    def encode(self):
        def nibble(value):
            if value < 13:
                return value, b""
            return (13, bytes([value - 13])) if value < 269 else (14, struct.pack("!H", value - 269))

        out = struct.pack("!BBH", 0x40 | self.kind << 4 | len(self.token), self.code, self.mid) + self.token
        last = 0
        for number, value in sorted(self.options, key=lambda option: option[0]):
            (delta, more), (length, long) = nibble(number - last), nibble(len(value))
            out += bytes([delta << 4 | length]) + more + long + value
            last = number
        return out + (b"\xff" + self.payload if self.payload else b"")

    def block(self, option):
        """Number, more and size of a block option, or None."""
        for number, value in self.options:
            if number == option:
                value = int.from_bytes(value, "big")
                return value >> 4, value >> 3 & 1, 16 << (value & 7)
        return None

    def __str__(self):
        words = [("CON", "NON", "ACK", "RST")[self.kind], "%d.%02d" % (self.code >> 5, self.code & 31)]
        words += ["%s %d/%d/%d" % (NAMES[option], *self.block(option)) for option in NAMES if self.block(option)]
        return " ".join(words + (["%d bytes" % len(self.payload)] if self.payload else []))


class Server:
    """Prints its port, then every message as "in ..." and "out ..."; `answer` gets each request and its count."""

    def __init__(self, answer):
        self.answer, self.requests, self.mid = answer, 0, 0x7000
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        print(self.socket.getsockname()[1], flush=True)

    def send(self, message, after=0):
        def now():
            print("out", message, flush=True)
            self.socket.sendto(message.encode(), self.peer)

        threading.Timer(after, now).start() if after else now()

    def acknowledge(self, request, response="0.00", options=(), payload=b""):
        token = request.token if response != "0.00" else b""
        self.send(Message(ACK, code(response), request.mid, token, options, payload))

    def own(self, kind, request, response, options=(), payload=b""):
        """A response in a message of its own."""
        self.mid += 1
        return Message(kind, code(response), self.mid, request.token, options, payload)

    def run(self, seconds=60):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data, self.peer = self.socket.recvfrom(65536)
            except TimeoutError:
                break
            message = Message.decode(data)
            print("in", message, flush=True)
            if 1 <= message.code < 32:
                self.requests += 1
                self.answer(self, message, self.requests)
        sys.stdout.flush()
