//! What holds for every input: no panic, the way back, orders, policies, reuse.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, KeyTable, Limits, Order, PathTable, Policy, Repairs,
    cbor_to_json, json_to_cbor, peek,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = json_to_cbor(&bytes);
        let _ = cbor_to_json(&bytes);
        let _ = peek::text(&bytes, "type", Some(KeyTable::v1()));
        let _ = peek::unsigned(&bytes, "type", None);
        let _ = peek::uses_integer_keys(&bytes);
    }

    #[test]
    fn pieces_of_json_in_any_order_never_panic_and_lenient_takes_what_strict_takes(json in pieces_of_json()) {
        let strict = run(&json, Policy::Strict, Order::AsWritten);
        let lenient = run(&json, Policy::Lenient, Order::AsWritten);
        match strict {
            Ok(_) => prop_assert_eq!(strict, lenient),
            Err(_) if lenient.is_ok() => prop_assert_ne!(lenient.unwrap().1, Repairs::default()),
            Err(_) => {}
        }
    }

    #[test]
    fn items_of_cbor_in_any_order_never_panic_and_what_is_taken_survives_the_way_back(cbor in heads_of_cbor()) {
        let Ok(json) = cbor_to_json(&cbor) else { return Ok(()) };
        let again = json_to_cbor(&json).unwrap();
        prop_assert_eq!(cbor_to_json(&again).unwrap(), json);
    }

    #[test]
    fn what_strict_encodes_survives_the_way_back(json in object(8)) {
        let cbor = json_to_cbor(json.as_bytes()).unwrap();
        prop_assert_eq!(String::from_utf8(cbor_to_json(&cbor).unwrap()).unwrap(), json);
        prop_assert_eq!(peek::uses_integer_keys(&cbor), Ok(true));
    }

    #[test]
    fn every_order_gives_the_same_content_and_a_canonical_one_the_same_bytes(json in object(8), other in object(8)) {
        let document = format!(r#"{{"a":{json},"b":{other}}}"#);
        let turned = format!(r#"{{"b":{other},"a":{json}}}"#);
        let as_written = run(document.as_bytes(), Policy::Strict, Order::AsWritten).unwrap().0;
        for order in [Order::Bytewise, Order::LengthFirst] {
            let cbor = run(document.as_bytes(), Policy::Strict, order).unwrap().0;
            prop_assert_eq!(&cbor, &run(turned.as_bytes(), Policy::Strict, order).unwrap().0);
            prop_assert_eq!(cbor.len(), as_written.len());
            prop_assert_eq!(value(&cbor), value(&as_written));
            // Sorting a sorted map changes nothing.
            let sorted = cbor_to_json(&cbor).unwrap();
            prop_assert_eq!(&run(&sorted, Policy::Strict, Order::AsWritten).unwrap().0, &cbor);
        }
    }

    #[test]
    fn a_repeat_is_found_among_any_number_of_keys_and_the_last_is_kept(
        keys in prop::collection::hash_set("[a-d]{1,3}|type|body|content|sender|join_authorised_via_users_server", 1..40),
        repeated: prop::sample::Index,
    ) {
        let keys: Vec<String> = keys.into_iter().collect();
        let repeated = &keys[repeated.index(keys.len())];
        let entries: String = keys.iter().map(|key| format!(r#""{key}":0,"#)).collect();
        let json = format!(r#"{{{entries}"{repeated}":1}}"#);
        for order in [Order::AsWritten, Order::LengthFirst] {
            let error = run(json.as_bytes(), Policy::Strict, order).unwrap_err();
            prop_assert_eq!((error.kind.name(), error.offset), ("repeated_key", 1 + entries.len()));
            let (cbor, repairs) = run(json.as_bytes(), Policy::Lenient, order).unwrap();
            prop_assert_eq!(repairs, Repairs { repeated_keys: 1, ..Repairs::default() });
            let value = value(&cbor);
            prop_assert_eq!(value.as_object().unwrap().len(), keys.len());
            prop_assert_eq!(&value[repeated], 1);
        }
    }

    #[test]
    fn a_used_encoder_and_decoder_are_as_good_as_new(inputs in prop::collection::vec(pieces_of_json(), 1..8)) {
        let options = EncodeOptions { policy: Policy::Lenient, keys: Some(KeyTable::v1()), ..EncodeOptions::default() };
        let (mut encoder, mut decoder) = (Encoder::new(options), Decoder::new(DecodeOptions::default()));
        for json in inputs {
            let (mut used, mut new) = (Vec::new(), Vec::new());
            let result = encoder.encode(&json, &mut used);
            prop_assert_eq!(result, Encoder::new(options).encode(&json, &mut new));
            prop_assert_eq!(&used, &new);
            let (mut used_json, mut new_json) = (Vec::new(), Vec::new());
            let result = decoder.decode(&used, &mut used_json);
            prop_assert_eq!(result, Decoder::new(DecodeOptions::default()).decode(&new, &mut new_json));
            prop_assert_eq!(used_json, new_json);
        }
    }

    #[test]
    fn the_output_limit_is_exact(json in object(6)) {
        let cbor = json_to_cbor(json.as_bytes()).unwrap();
        for (max_output, fits) in [(cbor.len(), true), (cbor.len() - 1, false)] {
            let limits = Limits { max_output, ..Limits::default() };
            let options = EncodeOptions { keys: Some(KeyTable::v1()), limits, ..EncodeOptions::default() };
            prop_assert_eq!(Encoder::new(options).encode(json.as_bytes(), &mut Vec::new()).is_ok(), fits);
        }
        for (max_output, fits) in [(json.len(), true), (json.len() - 1, false)] {
            let limits = Limits { max_output, ..Limits::default() };
            let options = DecodeOptions { keys: Some(KeyTable::v1()), limits };
            prop_assert_eq!(Decoder::new(options).decode(&cbor, &mut Vec::new()).is_ok(), fits);
        }
    }

    #[test]
    fn compressing_a_path_loses_nothing(segments in path_segments()) {
        let table = PathTable::v1();
        let Ok(path) = table.expand(&segments) else { return Ok(()) };
        let Ok(values) = table.compress(&path) else { return Ok(()) };
        prop_assert_eq!(&table.expand(&values).unwrap(), &path);
        // Escaping more than necessary changes nothing.
        let escaped: String = path.bytes().map(|b| if b == b'/' { "/".into() } else { format!("%{b:02x}") }).collect();
        prop_assert!(path.contains('%') || table.compress(&escaped) == Ok(values));
    }

    #[test]
    fn any_path_text_is_refused_or_comes_back(path in "/?(_matrix|client|r0|pushrules|[a9/.%#?é]|%2[eF3]){0,8}") {
        let table = PathTable::v1();
        if let Ok(values) = table.compress(&path) {
            let back = table.expand(&values).unwrap();
            prop_assert_eq!(table.compress(&back).unwrap(), values);
            prop_assert_eq!(path.matches('/').count(), back.matches('/').count());
        }
    }
}

fn run(json: &[u8], policy: Policy, order: Order) -> Result<(Vec<u8>, Repairs), lowband_codec::Error> {
    let options = EncodeOptions { keys: Some(KeyTable::v1()), policy, order, limits: Limits::default() };
    let mut cbor = Vec::new();
    let repairs = Encoder::new(options).encode(json, &mut cbor)?;
    Ok((cbor, repairs))
}

fn value(cbor: &[u8]) -> serde_json::Value {
    serde_json::from_slice(&cbor_to_json(cbor).unwrap()).unwrap()
}

/// Makes valid and invalid JSON from pieces of its grammar.
fn pieces_of_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"type\":",
        "\"a\":",
        "\"b\":",
        "\"\\u0061\":",
        "\"x\"",
        "\"\\ud800\"",
        "\"\\n",
        "1",
        "-0",
        "1e400",
        "99999999999999999999",
        "0.1",
        "true",
        "null",
        " ",
        "{}",
        "[]",
        "é",
        "\"",
    ]);
    let loose = prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat().into_bytes());
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "1e400",
        "99999999999999999999",
        "0.5",
        "true",
        "null",
        "\"x\"",
        "\"\\udc00\"",
        "[]",
        "{}",
    ]);
    let key = prop::sample::select(vec!["type", "a", "b", "\\u0061", "content", "\\ud800", ""]);
    let sound = value.prop_map(str::to_owned).prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.into_iter().map(|(k, v)| format!(r#""{k}":{v}"#)).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    });
    prop_oneof![loose, sound.prop_map(String::into_bytes)]
}

/// Makes heads with their content, which form an item now and then.
fn heads_of_cbor() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop::sample::select(vec![
        vec![0x00],
        vec![0x18, 0x02],
        vec![0x20],
        vec![0xf9, 0x3c, 0x00],
        vec![0xfb, 0x3f, 0xb9, 0, 0, 0, 0, 0, 1],
        vec![0x61, b'a'],
        vec![0x7f, 0x61, b'a', 0xff],
        vec![0x63, b'1', b'0', b'5'],
        vec![0xf5],
        vec![0x80],
        vec![0xa0],
        vec![0xbf, 0xff],
        vec![0x40],
        vec![0xc1, 0x00],
        vec![0xf7],
        vec![0xff],
        vec![0x62, 0xc3, 0xbc],
        vec![0x61, 0x01],
    ]);
    let key = prop::sample::select(vec![
        vec![0x02],
        vec![0x64, b't', b'y', b'p', b'e'],
        vec![0x18, 0x02],
        vec![0x18, 0x69],
        vec![0x63, b'1', b'0', b'5'],
        vec![0x61, b'a'],
        vec![0x61, b'b'],
        vec![0x7f, 0x61, b'a', 0xff],
        vec![0x03],
        vec![0x20],
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|v| [vec![0x80 | v.len() as u8], v.concat()].concat()),
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|v| [vec![0x9f], v.concat(), vec![0xff]].concat()),
            prop::collection::vec((key.clone(), inner.clone()), 0..6).prop_map(|entries| {
                let head = 0xa0 | entries.len() as u8;
                entries.into_iter().fold(vec![head], |map, (key, value)| [map, key, value].concat())
            }),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|entries| {
                let map =
                    entries.into_iter().fold(vec![0xbf], |map, (key, value)| [map, key, value].concat());
                [map, vec![0xff]].concat()
            }),
        ]
    })
}

