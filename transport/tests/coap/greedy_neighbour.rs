//! A client that takes all it can get, and a modest one beside it who is always served: in another network, and in the same one.

use super::peer::*;
use lowband_transport::SessionId;
use lowband_transport::coap::{Code, Limits};
use lowband_transport::shares::Network;
use std::net::Ipv4Addr;

fn address(third: u8, fourth: u8) -> Network {
    Network::of(Ipv4Addr::new(192, 0, third, fourth).into())
}

/// Where the greedy one is.
fn greedy() -> Network {
    address(2, 1)
}

/// The modest ones: one behind the same address, one of the same site, one elsewhere.
fn modest() -> [(SessionId, Network); 3] {
    [(1_000_001, greedy()), (1_000_002, address(2, 2)), (1_000_003, address(3, 1))]
        .map(|(session, network)| (SessionId(session), network))
}

#[test]
fn of_two_thousand_sessions_with_many_gets_none_is_refused_and_all_bounds_hold() {
    let most = 1 << 20;
    for networks in [1, 40, 2000] {
        let mut peer = Peer::with(Limits { dedup_total: most, ..Limits::default() });
        for id in 0..3 {
            for session in 0..2000u64 {
                let at = session % networks;
                let network = address((at / 256) as u8, (at % 256) as u8);
                let request = make(CON, GET, id).path("x");
                assert_eq!(peer.send_from(SessionId(session), network, &request), []);
                let (exchange, _) = peer.request();
                let answer = peer.respond(exchange, &[0; 1000]).remove(0);
                assert_eq!((answer.code(), answer.payload().len()), (Code::CONTENT, 1000));
            }
        }
        let counters = peer.server.counters();
        assert_eq!(counters.requests, 6000);
        assert!(counters.remembered_bytes <= most as u64 && counters.evicted_repeatable > 4000);
    }
}

#[test]
fn what_a_modest_client_did_is_remembered_however_much_a_greedy_one_does() {
    let limits = Limits { dedup_total: 1_000_000, ..Limits::default() };
    for code in [GET, PUT] {
        let mut peer = Peer::with(limits.clone());
        let once = make(CON, PUT, 1).path("once");
        for (session, network) in modest() {
            assert_eq!(peer.send_from(session, network, &once), []);
            let (exchange, _) = peer.request();
            peer.respond(exchange, b"done");
        }
        // A hundred sessions of one address, each well within its own bounds.
        for n in 0..5000u64 {
            let request = make(CON, code, (n / 100) as u16).path("x");
            assert_eq!(peer.send_from(SessionId(n % 100), greedy(), &request), []);
            let (exchange, _) = peer.request();
            assert_eq!(peer.respond(exchange, &[0; 1000])[0].code(), Code::CONTENT);
        }
        assert!(peer.server.counters().remembered_bytes <= 1_000_000);
        // Each message of theirs is as light as any of the greedy one's sessions can become.
        for (session, network) in modest() {
            let answers = peer.send_from(session, network, &once);
            assert_eq!((answers.len(), answers[0].payload()), (1, b"done".as_slice()), "{session:?}");
        }
        assert_eq!(peer.events(), []);
    }
}
