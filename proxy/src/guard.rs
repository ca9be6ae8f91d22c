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

/// The names that the proxy is known by.
#[derive(Debug)]
pub(crate) struct Guard {
    names: Vec<String>,
    listens_on: IpAddr,
    scheme: Scheme,
}

impl Guard {
    pub(crate) fn new(settings: &Settings, listens_on: IpAddr) -> Guard {
        Guard {
            names: settings.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
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
        let host = authority.host().to_ascii_lowercase();
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            // A page has an address for its host only if that address served it.
            Ok(address) => {
                address.is_loopback() || address == self.listens_on || self.listens_on.is_unspecified()
            }
            Err(_) => host == "localhost" || self.names.contains(&host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn admitted(listens_on: &str, host: Option<&str>) -> Option<String> {
        let settings = Settings { names: vec!["My-Box".to_owned()], ..Settings::new("example.org") };
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
