//! Annotated CBOR for JavaScript: the places of all items at once, their words as they are asked for.

use crate::json;
use crate::utf16::Places;
use lowband_codec::annotate::{self, Item, Kind, Note, Options, Role, What};
use lowband_codec::{ErrorKind, KeyTable};
use wasm_bindgen::prelude::wasm_bindgen;

/// Words of an item in [`Annotated::items`].
pub const ITEM_WORDS: usize = 8;

/// Stands for "none" in [`Annotated::items`].
pub const NONE: u32 = u32::MAX;

/// Bytes of diagnostic notation that are made at most.
pub const MAX_DIAGNOSTIC: usize = 1 << 20;

/// Bits of the flags in [`Annotated::items`].
mod flags {
    /// The input ends or goes wrong inside the item.
    pub(super) const CUT: u32 = 1;
    /// The item stands in the text in a form that JSON does not have.
    pub(super) const DIAGNOSTIC: u32 = 2;
    pub(super) const NOTED: u32 = 4;
    pub(super) const INDEFINITE: u32 = 8;
    /// The text of the same key wins: the pair is not in the text.
    pub(super) const OVERRULED: u32 = 16;
}

/// Annotates CBOR: one item, or a sequence of them (RFC 8742); with key table v1 or none.
#[wasm_bindgen]
pub fn annotate(cbor: Vec<u8>, sequence: bool, keys: bool) -> Annotated {
    let options = Options { sequence, keys: keys.then(KeyTable::v1), ..Options::default() };
    let inner = annotate::Annotated::new(cbor, options);
    Annotated { places: Places::of(inner.json()), inner }
}

/// The items of one input; JavaScript frees it when another takes its place.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Annotated {
    inner: annotate::Annotated<'static>,
    places: Places,
}

#[wasm_bindgen]
impl Annotated {
    /// Returns the number of items.
    #[wasm_bindgen(getter)]
    pub fn length(&self) -> usize {
        self.inner.items().len()
    }

    /// Returns the text: JSON, and diagnostic notation for what JSON cannot say.
    pub fn json(&self) -> String {
        self.inner.json().to_owned()
    }

    /// Returns true if the text is JSON and its value the one that the codec gives.
    pub fn is_json(&self) -> bool {
        self.inner.is_json()
    }

    /// Returns true if the input is well-formed to its end and valid as far as a generic decoder can see (RFC
    /// 8949 section 5.3.1): texts are UTF-8, keys occur once, a bignum is a byte string.
    pub fn is_valid(&self) -> bool {
        let invalid =
            |note: &Note| matches!(note.what, What::Refused(ErrorKind::InvalidUtf8 | ErrorKind::RepeatedKey));
        let bignum = |item: &Item| item.kind == Kind::Tag && matches!(item.argument, Some(2 | 3));
        let no_bytes = |item: &Item| {
            let around = item.parent.and_then(|parent| self.inner.items().get(parent));
            item.kind != Kind::Bytes && item.role == Role::Content && around.is_some_and(bignum)
        };
        self.inner.error().is_none()
            && !self.inner.notes().iter().any(invalid)
            && !self.inner.items().iter().any(no_bytes)
    }

