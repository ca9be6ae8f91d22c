-- Low-bandwidth Matrix (MSC3079) in Wireshark and tshark, 4.0 or later: paths behind path codes, names of
-- integer keys, bodies as JSON, the options and codes that Wireshark does not know, blocks put together.
--
--   frame -> Wireshark's own dissectors, down to CoAP -> each CoAP message again, here: options, blocks
--         -> a body (whole, or its last missing block) -> CBOR -> JSON, and an item for each key and element
--
-- One file, because a plugin is installed by copying it; docs/operations.md says how. It reads CoAP over UDP
-- and DTLS; CoAP over TCP has another head and is left alone.
--
-- Blocks are put together here rather than taken from Wireshark, which keeps one body for each pair of
-- addresses and ports, and mixes two bodies that are under way at the same time.

---- tables ------------------------------------------------------------------------------------------------

-- begin: written by tools/wireshark-tables
-- Key table v1, by integer from 1 on.
local KEYS = {
    "event_id", "type", "content", "state_key", "room_id", "sender", "user_id", "origin_server_ts",
    "unsigned", "prev_content", "state", "timeline", "events", "limited", "prev_batch", "transaction_id",
    "age", "redacted_because", "next_batch", "presence", "avatar_url", "account_data", "rooms", "join",
    "membership", "displayname", "body", "msgtype", "format", "formatted_body", "ephemeral", "invite_state",
    "leave", "third_party_invite", "is_direct", "hashes", "signatures", "depth", "prev_events", "prev_state",
    "auth_events", "origin", "creator", "join_rule", "history_visibility", "ban", "events_default", "kick",
    "redact", "state_default", "users", "users_default", "reason", "visibility", "room_alias_name", "name",
    "topic", "invite", "invite_3pid", "room_version", "creation_content", "initial_state", "preset",
    "servers", "identifier", "user", "medium", "address", "password", "token", "device_id",
    "initial_device_display_name", "access_token", "home_server", "well_known", "base_url", "device_lists",
    "to_device", "peek", "last_seen_ip", "display_name", "typing", "last_seen_ts", "algorithm", "sender_key",
    "session_id", "ciphertext", "one_time_keys", "timeout", "recent_rooms", "chunk", "m.fully_read",
    "device_keys", "failures", "device_display_name", "prev_sender", "replaces_state", "changed",
    "unstable_features", "versions", "devices", "errcode", "error", "room_alias",
}

-- Path table v1.
local PATHS = {
    ["0"] = "/_matrix/client/versions",
    ["1"] = "/_matrix/client/r0/login",
    ["2"] = "/_matrix/client/r0/capabilities",
    ["3"] = "/_matrix/client/r0/logout",
    ["4"] = "/_matrix/client/r0/register",
    ["5"] = "/_matrix/client/r0/user/{userId}/filter",
    ["6"] = "/_matrix/client/r0/user/{userId}/filter/{filterId}",
    ["7"] = "/_matrix/client/r0/sync",
    ["8"] = "/_matrix/client/r0/rooms/{roomId}/state/{eventType}/{stateKey}",
    ["9"] = "/_matrix/client/r0/rooms/{roomId}/send/{eventType}/{txnId}",
    ["A"] = "/_matrix/client/r0/rooms/{roomId}/event/{eventId}",
    ["B"] = "/_matrix/client/r0/rooms/{roomId}/state",
    ["C"] = "/_matrix/client/r0/rooms/{roomId}/members",
    ["D"] = "/_matrix/client/r0/rooms/{roomId}/joined_members",
    ["E"] = "/_matrix/client/r0/rooms/{roomId}/messages",
    ["F"] = "/_matrix/client/r0/rooms/{roomId}/redact/{eventId}/{txnId}",
    ["G"] = "/_matrix/client/r0/createRoom",
    ["H"] = "/_matrix/client/r0/directory/room/{roomAlias}",
    ["I"] = "/_matrix/client/r0/joined_rooms",
    ["J"] = "/_matrix/client/r0/rooms/{roomId}/invite",
    ["K"] = "/_matrix/client/r0/rooms/{roomId}/join",
    ["L"] = "/_matrix/client/r0/join/{roomIdOrAlias}",
    ["M"] = "/_matrix/client/r0/rooms/{roomId}/leave",
    ["N"] = "/_matrix/client/r0/rooms/{roomId}/forget",
    ["O"] = "/_matrix/client/r0/rooms/{roomId}/kick",
    ["P"] = "/_matrix/client/r0/rooms/{roomId}/ban",
    ["Q"] = "/_matrix/client/r0/rooms/{roomId}/unban",
    ["R"] = "/_matrix/client/r0/directory/list/room/{roomId}",
    ["S"] = "/_matrix/client/r0/publicRooms",
    ["T"] = "/_matrix/client/r0/user_directory/search",
    ["U"] = "/_matrix/client/r0/profile/{userId}/displayname",
    ["V"] = "/_matrix/client/r0/profile/{userId}/avatar_url",
    ["W"] = "/_matrix/client/r0/profile/{userId}",
    ["X"] = "/_matrix/client/r0/voip/turnServer",
    ["Y"] = "/_matrix/client/r0/rooms/{roomId}/typing/{userId}",
    ["Z"] = "/_matrix/client/r0/rooms/{roomId}/receipt/{receiptType}/{eventId}",
    ["a"] = "/_matrix/client/r0/rooms/{roomId}/read_markers",
    ["b"] = "/_matrix/client/r0/presence/{userId}/status",
    ["c"] = "/_matrix/client/r0/sendToDevice/{eventType}/{txnId}",
    ["d"] = "/_matrix/client/r0/devices",
    ["e"] = "/_matrix/client/r0/devices/{deviceId}",
    ["f"] = "/_matrix/client/r0/delete_devices",
    ["g"] = "/_matrix/client/r0/keys/upload",
    ["h"] = "/_matrix/client/r0/keys/query",
    ["i"] = "/_matrix/client/r0/keys/claim",
    ["j"] = "/_matrix/client/r0/keys/changes",
    ["k"] = "/_matrix/client/r0/pushers",
    ["l"] = "/_matrix/client/r0/pushers/set",
    ["m"] = "/_matrix/client/r0/notifications",
    ["n"] = "/_matrix/client/r0/pushrules/",
    ["o"] = "/_matrix/client/r0/search",
    ["p"] = "/_matrix/client/r0/user/{userId}/rooms/{roomId}/tags",
    ["q"] = "/_matrix/client/r0/user/{userId}/rooms/{roomId}/tags/{tag}",
    ["r"] = "/_matrix/client/r0/user/{userId}/account_data/{type}",
    ["s"] = "/_matrix/client/r0/user/{userId}/rooms/{roomId}/account_data/{type}",
    ["t"] = "/_matrix/client/r0/rooms/{roomId}/context/{eventId}",
    ["u"] = "/_matrix/client/r0/rooms/{roomId}/report/{eventId}",
}

