//! Where a homeserver is: the part of a URL before the path.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use std::fmt;
use std::net::IpAddr;

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    scheme: Scheme,
    authority: Authority,
}

impl Base {
    /// Parses `http://` or `https://`, a host and perhaps a port.
    ///
    /// # Errors
    ///
    /// Fails with a phrase that fits after the text.
    pub fn parse(text: &str) -> Result<Base, String> {
        const FORM: &str = "is not a URL like https://matrix.example.org or http://127.0.0.1:8018";
        let uri: Uri = text.parse().map_err(|_| FORM)?;
        let parts = uri.into_parts();
        let scheme =
            parts.scheme.filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme)).ok_or(FORM)?;
        let authority = parts.authority.ok_or(FORM)?;
        if authority.as_str().contains('@') {
            return Err("holds a user name, which nothing would use".to_owned());
        }
        if authority.host().is_empty() || authority.as_str().ends_with(':') || authority.port_u16() == Some(0)
        {
            return Err(FORM.to_owned());
        }
        match parts.path_and_query {
            Some(path) if path != "/" => Err("has a path: the paths of Matrix begin at the root".to_owned()),
            _ => Ok(Base { scheme, authority }),
        }
    }

    /// Returns whether the connection is protected by TLS.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Returns whether the host is this machine, as far as its name or address says.
    pub fn is_loopback(&self) -> bool {
        match self.host().parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            // RFC 6761 section 6.3.
            Err(_) => {
                let name = self.host().trim_end_matches('.').to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }

    /// Returns host and port in the terms of HTTP.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// Returns the URI of a path there.
    ///
    /// # Errors
    ///
    /// Fails if the URI has no path.
    pub(crate) fn of(&self, path: &Uri) -> Result<Uri, http::Error> {
        let path = path.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path).build()
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_told_by_name_and_by_address() {
        for (url, expected) in [
            ("http://127.0.0.1:8018", true),
            ("http://127.8.9.1", true),
            ("http://[::1]:8018", true),
            ("http://[::ffff:127.0.0.1]:8018", true),
            ("http://localhost:8018", true),
            ("http://Synapse.LOCALHOST.", true),
            ("http://192.0.2.7:8018", false),
            ("http://[2001:db8::1]", false),
            ("http://0.0.0.0", false),
            ("http://localhost.example.org", false),
            ("http://synapse", false),
        ] {
            assert_eq!(Base::parse(url).unwrap().is_loopback(), expected, "{url}");
        }
    }

    #[test]
    fn a_base_is_scheme_host_and_port_and_nothing_else() {
        for (text, host, secure) in [
            ("https://matrix.example.org", "matrix.example.org", true),
            ("https://matrix.example.org/", "matrix.example.org", true),
            ("http://127.0.0.1:8018", "127.0.0.1", false),
            ("http://[::1]:8018", "::1", false),
        ] {
            let base = Base::parse(text).unwrap();
            assert_eq!((base.host(), base.is_secure()), (host, secure), "{text}");
            assert_eq!(base.to_string(), text.trim_end_matches('/'));
            let uri = base.of(&"/_matrix/a%2Fb//?c=d".parse().unwrap()).unwrap();
            assert_eq!(uri.path_and_query().unwrap(), "/_matrix/a%2Fb//?c=d");
        }
        for (text, why) in [
            ("matrix.example.org", "URL like"),
            ("matrix.example.org:443", "URL like"),
            ("ftp://matrix.example.org", "URL like"),
            ("https://", "URL like"),
            ("https://:443", "URL like"),
            ("https://a:0", "URL like"),
            ("unix:run/hs.sock", "URL like"),
            ("https://u@matrix.example.org", "user name"),
            ("https://matrix.example.org/_matrix", "path"),
            ("https://matrix.example.org?a", "path"),
        ] {
            let error = Base::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