    /// Returns [`ITEM_WORDS`] numbers for each item: start and end in bytes; length of the head, kind, role
    /// and flags, a byte each from the lowest; depth; parent; start and end in the text; items directly
    /// inside. [`NONE`] where there is no parent or no place in the text.
    pub fn items(&self) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(ITEM_WORDS * self.length());
        let mut noted = self.inner.notes().iter().map(|note| note.item).peekable();
        for (index, item) in self.inner.items().iter().enumerate() {
            let has_notes = noted.peek() == Some(&index);
            while noted.next_if_eq(&index).is_some() {}
            let place = self.inner.json_range(index).map_or([NONE; 2], |range| {
                [range.start, range.end].map(|at| self.places.to_utf16(self.inner.json(), at) as u32)
            });
            let [from, to] = place;
            numbers.extend([
                item.start as u32,
                item.end as u32,
                u32::from(item.head)
                    | (item.kind as u32) << 8
                    | (item.role as u32) << 16
                    | self.flags(index, item, has_notes) << 24,
                item.depth as u32,
                item.parent.map_or(NONE, |parent| parent as u32),
                from,
                to,
                item.children as u32,
            ]);
        }
        numbers
    }

    fn flags(&self, index: usize, item: &Item, noted: bool) -> u32 {
        [
            (item.cut, flags::CUT),
            (self.inner.is_diagnostic(index), flags::DIAGNOSTIC),
            (noted, flags::NOTED),
            (item.argument.is_none(), flags::INDEFINITE),
            (item.overruled, flags::OVERRULED),
        ]
        .iter()
        .map(|(is, flag)| if *is { *flag } else { 0 })
        .sum()
    }

    /// Returns a JSON array with an object for each item from `from` up to `to`: `words`; `preview` of a
    /// string; `key`, the name in the key table; `argument` of the head, in decimal; `notes`, each with the
    /// `sentence`, the `offset` and `refused`, the codec's word for the mistake or null.
    pub fn describe(&self, from: usize, to: usize) -> String {
        let mut json = "[".to_owned();
        for index in from..to.min(self.length()) {
            if index > from {
                json.push(',');
            }
            json.push('{');
            json::text("words", &self.inner.words(index), &mut json);
            if let Some(preview) = self.inner.preview(index) {
                json::text("preview", &preview, &mut json);
            }
            if let Some(key) = self.inner.key_name(index) {
                json::text("key", key, &mut json);
            }
            if let Some(argument) = self.inner.items().get(index).and_then(|item| item.argument) {
                json::text("argument", &argument.to_string(), &mut json);
            }
            self.describe_notes(index, &mut json);
            json.push('}');
        }
        json.push(']');
        json
    }

    fn describe_notes(&self, index: usize, json: &mut String) {
        json::name("notes", json);
        json.push('[');
        for (place, note) in self.inner.notes_of(index).iter().enumerate() {
            if place > 0 {
                json.push(',');
            }
            json.push('{');
            json::text("sentence", note.what.sentence(), json);
            json::number("offset", note.offset as u64, json);
            match note.what {
                What::Refused(kind) => json::text("refused", kind.name(), json),
                _ => {
                    json::name("refused", json);
                    json.push_str("null");
                }
            }
            json.push('}');
        }
        json.push(']');
    }

    /// Returns the innermost item at a byte of the input; -1 if there is none.
    pub fn item_at_byte(&self, offset: usize) -> i32 {
        number(self.inner.item_at(offset))
    }

    /// Returns the innermost item at a UTF-16 unit of the text; -1 if there is none.
    pub fn item_at_json(&self, utf16: usize) -> i32 {
        number(self.inner.item_at_json(self.places.to_byte(self.inner.json(), utf16)))
    }

    /// Returns an item in diagnostic notation (RFC 8949 section 8), or all for -1; up to [`MAX_DIAGNOSTIC`]
    /// bytes.
    pub fn diagnostic(&self, item: i32) -> String {
        self.inner.diagnostic(usize::try_from(item).ok(), MAX_DIAGNOSTIC)
    }

    /// Returns the mistake that ended the reading: `offset`, `kind`, `sentence` as JSON; `undefined` if there
    /// is none.
    pub fn error(&self) -> Option<String> {
        self.inner.error().map(|error| json::error(error, None))
    }

    /// Returns the number of notes of all items.
    pub fn notes_length(&self) -> usize {
        self.inner.notes().len()
    }
}

