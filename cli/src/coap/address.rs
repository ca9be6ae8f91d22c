//! Which addresses of a host are dialled: `-4`, `-6` and `--resolve`.

use super::url::unbracketed;
use crate::exit::{Exit, Failure};
use std::net::{IpAddr, SocketAddr};

/// The user's choice of addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    pub(crate) family: Family,
    pub(crate) fixed: Vec<Fixed>,
}

/// The addresses that may be dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    Any,
    Ipv4,
    Ipv6,
}

/// Addresses of a host and port that no resolver is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// As it is dialled, without brackets.
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Fixed {
    /// Parses `HOST:PORT:ADDRESS[,ADDRESS]`; IPv6 addresses may stand in brackets, and as a host they must.
    pub(crate) fn parse(text: &str) -> Result<Fixed, String> {
        let form = || "HOST:PORT:ADDRESS is expected".to_owned();
        let behind_host =
            if text.starts_with('[') { text.find("]:").map(|at| at + 1) } else { text.find(':') };
        let (host, rest) = text.split_at_checked(behind_host.ok_or_else(form)?).ok_or_else(form)?;
        let (port, addresses) =
            rest.strip_prefix(':').and_then(|rest| rest.split_once(':')).ok_or_else(form)?;
        let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
        let parse = |address: &str| {
            unbracketed(address).parse().map_err(|_| format!("{address:?} is not an IP address"))
        };
        let addresses = addresses.split(',').map(parse).collect::<Result<_, _>>()?;
        Ok(Fixed { host: unbracketed(host).to_ascii_lowercase(), port, addresses })
    }

    /// Returns the same for `lowband proxy`.
    pub(crate) fn for_proxy(self) -> lowband_proxy::Fixed {
        let Fixed { host, port, addresses } = self;
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        lowband_proxy::Fixed { host, port, addresses }
    }

    /// Has the addresses of a port hold for another one instead.
    pub(crate) fn change_port(&mut self, from: u16, to: u16) {
        self.port = if self.port == from { to } else { self.port };
    }
}

impl Choice {
    /// Returns the addresses that are fixed for a host and port; `None` for one that is to be resolved. Of
    /// several for the same host and port the last holds.
    pub(crate) fn fixed(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let fixed = self.fixed.iter().rev().find(|fixed| fixed.port == port && fixed.host == host)?;
        Some(fixed.addresses.iter().map(|address| SocketAddr::new(*address, port)).collect())
    }

    /// Returns the addresses that may be dialled of those that a host has. Fails if there are none.
    pub(crate) fn of(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Failure> {
        let (wanted, is_wanted): (_, fn(&SocketAddr) -> bool) = match self.family {
            Family::Any => ("", |_| true),
            Family::Ipv4 => ("IPv4 ", SocketAddr::is_ipv4),
            Family::Ipv6 => ("IPv6 ", SocketAddr::is_ipv6),
        };
        let (left, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_wanted);
        if !left.is_empty() {
            return Ok(left);
        }
        let others: Vec<String> = others.iter().map(|address| address.ip().to_string()).collect();
        let others = if others.is_empty() { String::new() } else { format!(", only {}", others.join(", ")) };
        Err(Failure::new(Exit::Resolve, format!("{host} has no {wanted}address{others}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_addresses_are_found_by_host_and_port() {
        let fixed = ["hs:8008:192.0.2.1", "HS:1:[2001:db8::1],192.0.2.2", "[::1]:9:::2", "hs:8008:192.0.2.3"]
            .map(|text| Fixed::parse(text).unwrap());
        let choice = Choice { family: Family::Any, fixed: fixed.to_vec() };
        for (host, port, expected) in [
            ("hs", 8008, Some(&["192.0.2.3:8008"][..])),
            ("hs", 1, Some(&["[2001:db8::1]:1", "192.0.2.2:1"])),
            ("::1", 9, Some(&["[::2]:9"])),
            ("hs", 2, None),
            ("other", 1, None),
        ] {
            let expected = expected.map(|all| all.iter().map(|one| one.parse().unwrap()).collect());
            assert_eq!(choice.fixed(host, port), expected, "{host}:{port}");
        }
    }

    #[test]
    fn only_the_addresses_of_a_port_move_to_another() {
        let mut fixed = ["hs:8008:192.0.2.1", "hs:1:192.0.2.2"].map(|text| Fixed::parse(text).unwrap());
        fixed.iter_mut().for_each(|fixed| fixed.change_port(8008, 443));
        assert_eq!(fixed.map(|fixed| fixed.port), [443, 1]);
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        for (text, part) in [
            ("hs", "HOST:PORT:ADDRESS"),
            ("hs:1", "HOST:PORT:ADDRESS"),
            ("[::1]", "HOST:PORT:ADDRESS"),
            ("hs:x:192.0.2.1", "\"x\" is not a port"),
            ("hs:1:other", "\"other\" is not an IP address"),
            ("hs:1:", "\"\" is not an IP address"),
        ] {
            let why = Fixed::parse(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn a_family_leaves_the_other_out() {
        let all: Vec<SocketAddr> = vec!["[::1]:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()];
        let of = |family, found: &[SocketAddr]| {
            let choice = Choice { family, fixed: Vec::new() };
            choice.of("hs", found.to_vec()).map_err(|failure| failure.to_string())
        };
        assert_eq!(of(Family::Any, &all), Ok(all.clone()));
        assert_eq!(of(Family::Ipv4, &all), Ok(all[1..].to_vec()));
        assert_eq!(of(Family::Ipv6, &all), Ok(all[..1].to_vec()));
        assert_eq!(of(Family::Ipv6, &all[1..]), Err("hs has no IPv6 address, only 127.0.0.1".into()));
        assert_eq!(of(Family::Any, &[]), Err("hs has no address".into()));
    }
}
