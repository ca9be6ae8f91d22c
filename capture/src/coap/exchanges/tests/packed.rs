//! Bodies of packed CBOR: shown as what they stand for.

use super::*;
use crate::Detail;
use crate::report::hide::Secrets;
use crate::report::text::{self, Colours};
use crate::report::{https, json};
use lowband_wire::coap::content_format::{CBOR, PACKED};
use lowband_wire::packed::pack;

/// A megolm event as homeservers give it: an event id, base64 and texts of the table.
const EVENT: &str = concat!(
    r#"{"content":{"algorithm":"m.megolm.v1.aes-sha2","#,
    r#""ciphertext":"AwgAEnACgAkLmt6qF84IK++J7UDH2Za1YVchHyprqTqsg2yyOwAtHaZTwyNg37afzg8f3r9IsN9r4RNFg7MaZencUJe4","#,
    r#""session_id":"IkwqWxT2zy3DI1E/zM2Wq+CE8tr3eEpsxsVGjGrMPdw"},"#,
    r#""event_id":"$AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA","type":"m.room.encrypted"}"#
);

fn cbor(json: &str) -> Vec<u8> {
    lowband_codec::json_to_cbor(json.as_bytes()).unwrap()
}

/// Returns an exchange whose request and response have this body, and its details.
fn told(format: u16, payload: &[u8]) -> (Exchange, Detail) {
    let mut talk = Talk::new();
    let value = format.to_be_bytes();
    let value = if format < 256 { &value[1..] } else { &value[..] };
    talk.up(CON, PUT, 1, b"a", &[(PATH, b"_matrix"), (FORMAT, value)], payload);
    talk.down(ACK, CONTENT, 1, b"a", &[(FORMAT, value)], payload);
    let exchange = talk.only();
    let detail = talk.0.detail(&exchange);
    (exchange, detail)
}

/// Returns what people and programs are shown of the response.
fn shown((exchange, detail): &(Exchange, Detail), secrets: Secrets) -> (String, String) {
    let (mut lines, mut object) = (String::new(), String::new());
    text::details(&mut lines, exchange, detail, secrets, Colours::Plain);
    json::exchange(&mut object, exchange, 0, Some(detail), secrets);
    let (_, body) = lines.split_once("  response: ").unwrap();
    (body.trim_end().to_owned(), object)
}

