"""The life of two users of matrix-nio: they register, meet in an encrypted room, talk, sync in both ways, and leave.

The one argument is a JSON object: `server` (URL), for HTTPS also `ca` (PEM file to believe), and for CBOR in place of JSON `keys`
(name -> integer) and `straight` (URL of the homeserver itself). Each exchange is told in a line of JSON on standard output, when all are
done. Ann sends integer keys, Bob does not.
"""

import asyncio
import base64
import hashlib
import json
import ssl
import sys

import nio
from transport import Client, Form

SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
# Bytes of ciphertext, from a word to the most that still fits into an event of 65,536 bytes. All in one
# answer are more than the filter holds back before it begins to stream.
SIZES = (2_000, 10_000, 30_000, 57_000, 58_000, 59_000, 60_000)
# Members that wake no client waiting for a message: which users are online and typing.
MESSAGES_ALONE = {"presence": {"not_types": ["*"]}, "room": {"ephemeral": {"not_types": ["*"]}}}


def ciphertext(size):
    """The same at each run, and as little compressible as the real one."""
    return base64.b64encode(hashlib.shake_256(b"%d" % size).digest(size * 3 // 4)).decode()


def encrypted(size):
    return {
        "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": ciphertext(size), "device_id": "PHONE",
        "sender_key": ciphertext(44), "session_id": ciphertext(44),
    }


async def good(exchange):
    """What nio makes of an answer, if it is content with it."""
    response = await exchange
    if isinstance(response, nio.ErrorResponse):
        raise AssertionError(f"nio takes this for an error: {response}")
    return response


async def refused(exchange, code):
    response = await exchange
    if not isinstance(response, nio.ErrorResponse) or response.status_code != code:
        raise AssertionError(f"{code} was expected: {response}")


def ciphertexts(response, room):
    events = response.rooms.join[room].timeline.events
    return [event.source["content"]["ciphertext"] for event in events if isinstance(event, nio.MegolmEvent)]


async def meet(ann, bob):
    await good(ann.login_info())
    for user, name in ((ann, "Ann 🛎️"), (bob, "Bób \\ \"2\"")):
        await good(user.register(user.user, "correct horse", device_name=f"{name}’s phone"))
        await good(user.set_displayname(name))
        await good(user.whoami())
    await good(bob.get_profile(ann.user_id))
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    about = {"name": "Grüße", "topic": "a\nb\u2028c", "is_direct": True}
    room = (await good(ann.room_create(**about, invite=[bob.user_id], initial_state=[encryption]))).room_id
    invited = await good(bob.sync(timeout=0))
    assert list(invited.rooms.invite) == [room], invited.rooms
    await good(bob.join(room))
    assert list((await good(bob.joined_rooms())).rooms) == [room]
    await good(ann.joined_members(room))
    return room


async def give_keys(ann, bob):
    """What an encrypting client tells before it can talk; a homeserver looks into none of it."""
    for user in (ann, bob):
        device = {
            "algorithms": ["m.megolm.v1.aes-sha2"], "user_id": user.user_id, "device_id": user.device_id,
            "keys": {"curve25519:PHONE": ciphertext(44)}, "signatures": {},
        }
        key = {"key": ciphertext(44), "signatures": {user.user_id: {"ed25519:1": ciphertext(88)}}}
        one_time = {f"signed_curve25519:AAAA{number:02}": key for number in range(20)}
        await user.ask("POST", "/_matrix/client/v3/keys/upload", {"device_keys": device, "one_time_keys": one_time})
    await ann.ask("POST", "/_matrix/client/v3/keys/query", {"device_keys": {bob.user_id: []}})
    wanted = {bob.user_id: {bob.device_id: "signed_curve25519"}}
    await ann.ask("POST", "/_matrix/client/v3/keys/claim", {"one_time_keys": wanted})
    message = nio.ToDeviceMessage("m.room.encrypted", bob.user_id, bob.device_id, encrypted(10_000))
    await good(ann.to_device(message, tx_id="1"))
    synced = await good(bob.sync(timeout=0))
    assert len(synced.to_device_events) == 1, synced.to_device_events


async def talk(ann, bob, room):
    await good(ann.sync(timeout=0, full_state=True))
    for number, size in enumerate(SIZES):
        sent = await good(ann.room_send(room, "m.room.encrypted", encrypted(size), tx_id=f"a{number}"))
    synced = await good(bob.sync(timeout=0))
    assert ciphertexts(synced, room) == [ciphertext(size) for size in SIZES]
    # Names of the key table in places where they mean nothing, and a name that looks like one of its
    # integers.
    odd = {"msgtype": "m.text", "body": "2 \u0000 😀", "type": {"sender": [None, True, -1, 9007199254740991]}, "2": "two"}
    await good(bob.room_send(room, "m.room.message", odd, tx_id="b0"))
    await good(bob.room_read_markers(room, sent.event_id, sent.event_id))
    regretted = await good(bob.room_send(room, "m.room.message", {"msgtype": "m.notice", "body": ""}, tx_id="b1"))
    await good(bob.room_redact(room, regretted.event_id, tx_id="b2"))
    for user in (ann, bob):
        await good(user.sync(timeout=0))
    # The request waits, then comes with what it has waited for.
    waiting = asyncio.ensure_future(bob.sync(timeout=30_000, sync_filter=MESSAGES_ALONE))
    await asyncio.sleep(0)  # which lets it begin
    await good(ann.room_send(room, "m.room.encrypted", encrypted(2_000), tx_id="a9"))
    assert ciphertexts(await good(waiting), room) == [ciphertext(2_000)]


async def look_back(ann, bob, room):
    messages = await good(bob.room_messages(room, limit=4))
    await good(bob.room_messages(room, start=messages.end, limit=100))
    event = messages.chunk[-1].event_id
    await good(bob.room_get_event(room, event))
    await good(bob.room_context(room, event))
    await good(ann.room_get_state(room))
    await good(ann.room_get_state_event(room, "m.room.encryption"))
    await good(ann.devices())
    await good(ann.upload_filter(room={"timeline": {"limit": 5}}))
    lists = f"/_matrix/client/v3/user/{ann.user_id}/account_data/org.example.lists"
    await ann.ask("PUT", lists, {"empty": {}, "none": [], "deep": [[[{}]]]})
    await ann.ask("GET", lists)
    await ann.ask("GET", "/_matrix/client/v3/pushrules/")


async def slide(ann, bob, room):
    """MSC4186, which matrix-nio has no methods for."""
    lists = {"all": {"ranges": [[0, 19]], "required_state": [["*", "*"]], "timeline_limit": 20}}
    extensions = {name: {"enabled": True} for name in ("to_device", "e2ee", "account_data", "receipts", "typing")}
    wish = {"conn_id": "phone", "lists": lists, "extensions": extensions}
    first = await bob.ask("POST", f"{SLIDING}?timeout=0", wish)
    assert first["rooms"][room]["initial"] and len(first["rooms"][room]["timeline"]) > len(SIZES), first
    await good(ann.room_send(room, "m.room.encrypted", encrypted(10_000), tx_id="a10"))
    second = await bob.ask("POST", f"{SLIDING}?timeout=0&pos={first['pos']}", wish)
    (event,) = second["rooms"][room]["timeline"]
    assert event["content"] == encrypted(10_000)


async def leave(ann, bob, room):
    await good(bob.room_leave(room))
    await good(bob.room_forget(room))
    await good(ann.sync(timeout=0))
    token = bob.access_token
    await good(bob.logout())
    bob.access_token = token
    await refused(bob.whoami(), "M_UNKNOWN_TOKEN")
    await refused(bob.login("wrong horse"), "M_FORBIDDEN")
    await good(bob.login("correct horse", device_name="another"))
    await good(bob.sync(timeout=0))
    await good(bob.logout(all_devices=True))
    await good(ann.logout())


async def main(settings):
    options, form = {}, lambda integers_out: None
    if ca := settings.get("ca"):
        options["ssl"] = ssl.create_default_context(cafile=ca)
    if keys := settings.get("keys"):
        form = lambda integers_out: Form(keys, integers_out)
        options["straight"] = settings["straight"]
    notes = []
    ann = Client(settings["server"], "nio-ann", notes, form(True), **options)
    bob = Client(settings["server"], "nio-bob", notes, form(False), **options)
    try:
        room = await meet(ann, bob)
        await give_keys(ann, bob)
        await talk(ann, bob, room)
        await look_back(ann, bob, room)
        await slide(ann, bob, room)
        await leave(ann, bob, room)
    finally:
        await ann.close()
        await bob.close()
    for note in notes:
        print(json.dumps(note))


asyncio.run(main(json.loads(sys.argv[1])))
