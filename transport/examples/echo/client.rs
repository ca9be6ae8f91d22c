//! The client: one session, one request.

use crate::{LARGEST_DATAGRAM, receive};
use lowband_transport::Client;
use lowband_transport::client::{Config, Event};
use lowband_transport::coap::{Limits, Method, Request, RequestOptions, Times};
use lowband_transport::dtls::{self, Verification};
use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

pub(crate) fn ask(
    server: SocketAddr,
    roots: Verification,
    seed: [u8; 32],
    body: Vec<u8>,
) -> Result<Vec<u8>, Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let dtls = dtls::Config { client: Some(roots), ..dtls::Config::default() };
    let mut client = Client::new(Config { dtls, times: Times::measured(), limits: Limits::default() }, seed)?;
    let session = client.connect(Instant::now(), server, "localhost")?;
    let options = RequestOptions { path: vec!["echo".to_owned()], ..RequestOptions::default() };
    // The request leaves when the handshake has finished.
    client.request(Instant::now(), session, Request { method: Method::Post, options, body });
    let heard = until_answered(&socket, &mut client)?;
    client.close(Instant::now(), session);
    send(&socket, &mut client)?;
    Ok(heard)
}

fn until_answered(socket: &UdpSocket, client: &mut Client) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut buffer = [0; LARGEST_DATAGRAM];
    loop {
        while let Some(event) = client.poll_event() {
            match event {
                Event::Response { response, .. } if response.code.is_success() => return Ok(response.body),
                Event::Response { response, .. } => return Err(response.code.to_string().into()),
                Event::Failed { why, .. } => return Err(format!("no response: {why}").into()),
                Event::Closed { why, .. } => return Err(format!("no session: {why}").into()),
                // A session was established, or a ping was answered; newer versions may have other events.
                _ => {}
            }
        }
        send(socket, client)?;
        match receive(socket, &mut buffer, client.poll_timeout())? {
            Some((datagram, peer)) => client.handle_datagram(Instant::now(), peer, None, datagram),
            None => client.handle_timeout(Instant::now()),
        }
    }
}

fn send(socket: &UdpSocket, client: &mut Client) -> std::io::Result<()> {
    while let Some(transmit) = client.poll_transmit() {
        socket.send_to(&transmit.bytes, transmit.peer)?;
    }
    Ok(())
}
