"""A CoAP server on aiocoap, without DTLS: for tests of our client.

It prints its port. Each line of standard input is a length: from then on the resource "body" has that many bytes, of a new version.
Each is answered by one line on standard output: how often the resource has been asked for since the last one. It ends with its input.
"""

import asyncio
import sys

import aiocoap
import aiocoap.resource


class Body(aiocoap.resource.Resource):
    def __init__(self):
        super().__init__()
        self.version = 0
        self.runs = 0
        self.body = b""

    def change(self, length):
        self.version += 1
        lines = range((length + 15) // 16)
        self.body = "".join(f"{line:07x} {self.version:06d} \n" for line in lines).encode()[:length]

    async def render_get(self, request):
        self.runs += 1
        return aiocoap.Message(payload=self.body)


async def main():
    body = Body()
    site = aiocoap.resource.Site()
    site.add_resource(["body"], body)
    # This transport takes a port that the system chooses.
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", 0), transports=["simplesocketserver"])
    (requests,) = context.request_interfaces
    server = requests.token_interface.message_interface._pool
    print(server._transport.get_extra_info("sockname")[1], flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        runs, body.runs = body.runs, 0
        body.change(int(line))
        print(runs, flush=True)
    await context.shutdown()


asyncio.run(main())
