//! The configuration of one listener's filter: JSON text, given to Envoy as a `google.protobuf.StringValue`.
//!
//! An empty text means the defaults. All mistakes are reported at once; with any of them Envoy refuses to
//! start, or keeps the old configuration.

use lowband_codec::KeyTable;
use lowband_translation::config::{Advertise, Config};
use lowband_translation::members::Members;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::ops::RangeInclusive;

/// A VM has at most 1 GiB and never returns memory: the largest body must fit in both its forms, with room to
/// grow.
const BYTES: RangeInclusive<u64> = 1..=256 << 20;
/// For all of a VM's clients together; the host has the memory, and a 32-bit number counts it.
const HELD_BY_ALL: RangeInclusive<u64> = 1..=1 << 30;
/// Includes 0: nothing has to wait.
const HELD: RangeInclusive<u64> = 0..=*BYTES.end();
/// The depths with which the codec is tested; more than any Matrix event may have.
const DEPTH: RangeInclusive<u64> = 1..=1024;
/// The depths that the codec's own decoder reads.
const DEPTH_ANSWERS: RangeInclusive<u64> = 1..=128;

/// Reads the text, or returns all mistakes in it, one sentence each.
pub fn parse(text: &[u8]) -> Result<Config, Vec<String>> {
    let mut config = Config::default();
    if text.trim_ascii().is_empty() {
        return Ok(config);
    }
    let text = std::str::from_utf8(text).map_err(|error| vec![format!("not a JSON object: {error}")])?;
    let fields = Members::of(text).map_err(|error| vec![format!("not a JSON object: {error}")])?;
    let mut mistakes = Vec::new();
    for (name, value) in &fields.0 {
        match (name.as_str(), Members::of(value.get())) {
            ("advertise", Ok(fields)) => {
                let set = |(name, value): &(String, &RawValue)| {
                    set_advertised(&mut config.advertise, name, value.get()).err()
                };
                mistakes.extend(fields.0.iter().filter_map(set));
            }
            _ => mistakes.extend(set(&mut config, name, value.get()).err()),
        }
    }
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
}

fn set(config: &mut Config, name: &str, value: &str) -> Result<(), String> {
    match name {
        "hold_headers" => config.hold_headers = truth(name, value)?,
        "max_request_bytes" => config.max_request_bytes = number(name, value, BYTES)?,
        "max_held_bytes" => config.max_held_bytes = number(name, value, HELD_BY_ALL)?,
        "hold_response_bytes" => config.hold_response_bytes = number(name, value, HELD)?,
        "max_depth" => config.max_depth = number(name, value, DEPTH)?,
        "max_depth_answers" => config.max_depth_answers = number(name, value, DEPTH_ANSWERS)?,
        "default_key_table" => {
            config.default_key_table = match read::<String>(value).as_deref() {
                Some("none") => None,
                Some("v1") => Some(KeyTable::v1()),
                _ => return Err(format!("{name}: {value} is neither \"none\" nor \"v1\"")),
            }
        }
        "trusted" => config.trusted = truth(name, value)?,
        "advertise" => return Err(format!("{name}: {value} is not an object")),
        _ => return Err(format!("{name}: no such field")),
    }
    Ok(())
}

fn set_advertised(advertise: &mut Advertise, field: &str, value: &str) -> Result<(), String> {
    let name = &format!("advertise.{field}");
    match field {
        "dtls_port" => {
            advertise.dtls_port = u16::try_from(number(name, value, 1..=u64::from(u16::MAX))?).ok();
        }
        "base_url" => advertise.base_url = Some(base_url(name, value)?),
        "stable_name" => advertise.stable_name = truth(name, value)?,
        _ => return Err(format!("{name}: no such field")),
    }
    Ok(())
}

fn base_url(name: &str, value: &str) -> Result<String, String> {
    let url = read::<String>(value).filter(|url| Advertise::is_base_url(url));
    url.ok_or_else(|| format!("{name}: {value} is not a URL like \"https://matrix.example.org\""))
}

/// Returns a value of this type; `None` for any other value.
fn read<T: DeserializeOwned>(value: &str) -> Option<T> {
    serde_json::from_str(value).ok()
}

fn truth(name: &str, value: &str) -> Result<bool, String> {
    read(value).ok_or_else(|| format!("{name}: {value} is neither true nor false"))
}