/// Makes an object as this crate would write it, with table keys and others in any order, and no key twice.
fn object(size: usize) -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        Just("null".to_owned()),
        Just("0.1".to_owned()),
        "[ !#-\\[\\]-~äß水𝄞]{0,30}".prop_map(|text| format!("\"{text}\"")),
    ];
    let names = prop_oneof![
        "[a-z_]{1,10}",
        prop::sample::select(vec!["type".to_owned(), "versions".into(), String::new()])
    ];
    let value = scalar.prop_recursive(4, 60, 30, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..30).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::btree_map(names.clone(), inner, 0..30).prop_map(|map| {
                let entries: Vec<String> = map.into_iter().map(|(k, v)| format!(r#""{k}":{v}"#)).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    });
    prop::collection::vec(value, 1..size)
        .prop_map(|values| format!(r#"{{"content":[{}]}}"#, values.join(",")))
}

fn path_segments() -> impl Strategy<Value = Vec<String>> {
    let segment = prop_oneof!["[a-zA-Z0-9]", "[ -~é]{0,6}", Just(String::new()), Just("..".to_owned())];
    let literal =
        prop::sample::select(vec!["_matrix", "client", "r0", "rooms", "state", "pushrules", "sync", "user"]);
    prop::collection::vec(prop_oneof![3 => segment, 2 => literal.prop_map(str::to_owned)], 0..8)
}
