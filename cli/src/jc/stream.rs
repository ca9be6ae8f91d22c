//! `lowband jc` in pieces: documents of any size in the memory of a small one.
//!
//! CBOR keeps the order of the keys and gets indefinite lengths, and of repeated keys the first is kept: see
//! the codec's push mode.

use super::super::exit::Failure;
use super::super::input::{Input, Source};
use super::super::output::{Sink, Writer};
use super::hex::{self, HexReader};
use super::pretty::Indenter;
use super::progress::Progress;
use super::{Nothing, not_cbor, not_cbor_but_empty, not_hex, not_json, not_json_but};
use lowband_codec::{
    DecodeOptions, KeyTable, Limits, Policy, PushDecoder, PushEncoder, PushOptions, Repairs,
};

/// Bytes that are read at once: enough that system calls cost little.
const PIECE: usize = 64 << 10;

/// Bytes for the keys of the open objects: more than any document of Matrix has, and still not a danger to
/// the user of the command.
const MAX_KEYS: usize = 256 << 20;

/// Returns limits of depth and keys alone: what has been read and written is not kept.
fn limits() -> Limits {
    Limits { max_input: usize::MAX, max_output: usize::MAX, max_keys: MAX_KEYS, ..Limits::default() }
}

/// Converts JSON to CBOR, as bytes or as hexadecimal text.
pub(super) fn to_cbor(
    input: Input<'_>,
    source: &Source<'_>,
    sink: &Sink,
    keys: Option<&KeyTable>,
    policy: Policy,
    as_text: bool,
) -> Result<Repairs, Failure> {
    let mut encoder = PushEncoder::new(PushOptions { keys, policy, limits: limits() });
    let (mut cbor, mut text) = (Vec::new(), String::new());
    let mut write = move |cbor: &mut Vec<u8>, line_end: &str, out: &mut Writer<'_>| {
        if as_text {
            text.clear();
            hex::append(cbor, &mut text);
            text.push_str(line_end);
            out.write(text.as_bytes())?;
        } else {
            out.write(cbor)?;
        }
        cbor.clear();
        Ok(())
    };
    let (mut repairs, mut nothing) = (Repairs::default(), Some(Nothing::NoByte));
    sink.write_in_pieces(|out| {
        pieces(input, sink, |piece| {
            nothing = nothing.and(Nothing::of(piece));
            encoder.push(piece, &mut cbor).map_err(|error| not_json(error, None))?;
            write(&mut cbor, "", out)
        })?;
        if let Some(nothing) = nothing {
            return Err(not_json_but(nothing, source));
        }
        repairs = encoder.finish(&mut cbor).map_err(|error| not_json(error, None))?;
        write(&mut cbor, "\n", out)
    })?;
    Ok(repairs)
}

/// Converts CBOR, as bytes or as hexadecimal text, to JSON with a line end.
pub(super) fn to_json(
    input: Input<'_>,
    source: &Source<'_>,
    sink: &Sink,
    keys: Option<&KeyTable>,
    is_hex: bool,
    pretty: bool,
) -> Result<(), Failure> {
    let mut decoder = PushDecoder::new(DecodeOptions { keys, limits: limits() });
    let (mut hex, mut cbor, mut json) = (HexReader::default(), Vec::new(), Vec::new());
    let (mut indenter, mut indented) = (Indenter::default(), Vec::new());
    let mut nothing = true;
    sink.write_in_pieces(|out| {
        pieces(input, sink, |piece| {
            json.clear();
            if is_hex {
                cbor.clear();
                hex.push(piece, &mut cbor).map_err(not_hex)?;
                nothing &= cbor.is_empty();
                decoder.push(&cbor, &mut json).map_err(|error| not_cbor(error, false))?;
            } else {
                nothing = false;
                decoder
                    .push(piece, &mut json)
                    .map_err(|error| not_cbor(error, hex::decode(piece).is_ok()))?;
            }
            if pretty {
                indented.clear();
                indenter.push(&json, &mut indented);
                return out.write(&indented);
            }
            out.write(&json)
        })?;
        hex.finish().map_err(not_hex)?;
        if nothing {
            return Err(not_cbor_but_empty(source));
        }
        decoder.finish(&mut json).map_err(|error| not_cbor(error, false))?;
        out.write(b"\n")
    })
}

/// Reads to the end, piece by piece, and shows the progress.
fn pieces(
    mut input: Input<'_>,
    sink: &Sink,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut progress = Progress::new(input.len(), sink == &Sink::Stdout);
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = input.read(&mut buffer)?;
        if piece.is_empty() {
            return Ok(());
        }
        take(piece)?;
        progress.advance(piece.len());
    }
}
