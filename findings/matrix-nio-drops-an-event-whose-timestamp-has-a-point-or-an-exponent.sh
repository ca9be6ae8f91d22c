#!/usr/bin/env bash
# Versions: matrix-nio 0.26.0, mautrix 0.21.1 (PyPI), mautrix-go v0.32.0 (Go module).
#
# Question: a /sync answer writes a whole number as 1700000000000.0 or 1.7e12, as a program does that keeps
# all numbers as doubles (JSON does not tell integers apart). What do clients make of it in origin_server_ts,
# and in device_one_time_keys_count?
#
# Guess: matrix-nio takes both, since JSON Schema calls 1.0 an integer; mautrix-go fails, as Go's json does
# for an int64; mautrix takes them.
#
# What it does: matrix-nio hands the event to no callback for events (it is a BadEvent, of another class), and
# the sync counts as a success. 50.0 as a count of keys makes the whole answer a SyncError "unknown error",
# again at each sync. Its schemas are draft 4, in which 1.0 is no integer (it is one since draft 6).
# mautrix-go fails the whole sync for either. mautrix takes the timestamp, as a float.
#
# What follows: a codec between JSON and CBOR must give 1700000000000 back as it came: no float for an
# integer, no point, no exponent, whatever its size. It is no matter of taste: with one of these clients a
# message is gone silently, with another nothing arrives any more.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages matrix-nio==0.26.0 mautrix==0.21.1

cat >"$dir/events.py" <<'PY'
import asyncio, json
from aiohttp import web
import mautrix.types, nio

TEXT = {"type": "m.room.message", "event_id": "$1", "sender": "@u:x", "content": {"msgtype": "m.text", "body": "hi"}}

def event(number):
    return json.dumps(TEXT)[:-1] + ', "room_id": "!r:x", "origin_server_ts": %s}' % number

def timeline(number):
    return ('{"next_batch": "n", "rooms": {"join": {"!r:x": {"timeline": {"limited": false, "prev_batch": "p", "events": [%s]}}}}}'
            % event(number))

async def main():
    async def answer(request):
        return web.Response(text=body, content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    cases = {number: timeline(number) for number in ("1700000000000", "1700000000000.0", "1.7e12")}
    for count in ("50", "50.0"):
        cases["keys " + count] = '{"next_batch": "n", "device_one_time_keys_count": {"signed_curve25519": %s}}' % count
    for name, body in cases.items():
        client = nio.AsyncClient("http://127.0.0.1:%d" % port, "@u:x")
        client.access_token, client.user_id, client.device_id = "t", "@u:x", "D"
        events, bad = [], []
        client.add_event_callback(lambda room, event: events.append(event), nio.Event)
        client.add_event_callback(lambda room, event: bad.append(event), (nio.BadEvent, nio.UnknownBadEvent))
        result = await asyncio.wait_for(client.sync(timeout=0), 20)
        print("nio %s: %s, %d events, %d bad" % (name, type(result).__name__, len(events), len(bad)))
        await client.close()
    await runner.cleanup()
    for number in ("1700000000000", "1700000000000.0", "1.7e12"):
        taken = mautrix.types.Event.deserialize(json.loads(event(number)))
        print("mautrix %s: %s %r" % (number, type(taken).__name__, taken.timestamp))

asyncio.run(main())
PY

cat >"$dir/golang.go" <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"maunium.net/go/mautrix"
)

func main() {
	body := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(body))
	}))
	defer server.Close()
	client, err := mautrix.NewClient(server.URL, "@u:x", "t")
	if err != nil {
		panic(err)
	}
	ask := func(name string) {
		_, err := client.SyncRequest(context.Background(), 0, "", "", false, "")
		fmt.Println("mautrix-go "+name+":", err)
	}
	for _, number := range []string{"1700000000000", "1700000000000.0", "1.7e12"} {
		body = `{"next_batch":"n","rooms":{"join":{"!r:x":{"timeline":{"limited":false,"prev_batch":"p","events":[
			{"type":"m.room.message","event_id":"$1","sender":"@u:x","origin_server_ts":` + number + `,
			"content":{"msgtype":"m.text","body":"hi"}}]}}}}}`
		ask(number)
	}
	body = `{"next_batch":"n","device_one_time_keys_count":{"signed_curve25519":50.0}}`
	ask("keys 50.0")
}
GO
go_program golang maunium.net/go/mautrix@v0.32.0
"$dir/venv/bin/python" "$dir/events.py" >"$dir/out" 2>"$dir/log"
"$dir/golang" >"$dir/go.out" 2>>"$dir/log"
for line in "nio 1700000000000: SyncResponse, 1 events, 0 bad" "nio 1700000000000.0: SyncResponse, 0 events, 1 bad" \
  "nio 1.7e12: SyncResponse, 0 events, 1 bad" "nio keys 50: SyncResponse" "nio keys 50.0: SyncError" \
  "mautrix 1700000000000.0: MessageEvent 1700000000000.0" "mautrix 1.7e12: MessageEvent 1700000000000.0"; do
  seen "$line" "$dir/out"
done
seen "mautrix-go 1700000000000: <nil>" "$dir/go.out"
for name in 1700000000000.0 1.7e12; do
  seen "cannot unmarshal number $name" <(grep "^mautrix-go $name:" "$dir/go.out")
done
seen "cannot unmarshal number 50.0" "$dir/go.out"
echo "as described"
