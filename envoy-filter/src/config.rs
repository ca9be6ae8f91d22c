//! The configuration of one listener's filter: JSON text, given to Envoy as a `google.protobuf.StringValue`.
//!
//! No text at all means the defaults. All mistakes are found in one go; with one of them Envoy refuses to start, or keeps
//! the old configuration.

use lowband_codec::KeyTable;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// What an operator can set.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// `max_request_bytes`: the longest body of a CBOR request, as it comes and as the JSON that leaves; above it the
    /// client gets `413 M_TOO_LARGE`. Envoy's own buffer limit (`request_body_buffer_limit` of the route) has to be
    /// higher, or Envoy answers first and in plain text.
    pub max_request_bytes: usize,
    /// `max_response_bytes`: the longest JSON answer that becomes CBOR, in either form; above it the client gets
    /// `502 M_UNKNOWN`. Each one is held in Envoy's memory as a whole, and Envoy's buffer limit has to be higher.
    pub max_response_bytes: usize,
    /// `max_depth`: open arrays and objects of a request inside each other; one more is refused. (In an answer the codec
    /// replaces what lies deeper than 1,024 by null.)
    pub max_depth: usize,
    /// `default_key_table`: the integer keys in the answer to a client that shows no sign of knowing any: `"none"`, which
    /// is the letter of MSC3079, or `"v1"`. A client that knows none cannot read such an answer.
    pub default_key_table: Option<&'static KeyTable>,
    /// `trusted`: whether `lowband-cbor-version` is believed. Only for a listener that nobody but the sidecar can reach.
    pub trusted: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_request_bytes: 8 << 20,
            max_response_bytes: 32 << 20,
            max_depth: 128,
            default_key_table: None,
            trusted: false,
        }
    }
}

/// A VM has 1 GiB at most and never gives any back: the largest body in both its forms has to fit in with room to grow.
const BYTES: RangeInclusive<u64> = 1..=256 << 20;
/// What the codec is tested with, and more than any Matrix event may have.
const DEPTH: RangeInclusive<u64> = 1..=1024;

impl Config {
    /// Reads the text, or says everything that is wrong with it, one sentence each.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<String>> {
        let mut config = Config::default();
        if text.trim_ascii().is_empty() {
            return Ok(config);
        }
        let fields: Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| vec![format!("no JSON object: {error}")])?;
        let mistakes: Vec<String> =
            fields.iter().filter_map(|(name, value)| config.set(name, value).err()).collect();
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "max_request_bytes" => self.max_request_bytes = number(name, value, BYTES)?,
            "max_response_bytes" => self.max_response_bytes = number(name, value, BYTES)?,
            "max_depth" => self.max_depth = number(name, value, DEPTH)?,
            "default_key_table" => {
                self.default_key_table = match value.as_str() {
                    Some("none") => None,
                    Some("v1") => Some(KeyTable::v1()),
                    _ => return Err(format!("{name}: {value} is neither \"none\" nor \"v1\"")),
                }
            }
            "trusted" => {
                self.trusted =
                    value.as_bool().ok_or_else(|| format!("{name}: {value} is neither true nor false"))?;
            }
            _ => return Err(format!("{name}: no such field")),
        }
        Ok(())
    }
}

fn number(name: &str, value: &Value, range: RangeInclusive<u64>) -> Result<usize, String> {
    let number = value.as_u64().filter(|number| range.contains(number)).and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| {
        format!("{name}: {value} is no whole number from {} to {}", range.start(), range.end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_and_an_empty_object_are_the_defaults() {
        for text in ["", " \n", "{}"] {
            let config = Config::parse(text.as_bytes()).unwrap();
            assert_eq!((config.max_request_bytes, config.max_response_bytes), (8 << 20, 32 << 20));
            assert_eq!(
                (config.max_depth, config.default_key_table.is_some(), config.trusted),
                (128, false, false)
            );
        }
    }

    #[test]
    fn each_field_is_read() {
        let text = r#"{"max_request_bytes": 1, "max_response_bytes": 268435456, "max_depth": 1024,
            "default_key_table": "v1", "trusted": true}"#;
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!((config.max_request_bytes, config.max_response_bytes), (1, 256 << 20));
        assert_eq!(
            (config.max_depth, config.default_key_table.is_some(), config.trusted),
            (1024, true, true)
        );
    }

    #[test]
    fn all_mistakes_are_told_and_each_names_its_field() {
        let text = r#"{"max_request_bytes": 0, "max_response_bytes": 268435457, "max_depth": -1, "default_key_table": "v2",
            "trusted": "true", "advertise": {}, "hold_response_bytes": 1, "Trusted": true}"#;
        let mut mistakes = Config::parse(text.as_bytes()).unwrap_err();
        mistakes.sort();
        let fields: Vec<&str> = mistakes.iter().filter_map(|mistake| mistake.split(": ").next()).collect();
        assert_eq!(
            fields,
            [
                "Trusted",
                "advertise",
                "default_key_table",
                "hold_response_bytes",
                "max_depth",
                "max_request_bytes",
                "max_response_bytes",
                "trusted"
            ]
        );
        assert!(mistakes.contains(&"max_request_bytes: 0 is no whole number from 1 to 268435456".to_owned()));
    }

    #[test]
    fn numbers_that_are_not_whole_and_values_of_other_types_are_mistakes() {
        for text in [
            r#"{"max_depth": 1.5}"#,
            r#"{"max_depth": 1e2}"#,
            r#"{"max_depth": "8"}"#,
            r#"{"max_depth": 1025}"#,
            r#"{"max_depth": null}"#,
            r#"{"default_key_table": null}"#,
            r#"{"default_key_table": 1}"#,
            r#"{"trusted": 1}"#,
        ] {
            assert_eq!(Config::parse(text.as_bytes()).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_one_mistake() {
        for text in ["[]", "1", "{", "{} {}", "trusted: true", "\u{feff}{}"] {
            let mistakes = Config::parse(text.as_bytes()).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{text}");
            assert!(mistakes.iter().all(|mistake| mistake.starts_with("no JSON object: ")), "{mistakes:?}");
        }
        assert!(Config::parse(b"{\"trusted\": \"\xff\"}").is_err());
    }
}
