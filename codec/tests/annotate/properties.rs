//! The decoder as the oracle for what both read, and the order that holds for any bytes.

use super::file::{hex, unhex, vectors};
use super::{annotate, decode, sequence};
use lowband_codec::annotate::{Annotated, Item, Kind, Limits, Options, Role, What};
use lowband_codec::{KeyTable, json_to_cbor};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn the_vectors_give_the_decoder_s_values_and_refusals() {
    for vector in vectors("both-ways.json").iter().chain(&vectors("cbor-to-json.json")) {
        let cbor = unhex(vector.text("cbor"));
        as_the_decoder_sees_it(&cbor, vector.keys());
    }
    for vector in vectors("refused-cbor.json") {
        // Those of limits belong to the decoder.
        if vector.0.get("limits").is_none() {
            as_the_decoder_sees_it(&unhex(vector.text("cbor")), vector.keys());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn well_formed_items_are_read_as_the_decoder_reads_them(cbor in cbor(), keys: bool) {
        let annotated = annotate(&cbor);
        prop_assert_eq!(annotated.error(), None);
        as_the_decoder_sees_it(&cbor, keys.then(KeyTable::v1));
    }

    #[test]
    fn what_the_encoder_writes_is_shown_as_it_was(json in json()) {
        let cbor = json_to_cbor(&serde_json::to_vec(&json).unwrap()).unwrap();
        let annotated = annotate(&cbor);
        prop_assert!(annotated.is_json() && annotated.notes().is_empty());
        prop_assert_eq!(serde_json::from_str::<Value>(annotated.json()).unwrap(), json);
        as_the_decoder_sees_it(&cbor, Some(KeyTable::v1()));
    }

    #[test]
    fn changed_and_cut_items_are_as_the_decoder_sees_them(
        mut cbor in cbor(),
        at: prop::sample::Index,
        bytes in prop::collection::vec(any::<u8>(), 0..3),
        cut: bool,
    ) {
        let at = at.index(cbor.len());
        cbor.splice(at..(at + bytes.len()).min(cbor.len()), bytes);
        if cut {
            cbor.truncate(at);
        }
        as_the_decoder_sees_it(&cbor, Some(KeyTable::v1()));
    }

    #[test]
    fn any_bytes_have_an_order(bytes in prop::collection::vec(any::<u8>(), 0..100), max_json in 0_usize..300) {
        in_order(&sequence(&bytes));
        let limits = Limits { max_json, ..Limits::default() };
        in_order(&Annotated::new(&bytes[..], Options { limits, ..Options::default() }));
    }
}

/// What the decoder takes has the same text here but for blanks; what it refuses is a mistake or a note at
/// the same byte.
fn as_the_decoder_sees_it(cbor: &[u8], keys: Option<&'static KeyTable>) {
    let annotated = Annotated::new(cbor, Options { keys, ..Options::default() });
    in_order(&annotated);
    match decode(cbor, keys) {
        Ok(json) => {
            assert!(annotated.is_json(), "{}: {:?}", hex(cbor), annotated.notes());
            assert_eq!(without_blanks(annotated.json()).into_bytes(), json, "{}", hex(cbor));
            let marked = (0..annotated.items().len()).find(|item| annotated.is_diagnostic(*item));
            assert_eq!(marked, None, "{}", hex(cbor));
        }
        Err(error) => {
            let noted =
                |what: What| annotated.notes().iter().any(|n| (n.what, n.offset) == (what, error.offset));
            assert!(
                annotated.error() == Some(error) || noted(What::Refused(error.kind)),
                "{}: {error}, {:?}",
                hex(cbor),
                annotated.notes()
            );
            assert!(!annotated.is_json(), "{}", hex(cbor));
        }
    }
}

/// Returns JSON without the blanks between its tokens, as the decoder writes it.
fn without_blanks(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let mut kept = |character: &char| {
        let keep = quoted || !character.is_ascii_whitespace();
        quoted ^= *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        keep
    };
    json.chars().filter(|character| kept(character)).collect()
}

/// Items nest, in the input and in the text, and each is found again from its places.
pub(super) fn in_order(annotated: &Annotated<'_>) {
    let items = annotated.items();
    let mut starts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let what = || format!("{}: item {index}, {item:?}", hex(annotated.cbor()));
        assert!(
            item.start + usize::from(item.head) <= item.end && item.end <= annotated.cbor().len(),
            "{}",
            what()
        );
        starts.push(item.start);
        let around = item.parent.map(|parent| &items[parent]);
        assert_eq!(item.depth, around.map_or(0, |around| around.depth + 1), "{}", what());
        assert_eq!(around.is_none(), item.role == Role::Whole, "{}", what());
        assert!(
            around.is_none_or(|around| around.start < item.start && item.end <= around.end),
            "{}",
            what()
        );
        assert_eq!(annotated.item_at(item.start), Some(index), "{}", what());
        assert_eq!(innermost(items, |item| item.bytes(), item.end - 1), annotated.item_at(item.end - 1));
        assert!(!annotated.words(index).is_empty());
        annotated.preview(index);
        if let Some(range) = annotated.json_range(index) {
            assert!(
                annotated.json().is_char_boundary(range.start)
                    && annotated.json().is_char_boundary(range.end)
            );
            let around = item.parent.map(|parent| annotated.json_range(parent).unwrap());
            assert!(
                around.is_none_or(|around| around.start <= range.start && range.end <= around.end),
                "{}",
                what()
            );
            if !range.is_empty() {
                let found = annotated.item_at_json(range.start).unwrap();
                let same = annotated.json_range(found) == Some(range.clone());
                assert!(same || items[found].parent == Some(index), "{}: {found}", what());
            }
        }
        assert_eq!(item.kind == Kind::Break, item.role == Role::Break);
    }
    assert!(starts.is_sorted_by(|a, b| a < b));
    let covered: usize =
        items.iter().filter(|item| item.parent.is_none()).map(|item| item.bytes().len()).sum();
    match annotated.error() {
        None => assert_eq!(covered, annotated.cbor().len()),
        Some(error) => assert!(covered <= error.offset && error.offset <= annotated.cbor().len()),
    }
    assert!(annotated.notes().is_sorted_by_key(|note| note.item));
    for note in annotated.notes() {
        assert!(items[note.item].bytes().contains(&note.offset), "{}: {note:?}", hex(annotated.cbor()));
    }
    annotated.diagnostic(None, 1000);
}

fn innermost(
    items: &[Item],
    range: impl Fn(&Item) -> std::ops::Range<usize>,
    offset: usize,
) -> Option<usize> {
    (0..items.len()).rfind(|item| range(&items[*item]).contains(&offset))
}

/// JSON values without what the encoder and serde_json see differently.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_filter("integers have one form", |n: &f64| n.fract() != 0.0).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof!["type|content|sender|body|m.room", ".{0,4}"];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Well-formed CBOR with everything that RFC 8949 has, some of it twice in a map.
fn cbor() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop::sample::select(
        [
            "00",
            "1817",
            "1818",
            "20",
            "3bffffffffffffffff",
            "f93c00",
            "f97e00",
            "fa7f800000",
            "fb3fb9999999999999",
            "f4",
            "f5",
            "f6",
            "f7",
            "f0",
            "f8ff",
            "40",
            "4201ff",
            "5f4101ff",
            "5fff",
            "60",
            "6161",
            "62c3bc",
            "61ff",
            "62220a",
            "7fff",
            "7f61616162ff",
            "7f61c361bcff",
            "80",
            "9fff",
            "a0",
            "bfff",
            "780161",
            "6474797065",
        ]
        .map(unhex)
        .to_vec(),
    );
    let key = prop::sample::select(
        [
            "02",
            "1802",
            "6474797065",
            "7f6474797065ff",
            "1869",
            "63313035",
            "6161",
            "6162",
            "03",
            "20",
            "f5",
            "41ff",
            "1b8000000000000000",
            "80",
            "a10102",
            "c100",
            "61ff",
            "7f6161ff",
        ]
        .map(unhex)
        .to_vec(),
    );
    let item = leaf.prop_recursive(5, 60, 6, move |inner| {
        let entries = prop::collection::vec((key.clone(), inner.clone()), 0..6).prop_map(|entries| {
            entries.into_iter().map(|(key, value)| [key, value].concat()).collect::<Vec<_>>()
        });
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|v| [vec![0x80 | v.len() as u8], v.concat()].concat()),
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|v| [vec![0x9f], v.concat(), vec![0xff]].concat()),
            entries.clone().prop_map(|v| [vec![0xa0 | v.len() as u8], v.concat()].concat()),
            entries.prop_map(|v| [vec![0xbf], v.concat(), vec![0xff]].concat()),
            inner.prop_map(|item| [vec![0xc1], item].concat()),
        ]
    });
    (item, any::<bool>()).prop_map(|(item, described)| match described {
        true => [unhex("d9d9f7"), item].concat(),
        false => item,
    })
}
