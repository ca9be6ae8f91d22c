//! Push mode both ways: the output does not depend on where the input is cut, and equals that of one-shot
//! mode.
//!
//! One byte of choices, one of where to cut, then a JSON text or a CBOR item; each input is tried as both.

use crate::dice::Dice;
use lowband_codec::{
    DecodeOptions, Decoded, Decoder, EncodeOptions, Encoder, Error, ErrorKind, KeyTable, Limits, MAX_TEXT,
    Order, Policy, PushDecoder, PushEncoder, PushOptions, Repairs,
};

/// Limits so small that a fuzzer's input reaches each of them.
const TIGHT: Limits = Limits { max_input: 200, max_output: 150, max_depth: 4, max_keys: 100 };

type Outcome<T> = Result<(Vec<u8>, T), Error>;

pub fn run(data: &[u8]) {
    let [choices, cuts, input @ ..] = data else { return };
    let keys = (choices & 1 == 0).then(KeyTable::v1);
    let limits = if choices & 0x10 == 0 { Limits::default() } else { TIGHT };
    let policy = if choices & 0x20 == 0 { Policy::Strict } else { Policy::Lenient };
    let grown = if choices & 0x40 == 0 { input.to_vec() } else { grow(input) };
    let mut dice = Dice::new(u64::from(*cuts));
    json(&grown, PushOptions { keys, policy, limits }, &mut dice);
    cbor(input, DecodeOptions { keys, limits }, &mut dice);
}

/// Replaces the first two bytes 0x7f by long texts: no input of a fuzzer is as long as a buffer.
fn grow(input: &[u8]) -> Vec<u8> {
    let mut lengths = [MAX_TEXT - 3, MAX_TEXT / 2].into_iter();
    let mut grown = Vec::new();
    for byte in input {
        match Some(byte).filter(|byte| **byte == 0x7f).and_then(|_| lengths.next()) {
            Some(len) => grown.resize(grown.len() + len, b'x'),
            None => grown.push(*byte),
        }
    }
    grown
}

fn json(input: &[u8], options: PushOptions<'_>, dice: &mut Dice) {
    let mut encoder = PushEncoder::new(options);
    let whole = encode(&mut encoder, &[input]);
    for pieces in [cut(input, dice, 8), cut(input, dice, 300), cut(input, dice, 1)] {
        let outcome = encode(&mut encoder, &pieces);
        assert_eq!(outcome, whole, "in pieces of {:?}", pieces.iter().map(|p| p.len()).collect::<Vec<_>>());
    }
    let PushOptions { keys, policy, limits } = options;
    let mut one_shot = Vec::new();
    let repairs = Encoder::new(EncodeOptions { keys, policy, limits, order: Order::AsWritten })
        .encode(input, &mut one_shot);
    match (&whole, repairs) {
        (Ok((pushed, repaired)), Ok(repairs)) => {
            let options = DecodeOptions { keys, limits: Limits::DECODE };
            let mut decoder = PushDecoder::new(options);
            let read = one_shot_decode(pushed, options).expect("our own CBOR is read");
            assert_eq!(decode(&mut decoder, &cut(pushed, dice, 20)).as_ref(), Ok(&read), "also in pieces");
            let expected = one_shot_decode(&one_shot, options).expect("our own CBOR is read");
            // Of repeated keys one mode keeps the first and the other the last, with the repairs in its
            // value.
            assert_eq!(repaired.repeated_keys == 0, repairs.repeated_keys == 0);
            if repairs.repeated_keys == 0 {
                assert_eq!((repairs, &expected), (*repaired, &read), "the same content");
            }
        }
        (Err(pushed), Err(one_shot)) => assert!(pushed == &one_shot || excused(&[*pushed, one_shot])),
        (Err(error), Ok(_)) => assert!(is_limit(error.kind), "{error} in push mode alone"),
        (Ok(_), Err(error)) => assert!(excused(&[error]), "{error} in one-shot alone"),
    }
}

