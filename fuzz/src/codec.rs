//! The codec both ways: accepted input can be converted back and stays equal, refused input leaves the output
//! alone and names a byte of the input, and no limit is exceeded.
//!
//! One byte of choices, then a JSON text or a CBOR item; each input is tried as both.

use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, Error, KeyTable, Limits, Order, PathTable, Policy,
    Repairs, peek,
};

/// Limits so small that a fuzzer's input reaches each of them.
const TIGHT: Limits = Limits { max_input: 200, max_output: 150, max_depth: 4, max_keys: 100 };

/// Earlier output, which must still be there afterwards.
const BEFORE: &[u8] = b"before";

pub fn run(data: &[u8]) {
    let Some((choices, input)) = data.split_first() else { return };
    let keys = (choices & 1 == 0).then(KeyTable::v1);
    let order = [Order::AsWritten, Order::Bytewise, Order::LengthFirst][usize::from(choices >> 1) % 3];
    let limits = if choices & 0x10 == 0 { Limits::default() } else { TIGHT };
    let policy = if choices & 0x20 == 0 { Policy::Strict } else { Policy::Lenient };
    json(input, EncodeOptions { keys, policy, order, limits });
    cbor(input, DecodeOptions { keys, limits });
    if let Ok(text) = std::str::from_utf8(input) {
        path(text);
    }
}

fn json(input: &[u8], options: EncodeOptions<'_>) {
    let Some((cbor, repairs)) = encode(input, options) else { return };
    let strict = encode(input, EncodeOptions { policy: Policy::Strict, ..options });
    match options.policy {
        Policy::Strict => {
            assert_eq!(repairs, Repairs::default(), "strict repairs nothing");
            let lenient = encode(input, EncodeOptions { policy: Policy::Lenient, ..options });
            assert_eq!(lenient.as_ref(), Some(&(cbor.clone(), repairs)), "lenient takes what strict takes");
        }
        Policy::Lenient => {
            let clean = repairs == Repairs::default();
            let marked = input.starts_with("\u{feff}".as_bytes());
            assert_eq!(
                strict.is_some(),
                clean && !marked,
                "what strict refuses has been repaired: {repairs:?}"
            );
        }
    }
    // From here on nothing is repaired and no limit applies.
    let limits = Limits::DECODE;
    let options = EncodeOptions { policy: Policy::Strict, limits, ..options };
    let text = decode(&cbor, DecodeOptions { keys: options.keys, limits }).expect("our own CBOR is read").0;
    let (again, _) = encode(&text, options).expect("our own JSON is read");
    let text_again = decode(&again, DecodeOptions { keys: options.keys, limits }).expect("and once more").0;
    assert_eq!(text_again, text, "JSON that has been through once stays as it is");
    assert_eq!(encode(&text_again, options).map(|(cbor, _)| cbor), Some(again), "and so does its CBOR");
}

fn encode(input: &[u8], options: EncodeOptions<'_>) -> Option<(Vec<u8>, Repairs)> {
    let mut out = BEFORE.to_vec();
    let result = Encoder::new(options).encode(input, &mut out);
    result_in_order(&result, input, &out, options.limits.max_output);
    result.ok().map(|repairs| (out.split_off(BEFORE.len()), repairs))
}

fn cbor(input: &[u8], options: DecodeOptions<'_>) {
    let integer_keys = peek::uses_integer_keys(input);
    let text = peek::text(input, "type", options.keys);
    let number = peek::unsigned(input, "type", options.keys);
    let Some((json, decoded)) = decode(input, options) else { return };
    // Only the decoder handles a tag in front of the item.
    if input.first().is_none_or(|first| first >> 5 != 6) {
        assert_eq!(integer_keys, Ok(decoded.integer_keys), "peek sees the keys that the decoder sees");
        assert!(text.is_ok() && number.is_ok(), "peek reads what the decoder reads");
        assert!(!matches!((text, number), (Ok(Some(_)), Ok(Some(_)))), "a value is text or number");
    }
    let limits = Limits::default();
    let options = EncodeOptions { keys: options.keys, limits, ..EncodeOptions::default() };
    let (again, _) = encode(&json, options).expect("our own JSON is read");
    let back = decode(&again, DecodeOptions { keys: options.keys, limits }).expect("our own CBOR is read");
    assert_eq!(back.0, json, "JSON that has been through once stays as it is");
}

fn decode(input: &[u8], options: DecodeOptions<'_>) -> Option<(Vec<u8>, lowband_codec::Decoded)> {
    let mut out = BEFORE.to_vec();
    let result = Decoder::new(options).decode(input, &mut out);
    result_in_order(&result, input, &out, options.limits.max_output);
    result.ok().map(|decoded| (out.split_off(BEFORE.len()), decoded))
}

fn result_in_order<T>(result: &Result<T, Error>, input: &[u8], out: &[u8], max_output: usize) {
    assert!(out.starts_with(BEFORE), "what was there stays");
    match result {
        Ok(_) => assert!(out.len() - BEFORE.len() <= max_output, "{} bytes of output", out.len()),
        Err(error) => {
            assert_eq!(out, BEFORE, "an error leaves the output alone");
            assert!(error.offset <= input.len(), "{error} of {}", input.len());
        }
    }
}

fn path(text: &str) {
    let table = PathTable::v1();
    if let Ok(values) = table.compress(text) {
        let path = table.expand(&values).expect("what has been compressed can be expanded");
        assert_eq!(table.compress(&path).as_ref(), Ok(&values), "and compressed again");
    }
    let segments: Vec<&str> = text.split('/').collect();
    if let Ok(path) = table.expand(&segments) {
        assert!(path.starts_with('/') && !path.contains(['?', '#']), "{path:?}");
        assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{path:?}");
    }
}
