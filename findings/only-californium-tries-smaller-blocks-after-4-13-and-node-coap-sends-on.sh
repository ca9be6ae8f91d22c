#!/usr/bin/env bash
# Versions: node-coap 1.5.0 (npm coap), Californium 3.14.0 (Maven Central), aiocoap 0.4.17 (PyPI), libcoap 4.3.1-1
# (Debian 12).
#
# Question: a server refuses the first block of an upload (1,024 bytes) with 4.13 and a Block1 of size 256, as RFC 7959
# (section 2.9.3) offers for "too large, try smaller blocks". Who tries again?
#
# Guess: libcoap and aiocoap start again with blocks of 256; the others hand out 4.13.
#
# What it does: only Californium starts again, at block 0 of 256, and finishes. libcoap, aiocoap and go-coap (v3.8.1, not
# in this script) hand out 4.13. node-coap does neither: it goes on after 4.13 and 4.08 if they carry a Block1 option. After
# that 4.13 it sends block 4 of 256, though nothing before it was taken; after a 4.08 to block 1 it sends block 2. The
# caller gets the answer to the last block: 2.04, if the server gives it one. Without a Block1 option in the refusal
# node-coap ends at once with the code, and so do all the others.
#
# What follows: a server refuses a block without a Block1 option, and forgets the whole body with the refusal: a block
# that follows is refused too (4.08), never joined to what came before, or a message with a hole is sent to a room. It
# must not hope to make a client choose smaller blocks by 4.13.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17
npm_packages coap@1.5.0
debian_packages libcoap3-bin=4.3.1-1 libcoap3=4.3.1-1
cd "$dir" # Californium writes its properties into the working directory
jars org.eclipse.californium:californium-core:3.14.0 org.slf4j:slf4j-nop:1.7.36
head -c 3000 /dev/zero | tr '\0' a >"$dir/body"

cat >"$dir/Put.java" <<'JAVA'
import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.elements.config.Configuration;

public class Put {
    public static void main(String[] arguments) throws Exception {
        CoapConfig.register();
        Configuration.getStandard().set(CoapConfig.PREFERRED_BLOCK_SIZE, 1024);
        CoapClient client = new CoapClient(arguments[0]);
        client.setTimeout(10000L);
        CoapResponse answer = client.put("a".repeat(3000), 0);
        System.out.println("answer: " + (answer == null ? "none" : answer.getCode()));
        System.exit(0);
    }
}
JAVA
javac -cp "$dir/jars/*" -d "$dir" "$dir/Put.java"

cat >"$dir/put.js" <<'JS'
const coap = require('coap')
const { port } = new URL(process.argv[2])
const request = coap.request({ hostname: '127.0.0.1', port: +port, pathname: '/x', method: 'PUT' })
request.setOption('Block1', Buffer.from([6]))
request.on('response', (answer) => console.log('answer:', answer.code))
request.end(Buffer.alloc(3000, 'a'))
JS

cat >"$dir/put.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context()
    request = aiocoap.Message(code=aiocoap.PUT, uri=sys.argv[1], payload=b"a" * 3000)
    print("answer:", (await asyncio.wait_for(context.request(request).response, 10)).code)
    await context.shutdown()

asyncio.run(main())
PY

# smaller: the first block of 1,024 is 4.13 with Block1 0/0/256. gap: block 1 is 4.08 with Block1. bare: the same without.
cat >"$dir/server.py" <<'PY'
import sys
import coap

def answer(server, request, count):
    number, more, size = request.block(coap.BLOCK1)
    if sys.argv[1] == "smaller" and size > 256:
        server.acknowledge(request, "4.13", [(coap.BLOCK1, coap.block(0, 0, 256))])
    elif sys.argv[1] == "gap" and number == 1:
        server.acknowledge(request, "4.08", [(coap.BLOCK1, coap.block(number, 0, size))])
    elif sys.argv[1] == "bare" and number == 1:
        server.acknowledge(request, "4.08")
    else:
        server.acknowledge(request, "2.31" if more else "2.04", [(coap.BLOCK1, coap.block(number, more, size))])

coap.Server(answer).run()
PY

serve() { # serve CASE CLIENT...: leaves the blocks that the server got, in their order, in CASE.blocks
  local case=$1
  shift
  PYTHONPATH=$parts start "$dir/$case.server" python3 -B "$dir/server.py" "${case%-*}"
  timeout 30 "$@" "coap://127.0.0.1:$(first_line "$dir/$case.server")/x" >"$dir/$case.client" 2>&1
  sed -n 's/^in CON .*Block1 \([^ ]*\).*/\1/p' "$dir/$case.server" | tr '\n' ' ' >"$dir/$case.blocks"
}

libcoap=(env "LD_LIBRARY_PATH=$debian_libraries" "$dir/debian/usr/bin/coap-client-notls" -m put -b 1024 -f "$dir/body")
serve smaller-libcoap "${libcoap[@]}"
seen "4.13" smaller-libcoap.client
serve smaller-aiocoap "$dir/venv/bin/python" "$dir/put.py"
seen "answer: 4.13" smaller-aiocoap.client
for client in libcoap aiocoap; do
  [ "$(cat smaller-$client.blocks)" = "0/1/1024 " ] || seen "one block" smaller-$client.blocks
done

serve smaller-californium java -cp "$dir:$dir/jars/*" Put
seen "0/1/1024 0/1/256 1/1/256 " smaller-californium.blocks
seen "answer: 2.04" smaller-californium.client

serve smaller-node node "$dir/put.js"
seen "0/1/1024 4/1/256 5/1/256 " smaller-node.blocks
seen "answer: 2.04" smaller-node.client

serve gap-node node "$dir/put.js"
seen "0/1/1024 1/1/1024 2/0/1024 " gap-node.blocks
seen "answer: 2.04" gap-node.client

serve bare-node node "$dir/put.js"
[ "$(cat bare-node.blocks)" = "0/1/1024 1/1/1024 " ] || seen "two blocks" bare-node.blocks
seen "answer: 4.08" bare-node.client
echo "as described"
