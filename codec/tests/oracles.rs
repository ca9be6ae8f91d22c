//! serde_json and ciborium, two other implementations, agree on bodies of a real homeserver and
//! on generated documents.
//!
//! A few hundred documents each time; a hundred thousand of each sort take more than a minute:
//!
//! ```text
//! PROPTEST_CASES=100000 cargo test --release -p lowband-codec --test oracles
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use ciborium::Value as Cbor;
use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, ErrorKind, KeyTable, PushEncoder, PushOptions,
    cbor_to_json, json_to_cbor,
};
use proptest::prelude::*;
use serde_json::Value as Json;

const SYNC: &str = include_str!("data/sync-small.json");
const BODIES: &str = include_str!("data/bodies.jsonl");

#[test]
fn bodies_of_a_homeserver_mean_the_same_to_the_others() {
    let mut bodies = 0;
    for body in BODIES.lines().chain([SYNC]) {
        assert_agreed(body);
        bodies += 1;
    }
    assert!(bodies > 200, "{bodies}");
}

#[test]
fn integer_keys_make_a_sync_smaller() {
    let with_keys = json_to_cbor(SYNC.as_bytes()).unwrap().len();
    let mut without = Vec::new();
    Encoder::new(EncodeOptions::default()).encode(SYNC.as_bytes(), &mut without).unwrap();
    assert!(with_keys * 10 < without.len() * 9, "{with_keys} of {}", without.len());
    assert!(without.len() < SYNC.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_documents_mean_the_same_to_the_others(document in document()) {
        assert_agreed(&document.to_string());
        assert_agreed(&serde_json::to_string_pretty(&document).unwrap());
    }

    /// Checks that the bytes ciborium makes of any value with a form in JSON are accepted, with the same
    /// meaning.
    #[test]
    fn what_ciborium_writes_is_read(document in document()) {
        let mut cbor = Vec::new();
        ciborium::into_writer(&document, &mut cbor).unwrap();
        let json: Json = serde_json::from_slice(&cbor_to_json(&cbor).unwrap()).unwrap();
        prop_assert_eq!(&numbers_as_matrix_has_them(json), &numbers_as_matrix_has_them(document));
    }

    /// Checks that serde_json accepts the damaged JSON that the encoder accepts; if only serde_json accepts a
    /// text, one of the strict rules explains it.
    #[test]
    fn damaged_json_is_judged_alike(document in document(), place: prop::sample::Index, byte in byte_of_json()) {
        let mut json = document.to_string().into_bytes();
        let place = place.index(json.len());
        json[place] = byte;
        let theirs = serde_json::from_slice::<Json>(&json);
        match json_to_cbor(&json) {
            Ok(_) => prop_assert!(theirs.is_ok(), "{:?}", String::from_utf8_lossy(&json)),
            Err(error) if theirs.is_ok() => {
                let refused = REFUSED_JSON.iter().any(|(kind, _)| *kind == error.kind);
                prop_assert!(refused, "{error} in {:?}", String::from_utf8_lossy(&json));
            }
            Err(_) => {}
        }
    }

    /// Checks that ciborium accepts the damaged CBOR that the decoder accepts; if only ciborium accepts an
    /// item, the list explains it.
    #[test]
    fn damaged_cbor_is_judged_alike(document in document(), place: prop::sample::Index, byte: u8) {
        let mut cbor = json_to_cbor(document.to_string().as_bytes()).unwrap();
        let place = place.index(cbor.len());
        cbor[place] = byte;
        let theirs = ciborium::from_reader::<Cbor, _>(cbor.as_slice());
        match cbor_to_json(&cbor) {
            Ok(json) => {
                prop_assert!(theirs.is_ok(), "{cbor:02x?}");
                prop_assert!(serde_json::from_slice::<Json>(&json).is_ok(), "{cbor:02x?}");
            }
            Err(error) if theirs.is_ok() => {
                let refused = REFUSED_CBOR.iter().any(|(kind, _)| *kind == error.kind);
                prop_assert!(refused, "{error} in {cbor:02x?}");
            }
            Err(_) => {}
        }
    }
}

/// Errors for texts that serde_json accepts.
const REFUSED_JSON: [(ErrorKind, &str); 2] = [
    (ErrorKind::RepeatedKey, "it takes the last, the strict policy none"),
    (ErrorKind::BigInteger, "it makes a float of a whole number beyond 64 bits, as the lenient policy does"),
];

/// Errors for items that ciborium accepts.
const REFUSED_CBOR: [(ErrorKind, &str); 8] = [
    (ErrorKind::TrailingData, "it stops reading behind the item"),
    (ErrorKind::RepeatedKey, "its maps are lists of pairs"),
    (ErrorKind::KeyType, "its keys are any items"),
    (ErrorKind::KeyRange, "its integers as keys may be negative or beyond 63 bits"),
    (ErrorKind::ByteString, "it has byte strings"),
    (ErrorKind::Tag, "it has tags"),
    (ErrorKind::SimpleValue, "it reads undefined as null"),
    (ErrorKind::NotFinite, "it has infinities and what is not a number"),
];

/// Compares both implementations in both directions, with and without the key table.
fn assert_agreed(json: &str) {
    let expected: Json = serde_json::from_str(json).unwrap();
    for keys in [None, Some(KeyTable::v1())] {
        let mut cbor = Vec::new();
        Encoder::new(EncodeOptions { keys, ..EncodeOptions::default() })
            .encode(json.as_bytes(), &mut cbor)
            .unwrap();
        let theirs: Cbor = ciborium::from_reader(cbor.as_slice()).unwrap();
        assert_eq!(json_of(&theirs, keys), expected, "what ciborium reads of {json}");
        let mut in_pieces = Vec::new();
        let mut encoder = PushEncoder::new(PushOptions { keys, ..PushOptions::default() });
        json.as_bytes().chunks(7).for_each(|piece| encoder.push(piece, &mut in_pieces).unwrap());
        encoder.finish(&mut in_pieces).unwrap();
        let in_pieces: Cbor = ciborium::from_reader(in_pieces.as_slice()).unwrap();
        assert_eq!(in_pieces, theirs, "what ciborium reads of {json} in pieces");

        // ciborium writes its shortest forms: equal bytes show that ours are definite and shortest.
        let mut rewritten = Vec::new();
        ciborium::into_writer(&theirs, &mut rewritten).unwrap();
        assert_eq!(cbor, rewritten, "{json}");

        let mut back = Vec::new();
        let decoded = Decoder::new(DecodeOptions { keys, ..DecodeOptions::default() })
            .decode(&cbor, &mut back)
            .unwrap();
        let back: Json = serde_json::from_slice(&back).unwrap();
        assert_eq!(back, numbers_as_matrix_has_them(expected.clone()), "{json}");
        assert_eq!(decoded.integer_keys, has_integer_key(&theirs));
    }
}

fn json_of(cbor: &Cbor, keys: Option<&KeyTable>) -> Json {
    match cbor {
        Cbor::Null => Json::Null,
        Cbor::Bool(value) => Json::Bool(*value),
        Cbor::Text(text) => Json::String(text.clone()),
        Cbor::Float(value) => serde_json::Number::from_f64(*value).unwrap().into(),
        Cbor::Integer(value) => match u64::try_from(*value) {
            Ok(value) => value.into(),
            Err(_) => i64::try_from(*value).unwrap().into(),
        },
        Cbor::Array(values) => values.iter().map(|value| json_of(value, keys)).collect(),
        Cbor::Map(entries) => {
            let name = |key: &Cbor| match key {
                Cbor::Text(name) => name.clone(),
                Cbor::Integer(key) => {
                    let key = u64::try_from(*key).unwrap();
                    assert!((1..=104).contains(&key), "version 1 ends at 104, not {key}");
                    keys.and_then(|table| table.name(key)).unwrap().to_owned()
                }
                other => panic!("a key {other:?}"),
            };
            entries.iter().map(|(key, value)| (name(key), json_of(value, keys))).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn has_integer_key(cbor: &Cbor) -> bool {
    match cbor {
        Cbor::Array(values) => values.iter().any(has_integer_key),
        Cbor::Map(entries) => entries.iter().any(|(key, value)| key.is_integer() || has_integer_key(value)),
        _ => false,
    }
}

/// Turns integral floats below 2^53 into integers, as the decoder does.
fn numbers_as_matrix_has_them(json: Json) -> Json {
    match json {
        Json::Number(number) => match number.as_f64() {
            Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < 2_f64.powi(53) => {
                (value as i64).into()
            }
            _ => number.into(),
        },
        Json::Array(values) => values.into_iter().map(numbers_as_matrix_has_them).collect(),
        Json::Object(map) => {
            map.into_iter().map(|(key, value)| (key, numbers_as_matrix_has_them(value))).collect()
        }
        other => other,
    }
}

fn document() -> impl Strategy<Value = Json> {
    let text = prop_oneof![3 => "[ -~]{0,30}", 1 => prop::collection::vec(any::<char>(), 0..12).prop_map(|c| c.into_iter().collect())];
    let known: Vec<String> = KeyTable::v1().iter().map(|(name, _)| name.to_owned()).collect();
    let key = prop_oneof![2 => prop::sample::select(known), 1 => text.clone(), 1 => "[a-c]{0,2}"];
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-100..300_i64).prop_map(Json::from),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Json::from),
        any::<f32>().prop_filter("finite", |value| value.is_finite()).prop_map(Json::from),
        (-100..100_i32).prop_map(|value| Json::from(f64::from(value) / 4.0)),
        text.prop_map(Json::from),
    ];
    scalar.prop_recursive(6, 120, 30, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..30).prop_map(Json::from),
            prop::collection::vec((key.clone(), inner), 0..30)
                .prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn byte_of_json() -> impl Strategy<Value = u8> {
    prop_oneof![prop::sample::select(br#"{}[]",:\.-+eE0123456789utrn "#.to_vec()), any::<u8>()]
}
