#!/usr/bin/env bash
# Version: matrix-synapse 1.163.2 (PyPI).
#
# Question: a device numbers its transactions 1, 2, 3 for each kind of request apart, as the specification
# allows ("the scope of a transaction ID is for a single device and a single HTTP endpoint"): it sends a
# message with the id 1, then redacts another event of the room with the id 1, then sends a reaction with the
# id 1. What does Synapse answer?
#
# Guess: three events; ids are compared together with the path, that is /send/m.room.message, /redact/...,
# /send/m.reaction.
#
# What it does: one event. The redaction is answered with 200 and the event_id of the message; nothing is
# redacted. The reaction is answered with 200 and the event_id of the message; there is no reaction. The other
# way round, a message with the id of an earlier redaction is answered with the redaction's event_id and is
# never sent. In another room the same id makes an event of its own.
#
# What follows: a client counts its transaction ids over all that it sends into a room, or takes random ones;
# one byte saved by a counter per kind loses messages with 200. A gateway that makes up ids for clients uses
# one counter and never begins again for the same device (after a restart, say). A test of repeated sends
# looks into the room, not only at the answer.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages matrix-synapse==1.163.2

cat >"$dir/ask.py" <<'PY'
import json, socket, subprocess, sys, time, urllib.error, urllib.request
from urllib.parse import quote

folder = sys.argv[1]
with socket.create_server(("127.0.0.1", 0)) as spare:
    port = spare.getsockname()[1]
free = {"per_second": 1000, "burst_count": 1000}
config = {
    "server_name": "t",
    "pid_file": folder + "/pid",
    "listeners": [{"port": port, "type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}]}],
    "database": {"name": "sqlite3", "args": {"database": folder + "/db"}},
    "media_store_path": folder + "/media",
    "signing_key_path": folder + "/key",
    "macaroon_secret_key": "m",
    "report_stats": False,
    "enable_registration": True,
    "enable_registration_without_verification": True,
    "trusted_key_servers": [],
    "suppress_key_server_warning": True,
    "rc_message": free,
    "rc_registration": free,
}
with open(folder + "/homeserver.yaml", "w") as file:
    json.dump(config, file)
command = [sys.executable, "-m", "synapse.app.homeserver", "-c", folder + "/homeserver.yaml"]
log = open(folder + "/log", "w")
subprocess.run(command + ["--generate-keys"], check=True, stdout=log, stderr=log, cwd=folder)
server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)


def ask(method, path, body=None, token=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer " + token} if token else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/_matrix/client/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


try:
    for _ in range(600):
        try:
            ask("GET", "versions")
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    account = {"username": "u", "password": "long enough 1", "auth": {"type": "m.login.dummy"}}
    token = ask("POST", "v3/register", account)["access_token"]
    room, other = (ask("POST", "v3/createRoom", {}, token)["room_id"] for _ in range(2))

    def put(path, body, into=room):
        return ask("PUT", f"v3/rooms/{quote(into)}/{path}", body, token)["event_id"]

    def text(body):
        return {"msgtype": "m.text", "body": body}

    old = put("send/m.room.message/0", text("old"))
    first = put("send/m.room.message/1", text("first"))
    print("redaction, same id:", put(f"redact/{quote(old)}/1", {}) == first)
    relation = {"rel_type": "m.annotation", "event_id": old, "key": "x"}
    print("reaction, same id:", put("send/m.reaction/1", {"m.relates_to": relation}) == first)
    print("other room, same id:", put("send/m.room.message/1", text("there"), other) == first)
    gone = put("send/m.room.message/2", text("gone"))
    redaction = put(f"redact/{quote(gone)}/3", {})
    print("message, id of a redaction:", put("send/m.room.message/3", text("lost")) == redaction)
    events = ask("GET", f"v3/rooms/{quote(room)}/messages?dir=f&limit=50", None, token)["chunk"]
    for event in events:
        if event["type"] in ("m.room.message", "m.reaction", "m.room.redaction"):
            print("in the room:", event["type"], event["content"].get("body", "-"))
finally:
    server.terminate()
    server.wait()
PY
"$dir/venv/bin/python" "$dir/ask.py" "$dir" >"$dir/out" || { tail -n 20 "$dir/log" >&2; exit 2; }
for line in "redaction, same id: True" "reaction, same id: True" "other room, same id: False" \
  "message, id of a redaction: True"; do
  seen "$line" "$dir/out"
done
grep '^in the room' "$dir/out" | cut -d' ' -f4- | tr '\n' '|' >"$dir/room"
seen "m.room.message old|m.room.message first|m.room.message -|m.room.redaction -|" "$dir/room"
not_seen "lost" "$dir/room"
not_seen "m.reaction" "$dir/room"
echo "as described"
