//! An echo server and a client that asks it, each over a UDP socket of the standard library: the loop that
//! moves datagrams, timeouts and events, in full for both ends.
//!
//! ```sh
//! cargo run -p lowband-transport --example echo -- 'Hello'
//! ```
//!
//! `server.rs` and `client.rs` are the two loops, [`receive`] is what both wait in.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the caller, who has the clock, the sockets and the threads"
)]

mod certificate;
mod client;
mod server;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Room for a datagram, in bytes. With default limits neither end sends more than 1,232
/// ([`lowband_transport::dtls::Limits::mtu`]).
const LARGEST_DATAGRAM: usize = 2048;

fn main() -> Result<(), Box<dyn Error>> {
    let said = std::env::args().nth(1).unwrap_or_else(|| "Hello".to_owned());
    let heard = echo(said.into_bytes())?;
    println!("{}", String::from_utf8_lossy(&heard));
    Ok(())
}

/// Sends a text through a client, a server and their sockets, and returns what comes back.
fn echo(said: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    let (identity, roots) = certificate::for_localhost()?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let mut server = server::new(identity, seed()?)?;
    let serving = std::thread::spawn(move || server::serve(&socket, &mut server));
    let heard = client::ask(address, roots, seed()?, said)?;
    // The server has ended with its client.
    serving.join().map_err(|_| "the server has panicked")??;
    Ok(heard)
}

/// Receives the next datagram; None when it is `until`.
fn receive<'b>(
    socket: &UdpSocket,
    buffer: &'b mut [u8],
    until: Option<Instant>,
) -> io::Result<Option<(&'b [u8], SocketAddr)>> {
    let wait = until.map(|until| until.saturating_duration_since(Instant::now()));
    // A socket takes a timeout of zero for a mistake.
    if wait == Some(Duration::ZERO) {
        return Ok(None);
    }
    socket.set_read_timeout(wait)?;
    match socket.recv_from(buffer) {
        Ok((length, peer)) => Ok(buffer.get(..length).map(|datagram| (datagram, peer))),
        // Calling too early for the timeout does no harm.
        Err(why)
            if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
        {
            Ok(None)
        }
        Err(why) => Err(why),
    }
}

/// Draws the only randomness that an end has; no attacker may be able to guess it.
fn seed() -> Result<[u8; 32], openssl::error::ErrorStack> {
    let mut seed = [0; 32];
    openssl::rand::rand_bytes(&mut seed)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_back_in_one_block_and_in_many() {
        for said in [b"Hello".to_vec(), vec![7; 10_000]] {
            assert_eq!(echo(said.clone()).unwrap(), said);
        }
    }
}
