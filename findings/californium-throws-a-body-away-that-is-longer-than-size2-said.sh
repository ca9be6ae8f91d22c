#!/usr/bin/env bash
# Versions: Californium 3.14.0 (Maven Central), aiocoap 0.4.17 (PyPI).
#
# Question: an answer of 3,000 bytes in blocks of 1,024 carries Size2 with the number 10. RFC 7959 (section 4) calls
# Size2 an estimate that may change. What do clients do with the rest?
#
# Guess: all of them ignore the number and deliver 3,000 bytes.
#
# What it does: Californium's CoapClient makes a buffer of exactly that size and gives up at the first block:
# get() throws an IOException, "response 1024 exceeds the left buffer 10". It asks for no second block. A number that is
# too large (5,000) does no harm as long as it is not above the client's limit for a body. libcoap 4.3.1, aiocoap,
# go-coap 3.8.1 and node-coap 1.5.0 deliver the 3,000 bytes whatever Size2 says.
#
# What follows: a proxy that knows only the length of the JSON it got (Content-Length) has no Size2 to send for the CBOR
# it makes of it, and the other way round: it counts what it really sends, or leaves the option out. An answer whose
# length is not known when its first block leaves carries none. Too large is the safe side of an estimate.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17
cd "$dir" # Californium writes its properties into the working directory
jars org.eclipse.californium:californium-core:3.14.0 org.slf4j:slf4j-nop:1.7.36

cat >"$dir/Get.java" <<'JAVA'
import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.config.CoapConfig;

public class Get {
    public static void main(String[] arguments) throws Exception {
        CoapConfig.register();
        CoapClient client = new CoapClient("coap://127.0.0.1:" + arguments[0] + "/x");
        client.setTimeout(10000L);
        try {
            CoapResponse answer = client.get();
            System.out.println("bytes: " + (answer == null ? "no answer" : answer.getPayload().length));
        } catch (java.io.IOException error) {
            System.out.println("error: " + error.getMessage());
        }
        System.exit(0);
    }
}
JAVA
javac -cp "$dir/jars/*" -d "$dir" "$dir/Get.java"

cat >"$dir/get.py" <<'PY'
import asyncio, sys, aiocoap

async def main():
    context = await aiocoap.Context.create_client_context()
    request = aiocoap.Message(code=aiocoap.GET, uri="coap://127.0.0.1:%s/x" % sys.argv[1])
    answer = await asyncio.wait_for(context.request(request).response, 10)
    print("bytes:", len(answer.payload))
    await context.shutdown()

asyncio.run(main())
PY

cat >"$dir/server.py" <<'PY'
import sys
import coap

BODY = bytes(3000)

def answer(server, request, count):
    number, _, size = request.block(coap.BLOCK2) or (0, 0, 1024)
    end = (number + 1) * size
    options = [(4, b"v"), (coap.BLOCK2, coap.block(number, end < len(BODY), size)), (coap.SIZE2, coap.uint(int(sys.argv[1])))]
    server.acknowledge(request, "2.05", options, BODY[number * size : end])

coap.Server(answer).run()
PY

serve() { # serve SIZE2 NAME CLIENT...
  local size=$1 name=$2
  shift 2
  PYTHONPATH=$parts start "$dir/$name.server" python3 -B "$dir/server.py" "$size"
  "$@" "$(first_line "$dir/$name.server")" >"$dir/$name.client" 2>&1
}

serve 10 aiocoap "$dir/venv/bin/python" "$dir/get.py"
seen "bytes: 3000" "$dir/aiocoap.client"

californium=(java -cp "$dir:$dir/jars/*" Get)
serve 10 short "${californium[@]}"
seen "exceeds the left buffer 10" "$dir/short.client"
[ "$(grep -c 'in CON 0.01' "$dir/short.server")" -eq 1 ] || seen "one request only" "$dir/short.server"

serve 3000 exact "${californium[@]}"
seen "bytes: 3000" "$dir/exact.client"
serve 5000 long "${californium[@]}"
seen "bytes: 3000" "$dir/long.client"
echo "as described"
