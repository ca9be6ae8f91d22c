#!/usr/bin/env bash
# Versions: node-coap 1.5.0 (npm coap), aiocoap 0.4.17 (PyPI).
#
# Question: a handler needs a second for a Confirmable POST. The client, whose acknowledgement got lost, sends
# the same message (same message ID, same token) twice more meanwhile. How often does the handler run?
#
# Guess: once; a server that keeps its answers for duplicates keeps a note of the requests it is working on
# too (RFC 7252, section 4.5).
#
# What it does: node-coap runs the handler for each copy, three times in all, acknowledges each copy after 50
# ms, and sends three Confirmable answers with one token. A copy that comes after an answer within those 50
# ms, piggybacked, gets the same answer again and does not run it: the note is made when the answer goes out.
# aiocoap runs it once, acknowledges the copies, and answers once; so do Californium 3.14.0 and go-coap 3.8.1
# (not in this script).
#
# What follows: before a node-coap server, a POST that creates something is done once per lost
# acknowledgement: give it a key of its own (Matrix' transaction ids are one). A test of duplicates with a
# fast handler proves nothing about a slow one. Whoever writes a server marks a message as seen when it comes,
# not when it is answered.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages aiocoap==0.4.17
npm_packages coap@1.5.0

cat >"$dir/server.js" <<'JS'
const server = require('coap').createServer((request, response) => {
  console.log('run', request.url)
  response.code = '2.04'
  if (request.url === '/slow') setTimeout(() => response.end('done'), 1000)
  else response.end('done')
})
server.listen(0, '127.0.0.1', () => console.log(server._sock.address().port))
JS

cat >"$dir/server.py" <<'PY'
import asyncio, socket, aiocoap, aiocoap.resource

class Resource(aiocoap.resource.Resource):
    def __init__(self, path, delay):
        super().__init__()
        self.path, self.delay = path, delay

    async def render_post(self, request):
        print("run", self.path, flush=True)
        await asyncio.sleep(self.delay)
        return aiocoap.Message(code=aiocoap.CHANGED, payload=b"done")

async def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as spare:
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]
    site = aiocoap.resource.Site()
    site.add_resource(["slow"], Resource("/slow", 1))
    site.add_resource(["fast"], Resource("/fast", 0))
    await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port))
    print(port, flush=True)
    await asyncio.get_running_loop().create_future()

asyncio.run(main())
PY

# Sends one message three times and prints what comes back within 2.5 s.
cat >"$dir/client.py" <<'PY'
import socket, sys, time
import coap

peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.connect(("127.0.0.1", int(sys.argv[1])))
for mid, path in ((1, b"slow"), (2, b"fast")):
    request = coap.Message(coap.CON, coap.code("0.02"), mid, b"T%d" % mid, [(11, path)], b"x").encode()
    begin = time.monotonic()
    at = [0, 0.3, 0.6]
    seen = []
    while (now := time.monotonic() - begin) < 2.5:
        if at and now >= at[0]:
            at.pop(0)
            peer.send(request)
        peer.settimeout(max(0.001, (at[0] if at else 2.5) - now))
        try:
            message = coap.Message.decode(peer.recv(65536))
        except TimeoutError:
            continue
        seen.append(str(message))
        if message.kind == coap.CON:
            peer.send(coap.Message(coap.ACK, 0, message.mid).encode())
    print(path.decode() + ":", *seen, sep=" | ")
PY

serve() { # serve NAME COMMAND...
  local name=$1
  shift
  start "$dir/$name.server" "$@"
  PYTHONPATH=$parts python3 -B "$dir/client.py" "$(first_line "$dir/$name.server")" >"$dir/$name.client"
}

count() { # count NUMBER TEXT FILE
  [ "$(grep -oF -- "$2" "$3" | wc -l)" -eq "$1" ] || seen "$1 times $2" "$3"
}

serve node node "$dir/server.js"
count 3 "run /slow" "$dir/node.server"
count 1 "run /fast" "$dir/node.server"
grep ^slow "$dir/node.client" >"$dir/node.slow"
count 3 "ACK 0.00" "$dir/node.slow"
count 3 "CON 2.04" "$dir/node.slow"
grep ^fast "$dir/node.client" >"$dir/node.fast"
count 3 "ACK 2.04" "$dir/node.fast"

serve aiocoap "$dir/venv/bin/python" "$dir/server.py"
count 1 "run /slow" "$dir/aiocoap.server"
count 1 "run /fast" "$dir/aiocoap.server"
grep ^slow "$dir/aiocoap.client" >"$dir/aiocoap.slow"
count 3 "ACK 0.00" "$dir/aiocoap.slow"
count 1 "CON 2.04" "$dir/aiocoap.slow"
echo "as described"
