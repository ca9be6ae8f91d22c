//! Maps a CoAP request to the HTTP/2 request for the upstream (docs/protocol.md section 9).
//!
//! The body is passed on unchanged: the filter in Envoy translates it.

use crate::credentials::Credentials;
use crate::refusal::Refusal;
use crate::request_id::RequestId;
use crate::target::UpstreamTarget;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri};
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::content_format::{self, CBOR, JSON, OCTET_STREAM};
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::net::IpAddr;
use std::time::Duration;

const APPLICATION_CBOR: HeaderValue = HeaderValue::from_static(content_format::APPLICATION_CBOR);
const APPLICATION_JSON: HeaderValue = HeaderValue::from_static(content_format::APPLICATION_JSON);
const AGENT: HeaderValue = HeaderValue::from_static(concat!("lowband/", env!("CARGO_PKG_VERSION")));
const CBOR_VERSION: HeaderName = HeaderName::from_static("lowband-cbor-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The scheme of requests. DTLS protects as TLS does; Envoy would go by the unix socket and say `http`, which
/// some homeservers answer with a redirection.
const PROTECTED: HeaderValue = HeaderValue::from_static("https");

/// An empty CBOR map: Matrix wants an object where a client sends nothing.
const EMPTY_MAP: &[u8] = &[0xa0];

/// A request for the upstream.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The request as HTTP/2 takes it, under [`Credentials::first`].
    pub request: Request<Bytes>,
    /// The tokens under which the request is tried.
    pub credentials: Credentials,
    /// How long the request asks the homeserver to wait.
    pub long_poll: Duration,
    /// True if the request may be sent again when the connection breaks off and it is unknown whether the
    /// homeserver has seen it.
    pub is_repeatable: bool,
    /// True if the client asks for an answer in fewer bytes ([`packing`](crate::packing)).
    pub wants_packed: bool,
}

const UNFIT: Refusal = Refusal::diagnostic(Code::BAD_REQUEST, "the request cannot be expressed in HTTP");

/// The values of the two content options.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    kind: Option<HeaderValue>,
    accept: HeaderValue,
    body: Bytes,
}

/// Replaces the access token of a request.
///
/// # Errors
///
/// Fails when no header field can hold the token, which is never true of a token that the transport hands on.
pub fn authorize<B>(request: &mut Request<B>, access_token: Option<&AccessToken>) -> Result<(), Refusal> {
    let headers = request.headers_mut();
    let Some(token) = access_token else {
        headers.remove(AUTHORIZATION);
        return Ok(());
    };
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_str())).map_err(|_| UNFIT)?;
    // Keeps it out of debug output and of HPACK's dynamic table.
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// The client that sends the request, and what is known of it.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The tokens under which the request is tried.
    pub credentials: Credentials,
    /// The key table that the client knows: 0 or 1.
    pub cbor_version: u8,
    /// The client's address from the socket; `None` where it is not known.
    pub peer: Option<IpAddr>,
    /// The id of the request in all logs; `None` for none.
    pub id: Option<RequestId>,
}

/// Builds the request. `authority` is the host in HTTP/2's terms.
pub fn forward(
    authority: &Authority,
    method: Method,
    options: &RequestOptions,
    target: UpstreamTarget,
    asker: Asker,
    body: Vec<u8>,
) -> Result<Forward, Refusal> {
    let Asker { credentials, cbor_version, peer, id } = asker;
    let content = content(method, options, body)?;
    let is_repeatable = target.is_repeatable(method);
    let path_and_query = PathAndQuery::from_maybe_shared(target.path_and_query).map_err(|_| UNFIT)?;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority.clone());
    uri.path_and_query = Some(path_and_query);

    let mut request = Request::new(content.body);
    *request.method_mut() = http_method(method);
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| UNFIT)?;
    let headers = request.headers_mut();
    headers.reserve(8);
    headers.insert(ACCEPT, content.accept);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(CBOR_VERSION, HeaderValue::from_static(if cbor_version == 0 { "0" } else { "1" }));
    headers.insert(FORWARDED_PROTO, PROTECTED);
    if let Some(id) = id.and_then(RequestId::header) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(kind) = content.kind {
        headers.insert(CONTENT_TYPE, kind);
    }
    if let Some(peer) = peer {
        headers.insert(
            FORWARDED_FOR,
            HeaderValue::try_from(peer.to_canonical().to_string()).map_err(|_| UNFIT)?,
        );
    }
    authorize(&mut request, credentials.first.as_ref())?;
    let long_poll = target.long_poll;
    Ok(Forward { request, credentials, long_poll, is_repeatable, wants_packed: false })
}

