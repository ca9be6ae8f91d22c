//! Names to addresses, for datagrams and for HTTPS alike.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Addresses of a host and port that no resolver is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The host in lower case, an IPv6 address without its brackets.
    pub host: String,
    /// The port that the addresses hold for.
    pub port: u16,
    /// Its addresses, the first of which is tried first; each with the port that is dialled in place of
    /// `port`, usually the same.
    pub addresses: Vec<SocketAddr>,
}

/// The addresses that may be dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both families, which is the default.
    #[default]
    Any,
    /// Those of IPv4 alone.
    Ipv4,
    /// Those of IPv6 alone.
    Ipv6,
}

/// How names become addresses. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    fixed: Arc<[Fixed]>,
    family: Family,
}

impl Names {
    pub(crate) fn new(fixed: &[Fixed], family: Family) -> Names {
        Names { fixed: fixed.into(), family }
    }

    /// Returns the addresses of a host that may be dialled, at least one. An IPv6 address stands without its
    /// brackets. Of several fixed ones for the same host and port the last hold.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let is_it = |fixed: &&Fixed| fixed.port == port && fixed.host.eq_ignore_ascii_case(host);
        let found: Vec<SocketAddr> = match self.fixed.iter().rev().find(is_it) {
            Some(fixed) => fixed.addresses.clone(),
            None => tokio::net::lookup_host((host, port)).await?.collect(),
        };
        let allowed = |address: &SocketAddr| match self.family {
            Family::Any => true,
            Family::Ipv4 => address.is_ipv4(),
            Family::Ipv6 => address.is_ipv6(),
        };
        let left: Vec<SocketAddr> = found.into_iter().filter(allowed).collect();
        if left.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address to dial")));
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(family: Family) -> Names {
        let fixed = |port, addresses: &[&str]| Fixed {
            host: "hs.example".into(),
            port,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        };
        Names::new(
            &[
                fixed(443, &["192.0.2.1:443"]),
                fixed(8008, &["192.0.2.9:8008"]),
                fixed(8008, &["[2001:db8::1]:8008", "192.0.2.2:9"]),
            ],
            family,
        )
    }

    #[tokio::test]
    async fn the_last_fixed_addresses_of_host_and_port_hold() {
        let of = async |family, host: &str, port| names(family).addresses(host, port).await;
        let all =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        assert_eq!(of(Family::Any, "HS.example", 443).await.unwrap(), all(&["192.0.2.1:443"]));
        assert_eq!(
            of(Family::Any, "hs.example", 8008).await.unwrap(),
            all(&["[2001:db8::1]:8008", "192.0.2.2:9"])
        );
        assert_eq!(of(Family::Ipv4, "hs.example", 8008).await.unwrap(), all(&["192.0.2.2:9"]));
        assert_eq!(of(Family::Any, "::1", 1).await.unwrap(), all(&["[::1]:1"]));
        let none = of(Family::Ipv6, "hs.example", 443).await.unwrap_err();
        assert_eq!(none.to_string(), "hs.example has no address to dial");
    }
}