fn number(name: &str, value: &str, range: RangeInclusive<u64>) -> Result<usize, String> {
    let number = read::<u64>(value).filter(|number| range.contains(number));
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| {
        format!("{name}: {value} is not a whole number from {} to {}", range.start(), range.end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_and_an_empty_object_are_the_defaults() {
        for text in ["", " \n", "{}", "{\"advertise\": {}}"] {
            let config = parse(text.as_bytes()).unwrap();
            assert!(config.hold_headers);
            assert_eq!((config.max_request_bytes, config.hold_response_bytes), (8 << 20, 256 << 10));
            assert_eq!(config.max_held_bytes, 64 << 20);
            assert_eq!((config.max_depth, config.max_depth_answers), (128, 32));
            assert_eq!((config.default_key_table.is_some(), config.trusted), (false, false));
            let Advertise { dtls_port, base_url, stable_name } = config.advertise;
            assert_eq!((dtls_port, base_url, stable_name), (None, None, false));
        }
    }

    #[test]
    fn each_field_is_read() {
        let text = r#"{"hold_headers": false, "max_request_bytes": 1, "max_held_bytes": 1073741824, "hold_response_bytes": 268435456, "max_depth": 1024,
            "max_depth_answers": 128, "default_key_table": "v1", "trusted": true,
            "advertise": {"dtls_port": 65535, "base_url": "https://lb.example.org:8448/x", "stable_name": true}}"#;
        let config = parse(text.as_bytes()).unwrap();
        assert!(!config.hold_headers);
        assert_eq!((config.max_request_bytes, config.hold_response_bytes), (1, 256 << 20));
        assert_eq!(config.max_held_bytes, 1 << 30);
        assert_eq!((config.max_depth, config.max_depth_answers), (1024, 128));
        assert_eq!((config.default_key_table.is_some(), config.trusted), (true, true));
        let Advertise { dtls_port, base_url, stable_name } = config.advertise;
        assert_eq!((dtls_port, stable_name), (Some(65535), true));
        assert_eq!(base_url.as_deref(), Some("https://lb.example.org:8448/x"));
    }

    #[test]
    fn all_mistakes_are_told_and_each_names_its_field() {
        let text = r#"{"max_request_bytes": 0, "hold_response_bytes": 268435457, "max_depth": -1, "max_depth_answers": 129, "default_key_table": "v2",
            "trusted": "true", "advertise": {"dtls_port": 0, "base_url": "lb", "observe": 1, "stable_name": null},
            "max_held_bytes": 0, "max_response_bytes": 1, "Trusted": true}"#;
        let mut mistakes = parse(text.as_bytes()).unwrap_err();
        mistakes.sort();
        let fields: Vec<&str> = mistakes.iter().filter_map(|mistake| mistake.split(": ").next()).collect();
        assert_eq!(
            fields,
            [
                "Trusted",
                "advertise.base_url",
                "advertise.dtls_port",
                "advertise.observe",
                "advertise.stable_name",
                "default_key_table",
                "hold_response_bytes",
                "max_depth",
                "max_depth_answers",
                "max_held_bytes",
                "max_request_bytes",
                "max_response_bytes",
                "trusted"
            ]
        );
        assert!(
            mistakes.contains(&"max_request_bytes: 0 is not a whole number from 1 to 268435456".to_owned())
        );
    }

    #[test]
    fn a_base_url_is_a_scheme_and_a_host_without_anything_to_escape() {
        let accepted = |url: &str| {
            let text = serde_json::json!({ "advertise": { "base_url": url } }).to_string();
            parse(text.as_bytes()).is_ok()
        };
        for url in
            ["https://a", "http://127.0.0.1:8008", "https://[::1]:8448", "https://matrix.example.org/base/"]
        {
            assert!(accepted(url), "{url}");
        }
        for url in [
            "",
            "a",
            "https://",
            "https:///x",
            "ftp://a",
            "HTTPS://a b",
            "https://a b",
            "https://a\"",
            "https://a\\",
        ] {
            assert!(!accepted(url), "{url}");
        }
        for url in ["https://a?b", "https://a#b", "https://user@a", "https://\u{fc}", "https://a\n"] {
            assert!(!accepted(url), "{url}");
        }
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
            r#"{"hold_headers": "no"}"#,
            r#"{"advertise": 8008}"#,
            r#"{"advertise": {"dtls_port": 65536}}"#,
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_one_mistake() {
        for text in ["[]", "1", "{", "{} {}", "trusted: true", "\u{feff}{}"] {
            let mistakes = parse(text.as_bytes()).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{text}");
            assert!(
                mistakes.iter().all(|mistake| mistake.starts_with("not a JSON object: ")),
                "{mistakes:?}"
            );
        }
        assert!(parse(b"{\"trusted\": \"\xff\"}").is_err());
    }
}
