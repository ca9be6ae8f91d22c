//! Allocations: none in the steady state, and in push mode never more than depth and one text need.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod counting;

use counting::{Allocated, count};
use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, Error, ErrorKind, KeyTable, Limits, Order, Policy,
    PushDecoder, PushEncoder, PushOptions,
};

const SYNC: &str = include_str!("../data/sync-small.json");
const LARGE_SYNC: &str = include_str!("../data/sync-medium.json");
const BODIES: &str = include_str!("../data/bodies.jsonl");
const PIECE: usize = 16 << 10;

/// The most memory push mode may hold: one buffer of 64 KiB, the open containers, and, in these tests, the
/// output of one call, which grows by doubling.
const BOUND: usize = 400 << 10;

fn encode_options() -> PushOptions<'static> {
    PushOptions { keys: Some(KeyTable::v1()), ..PushOptions::default() }
}

fn decode_options() -> DecodeOptions<'static> {
    DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() }
}

/// Encodes the pieces and hands over the output after each.
fn encode<'p>(pieces: impl Iterator<Item = &'p [u8]>, mut to: impl FnMut(&[u8])) -> Result<(), Error> {
    let limits = Limits { max_input: usize::MAX, max_output: usize::MAX, ..Limits::default() };
    let mut encoder = PushEncoder::new(PushOptions { limits, ..encode_options() });
    let mut output = Vec::new();
    for piece in pieces {
        encoder.push(piece, &mut output)?;
        to(&output);
        output.clear();
    }
    encoder.finish(&mut output)?;
    to(&output);
    Ok(())
}

fn decode<'p>(pieces: impl Iterator<Item = &'p [u8]>, mut to: impl FnMut(&[u8])) -> Result<(), Error> {
    let limits = Limits { max_input: usize::MAX, max_output: usize::MAX, ..Limits::default() };
    let mut decoder = PushDecoder::new(DecodeOptions { limits, ..decode_options() });
    let mut output = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut output)?;
        to(&output);
        output.clear();
    }
    decoder.finish(&mut output)?;
    Ok(())
}

/// Returns `head`, then `part` until there are `len` bytes, then `tail`.
fn long(head: &str, part: &str, len: usize, tail: &str) -> String {
    let mut text = String::with_capacity(len + part.len() + tail.len());
    text.push_str(head);
    while text.len() < len {
        text.push_str(part);
    }
    text + tail
}

/// Encodes and decodes in pieces; returns the most memory held in either direction.
fn peaks(json: &str) -> [usize; 2] {
    let mut cbor = Vec::with_capacity(2 * json.len());
    let (result, encoded) =
        count(|| encode(json.as_bytes().chunks(PIECE), |output| cbor.extend_from_slice(output)));
    result.unwrap();
    let mut len = 0;
    let (result, decoded) = count(|| decode(cbor.chunks(PIECE), |output| len += output.len()));
    result.unwrap();
    // Synapse escapes more characters than the decoder does.
    assert!(len > json.len() / 10 * 9, "{len} of {}", json.len());
    [encoded.peak, decoded.peak]
}

#[test]
fn a_document_of_64_mebibytes_takes_no_more_memory_than_a_small_one() {
    let json = long("[0", &format!(",{}", SYNC.trim_end()), 64 << 20, "]");
    for peak in peaks(&json) {
        assert!(peak < BOUND, "{peak}");
    }
}

#[test]
fn nor_does_one_text_of_10_mebibytes_or_one_key_of_them_or_a_million_keys_one_object_each() {
    for (head, part, tail) in [
        ("\"", "some text in Ελληνικά, ", "\""),
        ("\"", "\\n\\u0001", "\""),
        ("{\"", "a long key", "\":0}"),
        ("[0", ",{\"type\":0,\"@user:example.org\":1,\"@other:example.org\":{\"a key\":1}}", "]"),
        ("[0", ",[{},[[]]]", "]"),
    ] {
        for peak in peaks(&long(head, part, 10 << 20, tail)) {
            assert!(peak < BOUND, "{peak} for {part}");
        }
    }
}

