#!/usr/bin/env bash
# Versions: go-coap v3.8.1 (Go module), Californium 3.14.0 (Maven Central).
#
# Question: a client sends the first block of an upload with 1,024 bytes, and the server takes it but asks for smaller
# blocks from then on (2.31 with a Block1 of 256). Where does the client go on? RFC 7959 (section 2.3): at block 4 of
# 256, since the first 1,024 bytes are there.
#
# Guess: most clients go on at block 4; go-coap starts again at block 0, or gives up.
#
# What it does: go-coap neither starts again nor gives up: it counts on in blocks of the new size, from block 1, and so sends
# bytes 256 to 511 next, which the server has. A server that is strict about offsets refuses that: against Californium
# with its default settings (which ask for 512) a PUT of 3,000 bytes ends with 4.08 "request block1 offset
# 512 doesn't match the current position". With go-coap's own block size set to 512 the same PUT works. libcoap 4.3.1,
# aiocoap 0.4.17, node-coap 1.5.0 and Californium as clients go on at the right place.
#
# What follows: a server takes the block size of the first block of an upload and keeps it, or loses the clients built on
# go-coap. If datagrams must be smaller, that is the client's setting. A server that asks for smaller blocks all the same has
# to take a block that begins before the end of what it holds and has the same bytes there, and must never simply append.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
cd "$dir" # Californium writes its properties into the working directory
jars org.eclipse.californium:californium-core:3.14.0 org.slf4j:slf4j-nop:1.7.36

cat >"$dir/put.go" <<'GO'
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
)

func main() {
	size := blockwise.SZX1024
	if os.Args[1] == "512" {
		size = blockwise.SZX512
	}
	peer, err := udp.Dial("127.0.0.1:"+os.Args[2], options.WithBlockwise(true, size, 5*time.Second))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	body := make([]byte, 3000)
	for i := range body {
		body[i] = byte('a' + i/256) // the letter says where a byte is from
	}
	answer, err := peer.Put(ctx, "/x", message.TextPlain, bytes.NewReader(body))
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	text, _ := answer.ReadBody()
	fmt.Printf("answer: %d.%02d %s\n", answer.Code()>>5, answer.Code()&31, text)
}
GO
go_program put github.com/plgd-dev/go-coap/v3@v3.8.1

cat >"$dir/Server.java" <<'JAVA'
import java.net.InetSocketAddress;
import org.eclipse.californium.core.CoapResource;
import org.eclipse.californium.core.CoapServer;
import org.eclipse.californium.core.coap.CoAP.ResponseCode;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.core.server.resources.CoapExchange;

public class Server {
    public static void main(String[] arguments) throws Exception {
        CoapConfig.register();
        CoapServer server = new CoapServer();
        CoapEndpoint endpoint = CoapEndpoint.builder().setInetSocketAddress(new InetSocketAddress("127.0.0.1", 0)).build();
        server.addEndpoint(endpoint);
        server.add(new CoapResource("x") {
            @Override
            public void handlePUT(CoapExchange exchange) {
                exchange.respond(ResponseCode.CHANGED, "took " + exchange.getRequestPayload().length);
            }
        });
        server.start();
        System.out.println(endpoint.getAddress().getPort());
    }
}
JAVA
javac -cp "$dir/jars/*" -d "$dir" "$dir/Server.java"

# A server that asks for 256 and takes whatever comes; it says which letter each block begins with.
cat >"$dir/server.py" <<'PY'
import coap

def answer(server, request, count):
    number, more, size = request.block(coap.BLOCK1)
    print("block", number, "of", size, "begins with", chr(request.payload[0]), flush=True)
    server.acknowledge(request, "2.31" if more else "2.04", [(coap.BLOCK1, coap.block(number, more, min(size, 256)))])

coap.Server(answer).run()
PY

PYTHONPATH=$parts start "$dir/server" python3 -B "$dir/server.py"
"$dir/put" 1024 "$(first_line "$dir/server")" >"$dir/client"
seen "block 0 of 1024 begins with a" "$dir/server"
seen "block 1 of 256 begins with b" "$dir/server" # where block 4 and "e" would be right
seen "answer: 2.04" "$dir/client"

start "$dir/californium" java -cp "$dir:$dir/jars/*" Server
port=$(first_line "$dir/californium")
"$dir/put" 1024 "$port" >"$dir/client"
seen "answer: 4.08 request block1 offset 512 doesn't match the current position" "$dir/client"
"$dir/put" 512 "$port" >"$dir/client"
seen "answer: 2.04 took 3000" "$dir/client"
echo "as described"