-- Codes of responses, class and detail in one number.
local CODES = {
    [65] = "2.01 Created", [66] = "2.02 Deleted", [67] = "2.03 Valid", [68] = "2.04 Changed",
    [69] = "2.05 Content", [95] = "2.31 Continue", [128] = "4.00 Bad Request", [129] = "4.01 Unauthorized",
    [130] = "4.02 Bad Option", [131] = "4.03 Forbidden", [132] = "4.04 Not Found",
    [133] = "4.05 Method Not Allowed", [134] = "4.06 Not Acceptable",
    [136] = "4.08 Request Entity Incomplete", [137] = "4.09 Conflict", [140] = "4.12 Precondition Failed",
    [141] = "4.13 Request Entity Too Large", [143] = "4.15 Unsupported Content-Format",
    [150] = "4.22 Unprocessable Entity", [157] = "4.29 Too Many Requests",
    [160] = "5.00 Internal Server Error", [161] = "5.01 Not Implemented", [162] = "5.02 Bad Gateway",
    [163] = "5.03 Service Unavailable", [164] = "5.04 Gateway Timeout", [165] = "5.05 Proxying Not Supported",
    [168] = "5.08 Hop Limit Reached",
}

-- What is wrong with a body, in the codec's words.
local ERRORS = {
    byte_string = "a CBOR byte string has no form in JSON",
    input_too_large = "the input is longer than the limit allows",
    invalid_chunk = "an indefinite-length text may only hold definite-length texts",
    invalid_head = "the CBOR head is reserved or not well-formed",
    invalid_utf8 = "the text is not valid UTF-8",
    key_range = "an integer key must be in 0 to 2^63-1",
    key_type = "a map key must be a text or an integer",
    not_finite = "a number that is infinite or not a number has no form in JSON",
    output_too_large = "from here on the output would be longer than the limit allows",
    repeated_key = "the key occurs twice in one object",
    simple_value = "a CBOR simple value other than false, true and null has no form in JSON",
    tag = "a CBOR tag has no form in JSON",
    too_deep = "arrays and objects are nested deeper than the limit allows",
    trailing_data = "something follows the value, which should be the only one",
    unexpected_break = "a CBOR break stands where no indefinite-length item can end",
    unexpected_end = "the input ends inside a value",
}

-- Texts of packed CBOR, by number from 0 on.
local TEXTS = {
    "m.room.message", "m.room.encrypted", "m.megolm.v1.aes-sha2", "m.room.member", "m.mentions", "m.text",
    "join", "leave", "m.relates_to", "unread_notifications", "notification_count", "highlight_count",
    "m.reaction", "rel_type", "key", "ts", "m.annotation", "m.receipt", "m.read", "m.typing", "user_ids",
    "m.presence", "m.direct", "currently_active", "last_active_ago", "m.thread", "m.in_reply_to",
    "is_falling_back", "m.replace", "m.new_content", "m.reference", "m.notice", "m.emote", "m.image",
    "org.matrix.custom.html", "info", "mimetype", "size", "url", "signed_curve25519",
    "device_one_time_keys_count", "device_unused_fallback_key_types",
    "org.matrix.msc2732.device_unused_fallback_key_types", "summary", "m.heroes", "m.joined_member_count",
    "m.invited_member_count", "m.room.name", "m.room.topic", "m.room.avatar", "m.room.create",
    "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility", "m.room.encryption",
    "m.room.canonical_alias", "m.room.redaction", "pos", "lists", "ranges", "required_state", "num_live",
    "bump_stamp", "initial", "joined_count", "invited_count", "is_dm", "extensions", "range", "room_ids",
    "count", "SYNC", "timeline_limit", "e2ee", "receipts", "heroes", "unstable_expanded_timeline",
    "expanded_timeline", "m.olm.v1.curve25519-aes-sha2", "m.room_key", "m.room_key_request",
    "m.forwarded_room_key", "m.megolm_backup.v1.curve25519-aes-sha2", "m.room.guest_access",
    "m.room.third_party_invite", "m.room.server_acl", "m.room.tombstone", "m.room.pinned_events",
    "m.space.child", "m.space.parent", "m.push_rules", "m.tag", "m.file", "m.audio", "m.video", "m.location",
    "m.sticker", "m.login.password", "m.id.user", "m.login.dummy", "m.login.token", "invite", "knock",
    "public", "private", "shared", "world_readable", "joined", "restricted", "invited", "can_join",
    "forbidden", "public_chat", "private_chat", "trusted_private_chat", "application/json", "image/jpeg",
    "image/png", "text/html", "thumbnail_url", "thumbnail_info", "thumbnail_file", "file", "sha256",
    "A256CTR", "key_ops", "encrypt", "decrypt", "canonical_alias", "joined_members", "invited_members",
    "aliases", "federate", "m.federate", "predecessor", "additional_creators", "notifications", "room",
    "historical", "max_lifetime", "rotation_period_ms", "rotation_period_msgs", "session_key",
    "forwarding_curve25519_key_chain", "sender_claimed_keys", "sender_claimed_ed25519_key", "forwarded_count",
    "first_message_index", "is_verified", "session_data", "etag", "auth_data", "public_key",
    "user_signing_keys", "self_signing_keys", "master_keys", "user_signing", "self_signing", "master",
    "usage", "keys", "algorithms", "fallback", "fallback_keys", "one_time_key_counts", "device_one_time_keys",
    "curve25519", "ed25519", "global", "override", "underride", "rule_id", "pattern", "default", "enabled",
    "actions", "conditions", "kind", "event_match", "room_member_count", "sender_notification_permission",
    "contains_display_name", "event_property_is", "event_property_contains", "notify", "dont_notify",
    "set_tweak", "highlight", "sound", "ring", "value", "online", "offline", "unavailable", "start",
    "M_FORBIDDEN", "M_UNKNOWN", "M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_NOT_FOUND", "M_LIMIT_EXCEEDED",
    "M_UNRECOGNIZED", "M_UNKNOWN_POS", "retry_after_ms", "expires_in_ms", "refresh_token", "flows", "stages",
    "session", "params", "completed", "auth", "invite_room_state", "knock_state", "not_types", "types",
    "limit", "lazy_load_members", "include_redundant_members", "m.call.invite", "m.relations",
    "current_user_participated", "latest_event", "m.topic",
}

-- What is wrong with a packed body.
local NOT_PACKED = {
    Item = "byte %.0f of the packed body stands for nothing",
    CutOff = "the packed body breaks off at byte %.0f",
    TooLong = "the packed body stands for more than %.0f bytes",
}
-- end: written by tools/wireshark-tables

-- Options (RFC 7252 section 12.2, RFC 7959 section 6, RFC 9175 section 5.1, RFC 9177 section
-- 12.1, MSC3079); 65020 is lowband's own.
local OPTION = {
    ETAG = 4, URI_PATH = 11, CONTENT_FORMAT = 12, URI_QUERY = 15, ACCEPT = 17, BLOCK2 = 23, BLOCK1 = 27,
    Q_BLOCK2 = 31, AUTHORIZATION = 256, CBOR_VERSION = 257, REQUEST_TAG = 292, CAPABILITIES = 65020,
}
-- Content-Formats (RFC 7252 section 12.3); 65060 is lowband's own. The reference's clients say octet-stream
-- for CBOR.
local FORMAT = { OCTET_STREAM = 42, JSON = 50, CBOR = 60, PACKED = 65060 }
local METHODS = { "GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH" }
-- Bits of the capabilities (docs/protocol.md section 3).
local ANY_ORDER = 2
local CAPABILITIES = {
    { 1, "may repeat a request sooner than after 2 s" }, { ANY_ORDER, "knows bodies in any order" },
    { 4, "knows packed bodies" },
}

