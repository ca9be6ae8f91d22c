#!/usr/bin/env bash
# Versions: go-coap v3.8.1 (Go module), aiocoap 0.4.17 (PyPI).
#
# Question: a go-coap server with its default settings has a resource of 48,000 bytes that is another one at each run of
# the handler. A client reads it over a path of 200 ms there and back, 47 blocks one after the other, 9 s in all. How
# long does the server keep the body that the client began with? Its BlockwiseTransferTimeout is 3 s by default.
#
# Guess: 3 s from the last block that was asked for, so that a reader who comes back every 200 ms has it to its end.
#
# What it does: 3 s from the beginning of the transfer. The next block runs the handler anew and is cut out of the new
# body, at the place that was asked for, and so on every 3 s: four bodies in one. There is no ETag that could tell, and
# Size2 is the same. go-coap's own client delivers the mixture without an error, aiocoap's client and libcoap's (not in
# this script) do so too.
#
# What follows: a server on go-coap sets options.WithBlockwise(true, blockwise.SZX1024, ...) to more than its largest
# body takes on its slowest path, or its handler sets an ETag. A client cannot find it out. A test over loopback, where
# a body of 1 MB takes less than 3 s, never sees it.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17

cat >"$dir/body.go" <<'GO'
package main

import (
	"bytes"
	"context"
	"fmt"
	gonet "net"
	"os"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
	"github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
	udpServer "github.com/plgd-dev/go-coap/v3/udp/server"
)

func serve(settings ...udpServer.Option) {
	runs := 0
	router := mux.NewRouter()
	router.Handle("/body", mux.HandlerFunc(func(w mux.ResponseWriter, _ *mux.Message) {
		runs++
		line := fmt.Sprintf("body %02d\n", runs)
		w.SetResponse(codes.Content, message.TextPlain, bytes.NewReader(bytes.Repeat([]byte(line), 6000)))
	}))
	socket, err := net.NewListenUDP("udp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(socket.LocalAddr().(*gonet.UDPAddr).Port)
	settings = append(settings, options.WithMux(router))
	panic(udp.NewServer(settings...).Serve(socket))
}

func main() {
	switch os.Args[1] {
	case "default":
		serve()
	case "minute":
		serve(options.WithBlockwise(true, blockwise.SZX1024, time.Minute))
	}
	peer, err := udp.Dial("127.0.0.1:" + os.Args[2])
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := peer.Get(ctx, "/body")
	if err != nil {
		panic(err)
	}
	body, err := answer.ReadBody()
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(body)
}
GO
go_program body github.com/plgd-dev/go-coap/v3@v3.8.1

cat >"$dir/get.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context(transports=["simple6"])
    request = aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:%s/body" % sys.argv[1])
    answer = await asyncio.wait_for(context.request(request).response, 60)
    sys.stdout.write(answer.payload.decode())
    await context.shutdown()

asyncio.run(main())
PY

# The path: each datagram arrives 100 ms later.
cat >"$dir/path.py" <<'PY'
import asyncio, sys

class End(asyncio.DatagramProtocol):
    peer = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.peer = self.peer or peer
        asyncio.get_running_loop().call_later(0.1, lambda: self.other.transport.sendto(data, self.other.peer))

async def main():
    loop = asyncio.get_running_loop()
    _, front = await loop.create_datagram_endpoint(End, local_addr=("127.0.0.1", 0))
    _, back = await loop.create_datagram_endpoint(End, local_addr=("127.0.0.1", 0))
    front.other, back.other, back.peer = back, front, ("127.0.0.1", int(sys.argv[1]))
    print(front.transport.get_extra_info("sockname")[1], flush=True)
    await loop.create_future()

asyncio.run(main())
PY

# read_body SERVER NAME CLIENT...: says how many bytes came, and of how many bodies: four on an idle machine.
read_body() {
  local server=$1 name=$2
  shift 2
  start "$dir/$name.path" python3 -B "$dir/path.py" "$server"
  "$@" "$(first_line "$dir/$name.path")" >"$dir/$name.read"
  local bodies=several
  [ "$(uniq "$dir/$name.read" | wc -l)" -ne 1 ] || bodies=one
  echo "$(wc -c <"$dir/$name.read") bytes of $bodies" >"$dir/$name"
}

start "$dir/default.server" "$dir/body" default
start "$dir/minute.server" "$dir/body" minute
default=$(first_line "$dir/default.server")
minute=$(first_line "$dir/minute.server")
read_body "$default" own "$dir/body" get
seen "48000 bytes of several" "$dir/own"
read_body "$default" aiocoap "$dir/venv/bin/python" "$dir/get.py"
seen "48000 bytes of several" "$dir/aiocoap"
read_body "$minute" patient "$dir/body" get
seen "48000 bytes of one" "$dir/patient"
echo "as described"
