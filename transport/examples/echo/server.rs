//! The server: answers each request with its own body, and ends with its first client.

use crate::{LARGEST_DATAGRAM, receive};
use lowband_transport::coap::{Code, Limits, ResponseOptions, Times};
use lowband_transport::dtls::{self, ServerIdentity};
use lowband_transport::server::{Config, Event};
use lowband_transport::{Server, SetupError};
use std::io;
use std::net::UdpSocket;
use std::time::Instant;

pub(crate) fn new(identity: ServerIdentity, seed: [u8; 32]) -> Result<Server, SetupError> {
    let dtls = dtls::Config { server: Some(identity), ..dtls::Config::default() };
    Server::new(Config { dtls, times: Times::measured(), limits: Limits::default() }, seed)
}

pub(crate) fn serve(socket: &UdpSocket, server: &mut Server) -> io::Result<()> {
    let mut buffer = [0; LARGEST_DATAGRAM];
    loop {
        let mut has_closed = false;
        while let Some(event) = server.poll_event() {
            match event {
                Event::Request { exchange, body, .. } => {
                    let now = Instant::now();
                    server.respond_head(now, exchange, Code::CONTENT, ResponseOptions::default());
                    server.respond_chunk(now, exchange, &body, true);
                }
                Event::SessionClosed { .. } => has_closed = true,
                // The whole answer is at hand: it need not wait for room, and nothing has to be stopped.
                // Newer versions may have events that it need not know.
                _ => {}
            }
        }
        while let Some(transmit) = server.poll_transmit() {
            socket.send_to(&transmit.bytes, transmit.peer)?;
        }
        if has_closed {
            return Ok(());
        }
        match receive(socket, &mut buffer, server.poll_timeout())? {
            // With one local address it need not be named: answers leave from where requests arrive.
            Some((datagram, peer)) => server.handle_datagram(Instant::now(), peer, None, datagram),
            None => server.handle_timeout(Instant::now()),
        }
    }
}
