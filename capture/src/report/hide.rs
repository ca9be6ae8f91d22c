//! What is secret in an exchange: access tokens, passwords, and bodies that may hold them.
//!
//! Option 256 is left out where messages are read, by [`Options::keep_access_tokens`]. A body is hidden as a
//! whole where its path says that it may hold a secret, or where nobody can say; of any other one the values
//! of members with a telling name.
//!
//! [`Options::keep_access_tokens`]: crate::Options::keep_access_tokens

mod members;

use crate::detail::Content;
use crate::exchange::{BodyError, BodyKind, Exchange, Note};
use lowband_wire::coap::numbers::{LOCATION_QUERY, PROXY_URI, URI_QUERY};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Stands where something is hidden.
pub const HIDDEN: &str = "(hidden)";

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// They are left out.
    #[default]
    Hidden,
    /// They are shown.
    Shown,
}

/// Segments of paths whose bodies, of request or response, hold passwords or tokens: to log in and register
/// (`/_matrix/client/v3/login`), with a password as a proof (`/account/password`, `/devices/ID`,
/// `/delete_devices`, `/keys/device_signing/upload`), or for other services (`/openid/request_token`,
/// `/voip/turnServer`). Synapse's own interface has `register` and `reset_password`.
const SECRET_BODIES: [&str; 14] = [
    "login",
    "register",
    "refresh",
    "account",
    "password",
    "reset_password",
    "devices",
    "delete_devices",
    "device_signing",
    "openid",
    "request_token",
    "turnServer",
    "auth",
    "pushers",
];

/// Names of parameters of a query whose values are secret.
const SECRET_PARAMETERS: [&str; 9] = [
    "access_token",
    "refresh_token",
    "id_access_token",
    "loginToken",
    "login_token",
    "token",
    "password",
    "client_secret",
    "session",
];

/// Returns whether the bodies of an exchange may be shown. Those of a request that is not in the capture are
/// not, nor those of a path code that is not known, nor of a path that is cut off: nobody knows what it asked
/// for.
pub fn shows_bodies(exchange: &Exchange, secrets: Secrets) -> bool {
    let is_known = exchange.method.is_some()
        && (exchange.path_code.is_some() || !is_code(&exchange.path))
        && !exchange.notes.contains(&Note::TargetCut);
    secrets == Secrets::Shown || is_known && !has_secret_bodies(&exchange.path)
}

/// Returns whether a body of an exchange may be shown byte by byte.
pub fn shows_body(exchange: &Exchange, content: &Content, secrets: Secrets) -> bool {
    shows_bodies(exchange, secrets) && shows_bytes(content, secrets)
}

/// Returns whether a body that went over HTTP, to this path or from it, may be shown as it was sent: CBOR, or
/// anything else.
pub fn shows_http_body(path: &str, body: &[u8], is_cbor: bool) -> bool {
    let json = match is_cbor {
        true => Some(lowband_codec::cbor_to_json(body).map_err(BodyError::Malformed)),
        false => lowband_codec::json_to_cbor(body).is_ok().then(|| Ok(body.to_vec())),
    };
    let kind = if is_cbor { BodyKind::Cbor } else { BodyKind::Other };
    let content = Content { kind, format: None, bytes: body.to_vec(), unpacked: None, json };
    !has_secret_bodies(path) && shows_bytes(&content, Secrets::Hidden)
}

/// Returns the JSON of a body as it may be shown; None if it has none.
pub(super) fn json(content: &Content, secrets: Secrets) -> Option<Cow<'_, str>> {
    let json = std::str::from_utf8(content.json.as_ref()?.as_ref().ok()?).ok()?;
    Some(if secrets == Secrets::Shown { Cow::Borrowed(json) } else { members::hide(json) })
}

/// Returns whether the bytes of a body may be shown.
pub(super) fn shows_bytes(content: &Content, secrets: Secrets) -> bool {
    secrets == Secrets::Shown || !members::has_secrets(content)
}

/// Returns true if a path begins with a segment of one character, as a path code does.
fn is_code(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    percent_decode_str(first).decode_utf8_lossy().chars().count() == 1
}

fn has_secret_bodies(path: &str) -> bool {
    // Decoded first: a slash may be a part of a segment, and all of it what somebody took for a path.
    percent_decode_str(path)
        .decode_utf8_lossy()
        .split('/')
        .any(|segment| SECRET_BODIES.iter().any(|secret| segment.eq_ignore_ascii_case(secret)))
}

/// Returns one value of a query as it may be shown, which may be several parameters.
pub fn parameter(parameter: &str, secrets: Secrets) -> Cow<'_, str> {
    if secrets == Secrets::Shown || !parameter.split('&').any(is_secret) {
        return Cow::Borrowed(parameter);
    }
    let hide = |one| match is_secret(one) {
        true => Cow::Owned(format!("{}={HIDDEN}", name(one))),
        false => Cow::Borrowed(one),
    };
    Cow::Owned(parameter.split('&').map(hide).collect::<Vec<_>>().join("&"))
}

