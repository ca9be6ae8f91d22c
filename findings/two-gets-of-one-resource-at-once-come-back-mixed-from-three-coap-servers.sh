#!/usr/bin/env bash
# Versions: aiocoap 0.4.17 (PyPI), Californium 3.14.0 (Maven Central), go-coap v3.8.1 (Go module).
#
# Question: one peer asks twice for the same resource, which has 48 blocks and is another one at each run of the
# handler. Both transfers run side by side, with other tokens. RFC 7959 (section 2.4) lets a server forget a body; RFC
# 9175 (section 3) has the option Request-Tag to keep such requests apart. Which blocks come?
#
# Guess: each transfer has its own body, since its requests have tokens of their own; or an error; at the latest with a
# Request-Tag.
#
# What it does: without Request-Tag none of the three keeps them apart. At aiocoap and Californium the second request
# takes the place of the first: block 1 of the first transfer comes out of the second one's body. At go-coap the two
# hinder each other: the handler runs for every block of either. No answer has an ETag that would tell. Other
# Request-Tags keep two transfers apart at aiocoap and go-coap, not at Californium. The projects' own clients, two GETs
# at once before their own servers: aiocoap's delivers a mixed body and no error; Californium's delivers one mixed body,
# and the other request has no end (not in this script). go-coap's own client uses one token for all blocks of a body,
# which go-coap's server keeps apart: its bodies are whole (not in this script).
#
# What follows: a client has one transfer of a resource at a time with a server that it does not know, and sets
# Request-Tag where it has more. A server keeps bodies by all that makes a request another one, Request-Tag included, or
# gives each body an ETag: then the mixture is seen.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17
cd "$dir" # Californium writes its properties into the working directory
jars org.eclipse.californium:californium-core:3.14.0 org.slf4j:slf4j-nop:1.7.36

cat >"$dir/server.py" <<'PY'
import asyncio, socket, aiocoap, aiocoap.resource

class Body(aiocoap.resource.Resource):
    runs = 0

    async def render_get(self, request):
        self.runs += 1
        return aiocoap.Message(payload=b"body %02d\n" % self.runs * 6000)

async def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as spare:
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]
    site = aiocoap.resource.Site()
    site.add_resource(["body"], Body())
    await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port))
    print(port, flush=True)
    await asyncio.get_running_loop().create_future()

asyncio.run(main())
PY

cat >"$dir/Serve.java" <<'JAVA'
import java.net.InetSocketAddress;
import org.eclipse.californium.core.CoapResource;
import org.eclipse.californium.core.CoapServer;
import org.eclipse.californium.core.coap.CoAP.ResponseCode;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.core.server.resources.CoapExchange;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.config.UdpConfig;

public class Serve {
    static int runs;

    public static void main(String[] arguments) throws Exception {
        CoapConfig.register();
        UdpConfig.register();
        Configuration settings = Configuration.createStandardWithoutFile();
        CoapServer server = new CoapServer(settings);
        CoapEndpoint.Builder endpoint = CoapEndpoint.builder();
        endpoint.setConfiguration(settings).setInetSocketAddress(new InetSocketAddress("127.0.0.1", 0));
        server.addEndpoint(endpoint.build());
        server.add(new CoapResource("body") {
            @Override
            public synchronized void handleGET(CoapExchange exchange) {
                runs++;
                exchange.respond(ResponseCode.CONTENT, String.format("body %02d\n", runs).repeat(6000));
            }
        });
        server.start();
        System.out.println(server.getEndpoints().get(0).getAddress().getPort());
    }
}
JAVA
javac -cp "$dir/jars/*" -d "$dir" "$dir/Serve.java"

cat >"$dir/serve.go" <<'GO'
package main

import (
	"bytes"
	"fmt"
	gonet "net"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
	"github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
)

func main() {
	runs := 0
	router := mux.NewRouter()
	router.Handle("/body", mux.HandlerFunc(func(w mux.ResponseWriter, _ *mux.Message) {
		runs++
		line := []byte(fmt.Sprintf("body %02d\n", runs))
		w.SetResponse(codes.Content, message.TextPlain, bytes.NewReader(bytes.Repeat(line, 6000)))
	}))
	socket, err := net.NewListenUDP("udp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(socket.LocalAddr().(*gonet.UDPAddr).Port)
	panic(udp.NewServer(options.WithMux(router)).Serve(socket))
}
GO
go_program serve github.com/plgd-dev/go-coap/v3@v3.8.1

# Blocks 0 and 1 of two transfers, in turns, with a token for each request; then the same with Request-Tags. Says which
# body each block is of.
cat >"$dir/turns.py" <<'PY'
import socket, sys
import coap

REQUEST_TAG = 292

for tags in ("without", "with"):
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.settimeout(5)
    peer.connect(("127.0.0.1", int(sys.argv[1])))
    mid, base, size, said = 0, None, 1024, []
    for number in (0, 1):
        for transfer in (b"1", b"2"):
            mid += 1
            options = [(11, b"body")]
            if number:
                options.append((coap.BLOCK2, coap.block(number, False, size)))
            if tags == "with":
                options.append((REQUEST_TAG, transfer))
            peer.send(coap.Message(coap.CON, coap.code("0.01"), mid, b"%d" % mid, options).encode())
            answer = coap.Message.decode(peer.recv(65536))
            size = answer.block(coap.BLOCK2)[2]
            body = int(answer.payload[5:7])
            base = body - 1 if base is None else base
            etag = "".join(" ETag" for number, _ in answer.options if number == 4)
            said.append("%s/%d: body %d%s" % (transfer.decode(), answer.block(coap.BLOCK2)[0], body - base, etag))
    print(tags, "Request-Tag:", ", ".join(said))
PY

cat >"$dir/two.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context(transports=["simple6"])

    async def get():
        request = aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:%s/body" % sys.argv[1])
        answer = await asyncio.wait_for(context.request(request).response, 30)
        print(answer.code, "bodies in one:", len(set(answer.payload.splitlines())))

    await asyncio.gather(get(), get())
    await context.shutdown()

asyncio.run(main())
PY

turns() { # turns NAME COMMAND...: starts a server and asks it.
  local name=$1
  shift
  start "$dir/$name.server" "$@"
  PYTHONPATH=$parts python3 -B "$dir/turns.py" "$(first_line "$dir/$name.server")" >"$dir/$name.turns"
}

turns aiocoap "$dir/venv/bin/python" "$dir/server.py"
seen "without Request-Tag: 1/0: body 1, 2/0: body 2, 1/1: body 2, 2/1: body 2" "$dir/aiocoap.turns"
seen "with Request-Tag: 1/0: body 1, 2/0: body 2, 1/1: body 1, 2/1: body 2" "$dir/aiocoap.turns"
turns californium java -cp "$dir:$dir/jars/*" Serve
seen "without Request-Tag: 1/0: body 1, 2/0: body 2, 1/1: body 2, 2/1: body 2" "$dir/californium.turns"
seen "with Request-Tag: 1/0: body 1, 2/0: body 2, 1/1: body 2, 2/1: body 2" "$dir/californium.turns"
turns go-coap "$dir/serve"
seen "without Request-Tag: 1/0: body 1, 2/0: body 2, 1/1: body 3, 2/1: body 4" "$dir/go-coap.turns"
seen "with Request-Tag: 1/0: body 1, 2/0: body 2, 1/1: body 1, 2/1: body 2" "$dir/go-coap.turns"

"$dir/venv/bin/python" "$dir/two.py" "$(first_line "$dir/aiocoap.server")" >"$dir/two"
seen "2.05 Content bodies in one: 2" "$dir/two"
echo "as described"
