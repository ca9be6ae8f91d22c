//! What a URL means here: coaps, https and http all name a host and a port that is dialled by DTLS.

use crate::exit::{Exit, Failure};
use std::net::Ipv6Addr;
use url::{Host, Url};

/// Port that is dialled without one in the URL, for UDP and TCP alike.
const DEFAULT_PORT: u16 = 8008;

/// The host to dial and the target to ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// A name or an address, without brackets: for the resolver, SNI and the certificate.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `host:port` as in a URL, for the Host header.
    pub(crate) authority: String,
    /// Path and query, percent-encoded.
    pub(crate) target: String,
    /// Whether the scheme was http: with `--http` that is clear text.
    pub(crate) clear_text: bool,
}

impl Destination {
    /// Changes the port, of the authority too.
    pub(crate) fn change_port(&mut self, port: u16) {
        let behind_host = self.authority.rfind(':').unwrap_or(self.authority.len());
        self.authority.truncate(behind_host);
        self.authority.push_str(&format!(":{port}"));
        self.port = port;
    }
}

/// Removes the brackets of an IPv6 address.
pub(crate) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Says what is meant, perhaps, by an IPv6 address without brackets; `rest` is what follows the scheme. Of
/// what is not an address, nothing is said: it may hold a password.
fn lacks_brackets(rest: &str) -> Option<String> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_address = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let split = authority.rsplit_once(':');
    let with_port = split.filter(|(address, digits)| is_address(address) && port(digits).is_some());
    let with_port = with_port.map(|(address, port)| format!("coaps://[{address}]:{port}"));
    let whole = is_address(authority).then(|| format!("coaps://[{authority}]"));
    let meant = match (with_port, whole) {
        (Some(with_port), Some(whole)) => format!("{with_port}, or {whole} if all of it is the address"),
        (one, other) => one.or(other)?,
    };
    Some(format!("an IPv6 address stands in brackets: {meant}"))
}

