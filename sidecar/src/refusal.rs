//! Answers that the sidecar writes itself, in one of two forms: a request that breaks CoAP gets a diagnostic
//! text (RFC 7252 section 5.5.2), everything about Matrix or the upstream a Matrix error in CBOR.

use lowband_codec::texts_to_cbor;
use lowband_wire::coap::Code;
use lowband_wire::coap::content_format::CBOR;
use lowband_wire::coap::options::ResponseOptions;
use std::borrow::Cow;

/// A code and the reason, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The response code.
    pub code: Code,
    /// The `errcode` of a Matrix error; `None` for a diagnostic payload.
    pub errcode: Option<&'static str>,
    /// The reason in words.
    pub text: Cow<'static, str>,
    /// Max-Age: seconds after which to come again; `None` where the client is not asked to.
    pub max_age: Option<u32>,
}

impl Refusal {
    /// Makes a refusal of a request that breaks CoAP's rules or ours for options.
    pub const fn diagnostic(code: Code, text: &'static str) -> Refusal {
        Refusal { code, errcode: None, text: Cow::Borrowed(text), max_age: None }
    }

    /// Makes a refusal about Matrix or the upstream.
    pub const fn matrix(code: Code, errcode: &'static str, text: &'static str) -> Refusal {
        Refusal { code, errcode: Some(errcode), text: Cow::Borrowed(text), max_age: None }
    }

    /// Makes a refusal of a request that is not for this transport.
    pub const fn use_https(text: &'static str) -> Refusal {
        Refusal::matrix(Code::PROXYING_NOT_SUPPORTED, "M_UNRECOGNIZED", text)
    }

    /// Adds the seconds after which to come again.
    pub fn again_in(self, seconds: u32) -> Refusal {
        Refusal { max_age: Some(seconds), ..self }
    }

    /// Returns options and payload of a Matrix error; `None` for a diagnostic.
    pub fn matrix_response(&self) -> Option<(ResponseOptions, Vec<u8>)> {
        let body = texts_to_cbor(&[("errcode", self.errcode?), ("error", &self.text)]);
        let size = u64::try_from(body.len()).ok();
        Some((ResponseOptions { content_format: Some(CBOR), max_age: self.max_age, size }, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_error_is_a_map_of_two_texts() {
        let refusal = Refusal::matrix(Code::BAD_GATEWAY, "M_UNKNOWN", "no");
        let (options, body) = refusal.matrix_response().unwrap();
        assert_eq!(body, b"\xa2\x67errcode\x69M_UNKNOWN\x65error\x62no");
        assert_eq!(options.content_format, Some(60));
        assert_eq!(options.size, Some(body.len() as u64));
    }
}
