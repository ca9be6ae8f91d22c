#!/usr/bin/env bash
# Versions: go-coap v3.8.1 (Go module), node-coap 1.5.0 (npm coap), aiocoap 0.4.17 (PyPI), libcoap 4.3.1-1 (Debian 12).
#
# Question: a server answers a Confirmable GET with a Reset message, as one does that cannot process it (RFC 7252,
# section 4.2). What does the client's user see?
#
# Guess: an error, at once, in each of them.
#
# What it does:
#   go-coap    stops repeating the request and says nothing: Get() returns at the caller's own deadline, with an error
#              about the deadline that does not tell of the Reset
#   node-coap  emits 'response', code 0.00, empty payload; neither 'error' nor 'reset'
#   aiocoap    raises MessageError ("Network error: MessageError") and logs that this is to be reported as a bug in aiocoap
#   libcoap    coap-client writes "got RST" to standard error, "cannot send CoAP pdu" to standard output where a body
#              would stand, and exits with 0
# Californium 3.14.0 (not in this script) returns null, as for a time-out.
#
# What follows: a Reset is no way to refuse a request that was understood at all. Whoever can read message id and token
# answers 4.00 (malformed, unknown critical option) or 5.03 with Max-Age (out of room, shutting down), piggybacked:
# every one of these clients hands that out at once. A client of one's own must not read a Reset as an empty answer.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17
npm_packages coap@1.5.0
debian_packages libcoap3-bin=4.3.1-1 libcoap3=4.3.1-1

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
	fmt.Println("answer:", answer.Code())
}
GO
go_program get github.com/plgd-dev/go-coap/v3@v3.8.1

cat >"$dir/get.js" <<'JS'
const coap = require('coap')
const request = coap.request({ hostname: '127.0.0.1', port: +process.argv[2], pathname: '/x' })
for (const event of ['error', 'timeout', 'reset']) request.on(event, () => console.log('event:', event))
request.on('response', (answer) => console.log('answer:', answer.code, answer.payload.length))
request.end()
JS

cat >"$dir/get.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context()
    request = aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:%s/x" % sys.argv[1])
    try:
        print("answer:", (await asyncio.wait_for(context.request(request).response, 10)).code)
    except aiocoap.error.Error as error:
        print("error:", type(error).__name__)
    await context.shutdown()

asyncio.run(main())
PY

cat >"$dir/server.py" <<'PY'
import sys
import coap

def answer(server, request, count):
    if sys.argv[1] == "reset":
        server.send(coap.Message(coap.RST, 0, request.mid))
    else:
        server.acknowledge(request, "5.03", [(coap.MAX_AGE, coap.uint(2))], b"later")

coap.Server(answer).run()
PY

serve() { # serve CASE CLIENT...
  local case=$1
  shift
  PYTHONPATH=$parts start "$dir/$case.server" python3 -B "$dir/server.py" "${case%-*}"
  port=$(first_line "$dir/$case.server")
  if [ "$case" = "${case%-libcoap}" ]; then set -- "$@" "$port"; else set -- "$@" "coap://127.0.0.1:$port/x"; fi
  local code=0
  timeout 30 "$@" >"$dir/$case.client" 2>"$dir/$case.errors" || code=$?
  [ "$code" -eq 0 ] || { echo "changed: exit status $code of $case" >&2; exit 1; }
  [ "$(grep -c 'in CON 0.01' "$dir/$case.server")" -eq 1 ] || seen "one request in $case" "$dir/$case.server"
}

libcoap=(env "LD_LIBRARY_PATH=$debian_libraries" "$dir/debian/usr/bin/coap-client-notls" -m get)
cd "$dir"
for case in reset refused; do
  serve "$case-go" "$dir/get"
  serve "$case-node" node "$dir/get.js"
  serve "$case-aiocoap" "$dir/venv/bin/python" "$dir/get.py"
  serve "$case-libcoap" "${libcoap[@]}"
done

seen "context deadline exceeded" reset-go.client
seen "answer: 0.00 0" reset-node.client
not_seen "event:" reset-node.client
seen "error: MessageError" reset-aiocoap.client
seen "please report this as a bug" reset-aiocoap.errors
seen "cannot send CoAP pdu" reset-libcoap.client
seen "got RST" reset-libcoap.errors

seen "answer: ServiceUnavailable" refused-go.client
seen "answer: 5.03 5" refused-node.client
seen "answer: 5.03" refused-aiocoap.client
cat refused-libcoap.errors >>refused-libcoap.client
seen "5.03 later" refused-libcoap.client
echo "as described"
