//! `lowband doctor` on paths that lose datagrams, and before servers that answer by halves.

use crate::command::run;
use crate::doctor::{DOWN, LARGE, answer_coap, assert_line, lines, versions};
use crate::stub_server::{Reply, StubServer};
use std::net::{SocketAddr, UdpSocket};

/// Passes datagrams on between one client and a server, but for those that `is_lost` names: whether it goes
/// to the server, and its bytes. Returns the address for the client.
fn relay(server: SocketAddr, mut is_lost: impl FnMut(bool, &[u8]) -> bool + Send + 'static) -> SocketAddr {
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    far.connect(server).unwrap();
    let address = near.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let [near, far] = [near, far].map(|socket| {
                socket.set_nonblocking(true).unwrap();
                tokio::net::UdpSocket::from_std(socket).unwrap()
            });
            let (mut up, mut down, mut client) = (vec![0; 65536], vec![0; 65536], None);
            loop {
                // Either end may be gone already.
                tokio::select! {
                    Ok((length, peer)) = near.recv_from(&mut up) => {
                        client = Some(peer);
                        if !is_lost(true, &up[..length]) {
                            let _ = far.send(&up[..length]).await;
                        }
                    }
                    Ok(length) = far.recv(&mut down) => {
                        if let Some(client) = client.filter(|_| !is_lost(false, &down[..length])) {
                            let _ = near.send_to(&down[..length], client).await;
                        }
                    }
                    else => return,
                }
            }
        });
    });
    address
}

/// Content type of application data, the first byte of a record.
const APPLICATION_DATA: u8 = 23;

#[test]
fn a_path_that_loses_a_datagram_is_a_warning() {
    let stub = StubServer::start(|seen| answer_coap(&versions(r#""v1.1""#, None), seen));
    let mut requests = 0;
    let address = relay(stub.address, move |to_server, datagram| {
        requests += usize::from(to_server && datagram[0] == APPLICATION_DATA);
        to_server && datagram[0] == APPLICATION_DATA && requests == 1
    });
    let output = run(&["doctor", "-k", &format!("coaps://{address}")]);
    assert_line(&lines(&output), "round trip", "warn", &["1 of ", "sent again", "lost or late"]);
}

#[test]
fn a_homeserver_that_answers_now_and_then_is_a_warning() {
    let mut requests = 0;
    let stub = StubServer::start(move |seen| {
        requests += usize::from(seen.options.path == ["0"]);
        let text = if requests == 3 { DOWN.into() } else { versions(r#""v1.1""#, None) };
        answer_coap(&text, seen)
    });
    let output = run(&["doctor", "-k", &format!("coaps://127.0.0.1:{}", stub.address.port())]);
    assert_line(&lines(&output), "round trip", "warn", &["1 of them an error", "5.02", "now and then"]);
}

#[test]
fn one_block_more_is_told_in_the_singular() {
    let stub = StubServer::start(|seen| match answer_coap(&versions(r#""v1.1""#, None), seen) {
        Reply::Now(code, options, body) if body.len() == LARGE => {
            Reply::Now(code, options, body[..LARGE / 4].to_vec())
        }
        reply => reply,
    });
    let output = run(&["doctor", "-k", &format!("coaps://127.0.0.1:{}", stub.address.port())]);
    assert_line(&lines(&output), "large", "ok", &["1 more block after"]);
}

#[test]
fn a_path_that_loses_large_datagrams_is_a_warning() {
    let stub = StubServer::start(|seen| answer_coap(&versions(r#""v1.1""#, None), seen));
    let address = relay(stub.address, |to_server, datagram| {
        !to_server && datagram[0] == APPLICATION_DATA && datagram.len() > 700
    });
    let output = run(&["doctor", "-k", "--connect-timeout", "60", &format!("coaps://{address}")]);
    assert_line(&lines(&output), "large", "warn", &["no block had more than 512", "MTU"]);
}
