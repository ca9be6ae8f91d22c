//! The names of this server, for clients that name the server they want (Uri-Host, RFC 7252 section 5.10.1).

use crate::refusal::Refusal;

/// The names that are served here; `None` means any name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerNames(Option<Vec<String>>);

/// The refusal of another name. HTTPS on the same host and port has the name in its own request, and the
/// server there may know it.
const ANOTHER: Refusal = Refusal::use_https(
    "the server of that name is not reached over CoAP here: use HTTPS on the same host and port",
);

impl ServerNames {
    /// Parses `any`, or names with commas between them.
    pub fn parse(text: &str) -> Result<ServerNames, String> {
        if text == "any" {
            return Ok(ServerNames(None));
        }
        let names: Vec<_> = text.split(',').map(|name| canonical(name.trim())).collect();
        match names.iter().find(|name| !is_name(name)) {
            None => Ok(ServerNames(Some(names))),
            Some(wrong) => Err(format!("holds {wrong:?}, which is not a host name; nor is it any")),
        }
    }

    /// Accepts or refuses a request for `host`. A request without a name means the address it was sent to,
    /// which is ours.
    pub fn admit(&self, host: Option<&str>) -> Result<(), Refusal> {
        match (&self.0, host) {
            (Some(names), Some(host)) if !names.contains(&canonical(host)) => Err(ANOTHER),
            _ => Ok(()),
        }
    }
}

/// Returns the canonical form: names differ neither by case nor by the dot of the root.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Returns whether the text looks like a name or an address rather than a URL or a port. IPv6 addresses stand
/// in brackets, as in Uri-Host.
fn is_name(name: &str) -> bool {
    let letters = |name: &str, more: &[char]| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
    };
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => letters(address, &[':', '.']),
        None => letters(name, &['-', '.', '_']) && name.len() <= 255,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::Code;

    #[test]
    fn another_name_is_refused_and_none_is_ours() {
        let names = ServerNames::parse("Matrix.example.org, 192.0.2.1,[2001:db8::1]").unwrap();
        let ours =
            ["matrix.example.org", "MATRIX.example.org", "matrix.example.org.", "192.0.2.1", "[2001:DB8::1]"];
        for host in ours.map(Some).into_iter().chain([None]) {
            assert_eq!(names.admit(host), Ok(()), "{host:?}");
        }
        for host in ["example.org", "matrix.example.org.evil.org", "", "192.0.2.10"] {
            assert_eq!(names.admit(Some(host)).unwrap_err().code, Code::PROXYING_NOT_SUPPORTED, "{host}");
            assert_eq!(ServerNames::default().admit(Some(host)), Ok(()));
        }
        assert_eq!(ServerNames::parse("any"), Ok(ServerNames::default()));
    }

    #[test]
    fn what_is_no_name_is_a_mistake() {
        for wrong in ["", ",", "a,,b", "https://a", "a:8008", "a b", "[::1", "\u{a7}", &"a".repeat(256)] {
            assert!(ServerNames::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
