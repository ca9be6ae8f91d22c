//! An event on its way from JSON to CBOR and back: what the integer keys and the path codes save.
//!
//! ```sh
//! cargo run -p lowband-codec --example round_trip
//! ```

use lowband_codec::{
    DecodeOptions, Decoder, EncodeOptions, Encoder, KeyTable, PathTable, cbor_to_json, json_to_cbor,
};
use std::error::Error;

const EVENT: &[u8] = br#"{"type":"m.room.message","content":{"msgtype":"m.text","body":"Hello"}}"#;
const PATH: &str = "/_matrix/client/r0/rooms/!r:example.org/send/m.room.message/1";

fn main() -> Result<(), Box<dyn Error>> {
    // The short way: key table v1, strict, default limits.
    let cbor = json_to_cbor(EVENT)?;
    println!("{} bytes of JSON, {} of CBOR", EVENT.len(), cbor.len());
    println!("back again: {}", String::from_utf8(cbor_to_json(&cbor)?)?);

    // The long way. Encoder and decoder are made once and used for any number of documents; without a key
    // table every name is written as text, which each CBOR library can read.
    let mut named = Vec::new();
    let repairs = Encoder::new(EncodeOptions::default()).encode(EVENT, &mut named)?;
    println!("with its names in full {} bytes; repeated keys: {}", named.len(), repairs.repeated_keys);
    let mut json = Vec::new();
    Decoder::new(DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() })
        .decode(&named, &mut json)?;
    println!("a decoder with the table reads both: {}", String::from_utf8(json)?);

    for name in ["type", "content", "msgtype", "body", "org.example.mine"] {
        match KeyTable::v1().integer(name) {
            Some(integer) => println!("the key {name} is {integer}"),
            None => println!("the key {name} has no integer, and is written as text"),
        }
    }

    let segments = PathTable::v1().compress(PATH)?;
    println!("{PATH} is {segments:?} in Uri-Path options");
    println!("and back again: {}", PathTable::v1().expand(&segments)?);
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
    fn all_comes_back_as_it_was_and_was_shorter_meanwhile() {
        let cbor = json_to_cbor(EVENT).unwrap();
        assert!(cbor.len() * 3 < EVENT.len() * 2, "{} bytes", cbor.len());
        assert_eq!(cbor_to_json(&cbor).unwrap(), EVENT);
        let segments = PathTable::v1().compress(PATH).unwrap();
        assert_eq!(segments, ["9", "!r:example.org", "m.room.message", "1"]);
        assert_eq!(PathTable::v1().expand(&segments).unwrap(), PATH);
    }
}
