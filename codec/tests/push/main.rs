//! Push mode against one-shot: wherever an input is cut, the verdict, its offset and the content
//! are the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

mod bounds;
mod cuts;
mod documents;
#[path = "../vectors/file.rs"]
#[allow(dead_code, reason = "the tests of the vectors need all of it")]
mod file;
mod readable;
mod repeated_keys;

use lowband_codec::{
    DecodeOptions, Decoded, Decoder, EncodeOptions, Encoder, Error, ErrorKind, KeyTable, PushDecoder,
    PushEncoder, PushOptions, Repairs,
};

/// Encodes the pieces, and checks on the way that a complete value has left completely.
fn encode<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    options: PushOptions<'_>,
) -> Result<(Vec<u8>, Repairs), Error> {
    let (mut encoder, mut output) = (PushEncoder::new(options), Vec::new());
    let mut complete = None;
    for piece in pieces {
        if let Err(error) = encoder.push(piece, &mut output) {
            assert_eq!(encoder.push(b"1", &mut output), Err(error), "an error stays");
            assert_eq!(encoder.finish(&mut output), Err(error), "an error stays");
            return Err(error);
        }
        if encoder.is_complete() {
            assert_eq!(*complete.get_or_insert(output.len()), output.len());
        }
    }
    let repairs = encoder.finish(&mut output)?;
    assert!(encoder.is_complete());
    assert_eq!(complete.unwrap_or(output.len()), output.len());
    assert_eq!(repairs, encoder.repairs());
    Ok((output, repairs))
}

/// Decodes the pieces; checks that a complete item has left with the piece that completes it.
fn decode<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    options: DecodeOptions<'_>,
) -> Result<(Vec<u8>, Decoded), Error> {
    let (mut decoder, mut output) = (PushDecoder::new(options), Vec::new());
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut output) {
            assert_eq!(decoder.push(&[0], &mut output), Err(error), "an error stays");
            assert_eq!(decoder.finish(&mut output), Err(error), "an error stays");
            return Err(error);
        }
    }
    let (complete, len) = (decoder.is_complete(), output.len());
    let decoded = decoder.finish(&mut output)?;
    assert!(complete && output.len() == len);
    Ok((output, decoded))
}

fn one_shot_encode(json: &[u8], options: PushOptions<'_>) -> Result<(Vec<u8>, Repairs), Error> {
    let PushOptions { keys, policy, limits } = options;
    let mut cbor = Vec::new();
    let repairs = Encoder::new(EncodeOptions { keys, policy, limits, ..EncodeOptions::default() })
        .encode(json, &mut cbor)?;
    Ok((cbor, repairs))
}

fn one_shot_decode(cbor: &[u8], options: DecodeOptions<'_>) -> Result<(Vec<u8>, Decoded), Error> {
    let mut json = Vec::new();
    let decoded = Decoder::new(options).decode(cbor, &mut json)?;
    Ok((json, decoded))
}

/// Checks that push mode makes of the whole input what one-shot mode makes of it, apart from lengths.
fn assert_encodes_alike(json: &[u8], options: PushOptions<'_>) -> Result<(Vec<u8>, Repairs), Error> {
    let (pushed, whole) = (encode([json], options), one_shot_encode(json, options));
    match (&pushed, &whole) {
        (Ok((pushed, repaired)), Ok((whole, all_repaired))) => {
            let options = DecodeOptions { keys: options.keys, ..DecodeOptions::default() };
            assert_eq!(repaired, all_repaired, "{}", json.escape_ascii());
            let (pushed, whole) =
                (one_shot_decode(pushed, options).unwrap(), one_shot_decode(whole, options).unwrap());
            assert_eq!(pushed, whole, "{}", json.escape_ascii());
        }
        _ => assert_eq!(pushed.as_ref().err(), whole.as_ref().err(), "{}", json.escape_ascii()),
    }
    pushed
}

/// Checks that push mode decodes the whole input as one-shot mode does.
fn assert_decodes_alike(cbor: &[u8], options: DecodeOptions<'_>) -> Result<(Vec<u8>, Decoded), Error> {
    let (pushed, whole) = (decode([cbor], options), one_shot_decode(cbor, options));
    match (&pushed, &whole) {
        // Push mode may meet an integer before its text, or another mistake before the map ends.
        (Err(Error { kind: ErrorKind::RepeatedKey, .. }), _) => {}
        _ => assert_eq!(pushed, whole, "{}", cbor.escape_ascii()),
    }
    pushed
}

fn with_keys() -> PushOptions<'static> {
    PushOptions { keys: Some(KeyTable::v1()), ..PushOptions::default() }
}
