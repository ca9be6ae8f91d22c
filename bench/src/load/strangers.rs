//! Strangers: ClientHellos with a cookie that was asked for once, sent again and again. Each looks like the
//! beginning of a handshake, and the two hellos of one port supersede each other in turn.

use lowband_e2e::{Error, Result};
use lowband_transport::client::Config;
use lowband_transport::coap::{Limits, Times};
use lowband_transport::{Client, dtls};
use lowband_wire::dtls::fragments::{Fragment, Fragments};
use lowband_wire::dtls::handshake::HELLO_VERIFY_REQUEST;
use lowband_wire::dtls::record::{self, ContentType, Record};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time before its end at which a cookie is replaced; a cookie lives for two minutes.
const FRESH: Duration = Duration::from_secs(60);
const TRIES: usize = 20;
const A_TICK: Duration = Duration::from_millis(1);

/// A thread that sends the hellos.
pub(crate) struct Strangers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<f64>>,
}

impl Strangers {
    /// Starts sending from so many addresses, each in an IPv4 /24 of its own, with one port each; together so
    /// many hellos a second.
    pub(crate) fn start(server: SocketAddr, addresses: u8, per_second: u32) -> Strangers {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || knock(server, addresses, per_second, &stopped));
        Strangers { stop, thread }
    }

    /// Ends the thread. Returns how many hellos it has sent in a second.
    pub(crate) fn stop(self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Error::Setup("the strangers' thread has ended".to_owned()))?
    }
}

/// One port and its two hellos.
struct Stranger {
    socket: UdpSocket,
    hellos: [Vec<u8>; 2],
    asked: Instant,
}

fn knock(server: SocketAddr, addresses: u8, per_second: u32, stop: &AtomicBool) -> Result<f64> {
    let failed = || Error::io("send a ClientHello");
    let mut strangers = (0..addresses)
        .map(|number| Stranger::meet(server, Ipv4Addr::new(127, 200, number, 1)))
        .collect::<Result<Vec<_>>>()?;
    let begin = Instant::now();
    let mut sent = 0usize;
    while !stop.load(Ordering::Relaxed) {
        let due = (begin.elapsed().as_secs_f64() * f64::from(per_second)) as usize;
        while sent < due {
            let turn = sent / strangers.len().max(1);
            let at = sent % strangers.len().max(1);
            let Some(stranger) = strangers.get_mut(at) else { break };
            if stranger.asked.elapsed() > FRESH {
                stranger.hellos = hellos(&stranger.socket, server).map_err(failed())?;
                stranger.asked = Instant::now();
            }
            let hello = if turn.is_multiple_of(2) { &stranger.hellos[0] } else { &stranger.hellos[1] };
            // A full buffer loses the hello, as networks do.
            let _ = stranger.socket.send(hello);
            sent += 1;
        }
        thread::sleep(A_TICK);
    }
    Ok(sent as f64 / begin.elapsed().as_secs_f64())
}

impl Stranger {
    fn meet(server: SocketAddr, from: Ipv4Addr) -> Result<Stranger> {
        let failed = || Error::io(format!("ask for a cookie from {from}"));
        let socket = UdpSocket::bind((from, 0)).map_err(failed())?;
        socket.connect(server).map_err(failed())?;
        socket.set_read_timeout(Some(Duration::from_millis(500))).map_err(failed())?;
        let hellos = hellos(&socket, server).map_err(failed())?;
        Ok(Stranger { socket, hellos, asked: Instant::now() })
    }
}

fn hellos(socket: &UdpSocket, server: SocketAddr) -> io::Result<[Vec<u8>; 2]> {
    // A datagram that came for earlier hellos would be taken for the answer.
    socket.set_nonblocking(true)?;
    while socket.recv(&mut [0; 2048]).is_ok() {}
    socket.set_nonblocking(false)?;
    Ok([hello(socket, server)?, hello(socket, server)?])
}

/// Makes a ClientHello with its cookie, which has not been sent yet.
fn hello(socket: &UdpSocket, server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut seed = [0; 32];
    openssl::rand::rand_bytes(&mut seed)?;
    let config = Config {
        dtls: dtls::Config { client: Some(dtls::Verification::None), ..dtls::Config::default() },
        times: Times::measured(),
        limits: Limits::default(),
    };
    let mut client = Client::new(config, seed).map_err(io::Error::other)?;
    client.connect(Instant::now(), server, "localhost").map_err(io::Error::other)?;
    let first = client.poll_transmit().ok_or(io::ErrorKind::InvalidData)?;
    for _ in 0..TRIES {
        socket.send(&first.bytes)?;
        let mut buffer = [0; 2048];
        while let Ok(length) = socket.recv(&mut buffer) {
            let answer = buffer.get(..length).unwrap_or_default();
            if is_hello_verify_request(answer) {
                client.handle_datagram(Instant::now(), server, None, answer);
                return Ok(client.poll_transmit().ok_or(io::ErrorKind::InvalidData)?.bytes);
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Returns whether the datagram begins with a HelloVerifyRequest.
fn is_hello_verify_request(datagram: &[u8]) -> bool {
    let record = record::parse(datagram).map(|(record, _)| record);
    let is = |record: Record<'_>| {
        let first = Fragments::new(record.fragment).next();
        record.content_type == ContentType::Handshake
            && matches!(first, Some(Ok(Fragment { kind: HELLO_VERIFY_REQUEST, .. })))
    };
    record.is_ok_and(is)
}
