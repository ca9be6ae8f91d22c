//! One request, whichever wire carries it.

use lowband_client::Method;
use serde_json::Value;

/// One request over any of the wires.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// GET, POST, PUT or DELETE.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The access token. `None` for a request without one.
    pub token: Option<&'a str>,
    /// The document to send as the body. `None` for no body.
    pub body: Option<Value>,
}

impl<'a> Call<'a> {
    /// Makes a GET without token and body.
    pub fn get(target: impl Into<String>) -> Call<'a> {
        Call { method: Method::Get, target: target.into(), token: None, body: None }
    }

    /// Makes a POST of a document, without token.
    pub fn post(target: impl Into<String>, body: Value) -> Call<'a> {
        Call { method: Method::Post, target: target.into(), token: None, body: Some(body) }
    }

    /// Makes a PUT of a document, without token.
    pub fn put(target: impl Into<String>, body: Value) -> Call<'a> {
        Call { method: Method::Put, target: target.into(), token: None, body: Some(body) }
    }

    /// Adds this access token.
    pub fn by(self, token: &'a str) -> Call<'a> {
        Call { token: Some(token), ..self }
    }
}
