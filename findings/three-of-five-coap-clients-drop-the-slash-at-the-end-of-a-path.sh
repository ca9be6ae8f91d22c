#!/usr/bin/env bash
# Versions: libcoap 4.3.1-1 (Debian 12), aiocoap 0.4.17 (PyPI), node-coap 1.5.0 (npm coap), Californium 3.14.0
# (Maven Central), go-coap v3.8.1 (Go module).
#
# Question: the last character of a path means something: in Matrix /pushrules/ is a resource and /pushrules
# is none. Does an empty segment, at the end (/a/) or in the middle (/a//b), reach the server as the empty
# Uri-Path that RFC 7252 (section 6.4) makes of it? (And, to see it at once, what becomes of the dots in
# /a/../b/./c?)
#
# Guess: the empty segments all arrive. (None for the dots.)
#
# What it does:
#                /a/        /a//b         /a/../b/./c
#   libcoap      a, ""      a, "", b      a, b, c
#   aiocoap      a, ""      a, "", b      a, .., b, ., c
#   node-coap    a          a, b          b, c
#   Californium  a          a, "", b      a, .., b, ., c
#   go-coap      a          a, b          a, .., b, ., c
# Three of five lose the slash at the end without a word, and libcoap throws dots away without going up.
#
# What follows: a gateway in front of a server that tells /pushrules/ from /pushrules (Synapse answers 404 to
# the second) cannot ask such clients for the slash: it gives these resources a path code, or knows the few
# that end in a slash and adds it. And it resolves or refuses dots by itself: what libcoap was told is not
# what arrives.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17
npm_packages coap@1.5.0
debian_packages libcoap3-bin=4.3.1-1 libcoap3=4.3.1-1
cd "$dir" # Californium writes its properties into the working directory
cat >"$dir/get.go" <<'GO'
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/plgd-dev/go-coap/v3/udp"
)

func main() {
	address, err := url.Parse(os.Args[1])
	if err != nil {
		panic(err)
	}
	peer, err := udp.Dial(address.Host)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := peer.Get(ctx, address.Path)
	fmt.Println(answer, err)
}
GO
go_program get github.com/plgd-dev/go-coap/v3@v3.8.1
jars org.eclipse.californium:californium-core:3.14.0 org.slf4j:slf4j-nop:1.7.36

cat >"$dir/Get.java" <<'JAVA'
import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.config.CoapConfig;

public class Get {
    public static void main(String[] arguments) throws Exception {
        CoapConfig.register();
        CoapClient client = new CoapClient(arguments[0]);
        client.setTimeout(10000L);
        System.out.println(client.get().getCode());
        System.exit(0);
    }
}
JAVA
javac -cp "$dir/jars/*" -d "$dir" "$dir/Get.java"

cat >"$dir/get.js" <<'JS'
const request = require('coap').request(process.argv[2])
request.on('response', (answer) => { console.log(answer.code); process.exit() })
request.end()
JS

cat >"$dir/get.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context()
    request = aiocoap.Message(code=aiocoap.GET, uri=sys.argv[1])
    print((await asyncio.wait_for(context.request(request).response, 10)).code)
    await context.shutdown()

asyncio.run(main())
PY

cat >"$dir/server.py" <<'PY'
import coap

def answer(server, request, count):
    print("path:", *("[" + value.decode() + "]" for number, value in request.options if number == 11), flush=True)
    server.acknowledge(request, "2.05")

coap.Server(answer).run(120)
PY

serve() { # serve NAME OPTIONS OPTIONS OPTIONS CLIENT...: what the three paths are to be
  local name=$1 path wanted=("$2" "$3" "$4")
  shift 4
  PYTHONPATH=$parts start "$dir/$name.server" python3 -B "$dir/server.py"
  first_line "$dir/$name.server" >"$dir/$name.port"
  for path in /a/ /a//b /a/../b/./c; do
    timeout 30 "$@" "coap://127.0.0.1:$(cat "$dir/$name.port")$path" >"$dir/$name.client" 2>&1
    grep '^path:' "$dir/$name.server" | tail -n 1 >"$dir/$name.options"
    echo "path: ${wanted[0]}" | cmp -s - "$dir/$name.options" || seen "path: ${wanted[0]} (exactly, $name $path)" "$dir/$name.options"
    wanted=("${wanted[@]:1}")
  done
}

serve libcoap "[a] []" "[a] [] [b]" "[a] [b] [c]" env "LD_LIBRARY_PATH=$debian_libraries" "$dir/debian/usr/bin/coap-client-notls"
serve aiocoap "[a] []" "[a] [] [b]" "[a] [..] [b] [.] [c]" "$dir/venv/bin/python" "$dir/get.py"
serve node "[a]" "[a] [b]" "[b] [c]" node "$dir/get.js"
serve californium "[a]" "[a] [] [b]" "[a] [..] [b] [.] [c]" java -cp "$dir:$dir/jars/*" Get
serve go "[a]" "[a] [b]" "[a] [..] [b] [.] [c]" "$dir/get"
echo "as described"
