//! Datagrams that are longer than a path takes.

/// Lets routers, and this host, cut what is longer than a link takes.
///
/// Linux sets the don't-fragment bit on UDP as a rule, for programs that look for the largest datagram that
/// passes. We do not look: what we send passes a path of 1280 bytes, and most paths. On one that is smaller
/// the bit would only make the largest datagrams, flights of handshakes and full blocks, vanish each time,
/// often without a word (RFC 8900 section 3.6). Without it they arrive in pieces, unless somebody on the way
/// drops these, which is what smaller flights are for.
///
/// IPv4: what ICMP claims of the path is ignored as well (OMIT), which anybody can forge. IPv6: routers do
/// not cut, and this host does so by what ICMP claims, for which 1280 bytes are the least.
///
/// A system that does not know the options does as it likes.
#[cfg(target_os = "linux")]
pub fn allow(socket: impl std::os::fd::AsFd, is_ipv6: bool) {
    use rustix::net::sockopt;
    // A socket of IPv6 may have peers of IPv4.
    let _ = sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::OMIT);
    if is_ipv6 {
        let _ = sockopt::set_ipv6_mtu_discover(&socket, sockopt::Ipv6PathMtuDiscovery::DONT);
    }
}

/// Other systems do not set the bit by themselves.
#[cfg(not(target_os = "linux"))]
pub fn allow(_socket: impl std::os::fd::AsFd, _is_ipv6: bool) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::net::sockopt;
    use std::net::UdpSocket;

    #[test]
    fn the_bit_is_not_set_for_either_family() {
        for (address, is_ipv6) in [("127.0.0.1:0", false), ("[::1]:0", true)] {
            let socket = UdpSocket::bind(address).unwrap();
            allow(&socket, is_ipv6);
            assert_eq!(sockopt::ip_mtu_discover(&socket).unwrap(), sockopt::Ipv4PathMtuDiscovery::OMIT);
            if is_ipv6 {
                let discovery = sockopt::ipv6_mtu_discover(&socket).unwrap();
                assert_eq!(discovery, sockopt::Ipv6PathMtuDiscovery::DONT);
            }
        }
    }
}