fn cbor(input: &[u8], options: DecodeOptions<'_>, dice: &mut Dice) {
    let mut decoder = PushDecoder::new(options);
    let whole = decode(&mut decoder, &[input]);
    for pieces in [cut(input, dice, 4), cut(input, dice, 300), cut(input, dice, 1)] {
        match (decode(&mut decoder, &pieces), &whole) {
            // A text that is both too long and not UTF-8 is refused for the mistake seen first.
            (Err(one), Err(other)) if [one.kind, other.kind].contains(&ErrorKind::OutputTooLarge) => {}
            (outcome, _) => assert_eq!(&outcome, &whole),
        }
    }
    match (&whole, one_shot_decode(input, options)) {
        (Ok((pushed, decoded)), Ok((one_shot, expected))) => {
            assert_eq!(*decoded, expected);
            assert_eq!(pushed, &one_shot, "the same content");
        }
        (Err(pushed), Err(one_shot)) => assert!(pushed == &one_shot || excused(&[*pushed, one_shot])),
        // A table key as integer, then as text, comes too late.
        (Err(error), Ok(_)) => assert!(excused(&[*error]), "{error} in push mode alone"),
        (Ok(_), Err(error)) => assert!(excused(&[error]), "{error} in one-shot alone"),
    }
}

/// Returns true if an error is about a repeated key or a limit, which push mode judges differently or in
/// another order.
fn excused(errors: &[Error]) -> bool {
    errors.iter().any(|error| error.kind == ErrorKind::RepeatedKey || is_limit(error.kind))
}

fn is_limit(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InputTooLarge | ErrorKind::OutputTooLarge | ErrorKind::TooManyKeys)
}

/// Cuts the input into pieces of up to `max_len` bytes, or empty ones.
fn cut<'i>(mut input: &'i [u8], dice: &mut Dice, max_len: usize) -> Vec<&'i [u8]> {
    // Input that has grown is cut into larger pieces.
    let max_len = max_len.max(input.len() / 2000);
    let mut pieces = Vec::new();
    while !input.is_empty() {
        let (piece, rest) = input.split_at((1 + dice.below(max_len)).min(input.len()));
        pieces.push(piece);
        if dice.below(8) == 0 {
            pieces.push(&[]);
        }
        input = rest;
    }
    pieces
}

fn encode(encoder: &mut PushEncoder<'_>, pieces: &[&[u8]]) -> Outcome<Repairs> {
    encoder.reset();
    let mut output = Vec::new();
    let mut complete = None;
    let pushed = pieces.iter().try_for_each(|piece| {
        encoder.push(piece, &mut output)?;
        if encoder.is_complete() {
            assert_eq!(*complete.get_or_insert(output.len()), output.len(), "nothing follows the root value");
        }
        Ok(())
    });
    let finished = encoder.finish(&mut output);
    if let Err(error) = pushed {
        assert_eq!(finished, Err(error), "an error stays");
    }
    in_order(finished.map(|repairs| (output, repairs)), pieces)
}

fn decode(decoder: &mut PushDecoder<'_>, pieces: &[&[u8]]) -> Outcome<Decoded> {
    decoder.reset();
    let mut output = Vec::new();
    let pushed = pieces.iter().try_for_each(|piece| decoder.push(piece, &mut output));
    let complete = decoder.is_complete().then_some(output.len());
    let finished = decoder.finish(&mut output);
    match pushed {
        Err(error) => assert_eq!(finished, Err(error), "an error stays"),
        Ok(()) => assert_eq!(complete, finished.is_ok().then_some(output.len()), "all has left at once"),
    }
    in_order(finished.map(|decoded| (output, decoded)), pieces)
}

fn in_order<T>(outcome: Outcome<T>, pieces: &[&[u8]]) -> Outcome<T> {
    let len = pieces.iter().map(|piece| piece.len()).sum();
    if let Err(error) = &outcome {
        assert!(error.offset <= len, "{error} of {len}");
    }
    outcome
}

fn one_shot_decode(cbor: &[u8], options: DecodeOptions<'_>) -> Outcome<Decoded> {
    let mut json = Vec::new();
    let decoded = Decoder::new(options).decode(cbor, &mut json)?;
    Ok((json, decoded))
}
