//! Datagrams that are longer than a path takes.

/// Lets routers, and this host, cut what is longer than a link takes.
///
/// Linux by default sets the don't-fragment bit on UDP, for programs that probe for the largest datagram that
/// passes. This project does not probe: its datagrams pass a path of 1280 bytes, and most paths. On a smaller
/// path the bit would only make the largest datagrams, flights of handshakes and full blocks, vanish each
/// time, often without an error (RFC 8900 section 3.6). Without it they arrive in fragments, unless a router
/// drops these; the smaller flights are for that case.
///
/// IPv4: ICMP's statement about the path is ignored as well (OMIT), since any host can forge it. IPv6:
/// routers do not fragment, and this host follows ICMP, which cannot go below 1280 bytes.
///
/// On a system without these options nothing is changed.
#[cfg(target_os = "linux")]
pub fn allow(socket: impl std::os::fd::AsFd, is_ipv6: bool) {
    use rustix::net::sockopt;
    // An IPv6 socket may have IPv4 peers.
    let _ = sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::OMIT);
    if is_ipv6 {
        let _ = sockopt::set_ipv6_mtu_discover(&socket, sockopt::Ipv6PathMtuDiscovery::DONT);
    }
}

/// Does nothing: other systems do not set the bit by themselves.
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
