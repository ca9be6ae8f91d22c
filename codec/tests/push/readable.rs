//! Everything an encoder writes can be read: whatever it makes of a text, by any policy, as a whole or in any
//! pieces, the decoders accept with the same limits or their own defaults, and the meaning is that of the
//! text.

use crate::{decode, encode, one_shot_decode, one_shot_encode};
use lowband_codec::{DecodeOptions, EncodeOptions, ErrorKind, KeyTable, Limits, Policy, PushOptions};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::HashMap;

/// JSON whose objects may hold a key more than once.
#[derive(Clone, Debug)]
enum Value {
    /// A scalar as it is written.
    Scalar(String),
    Array(Vec<Value>),
    /// Entries: the key as it is written and as it reads, and the value.
    Object(Vec<([String; 2], Value)>),
    /// This many arrays around a value.
    Deep(usize, Box<Value>),
}

/// Which of several equal keys are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    All,
    First,
    Last,
}

impl Value {
    fn write(&self, keep: Keep) -> String {
        match self {
            Value::Scalar(text) => text.clone(),
            Value::Array(values) => {
                let values: Vec<String> = values.iter().map(|value| value.write(keep)).collect();
                format!("[{}]", values.join(","))
            }
            Value::Deep(depth, value) => {
                format!("{}{}{}", "[".repeat(*depth), value.write(keep), "]".repeat(*depth))
            }
            Value::Object(entries) => {
                let mut places: HashMap<&str, [usize; 2]> = HashMap::new();
                for (place, ([_, name], _)) in entries.iter().enumerate() {
                    places.entry(name).or_insert([place; 2])[1] = place;
                }
                let kept = entries.iter().enumerate().filter(|(place, ([_, name], _))| match keep {
                    Keep::All => true,
                    Keep::First => places[name.as_str()][0] == *place,
                    Keep::Last => places[name.as_str()][1] == *place,
                });
                let entries: Vec<String> =
                    kept.map(|(_, ([key, _], value))| format!("\"{key}\":{}", value.write(keep))).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop::sample::select(vec![
        "null",
        "true",
        "0",
        "-0",
        "-0.0",
        "1e2",
        "1e20",
        "1e21",
        "5e-324",
        "1e400",
        "-1e400",
        "18446744073709551615",
        "18446744073709551616",
        "-18446744073709551616",
        "-18446744073709551617",
        "\"\"",
        "\"text \\u0000 \\u001f \\\" \\\\ \\/ é 𝄞\"",
        "\"\\ud800\"",
        "\"\\udc00 \\ud834\\udd1e \\ud800\\ud800\"",
        "[]",
        "{}",
    ]);
    let scalar = scalar.prop_map(|text| Value::Scalar(text.into()));
    let key = prop::sample::select(vec![
        ["type", "type"],
        ["t\\u0079pe", "type"],
        ["content", "content"],
        ["a", "a"],
        ["\\u0061", "a"],
        ["a\\u0000", "a\0"],
        ["", ""],
        ["105", "105"],
        ["2", "2"],
        ["-1", "-1"],
        ["\\ud800", "\u{fffd}"],
        ["\\udc00", "\u{fffd}"],
        ["é", "é"],
        ["a key that is longer than sixteen bytes", "a key that is longer than sixteen bytes"],
        ["a key that is l0nger than sixteen bytes", "a key that is l0nger than sixteen bytes"],
    ]);
    let key = prop_oneof![
        3 => key.prop_map(|key| key.map(str::to_owned)),
        1 => "[a-d]{1,2}".prop_map(|key| [key.clone(), key]),
    ];
    scalar.prop_recursive(6, 120, 24, move |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            6 => prop::collection::vec((key.clone(), inner.clone()), 0..24).prop_map(Value::Object),
            1 => (1..140_usize, inner).prop_map(|(depth, value)| Value::Deep(depth, value.into())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 256,
        rng_seed: RngSeed::Fixed(7049),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_written_is_read(
        value in value(),
        marked: bool,
        keys: bool,
        max_depth in prop::sample::select(vec![2, 32, 128]),
        size in 1..40_usize,
    ) {
        let keys = keys.then(KeyTable::v1);
        let limits = Limits { max_depth, ..Limits::ENCODE };
        let mark = if marked { "\u{feff}" } else { "" };
        let [all, first, last] = [Keep::All, Keep::First, Keep::Last].map(|keep| format!("{mark}{}", value.write(keep)));
        let lenient = PushOptions { keys, policy: Policy::Lenient, limits };
        let readers = [limits, Limits::DECODE].map(|limits| DecodeOptions { keys, limits });
        let read = |cbor: &[u8]| {
            let [same, default] = readers.map(|options| {
                let whole = one_shot_decode(cbor, options).unwrap().0;
                assert_eq!(decode(cbor.chunks(size), options).unwrap().0, whole);
                whole
            });
            assert_eq!(same, default);
            // The decoded text is accepted by the strict policy.
            let strict = PushOptions { policy: Policy::Strict, ..lenient };
            assert!(one_shot_encode(&same, strict).is_ok() && encode([same.as_slice()], strict).is_ok());
            same
        };

        // The lenient policy accepts each of them; of repeated keys one-shot mode keeps the last, push mode
        // the first.
        let one_shot = read(&one_shot_encode(all.as_bytes(), lenient).unwrap().0);
        prop_assert_eq!(&one_shot, &read(&one_shot_encode(last.as_bytes(), lenient).unwrap().0), "{}", all);
        let pushed = encode(all.as_bytes().chunks(size), lenient).unwrap().0;
        let expected = read(&one_shot_encode(first.as_bytes(), lenient).unwrap().0);
        prop_assert_eq!(read(&pushed), expected, "{}", all);
        prop_assert_eq!(&pushed, &encode(first.as_bytes().chunks(size + 7), lenient).unwrap().0);

        // With the strict policy both modes accept the same texts.
        let strict = PushOptions { policy: Policy::Strict, ..lenient };
        match (one_shot_encode(all.as_bytes(), strict), encode(all.as_bytes().chunks(size), strict)) {
            (Ok((whole, _)), Ok((pushed, _))) => prop_assert!(read(&whole) == one_shot && read(&pushed) == one_shot),
            (whole, pushed) => prop_assert_eq!(whole.unwrap_err(), pushed.unwrap_err(), "{}", all),
        }
    }
}

#[test]
fn an_encoder_s_limits_never_exceed_a_decoder_s() {
    let (encode, decode) = (Limits::ENCODE, Limits::DECODE);
    assert!(encode.max_output <= decode.max_input && encode.max_depth <= decode.max_depth);
    assert!(encode.max_keys <= decode.max_keys);
    assert_eq!((EncodeOptions::default().limits, PushOptions::default().limits), (encode, encode));
    assert_eq!((DecodeOptions::default().limits, Limits::default()), (decode, decode));
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for policy in [Policy::Strict, Policy::Lenient] {
        let options = PushOptions { policy, ..PushOptions::default() };
        for result in [one_shot_encode(deep.as_bytes(), options), encode_all(&deep, options)] {
            match policy {
                Policy::Strict => assert_eq!(result.unwrap_err().kind, ErrorKind::TooDeep),
                Policy::Lenient => {
                    let (cbor, repairs) = result.unwrap();
                    assert_eq!(repairs.too_deep, 1);
                    let json = one_shot_decode(&cbor, DecodeOptions::default()).unwrap().0;
                    assert_eq!(json, format!("{}null{}", "[".repeat(128), "]".repeat(128)).as_bytes());
                }
            }
        }
    }
}

fn encode_all(
    json: &str,
    options: PushOptions<'_>,
) -> Result<(Vec<u8>, lowband_codec::Repairs), lowband_codec::Error> {
    encode([json.as_bytes()], options)
}
