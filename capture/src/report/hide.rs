//! What is secret in an exchange: access tokens, passwords, and bodies that may hold them.
//!
//! Option 256 is left out where messages are read, by [`Options::keep_access_tokens`].
//!
//! [`Options::keep_access_tokens`]: crate::Options::keep_access_tokens

use crate::exchange::Exchange;
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
const SECRET_PARAMETERS: [&str; 8] = [
    "access_token",
    "refresh_token",
    "loginToken",
    "login_token",
    "token",
    "password",
    "client_secret",
    "session",
];

/// Returns whether the bodies of an exchange may be shown. Those of a request that is not in the capture are
/// not: nobody knows what it asked for.
pub fn shows_bodies(exchange: &Exchange, secrets: Secrets) -> bool {
    let is_known = exchange.method.is_some() || !exchange.path.is_empty();
    secrets == Secrets::Shown || is_known && !has_secret_bodies(&exchange.path)
}

fn has_secret_bodies(path: &str) -> bool {
    path.split('/').any(|segment| {
        let segment = percent_decode_str(segment).decode_utf8_lossy();
        SECRET_BODIES.iter().any(|secret| segment.eq_ignore_ascii_case(secret))
    })
}

/// Returns one parameter of a query as it may be shown.
pub fn parameter(parameter: &str, secrets: Secrets) -> Cow<'_, str> {
    let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
    let decoded = percent_decode_str(name).decode_utf8_lossy();
    let is_secret = SECRET_PARAMETERS.iter().any(|secret| decoded.eq_ignore_ascii_case(secret));
    if is_secret && secrets == Secrets::Hidden {
        return Cow::Owned(format!("{name}={HIDDEN}"));
    }
    Cow::Borrowed(parameter)
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
        ] {
            assert!(has_secret_bodies(path), "{path}");
        }
        for path in ["/_matrix/client/v3/sync", "/_matrix/client/versions", "", "/loginx/y"] {
            assert!(!has_secret_bodies(path), "{path}");
        }
    }

    #[test]
    fn secret_parameters_are_hidden_whatever_their_writing() {
        assert_eq!(parameter("access_token=abc", Hidden), "access_token=(hidden)");
        assert_eq!(parameter("access_token=abc", Shown), "access_token=abc");
        assert_eq!(parameter("Access%5Ftoken=a=b", Hidden), "Access%5Ftoken=(hidden)");
        assert_eq!(parameter("loginToken=abc", Hidden), "loginToken=(hidden)");
        assert_eq!(parameter("timeout=0", Hidden), "timeout=0");
        assert_eq!(parameter("timeout", Hidden), "timeout");
    }
}
