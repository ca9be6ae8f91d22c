//! Memory of an idle session. The test is a process of its own, because its resident memory is the measure.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the zero of a fake clock")]

#[path = "dtls/certificates.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod certificates;

use certificates::{Authority, p256};
use lowband_transport::dtls::{Config, Endpoint, Event, Limits, Verification};
use lowband_transport::shares::Limit;
use std::net::SocketAddr;
use std::time::Instant;

/// Returns the resident bytes of this process, without freed memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Both ends of sessions between one pair of endpoints; the clients differ by address.
struct Sessions {
    client: Endpoint,
    server: Endpoint,
    count: u32,
    now: Instant,
}

impl Sessions {
    fn add(&mut self, count: u32) {
        for number in self.count..self.count + count {
            // Each end knows the other one by this address.
            let address = SocketAddr::from(((0x0a00_0000 + number).to_be_bytes(), 5000));
            let session = self.client.connect(self.now, address, "server.test").unwrap();
            self.settle(address);
            self.client.send(self.now, session, b"request").unwrap();
            self.settle(address);
        }
        self.count += count;
        assert_eq!(self.server.counters().sessions, u64::from(self.count));
    }

    fn settle(&mut self, address: SocketAddr) {
        loop {
            if let Some(transmit) = self.client.poll_transmit() {
                self.server.handle_datagram(self.now, address, None, &transmit.bytes);
            } else if let Some(transmit) = self.server.poll_transmit() {
                self.client.handle_datagram(self.now, address, None, &transmit.bytes);
            } else {
                break;
            }
        }
        while let Some(event) = self.client.poll_event().or_else(|| self.server.poll_event()) {
            assert!(!matches!(event, Event::Closed { .. }), "{event:?}");
        }
    }
}

#[test]
fn an_idle_session_costs_less_than_half_a_kilobyte() {
    let any = Limit { per_second: u32::MAX, burst: u32::MAX };
    let limits = Limits { handshakes: any, handshakes_per_address: any, ..Limits::default() };
    let server = Config { server: Some(Authority::new().identity(&p256())), limits, ..Config::default() };
    let client = Config { client: Some(Verification::None), ..Config::default() };
    let mut sessions = Sessions {
        client: Endpoint::new(client, [1; 32]).unwrap(),
        server: Endpoint::new(server, [2; 32]).unwrap(),
        count: 0,
        now: Instant::now(),
    };
    sessions.add(500);
    let before = resident();
    // The tables double above 3,584 and above 7,168: the most expensive point of the curve.
    sessions.add(3_500);
    let each = (resident() - before) / 3_500 / 2;
    println!("{each} bytes for one end of an idle session");
    assert!(each < 512, "{each}");
}
