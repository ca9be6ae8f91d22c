//! A capture file of what passes a relay, for Wireshark: each datagram behind IPv4 and UDP headers.
//!
//! The format is the classic one of libpcap: a header of the file, then a header and the packet, again and
//! again. A capture written here needs no privileges, unlike one taken from the network, and nothing is
//! missing at its beginning or its end.
//!
//! Addresses and ports are not the real ones. On loopback both ends of all sessions have the same address,
//! and Wireshark, which puts the blocks of a body together by addresses alone, would mix one body with
//! another; and it takes some ports for traceroute's.

use crate::loss::From;
use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Shows the byte order, and that times are in microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;
/// The file's header: version 2.4, times in UTC and of unknown accuracy, packets of up to 65,535 bytes, and
/// LINKTYPE_IPV4, which means that packets begin with IPv4.
const FILE_HEADER: [u32; 5] = [2 | 4 << 16, 0, 0, 65_535, 228];
const IPV4_HEADER: u16 = 20;
const UDP_HEADER: u16 = 8;
/// UDP's number in the header of IP (RFC 768).
const UDP: u8 = 17;

/// Address of the server in the capture, at the server's default port.
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 8008);
/// The address before that of the first client, and the port of all clients.
const CLIENTS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 0), 50_000);

/// An open capture file.
#[derive(Debug)]
pub(crate) struct Pcap {
    file: File,
    clients: Vec<SocketAddr>,
}

impl Pcap {
    /// Creates an empty capture file.
    pub(crate) fn create(path: &Path) -> io::Result<Pcap> {
        let mut file = File::create(path)?;
        file.write_all(&MAGIC.to_ne_bytes())?;
        file.write_all(FILE_HEADER.map(u32::to_ne_bytes).as_flattened())?;
        Ok(Pcap { file, clients: Vec::new() })
    }

    /// Adds a datagram that passes now, between `client` and the server.
    pub(crate) fn add(&mut self, from: From, client: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let client = self.shown(client);
        let (from, to) = match from {
            From::Client => (client, SERVER),
            From::Server => (SERVER, client),
        };
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let udp_length = u16::try_from(payload.len() + usize::from(UDP_HEADER)).map_err(too_long)?;
        let length = udp_length.checked_add(IPV4_HEADER).ok_or(io::ErrorKind::InvalidInput)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // The seconds have 32 bits in this format.
        let (seconds, microseconds) = (now.as_secs() as u32, now.subsec_micros());

        let mut packet = Vec::with_capacity(16 + usize::from(length));
        for number in [seconds, microseconds, u32::from(length), u32::from(length)] {
            packet.extend(number.to_ne_bytes());
        }
        packet.extend(ipv4_header(from, to, length).as_flattened());
        // No checksum (RFC 768).
        for number in [from.port(), to.port(), udp_length, 0] {
            packet.extend(number.to_be_bytes());
        }
        packet.extend(payload);
        self.file.write_all(&packet)
    }

    /// Returns the address of a client in the capture.
    fn shown(&mut self, client: SocketAddr) -> SocketAddrV4 {
        let known = self.clients.iter().position(|known| *known == client);
        let number = known.unwrap_or_else(|| {
            self.clients.push(client);
            self.clients.len() - 1
        });
        SocketAddrV4::new(Ipv4Addr::from_bits(CLIENTS.ip().to_bits() + 1 + number as u32), CLIENTS.port())
    }
}

/// Makes an IPv4 header as words (RFC 791 section 3.1): no options, never in fragments.
fn ipv4_header(from: SocketAddrV4, to: SocketAddrV4, length: u16) -> [[u8; 2]; 10] {
    let [[a, b, c, d], [e, f, g, h]] = [from.ip().octets(), to.ip().octets()];
    let length = length.to_be_bytes();
    let header = |checksum: u16| {
        let sum = checksum.to_be_bytes();
        [[0x45, 0], length, [0, 0], [0x40, 0], [64, UDP], sum, [a, b], [c, d], [e, f], [g, h]]
    };
    let sum: u32 = header(0).iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    header(!((folded + (folded >> 16)) as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_header_makes_its_sum_all_ones() {
        let from: SocketAddrV4 = "127.0.0.1:5000".parse().unwrap();
        let to: SocketAddrV4 = "203.0.113.255:8008".parse().unwrap();
        for length in [28, 1_500, 65_535] {
            let header = ipv4_header(from, to, length);
            let mut sum: u32 = header.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            assert_eq!(sum, 0xffff, "{length}");
        }
    }
}