fn number(item: Option<usize>) -> i32 {
    item.and_then(|item| i32::try_from(item).ok()).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// `{"é": "ü", 2: [h'01', 1(5)], 2: 0}`, cut in a last text.
    const CBOR: &[u8] = b"\xa4\x62\xc3\xa9\x62\xc3\xbc\x02\x82\x41\x01\xc1\x05\x02\x00\x62a";

    #[test]
    fn places_count_as_javascript_does_and_lead_back_to_their_items() {
        let annotated = annotate(CBOR.to_vec(), false, true);
        let text: Vec<u16> = annotated.json().encode_utf16().collect();
        let items = annotated.items();
        assert_eq!(items.len(), ITEM_WORDS * annotated.length());
        let shown: Vec<String> = items
            .chunks(ITEM_WORDS)
            .map(|item| String::from_utf16(&text[item[5] as usize..item[6] as usize]).unwrap())
            .collect();
        assert_eq!(
            shown[1..],
            [
                "\"é\"",
                "\"ü\"",
                "\"type\"",
                "[\n    h'01',\n    1(5)\n  ]",
                "h'01'",
                "1(5)",
                "5",
                "\"type\"",
                "0",
                "..."
            ]
        );
        for (index, item) in items.chunks(ITEM_WORDS).enumerate() {
            assert_eq!(annotated.item_at_byte(item[0] as usize), index as i32);
            assert_eq!(annotated.item_at_json(item[5] as usize), index as i32);
        }
        assert_eq!((annotated.item_at_byte(99), annotated.item_at_json(999)), (-1, -1));
        let flags: Vec<u32> = items.chunks(ITEM_WORDS).map(|item| item[2] >> 24).collect();
        assert_eq!(flags, [3, 0, 0, 0, 0, 6, 6, 0, 4, 0, 3]);
        assert_eq!(items[8 * 6..8 * 7], [11, 13, 1 | 6 << 8 | 1 << 16 | 6 << 24, 2, 4, 41, 45, 1]);
        assert_eq!(items[4], NONE);
    }

    #[test]
    fn rows_are_described_as_json() {
        let annotated = annotate(CBOR.to_vec(), false, true);
        let rows: Value = serde_json::from_str(&annotated.describe(3, 99)).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 8);
        assert_eq!(rows[0], json!({"words": "key 2: type", "key": "type", "argument": "2", "notes": []}));
        assert_eq!(
            rows[2],
            json!({
                "words": "byte string of 1 byte",
                "preview": "h'01'",
                "argument": "1",
                "notes": [{
                    "sentence": "a CBOR byte string has no form in JSON",
                    "offset": 9,
                    "refused": "byte_string",
                }],
            })
        );
        assert_eq!(annotated.describe(2, 2), "[]");
        let long = annotate(vec![0x18, 0], false, true).describe(0, 1);
        assert!(long.ends_with(r#""offset":0,"refused":null}]}]"#), "{long}");
    }

    #[test]
    fn valid_is_more_than_well_formed() {
        for (cbor, valid) in [
            (&b"\xc2\x41\x01"[..], true),
            (b"\xc2\xa1\x02\x00", false),
            (b"\xc3\x00", false),
            (b"\xc1\x00", true),
            (b"\x61\xff", false),
            (b"\xa2\x02\x00\x02\x00", false),
            (b"\xa2\x02\x00\x64type\x00", true),
            (b"\xf7", true),
            (b"\x01\x02", false),
            (b"\x82\x02", false),
        ] {
            assert_eq!(annotate(cbor.to_vec(), false, true).is_valid(), valid, "{cbor:x?}");
        }
    }

    #[test]
    fn what_is_wrong_is_a_part_of_the_answer() {
        let annotated = annotate(CBOR.to_vec(), false, true);
        let error: Value = serde_json::from_str(&annotated.error().unwrap()).unwrap();
        assert_eq!((&error["offset"], &error["kind"]), (&json!(17), &json!("unexpected_end")));
        assert_eq!((annotated.is_json(), annotated.notes_length()), (false, 3));
        assert_eq!(annotated.diagnostic(4), "[h'01', 1(5)]");
        let fine = annotate(b"\x01\x02".to_vec(), true, false);
        assert_eq!((fine.error(), fine.is_json(), fine.diagnostic(-1).as_str()), (None, true, "1, 2"));
    }
}