fn content(method: Method, options: &RequestOptions, body: Vec<u8>) -> Result<Content, Refusal> {
    // A client that sends JSON and does not say what it accepts accepts JSON (MSC3079).
    let is_json = method != Method::Get && !body.is_empty() && options.content_format == Some(JSON);
    let accept = match options.accept {
        None if is_json => APPLICATION_JSON,
        None | Some(CBOR) => APPLICATION_CBOR,
        Some(JSON) => APPLICATION_JSON,
        Some(_) => {
            return Err(Refusal::diagnostic(
                Code::NOT_ACCEPTABLE,
                "Accept must be 60 (application/cbor) or 50 (application/json)",
            ));
        }
    };
    // RFC 7252 section 5.5: a payload where none is defined is ignored. DELETE has one
    // in Matrix (`/devices/{deviceId}`).
    if method == Method::Get {
        return Ok(Content { kind: None, accept, body: Bytes::new() });
    }
    if body.is_empty() {
        // Envoy cannot add a body to a message that ends with its headers, so the `{}` comes from here.
        let (kind, body) = match method {
            Method::Post | Method::Put => (Some(APPLICATION_CBOR), Bytes::from_static(EMPTY_MAP)),
            Method::Get | Method::Delete => (None, Bytes::new()),
        };
        return Ok(Content { kind, accept, body });
    }
    let kind = match options.content_format {
        None | Some(CBOR | OCTET_STREAM) => APPLICATION_CBOR,
        Some(JSON) => APPLICATION_JSON,
        Some(_) => {
            return Err(Refusal::diagnostic(
                Code::UNSUPPORTED_CONTENT_FORMAT,
                "Content-Format must be 60 (application/cbor) or 50 (application/json)",
            ));
        }
    };
    Ok(Content { kind: Some(kind), accept, body: Bytes::from(body) })
}

