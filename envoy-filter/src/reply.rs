//! The answers that the filter itself gives: a status and a Matrix error in the client's form.

use crate::metrics::Reason;
use crate::negotiate::Form;
use lowband_codec::{EncodeOptions, Encoder, KeyTable};

/// As the host's own answers with this status have it.
const RETRY: (&str, &str) = ("retry-after", "5");

/// A whole answer, for the host to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The header fields; the host adds the length.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The Matrix error.
    pub body: Vec<u8>,
}

/// What went wrong, for the client: the standard error response of Matrix (Client-Server API,
/// "Standard error response").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixError {
    /// The HTTP status.
    pub status: u16,
    /// The Matrix code, e.g. `M_NOT_JSON`.
    pub errcode: &'static str,
    /// A sentence for people.
    pub error: String,
    /// Under which it is counted.
    pub reason: Reason,
}

impl MatrixError {
    /// The client sent what cannot be translated.
    pub fn not_json(error: String) -> Self {
        MatrixError { status: 400, errcode: "M_NOT_JSON", error, reason: Reason::Malformed }
    }

    /// The client sent more than the limit, in one form or the other.
    pub fn too_large(limit: usize) -> Self {
        let error =
            format!("the body is larger than {limit} bytes, as CBOR or as the JSON that it stands for");
        MatrixError { status: 413, errcode: "M_TOO_LARGE", error, reason: Reason::TooLarge }
    }

    /// Requests without an end have used up what there is for them, and this one had to give way.
    pub fn no_room() -> Self {
        let error = "the proxy has no room for this request at the moment".to_owned();
        MatrixError { status: 503, errcode: "M_UNKNOWN", error, reason: Reason::NoRoom }
    }

    /// The path has `.` or `..` in it, for one reader or another.
    pub fn dot_segment() -> Self {
        let error = "the path has . or .. for a segment, or what some servers take for one".to_owned();
        MatrixError { status: 400, errcode: "M_UNKNOWN", error, reason: Reason::DotSegment }
    }

    /// The client compressed a CBOR body.
    pub fn compressed() -> Self {
        let error = "a CBOR body with a Content-Encoding is not supported".to_owned();
        MatrixError { status: 415, errcode: "M_UNKNOWN", error, reason: Reason::Compressed }
    }

    /// The homeserver's answer, of which so many bytes have come, is no JSON.
    pub fn bad_answer(error: &lowband_codec::Error, length: u64) -> Self {
        let reason = if error.offset as u64 >= length { Reason::Incomplete } else { Reason::Malformed };
        let error = format!("the homeserver's answer is not JSON: {error}");
        MatrixError { status: 502, errcode: "M_UNKNOWN", error, reason }
    }

    /// The homeserver's answer ends too early.
    pub fn incomplete_answer() -> Self {
        let error = "the homeserver's answer ends before its last bracket".to_owned();
        MatrixError { status: 502, errcode: "M_UNKNOWN", error, reason: Reason::Incomplete }
    }

    /// The host refused a call.
    pub fn internal() -> Self {
        MatrixError {
            status: 500,
            errcode: "M_UNKNOWN",
            error: "the proxy could not pass this message on".to_owned(),
            reason: Reason::Host,
        }
    }

    /// In the form that the client reads. Browsers hand an answer to a page only with the CORS field that
    /// Matrix asks for on every answer.
    pub fn reply(&self, form: Form, keys: Option<&'static KeyTable>) -> Reply {
        // A text is always JSON.
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