---- limits ------------------------------------------------------------------------------------------------

-- Open arrays and maps in one body, as in the codec.
local MAX_DEPTH = 128
-- Items of one body that are read.
local MAX_ITEMS = 1000000
-- Bytes of one body that are put together or read, and of its JSON.
local MAX_BODY = 16 * 1024 * 1024
local MAX_JSON = 64 * 1024 * 1024
-- Keys and elements of one body that become items of Wireshark's tree; all of them are in the JSON.
local MAX_SHOWN = 5000
-- Requests whose answers may still come, and bodies whose blocks are kept, of the whole capture.
local MAX_REQUESTS = 65536
local MAX_OPEN_BODIES = 4096
-- Clients that are known to send and take bodies in any order, each with its server.
local MAX_ANY_ORDER = 65536
-- Messages about which something is kept for the time when they are looked at again.
local MAX_NOTED = 1000000
-- Bytes of blocks, and of bodies put together, that are kept at a time. The oldest go first.
local MAX_KEPT = 128 * 1024 * 1024

---- text --------------------------------------------------------------------------------------------------

-- The second byte's range for the first bytes that do not allow 80 to bf (RFC 3629 section 4).
local SECOND = {
    [0xe0] = { 0xa0, 0xbf }, [0xed] = { 0x80, 0x9f }, [0xf0] = { 0x90, 0xbf }, [0xf4] = { 0x80, 0x8f },
}

-- Returns the length of the UTF-8 sequence that begins with this byte, nil if none does.
local function sequence_length(first)
    if first >= 0xc2 and first <= 0xdf then return 2 end
    if first >= 0xe0 and first <= 0xef then return 3 end
    if first >= 0xf0 and first <= 0xf4 then return 4 end
    return nil
end

-- Returns nil if the text is UTF-8; else the offset of the first sequence that is not, and whether that
-- sequence is merely cut off by the end of the text.
local function find_invalid_utf8(text)
    local at = string.find(text, "[\128-\255]")
    while at do
        local length = sequence_length(string.byte(text, at))
        if not length then return at - 1, false end
        for place = 2, length do
            local byte = string.byte(text, at + place - 1)
            if not byte then return at - 1, true end
            local range = place == 2 and SECOND[string.byte(text, at)] or { 0x80, 0xbf }
            if byte < range[1] or byte > range[2] then return at - 1, false end
        end
        at = string.find(text, "[\128-\255]", at + length)
    end
    return nil
end

local ESCAPES = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n",
    ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape_character(character)
    return ESCAPES[character] or string.format("\\u%04x", string.byte(character))
end

-- Returns the text as a JSON string; only what must be escaped is.
local function json_string(text)
    if string.find(text, '[\0-\31"\\]') then text = string.gsub(text, '[\0-\31"\\]', escape_character) end
    return '"' .. text .. '"'
end

