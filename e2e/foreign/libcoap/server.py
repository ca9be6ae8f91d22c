"""A CoAP server on the libcoap of the system, called by ctypes, without DTLS: for tests of our client.

It prints its port. Each line of standard input is a length: from then on the resource "body" has that many bytes, of a new version.
Each is answered by one line on standard output: how often the resource has been asked for since the last one. It ends with its input.
"""

import ctypes
import socket
import struct
import sys
import threading

from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

# From libcoap's headers: the method GET, the code 2.05, the protocol UDP, and the flag with which the
# library cuts bodies by itself.
GET, CONTENT, UDP, USE_LIBCOAP = 1, 69, 1, 1
# Milliseconds between two looks at the number of bytes that is wanted.
LOOK_AGAIN = 10

libcoap = ctypes.CDLL("libcoap-3-notls.so.3")


class Text(ctypes.Structure):
    """coap_str_const_t"""

    _fields_ = [("length", c_size_t), ("bytes", c_char_p)]


class Address(ctypes.Structure):
    """coap_address_t of POSIX: room for a sockaddr_in6."""

    _fields_ = [("size", c_uint32), ("socket", c_uint8 * 28)]


Handler = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)


def declare(name, result, *arguments):
    function = getattr(libcoap, name)
    function.restype, function.argtypes = result, arguments
    return function


startup = declare("coap_startup", None)
new_context = declare("coap_new_context", c_void_p, c_void_p)
set_block_mode = declare("coap_context_set_block_mode", None, c_void_p, c_uint8)
new_endpoint = declare("coap_new_endpoint", c_void_p, c_void_p, POINTER(Address), c_int)
endpoint_str = declare("coap_endpoint_str", c_char_p, c_void_p)
resource_init = declare("coap_resource_init", c_void_p, POINTER(Text), c_int)
register_handler = declare("coap_register_request_handler", None, c_void_p, c_int, Handler)
add_resource = declare("coap_add_resource", None, c_void_p, c_void_p)
set_code = declare("coap_pdu_set_code", None, c_void_p, c_int)
io_process = declare("coap_io_process", c_int, c_void_p, c_uint32)
add_large = declare(
    "coap_add_data_large_response",
    c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_uint16, c_int, c_uint64, c_size_t, c_char_p, c_void_p, c_void_p,
)  # fmt: skip


class Body:
    def __init__(self):
        # The library keeps pointers to bodies that it sends.
        self.versions = [b""]
        self.runs = 0

    def change(self, length):
        version = len(self.versions)
        lines = range((length + 15) // 16)
        self.versions.append("".join(f"{line:07x} {version:06d} \n" for line in lines).encode()[:length])

    def answer(self, resource, session, request, query, response):
        self.runs += 1
        body = self.versions[-1]
        set_code(response, CONTENT)
        add_large(resource, session, request, response, query, 0, -1, 0, len(body), body, None, None)

    def obey(self):
        for line in sys.stdin:
            runs, self.runs = self.runs, 0
            self.change(int(line))
            print(runs, flush=True)


def main():
    body = Body()
    startup()
    context = new_context(None)
    set_block_mode(context, USE_LIBCOAP)
    here = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("127.0.0.1"))
    address = Address(len(here), (c_uint8 * 28)(*here))
    endpoint = new_endpoint(context, address, UDP)
    handler = Handler(body.answer)
    resource = resource_init(Text(4, b"body"), 0)
    register_handler(resource, GET, handler)
    add_resource(context, resource)
    # It reads "127.0.0.1:5683 UDP".
    print(endpoint_str(endpoint).split()[0].split(b":")[1].decode(), flush=True)
    orders = threading.Thread(target=body.obey)
    orders.start()
    while orders.is_alive():
        io_process(context, LOOK_AGAIN)


main()
