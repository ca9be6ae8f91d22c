//! Turns the texts of the options into values. Each error is a phrase that fits after the option's name and
//! value.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Longest path of a socket in bytes: it has to fit into `sockaddr_un` with its closing zero (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;
const LONGEST_HOST_NAME: usize = 253;

/// Parses a number from 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(number) if number > 0 && text.chars().all(|c| c.is_ascii_digit()) => Ok(number),
        _ => Err("is not a port from 1 to 65535".to_owned()),
    }
}

/// Parses a port, or `off` (`None`).
pub(crate) fn port_or_off(text: &str) -> Result<Option<u16>, String> {
    if text == "off" { Ok(None) } else { port(text).map(Some).map_err(|why| why + "; off is allowed too") }
}

/// Parses an IP address to listen on.
pub(super) fn address(text: &str) -> Result<String, String> {
    let address: Result<IpAddr, _> = text.parse();
    address
        .map(|address| address.to_string())
        .map_err(|_| "is not an IP address to listen on, like 0.0.0.0 or ::".to_owned())
}

/// Parses an IP address and a port to listen on.
pub(super) fn address_and_port(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
    address.ok_or_else(|| "is not an address with a port, like 0.0.0.0:9465 or [::]:9465".to_owned())
}

/// Least memory in bytes; Envoy itself needs some 20 MiB.
const LEAST_HEAP: u64 = 64 << 20;

/// Parses a number of bytes of memory.
pub(super) fn heap(text: &str) -> Result<u64, String> {
    let bytes = text.parse().ok().filter(|bytes| *bytes >= LEAST_HEAP && !text.starts_with('+'));
    bytes.ok_or_else(|| format!("is not a number of bytes of at least {LEAST_HEAP} (64 MiB)"))
}

/// Accepts any path that fits on one line.
pub(super) fn path(text: &str) -> Result<String, String> {
    let breaks = |c: char| c.is_control() || c == '\u{feff}' || (c.is_whitespace() && c != ' ');
    if text.is_empty() || text.contains(breaks) {
        Err("is not a path".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Accepts a folder whose path leaves room for a socket; a slash at its end is removed.
pub(super) fn folder(text: &str) -> Result<String, String> {
    let text = path(text)?;
    let size = text.trim_end_matches('/').len() + "/envoy.sock".len();
    if size > LONGEST_SOCKET_PATH {
        return Err(format!(
            "is too long: the path of the socket in it has {size} bytes, of at most {LONGEST_SOCKET_PATH}"
        ));
    }
    Ok(match text.trim_end_matches('/') {
        "" => "/".to_owned(),
        clean => clean.to_owned(),
    })
}

/// Accepts the URL that clients are given: a scheme, a host and perhaps more, without anything that JSON or
/// YAML would have to escape.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || ".:[]_~%+/-".contains(c);
    let is_last = |c: char| c.is_ascii_alphanumeric() || "]/".contains(c);
    let rest = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or_default();
    if rest.starts_with('/') || !rest.ends_with(is_last) || !rest.chars().all(is_inner) {
        return Err("is not a URL like https://matrix.example.org".to_owned());
    }
    Ok(text.to_owned())
}

/// A URL of the form `scheme://host[:port]`, and nothing after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Homeserver {
    pub(super) tls: bool,
    /// The host in lower case; an address is without its brackets.
    pub(super) host: String,
    /// True if the host is a name, false if it is an address.
    pub(super) is_name: bool,
    pub(super) port: u16,
}

impl Homeserver {
    pub(super) fn parse(text: &str) -> Result<Homeserver, String> {
        const FORM: &str = "is not a URL like https://matrix.example.org or http://127.0.0.1:8018";
        let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(FORM.to_owned()),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(
                "holds a user name; Envoy passes on what the clients send, and nothing of its own".to_owned()
            );
        }
        if !["", "/"].contains(&path) {
            return Err("has more than scheme, host and port: the paths come from the clients".to_owned());
        }
        let (host, number) = split_authority(authority).ok_or(FORM)?;
        let port = match number {
            "" => usual_port(tls),
            number => port(number).map_err(|why| format!("names a port that {why}"))?,
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Homeserver { tls, host: address.to_string(), is_name: false, port });
        }
        if !is_host_name(host) {
            return Err(format!("names {host:?}, which is not a host name"));
        }
        Ok(Homeserver { tls, host: host.to_ascii_lowercase(), is_name: true, port })
    }

    /// Returns what the homeserver's front end distinguishes its sites by: the host, and the port where it is
    /// not the usual one.
    pub(super) fn authority(&self) -> String {
        if self.port == usual_port(self.tls) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn usual_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Splits host and port; the port is empty where none is given.
fn split_authority(authority: &str) -> Option<(&str, &str)> {
    let Some(bracketed) = authority.strip_prefix('[') else {
        return Some(authority.split_once(':').unwrap_or((authority, "")))
            .filter(|(host, _)| !host.is_empty());
    };
    let (host, rest) = bracketed.split_once(']')?;
    host.parse::<Ipv6Addr>().ok()?;
    match rest {
        "" => Some((host, "")),
        _ => Some((host, rest.strip_prefix(':')?)),
    }
}

/// Returns whether the text consists of letters, digits, hyphens and underscores between dots.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    text.len() <= LONGEST_HOST_NAME && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_homeserver_is_a_scheme_a_host_and_a_port() {
        let parsed =
            |text| Homeserver::parse(text).map(|server| (server.authority(), server.is_name, server.port));
        assert_eq!(parsed("https://Matrix.example.org"), Ok(("matrix.example.org".to_owned(), true, 443)));
        assert_eq!(parsed("HTTP://synapse:8008/"), Ok(("synapse:8008".to_owned(), true, 8008)));
        assert_eq!(parsed("https://h:"), Ok(("h".to_owned(), true, 443)));
        assert_eq!(parsed("http://192.0.2.1:80"), Ok(("192.0.2.1".to_owned(), false, 80)));
        assert_eq!(parsed("https://[2001:DB8::1]:8448"), Ok(("2001:db8::1:8448".to_owned(), false, 8448)));
        assert!(parsed(&format!("https://{}.org", "a".repeat(250))).is_err());
    }

    #[test]
    fn a_port_is_digits() {
        assert_eq!(port("1"), Ok(1));
        assert_eq!(port("65535"), Ok(65_535));
        for text in ["", "0", "65536", "+1", " 1", "x", "99999999999999999999"] {
            assert!(port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_stands_on_one_line() {
        assert!(path("/a b/ü").is_ok());
        for text in ["", "a\nb", "a\u{2028}b", "a\tb", "a\u{feff}"] {
            assert!(path(text).is_err(), "{text:?}");
        }
        assert_eq!(folder("/run//"), Ok("/run".to_owned()));
        assert_eq!(folder("/"), Ok("/".to_owned()));
    }
}
