//! Diagnostic notation both ways: what is written is read as the same bytes, what is read is well-formed,
//! errors lie within the input and are the annotator's, and each limit holds.
//!
//! One byte of choices, then text or CBOR; each input is tried as both.

use lowband_codec::annotate::{self, Annotated, Kind, What};
use lowband_codec::diagnostic::{LIMITS, Mistake, Options, from_cbor, to_cbor};
use lowband_codec::{ErrorKind, KeyTable, Limits};

/// Limits so small that a fuzzer's input reaches each of them.
const TIGHT: Limits = Limits { max_input: 200, max_output: 150, max_depth: 4, max_keys: 100 };

pub fn run(data: &[u8]) {
    let Some((choices, input)) = data.split_first() else { return };
    let keys = (choices & 1 == 0).then(KeyTable::v1);
    let (sequence, pretty) = (choices & 2 != 0, choices & 4 != 0);
    let limits = if choices & 8 == 0 { LIMITS } else { TIGHT };
    written(input, Options { keys, pretty, sequence, limits });
    match to_cbor(input, &limits) {
        Ok(cbor) => {
            assert!(input.len() <= limits.max_input && cbor.len() <= limits.max_output);
            written(&cbor, Options { keys, pretty, sequence: true, limits: LIMITS });
        }
        Err(error) => assert!(error.offset <= input.len(), "{error}"),
    }
}

fn written(cbor: &[u8], options: Options<'_>) {
    let mut text = b"before".to_vec();
    let result = from_cbor(cbor, options, &mut text);
    let text = text.strip_prefix(b"before").expect("earlier output is left alone");
    // Closing brackets come on top, each on a line of its own.
    let closing = options.limits.max_depth.min(cbor.len() + 1).pow(2) * 2 + 10;
    assert!(text.len() <= options.limits.max_output.saturating_add(closing), "{}", text.len());
    let annotated = Annotated::new(
        cbor,
        annotate::Options { sequence: options.sequence, ..annotate::Options::default() },
    );
    if options.limits != LIMITS {
        return;
    }
    if let Err(error) = result {
        assert_eq!(Some(error), annotated.error());
        return;
    }
    assert_eq!(annotated.error(), None);
    match to_cbor(text, &LIMITS) {
        Ok(again) => assert!(again == cbor || lossy(&annotated), "{}", String::from_utf8_lossy(text)),
        Err(error) => assert!(error.mistake == Mistake::Chunk && lossy(&annotated), "{error}"),
    }
}

/// Returns true if the notation has no form for part of it: a text that is not UTF-8, a NaN with a payload.
fn lossy(annotated: &Annotated<'_>) -> bool {
    let not_utf8 = |note: &annotate::Note| note.what == What::Refused(ErrorKind::InvalidUtf8);
    let nan = |item: &annotate::Item| match (item.kind, item.argument) {
        (Kind::Float16, Some(bits)) => bits & 0x7fff > 0x7c00,
        (Kind::Float32, Some(bits)) => f32::from_bits(bits as u32).is_nan(),
        (Kind::Float64, Some(bits)) => f64::from_bits(bits).is_nan(),
        _ => false,
    };
    annotated.notes().iter().any(not_utf8) || annotated.items().iter().any(nan)
}
