#!/usr/bin/env bash
# Versions: mio 1.2.5, tokio 1.54.1 (crates.io), Linux.
#
# Question: tokio registers a UDP socket for reading and writing at once, edge-triggered, whatever the program
# does with it. A program sends 1,000 datagrams to a peer that reads them. How often does the poll wake?
#
# Guess: once at the beginning, for "writable"; an edge needs a full buffer before, and it never was full.
#
# What it does: 1,000 times. Linux reports EPOLLOUT again whenever the kernel frees a datagram that was sent,
# full buffer or not. With mio a socket registered for reading alone sees no event, one registered for both
# sees one per datagram; tokio's own count of ready events rises with each datagram sent in the same way,
# though nobody awaits writability.
#
# What follows: a server that answers each datagram is woken for its own answers as well, and whoever counts
# epoll_wait counts them too. Who has one large socket for everything registers it for reading alone (AsyncFd
# with Interest::READABLE) and asks for writability only after EAGAIN.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"

cat >"$dir/woken.rs" <<'RS'
use mio::{net::UdpSocket, Events, Interest, Poll, Token};
use std::time::Duration;

fn main() {
    for (name, interest) in [("reading", Interest::READABLE), ("both", Interest::READABLE | Interest::WRITABLE)] {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        poll.registry().register(&mut socket, Token(0), interest).unwrap();
        poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        println!("{name}: {} at first", events.iter().count());
        let mut woken = 0;
        for _ in 0..1000 {
            socket.send_to(&[0; 100], peer.local_addr().unwrap()).unwrap();
            peer.recv(&mut [0; 200]).unwrap();
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            woken += usize::from(!events.is_empty());
        }
        println!("{name}: {woken} of 1000");
    }
}
RS
cat >"$dir/driver.rs" <<'RS'
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let reader = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let metrics = tokio::runtime::Handle::current().metrics();
    peer.send_to(&[0], reader.local_addr().unwrap()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let before = metrics.io_driver_ready_count();
    for _ in 0..1000 {
        peer.send_to(&[0; 100], reader.local_addr().unwrap()).await.unwrap();
        reader.recv(&mut [0; 200]).unwrap();
        // The driver is polled once when there is nothing else to do.
        tokio::time::sleep(std::time::Duration::from_micros(100)).await;
    }
    println!("tokio: {} ready events", metrics.io_driver_ready_count() - before);
}
RS
cargo_program woken 'mio = { version = "=1.2.5", features = ["net", "os-poll"] }'
export RUSTFLAGS="--cfg tokio_unstable" && cargo_program driver 'tokio = { version = "=1.54.1", features = ["net", "rt", "time", "macros"] }'
"$dir/woken" >"$dir/mio.out"
"$dir/driver" >"$dir/tokio.out"
for line in "reading: 0 at first" "reading: 0 of 1000" "both: 1 at first" "both: 1000 of 1000"; do seen "$line" "$dir/mio.out"; done
[ "$(cut -d" " -f2 "$dir/tokio.out")" -ge 900 ] || seen "at least 900" "$dir/tokio.out"
echo "as described"
