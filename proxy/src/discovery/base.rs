//! What the user calls the homeserver, and where its client-server API is.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use std::net::IpAddr;
use url::{Host, Url};

/// The root of a client-server API: what stands before `/_matrix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    scheme: Scheme,
    authority: Authority,
    /// The path without a slash at its end: empty for most.
    prefix: String,
    /// As it is resolved and certified: without the brackets of an IPv6 address.
    host: String,
    /// The port, if the URL names one that is not its scheme's.
    port: Option<u16>,
}

impl Base {
    /// Reads a URL. Slashes at its end do not count (Client-Server API, "Server discovery": "clients should
    /// expect it to have a trailing slash"). `http://` is refused, since it would show access tokens to
    /// everybody on the way, but for loopback addresses, or where `clear_text` allows it.
    pub(crate) fn parse(text: &str, clear_text: bool) -> Result<Base, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        let scheme = match url.scheme() {
            "https" => Scheme::HTTPS,
            "http" => Scheme::HTTP,
            other => return Err(format!("the scheme is https, not {other}")),
        };
        let host = url.host().ok_or("there is no host")?;
        if scheme == Scheme::HTTP && !clear_text && !is_loopback(&host) {
            return Err("http:// would show access tokens to everybody on the way".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("user and password in a URL are not used by Matrix".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a query or a fragment has no place in it".into());
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        Ok(Base {
            scheme,
            authority: authority.parse().map_err(|_| "the host cannot be asked for".to_owned())?,
            prefix: url.path().trim_end_matches('/').to_owned(),
            host: match host {
                Host::Ipv6(address) => address.to_string(),
                other => other.to_string(),
            },
            port: url.port(),
        })
    }

    pub(crate) fn is_clear_text(&self) -> bool {
        self.scheme == Scheme::HTTP
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, if it is not that of the scheme.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the address of a resource, from its path and query.
    pub(crate) fn uri(&self, target: &PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{target}", self.prefix))
            .build()
    }
}

/// The URL, without a slash at its end.
impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    }
}

/// What the user calls the homeserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A server name, whose `/.well-known/matrix/client` says where the API is. Holds the place of the API if
    /// there is no such document.
    Name(Base),
    /// The API itself.
    Api(Base),
}

impl Named {
    /// Reads `example.org`, which is looked up, or `https://matrix.example.org`, which is not: nor is what
    /// names a port or a path.
    pub(crate) fn parse(told: &str, clear_text: bool) -> Result<Named, String> {
        if told.contains("://") {
            return Base::parse(told, clear_text).map(Named::Api);
        }
        if let Some(id) = told.strip_prefix('@') {
            return Err(match id.split_once(':') {
                Some((_, server)) if !server.is_empty() => {
                    format!("it is a Matrix ID, and its homeserver stands behind the colon: use {server}")
                }
                _ => "a homeserver's name does not begin with @".into(),
            });
        }
        let base = Base::parse(&format!("https://{told}"), clear_text)?;
        let is_name = base.port.is_none() && base.prefix.is_empty();
        Ok(if is_name { Named::Name(base) } else { Named::Api(base) })
    }

    /// Returns where the API is as long as no document says otherwise.
    pub(crate) fn base(&self) -> &Base {
        match self {
            Named::Name(base) | Named::Api(base) => base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_up_and_all_else_is_the_api_itself() {
        for (told, is_name, base) in [
            ("example.org", true, "https://example.org"),
            ("example.org/", true, "https://example.org"),
            ("b\u{fc}cher.example", true, "https://xn--bcher-kva.example"),
            ("192.0.2.1", true, "https://192.0.2.1"),
            ("example.org:8448", false, "https://example.org:8448"),
            ("localhost:8008", false, "https://localhost:8008"),
            ("example.org/matrix/", false, "https://example.org/matrix"),
            ("https://hs.example.org", false, "https://hs.example.org"),
            ("https://hs.example.org/", false, "https://hs.example.org"),
            ("https://[2001:db8::1]:8448//", false, "https://[2001:db8::1]:8448"),
            ("http://127.0.0.1:8008", false, "http://127.0.0.1:8008"),
            ("http://localhost:8008/", false, "http://localhost:8008"),
            ("http://[::1]", false, "http://[::1]"),
        ] {
            let named = Named::parse(told, false).unwrap_or_else(|why| panic!("{told}: {why}"));
            assert_eq!(matches!(named, Named::Name(_)), is_name, "{told}");
            assert_eq!(named.base().to_string(), base, "{told}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_its_reason() {
        for (told, why) in [
            ("", "host"),
            ("ftp://example.org", "the scheme is https"),
            ("http://example.org", "access tokens"),
            ("http://192.0.2.1:8008", "access tokens"),
            ("https://u:p@example.org", "user and password"),
            ("https://example.org/?a", "a query"),
            ("https://example.org/#a", "a fragment"),
            ("example org", "domain"),
            ("@u:example.org", "behind the colon: use example.org"),
            ("@u:example.org:8448", "use example.org:8448"),
            ("@example.org", "does not begin with @"),
            ("@u:", "does not begin with @"),
        ] {
            let found = Named::parse(told, false).unwrap_err();
            assert!(found.contains(why), "{told}: {found}");
        }
        assert!(Named::parse("http://example.org", true).is_ok());
    }

    #[test]
    fn a_resource_stands_behind_the_prefix() {
        let uri = |base: &str, target: &'static str| {
            let base = Base::parse(base, false).unwrap();
            base.uri(&PathAndQuery::from_static(target)).unwrap().to_string()
        };
        assert_eq!(uri("https://hs/", "/_matrix/a%2Fb?c=%20"), "https://hs/_matrix/a%2Fb?c=%20");
        assert_eq!(uri("https://[::1]:9/x/y/", "/a"), "https://[::1]:9/x/y/a");
        assert_eq!(Base::parse("https://[::1]:9/", false).unwrap().host(), "::1");
    }
}
