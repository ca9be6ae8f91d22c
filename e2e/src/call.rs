//! One request, whichever wire it goes over.

use lowband_client::Method;
use serde_json::Value;

/// One request over any of the wires.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// GET, POST, PUT or DELETE.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The access token.
    pub token: Option<&'a str>,
    /// The document to send as the body.
    pub body: Option<Value>,
}

impl<'a> Call<'a> {
    /// A GET without token and body.
    pub fn get(target: impl Into<String>) -> Call<'a> {
        Call { method: Method::Get, target: target.into(), token: None, body: None }
    }

    /// A POST of a document, without token.
    pub fn post(target: impl Into<String>, body: Value) -> Call<'a> {
        Call { method: Method::Post, target: target.into(), token: None, body: Some(body) }
    }

    /// A PUT of a document, without token.
    pub fn put(target: impl Into<String>, body: Value) -> Call<'a> {
        Call { method: Method::Put, target: target.into(), token: None, body: Some(body) }
    }

    /// With this access token.
    pub fn by(self, token: &'a str) -> Call<'a> {
        Call { token: Some(token), ..self }
    }
}
