//! Statements of a client that the filter believes, and requests that it leaves alone.

use crate::host::{Fate, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::{KeyTable, json_to_cbor};
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;

#[test]
fn integer_keys_go_to_who_knows_them() {
    let with = json_to_cbor(br#"{"msgtype":"x"}"#).unwrap();
    let without = b"\xa1\x67msgtype\x61x".as_slice();
    for (trusted, default, version, body, integers) in [
        // A statement of the sidecar.
        (true, false, Some("1"), None, true),
        (true, true, Some("0"), None, false),
        (true, true, Some("0"), Some(with.as_slice()), false),
        (true, false, Some("2"), None, true),
        (true, false, Some("4294967295"), None, true),
        // A statement that cannot be read: as on the public listener.
        (true, true, None, None, true),
        (true, false, None, None, false),
        (true, false, Some("x"), None, false),
        (true, true, Some("-1"), None, true),
        (true, false, Some(""), Some(with.as_slice()), true),
        // Strangers: their body counts, their statement does not.
        (false, false, Some("1"), None, false),
        (false, true, Some("0"), None, true),
        (false, false, None, Some(with.as_slice()), true),
        (false, false, None, Some(without), false),
        (false, true, None, Some(without), true),
    ] {
        let keys = default.then(KeyTable::v1);
        let mut exchange = Exchange::new(Config { trusted, default_key_table: keys, ..Config::default() });
        let mut request =
            body.map_or_else(|| get(&[("accept", CBOR)]), |body| post(&[("content-type", CBOR)], body));
        request.fields.extend(version.map(|version| (b"lowband-cbor-version".to_vec(), version.into())));
        pass(&mut exchange, &REQUEST, &request).sent();
        let (_, body) = pass(&mut exchange, &RESPONSE, &json(br#"{"msgtype":"x"}"#)).sent();
        let expected = if integers { with.as_slice() } else { without };
        assert_eq!(body, expected, "trusted {trusted}, default {default}, version {version:?}");
    }
}

#[test]
fn nothing_that_is_meant_for_the_filter_reaches_the_homeserver() {
    for trusted in [false, true] {
        for media in [false, true] {
            let mut request = get(&[
                ("lowband-cbor-version", "1"),
                ("lowband-x", "1"),
                ("LOWBAND-Y", "1"),
                ("x-lowband", "1"),
            ]);
            if media {
                request.fields[1].1 = b"/_matrix/media/v3/config".to_vec();
            }
            let mut exchange = Exchange::new(Config { trusted, ..Config::default() });
            let (sent, _) = pass(&mut exchange, &REQUEST, &request).sent();
            let names: Vec<&[u8]> = sent.iter().map(|(name, _)| name.as_slice()).collect();
            assert_eq!(names, [&b":method"[..], b":path", b"x-lowband"]);
        }
    }
}

#[test]
fn files_are_not_translated_whatever_they_are() {
    for (path, media) in [
        ("/_matrix/media/v3/upload?filename=x", true),
        ("/_matrix/media/r0/download/a/b", true),
        ("/_matrix/media", true),
        ("/_matrix/client/v1/media/download/a/b", true),
        ("/_matrix/client/v1/media?x", true),
        ("/_matrix/client/unstable/org.matrix.msc3916/media/download", true),
        ("/_matrix/client/unstable/media/config", true),
        ("_matrix/media/v3/upload", false),
        ("/_matrix/mediaeval", false),
        ("/_matrix/client/v1/mediator", false),
        ("/_matrix/client/v3/sync?x=/media/", false),
        ("/_matrix/client/v3/rooms/media/state/media", false),
        ("/_matrix/client/unstable/x", false),
        ("/media", false),
        ("", false),
    ] {
        let mut request = post(&[("content-type", CBOR), ("accept", CBOR)], b"\xa0");
        request.fields[1].1 = path.into();
        let (sent, answered) = through(&request, &json(b"{}"));
        if media {
            assert_eq!(sent, Fate::Sent(request.fields, b"\xa0".to_vec()), "{path}");
            assert_eq!(answered, Fate::Sent(json(b"{}").fields, b"{}".to_vec()), "{path}");
        } else {
            assert_eq!((sent.sent().1, answered.sent().1), (b"{}".to_vec(), b"\xa0".to_vec()), "{path}");
        }
    }
}
