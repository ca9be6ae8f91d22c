"""A day of two users of matrix-nio with end-to-end encryption, as the library comes: over the server that it is given.

The one argument is a JSON object: `server` (URL), `folder` (for the stores of keys; it must exist), and where that server's
certificate is not one of the system's, `ca` (PEM file). Lines of JSON come out:

    {"step": name}                                  a step begins when a line has arrived on standard input, or its end
    {"saw": what, "value": ...}                     what the library made of the answers
    {"asked": "GET /path", "status": 200, "user": ..., "body": ...}    an exchange, in the order of the requests

Nothing waits: each poll asks for what is there.
"""

import asyncio
import hashlib
import json
import ssl
import sys
import urllib.parse

import nio
from nio.crypto import decrypt_attachment

SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
# Ids of sessions are unpadded base64, so that half of them have a slash, which belongs to no path.
SESSIONS = ("a/b+c" + "d" * 38, "e" * 43, "/" * 43)


class Client(nio.AsyncClient):
    """The library, and a note on each exchange."""

    def __init__(self, server, user, folder, notes, **options):
        config = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False)
        super().__init__(server, f"@{user}:lb.test", store_path=folder, config=config, **options)
        self.name, self.notes = user, notes

    async def send(self, method, path, data=None, headers=None, trace_context=None, timeout=None):
        note = {"asked": f"{method} {path.partition('?')[0]}", "user": self.name}
        self.notes.append(note)
        response = await super().send(method, path, data, headers, trace_context, timeout)
        raw = await response.read()
        if response.content_type == "application/json":
            body = json.loads(raw)
        else:
            body = {"type": response.content_type, "length": len(raw)}
        note.update(status=response.status, body=body, gzip=response.headers.get("Content-Encoding") == "gzip")
        return response

    async def ask(self, method, path, body=None):
        """For what nio has no method of its own: the answer's document."""
        fields = {"Authorization": f"Bearer {self.access_token}", "Content-Type": "application/json"}
        response = await self.send(method, path, body and json.dumps(body), fields)
        return json.loads(await response.read())


async def good(exchange):
    """What nio makes of an answer, if it is content with it."""
    response = await exchange
    if isinstance(response, nio.ErrorResponse):
        raise AssertionError(f"nio takes this for an error: {response}")
    return response


def random_looking(length, seed):
    return hashlib.shake_256(seed.encode()).digest(length)


