"""matrix-nio over a transport of our own: what the client wants to send as JSON goes out as CBOR, and CBOR is what it asks for.

The CBOR is read and written by cbor2, which shares nothing with this project but the key table that it is given. Each exchange is
noted, to be compared with the same exchange in plain JSON.
"""

import io
import json
import urllib.parse

import cbor2
import nio

CBOR, JSON = "application/cbor", "application/json"
# Members that move between two questions although nothing has happened: the age of an event, and the time
# since a user was active.
MOVING = {"age", "last_active_ago"}


class Form:
    """CBOR with the integer keys of a table: `keys` has name -> integer."""

    def __init__(self, keys, integers_out):
        self.names = {integer: name for name, integer in keys.items()}
        self.keys = keys if integers_out else {}

    def encode(self, value):
        return cbor2.dumps(self._renamed(value))

    def _renamed(self, value):
        if isinstance(value, dict):
            return {self.keys.get(key, key): self._renamed(item) for key, item in value.items()}
        return [self._renamed(item) for item in value] if isinstance(value, list) else value

    def decode(self, data):
        """(value, number of integer keys, number of text keys that the table has): one item and nothing behind it."""
        integers = texts = 0

        def named(items, _immutable):
            nonlocal integers, texts
            whole = {self.names[key] if isinstance(key, int) else key: item for key, item in items.items()}
            if len(whole) != len(items) or not all(isinstance(key, str) for key in whole):
                raise ValueError(f"the keys {list(items)} are not those of a JSON object")
            integers += sum(isinstance(key, int) for key in items)
            texts += sum(key in self.names.values() for key in items)
            return whole

        file = io.BytesIO(data)
        value = cbor2.CBORDecoder(file, object_hook=named, tag_hook=_no_tags, allow_duplicate_keys=False, max_depth=200).decode()
        if file.tell() != len(data):
            raise ValueError(f"{len(data) - file.tell()} bytes stand behind the item")
        return value, integers, texts


def _no_tags(tag, _immutable):
    raise ValueError(f"JSON has nothing like {tag}")


class Client(nio.AsyncClient):
    """A nio client that notes what it asks and is told. Without a `form` it is nio as it comes, in plain JSON."""

    def __init__(self, server, user, notes, form=None, straight=None, **options):
        super().__init__(server, user, **options)
        self.notes, self.form, self.straight = notes, form, straight

    async def send(self, method, path, data=None, headers=None, trace_context=None, timeout=None):
        fields = dict(headers or {})
        if self.form:
            fields["Accept"] = CBOR
            if data:
                data, fields["Content-Type"] = self.form.encode(json.loads(data)), CBOR
            else:
                fields.pop("Content-Type", None)
        # Notes stand in the order in which the requests begin, which is the same at each run.
        note = {"user": self.user, "what": f"{method} {urllib.parse.unquote(path.partition('?')[0])}"}
        self.notes.append(note)
        response = await super().send(method, path, data, fields, trace_context, timeout)
        raw = await response.read()
        expected = CBOR if self.form else JSON
        if response.content_type != expected:
            raise AssertionError(f"{note['what']}: {response.status} in {response.content_type}: {raw[:200]!r}")
        body, integers, texts = self.form.decode(raw) if self.form else (json.loads(raw), 0, 0)
        note.update(status=response.status, body=body, bytes=len(raw), integer_keys=integers, text_keys=texts)
        if self.form and method == "GET":
            await self._ask_straight(path, note)
        return response

    async def _ask_straight(self, path, note):
        """The homeserver itself, in plain JSON, must say the same."""
        fields = {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        async with self.client_session.get(self.straight + path, headers=fields) as plain:
            status, body = plain.status, await plain.json()
        if (status, _settled(body)) != (note["status"], _settled(note["body"])):
            raise AssertionError(f"{note['what']}: in CBOR {note['status']} {note['body']}, in JSON {status} {body}")
        note["asked_straight"] = True

    async def parse_body(self, transport_response):
        raw = await transport_response.read()
        return self.form.decode(raw)[0] if self.form else json.loads(raw)

    async def ask(self, method, path, body=None):
        """For what nio has no method of its own: the answer's document."""
        fields = {"Authorization": f"Bearer {self.access_token}", "Content-Type": JSON}
        return await self.parse_body(await self.send(method, path, body and json.dumps(body), fields))


def _settled(value):
    """With what moves blanked out, and told apart: 1 and 1.0 and True are equal in Python."""
    if isinstance(value, dict):
        return {key: type(item) if key in MOVING else _settled(item) for key, item in value.items()}
    return [_settled(item) for item in value] if isinstance(value, list) else (type(value), value)
