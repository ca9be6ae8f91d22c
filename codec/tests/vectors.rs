//! The vector files, which other implementers can take: `vectors/README.md` describes them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use file::{Vector, hex, unhex, vectors};
use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, Error, ErrorKind, KeyTable, PathTable, Policy, Repairs,
};

#[path = "vectors/file.rs"]
mod file;

#[test]
fn both_ways() {
    for vector in vectors("both-ways.json") {
        assert_encodes(&vector);
        assert_decodes(&vector);
    }
}

#[test]
fn json_to_cbor() {
    for vector in vectors("json-to-cbor.json") {
        assert_encodes(&vector);
    }
}

#[test]
fn cbor_to_json() {
    for vector in vectors("cbor-to-json.json") {
        let decoded = assert_decodes(&vector);
        assert_eq!(decoded.integer_keys, vector.0["integer_keys"], "{}", vector.name());
    }
}

#[test]
fn lenient() {
    for vector in vectors("lenient.json") {
        let options = EncodeOptions { policy: Policy::Lenient, ..vector.encode_options() };
        let mut cbor = Vec::new();
        let repairs = Encoder::new(options).encode(&vector.json(), &mut cbor).unwrap();
        assert_eq!(hex(&cbor), vector.text("cbor"), "{}", vector.name());
        let count = |what: &str| vector.0["repairs"].get(what).map_or(0, |n| n.as_u64().unwrap());
        let expected = Repairs {
            big_integers: count("big_integers"),
            huge_numbers: count("huge_numbers"),
            repeated_keys: count("repeated_keys"),
            lone_surrogates: count("lone_surrogates"),
            too_deep: count("too_deep"),
        };
        assert_eq!(repairs, expected, "{}", vector.name());
        let marked = vector.json().starts_with("\u{feff}".as_bytes());
        if repairs != Repairs::default() || marked {
            assert!(encode(&vector.json(), vector.encode_options()).is_err(), "strict: {}", vector.name());
        }
    }
}

#[test]
fn refused_json() {
    for vector in vectors("refused-json.json") {
        let error = encode(&vector.json(), vector.encode_options()).expect_err(vector.name());
        assert_error(error, &vector);
    }
}

#[test]
fn refused_cbor() {
    for vector in vectors("refused-cbor.json") {
        let error = decode(&unhex(vector.text("cbor")), vector.decode_options()).expect_err(vector.name());
        assert_error(error, &vector);
    }
}

#[test]
fn every_kind_of_error_has_a_vector() {
    let named: Vec<Vector> =
        ["refused-json.json", "refused-cbor.json"].into_iter().flat_map(vectors).collect();
    // A number of more than 65,536 characters is too long for a table as well, and the kind "too many keys"
    // belongs to push mode alone; other tests cover both.
    let elsewhere = [ErrorKind::NumberTooLong, ErrorKind::TooManyKeys];
    for kind in ErrorKind::ALL.iter().filter(|kind| !elsewhere.contains(kind)) {
        assert!(named.iter().any(|vector| vector.text("error") == kind.name()), "{}", kind.name());
    }
}

#[test]
fn all_keys_and_all_paths_of_version_1_have_a_vector() {
    let both_ways = vectors("both-ways.json");
    for (name, integer) in KeyTable::v1().iter() {
        let title = format!("key {integer}: {name}");
        assert!(both_ways.iter().any(|vector| vector.name() == title), "{title}");
    }
    let paths = vectors("paths.json");
    for (code, path) in PathTable::v1().iter() {
        let title = format!("code {code}: {path}");
        assert!(paths.iter().any(|vector| vector.name() == title), "{title}");
    }
}