/// Checks the keys that push mode must remember to notice a repeated one: their memory stays within the
/// limit, and within twice the limit while a buffer grows.
#[test]
fn the_keys_of_one_object_take_as_much_memory_as_they_may() {
    let json: String = (0..400_000).map(|i| format!(",\"@user-{i}:example.org\":1")).collect();
    let json = format!("{{\"type\":0{json}}}");
    for peak in peaks(&json) {
        assert!(peak < BOUND + 3 * Limits::ENCODE.max_keys, "{peak}");
    }
    let json: String = (0..600_000).map(|i| format!(",\"@user-{i}:example.org\":1")).collect();
    let json = format!("{{\"type\":0{json}}}");
    let (result, allocated) = count(|| encode(json.as_bytes().chunks(PIECE), |_| {}));
    assert_eq!(result.unwrap_err().kind, ErrorKind::TooManyKeys);
    assert!(allocated.peak < BOUND + 3 * Limits::ENCODE.max_keys, "{}", allocated.peak);
}

#[test]
fn a_number_of_10_mebibytes_is_refused_before_it_takes_memory() {
    let json = long("[", "1234567890", 10 << 20, "]");
    let (result, allocated) = count(|| encode(json.as_bytes().chunks(PIECE), |_| {}));
    assert_eq!(result.unwrap_err().kind, ErrorKind::NumberTooLong);
    assert!(allocated.peak < BOUND, "{}", allocated.peak);
}

#[test]
fn depth_takes_a_known_amount() {
    let json = format!("{}{}", "{\"a\":[".repeat(500), "]}".repeat(500));
    let limits = Limits { max_depth: 1_000, ..Limits::ENCODE };
    let (mut encoder, mut output) =
        (PushEncoder::new(PushOptions { limits, ..encode_options() }), Vec::with_capacity(1 << 20));
    let ((), allocated) = count(|| encoder.push(json.as_bytes(), &mut output).unwrap());
    assert!(allocated.peak < 200_000, "{}", allocated.peak);
}

#[test]
fn a_second_document_allocates_nothing() {
    let nothing = Allocated { calls: 0, peak: 0 };
    let (mut cbor, mut json) = (Vec::with_capacity(1 << 20), Vec::with_capacity(1 << 20));

    let mut encoder = Encoder::new(EncodeOptions { keys: Some(KeyTable::v1()), ..EncodeOptions::default() });
    let mut decoder = Decoder::new(decode_options());
    for round in 0..2 {
        cbor.clear();
        json.clear();
        let (_, allocated) = count(|| {
            encoder.encode(SYNC.as_bytes(), &mut cbor).unwrap();
            decoder.decode(&cbor, &mut json).unwrap();
        });
        assert!(round == 0 || allocated == nothing, "{allocated:?}");
    }

    // From here on pieces of every size are used: each cuts other tokens.
    let (mut encoder, mut decoder) = (PushEncoder::new(encode_options()), PushDecoder::new(decode_options()));
    for size in [7, 1, 2, 3, 5, 64, 1000, PIECE] {
        cbor.clear();
        json.clear();
        encoder.reset();
        decoder.reset();
        let (_, allocated) = count(|| {
            for piece in SYNC.as_bytes().chunks(size) {
                encoder.push(piece, &mut cbor).unwrap();
            }
            encoder.finish(&mut cbor).unwrap();
            for piece in cbor.chunks(size) {
                decoder.push(piece, &mut json).unwrap();
            }
            decoder.finish(&mut json).unwrap();
        });
        assert!(size == 7 || allocated == nothing, "{allocated:?} in pieces of {size}");
    }
}

/// Passes all bodies of a homeserver, one after the other, through one encoder and one decoder.
#[test]
fn nor_do_many_different_ones_in_one_go() {
    use Order::{AsWritten, Bytewise, LengthFirst};
    // A part of the memory that a canonical order takes for the large body is given back each time.
    let series = [
        (vec![LARGE_SYNC], vec![AsWritten]),
        (BODIES.lines().collect(), vec![AsWritten, Bytewise, LengthFirst]),
    ];
    for (bodies, orders) in series {
        for (order, policy) in
            orders.iter().flat_map(|order| [(*order, Policy::Strict), (*order, Policy::Lenient)])
        {
            let options =
                EncodeOptions { keys: Some(KeyTable::v1()), order, policy, ..EncodeOptions::default() };
            let (mut encoder, mut cbor) = (Encoder::new(options), Vec::new());
            let (mut decoder, mut json) = (Decoder::new(decode_options()), Vec::new());
            for round in 0..2 {
                let (_, allocated) = count(|| {
                    for body in &bodies {
                        cbor.clear();
                        json.clear();
                        encoder.encode(body.as_bytes(), &mut cbor).unwrap();
                        decoder.decode(&cbor, &mut json).unwrap();
                    }
                });
                assert!(round == 0 || allocated.calls == 0, "{allocated:?}, {order:?}, {policy:?}");
            }
        }
    }
}
