//! The local proxy over a satellite's link: how soon its first answer comes after it was started.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

#[path = "late/stub.rs"]
#[allow(dead_code, reason = "shared with the tests of late answers")]
mod stub;

use lowband_e2e::certificate::Certificate;
use lowband_e2e::link::{Fate, HEADERS, Link, Loss, Way};
use lowband_e2e::link_relay::LinkRelay;
use lowband_e2e::loss::From;
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::sidecar::Sidecar;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

/// Length of the text in the answer, in bytes: that of a short /versions.
const LENGTH: usize = 300;
/// What the processors of a busy machine may add: less than another round trip.
const WORK: Duration = Duration::from_millis(500);
/// Time for all of it.
const WITHIN: Duration = Duration::from_secs(60);

/// Link b without loss: 100 kbit/s, 600 ms.
fn link() -> Link {
    let loss = Loss::Share(0.0);
    Link { down: Way { loss, ..Link::B.down }, up: Way { loss, ..Link::B.up }, ..Link::B }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_comes_after_four_round_trips_and_the_time_of_its_bytes() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("local-proxy-link").unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let port = Port::free_for_both().unwrap();
    stub::serve(&folder.join("envoy.sock"));
    let sidecar = Sidecar::start(&parts, &folder, &port, &certificate, &[]).unwrap();
    sidecar.ready().await.unwrap();
    let link = link();
    let relay = LinkRelay::start(port.loopback(), link, 1).await.unwrap();

    let mut command = Command::new(parts.program("lowband").unwrap());
    command
        .args(["proxy", "-k", "--no-state", "--listen", "127.0.0.1:0", "--homeserver"])
        .arg(format!("https://localhost:{}", relay.address().port()))
        .args(["--udp", &relay.address().to_string()]);
    let mut proxy = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut log = BufReader::new(proxy.stderr.take().unwrap());
    let answer = async {
        let mut line = String::new();
        log.read_line(&mut line).await.unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let path = stub::path(Duration::ZERO, LENGTH);
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(WITHIN, answer).await.expect("an answer in time");
    let answered = relay.began().elapsed();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&stub::document(LENGTH)), "{answer}");

    let log = relay.log();
    let began = log[0].at;
    // Datagrams that left the same side together follow one another on the link.
    let bytes: u32 = log.iter().map(|passed| u32::try_from(passed.bytes + HEADERS).unwrap()).sum();
    let of_bytes = Duration::from_secs(1) * 8 * bytes / u32::try_from(link.down.rate).unwrap();
    let took = answered - began;
    let least = (link.up.delay + link.down.delay) * 4;
    let told = format!("{took:?} for {} datagrams of {bytes} bytes, which take {of_bytes:?}", log.len());
    assert!(log.iter().all(|passed| matches!(passed.passage.fate, Fate::Arrives(_))), "{log:?}");
    assert!(took >= least, "{told}");
    assert!(took <= least + of_bytes + WORK, "{told}");
    let turns = log.windows(2).filter(|pair| pair[0].from == From::Server && pair[1].from == From::Client);
    assert!(turns.count() <= 3, "{log:?}");
}