class Day:
    def __init__(self, settings):
        self.notes = []
        options = {"ssl": ssl.create_default_context(cafile=settings["ca"])} if "ca" in settings else {}
        client = lambda user: Client(settings["server"], user, settings["folder"], self.notes, **options)
        self.ann, self.ben, self.laptop = client("ann"), client("ben"), client("ann")
        self.room = None

    def saw(self, what, value):
        self.notes.append({"saw": what, "value": value})

    async def news(self, client, **options):
        """A poll that does not wait, and what it had to tell: texts that were decrypted, and what could not be."""
        response = await good(client.sync(timeout=0, **options))
        events = [event for room in response.rooms.join.values() for event in room.timeline.events]
        for event in events:
            if isinstance(event, nio.RoomMessageText):
                self.saw(f"{client.name} reads", [event.sender, event.body, event.decrypted, event.server_timestamp > 0])
            elif isinstance(event, nio.MegolmEvent):
                raise AssertionError(f"{client.name} cannot decrypt {event}")
        return response

    async def say(self, client, text, number):
        content = {"msgtype": "m.text", "body": text}
        sent = await good(client.room_send(self.room, "m.room.message", content, tx_id=number, ignore_unverified_devices=True))
        return sent.event_id

    async def sign_in(self):
        for client, name in ((self.ann, "Ann 🛎️"), (self.ben, "Bén \\ \"2\"")):
            flows = await good(client.login_info())
            self.saw("flows", sorted(flows.flows))
            await good(client.register(client.name, "correct horse", device_name="phone"))
            await good(client.set_displayname(name))
            self.saw("who", (await good(client.whoami())).user_id)
        await good(self.laptop.login("correct horse", device_name="laptop"))

    async def first_sync(self):
        for client in (self.ann, self.ben, self.laptop):
            await self.news(client, full_state=True)

    async def upload_keys(self):
        for client in (self.ann, self.ben, self.laptop):
            assert client.should_upload_keys
            await good(client.keys_upload())

    async def make_room(self):
        encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        about = {"name": "Grüße", "topic": "a\nb\u2028c", "invite": [self.ben.user_id], "initial_state": [encryption]}
        made = await good(self.ann.room_create(**about))
        self.room = made.room_id
        invited = await self.news(self.ben)
        self.saw("invited", list(invited.rooms.invite))
        await good(self.ben.join(self.room))
        for client in (self.ann, self.ben, self.laptop):
            await self.news(client)
            room = client.rooms[self.room]
            self.saw("room", [client.name, room.display_name, room.topic, room.encrypted, sorted(room.users)])

    async def first_message(self):
        """The devices of all members are looked up, and each gets the key of the room."""
        for client, text in ((self.ann, "Hello World"), (self.ben, "Grüße 😀 \u0000 \u2028")):
            if client.should_query_keys:
                await good(client.keys_query())
            await self.say(client, text, "first")
            for reader in (self.ann, self.ben, self.laptop):
                await self.news(reader)
                if reader.should_upload_keys:
                    await good(reader.keys_upload())

    async def talk(self):
        for number in range(10):
            writer, reader = (self.ann, self.ben) if number % 2 else (self.ben, self.ann)
            event = await self.say(writer, f"message {number}: {'how are you? ' * number}", f"t{number}")
            await self.news(reader)
            await good(reader.room_read_markers(self.room, event, event))
        await good(self.ben.room_typing(self.room, True, timeout=30_000))
        regretted = await self.say(self.ben, "regretted", "r1")
        await good(self.ben.room_redact(self.room, regretted, reason="typo", tx_id="r2"))
        for client in (self.ann, self.ben, self.laptop):
            await self.news(client)

    async def nothing_new(self):
        for _ in range(10):
            await self.news(self.ann)

    async def look_back(self):
        messages = await good(self.ben.room_messages(self.room, limit=10))
        self.saw("history", [event.body for event in messages.chunk if isinstance(event, nio.RoomMessageText)])
        event = messages.chunk[-1].event_id
        await good(self.ben.room_get_event(self.room, event))
        await good(self.ben.room_context(self.room, event))
        members = await good(self.ann.joined_members(self.room))
        self.saw("members", sorted([member.user_id, member.display_name] for member in members.members))
        await good(self.ann.devices())
        await good(self.ann.get_profile(self.ben.user_id))
        await good(self.ann.room_get_state(self.room))

    async def media(self):
        plain = random_looking(40_000, "media")
        file = {"content_type": "image/png", "filename": "a b.png", "filesize": len(plain)}
        uploaded, keys = await self.ann.upload(lambda *_: plain, encrypt=True, **file)
        assert isinstance(uploaded, nio.UploadResponse), uploaded
        downloaded = await good(self.ben.download(mxc=uploaded.content_uri))
        decrypted = decrypt_attachment(downloaded.body, keys["key"]["k"], keys["hashes"]["sha256"], keys["iv"])
        self.saw("media", [len(downloaded.body), decrypted == plain])
        missing = await self.ben.download(mxc="mxc://lb.test/nosuchmedia")
        self.saw("no media", [missing.status_code, isinstance(missing, nio.DownloadError)])

    async def backup(self):
        """Which matrix-nio has no methods for."""
        version = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "k" * 43, "signatures": {}}}
        made = await self.ann.ask("POST", "/_matrix/client/v3/room_keys/version", version)
        keys = f"/_matrix/client/v3/room_keys/keys/{urllib.parse.quote(self.room, safe='')}"
        query = f"?version={made['version']}"
        data = {"ephemeral": "e" * 43, "ciphertext": random_looking(300, "backup").hex(), "mac": "m" * 11}
        session = {"first_message_index": 0, "forwarded_count": 0, "is_verified": True, "session_data": data}
        for name in SESSIONS:
            await self.ann.ask("PUT", f"{keys}/{urllib.parse.quote(name, safe='')}{query}", session)
        for name in SESSIONS:
            got = await self.ann.ask("GET", f"{keys}/{urllib.parse.quote(name, safe='')}{query}")
            self.saw("session", [name, got == session])
        whole = await self.ann.ask("GET", f"/_matrix/client/v3/room_keys/keys{query}")
        self.saw("sessions", sorted(whole["rooms"][self.room]["sessions"]))
        await self.ann.ask("DELETE", f"{keys}/{urllib.parse.quote(SESSIONS[0], safe='')}{query}")
        await self.ann.ask("GET", "/_matrix/client/v3/room_keys/version")

    async def slide(self):
        """MSC4186, which matrix-nio has no methods for."""
        lists = {"all": {"ranges": [[0, 19]], "required_state": [["*", "*"]], "timeline_limit": 20}}
        extensions = {name: {"enabled": True} for name in ("to_device", "e2ee", "account_data", "receipts", "typing")}
        wish = {"conn_id": "phone", "lists": lists, "extensions": extensions}
        first = await self.ben.ask("POST", f"{SLIDING}?timeout=0", wish)
        assert first["rooms"][self.room]["initial"], first
        await self.say(self.ann, "slid", "s1")
        second = await self.ben.ask("POST", f"{SLIDING}?timeout=0&pos={first['pos']}", wish)
        (event,) = second["rooms"][self.room]["timeline"]
        self.saw("slid", event["type"])
        await self.news(self.ben)

    async def leave(self):
        await good(self.ben.room_leave(self.room))
        await good(self.ben.room_forget(self.room))
        token = self.ben.access_token
        await good(self.ben.logout())
        self.ben.access_token = token
        for refused in (await self.ben.whoami(), await self.ben.login("wrong horse")):
            self.saw("refused", [type(refused).__name__, refused.status_code])
        await good(self.laptop.logout())
        await good(self.ann.logout(all_devices=True))

    STEPS = (
        ("register and log in", sign_in), ("first sync", first_sync), ("key upload", upload_keys), ("make a room", make_room),
        ("first message", first_message), ("talk", talk), ("nothing new", nothing_new), ("look back", look_back), ("media", media),
        ("key backup", backup), ("sliding sync", slide), ("log out", leave),
    )

    async def live(self):
        try:
            for name, step in self.STEPS:
                print(json.dumps({"step": name}), flush=True)
                sys.stdin.readline()
                await step(self)
                for note in self.notes:
                    print(json.dumps(note))
                self.notes.clear()
            print(json.dumps({"step": "end"}), flush=True)
        finally:
            for client in (self.ann, self.ben, self.laptop):
                await client.close()


asyncio.run(Day(json.loads(sys.argv[1])).live())
