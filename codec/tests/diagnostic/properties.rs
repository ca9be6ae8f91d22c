//! For any bytes and any text: nothing is lost on the way, and the annotator says the same.

use super::{read, written};
use lowband_codec::annotate::{Annotated, Kind, Options as AnnotateOptions, What};
use lowband_codec::diagnostic::{LIMITS, Mistake, Options, to_cbor};
use lowband_codec::{ErrorKind, KeyTable};
use proptest::prelude::*;

/// Items of every kind, as text; nested ones of what is inside.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        [
            "0",
            "23",
            "24",
            "1_0",
            "5_3",
            "65536",
            "18446744073709551615",
            "-1",
            "-24_1",
            "0.0",
            "-0.0",
            "1.5_2",
            "1.1",
            "1e300",
            "NaN",
            "NaN_2",
            "Infinity_3",
            "-Infinity",
            "false",
            "true",
            "null",
            "undefined",
            "simple(0)",
            "simple(255)",
            "h''",
            "h'01ff'_1",
            "''_",
            "\"\"",
            "\"\"_",
            "\"a\\n\\\"\u{fc}\"_2",
            "(_ h'01', h'')",
            "(_ \"a\"_0, \"b\")",
            "18446744073709551616",
            "[_ ]",
            "{}",
            "[_1 ]",
        ]
        .as_slice(),
    );
    leaf.prop_map(str::to_owned).prop_recursive(4, 40, 5, |inner| {
        let marks = prop::sample::select(["", "_ ", "_0 ", "_3 "].as_slice());
        prop_oneof![
            (marks.clone(), prop::collection::vec(inner.clone(), 0..30))
                .prop_map(|(mark, items)| format!("[{mark}{}]", items.join(", "))),
            (marks, prop::collection::vec((inner.clone(), inner.clone()), 0..5)).prop_map(|(mark, pairs)| {
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{mark}{}}}", pairs.join(", "))
            }),
            (any::<u32>(), inner.clone()).prop_map(|(tag, content)| format!("{tag}({content})")),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("<<{}>>", items.join(", "))),
        ]
    })
}

/// Returns true if the notation has no form for part of it: a text that is not UTF-8, a NaN with a payload.
fn is_lossy(annotated: &Annotated<'_>) -> bool {
    let quiet = [0x7e00, 0x7fc0_0000, 0x7ff8_0000_0000_0000];
    let text = |note: &lowband_codec::annotate::Note| note.what == What::Refused(ErrorKind::InvalidUtf8);
    annotated.notes().iter().any(text)
        || annotated.items().iter().any(|item| {
            let bits = item.argument.unwrap_or_default();
            let nan = match item.kind {
                Kind::Float16 => bits & 0x7fff > 0x7c00,
                Kind::Float32 => f32::from_bits(bits as u32).is_nan(),
                Kind::Float64 => f64::from_bits(bits).is_nan(),
                _ => false,
            };
            nan && !quiet.contains(&bits)
        })
}

/// Whatever the bytes are: errors are the annotator's, what is written is read as the same bytes, and without
/// names it is the annotator's text.
fn written_as_the_annotator_reads_it(cbor: &[u8], sequence: bool) {
    let annotated = Annotated::new(cbor, AnnotateOptions { sequence, ..AnnotateOptions::default() });
    let plain = Options { keys: None, sequence, ..Options::default() };
    let text = match written(cbor, plain) {
        Err(error) => {
            assert_eq!(Some(error), annotated.error());
            return;
        }
        Ok(text) => text,
    };
    assert_eq!(annotated.error(), None);
    let lossy = is_lossy(&annotated);
    if !lossy {
        assert_eq!(text, annotated.diagnostic(None, usize::MAX));
    }
    for options in [plain, Options { keys: Some(KeyTable::v1()), ..plain }, Options { pretty: true, ..plain }]
    {
        let text = written(cbor, options).unwrap();
        let again = match read(&text) {
            Ok(again) => again,
            // Chunks of a text that are not UTF-8 stand beside texts.
            Err(error) if lossy && error.mistake == Mistake::Chunk => continue,
            Err(error) => panic!("{error}: {text}"),
        };
        assert!(again == cbor || lossy, "{text}");
        if !lossy {
            assert_eq!(written(&again, options).as_ref(), Ok(&text), "stable");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_to_cbor_to_text_to_cbor_is_stable(text in text()) {
        let cbor = read(&text).unwrap();
        written_as_the_annotator_reads_it(&cbor, false);
    }

    #[test]
    fn changed_cbor_is_written_or_refused_as_the_annotator_does(
        text in text(),
        at: prop::sample::Index,
        bytes in prop::collection::vec(any::<u8>(), 0..3),
        sequence: bool,
    ) {
        let mut cbor = read(&text).unwrap();
        let at = at.index(cbor.len());
        cbor.splice(at..(at + bytes.len()).min(cbor.len()), bytes);
        written_as_the_annotator_reads_it(&cbor, sequence);
    }

    #[test]
    fn any_bytes_are_written_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), sequence: bool) {
        written_as_the_annotator_reads_it(&bytes, sequence);
    }

    #[test]
    fn changed_text_is_read_or_refused_within_it(
        text in text(),
        at: prop::sample::Index,
        new in "[\\[\\](){}<>,:'\"/#_ h0-9a-z.+\\\\-]{0,3}",
    ) {
        let mut text = text;
        let at = (0..=at.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.insert_str(at, &new);
        match read(&text) {
            // Whatever was read is CBOR.
            Ok(cbor) => written_as_the_annotator_reads_it(&cbor, true),
            Err(error) => prop_assert!(error.offset <= text.len(), "{error}"),
        }
    }

    #[test]
    fn any_text_is_read_or_refused_within_it(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Err(error) = to_cbor(&bytes, &LIMITS) {
            prop_assert!(error.offset <= bytes.len(), "{error}");
        }
    }
}
