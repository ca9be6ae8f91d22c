//! Every vector, cut at every place.

use crate::file::{Vector, unhex, vectors};
use crate::{assert_decodes_alike, assert_encodes_alike, decode, encode};
use lowband_codec::{Error, ErrorKind, PushOptions};

fn options(vector: &Vector) -> PushOptions<'static> {
    let options = vector.encode_options();
    PushOptions { keys: options.keys, policy: options.policy, limits: options.limits }
}

/// Returns the error that the vector expects.
fn refusal(vector: &Vector) -> Error {
    let named = |kind: &&ErrorKind| kind.name() == vector.text("error");
    Error {
        kind: **ErrorKind::ALL.iter().find(named).as_ref().unwrap(),
        offset: vector.0["offset"].as_u64().unwrap() as usize,
    }
}

/// Cuts the input into two pieces at every place, and into pieces of one byte.
fn every_cut(input: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let halves = (0..=input.len()).map(|at| vec![&input[..at], &input[at..]]);
    halves.chain([input.chunks(1).collect()])
}

#[test]
fn json_is_encoded_alike_wherever_it_is_cut() {
    for file in ["both-ways.json", "json-to-cbor.json", "lenient.json", "refused-json.json"] {
        for vector in vectors(file) {
            let json = vector.json();
            let mut options = options(&vector);
            if file == "lenient.json" {
                options.policy = lowband_codec::Policy::Lenient;
            }
            let repeats = vector.0["repairs"].get("repeated_keys").is_some();
            let expected = if repeats {
                encode([json.as_slice()], options)
            } else {
                assert_encodes_alike(&json, options)
            };
            for pieces in every_cut(&json) {
                assert_eq!(encode(pieces.iter().copied(), options), expected, "{} {pieces:?}", vector.name());
            }
        }
    }
}

#[test]
fn what_is_refused_of_json_is_refused_at_the_same_byte() {
    for vector in vectors("refused-json.json") {
        let error = encode([vector.json().as_slice()], options(&vector)).unwrap_err();
        assert_eq!(error, refusal(&vector), "{}", vector.name());
    }
}

#[test]
fn cbor_is_decoded_alike_wherever_it_is_cut() {
    for file in
        ["both-ways.json", "json-to-cbor.json", "cbor-to-json.json", "lenient.json", "refused-cbor.json"]
    {
        for vector in vectors(file) {
            let cbor = unhex(vector.text("cbor"));
            let options = vector.decode_options();
            let expected = assert_decodes_alike(&cbor, options);
            for pieces in every_cut(&cbor) {
                assert_eq!(decode(pieces.iter().copied(), options), expected, "{} {pieces:?}", vector.name());
            }
        }
    }
}

#[test]
fn what_is_refused_of_cbor_is_refused_at_the_same_byte_or_before_it() {
    for vector in vectors("refused-cbor.json") {
        match decode([unhex(vector.text("cbor")).as_slice()], vector.decode_options()) {
            // An error about an integer before its text names the text.
            Err(error) if error.kind == ErrorKind::RepeatedKey => {
                assert_eq!(refusal(&vector).kind, ErrorKind::RepeatedKey, "{}", vector.name());
                assert!(error.offset <= refusal(&vector).offset, "{}", vector.name());
            }
            Err(error) => assert_eq!(error, refusal(&vector), "{}", vector.name()),
            Ok(_) => panic!("{}", vector.name()),
        }
    }
}

#[test]
fn each_valid_vector_that_ends_early_is_refused_at_its_end() {
    for vector in vectors("both-ways.json") {
        let (json, cbor) = (vector.json(), unhex(vector.text("cbor")));
        // The beginning of a number can be a number: `12` of `123`.
        let number = json[0] == b'-' || json[0].is_ascii_digit();
        for len in (0..json.len()).filter(|_| !number) {
            let error = encode([&json[..len]], options(&vector)).unwrap_err();
            assert_eq!((error.kind, error.offset), (ErrorKind::UnexpectedEnd, len), "{}", vector.name());
        }
        for len in 0..cbor.len() {
            let error = decode([&cbor[..len]], vector.decode_options()).unwrap_err();
            assert_eq!((error.kind, error.offset), (ErrorKind::UnexpectedEnd, len), "{}", vector.name());
        }
    }
}
