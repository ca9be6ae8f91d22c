#!/usr/bin/env bash
# Versions: aiocoap 0.4.17 (PyPI), go-coap v3.8.1 (Go module).
#
# Question: a late answer comes in a Confirmable message of its own. The client's acknowledgement of it gets lost, and
# the server sends the same message again. What does the client say to the second copy?
#
# Guess: it acknowledges it again (RFC 7252, section 4.5: a duplicate gets the same acknowledgement as before).
#
# What it does: aiocoap's client acknowledges the first copy, hands the answer out, forgets the token, and answers each
# further copy with a Reset. If the answer is the first block of a body, the Reset comes while it fetches the other blocks
# (each under a token of its own), and it hands out the whole body at the end. go-coap and Californium 3.14.0 acknowledge
# every copy.
#
# What follows: a Reset to the second or a later copy of an answer may well mean "I had it": a server must not take it
# for a refusal and, for instance, forget the rest of the body, which the client is just fetching, or keep the events of
# a long poll for the next try. On a slow link the rest takes longer than the time until the first repetition. A Reset to
# the only copy means what it says. Both end the repetition.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17

cat >"$dir/get.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context()
    request = aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:%s/x" % sys.argv[1])
    body = (await asyncio.wait_for(context.request(request).response, 10)).payload.decode()
    print("answer:", body if len(body) < 10 else len(body), flush=True)
    await asyncio.sleep(2)  # a client that lives on
    await context.shutdown()

asyncio.run(main())
PY

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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := peer.Get(ctx, "/x")
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	body, _ := answer.ReadBody()
	fmt.Println("answer:", string(body))
	time.Sleep(2 * time.Second) // a client that lives on
}
GO
go_program get github.com/plgd-dev/go-coap/v3@v3.8.1

cat >"$dir/server.py" <<'PY'
import sys
import coap

BODY = b"here" if sys.argv[1] == "short" else b"x" * 3000

def answer(server, request, count):
    number, _, size = request.block(coap.BLOCK2) or (0, 0, 1024)
    end = (number + 1) * size
    options = [(coap.BLOCK2, coap.block(number, end < len(BODY), size))] if len(BODY) > size else []
    part = BODY[number * size : end]
    if number:  # a link on which each of the other blocks takes its time
        server.send(coap.Message(coap.ACK, coap.code("2.05"), request.mid, request.token, options, part), after=0.9)
        return
    server.acknowledge(request)
    late = server.own(coap.CON, request, "2.05", options, part)
    server.send(late, after=0.2)
    server.send(late, after=0.6)

coap.Server(answer).run()
PY

serve() { # serve NAME BODY ANSWER CLIENT...
  local name=$1 body=$2 answer=$3
  shift 3
  PYTHONPATH=$parts start "$dir/$name.server" python3 -B "$dir/server.py" "$body"
  "$@" "$(first_line "$dir/$name.server")" >"$dir/$name.client" 2>&1
  seen "answer: $answer" "$dir/$name.client"
  # What came in from the first copy on.
  sed -n '/out CON 2.05/,$p' "$dir/$name.server" | grep '^in' | cut -d' ' -f2 | tr '\n' ' ' >"$dir/$name.replies"
}

serve aiocoap short here "$dir/venv/bin/python" "$dir/get.py"
seen "ACK RST " "$dir/aiocoap.replies"
serve blocks long 3000 "$dir/venv/bin/python" "$dir/get.py"
seen "ACK CON RST CON " "$dir/blocks.replies" # the request for block 1, the Reset, the request for block 2
serve go short here "$dir/get"
seen "ACK ACK " "$dir/go.replies"
echo "as described"