pub(crate) fn parse(text: &str) -> Result<Destination, Failure> {
    // The error leaves out the URL itself, which may hold a password or a token.
    let refuse = |why: &str| Err(Failure::new(Exit::Url, format!("the URL: {why}")));
    let is_scheme =
        |before: &str| before.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let split = text.split_once("://").filter(|(before, _)| is_scheme(before));
    let (scheme, rest) = split.unwrap_or(("coaps", text));
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "coaps" | "https" | "http" => {}
        "coap" => {
            return refuse(
                "CoAP without DTLS would show your access token and messages to everyone on the path, and no \
                 low-bandwidth server takes it; say coaps://",
            );
        }
        _ => return refuse("the schemes are coaps, https and http"),
    }
    if let Some(why) = lacks_brackets(rest) {
        return refuse(&why);
    }
    // One scheme for all: with https the parser would drop port 443 as its default, where ours is 8008.
    let url = match Url::parse(&format!("coaps://{rest}")) {
        Ok(url) => url,
        Err(error) => return refuse(&error.to_string()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "user and password in a URL are not used by Matrix; an access token goes into -H 'Authorization: ...'",
        );
    }
    if url.fragment().is_some() {
        return refuse(
            "a # begins a fragment, which is not sent; one in a path, as that of a room alias, is written %23",
        );
    }
    let host = match url.host_str().filter(|host| !host.is_empty()).map(Host::parse) {
        Some(Ok(host)) => host,
        Some(Err(error)) => return refuse(&error.to_string()),
        None => return refuse("there is no host"),
    };
    let port = match url.port() {
        Some(0) => return refuse("port 0 is not a valid port"),
        port => port.unwrap_or(DEFAULT_PORT),
    };
    let path = if url.path().is_empty() { "/" } else { url.path() };
    Ok(Destination {
        authority: format!("{host}:{port}"),
        host: match host {
            Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        },
        port,
        target: url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")),
        clear_text: scheme == "http",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_port_and_target() {
        for (url, host, port, target) in [
            ("coaps://hs", "hs", 8008, "/"),
            ("coaps://hs/", "hs", 8008, "/"),
            ("https://hs/a", "hs", 8008, "/a"),
            ("http://localhost:8008/_matrix/client/versions", "localhost", 8008, "/_matrix/client/versions"),
            ("https://hs:443/a", "hs", 443, "/a"),
            ("http://hs:80/a", "hs", 80, "/a"),
            ("coaps://hs:5684/a", "hs", 5684, "/a"),
            ("COAPS://HS/a", "hs", 8008, "/a"),
            ("hs/a", "hs", 8008, "/a"),
            ("localhost:8009/a?b", "localhost", 8009, "/a?b"),
            ("hs/a?next=http://x", "hs", 8008, "/a?next=http://x"),
            ("coaps://127.0.0.1:1/a", "127.0.0.1", 1, "/a"),
            ("coaps://[::1]/a", "::1", 8008, "/a"),
            ("coaps://[::1]:9/a", "::1", 9, "/a"),
            ("coaps://b\u{fc}cher.example/a", "xn--bcher-kva.example", 8008, "/a"),
            ("coaps://hs?k=v", "hs", 8008, "/?k=v"),
            ("coaps://hs/directory/room/%23a:hs", "hs", 8008, "/directory/room/%23a:hs"),
            ("coaps://hs/rooms/!r:hs/send/a%2Fb", "hs", 8008, "/rooms/!r:hs/send/a%2Fb"),
            ("coaps://hs/pushrules/", "hs", 8008, "/pushrules/"),
        ] {
            let destination = parse(url).unwrap_or_else(|failure| panic!("{url}: {failure}"));
            let found = (destination.host.as_str(), destination.port, destination.target.as_str());
            assert_eq!(found, (host, port, target), "{url}");
        }
    }

    #[test]
    fn only_http_is_clear_text_and_ipv6_keeps_its_brackets_in_the_authority() {
        for (url, clear_text) in
            [("http://hs", true), ("https://hs", false), ("coaps://hs", false), ("hs", false)]
        {
            assert_eq!(parse(url).unwrap().clear_text, clear_text, "{url}");
        }
        assert_eq!(parse("coaps://[::1]:9/").unwrap().authority, "[::1]:9");
        assert_eq!(parse("coaps://hs/").unwrap().authority, "hs:8008");
    }

    #[test]
    fn another_port_is_that_of_the_authority_too() {
        for (url, authority) in [("hs/a", "hs:443"), ("coaps://[::1]:9/", "[::1]:443")] {
            let mut destination = parse(url).unwrap();
            destination.change_port(443);
            assert_eq!((destination.authority.as_str(), destination.port), (authority, 443));
        }
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_with_its_reason() {
        for (url, reason) in [
            ("coap://hs/a", "CoAP without DTLS"),
            ("COAP://hs/a", "CoAP without DTLS"),
            ("ftp://hs/a", "the schemes are"),
            ("coaps:///a", "no host"),
            ("coaps://", "no host"),
            ("", "no host"),
            ("coaps://hs:0/", "port 0"),
            ("coaps://hs:65536/", "port"),
            ("coaps://user:secret@hs/", "user and password"),
            ("coaps://[::1/", "IPv6"),
            ("coaps://::1:9108/a", "in brackets: coaps://[::1]:9108, or coaps://[::1:9108] if all"),
            ("::1:9108", "in brackets: coaps://[::1]:9108,"),
            ("coaps://::1", "in brackets: coaps://[::1]"),
            ("coaps://2001:db8::1?a", "in brackets: coaps://[2001:db8::1]"),
            ("coaps://2001:db8::a:60000", "in brackets: coaps://[2001:db8::a]:60000"),
            ("coaps://2001:db8:1:2:3:4:5:6:8008/a", "in brackets: coaps://[2001:db8:1:2:3:4:5:6]:8008"),
            ("coaps://hs:1:2", "port"),
            ("coaps://hs/directory/room/#a:hs", "%23"),
            ("coaps://hs/a?k=v#l", "%23"),
        ] {
            let failure = parse(url).unwrap_err();
            assert_eq!(failure.exit, Exit::Url, "{url}");
            assert!(failure.to_string().contains(reason), "{url}: {failure}");
        }
    }
}
