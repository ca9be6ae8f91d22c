//! The annotator: items nest in the input and in the text, each limit holds, and what the decoder takes or
//! refuses is the same here.
//!
//! One byte of choices, then CBOR.

use lowband_codec::annotate::{Annotated, Limits, Options, What};
use lowband_codec::{DecodeOptions, Decoder, KeyTable};

/// Limits so small that a fuzzer's input reaches each of them.
const TIGHT: Limits = Limits { max_input: 200, max_items: 20, max_depth: 4, max_json: 150 };

pub fn run(data: &[u8]) {
    let Some((choices, input)) = data.split_first() else { return };
    let keys = (choices & 1 == 0).then(KeyTable::v1);
    let sequence = choices & 2 != 0;
    let limits = if choices & 4 == 0 { Limits::default() } else { TIGHT };
    let annotated = Annotated::new(input, Options { keys, sequence, limits });
    in_order(&annotated, limits);
    if !sequence && limits == Limits::default() {
        as_the_decoder(&annotated, input, keys);
    }
}

fn in_order(annotated: &Annotated<'_>, limits: Limits) {
    let items = annotated.items();
    assert!(items.len() <= limits.max_items);
    // Closing brackets come on top, each on a line of its own.
    let closing = limits.max_depth.min(items.len()).pow(2) * 2 + 10;
    assert!(annotated.json().len() <= limits.max_json + closing, "{}", annotated.json());
    for (index, item) in items.iter().enumerate() {
        assert!(item.start < item.end && item.end <= annotated.cbor().len(), "{item:?}");
        assert!(item.depth <= limits.max_depth, "{item:?}");
        assert_eq!(annotated.item_at(item.start), Some(index));
        assert!(!annotated.words(index).is_empty());
        annotated.preview(index);
        let range = annotated.json_range(index);
        assert!(range.clone().is_none_or(|range| annotated.json().get(range).is_some()), "{item:?}");
        let Some(parent) = item.parent else { continue };
        let around = &items[parent];
        assert!(around.start < item.start && item.end <= around.end, "{item:?} in {around:?}");
        if let Some(range) = range {
            let around = annotated.json_range(parent).expect("what is around a shown item is shown");
            assert!(around.start <= range.start && range.end <= around.end, "{item:?} in {around:?}");
            if !range.is_empty() {
                annotated.item_at_json(range.start).expect("what is shown is found");
            }
        }
    }
    for note in annotated.notes() {
        assert!(items[note.item].bytes().contains(&note.offset), "{note:?}");
        assert!(annotated.notes_of(note.item).contains(note));
    }
    if let Some(error) = annotated.error() {
        assert!(error.offset <= annotated.cbor().len(), "{error}");
    }
    annotated.diagnostic(None, 1000);
    annotated.diagnostic(items.len().checked_sub(1), 1000);
}

fn as_the_decoder(annotated: &Annotated<'_>, input: &[u8], keys: Option<&KeyTable>) {
    let mut json = Vec::new();
    match Decoder::new(DecodeOptions { keys, ..DecodeOptions::default() }).decode(input, &mut json) {
        Ok(_) => {
            assert!(annotated.is_json(), "{:?}", annotated.notes());
            let blank = |byte: &u8| !byte.is_ascii_whitespace();
            let shown: Vec<u8> = annotated.json().bytes().filter(blank).collect();
            json.retain(blank);
            assert_eq!(shown, json, "the text is the decoder's, but for blanks");
        }
        Err(error) => {
            let refused = What::Refused(error.kind);
            let noted = annotated.notes().iter().any(|n| (n.what, n.offset) == (refused, error.offset));
            assert!(annotated.error() == Some(error) || noted, "{error}: {:?}", annotated.notes());
        }
    }
}
