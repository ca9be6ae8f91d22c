//! Custom key tables, also with more than the 128 keys for which the codec keeps a bit.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use lowband_codec::{DecodeOptions, Decoder, EncodeOptions, Encoder, Error, KeyTable, Order, Policy};

fn table() -> KeyTable {
    let names: Vec<String> = (0..300).map(|i| format!("key-{i}")).collect();
    KeyTable::new("test", names.iter().map(String::as_str).zip(1000..)).unwrap()
}

fn encode(json: &str, keys: &KeyTable, policy: Policy) -> Result<Vec<u8>, Error> {
    let options = EncodeOptions { keys: Some(keys), policy, ..EncodeOptions::default() };
    let mut cbor = Vec::new();
    Encoder::new(options).encode(json.as_bytes(), &mut cbor)?;
    Ok(cbor)
}

fn decode(cbor: &[u8], keys: Option<&KeyTable>) -> Result<String, Error> {
    let mut json = Vec::new();
    Decoder::new(DecodeOptions { keys, ..DecodeOptions::default() }).decode(cbor, &mut json)?;
    Ok(String::from_utf8(json).unwrap())
}

#[test]
fn every_key_of_a_large_table_travels_as_its_integer() {
    let table = table();
    let entries: Vec<String> = table.iter().map(|(name, integer)| format!("\"{name}\":{integer}")).collect();
    let json = format!("{{{}}}", entries.join(","));
    let cbor = encode(&json, &table, Policy::Strict).unwrap();
    assert_eq!(cbor.len(), 3 + 300 * 6);
    assert_eq!(decode(&cbor, Some(&table)).unwrap(), json);
    // Without the table the name of each integer is its decimal text.
    assert!(decode(&cbor, None).unwrap().starts_with(r#"{"1000":1000,"1001":1001,"#));
}

#[test]
fn repeats_are_found_on_both_sides_of_the_128_keys_that_have_a_bit() {
    let table = table();
    for name in ["key-0", "key-127", "key-128", "key-299"] {
        let json = format!(r#"{{"{name}":1,"x":2,"{name}":3}}"#);
        let error = encode(&json, &table, Policy::Strict).unwrap_err();
        assert_eq!((error.kind.name(), error.offset), ("repeated_key", 12 + name.len()), "{name}");
        assert_eq!(encode(&json, &table, Policy::Lenient).unwrap().len(), 1 + 3 + 4);
        let [high, low] = u16::try_from(table.integer(name).unwrap()).unwrap().to_be_bytes();
        let twice = [0xa2, 0x19, high, low, 1, 0x19, high, low, 2];
        let error = decode(&twice, Some(&table)).unwrap_err();
        assert_eq!((error.kind.name(), error.offset), ("repeated_key", 5), "{name}");
    }
}

#[test]
fn where_no_table_was_agreed_on_its_names_are_texts_and_repeats_of_them_are_found() {
    for (name, _) in KeyTable::v1().iter() {
        let head = if name.len() < 24 { vec![0x60 | name.len() as u8] } else { vec![0x78, name.len() as u8] };
        let text = [&head, name.as_bytes()].concat();
        let encode = |json: &str, policy| {
            let mut cbor = Vec::new();
            let options = EncodeOptions { policy, ..EncodeOptions::default() };
            Encoder::new(options).encode(json.as_bytes(), &mut cbor).map(|_| cbor)
        };
        let json = format!(r#"{{"{name}":[{{"{name}":0}}],"x":0,"{name}":1}}"#);
        let error = encode(&json, Policy::Strict).unwrap_err();
        assert_eq!((error.kind.name(), error.offset), ("repeated_key", 19 + 2 * name.len()), "{name}");
        let last = [b"\xa2\x61x\x00", &text[..], b"\x01"].concat();
        assert_eq!(encode(&json, Policy::Lenient).unwrap(), last, "{name}");
        let once = [b"\xa1", &text[..], b"\x81\xa1", &text[..], b"\x00"].concat();
        let json = format!(r#"{{"{name}":[{{"{name}":0}}]}}"#);
        assert_eq!(encode(&json, Policy::Strict).unwrap(), once, "{name}");
    }
}

#[test]
fn the_text_wins_on_both_sides_of_the_128_keys_that_have_a_bit() {
    let table = table();
    for (name, integer) in table.iter() {
        let integer = [&[0x19][..], &u16::try_from(integer).unwrap().to_be_bytes(), &[1]].concat();
        let text = [&[0x60 | name.len() as u8], name.as_bytes(), &[2]].concat();
        for order in [[&integer, &text], [&text, &integer]] {
            let cbor = [&[0xa2][..], order[0], order[1]].concat();
            assert_eq!(decode(&cbor, Some(&table)).unwrap(), format!(r#"{{"{name}":2}}"#));
        }
    }
}

#[test]
fn names_that_json_must_escape_come_back_escaped() {
    let table = KeyTable::new("odd", [("a\"b", 0), ("\n", 1), ("", 2), ("é", 3)]).unwrap();
    let json = r#"{"a\"b":0,"\n":1,"":2,"é":3}"#;
    let cbor = encode(json, &table, Policy::Strict).unwrap();
    assert_eq!(cbor, [0xa4, 0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(decode(&cbor, Some(&table)).unwrap(), json);
}

#[test]
fn canonical_orders_go_by_the_integers() {
    let table = KeyTable::new("swapped", [("a", 2), ("b", 1)]).unwrap();
    let options = EncodeOptions { keys: Some(&table), order: Order::Bytewise, ..EncodeOptions::default() };
    let mut cbor = Vec::new();
    Encoder::new(options).encode(br#"{"a":0,"b":0}"#, &mut cbor).unwrap();
    assert_eq!(cbor, [0xa2, 1, 0, 2, 0]);
}
