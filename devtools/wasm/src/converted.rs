//! JSON to CBOR and back for JavaScript, and how large each form is.

use crate::json;
use crate::utf16::Places;
use lowband_capture::report::hide;
use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, Error, KeyTable, Order, Policy, Repairs, cbor_to_json,
};
use wasm_bindgen::prelude::wasm_bindgen;

/// What became of an input.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Converted {
    bytes: Vec<u8>,
    repairs: Repairs,
    error: Option<String>,
}

#[wasm_bindgen]
impl Converted {
    /// Returns the output; empty after an error.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Returns the output as a text; empty if it is CBOR.
    pub fn text(&self) -> String {
        str::from_utf8(&self.bytes).unwrap_or_default().to_owned()
    }

    /// Returns why the input was refused: `offset`, `utf16` for a text, `kind`, `sentence` as JSON.
    pub fn error(&self) -> Option<String> {
        self.error.clone()
    }

    /// Returns what the lenient policy repaired, counted, as JSON.
    pub fn repairs(&self) -> String {
        let Repairs { big_integers, huge_numbers, repeated_keys, lone_surrogates, too_deep } = self.repairs;
        let mut json = "{".to_owned();
        for (name, count) in [
            ("big_integers", big_integers),
            ("huge_numbers", huge_numbers),
            ("repeated_keys", repeated_keys),
            ("lone_surrogates", lone_surrogates),
            ("too_deep", too_deep),
        ] {
            json::number(name, count, &mut json);
        }
        json.push('}');
        json
    }

    /// Returns true if something was repaired.
    pub fn repaired(&self) -> bool {
        self.repairs != Repairs::default()
    }
}

/// Converts JSON to CBOR. `order`: 0 as written, 1 bytewise, 2 shorter keys first; `keys`: table v1 or none.
#[wasm_bindgen]
pub fn to_cbor(json: &[u8], lenient: bool, order: u32, keys: bool) -> Converted {
    let mut bytes = Vec::new();
    let encoded = encode(json, lenient, order, keys, &mut bytes);
    let error = encoded.err().map(|error| {
        let valid = str::from_utf8(json).ok();
        json::error(error, valid.map(|text| Places::of(text).to_utf16(text, error.offset)))
    });
    Converted { bytes, repairs: encoded.unwrap_or_default(), error }
}

fn encode(json: &[u8], lenient: bool, order: u32, keys: bool, cbor: &mut Vec<u8>) -> Result<Repairs, Error> {
    let options = EncodeOptions {
        keys: keys.then(KeyTable::v1),
        policy: if lenient { Policy::Lenient } else { Policy::Strict },
        order: match order {
            1 => Order::Bytewise,
            2 => Order::LengthFirst,
            _ => Order::AsWritten,
        },
        ..EncodeOptions::default()
    };
    Encoder::new(options).encode(json, cbor)
}

/// Converts CBOR to JSON without blanks; `keys`: table v1 or none.
#[wasm_bindgen]
pub fn to_json(cbor: &[u8], keys: bool) -> Converted {
    let options = DecodeOptions { keys: keys.then(KeyTable::v1), ..DecodeOptions::default() };
    let mut bytes = Vec::new();
    let error = Decoder::new(options).decode(cbor, &mut bytes).err();
    Converted { bytes, repairs: Repairs::default(), error: error.map(|error| json::error(error, None)) }
}

/// Returns whether a body that a browser has sent to this path, or has got from it, may hold secrets: CBOR,
/// or anything else.
#[wasm_bindgen]
pub fn may_hold_secrets(path: &str, body: &[u8], is_cbor: bool) -> bool {
    !hide::shows_http_body(path, body, is_cbor)
}

/// Returns the sizes of a JSON text in bytes, as JSON: `json` as it is, `json_compact` without blanks,
/// `cbor`, `cbor_without_keys` without the key table. Repairs where it has to; `undefined` if it is not
/// JSON.
#[wasm_bindgen]
pub fn sizes(json: &[u8]) -> Option<String> {
    let [mut cbor, mut without_keys] = [Vec::new(), Vec::new()];
    encode(json, true, 0, true, &mut cbor).ok()?;
    encode(json, true, 0, false, &mut without_keys).ok()?;
    let compact = cbor_to_json(&cbor).ok()?;
    let mut sizes = "{".to_owned();
    for (name, size) in [
        ("json", json.len()),
        ("json_compact", compact.len()),
        ("cbor", cbor.len()),
        ("cbor_without_keys", without_keys.len()),
    ] {
        json::number(name, size as u64, &mut sizes);
    }
    sizes.push('}');
    Some(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parsed(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn json_goes_there_and_back_in_each_order() {
        let json = r#"{"type":1,"b":2,"a":3}"#.as_bytes();
        for (order, expected) in [
            (0, r#"{"type":1,"b":2,"a":3}"#),
            (1, r#"{"type":1,"a":3,"b":2}"#),
            (2, r#"{"type":1,"a":3,"b":2}"#),
        ] {
            let cbor = to_cbor(json, false, order, true);
            assert_eq!((cbor.error(), cbor.repaired(), cbor.text().as_str()), (None, false, ""));
            assert_eq!(to_json(&cbor.bytes(), true).text(), expected);
        }
        // Without the table, "type" is the longest key and comes last in both canonical orders.
        let without = to_cbor(json, false, 2, false).bytes();
        assert_eq!(to_json(&without, false).text(), r#"{"a":3,"b":2,"type":1}"#);
        let of_lengths = br#"{"1000":0,"type":0}"#;
        assert_eq!(
            to_json(&to_cbor(of_lengths, false, 2, true).bytes(), true).text(),
            r#"{"type":0,"1000":0}"#
        );
    }

    #[test]
    fn mistakes_and_repairs_are_reported() {
        let twice = "{\"é\":1,\"é\":2}".as_bytes();
        let strict = to_cbor(twice, false, 0, true);
        let error = parsed(&strict.error().unwrap());
        assert_eq!(
            [&error["kind"], &error["offset"], &error["utf16"]],
            [&json!("repeated_key"), &json!(8), &json!(7)]
        );
        assert!(strict.bytes().is_empty());
        let lenient = to_cbor(twice, true, 0, true);
        assert!(lenient.repaired() && lenient.error().is_none());
        assert_eq!(parsed(&lenient.repairs())["repeated_keys"], 1);
        let refused = to_json(b"\x81\x41\x00", true);
        assert_eq!(parsed(&refused.error().unwrap())["offset"], 1);
        assert_eq!((refused.text().as_str(), refused.bytes().len()), ("", 0));
        assert!(parsed(&to_cbor(b"\xff", false, 0, true).error().unwrap()).get("utf16").is_none());
    }

    #[test]
    fn sizes_are_those_of_each_form() {
        let sizes = parsed(&sizes(br#"{ "type": "m.room" }"#).unwrap());
        assert_eq!(sizes, json!({"json": 20, "json_compact": 17, "cbor": 9, "cbor_without_keys": 13}));
        assert_eq!(super::sizes(b"{"), None);
    }
}