-- Returns the shortest number that reads back the same, in the codec's form.
local function json_float(value)
    if value == math.floor(value) and math.abs(value) < 2 ^ 53 then
        return string.format("%.0f", value == 0 and 0 or value)
    end
    local text
    for digits = 0, 16 do
        text = string.format("%." .. digits .. "e", value)
        if tonumber(text) == value then break end
        -- C rounds half to even; of two neighbours at the same distance only the other one may read back.
        local above = string.gsub(text, "(%d)e", function(last) return (tonumber(last) + 1) .. "e" end)
        if tonumber(above) == value then
            text = above
            break
        end
    end
    -- Wireshark may have set a locale with a decimal comma.
    local sign, first, rest, exponent = string.match(text, "^(%-?)(%d)[.,]?(%d*)e([-+]%d+)$")
    exponent = tonumber(exponent)
    if exponent < -5 or exponent > 15 then
        local digits = rest == "" and first or first .. "." .. rest
        return string.format("%s%se%s%.0f", sign, digits, exponent < 0 and "-" or "+", math.abs(exponent))
    end
    local digits = first .. rest
    if exponent < 0 then return sign .. "0." .. string.rep("0", -exponent - 1) .. digits end
    digits = digits .. string.rep("0", exponent + 1 - #digits)
    local whole, fraction = string.sub(digits, 1, exponent + 1), string.sub(digits, exponent + 2)
    return sign .. whole .. "." .. (fraction == "" and "0" or fraction)
end

---- CBOR (RFC 8949) ---------------------------------------------------------------------------------------

local MAJOR = { UNSIGNED = 0, NEGATIVE = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6, SIMPLE = 7 }
-- Tag 55799 in each form that holds it (RFC 8949 section 3.4.6); it may stand in front of the whole item.
local SELF_DESCRIBED = { "\xd9\xd9\xf7", "\xda\0\0\xd9\xf7", "\xdb\0\0\0\0\0\0\xd9\xf7" }
local BREAK = 0xff
local TWO_32 = 2 ^ 32

-- Ends the reading of a body; `read_cbor` catches it. Offsets are those of the codec.
local function fail(kind, at)
    error({ kind = kind, at = at }, 0)
end

-- Returns the unsigned integer of `width` bytes at the reader, as a double, and its low and high 32 bits.
local function read_unsigned(reader, width)
    if reader.at + width > #reader.bytes then fail("unexpected_end", #reader.bytes) end
    local low, high = 0, 0
    for place = 1, width do
        local byte = string.byte(reader.bytes, reader.at + place)
        if width - place >= 4 then high = high * 256 + byte else low = low * 256 + byte end
    end
    reader.at = reader.at + width
    return high * TWO_32 + low, low, high
end

local WIDTHS = { [24] = 1, [25] = 2, [26] = 4, [27] = 8 }

-- Returns major type, additional information and argument of the next head. The argument is nil where the
-- length is indefinite.
local function read_head(reader)
    local at = reader.at
    local first = string.byte(reader.bytes, at + 1)
    if not first then fail("unexpected_end", at) end
    reader.at = at + 1
    local major, info = math.floor(first / 32), first % 32
    if info < 24 then return major, info, info, info, 0 end
    if WIDTHS[info] then
        local argument, low, high = read_unsigned(reader, WIDTHS[info])
        if major == MAJOR.SIMPLE and info == 24 and argument < 32 then fail("invalid_head", at) end
        return major, info, argument, low, high
    end
    local has_indefinite = major ~= MAJOR.UNSIGNED and major ~= MAJOR.NEGATIVE and major ~= MAJOR.TAG
    if info ~= 31 or not has_indefinite then fail("invalid_head", at) end
    return major, info, nil
end

-- Consumes a break if one is next.
local function at_break(reader)
    local byte = string.byte(reader.bytes, reader.at + 1)
    if not byte then fail("unexpected_end", #reader.bytes) end
    if byte == BREAK then reader.at = reader.at + 1 end
    return byte == BREAK
end

-- Returns the content of a text of definite length. A mistake in the text comes before its missing end.
local function read_chunk(reader, length)
    local text = string.sub(reader.bytes, reader.at + 1, reader.at + math.min(length, #reader.bytes))
    local invalid, is_cut = find_invalid_utf8(text)
    if #text < length then
        if invalid and not is_cut then fail("invalid_utf8", reader.at + invalid) end
        fail("unexpected_end", #reader.bytes)
    end
    if invalid then fail("invalid_utf8", reader.at + invalid) end
    reader.at = reader.at + length
    return text
end

-- Returns the content of a text; a length of nil is indefinite.
local function read_text(reader, length)
    if length then return read_chunk(reader, length) end
    local chunks = {}
    while not at_break(reader) do
        local at = reader.at
        local major, _, chunk = read_head(reader)
        if major ~= MAJOR.TEXT or not chunk then fail("invalid_chunk", at) end
        chunks[#chunks + 1] = read_chunk(reader, chunk)
    end
    return table.concat(chunks)
end

-- Doubles are exact below 2^53; the rest is left to Wireshark's 64-bit integers.
local function unsigned_text(value, low, high)
    if value < 2 ^ 53 then return string.format("%.0f", value) end
    return tostring(UInt64(low, high))
end

local function negative_text(value, low, high)
    if value < 2 ^ 53 - 1 then return "-" .. string.format("%.0f", value + 1) end
    if low == TWO_32 - 1 and high == TWO_32 - 1 then return "-18446744073709551616" end
    return "-" .. tostring(UInt64(low, high) + 1)
end

-- Returns the value of a half-precision float (RFC 8949 appendix D).
local function half_value(bits)
    local exponent, fraction = math.floor(bits / 1024) % 32, bits % 1024
    local value
    if exponent == 0 then
        value = fraction * 2 ^ -24
    elseif exponent == 31 then
        value = fraction == 0 and math.huge or 0 / 0
    else
        value = (fraction + 1024) * 2 ^ (exponent - 25)
    end
    return bits >= 32768 and -value or value
end

-- Returns JSON of a head of major type 7.
local function simple_json(reader, info, argument, at)
    if not argument then fail("unexpected_break", at) end
    if info == 20 then return "false" end
    if info == 21 then return "true" end
    if info == 22 then return "null" end
    if info < 25 then fail("simple_value", at) end
    local value
    if info == 25 then
        value = half_value(argument)
    else
        local format = info == 26 and ">f" or ">d"
        value = Struct.unpack(format, string.sub(reader.bytes, at + 2, reader.at))
    end
    if value ~= value or value == math.huge or value == -math.huge then fail("not_finite", at) end
    return json_float(value)
end

local function write(reader, json, at)
    reader.length = reader.length + #json
    if reader.length > MAX_JSON then fail("output_too_large", at) end
    reader.out[#reader.out + 1] = json
end

-- Notes an item for Wireshark's tree below `parent`.
local function note(reader, parent, label, key, at)
    if not parent or reader.shown >= MAX_SHOWN then return nil end
    reader.shown = reader.shown + 1
    local item = { label = label .. "...", key = key, from = at }
    parent[#parent + 1] = item
    return item
end

local read_value

local function read_array(reader, count, depth, item)
    write(reader, "[", reader.at)
    local index = 0
    while count and index < count or not count and not at_break(reader) do
        if index > 0 then write(reader, ",", reader.at) end
        read_value(reader, depth, item, index .. ": ", nil, reader.at)
        index = index + 1
    end
    write(reader, "]", reader.at)
    return index .. (index == 1 and " element" or " elements")
end

-- Returns the name of a map's key, what it was written as if not as text, and "integer" or "text".
local function read_key(reader)
    local at = reader.at
    local major, _, argument, low, high = read_head(reader)
    if major == MAJOR.TEXT then return read_text(reader, argument), nil, "text" end
    if major == MAJOR.SIMPLE and not argument then fail("unexpected_break", at) end
    if major == MAJOR.NEGATIVE then fail("key_range", at) end
    if major ~= MAJOR.UNSIGNED then fail("key_type", at) end
    if high >= 2 ^ 31 then fail("key_range", at) end
    local decimal = unsigned_text(argument, low, high)
    return KEYS[argument] or decimal, decimal, "integer"
end

-- A key may stand in a map as integer and as text: then the text's value counts (MSC3079), and the other
-- entry is taken out of the JSON.
local function drop_overruled(reader, entries, forms)
    local separator = ""
    for _, entry in ipairs(entries) do
        if entry.form == "integer" and forms[entry.name].text then
            for place = entry.first, entry.last do reader.out[place] = "" end
        else
            reader.out[entry.first] = separator
            separator = ","
        end
    end
end

local function read_map(reader, count, depth, item)
    write(reader, "{", reader.at)
    local entries, forms, are_twins = {}, {}, false
    while count and #entries < count or not count and not at_break(reader) do
        local at = reader.at
        local name, integer, form = read_key(reader)
        local known = forms[name] or {}
        if known[form] then fail("repeated_key", at) end
        known[form] = true
        forms[name] = known
        are_twins = are_twins or known.integer and known.text
        local entry = { name = name, form = form, first = #reader.out + 1 }
        write(reader, #entries > 0 and "," or "", at)
        write(reader, json_string(name) .. ":", at)
        local label = json_string(name)
        if integer and integer ~= name then label = label .. " (" .. integer .. ")" end
        read_value(reader, depth, item, label .. ": ", name, at)
        entry.last = #reader.out
        entries[#entries + 1] = entry
    end
    if are_twins then drop_overruled(reader, entries, forms) end
    write(reader, "}", reader.at)
    return #entries .. (#entries == 1 and " key" or " keys")
end

-- Reads one item and writes its JSON. `label`, `key` and `from` are what stands before it and where that
-- begins: for Wireshark's tree.
function read_value(reader, depth, parent, label, key, from)
    local at = reader.at
    reader.items = reader.items + 1
    if reader.items > MAX_ITEMS then fail("too_many_items", at) end
    local major, info, argument, low, high = read_head(reader)
    local item = note(reader, parent, label, key, from)
    local json, told
    if major == MAJOR.UNSIGNED then
        json = unsigned_text(argument, low, high)
    elseif major == MAJOR.NEGATIVE then
        json = negative_text(argument, low, high)
    elseif major == MAJOR.TEXT then
        json = json_string(read_text(reader, argument))
    elseif major == MAJOR.ARRAY or major == MAJOR.MAP then
        if depth >= MAX_DEPTH then fail("too_deep", at) end
        local read = major == MAJOR.ARRAY and read_array or read_map
        told = read(reader, argument, depth + 1, item)
    elseif major == MAJOR.BYTES then
        fail("byte_string", at)
    elseif major == MAJOR.TAG then
        fail("tag", at)
    else
        json = simple_json(reader, info, argument, at)
    end
    if json then write(reader, json, at) end
    if item then
        item.label = label .. (told or json)
        item.to = reader.at
    end
end

local function read_document(reader)
    for _, tag in ipairs(SELF_DESCRIBED) do
        if string.sub(reader.bytes, 1, #tag) == tag then reader.at = #tag end
    end
    read_value(reader, 0, reader.items_shown, "", nil, reader.at)
    if reader.at < #reader.bytes then fail("trailing_data", reader.at) end
end

-- Returns JSON, the items for the tree, and a sentence if the bytes are not one item with a form in JSON;
-- then the JSON is what was read before.
local function read_cbor(bytes)
    if #bytes > MAX_BODY then
        return "", {}, string.format("byte %d: %s", MAX_BODY, ERRORS.input_too_large)
    end
    local reader = { bytes = bytes, at = 0, out = {}, length = 0, items = 0, shown = 0, items_shown = {} }
    local is_well, failure = pcall(read_document, reader)
    local sentence
    if not is_well and type(failure) == "table" then
        local reason = ERRORS[failure.kind] or "more items than this plugin reads"
        sentence = string.format("byte %.0f: %s", failure.at, reason)
    elseif not is_well then
        sentence = "the plugin failed: " .. tostring(failure)
    end
    return table.concat(reader.out), reader.items_shown, sentence
end

---- packed CBOR (Content-Format 65060) ---------------------------------------------------------------------

-- The tags, and what may stand behind the first one (wire/src/packed.rs).
local TAG = { TABLE = 0xc6, BASE64URL = 0xd5, BASE64 = 0xd6 }
local TRUE, NULL = 0xf5, 0xf6
-- Texts that take one byte: simple values 0 to 15.
local ONE_BYTE = 16
-- Bytes behind a tag, at most.
local LONGEST_TEXT = 16384
local SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

-- Ends the unpacking of a body; `unpack_body` catches it.
local function fail_packed(name, number)
    error({ sentence = string.format(NOT_PACKED[name], number) }, 0)
end

-- Returns the base64 of bytes, without padding. `last` are the last two signs of the alphabet.
local function base64(bytes, last)
    local signs = SIGNS .. last
    return (string.gsub(bytes, "..?.?", function(group)
        local first, second, third = string.byte(group, 1, 3)
        local bits, text = first * 65536 + (second or 0) * 256 + (third or 0), ""
        for place = 1, #group + 1 do
            local sign = math.floor(bits / 64 ^ (4 - place)) % 64 + 1
            text = text .. string.sub(signs, sign, sign)
        end
        return text
    end))
end

-- Returns a text as CBOR has it.
local function text_item(text)
    local length = #text
    if length < 24 then return string.char(0x60 + length) .. text end
    if length < 256 then return string.char(0x78, length) .. text end
    local low = string.char(math.floor(length / 256) % 256, length % 256)
    if length < 65536 then return "\x79" .. low .. text end
    return "\x7a" .. string.char(math.floor(length / 2 ^ 24), math.floor(length / 65536) % 256) .. low .. text
end

local function is_known_text(byte)
    return byte and byte >= 0xe0 and byte < 0xe0 + ONE_BYTE
end

-- Returns what one of the three tags and what is behind it stand for.
local function read_tagged(reader)
    local at, bytes = reader.at, reader.bytes
    local tag, first = string.byte(bytes, at + 1, at + 2)
    local is_table = tag == TAG.TABLE and first ~= TRUE
    reader.at = at + (tag == TAG.TABLE and (first == TRUE or first == NULL) and 2 or 1)
    local from, head = reader.at, string.byte(bytes, reader.at + 1)
    local major, _, argument = read_head(reader)
    if is_table and first == NULL then
        if major ~= MAJOR.TAG and not is_known_text(head) then fail_packed("Item", at) end
        return string.sub(bytes, from + 1, reader.at)
    end
    if is_table and (major == MAJOR.UNSIGNED or major == MAJOR.NEGATIVE) then
        local text = TEXTS[ONE_BYTE + 2 * argument + major + 1]
        if not text then fail_packed("Item", at) end
        return text_item(text)
    end
    if major ~= MAJOR.BYTES or not argument or argument > LONGEST_TEXT then fail_packed("Item", at) end
    if reader.at + argument > #bytes then fail_packed("CutOff", #bytes) end
    from = reader.at
    reader.at = from + argument
    local sign = tag ~= TAG.TABLE and "" or is_table and "$" or "!"
    local last = tag == TAG.BASE64 and "+/" or "-_"
    return text_item(sign .. base64(string.sub(bytes, from + 1, reader.at), last))
end

-- Returns what the next item, its head if it is an array or a map, or the next piece of a string stands for.
-- Nil: it cannot stand there, and what follows is passed on as it is.
local function read_packed(reader)
    local at, first = reader.at, string.byte(reader.bytes, reader.at + 1)
    if not reader.in_pieces and (first == TAG.TABLE or first == TAG.BASE64URL or first == TAG.BASE64) then
        reader.is_tagged = true
        local item = read_tagged(reader)
        reader.is_tagged = false
        return item
    end
    if not reader.in_pieces and is_known_text(first) then
        reader.at = at + 1
        return text_item(TEXTS[first - 0xe0 + 1])
    end
    local major, _, argument = read_head(reader)
    local is_string = major == MAJOR.BYTES or major == MAJOR.TEXT
    if reader.in_pieces and not (is_string and argument) then
        if first ~= BREAK then return nil end
        reader.in_pieces = false
    elseif major == MAJOR.TAG then
        fail_packed("Item", at)
    elseif is_string and not argument then
        reader.in_pieces = true
    elseif is_string then
        reader.at = math.min(reader.at + argument, #reader.bytes)
    end
    return string.sub(reader.bytes, at + 1, reader.at)
end

local function read_all_packed(reader)
    while reader.at < #reader.bytes do
        reader.item = reader.at
        local item = read_packed(reader)
        if not item then fail("invalid_head", reader.item) end
        reader.length = reader.length + #item
        if reader.length > MAX_BODY then fail_packed("TooLong", MAX_BODY) end
        reader.out[#reader.out + 1] = item
    end
end

-- Returns the CBOR that a packed body stands for, and a sentence if it is not one; then the CBOR is that of
-- what was read before.
local function unpack_body(bytes)
    if #bytes > MAX_BODY then
        return "", string.format("byte %d: %s", MAX_BODY, ERRORS.input_too_large)
    end
    local reader = { bytes = bytes, at = 0, item = 0, out = {}, length = 0 }
    local is_well, failure = pcall(read_all_packed, reader)
    local sentence
    if not is_well and type(failure) ~= "table" then
        sentence = "the plugin failed: " .. tostring(failure)
    elseif not is_well and failure.sentence then
        sentence = failure.sentence
    elseif not is_well and reader.is_tagged then
        local is_cut = failure.kind == "unexpected_end"
        sentence = string.format(NOT_PACKED[is_cut and "CutOff" or "Item"], is_cut and #bytes or reader.item)
    elseif not is_well then
        -- What is not well-formed CBOR is packed as it is, from there on.
        reader.out[#reader.out + 1] = string.sub(bytes, reader.item + 1)
    end
    return table.concat(reader.out), sentence
end

---- paths -------------------------------------------------------------------------------------------------

local function push_segment(path, segment)
    local escaped = string.gsub(segment, "[^%w%-._~!$&'()*+,;=:@]", function(byte)
        return string.format("%%%02X", string.byte(byte))
    end)
    path[#path + 1] = "/" .. escaped
end

-- Returns the HTTP path that Uri-Path values stand for, or nil and why there is none.
local function expand(segments)
    if #segments == 0 then return nil, "the path is empty" end
    for _, segment in ipairs(segments) do
        if segment == "." or segment == ".." then return nil, "the path has a segment . or .." end
        if find_invalid_utf8(segment) then return nil, "the path is not UTF-8" end
    end
    local path, next_value = {}, 2
    local template = PATHS[segments[1]]
    if not template then push_segment(path, segments[1]) end
    local _, parameters = string.gsub(template or "", "{", "{")
    for literal in string.gmatch(template or "", "/([^/]*)") do
        if string.sub(literal, 1, 1) == "{" then
            local value = segments[next_value]
            if not value then return nil, "the path code " .. segments[1] .. " needs more parameters" end
            push_segment(path, value)
            next_value = next_value + 1
        elseif literal ~= "" or #segments - 1 <= parameters then
            -- Further segments stand in place of an empty last one: `n`, `global` is /.../pushrules/global.
            push_segment(path, literal)
        end
    end
    for place = next_value, #segments do push_segment(path, segments[place]) end
    return table.concat(path)
end

---- CoAP (RFC 7252 section 3) -----------------------------------------------------------------------------

-- Returns delta or length of an option, and the place behind it; nil if it is reserved or cut off.
local function read_extended(bytes, nibble, at)
    if nibble < 13 then return nibble, at end
    local first, second = string.byte(bytes, at + 1, at + 2)
    if nibble == 13 and first then return first + 13, at + 1 end
    if nibble == 14 and second then return first * 256 + second + 269, at + 2 end
    return nil
end

-- Returns the message: type, code, id, token, options (number, value, at, to) and payload_at; or nil and why
-- it cannot be read.
local function read_message(bytes)
    if #bytes < 4 then return nil, "byte 0: the CoAP head is cut off" end
    local first, code, high, low = string.byte(bytes, 1, 4)
    if math.floor(first / 64) ~= 1 then return nil, "byte 0: another version of CoAP than 1" end
    local at = 4 + first % 16
    if first % 16 > 8 or at > #bytes then return nil, "byte 0: the token is cut off or too long" end
    local message = { type = math.floor(first / 16) % 4, code = code, id = high * 256 + low, options = {},
        token = string.sub(bytes, 5, at) }
    local number = 0
    while at < #bytes do
        local from, head = at, string.byte(bytes, at + 1)
        if head == 0xff then
            message.payload_at = at + 1
            break
        end
        local delta, length
        delta, at = read_extended(bytes, math.floor(head / 16), at + 1)
        if delta then length, at = read_extended(bytes, head % 16, at) end
        if not length or at + length > #bytes then
            return nil, string.format("byte %d: the option is cut off or not well-formed", from)
        end
        number = number + delta
        local value = string.sub(bytes, at + 1, at + length)
        at = at + length
        message.options[#message.options + 1] = { number = number, value = value, from = from, to = at }
    end
    message.payload = message.payload_at and string.sub(bytes, message.payload_at + 1) or ""
    return message
end

-- Returns the values of all options of this number.
local function values_of(message, number)
    local values = {}
    for _, option in ipairs(message.options) do
        if option.number == number then values[#values + 1] = option.value end
    end
    return values
end

-- Returns the number in an option's value (RFC 7252 section 3.2), nil for one of more than four bytes.
local function number_in(value)
    if not value or #value > 4 then return nil end
    local number = 0
    for place = 1, #value do number = number * 256 + string.byte(value, place) end
    return number
end

-- Returns number, more and size of a block option (RFC 7959 section 2.2), nil if there is none to be used.
local function block_of(message, number)
    local value = values_of(message, number)[1]
    local block = value and #value <= 3 and number_in(value)
    if not block or block % 8 == 7 then return nil end
    return { offset = math.floor(block / 16) * 2 ^ (block % 8 + 4), more = math.floor(block / 8) % 2 == 1,
        size = 2 ^ (block % 8 + 4) }
end

---- what is kept from one message to the next -------------------------------------------------------------

-- Values by key. The oldest go where there are more than `max_count`, or they hold more than `max_bytes`.
local function new_store(max_count, max_bytes)
    return {
        entries = {}, keys = {}, first = 1, last = 0, bytes = 0, max_count = max_count, max_bytes = max_bytes,
    }
end

local function fetch(store, key)
    local entry = store.entries[key]
    return entry and entry.value
end

-- Notes that the value of a key, which is in the store, has grown by so many bytes; it may be gone
-- afterwards.
local function grow(store, key, bytes)
    local entry = store.entries[key]
    if not entry then return end
    entry.bytes = entry.bytes + bytes
    store.bytes = store.bytes + bytes
    while store.last - store.first >= store.max_count or store.bytes > store.max_bytes do
        local oldest = store.keys[store.first]
        store.bytes = store.bytes - store.entries[oldest].bytes
        store.entries[oldest] = nil
        store.keys[store.first] = nil
        store.first = store.first + 1
    end
end

-- Sets the value of a key, which keeps its age if the store has the key.
local function keep(store, key, value, bytes)
    local entry = store.entries[key]
    if entry then
        store.bytes = store.bytes - entry.bytes
        entry.value, entry.bytes = value, 0
    else
        store.entries[key] = { value = value, bytes = 0 }
        store.last = store.last + 1
        store.keys[store.last] = key
    end
    grow(store, key, bytes)
end

local requests, bodies, noted, any_order

local function forget_all()
    requests = new_store(MAX_REQUESTS, MAX_KEPT)
    bodies = new_store(MAX_OPEN_BODIES, MAX_KEPT)
    noted = new_store(MAX_NOTED, MAX_KEPT)
    any_order = new_store(MAX_ANY_ORDER, MAX_KEPT)
end
forget_all()

-- What a block costs besides its bytes.
local PIECE = 100

-- Adds a block to the body of this key, and fills `facts`. `is_only` says that the key has one body: a first
-- block that comes again, as another message, does not begin a new one.
local function add_block(key, message, block, facts, is_only)
    local etag = values_of(message, OPTION.ETAG)[1]
    local body = fetch(bodies, key)
    local first = message.id .. "/" .. message.token
    -- The first block of a body may come after others, if it was lost or they were asked for together with it.
    local begins = block.offset == 0 and not is_only and body and body.first and body.first ~= first
    local is_other = body and (body.etag ~= etag or begins)
    if not body or is_other then
        body = { etag = etag, first = block.offset == 0 and first, pieces = {}, frames = {}, reached = 0 }
        keep(bodies, key, body, 0)
    end
    if block.offset == 0 and not body.first then body.first = first end
    facts.body = body
    if body.done or body.pieces[block.offset] then return end
    if block.more and #message.payload ~= block.size then
        facts.error = string.format("a block of %d bytes holds %d", block.size, #message.payload)
        return
    end
    if block.offset + #message.payload > MAX_BODY then
        facts.error = string.format("the body is longer than %d bytes", MAX_BODY)
        return
    end
    body.pieces[block.offset] = message.payload
    body.frames[#body.frames + 1] = facts.frame
    body.format = body.format or number_in(values_of(message, OPTION.CONTENT_FORMAT)[1])
    if not block.more then body.total = block.offset + #message.payload end
    local order = body.order or {}
    body.order = order
    local piece = body.pieces[body.reached]
    while piece and piece ~= "" and body.reached ~= body.total do
        order[#order + 1] = piece
        body.reached = body.reached + #piece
        piece = body.pieces[body.reached]
    end
    if body.reached == body.total then
        facts.whole = { bytes = table.concat(order), format = body.format, frames = body.frames }
        body.done, body.pieces, body.order = facts.frame, nil, nil
        keep(bodies, key, body, 0)
    else
        grow(bodies, key, #message.payload + PIECE)
    end
end

-- Notes what a request is, for its answers and for its blocks.
local function note_request(message, client, server, facts)
    local path, why = expand(values_of(message, OPTION.URI_PATH))
    facts.request = { frame = facts.frame, method = METHODS[message.code], path = path,
        query = table.concat(values_of(message, OPTION.URI_QUERY), "&") }
    facts.error = why
    local accept, tags = values_of(message, OPTION.ACCEPT), values_of(message, OPTION.REQUEST_TAG)
    local name = table.concat({ client, server, message.code, path or "", facts.request.query,
        table.concat(accept), table.concat(tags) }, "\0")
    facts.request.name = name
    keep(requests, client .. "\0" .. server .. "\0" .. message.token, facts.request, #name)
    local pair = client .. "\0" .. server
    local capabilities = number_in(values_of(message, OPTION.CAPABILITIES)[1]) or 0
    if math.floor(capabilities / ANY_ORDER) % 2 == 1 then keep(any_order, pair, true, #pair) end
    local block = block_of(message, OPTION.BLOCK1)
    -- Such a client uses a Request-Tag once.
    if block then add_block("up\0" .. name, message, block, facts, #tags > 0 and fetch(any_order, pair)) end
end

local function note_response(message, client, server, facts)
    local key = client .. "\0" .. server .. "\0" .. message.token
    facts.request = fetch(requests, key)
    local block = block_of(message, OPTION.BLOCK2) or block_of(message, OPTION.Q_BLOCK2)
    -- Without its request a block can be told by the token alone.
    local name = facts.request and facts.request.name or key
    if block then add_block("down\0" .. name, message, block, facts) end
end

-- Returns what is known about a message when it is met for the first time, and later the same. Wireshark
-- visits all frames once in order, and then again in any order.
local function facts_of(message, pinfo)
    local key = table.concat({ pinfo.number, message.id, message.token, message.code }, "/")
    local facts = fetch(noted, key)
    if facts or pinfo.visited then return facts or { frame = pinfo.number } end
    facts = { frame = pinfo.number }
    local from = tostring(pinfo.src) .. " " .. pinfo.src_port
    local to = tostring(pinfo.dst) .. " " .. pinfo.dst_port
    if message.code >= 1 and message.code < 32 then
        note_request(message, from, to, facts)
    elseif message.code >= 64 then
        note_response(message, to, from, facts)
    end
    keep(noted, key, facts, facts.whole and #facts.whole.bytes or 0)
    return facts
end

---- Wireshark's tree --------------------------------------------------------------------------------------

-- Two protocols: there is no tree yet when a file is read for the first time, and blocks have to be put
-- together then. The first one reads each message as Wireshark comes to it, the second one shows it at the
-- end of the frame.
local lowband_coap = Proto("lowband_coap", "CoAP of low-bandwidth Matrix")
local lowband = Proto("lowband", "Low-bandwidth Matrix")
local fields = {
    code = ProtoField.string("lowband.code", "Code"),
    method = ProtoField.string("lowband.method", "Method"),
    path = ProtoField.string("lowband.path", "Path"),
    query = ProtoField.string("lowband.query", "Query"),
    authorization = ProtoField.string("lowband.authorization", "Option 256 Authorization"),
    cbor_version = ProtoField.uint32("lowband.cbor_version", "Option 257 CBOR-Version"),
    content_format = ProtoField.uint32("lowband.content_format", "Option 12 Content-Format"),
    request_tag = ProtoField.bytes("lowband.request_tag", "Option 292 Request-Tag"),
    capabilities = ProtoField.uint32("lowband.capabilities", "Option 65020 Capabilities"),
    request_in = ProtoField.framenum("lowband.request_in", "Request in", base.NONE, frametype.REQUEST),
    block = ProtoField.framenum("lowband.block", "Block in"),
    blocks = ProtoField.uint32("lowband.blocks", "Blocks"),
    whole_in = ProtoField.framenum("lowband.whole_in", "Body put together in"),
    so_far = ProtoField.string("lowband.so_far", "Body so far"),
    packed_bytes = ProtoField.uint32("lowband.packed_bytes", "Bytes as packed CBOR"),
    cbor_bytes = ProtoField.uint32("lowband.cbor_bytes", "Bytes as CBOR"),
    json_bytes = ProtoField.uint32("lowband.json_bytes", "Bytes as JSON"),
    json = ProtoField.string("lowband.json", "JSON"),
    key = ProtoField.string("lowband.key", "Key"),
    diagnostic = ProtoField.string("lowband.diagnostic", "Diagnostic text"),
    error = ProtoField.string("lowband.error", "Mistake"),
}
lowband.fields = fields
local mistake = ProtoExpert.new("lowband.mistake", "Mistake", expert.group.MALFORMED, expert.severity.WARN)
lowband.experts = { mistake }
lowband.prefs.ports = Pref.range("Ports", "8008", "UDP ports of DTLS with CoAP in it, besides 5684", 65535)
lowband.prefs.show_tokens = Pref.bool("Show access tokens", false, "Show those of option 256 and of queries")

local coap = Dissector.get("coap")

local function show_error(tree, sentence)
    tree:add(fields.error, sentence):set_generated()
    tree:add_proto_expert_info(mistake, sentence)
end

local function show_items(tree, items, range)
    for _, item in ipairs(items) do
        -- An item that was being read when a mistake was found reaches to the end.
        local bytes = range(item.from, (item.to or range:len()) - item.from)
        local added
        if item.key then
            added = tree:add(fields.key, bytes, item.key)
            added:set_text(item.label)
        else
            added = tree:add(bytes, item.label)
        end
        show_items(added, item, range)
    end
end

local function show_json(tree, json)
    tree:add(fields.json_bytes, #json)
    if json == "" then return end
    tree:add(fields.json, ByteArray.new(json, true):tvb("JSON"):range(), json)
end

-- Shows a body of CBOR; `range` has its bytes. `why` is a mistake that has been found before.
local function show_cbor(tree, range, why)
    local bytes = range:raw()
    local json, items, sentence = read_cbor(bytes)
    sentence = why or sentence
    local branch = tree:add(range, "CBOR")
    branch:add(fields.cbor_bytes, #bytes)
    show_json(branch, json)
    if sentence then show_error(branch, sentence) end
    show_items(branch, items, range)
end

local function show_packed(tree, range)
    local cbor, why = unpack_body(range:raw())
    local branch = tree:add(range, "Packed CBOR")
    branch:add(fields.packed_bytes, range:len())
    if cbor == "" then return show_error(branch, why) end
    show_cbor(branch, ByteArray.new(cbor, true):tvb("Unpacked CBOR"):range(), why)
end

local function show_body(tree, range, format, message)
    local is_request = message.code < 32
    if format == FORMAT.PACKED then return show_packed(tree, range) end
    if format == FORMAT.CBOR or is_request and (not format or format == FORMAT.OCTET_STREAM) then
        show_cbor(tree, range)
    elseif format == FORMAT.JSON and not find_invalid_utf8(range:raw()) then
        show_json(tree:add(range, "JSON"), range:raw())
    elseif not format and message.code >= 128 and not find_invalid_utf8(range:raw()) then
        tree:add(fields.diagnostic, range, range:raw())
    end
end

local function show_blocks(tree, facts)
    local body = facts.body
    if facts.whole then
        local blocks = tree:add(fields.blocks, #facts.whole.frames)
        for _, frame in ipairs(facts.whole.frames) do blocks:add(fields.block, frame):set_generated() end
    elseif body.done then
        tree:add(fields.whole_in, body.done):set_generated()
    else
        local ending = body.total and string.format("%d of %d", body.reached, body.total) or body.reached
        tree:add(fields.so_far, ending .. " bytes from its beginning on"):set_generated()
    end
end

-- Takes the value of `access_token` out of a query.
local function hide_token(query)
    if lowband.prefs.show_tokens then return query end
    return (string.gsub("&" .. query, "(&access_token=)[^&]*", "%1hidden"):sub(2))
end

local function show_options(tree, message, range)
    for _, option in ipairs(message.options) do
        local bytes = range(option.from, option.to - option.from)
        local number = number_in(option.value)
        if option.number == OPTION.AUTHORIZATION then
            local hidden = string.format("hidden, %d bytes", #option.value)
            tree:add(fields.authorization, bytes, lowband.prefs.show_tokens and option.value or hidden)
        elseif option.number == OPTION.CONTENT_FORMAT and number == FORMAT.PACKED then
            tree:add(fields.content_format, bytes, number):append_text(" (packed CBOR)")
        elseif option.number == OPTION.CBOR_VERSION and number then
            tree:add(fields.cbor_version, bytes, number)
        elseif option.number == OPTION.REQUEST_TAG then
            tree:add(fields.request_tag, range(option.to - #option.value, #option.value))
        elseif option.number == OPTION.CAPABILITIES and number then
            local item = tree:add(fields.capabilities, bytes, number)
            for _, capability in ipairs(CAPABILITIES) do
                local bit, meaning = capability[1], capability[2]
                local is_set = math.floor(number / bit) % 2 == 1
                if is_set then item:append_text(string.format(" (%d: %s)", bit, meaning)) end
            end
        end
    end
end

-- Returns the text of a code; one that nobody has registered is shown as a number.
local function code_text(code)
    return METHODS[code] or CODES[code] or string.format("%d.%02d", math.floor(code / 32), code % 32)
end

local function show_message(tree, range, message, facts)
    tree:add(fields.code, range(1, 1), code_text(message.code))
    local request = facts.request
    if request then
        if request.frame == facts.frame then
            tree:add(fields.method, range(1, 1), request.method)
        else
            tree:add(fields.request_in, request.frame):set_generated()
            tree:add(fields.method, request.method):set_generated()
        end
        if request.path then
            tree:add(fields.path, request.path):set_generated()
            tree:append_text(": " .. code_text(message.code) .. " " .. request.path)
        end
        if request.query ~= "" then tree:add(fields.query, hide_token(request.query)):set_generated() end
    end
    show_options(tree, message, range)
    if facts.error then show_error(tree, facts.error) end
    if facts.body then show_blocks(tree, facts) end
    if facts.whole then
        local bytes = ByteArray.new(facts.whole.bytes, true)
        if bytes:len() > 0 then
            show_body(tree, bytes:tvb("Body of blocks"):range(), facts.whole.format, message)
        end
    elseif not facts.body and message.payload ~= "" and message.code ~= 1 then
        -- The payload of a GET means nothing.
        local format = number_in(values_of(message, OPTION.CONTENT_FORMAT)[1])
        show_body(tree, range(message.payload_at), format, message)
    end
end

-- The messages of the frame that is being read: range, message, facts.
local found = {}

-- Reads a CoAP message, and has Wireshark's CoAP dissector read it.
function lowband_coap.dissector(bytes, pinfo, tree)
    -- An ICMP error quotes the beginning of a message that the capture has elsewhere.
    if not pinfo.in_error_pkt then
        local range = bytes:range()
        local message, why = read_message(range:raw())
        found[#found + 1] = { range = range, message = message, why = why,
            facts = message and facts_of(message, pinfo) }
    end
    -- Where Wireshark finds something malformed it says so in its tree, and then raises an error here.
    local is_well, read = pcall(coap.call, coap, bytes, pinfo, tree)
    return is_well and read or bytes:len()
end

-- Shows the frame's messages, also where Wireshark has given up on one of them.
function lowband.dissector(_, pinfo, tree)
    for _, each in ipairs(found) do
        local request = each.facts and each.facts.request
        if request and request.path then pinfo.cols.info:append(" = " .. request.path) end
        local is_empty = each.message and each.message.code == 0
        if not is_empty and tree:referenced(Dissector.get("lowband")) then
            local branch = tree:add(lowband, each.range)
            if each.message then
                show_message(branch, each.range, each.message, each.facts)
            else
                show_error(branch, each.why)
            end
        end
    end
    found = {}
end

-- The ports of the preference that are set in Wireshark's tables.
local ports = ""

local function set_ports()
    local by_udp, by_dtls = DissectorTable.get("udp.port"), DissectorTable.get("dtls.port")
    local dtls = Dissector.get("dtls")
    if ports ~= "" then
        by_udp:remove(ports, dtls)
        by_dtls:remove(ports, lowband_coap)
    end
    ports = lowband.prefs.ports
    if ports ~= "" then
        by_udp:add(ports, dtls)
        by_dtls:add(ports, lowband_coap)
    end
    by_udp:add(5683, lowband_coap)
    by_dtls:add(5684, lowband_coap)
end

-- Wireshark calls this for each file, once the preferences are known.
function lowband.init()
    found = {}
    forget_all()
    set_ports()
end

lowband.prefs_changed = set_ports
register_postdissector(lowband)
