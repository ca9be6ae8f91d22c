//! The configuration of one listener's filter: JSON text, given to Envoy as a `google.protobuf.StringValue`.
//!
//! An empty text means the defaults. All mistakes are reported at once; with any of them Envoy refuses to
//! start, or keeps the old configuration.

use crate::members::Members;
use lowband_codec::KeyTable;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::ops::RangeInclusive;

/// The settings of an operator.
#[derive(Clone, Debug)]
pub struct Config {
    /// `hold_headers`: whether header fields wait until the outcome for the body is known. That needs Envoy's
    /// `allow_on_headers_stop_iteration`: without it no body comes while they wait, and the message hangs.
    /// With `false` they never wait: a translated message has no `content-length`, a mistake in an answer can
    /// only cut it, and of the answers that must become CBOR only those with a `content-length` are held.
    pub hold_headers: bool,
    /// `max_request_bytes`: the longest body of a CBOR request in bytes, both as it comes and as the JSON
    /// that leaves; above it the client gets `413 M_TOO_LARGE`. Envoy's own buffer limit
    /// (`request_body_buffer_limit` of the route) must be higher, or Envoy answers first and in plain text.
    pub max_request_bytes: usize,
    /// `max_held_bytes`: bytes for requests that have not ended, for all clients of a listener on one of
    /// Envoy's threads: 16 KiB for each, plus the parts of their bodies that are held. Above it the largest
    /// request of the heaviest network is cut, or gets 503 if it is the growing one. There is always room for
    /// one body of the longest kind.
    pub max_held_bytes: usize,
    /// `hold_response_bytes`: the longest answer in bytes that is held whole, in either form, before it
    /// becomes CBOR: it gets a `content-length`, definite lengths and, if the homeserver's JSON is broken, an
    /// error that the client can read. A longer one streams. Envoy's buffer limit must be higher, by the
    /// longest piece that a homeserver sends at once. With 0 nothing waits, and no values in discovery
    /// documents are exchanged.
    pub hold_response_bytes: usize,
    /// `max_depth`: the deepest nesting of arrays and objects in a request; a deeper one is refused.
    pub max_depth: usize,
    /// `max_depth_answers`: the deepest nesting in an answer; deeper values become null, since one event that
    /// is too deep for a client would lock it out of every sync that holds it. The decoder of the reference
    /// implementation stops at the default of 32, ours at 128.
    pub max_depth_answers: usize,
    /// `default_key_table`: the integer keys in the answer to a client that gives no sign of knowing any:
    /// `"none"`, as MSC3079 says literally, or `"v1"`. A client that knows no table cannot read an answer
    /// with integer keys.
    pub default_key_table: Option<&'static KeyTable>,
    /// `trusted`: whether `lowband-cbor-version` is believed. Only for a listener that the sidecar alone can
    /// reach.
    pub trusted: bool,
    /// `advertise`: the values that discovery documents state for this proxy. See [`Advertise`].
    pub advertise: Advertise,
}

/// The values that clients get to see. Wrong ones are not noticed: nothing is compared with what can be
/// reached from outside.
#[derive(Clone, Debug, Default)]
pub struct Advertise {
    /// `advertise.dtls_port`: the UDP port of the sidecar as clients reach it, for `/versions`. Behind a load
    /// balancer it differs from the port that the sidecar binds; a wrong one costs every client its attempts
    /// before it falls back.
    pub dtls_port: Option<u16>,
    /// `advertise.base_url`: the homeserver's address for clients, `https://` and a name. With a wrong one no
    /// user can log in.
    pub base_url: Option<String>,
    /// `advertise.stable_name`: whether `/versions` also names the wire `m.low_bandwidth`, which is not yet
    /// in the specification.
    pub stable_name: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            hold_headers: true,
            max_request_bytes: 8 << 20,
            max_held_bytes: 64 << 20,
            hold_response_bytes: 256 << 10,
            max_depth: 128,
            max_depth_answers: 32,
            default_key_table: None,
            trusted: false,
            advertise: Advertise::default(),
        }
    }
}

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

impl Config {
    /// Reads the text, or returns all mistakes in it, one sentence each.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<String>> {
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
                    let set =
                        |(name, value): &(String, &RawValue)| config.advertise.set(name, value.get()).err();
                    mistakes.extend(fields.0.iter().filter_map(set));
                }
                _ => mistakes.extend(config.set(name, value.get()).err()),
            }
        }
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "hold_headers" => self.hold_headers = truth(name, value)?,
            "max_request_bytes" => self.max_request_bytes = number(name, value, BYTES)?,
            "max_held_bytes" => self.max_held_bytes = number(name, value, HELD_BY_ALL)?,
            "hold_response_bytes" => self.hold_response_bytes = number(name, value, HELD)?,
            "max_depth" => self.max_depth = number(name, value, DEPTH)?,
            "max_depth_answers" => self.max_depth_answers = number(name, value, DEPTH_ANSWERS)?,
            "default_key_table" => {
                self.default_key_table = match read::<String>(value).as_deref() {
                    Some("none") => None,
                    Some("v1") => Some(KeyTable::v1()),
                    _ => return Err(format!("{name}: {value} is neither \"none\" nor \"v1\"")),
                }
            }
            "trusted" => self.trusted = truth(name, value)?,
            "advertise" => return Err(format!("{name}: {value} is not an object")),
            _ => return Err(format!("{name}: no such field")),
        }
        Ok(())
    }
}

impl Advertise {
    fn set(&mut self, field: &str, value: &str) -> Result<(), String> {
        let name = &format!("advertise.{field}");
        match field {
            "dtls_port" => self.dtls_port = u16::try_from(number(name, value, 1..=u64::from(u16::MAX))?).ok(),
            "base_url" => self.base_url = Some(base_url(name, value)?),
            "stable_name" => self.stable_name = truth(name, value)?,
            _ => return Err(format!("{name}: no such field")),
        }
        Ok(())
    }
}

/// Checks a base URL: scheme and host, in characters that JSON need not escape.
fn base_url(name: &str, value: &str) -> Result<String, String> {
    let text = read::<String>(value).unwrap_or_default();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let plain = host.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\<>?#@".contains(&byte));
    match plain && !host.is_empty() && !host.starts_with('/') {
        true => Ok(text),
        false => Err(format!("{name}: {value} is not a URL like \"https://matrix.example.org\"")),
    }
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
            let config = Config::parse(text.as_bytes()).unwrap();
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
        let config = Config::parse(text.as_bytes()).unwrap();
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
        let mut mistakes = Config::parse(text.as_bytes()).unwrap_err();
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
            Config::parse(text.as_bytes()).is_ok()
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
            assert_eq!(Config::parse(text.as_bytes()).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_one_mistake() {
        for text in ["[]", "1", "{", "{} {}", "trusted: true", "\u{feff}{}"] {
            let mistakes = Config::parse(text.as_bytes()).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{text}");
            assert!(
                mistakes.iter().all(|mistake| mistake.starts_with("not a JSON object: ")),
                "{mistakes:?}"
            );
        }
        assert!(Config::parse(b"{\"trusted\": \"\xff\"}").is_err());
    }
}
