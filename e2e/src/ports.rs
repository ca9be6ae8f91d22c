//! Ports that stay reserved from the moment they are chosen, also while the program that serves them is being
//! restarted.
//!
//! The kernel chooses (port 0). For TCP the socket stays bound but never listens: it takes no connection,
//! keeps the number from being given to another program, and does not hinder a listener that sets
//! SO_REUSEADDR or SO_REUSEPORT as all of ours do.

use crate::error::{Error, Result};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};

/// The range of clients that can reach the sidecar and Envoy's public side at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Programs of this machine, at 127.0.0.1.
    Machine,
    /// All programs that reach an address of this machine.
    Everywhere,
}

impl Reach {
    /// Returns the address that Envoy's public listener is bound to.
    pub fn tcp(self) -> IpAddr {
        match self {
            Reach::Machine => Ipv4Addr::LOCALHOST.into(),
            Reach::Everywhere => Ipv4Addr::UNSPECIFIED.into(),
        }
    }

    /// Returns the address that the sidecar's socket is bound to.
    pub fn udp(self) -> IpAddr {
        match self {
            Reach::Machine => Ipv4Addr::LOCALHOST.into(),
            Reach::Everywhere => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// A TCP port on loopback, reserved as long as this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    reach: Reach,
    _reservation: Socket,
}

impl Port {
    /// Reserves any free port.
    pub fn free() -> Result<Port> {
        Port::bind(0).map_err(Error::io("reserve a TCP port"))
    }

    /// Returns the number of the port.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Returns the reach where the sidecar and Envoy share the port; everywhere unless [`Port::exactly`] says
    /// more.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Returns the port's address on IPv4 loopback.
    pub fn loopback(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }

    fn bind(number: u16) -> io::Result<Port> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, number).into())?;
        let number = socket.local_addr()?.as_socket().map(|bound| bound.port()).unwrap_or_default();
        Ok(Port { number, reach: Reach::Everywhere, _reservation: socket })
    }

    /// Reserves a number that is free for TCP and for UDP, as the sidecar and Envoy's public side share one.
    pub fn free_for_both() -> Result<Port> {
        // Free TCP ports whose UDP twin is taken are rare, and each try chooses anew.
        const TRIES: usize = 64;
        for _ in 0..TRIES {
            let port = Port::free()?;
            if bind_udp(port.number).is_ok() {
                return Ok(port);
            }
        }
        Err(Error::Setup(format!("no port that is free for UDP and TCP among {TRIES} tries")))
    }

    /// Reserves this very number for both, free on all addresses; or says what stands in the way, and which
    /// `variable` to set.
    pub fn exactly(number: u16, reach: Reach, variable: &'static str) -> Result<Port> {
        let refused = |protocol| move |why: io::Error| not_to_be_had(number, protocol, variable, why);
        bind_udp(number).map_err(refused("udp"))?;
        // Our reservation alone would succeed beside a listener that sets SO_REUSEPORT.
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).map_err(refused("tcp"))?;
        let port = Port::bind(number).map_err(refused("tcp"))?;
        Ok(Port { reach, ..port })
    }
}

/// Tries the number for UDP on all addresses, because the sidecar may bind them all. A machine without IPv6
/// has only the first to offer.
fn bind_udp(number: u16) -> io::Result<()> {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, number))?;
    match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, number)) {
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => Err(why),
        _ => Ok(()),
    }
}

fn not_to_be_had(port: u16, protocol: &'static str, variable: &'static str, why: io::Error) -> Error {
    match why.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { port, protocol, variable },
        io::ErrorKind::PermissionDenied => Error::PortForbidden { port, protocol, variable },
        _ => Error::io(format!("bind port {port}/{protocol}"))(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

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
        let told = Port::exactly(number, Reach::Machine, "PORT").unwrap_err().to_string();
        assert_eq!(told, format!("port {number}/udp is in use: choose another with PORT=NUMBER"));
        let number = Port::free_for_both().unwrap().number();
        let _tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).unwrap();
        let told = Port::exactly(number, Reach::Machine, "PORT").unwrap_err().to_string();
        assert_eq!(told, format!("port {number}/tcp is in use: choose another with PORT=NUMBER"));
    }

    #[test]
    fn a_port_that_only_root_may_bind_is_not_said_to_be_in_use() {
        let told = |why: io::ErrorKind| not_to_be_had(88, "udp", "PORT", why.into()).to_string();
        assert_eq!(
            told(io::ErrorKind::PermissionDenied),
            "port 88/udp may not be bound by this user: choose one from 1024 on with PORT=NUMBER"
        );
        assert!(told(io::ErrorKind::AddrNotAvailable).starts_with("cannot bind port 88/udp: "));
    }
}