#[test]
fn a_packed_body_is_shown_as_its_json_and_counted_as_it_was_sent() {
    let plain = cbor(EVENT);
    let packed = pack(&plain);
    assert!(packed.len() < plain.len() * 4 / 5, "{} of {}", packed.len(), plain.len());
    let (exchange, detail) = told(PACKED, &packed);
    for body in [&exchange.request_body, &exchange.response_body] {
        let body = body.as_ref().unwrap();
        assert_eq!((body.kind, body.format, body.error), (BodyKind::Cbor, Some(PACKED), None));
        assert_eq!((body.bytes, body.json_bytes), (packed.len() as u64, Some(EVENT.len() as u64)));
    }
    for content in [&detail.request_body, &detail.response_body] {
        let content = content.as_ref().unwrap();
        assert_eq!((&content.bytes, content.readable()), (&packed, &plain[..]));
        assert_eq!(content.json.as_ref().unwrap().as_deref(), Ok(EVENT.as_bytes()));
    }
    let (lines, object) = shown(&(exchange.clone(), detail), Secrets::Hidden);
    let sizes =
        format!("{} bytes of packed CBOR, {} as CBOR, {} as JSON", packed.len(), plain.len(), EVENT.len());
    assert_eq!(lines, format!("{sizes}\n    {EVENT}"));
    assert!(object.contains(&format!(r#""response":{EVENT}"#)), "{object}");
    let sizes =
        format!(r#"{{"bytes":{},"json_bytes":{},"format":"packed CBOR"}}"#, packed.len(), EVENT.len());
    assert!(object.contains(&format!(r#""response_body":{sizes}"#)), "{object}");
    // Over HTTPS it would have been JSON, packed or not.
    assert_eq!(https::exchange(&exchange, false), https::exchange(&told(CBOR, &plain).0, false));
}

#[test]
fn a_packed_body_in_blocks_is_unpacked_once_it_is_whole_and_otherwise_as_far_as_it_goes() {
    let packed = pack(&cbor(EVENT));
    let told = |blocks: usize| {
        let mut talk = Talk::new();
        for (num, part) in packed.chunks(64).take(blocks).enumerate() {
            let (id, num) = (num as u16, num as u8);
            let more = usize::from(num + 1) * 64 < packed.len();
            talk.up(CON, GET, id, b"a", &[(PATH, b"_matrix"), (BLOCK2, &block(num, false, 2))], b"");
            let format = PACKED.to_be_bytes();
            talk.down(ACK, CONTENT, id, b"a", &[(FORMAT, &format), (BLOCK2, &block(num, more, 2))], part);
        }
        let exchange = talk.only();
        let detail = talk.0.detail(&exchange);
        (exchange, detail)
    };
    let (exchange, detail) = told(packed.len().div_ceil(64));
    assert_eq!(exchange.response_body.unwrap().json_bytes, Some(EVENT.len() as u64));
    assert_eq!(detail.response_body.unwrap().json.unwrap().as_deref(), Ok(EVENT.as_bytes()));
    let part = told(1);
    let (lines, _) = shown(&part, Secrets::Hidden);
    let why = "not readable: the packed body breaks off at byte 64";
    let hex: String = packed[..64].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(lines, format!("64 bytes of packed CBOR, {why}\n    {hex}"));
}

#[test]
fn what_is_wrong_with_a_packed_body_is_said_beside_its_bytes() {
    for (packed, error, as_text) in [
        // A tag that no packer writes, behind `m.room.message`.
        (&b"\x82\xe0\xc1\x01"[..], "byte 2 of the packed body stands for nothing", "82e0c101"),
        (b"\x81\xd6\x46\x01", "the packed body breaks off at byte 4", "81d64601"),
        // What it stands for is not an item of CBOR, or not one that JSON has.
        (b"\xa1\x02", "unpacked, byte 2: the input ends inside a value", "a102"),
        (b"\xa1\xe0", "unpacked, byte 16: the input ends inside a value", "a16e6d2e726f6f6d2e6d657373616765"),
        (b"\xc6\xf6\xc1\x01", "unpacked, byte 0: a CBOR tag has no form in JSON", "c101"),
    ] {
        let told = told(PACKED, packed);
        let body = told.0.response_body.as_ref().unwrap();
        assert_eq!((body.kind, body.json_bytes), (BodyKind::Cbor, None), "{packed:x?}");
        assert_eq!(body.error.map(|error| error.to_string()).as_deref(), Some(error));
        let (lines, object) = shown(&told, Secrets::Shown);
        assert!(lines.contains(&format!(", not readable: {error}\n")), "{lines}");
        assert!(lines.ends_with(&format!("\n    {as_text}")), "{lines}");
        assert!(object.contains(&format!(r#""error":"{error}""#)), "{object}");
        assert!(object.contains(&format!(r#""response":"{as_text}""#)), "{object}");
    }
}

#[test]
fn secrets_of_packed_bodies_are_hidden_whether_they_can_be_read_or_not() {
    let shows = |packed: &[u8]| {
        let told = told(PACKED, packed);
        let (lines, object) = shown(&told, Secrets::Hidden);
        let is_shown = !lines.ends_with(" (hidden)");
        assert_eq!(object.contains(r#""response":"(hidden)""#), !is_shown, "{object}");
        is_shown
    };
    // As a number of the table, as bytes behind a tag, as an integer of the key table.
    for name in ["refresh_token", "passphrase", "new_password", "password"] {
        let packed = pack(&cbor(&format!(r#"{{"{name}":"opensesame, or not"}}"#)));
        assert!(!packed.windows(7).any(|bytes| bytes.eq_ignore_ascii_case(b"passwor")), "{packed:x?}");
        let (lines, _) = shown(&told(PACKED, &packed), Secrets::Hidden);
        assert!(lines.ends_with(&format!("\n    {{\"{name}\":\"(hidden)\"}}")), "{lines}");
        // The value is cut off.
        assert!(!shows(&packed[..packed.len() - 4]), "{name}");
    }
    assert!(shows(b"\x82\xe0\xd6\x46\x01"));
    // Nobody knows what stands behind a tag that no packer writes.
    assert!(!shows(b"\x82\xe0\xc1\x01"));
}
