#!/usr/bin/env bash
# Versions: go-coap v3.8.1 (Go module), aiocoap 0.4.17 (PyPI).
#
# Question: the answer to a Confirmable request comes in a message of its own, and the empty acknowledgement before it
# was lost. RFC 7252 (section 4.2): then it is clear that only the acknowledgement is missing. What does go-coap's client do?
#
# Guess: it hands the answer out, acknowledges it and repeats the request no more, as the other clients do.
#
# What it does: it acknowledges the answer, and keeps it to itself. The request is repeated after 4 s, 8 s and so on,
# and at the caller's deadline Get() returns "cannot write request: ... context deadline exceeded". The same with a
# Non-confirmable answer, and when each repeat of the request gets the same answer again. When an empty acknowledgement
# comes after all, late or in reply to a repeat, the answer that was kept is handed out at once.
# libcoap 4.3.1, aiocoap, Californium 3.14.0 and node-coap 1.5.0 hand the answer out without any acknowledgement.
#
# What follows: a server has not done its part when its late answer is acknowledged. It keeps the message id of the
# request after that too, and gives each repeat of the request an empty acknowledgement; a server that forgets the
# exchange with the answer's acknowledgement, or that answers a repeat with the late answer's bytes only, leaves
# clients built on go-coap waiting until their own deadline. A test loses the first acknowledgement of a long poll.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17

cat >"$dir/get.go" <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/plgd-dev/go-coap/v3/udp"
)

func main() {
	peer, err := udp.Dial("127.0.0.1:" + os.Args[1])
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	answer, err := peer.Get(ctx, "/x")
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	body, _ := answer.ReadBody()
	fmt.Println("answer:", string(body))
}
GO
go_program get github.com/plgd-dev/go-coap/v3@v3.8.1

cat >"$dir/get.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context()
    request = aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:%s/x" % sys.argv[1])
    answer = await asyncio.wait_for(context.request(request).response, 6)
    print("answer:", answer.payload.decode())
    await context.shutdown()

asyncio.run(main())
PY

# The answer comes first; the acknowledgement never (con, non, again), 0.5 s later (late), or when the request is repeated.
cat >"$dir/server.py" <<'PY'
import sys
import coap

def answer(server, request, count):
    case = sys.argv[1]
    if count == 1 or case == "again":
        server.send(server.own(coap.NON if case == "non" else coap.CON, request, "2.05", payload=b"here"))
    if case == "late" or case == "repeat" and count == 2:
        server.send(coap.Message(coap.ACK, 0, request.mid), after=0.5)

coap.Server(answer).run()
PY

serve() { # serve CASE CLIENT...
  local case=$1
  shift
  PYTHONPATH=$parts start "$dir/$case.server" python3 -B "$dir/server.py" "${case%-*}"
  "$@" "$(first_line "$dir/$case.server")" >"$dir/$case.client" 2>&1
}

serve con-aiocoap "$dir/venv/bin/python" "$dir/get.py"
seen "answer: here" "$dir/con-aiocoap.client"

for case in con non again; do
  serve "$case-go" "$dir/get"
  seen "context deadline exceeded" "$dir/$case-go.client"
  not_seen "answer: here" "$dir/$case-go.client"
  [ "$(grep -c 'in CON 0.01' "$dir/$case-go.server")" -eq 2 ] || seen "two requests in six seconds" "$dir/$case-go.server"
done
seen "in ACK 0.00" "$dir/con-go.server"

for case in late repeat; do
  serve "$case-go" "$dir/get"
  seen "answer: here" "$dir/$case-go.client"
done
echo "as described"
