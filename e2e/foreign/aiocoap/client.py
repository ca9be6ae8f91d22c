"""A CoAP client on aiocoap, without DTLS, driven by lines of JSON: for tests of the message layer alone.

The one argument is the server, HOST:PORT. Each line of standard input is an order, answered by one line on standard output. It ends
with its input.

An order has a "method" and may have:

    path, query     lists of values
    body            text; content_format its number
    unreliable      a non-confirmable request
    observe         asks for notifications (RFC 7641), and takes the first answer
    options         list of [number, text]
    block_size      largest exponent of block sizes (RFC 7959), 6 unless told; ask_block_size asks for it in the first request
    ack_timeout     seconds (RFC 7252 section 4.8)
    give_up_after   seconds after which the lack of an answer is the answer

The method PING is an Empty confirmable message. An answer has "code", "kind" (ACK, CON, NON), "body", "content_format", "observing";
or "error", the name of what was raised.
"""

import asyncio
import json
import sys

import aiocoap
from aiocoap.numbers import codes
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.optionnumbers import OptionNumber

# Bytes of a line: longer than any order or answer, a body of some 100 kB as JSON.
LONGEST_LINE = 4 << 20


class Tuning(TransportTuning):
    # Repetitions: more than are ever lost in a row.
    MAX_RETRANSMIT = 8

    def __init__(self, order):
        self.ACK_TIMEOUT = order.get("ack_timeout", TransportTuning.ACK_TIMEOUT)
        self.reliability = not order.get("unreliable", False)


class Client:
    def __init__(self, context, server):
        self.context = context
        self.server = server

    def message(self, order):
        message = aiocoap.Message(
            code=codes.Code[order["method"]],
            uri=f"coap://{self.server}",
            payload=order.get("body", "").encode(),
            transport_tuning=Tuning(order),
        )
        message.opt.uri_path = order.get("path", [])
        message.opt.uri_query = order.get("query", [])
        message.opt.content_format = order.get("content_format")
        if order.get("observe"):
            message.opt.observe = 0
        if order.get("ask_block_size"):
            message.opt.block2 = (0, False, order["block_size"])
        for number, text in order.get("options", []):
            message.opt.add_option(OptionNumber(number).create_option(decode=text.encode()))
        return message

    async def obey(self, order):
        if order["method"] == "PING":
            return await self.ping()
        message = self.message(order)
        await self.context.find_remote_and_interface(message)
        message.remote.maximum_block_size_exp = order.get("block_size", 6)
        request = self.context.request(message)
        response = await asyncio.wait_for(request.response, order.get("give_up_after"))
        return {
            "code": response.code.dotted,
            "kind": response.mtype.name,
            "body": response.payload.decode(),
            "content_format": response.opt.content_format,
            "observing": response.opt.observe is not None,
        }

    async def ping(self):
        """Until the Reset that answers it (RFC 7252 section 4.3). aiocoap has no call of its own for that."""
        # Only requests are led to their server.
        request = self.message({"method": "GET"})
        await self.context.find_remote_and_interface(request)
        message = aiocoap.Message(code=codes.EMPTY, transport_tuning=request.transport_tuning)
        message.remote = request.remote
        reset = asyncio.get_running_loop().create_future()
        (requests,) = self.context.request_interfaces
        requests.token_interface.send_message(message, lambda: reset.set_result(None))
        await reset
        return {"code": codes.EMPTY.dotted, "kind": "RST"}


async def main():
    # This transport connects a socket for each server, IPv4 or IPv6.
    context = await aiocoap.Context.create_client_context(transports=["simple6"])
    client = Client(context, sys.argv[1])
    orders = asyncio.StreamReader(limit=LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        try:
            answer = await client.obey(json.loads(line))
        except (aiocoap.error.Error, TimeoutError) as error:
            answer = {"error": type(error).__name__}
        print(json.dumps(answer), flush=True)
    await context.shutdown()


asyncio.run(main())
