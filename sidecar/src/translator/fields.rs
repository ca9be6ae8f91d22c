//! Header fields: what the decisions see of them, the edits that come back, and the fields that concern one
//! hop alone or are not believed.

use crate::request_id::RequestId;
use bytes::Bytes;
use http::header::{CONNECTION, COOKIE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, request, response};
use lowband_translation::headers::{Edit, Headers};
use std::borrow::Cow;
use std::net::IpAddr;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields of one hop (RFC 9110 section 7.6.1), besides those that `connection` names.
const OF_A_HOP: [HeaderName; 7] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// The beginnings of fields in which a proxy says who asks, or by which Envoy is steered.
const OF_PROXIES: [&str; 2] = ["x-forwarded-", "x-envoy-"];
const OF_OTHER_PROXIES: [HeaderName; 2] =
    [HeaderName::from_static("forwarded"), HeaderName::from_static("x-real-ip")];

/// Returns the fields of a request as the decisions take them.
pub(super) fn of_request(parts: &request::Parts) -> Headers<'_> {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let first = [(&b":method"[..], parts.method.as_str().as_bytes()), (b":path", path.as_bytes())];
    of(&first, &parts.headers)
}

/// Returns the fields of an answer as the decisions take them.
pub(super) fn of_response(parts: &response::Parts) -> Headers<'_> {
    of(&[(b":status", parts.status.as_str().as_bytes())], &parts.headers)
}

fn of<'m>(first: &[(&'m [u8], &'m [u8])], headers: &'m HeaderMap) -> Headers<'m> {
    let mut fields = Vec::with_capacity(first.len() + headers.len());
    fields.extend_from_slice(first);
    fields.extend(headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
    Headers::new(fields)
}

/// Carries out the edits. A name or a value that HTTP does not take cannot come: they are those of fields
/// that have come, and constants.
pub(super) fn edit(headers: &mut HeaderMap, edits: Vec<Edit>) {
    for Edit { name, value } in edits {
        let Ok(name) = HeaderName::from_bytes(&name) else { continue };
        let value = value.map(|value| match value {
            Cow::Borrowed(value) => HeaderValue::from_maybe_shared(Bytes::from_static(value)),
            Cow::Owned(value) => HeaderValue::from_maybe_shared(Bytes::from(value)),
        });
        match value {
            Some(Ok(value)) => {
                headers.insert(name, value);
            }
            Some(Err(_)) | None => {
                headers.remove(name);
            }
        }
    }
}

/// Removes the fields that concern one hop alone.
pub(super) fn forget_the_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.into_iter().chain(OF_A_HOP) {
        headers.remove(name);
    }
}

/// Puts what is known of a stranger in place of what it says of itself.
pub(super) fn introduce(headers: &mut HeaderMap, address: IpAddr, is_secure: bool, id: Option<RequestId>) {
    forget_the_hop(headers);
    let of_proxies = |name: &HeaderName| OF_PROXIES.iter().any(|begin| name.as_str().starts_with(begin));
    let claimed: Vec<HeaderName> = headers.keys().filter(|name| of_proxies(name)).cloned().collect();
    put_cookies_together(headers);
    for name in claimed.into_iter().chain(OF_OTHER_PROXIES).chain([EXPECT, HOST, REQUEST_ID]) {
        headers.remove(name);
    }
    if let Ok(address) = HeaderValue::try_from(address.to_canonical().to_string()) {
        headers.insert(FORWARDED_FOR, address);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(if is_secure { "https" } else { "http" }));
    if let Some(id) = id.or_else(RequestId::draw).and_then(RequestId::header) {
        headers.insert(REQUEST_ID, id);
    }
}

/// Makes one field of all cookies: HTTP/2 has them in several, and HTTP/1 must not (RFC 9113 section 8.2.3).
fn put_cookies_together(headers: &mut HeaderMap) {
    let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if all.len() > 1
        && let Ok(one) = HeaderValue::from_bytes(&all.join(&b"; "[..]))
    {
        headers.insert(COOKIE, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn edits_set_one_value_and_remove_all() {
        let mut headers = map(&[("accept", "a"), ("vary", "b"), ("lowband-x", "1")]);
        headers.append("accept", HeaderValue::from_static("c"));
        let edits = vec![
            Edit::set("accept", &b"application/json"[..]),
            Edit::remove(&b"lowband-x"[..]),
            Edit::remove(&b"never-there"[..]),
            Edit::set("content-length", b"7".to_vec()),
        ];
        edit(&mut headers, edits);
        let expected = map(&[("accept", "application/json"), ("vary", "b"), ("content-length", "7")]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_stranger_is_what_its_socket_says() {
        let mut headers = map(&[
            ("authorization", "Bearer x"),
            ("connection", "close, x-of-this-hop"),
            ("x-of-this-hop", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("host", "elsewhere.example.org"),
            ("forwarded", "for=198.51.100.1"),
            ("x-real-ip", "198.51.100.1"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-host", "elsewhere.example.org"),
            ("x-forwarded-proto", "https"),
            ("x-envoy-retry-on", "5xx"),
            ("x-request-id", "mine"),
        ]);
        introduce(&mut headers, "::ffff:192.0.2.7".parse().unwrap(), false, None);
        assert_ne!(headers.remove("x-request-id").unwrap(), "mine");
        let expected = map(&[
            ("authorization", "Bearer x"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "http"),
        ]);
        assert_eq!(headers, expected);
        let id = RequestId::draw();
        introduce(&mut headers, "2001:db8::1".parse().unwrap(), true, id);
        assert_eq!(headers["x-request-id"], id.unwrap().header().unwrap());
        assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
        assert_eq!(headers["x-forwarded-proto"], "https");
    }

    #[test]
    fn cookies_of_several_fields_are_one_field_for_the_homeserver() {
        let mut headers = map(&[("cookie", "a=1")]);
        for more in ["b=2", "c=3; d=4"] {
            headers.append("cookie", HeaderValue::from_static(more));
        }
        introduce(&mut headers, [192, 0, 2, 7].into(), true, None);
        let cookies: Vec<_> = headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
    }
}