fn http_method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(
        method: Method,
        options: &RequestOptions,
        token: Option<&str>,
        cbor_version: u8,
        body: &[u8],
    ) -> Request<Bytes> {
        let authority = Authority::from_static("localhost");
        let peer = Some("::ffff:192.0.2.7".parse().unwrap());
        let target = UpstreamTarget {
            path_and_query: "/_matrix/client/v3/sync?timeout=1".to_owned(),
            path_len: 23,
            long_poll: Duration::from_millis(1),
        };
        let credentials = Credentials { first: token.map(Into::into), ..Credentials::default() };
        let asker = Asker { credentials, cbor_version, peer, id: None };
        forward(&authority, method, options, target, asker, body.to_vec()).unwrap().request
    }

    fn header<'r>(request: &'r Request<Bytes>, name: &str) -> Option<&'r str> {
        request.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn the_fixed_headers_are_those_of_the_chain() {
        let request = build(Method::Get, &RequestOptions::default(), None, 1, b"");
        assert_eq!(request.uri(), "http://localhost/_matrix/client/v3/sync?timeout=1");
        assert_eq!(header(&request, "user-agent"), Some(concat!("lowband/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(header(&request, "x-forwarded-for"), Some("192.0.2.7"));
        assert_eq!(header(&request, "x-forwarded-proto"), Some("https"));
        assert_eq!(header(&request, "lowband-cbor-version"), Some("1"));
        assert_eq!(header(&request, "accept"), Some("application/cbor"));
        assert_eq!(header(&request, "authorization"), None);
        assert_eq!(header(&request, "content-type"), None);
        let request = build(Method::Get, &RequestOptions::default(), None, 0, b"");
        assert_eq!(header(&request, "lowband-cbor-version"), Some("0"));
    }

    #[test]
    fn content_format_and_accept_follow_the_table() {
        use Method::{Delete, Get, Post, Put};
        const CBOR_TYPE: Option<&str> = Some("application/cbor");
        const JSON_TYPE: Option<&str> = Some("application/json");
        for (method, format, body, expected) in [
            (Put, None, &b"\xa1\x01\x02"[..], Ok((CBOR_TYPE, &b"\xa1\x01\x02"[..]))),
            (Put, Some(60), b"\xa0", Ok((CBOR_TYPE, b"\xa0"))),
            (Post, Some(42), b"\xa0", Ok((CBOR_TYPE, b"\xa0"))),
            (Post, Some(50), b"{}", Ok((JSON_TYPE, b"{}"))),
            (Post, Some(0), b"{}", Err((4, 15))),
            (Post, Some(11_542), b"{}", Err((4, 15))),
            (Post, None, b"", Ok((CBOR_TYPE, b"\xa0"))),
            (Put, Some(50), b"", Ok((CBOR_TYPE, b"\xa0"))),
            (Put, Some(0), b"", Ok((CBOR_TYPE, b"\xa0"))),
            (Get, Some(42), b"", Ok((None, b""))),
            (Get, Some(0), b"ignored", Ok((None, b""))),
            (Delete, Some(42), b"", Ok((None, b""))),
            (Delete, None, b"\xa0", Ok((CBOR_TYPE, b"\xa0"))),
            (Delete, Some(0), b"\xa0", Err((4, 15))),
        ] {
            let options = RequestOptions { content_format: format, ..RequestOptions::default() };
            let content = content(method, &options, body.to_vec());
            let got =
                content.as_ref().map(|c| (c.kind.as_ref().map(|k| k.to_str().unwrap()), c.body.as_ref()));
            assert_eq!(
                got.map_err(|r| (r.code.class(), r.code.detail())),
                expected,
                "{method:?} {format:?} {body:?}"
            );
        }
        for (accept, expected) in [
            (None, Ok("application/cbor")),
            (Some(60), Ok("application/cbor")),
            (Some(50), Ok("application/json")),
            (Some(42), Err((4, 6))),
            (Some(0), Err((4, 6))),
        ] {
            let options = RequestOptions { accept, ..RequestOptions::default() };
            let content = content(Get, &options, Vec::new());
            let got = content.as_ref().map(|c| c.accept.to_str().unwrap());
            assert_eq!(got.map_err(|r| (r.code.class(), r.code.detail())), expected, "{accept:?}");
        }
    }

    #[test]
    fn without_accept_the_answer_has_the_form_of_the_body() {
        use Method::{Delete, Get, Post, Put};
        for (method, format, accept, body, expected) in [
            (Post, Some(50), None, &b"{}"[..], "application/json"),
            (Put, Some(50), None, b"{}", "application/json"),
            (Delete, Some(50), None, b"{}", "application/json"),
            (Post, Some(50), Some(60), b"{}", "application/cbor"),
            (Post, Some(60), None, b"\xa0", "application/cbor"),
            (Post, Some(42), None, b"\xa0", "application/cbor"),
            (Post, None, None, b"\xa0", "application/cbor"),
            // Without a payload Content-Format has no meaning, and a payload of GET is ignored.
            (Post, Some(50), None, b"", "application/cbor"),
            (Get, Some(50), None, b"{}", "application/cbor"),
        ] {
            let options = RequestOptions { content_format: format, accept, ..RequestOptions::default() };
            let content = content(method, &options, body.to_vec()).unwrap();
            assert_eq!(content.accept, expected, "{method:?} {format:?} {accept:?}");
        }
    }

    #[test]
    fn a_token_is_added_replaced_and_taken_away_and_never_shown() {
        let mut request = build(Method::Post, &RequestOptions::default(), Some("abc"), 1, b"");
        assert_eq!(header(&request, "authorization"), Some("Bearer abc"));
        assert!(!format!("{request:?}").contains("abc"));
        authorize(&mut request, Some(&"def".into())).unwrap();
        assert_eq!(header(&request, "authorization"), Some("Bearer def"));
        authorize(&mut request, None).unwrap();
        assert_eq!(header(&request, "authorization"), None);
        assert!(authorize(&mut request, Some(&"a\r\nb".into())).is_err());
    }
}
