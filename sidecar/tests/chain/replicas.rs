//! Two real programs with one certificate behind a balancer that spreads datagrams over them.

use crate::client::Wire;
use crate::harness::{Folder, PATIENCE, page, value};
use crate::identity::self_signed;
use crate::process::Process;
use crate::stub::ok;
use lowband_wire::coap::Code;
use std::net::SocketAddr;
use tokio::net::UdpSocket;

/// Relays one client's flow: the first datagram goes to one server, all others to another. Servers see one
/// address.
async fn changing(one: SocketAddr, other: SocketAddr) -> SocketAddr {
    let outer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let inner = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = outer.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, mut there, mut back) = (None, vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                received = outer.recv_from(&mut there) => {
                    let (length, from) = received.unwrap();
                    let server = if client.is_none() { one } else { other };
                    client = Some(from);
                    inner.send_to(&there[..length], server).await.unwrap();
                }
                received = inner.recv_from(&mut back) => {
                    let (length, _) = received.unwrap();
                    outer.send_to(&back[..length], client.unwrap()).await.unwrap();
                }
            }
        }
    });
    address
}

async fn cookies_sent(process: &Process) -> f64 {
    let (_, text) = page(process.admin(), "/metrics").await.unwrap();
    value(&text, "lowband_dtls_cookies_sent_total")
}

#[tokio::test]
async fn a_hello_may_change_servers_after_its_cookie() {
    let folder = Folder::new();
    let (certificate, key) = self_signed(folder.path());
    let one = Process::with_identity(Folder::new(), ok(), &certificate, &key, &[]).await;
    let other = Process::with_identity(Folder::new(), ok(), &certificate, &key, &[]).await;
    let stranger = Process::start(ok(), &[]).await;
    for (second, asks) in [(&other, 0.0), (&stranger, 1.0)] {
        let connecting = Wire::connect(changing(one.server(), second.server()).await);
        let wire = tokio::time::timeout(PATIENCE, connecting).await.expect("no session");
        assert_eq!(wire.get("0").await.code, Code::CONTENT);
        assert_eq!(cookies_sent(second).await, asks);
    }
    assert_eq!(cookies_sent(&one).await, 2.0);
}
