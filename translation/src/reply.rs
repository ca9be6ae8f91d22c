//! The answers of the filter itself: a status and a Matrix error in the client's form.

use crate::metrics::Reason;
use crate::negotiate::Form;
use lowband_codec::{EncodeOptions, Encoder, KeyTable};

/// The field as in the host's own answers with this status.
const RETRY: (&str, &str) = ("retry-after", "5");

/// A complete answer, for the host to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The header fields; the host adds the length.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The Matrix error.
    pub body: Vec<u8>,
}

/// An error for the client: the standard error response of Matrix (Client-Server API, "Standard error
/// response").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixError {
    /// The HTTP status.
    pub status: u16,
    /// The Matrix code, e.g. `M_NOT_JSON`.
    pub errcode: &'static str,
    /// A sentence for people.
    pub error: String,
    /// The reason under which the error is counted.
    pub reason: Reason,
}

impl MatrixError {
    /// Makes the error for a body that cannot be translated.
    pub fn not_json(error: String) -> Self {
        MatrixError { status: 400, errcode: "M_NOT_JSON", error, reason: Reason::Malformed }
    }

    /// Makes the error for a body above the limit, in one form or the other.
    pub fn too_large(limit: usize) -> Self {
        let error =
            format!("the body is larger than {limit} bytes, as CBOR or as the JSON that it stands for");
        MatrixError { status: 413, errcode: "M_TOO_LARGE", error, reason: Reason::TooLarge }
    }

    /// Makes the error for a request that had to give way: requests that have not ended have used up their
    /// room.
    pub fn no_room() -> Self {
        let error = "the proxy has no room for this request at the moment".to_owned();
        MatrixError { status: 503, errcode: "M_UNKNOWN", error, reason: Reason::NoRoom }
    }

    /// Makes the error for a path that has `.` or `..` in it, for one reader or another.
    pub fn dot_segment() -> Self {
        let error = "the path has . or .. for a segment, or what some servers take for one".to_owned();
        MatrixError { status: 400, errcode: "M_UNKNOWN", error, reason: Reason::DotSegment }
    }

    /// Makes the error for a CBOR body that the client compressed.
    pub fn compressed() -> Self {
        let error = "a CBOR body with a Content-Encoding is not supported".to_owned();
        MatrixError { status: 415, errcode: "M_UNKNOWN", error, reason: Reason::Compressed }
    }

    /// Makes the error for a homeserver's answer, of which `length` bytes have come, that is not JSON.
    pub fn bad_answer(error: &lowband_codec::Error, length: u64) -> Self {
        let reason = if error.offset as u64 >= length { Reason::Incomplete } else { Reason::Malformed };
        let error = format!("the homeserver's answer is not JSON: {error}");
        MatrixError { status: 502, errcode: "M_UNKNOWN", error, reason }
    }

    /// Makes the error for a homeserver's answer that ends too early.
    pub fn incomplete_answer() -> Self {
        let error = "the homeserver's answer ends before its last bracket".to_owned();
        MatrixError { status: 502, errcode: "M_UNKNOWN", error, reason: Reason::Incomplete }
    }

    /// Makes the error for a call that the host refused.
    pub fn internal() -> Self {
        MatrixError {
            status: 500,
            errcode: "M_UNKNOWN",
            error: "the proxy could not pass this message on".to_owned(),
            reason: Reason::Host,
        }
    }

    /// Writes the error in the form that the client reads. Browsers hand an answer to a page only with the
    /// CORS field that Matrix requires on every answer.
    pub fn reply(&self, form: Form, keys: Option<&'static KeyTable>) -> Reply {
        // Serializing a text cannot fail.
        let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let json =
            format!(r#"{{"errcode":{},"error":{}}}"#, text(self.errcode), text(&self.error)).into_bytes();
        let (form, body) = match form {
            Form::Json => (Form::Json, json),
            Form::Cbor => {
                let mut cbor = Vec::with_capacity(json.len());
                match Encoder::new(EncodeOptions { keys, ..EncodeOptions::default() })
                    .encode(&json, &mut cbor)
                {
                    Ok(_) => (Form::Cbor, cbor),
                    Err(_) => (Form::Json, json),
                }
            }
        };
        let mut headers = vec![
            ("content-type", form.media_type()),
            ("vary", "Accept"),
            ("access-control-allow-origin", "*"),
        ];
        if self.reason == Reason::NoRoom {
            headers.push(RETRY);
        }
        Reply { status: self.status, headers, body }
    }
}