fn is_secret(parameter: &str) -> bool {
    let decoded = percent_decode_str(name(parameter)).decode_utf8_lossy();
    SECRET_PARAMETERS.iter().any(|secret| decoded.eq_ignore_ascii_case(secret))
}

fn name(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}

/// Returns a URI as it may be shown.
pub fn uri(uri: &str, secrets: Secrets) -> Cow<'_, str> {
    match uri.split_once('?') {
        Some((before, query)) if secrets == Secrets::Hidden => {
            Cow::Owned(format!("{before}?{}", parameter(query, secrets)))
        }
        _ => Cow::Borrowed(uri),
    }
}

/// Returns the text of an option as it may be shown.
pub(super) fn option(number: u16, text: &str, secrets: Secrets) -> Cow<'_, str> {
    match number {
        URI_QUERY | LOCATION_QUERY => parameter(text, secrets),
        PROXY_URI => uri(text, secrets),
        _ => text.into(),
    }
}

/// Returns the query of an exchange as it may be shown, without a question mark; empty if there is none.
pub fn query(exchange: &Exchange, secrets: Secrets) -> String {
    let parameters: Vec<_> = exchange.query.iter().map(|value| parameter(value, secrets)).collect();
    parameters.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Secrets::{Hidden, Shown};

    #[test]
    fn bodies_of_what_holds_passwords_or_tokens_are_secret() {
        for path in [
            "/_matrix/client/v3/login",
            "/_matrix/client/r0/register",
            "/_matrix/client/v3/%6Cogin",
            "/_matrix/client/v3/LOGIN",
            "/_matrix/client/v3/refresh",
            "/_matrix/client/v3/account/password",
            "/_matrix/client/v3/devices/ABC",
            "/_matrix/client/v3/user/@a:b/openid/request_token",
            "/_synapse/admin/v1/reset_password/@a:b",
            "/_matrix%2Fclient%2fv3%2Flogin",
        ] {
            assert!(has_secret_bodies(path), "{path}");
        }
        for path in ["/_matrix/client/v3/sync", "/_matrix/client/versions", "", "/loginx/y"] {
            assert!(!has_secret_bodies(path), "{path}");
        }
    }

    #[test]
    fn bodies_over_http_are_hidden_by_their_path_and_by_what_is_in_them() {
        let cbor = |json: &str| lowband_codec::json_to_cbor(json.as_bytes()).unwrap();
        let (harmless, secret) = (r#"{"body":"password"}"#, r#"{"auth":{"password":"x"}}"#);
        for (path, json, expected) in [
            ("/_matrix/client/v3/sync", harmless, true),
            ("/_matrix/client/v3/sync", secret, false),
            ("/_matrix/client/v3/login", harmless, false),
        ] {
            assert_eq!(shows_http_body(path, &cbor(json), true), expected, "{path} {json}");
            assert_eq!(shows_http_body(path, json.as_bytes(), false), expected, "{path} {json}");
        }
        // What cannot be read is hidden for a name anywhere in it.
        let cut = cbor(secret);
        assert!(!shows_http_body("/", &cut[..cut.len() - 1], true));
        assert!(!shows_http_body("/", b"<p>password", false));
    }

    #[test]
    fn secret_parameters_are_hidden_whatever_their_writing() {
        assert_eq!(parameter("access_token=abc", Hidden), "access_token=(hidden)");
        assert_eq!(parameter("access_token=abc", Shown), "access_token=abc");
        assert_eq!(parameter("Access%5Ftoken=a=b", Hidden), "Access%5Ftoken=(hidden)");
        assert_eq!(parameter("loginToken=abc", Hidden), "loginToken=(hidden)");
        assert_eq!(parameter("timeout=0", Hidden), "timeout=0");
        assert_eq!(parameter("timeout", Hidden), "timeout");
        // Several in one option.
        assert_eq!(parameter("a=b&token=c&d", Hidden), "a=b&token=(hidden)&d");
        assert_eq!(parameter("a=b&token=c&d", Shown), "a=b&token=c&d");
    }

    #[test]
    fn the_query_of_a_uri_is_hidden_as_well() {
        assert_eq!(uri("https://a/b?c=d&access_token=e", Hidden), "https://a/b?c=d&access_token=(hidden)");
        assert_eq!(uri("https://a/b?access_token=e", Shown), "https://a/b?access_token=e");
        assert_eq!(uri("https://a/access_token=e", Hidden), "https://a/access_token=e");
    }

    #[test]
    fn a_path_code_is_a_first_segment_of_one_character() {
        for (path, expected) in
            [("/9/x", true), ("/%C3%A9", true), ("/", false), ("", false), ("/ab/c", false)]
        {
            assert_eq!(is_code(path), expected, "{path}");
        }
    }
}
