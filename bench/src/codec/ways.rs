//! The ways from bytes to bytes: ours, in one go and in pieces, and others to compare with. Each is made once
//! for a document and then called; what it can keep from call to call it keeps.

use ciborium::Value as Cbor;
use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, KeyTable, PushDecoder, PushEncoder, PushOptions,
};
use serde_json::Value as Json;
use std::hint::black_box;
use std::mem;

/// Translates its document once. The result does not matter here: the codec's tests look at it.
pub(crate) type Way<'d> = Box<dyn FnMut() + 'd>;

/// Bytes that a stream brings at a time.
pub(crate) const PIECE: usize = 16 << 10;

pub(crate) fn encode_options() -> EncodeOptions<'static> {
    EncodeOptions { keys: Some(KeyTable::v1()), ..EncodeOptions::default() }
}

pub(crate) fn push_options() -> PushOptions<'static> {
    PushOptions { keys: Some(KeyTable::v1()), ..PushOptions::default() }
}

pub(crate) fn decode_options() -> DecodeOptions<'static> {
    DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() }
}

pub(crate) fn json_to_cbor<'d>(json: &'d [u8], options: EncodeOptions<'d>) -> Way<'d> {
    let (mut encoder, mut cbor) = (Encoder::new(options), Vec::new());
    Box::new(move || {
        cbor.clear();
        let _ = black_box(encoder.encode(black_box(json), &mut cbor));
    })
}

pub(crate) fn cbor_to_json(cbor: &[u8]) -> Way<'_> {
    let (mut decoder, mut json) = (Decoder::new(decode_options()), Vec::new());
    Box::new(move || {
        json.clear();
        let _ = black_box(decoder.decode(black_box(cbor), &mut json));
    })
}

pub(crate) fn push_json_to_cbor<'d>(json: &'d [u8], options: PushOptions<'d>, piece: usize) -> Way<'d> {
    let (mut encoder, mut cbor) = (PushEncoder::new(options), Vec::new());
    Box::new(move || {
        encoder.reset();
        cbor.clear();
        for piece in black_box(json).chunks(piece) {
            let _ = black_box(encoder.push(piece, &mut cbor));
        }
        let _ = black_box(encoder.finish(&mut cbor));
    })
}

pub(crate) fn push_cbor_to_json(cbor: &[u8], piece: usize) -> Way<'_> {
    let (mut decoder, mut json) = (PushDecoder::new(decode_options()), Vec::new());
    Box::new(move || {
        decoder.reset();
        json.clear();
        for piece in black_box(cbor).chunks(piece) {
            let _ = black_box(decoder.push(piece, &mut json));
        }
        let _ = black_box(decoder.finish(&mut json));
    })
}

/// Converts JSON the obvious way: a tree of serde_json, turned into one of ciborium.
pub(crate) fn dom_json_to_cbor(json: &[u8]) -> Way<'_> {
    let mut cbor = Vec::new();
    Box::new(move || {
        cbor.clear();
        if let Ok(tree) = serde_json::from_slice(black_box(json)) {
            let _ = black_box(ciborium::into_writer(&cbor_of(tree), &mut cbor));
        }
    })
}

/// Converts CBOR back to JSON by way of a tree.
pub(crate) fn dom_cbor_to_json(cbor: &[u8]) -> Way<'_> {
    let mut json = Vec::new();
    Box::new(move || {
        json.clear();
        if let Ok(tree) = ciborium::from_reader(black_box(cbor)) {
            let _ = black_box(serde_json::to_writer(&mut json, &json_of(tree)));
        }
    })
}

/// Reads the text by simd-json, which makes nothing of it but its tape. It writes into its input, so each
/// call needs a copy, which counts: a program that has to keep the input, or gets it borrowed, pays for it
/// too.
pub(crate) fn simd_json_parse(json: &[u8]) -> Way<'_> {
    let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::new(json.len()));
    let mut kept: simd_json::Tape<'static> = simd_json::Tape(Vec::new());
    Box::new(move || {
        copy.clear();
        copy.extend_from_slice(black_box(json));
        let mut tape = mem::replace(&mut kept, simd_json::Tape(Vec::new())).reset();
        let _ = black_box(simd_json::fill_tape(&mut copy, &mut buffers, &mut tape));
        kept = black_box(tape).reset();
    })
}

fn cbor_of(tree: Json) -> Cbor {
    match tree {
        Json::Null => Cbor::Null,
        Json::Bool(value) => Cbor::Bool(value),
        Json::String(text) => Cbor::Text(text),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Cbor::from(value),
            (_, Some(value)) => Cbor::from(value),
            _ => Cbor::from(number.as_f64().unwrap_or_default()),
        },
        Json::Array(values) => Cbor::Array(values.into_iter().map(cbor_of).collect()),
        Json::Object(entries) => Cbor::Map(
            entries
                .into_iter()
                .map(|(name, value)| {
                    let key = KeyTable::v1().integer(&name).map_or(Cbor::Text(name), Cbor::from);
                    (key, cbor_of(value))
                })
                .collect(),
        ),
    }
}

fn json_of(tree: Cbor) -> Json {
    match tree {
        Cbor::Bool(value) => value.into(),
        Cbor::Text(text) => text.into(),
        Cbor::Float(value) => value.into(),
        Cbor::Integer(value) => match u64::try_from(value) {
            Ok(value) => value.into(),
            Err(_) => i64::try_from(value).unwrap_or_default().into(),
        },
        Cbor::Array(values) => values.into_iter().map(json_of).collect(),
        Cbor::Map(entries) => entries
            .into_iter()
            .map(|(key, value)| {
                let name = match key {
                    Cbor::Text(name) => name,
                    Cbor::Integer(key) => {
                        let name = u64::try_from(key).ok().and_then(|key| KeyTable::v1().name(key));
                        name.unwrap_or_default().to_owned()
                    }
                    _ => String::new(),
                };
                (name, json_of(value))
            })
            .collect(),
        _ => Json::Null,
    }
}
