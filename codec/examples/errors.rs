//! What a refused document looks like to its caller: a kind for programs, the offset of the byte, and a
//! sentence for people.
//!
//! ```sh
//! cargo run -p lowband-codec --example errors
//! ```

use lowband_codec::{EncodeOptions, Encoder, ErrorKind, Policy, cbor_to_json, json_to_cbor};
use std::error::Error;

/// A document written by hand, with a comma too many.
const WITH_COMMA: &str = r#"{"body":"Hello",}"#;
/// A document that holds a key twice, which receivers read in different ways (RFC 8259 section 4).
const TWICE: &str = r#"{"body":"Hello","body":"Goodbye"}"#;
/// A CBOR text of ten bytes, of which only three are there.
const CUT: &[u8] = b"\x6aabc";

fn main() -> Result<(), Box<dyn Error>> {
    if let Err(error) = json_to_cbor(WITH_COMMA.as_bytes()) {
        println!("{WITH_COMMA}");
        println!("{:>width$} {}", '^', error.kind.sentence(), width = error.offset + 1);
    }
    if let Err(error) = cbor_to_json(CUT) {
        // The name is for metrics and stable; the sentence may change.
        println!("{CUT:x?}: {} ({error})", error.kind.name());
    }
    if let Err(error) = json_to_cbor(TWICE.as_bytes()) {
        println!("{TWICE}: {error}");
        // A program that only passes on what others have written repairs this and counts it.
        if error.kind == ErrorKind::RepeatedKey {
            let mut cbor = Vec::new();
            let lenient = EncodeOptions { policy: Policy::Lenient, ..EncodeOptions::default() };
            let repairs = Encoder::new(lenient).encode(TWICE.as_bytes(), &mut cbor)?;
            let json = String::from_utf8(cbor_to_json(&cbor)?)?;
            println!("leniently it is {json}; repeated keys: {}", repairs.repeated_keys);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_runs() {
        main().unwrap();
    }

    #[test]
    fn each_error_names_the_byte_that_it_is_about() {
        for (refused, kind, offset) in [
            (json_to_cbor(WITH_COMMA.as_bytes()), ErrorKind::TrailingComma, 16),
            (json_to_cbor(TWICE.as_bytes()), ErrorKind::RepeatedKey, 16),
            (cbor_to_json(CUT), ErrorKind::UnexpectedEnd, 4),
        ] {
            let error = refused.unwrap_err();
            assert_eq!((error.kind, error.offset), (kind, offset));
        }
    }
}
