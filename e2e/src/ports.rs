//! Ports that stay ours from the moment they are chosen, also while the program that serves them
//! is being restarted.
//!
//! The kernel chooses (port 0). For TCP the socket stays bound but never listens: it takes no connection,
//! keeps the number from being given to anybody else, and does not hinder a listener that sets SO_REUSEADDR
//! or SO_REUSEPORT as all of ours do.

use crate::error::{Error, Result};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, UdpSocket};

/// A TCP port on loopback, reserved as long as this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: Socket,
}

impl Port {
    /// Any free one.
    pub fn free() -> Result<Port> {
        Port::bind(0).map_err(Error::io("reserve a TCP port"))
    }

    /// The number of the port.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// On IPv4 loopback.
    pub fn loopback(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }

    fn bind(number: u16) -> std::io::Result<Port> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, number).into())?;
        let number = socket.local_addr()?.as_socket().map(|bound| bound.port()).unwrap_or_default();
        Ok(Port { number, _reservation: socket })
    }

    /// A number that is free for TCP and for UDP, as the sidecar and Envoy's public side share one.
    pub fn free_for_both() -> Result<Port> {
        // Free TCP ports whose UDP twin is taken are rare, and each try chooses anew.
        const TRIES: usize = 64;
        for _ in 0..TRIES {
            let port = Port::free()?;
            if udp_is_free(port.number) {
                return Ok(port);
            }
        }
        Err(Error::Setup(format!("no port that is free for UDP and TCP among {TRIES} tries")))
    }

    /// This very number for both, or who to blame and which `variable` to set.
    pub fn exactly(number: u16, variable: &'static str) -> Result<Port> {
        if !udp_is_free(number) {
            return Err(Error::PortInUse { port: number, protocol: "udp", variable });
        }
        // Our reservation alone would slip in beside a listener that sets SO_REUSEPORT.
        let tcp_is_free = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok();
        let port = tcp_is_free.then(|| Port::bind(number).ok()).flatten();
        port.ok_or(Error::PortInUse { port: number, protocol: "tcp", variable })
    }
}

/// On all addresses, because the sidecar binds them all. A machine without IPv6 has only the first to offer.
fn udp_is_free(number: u16) -> bool {
    let taken = |error: std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok()
        && !UdpSocket::bind((Ipv6Addr::UNSPECIFIED, number)).is_err_and(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_reserved_port_refuses_connections_until_somebody_listens_and_is_not_handed_out_twice() {
        let port = Port::free().unwrap();
        assert!(TcpStream::connect(port.loopback()).is_err());
        let other = Port::free().unwrap();
        assert_ne!(port.number(), other.number());
        // std sets SO_REUSEADDR, as Twisted, tokio and Envoy do.
        let listener = TcpListener::bind(port.loopback()).unwrap();
        assert!(TcpStream::connect(port.loopback()).is_ok());
        drop(listener);
        assert!(TcpListener::bind(port.loopback()).is_ok());
    }

    #[test]
    fn a_taken_port_is_told_with_the_variable_that_moves_it() {
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        let number = udp.local_addr().unwrap().port();
        let told = Port::exactly(number, "PORT").unwrap_err().to_string();
        assert_eq!(told, format!("port {number}/udp is in use: choose another with PORT=NUMBER"));
        let number = Port::free_for_both().unwrap().number();
        let _tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).unwrap();
        let told = Port::exactly(number, "PORT").unwrap_err().to_string();
        assert_eq!(told, format!("port {number}/tcp is in use: choose another with PORT=NUMBER"));
    }
}
