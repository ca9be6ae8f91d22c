//! Speed of this machine at the work that the sidecar spends its time on, so that figures of two machines can
//! be compared.

use lowband_bench::usage::{own_thread_time, processor_time};
use lowband_e2e::{Error, Result};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::sha::sha256;
use std::hint::black_box;
use std::io;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

/// Returns the P-256 signatures in one second of processor time.
pub(crate) fn signatures(spend: Duration) -> Result<f64> {
    let key = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).and_then(|group| EcKey::generate(&group));
    let key = key.map_err(openssl)?;
    rate(spend, 50, || EcdsaSig::sign(&[7; 32], &key).map(|_| ()))
}

/// Returns the megabytes (10^6) through SHA-256 in one second of processor time.
pub(crate) fn sha256_megabytes(spend: Duration) -> Result<f64> {
    const BLOCK: usize = 10_000;
    let bytes = vec![7; BLOCK];
    let blocks = rate(spend, 50, || {
        black_box(sha256(black_box(&bytes)));
        Ok(())
    })?;
    Ok(blocks * BLOCK as f64 / 1e6)
}

/// Returns the milliseconds of processor time in which a thread that does nothing else takes one small
/// datagram and answers with one of a block's size. The asking thread waits for each answer, so that the
/// answering one sleeps in between: on virtual machines waking up costs many times what sending does.
pub(crate) fn echo(count: u32) -> Result<f64> {
    const REQUEST: [u8; 64] = [1; 64];
    const BLOCK: [u8; 1100] = [2; 1100];
    let bind = || UdpSocket::bind("127.0.0.1:0").map_err(echo_failed);
    let (server, client) = (bind()?, bind()?);
    client.connect(server.local_addr().map_err(echo_failed)?).map_err(echo_failed)?;
    // A lost datagram ends the measurement: loopback loses none as long as one is under way.
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).map_err(echo_failed)?;
    }
    let serve = move || -> Result<Duration> {
        let mut buffer = [0; BLOCK.len()];
        for _ in 0..count {
            let (_, peer) = server.recv_from(&mut buffer).map_err(echo_failed)?;
            server.send_to(&BLOCK, peer).map_err(echo_failed)?;
        }
        own_thread_time()
    };
    thread::scope(|scope| {
        let server = scope.spawn(serve);
        let mut buffer = [0; BLOCK.len()];
        for _ in 0..count {
            client.send(&REQUEST).map_err(echo_failed)?;
            client.recv(&mut buffer).map_err(echo_failed)?;
        }
        let spent = server.join().map_err(|_| Error::Setup("the echo's thread has ended".to_owned()))??;
        Ok(spent.as_secs_f64() * 1e3 / f64::from(count))
    })
}

fn echo_failed(why: io::Error) -> Error {
    Error::io("echo a datagram")(why)
}

fn rate(
    spend: Duration,
    between_looks: u32,
    mut work: impl FnMut() -> std::result::Result<(), ErrorStack>,
) -> Result<f64> {
    let own = std::process::id();
    let begin = processor_time(own)?;
    let mut done = 0;
    loop {
        for _ in 0..between_looks {
            work().map_err(openssl)?;
        }
        done += between_looks;
        let spent = processor_time(own)? - begin;
        if spent >= spend {
            return Ok(f64::from(done) / spent.as_secs_f64());
        }
    }
}

fn openssl(why: ErrorStack) -> Error {
    Error::Setup(format!("OpenSSL cannot be measured: {why}"))
}
