#!/usr/bin/env bash
# Versions: libcoap 4.3.1-1 (Debian 12), aiocoap 0.4.17 (PyPI), node-coap 1.5.0 (npm coap), Californium 3.14.0
# (Maven Central).
#
# Question: which options do clients send for coap://host/a%2Fb/!r%3Ax?x=1%262&y? RFC 7252 (section 6.4): cut
# at / and & first, then turn percent-encoding into bytes.
#
# Guess: the four do as the RFC says.
#
# What it does:
#   libcoap, aiocoap  Uri-Path "a/b", "!r:x"; Uri-Query "x=1&2", "y": as the RFC says
#   node-coap         Uri-Path "a%2Fb", "!r%3Ax"; Uri-Query "x=1%262", "y": percent signs and all
#   Californium       Uri-Path "a", "b", "!r:x"; Uri-Query "x=1", "2", "y": decoded first, then cut
# (go-coap v3.8.1, not in this script, takes a path instead of a URI and sends it as node-coap does.)
#
# What follows: users of node-coap and go-coap must hand over decoded text, or a room "!r:x" is asked for as
# "!r%3Ax"; a gateway cannot repair it, since "%3A" in an option may be meant. With Californium an id with /
# in it, or a filter with &, has to be set by addOption (OptionSet.addUriPath, addUriQuery), never by the URI.
# A page for users shows options, not URIs.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17
npm_packages coap@1.5.0
debian_packages libcoap3-bin=4.3.1-1 libcoap3=4.3.1-1
cd "$dir" # Californium writes its properties into the working directory
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
    words = [("query " if number == 15 else "path ") + value.decode() for number, value in request.options if number in (11, 15)]
    print(*words, sep=", ", flush=True)
    server.acknowledge(request, "2.05")

coap.Server(answer).run()
PY

serve() { # serve NAME CLIENT...: leaves the options of the request in NAME.options
  local name=$1
  shift
  PYTHONPATH=$parts start "$dir/$name.server" python3 -B "$dir/server.py"
  timeout 30 "$@" "coap://127.0.0.1:$(first_line "$dir/$name.server")/a%2Fb/!r%3Ax?x=1%262&y" >"$dir/$name.client" 2>&1
  grep ^path "$dir/$name.server" >"$dir/$name.options"
}

serve libcoap env "LD_LIBRARY_PATH=$debian_libraries" "$dir/debian/usr/bin/coap-client-notls"
serve aiocoap "$dir/venv/bin/python" "$dir/get.py"
serve node node "$dir/get.js"
serve californium java -cp "$dir:$dir/jars/*" Get
for name in libcoap aiocoap; do seen "path a/b, path !r:x, query x=1&2, query y" "$dir/$name.options"; done
seen "path a%2Fb, path !r%3Ax, query x=1%262, query y" "$dir/node.options"
seen "path a, path b, path !r:x, query x=1, query 2, query y" "$dir/californium.options"
echo "as described"
