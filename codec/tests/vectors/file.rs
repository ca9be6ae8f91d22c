//! Reading the vector files.

use lowband_codec::{DecodeOptions, EncodeOptions, KeyTable, Limits, Order, Policy};
use serde_json::Value;
use std::path::Path;

/// One vector of a file.
pub(crate) struct Vector(pub(crate) Value);

/// Returns all vectors of a file.
pub(crate) fn vectors(file: &str) -> Vec<Vector> {
    let text = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file)).unwrap();
    let vectors: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert!(!vectors.is_empty());
    vectors.into_iter().map(Vector).collect()
}

impl Vector {
    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_else(|| panic!("{} has no {field}", self.0))
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        match self.0.get("json_hex") {
            Some(hex) => unhex(hex.as_str().unwrap()),
            None => self.text("json").into(),
        }
    }

    pub(crate) fn keys(&self) -> Option<&'static KeyTable> {
        match self.0.get("keys").map(|keys| keys.as_str().unwrap()) {
            None | Some("v1") => Some(KeyTable::v1()),
            Some("none") => None,
            Some(other) => panic!("{other}"),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        let default = Limits::default();
        let limit = |name: &str, default: usize| {
            self.0.get("limits").and_then(|l| l.get(name)).map_or(default, |n| n.as_u64().unwrap() as usize)
        };
        Limits {
            max_input: limit("max_input", default.max_input),
            max_output: limit("max_output", default.max_output),
            max_depth: limit("max_depth", default.max_depth),
            ..default
        }
    }

    pub(crate) fn encode_options(&self) -> EncodeOptions<'static> {
        let order = match self.0.get("order").map(|order| order.as_str().unwrap()) {
            None | Some("as_written") => Order::AsWritten,
            Some("bytewise") => Order::Bytewise,
            Some("length_first") => Order::LengthFirst,
            Some(other) => panic!("{other}"),
        };
        EncodeOptions { keys: self.keys(), policy: Policy::Strict, order, limits: self.limits() }
    }

    pub(crate) fn decode_options(&self) -> DecodeOptions<'static> {
        DecodeOptions { keys: self.keys(), limits: self.limits() }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
