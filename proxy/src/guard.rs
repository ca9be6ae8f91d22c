//! Whom the proxy answers: clients that mean it.
//!
//! The page of a stranger may lead its own name to a loopback address (DNS rebinding); a browser then takes
//! the proxy for the page's own server and lets the page read all answers. Such requests have the stranger's
//! name in their Host field.

use crate::settings::Settings;
use http::request::Parts;
use http::uri::Authority;
use http::{header, uri::Scheme};
use std::net::IpAddr;

/// The names and addresses that the proxy is known by.
#[derive(Debug)]
pub(crate) struct Guard {
    names: Vec<String>,
    /// Those among the names: addresses by which others than the listener lead here.
    addresses: Vec<IpAddr>,
    listens_on: IpAddr,
    scheme: Scheme,
}

impl Guard {
    pub(crate) fn new(settings: &Settings, listens_on: IpAddr) -> Guard {
        Guard {
            names: settings.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            addresses: settings.names.iter().filter_map(|name| address(name)).collect(),
            listens_on,
            scheme: if settings.identity.is_some() { Scheme::HTTPS } else { Scheme::HTTP },
        }
    }

    /// Returns the URL by which the client knows the proxy; `None` if it means another server.
    pub(crate) fn admit(&self, request: &Parts) -> Option<String> {
        let host = match request.uri.authority() {
            Some(authority) => authority.clone(),
            None => {
                let mut fields = request.headers.get_all(header::HOST).iter();
                let (field, further) = (fields.next()?, fields.next());
                Authority::try_from(field.as_bytes()).ok().filter(|_| further.is_none())?
            }
        };
        self.knows(&host).then(|| format!("{}://{host}", self.scheme))
    }

    fn knows(&self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        // The host ends with its bracket, and anything may follow that.
        if !authority.as_str().strip_prefix(host).is_some_and(is_port) {
            return false;
        }
        match address(host) {
            // A page has an address for its host only if that address served it.
            Some(address) => {
                address.is_loopback()
                    || address == self.listens_on
                    || self.listens_on.is_unspecified()
                    || self.addresses.contains(&address)
            }
            None => {
                let host = host.to_ascii_lowercase();
                host == "localhost" || self.names.contains(&host)
            }
        }
    }
}

/// Returns the address that a host is, of IPv6 with or without brackets.
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// Returns whether what follows a host is nothing, or a port.
fn is_port(rest: &str) -> bool {
    let digits = rest.strip_prefix(':');
    rest.is_empty() || digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn admitted(listens_on: &str, host: Option<&str>) -> Option<String> {
        let names = ["My-Box", "198.51.100.1", "2001:db8::1", "[2001:db8::2]"].map(str::to_owned).to_vec();
        let settings = Settings { names, ..Settings::new("example.org") };
        let mut request = Request::get("/_matrix/client/versions");
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Guard::new(&settings, listens_on.parse().unwrap()).admit(&parts)
    }

    #[test]
    fn a_client_that_means_the_proxy_is_admitted_and_told_where_it_is() {
        for (listens_on, host) in [
            ("127.0.0.1", "localhost:8009"),
            ("127.0.0.1", "LOCALHOST"),
            ("127.0.0.1", "127.0.0.1:8009"),
            ("127.0.0.1", "127.0.0.5"),
            ("::1", "[::1]:8009"),
            ("192.0.2.1", "192.0.2.1:8009"),
            ("0.0.0.0", "192.0.2.7:8009"),
            ("127.0.0.1", "my-box:1"),
            ("192.0.2.1", "198.51.100.1:8009"),
            ("192.0.2.1", "[2001:db8::1]:8009"),
            ("192.0.2.1", "[2001:DB8:0::2]"),
        ] {
            let url = admitted(listens_on, Some(host));
            assert_eq!(url, Some(format!("http://{host}")), "{listens_on}");
        }
    }

    #[test]
    fn a_strangers_name_is_not_admitted_wherever_it_leads() {
        for (listens_on, host) in [
            ("127.0.0.1", "evil.example:8009"),
            ("127.0.0.1", "localhost.evil.example"),
            ("127.0.0.1", "127.0.0.1.evil.example"),
            ("127.0.0.1", "localhost@evil.example"),
            ("127.0.0.1", "localhost."),
            ("127.0.0.1", "192.0.2.1"),
            ("127.0.0.1", "[::1].evil.example"),
            ("127.0.0.1", "[::1]evil.example:8009"),
            ("127.0.0.1", "[2001:db8::1].evil.example"),
            ("127.0.0.1", "localhost:evil.example"),
            ("127.0.0.1", "127.0.0.1:x.evil.example"),
            ("127.0.0.1", "localhost:+80"),
            ("127.0.0.1", "[localhost]"),
            ("127.0.0.1", "[127.0.0.1]"),
            ("127.0.0.1", "198.51.100.2"),
            ("0.0.0.0", "evil.example"),
            ("127.0.0.1", ""),
        ] {
            assert_eq!(admitted(listens_on, Some(host)), None, "{listens_on} {host}");
        }
        assert_eq!(admitted("127.0.0.1", None), None);
    }

    #[test]
    fn the_authority_of_http_2_counts_before_a_host_field() {
        let request =
            Request::get("http://evil.example/").header(header::HOST, "localhost").body(()).unwrap();
        let guard = Guard::new(&Settings::new("example.org"), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(guard.admit(&request.into_parts().0), None);
    }
}
