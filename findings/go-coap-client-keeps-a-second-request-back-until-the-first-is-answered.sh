#!/usr/bin/env bash
# Versions: go-coap v3.8.1 (Go module), aiocoap 0.4.17 (PyPI).
#
# Question: a client asks for a long poll. The server acknowledges it at once and will answer in 3 s.
# Meanwhile the client asks for something else. When does the second request leave? (RFC 7252, section 4.7:
# one outstanding interaction; an acknowledged request is none.)
#
# Guess: at once, since the first one is acknowledged, with go-coap as with aiocoap.
#
# What it does: aiocoap sends it at once. go-coap keeps it back until the answer to the first is there, 3 s
# later: by default a connection has one request under way, acknowledged or not. The waiting counts against
# the second request's own deadline. With options.WithLimitClientParallelRequest(4) alone the two run side by
# side. Californium 3.14.0 and node-coap 1.5.0 (not in this script) send both at once, even when the first is
# not acknowledged.
#
# What follows: a Matrix client on go-coap that polls by /sync sends no message until the poll ends, unless it
# sets that option or uses a second connection; on DTLS that is a second handshake. A server cannot see what
# is held back: only a short poll helps.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17

cat >"$dir/two.go" <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
)

func main() {
	var settings []udp.Option
	if os.Args[1] == "four" {
		settings = append(settings, options.WithLimitClientParallelRequest(4))
	}
	peer, err := udp.Dial("127.0.0.1:"+os.Args[2], settings...)
	if err != nil {
		panic(err)
	}
	var both sync.WaitGroup
	for _, path := range []string{"/poll", "/send"} {
		both.Add(1)
		go func() {
			defer both.Done()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, err := peer.Get(ctx, path)
			fmt.Println(path, err)
		}()
		time.Sleep(300 * time.Millisecond)
	}
	both.Wait()
}
GO
go_program two github.com/plgd-dev/go-coap/v3@v3.8.1

cat >"$dir/two.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context()

    async def get(path):
        request = aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:%s%s" % (sys.argv[1], path))
        await asyncio.wait_for(context.request(request).response, 10)
        print(path, None)

    poll = asyncio.create_task(get("/poll"))
    await asyncio.sleep(0.3)
    await get("/send")
    await poll
    await context.shutdown()

asyncio.run(main())
PY

# Says of "send" whether it came before or after the late answer to "poll".
cat >"$dir/server.py" <<'PY'
import coap

def answer(server, request, count):
    if (11, b"poll") in request.options:
        server.acknowledge(request)
        server.send(server.own(coap.NON, request, "2.05"), after=3)
    else:
        server.acknowledge(request, "2.05")

coap.Server(answer).run()
PY

serve() { # serve NAME CLIENT...
  local name=$1
  shift
  PYTHONPATH=$parts start "$dir/$name.server" python3 -B "$dir/server.py"
  timeout 30 "$@" "$(first_line "$dir/$name.server")" >"$dir/$name.client" 2>&1
  seen "/poll" "$dir/$name.client"
  seen "/send" "$dir/$name.client"
  grep -E '^in CON|^out' "$dir/$name.server" | cut -d' ' -f1-3 | tr '\n' '|' >"$dir/$name.order"
}

serve aiocoap "$dir/venv/bin/python" "$dir/two.py"
seen "in CON 0.01|out ACK 0.00|in CON 0.01|out ACK 2.05|out NON 2.05|" "$dir/aiocoap.order"
serve one "$dir/two" one
seen "in CON 0.01|out ACK 0.00|out NON 2.05|in CON 0.01|out ACK 2.05|" "$dir/one.order"
serve four "$dir/two" four
seen "in CON 0.01|out ACK 0.00|in CON 0.01|out ACK 2.05|out NON 2.05|" "$dir/four.order"
echo "as described"