#[test]
fn paths() {
    let table = PathTable::v1();
    for vector in vectors("paths.json") {
        let name = vector.name();
        let path = vector.0.get("path").map(|path| path.as_str().unwrap());
        let segments = vector.0.get("segments").map(|all| {
            all.as_array()
                .unwrap()
                .iter()
                .map(|segment| segment.as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        });
        match (segments, path, vector.0.get("error")) {
            (Some(segments), Some(path), None) => {
                let only = vector.0.get("only").map_or("", |only| only.as_str().unwrap());
                if only != "compress" {
                    assert_eq!(table.expand(&segments).as_deref(), Ok(path), "{name}");
                }
                if only != "expand" {
                    assert_eq!(table.compress(path), Ok(segments), "{name}");
                }
            }
            (Some(segments), None, Some(error)) => {
                assert_eq!(table.expand(&segments).unwrap_err().name(), error, "{name}");
            }
            (None, Some(path), Some(error)) => {
                assert_eq!(table.compress(path).unwrap_err().name(), error, "{name}");
            }
            _ => panic!("{name}: neither a mapping nor a refusal"),
        }
    }
}

#[test]
fn each_valid_vector_cut_at_every_byte_is_refused() {
    let mut cuts = 0;
    for file in ["both-ways.json", "json-to-cbor.json", "cbor-to-json.json"] {
        for vector in vectors(file) {
            let cbor = unhex(vector.text("cbor"));
            for len in 0..cbor.len() {
                let error = decode(&cbor[..len], vector.decode_options()).expect_err(vector.name());
                assert_eq!((error.kind, error.offset), (ErrorKind::UnexpectedEnd, len), "{}", vector.name());
                cuts += 1;
            }
            let json = vector.json();
            let json = json.trim_ascii();
            // The beginning of a number can be a number: `12` of `123`.
            let number = json[0] == b'-' || json[0].is_ascii_digit();
            for len in (0..json.len()).filter(|_| !number) {
                let error = encode(&json[..len], vector.encode_options()).expect_err(vector.name());
                assert_eq!((error.kind, error.offset), (ErrorKind::UnexpectedEnd, len), "{}", vector.name());
                cuts += 1;
            }
        }
    }
    assert!(cuts > 20_000, "{cuts}");
}

fn encode(json: &[u8], options: EncodeOptions<'_>) -> Result<Vec<u8>, Error> {
    let mut cbor = b"before".to_vec();
    let result = Encoder::new(options).encode(json, &mut cbor);
    assert!(cbor.starts_with(b"before"));
    match result {
        Ok(repairs) => {
            assert_eq!(repairs, Repairs::default(), "strict repairs nothing");
            Ok(cbor.split_off(6))
        }
        Err(error) => {
            assert_eq!(cbor, b"before", "an error leaves the output as it was");
            Err(error)
        }
    }
}

fn decode(cbor: &[u8], options: DecodeOptions<'_>) -> Result<(Vec<u8>, lowband_codec::Decoded), Error> {
    let mut json = b"before".to_vec();
    let result = Decoder::new(options).decode(cbor, &mut json);
    assert!(json.starts_with(b"before"));
    match result {
        Ok(decoded) => Ok((json.split_off(6), decoded)),
        Err(error) => {
            assert_eq!(json, b"before", "an error leaves the output as it was");
            Err(error)
        }
    }
}

fn assert_encodes(vector: &Vector) {
    let cbor = encode(&vector.json(), vector.encode_options());
    assert_eq!(cbor.as_deref().map(hex), Ok(vector.text("cbor").to_owned()), "{}", vector.name());
}

fn assert_decodes(vector: &Vector) -> lowband_codec::Decoded {
    let result = decode(&unhex(vector.text("cbor")), vector.decode_options());
    let (json, decoded) = result.unwrap_or_else(|error| panic!("{}: {error}", vector.name()));
    assert_eq!(String::from_utf8(json).unwrap(), vector.text("json"), "{}", vector.name());
    decoded
}

fn assert_error(error: Error, vector: &Vector) {
    let expected = (vector.text("error"), vector.0["offset"].as_u64().unwrap() as usize);
    assert_eq!((error.kind.name(), error.offset), expected, "{}", vector.name());
}
