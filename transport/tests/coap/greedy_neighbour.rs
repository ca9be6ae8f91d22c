//! A client that takes all it can get, and a modest one beside it that is always served: in another network,
//! and in the same one.

use super::peer::*;
use super::sim::{SECOND, body};
use lowband_transport::coap::{Code, Limits, ResponseOptions, ServerEvent};
use lowband_transport::shares::Network;
use lowband_transport::{ExchangeId, SessionId};
use std::net::Ipv4Addr;

fn address(third: u8, fourth: u8) -> Network {
    Network::of(Ipv4Addr::new(192, 0, third, fourth).into())
}

/// Network of the greedy client.
fn greedy() -> Network {
    address(2, 1)
}

/// The modest clients: one behind the same address, one of the same site, one elsewhere.
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
        // Each of their messages is as light as any of the greedy client's sessions can become.
        for (session, network) in modest() {
            let answers = peer.send_from(session, network, &once);
            assert_eq!((answers.len(), answers[0].payload()), (1, b"done".as_slice()), "{session:?}");
        }
        assert_eq!(peer.events(), []);
    }
}

/// Makes block `num`, of a kilobyte, of a body that is announced to go on.
fn upload_block(id: u16, path: &str, num: u32, more: bool) -> Make {
    let payload = body(if more { 1024 } else { 100 }, num.into());
    make(CON, PUT, id).path(path).block(BLOCK1, num, more, 1024).payload(&payload).token(path.as_bytes())
}

/// Sends `kilobytes` of an upload that never ends; returns how many were accepted.
fn never_finished(peer: &mut Peer, from: (SessionId, Network), path: &str, kilobytes: u32) -> u32 {
    for num in 0..kilobytes {
        let answer = peer.send_from(from.0, from.1, &upload_block(num as u16, path, num, true)).remove(0);
        if answer.code() != Code::CONTINUE {
            return num;
        }
    }
    kilobytes
}

/// Uploads a body of 100 kB, whole, under a path of its own. All uploads together never hold
/// more than `most`.
fn uploads(peer: &mut Peer, from: (SessionId, Network), path: &str, most: u64) {
    for num in 0..100 {
        let answer = peer.send_from(from.0, from.1, &upload_block(num, path, num.into(), true)).remove(0);
        assert_eq!(answer.code(), Code::CONTINUE, "{from:?} at block {num}");
        assert!(peer.server.counters().upload_bytes <= most, "{from:?} at block {num}");
    }
    assert_eq!(peer.send_from(from.0, from.1, &upload_block(100, path, 100, false)), []);
    assert_eq!(peer.request().1.len(), 102_500);
}

#[test]
fn nine_uploads_that_never_end_keep_nobody_from_uploading() {
    // Seven eighths of the largest body each, by one session, by nine of one address, by nine of one site, by
    // nine that are far from each other; the first with the limits as they are.
    let small = Limits { upload: 1 << 20, upload_total: 4 << 20, ..Limits::default() };
    for (sessions, networks) in [(1, 1), (9, 1), (9, 9), (9, 0)] {
        let limits = if sessions == 1 { Limits::default() } else { small.clone() };
        let (most, each) = (limits.upload_total as u64, (limits.upload / 1024 * 7 / 8) as u32);
        let mut peer = Peer::with(limits);
        let of = |n: u64| match networks {
            0 => address(100 + n as u8, 1),
            networks => address(2, 1 + (n % networks) as u8),
        };
        for n in 0..9 {
            let from = (SessionId(n % sessions), of(n % sessions));
            never_finished(&mut peer, from, &format!("huge{n}"), each);
            assert!(peer.server.counters().upload_bytes <= most);
            for from in modest() {
                uploads(&mut peer, from, &format!("mod{n}"), most);
            }
        }
        let counters = peer.server.counters();
        assert!(counters.uploads_gave_way + counters.uploads_no_memory > 0, "{sessions} {networks}");
        // The next block of an upload that gave way is refused with a text that says so.
        let next = |n: u64| {
            let block = upload_block(9999, &format!("huge{n}"), each, true);
            peer.send_from(SessionId(n % sessions), of(n % sessions), &block).remove(0)
        };
        let gone: Vec<_> = (0..9).map(next).filter(|answer| answer.code() != Code::CONTINUE).collect();
        assert!(!gone.is_empty());
        for answer in gone {
            assert_eq!(answer.code(), Code::REQUEST_ENTITY_INCOMPLETE);
            assert!(String::from_utf8_lossy(answer.payload()).contains("start again at block 0"));
        }
    }
}

#[test]
fn of_the_uploads_of_one_who_gives_way_the_slowest_goes() {
    let limits = Limits { upload_total: 320 << 10, upload: 20 << 10, ..Limits::default() };
    let mut peer = Peer::with(limits);
    let from = (SessionId(1), greedy());
    for (path, seconds) in [("a", 1), ("slow", 100), ("b", 1)] {
        assert_eq!(never_finished(&mut peer, from, path, 16), 16);
        peer.wait(seconds * SECOND);
    }
    // "a" is the oldest, and by now as fast as "slow" is not.
    for num in 16..20 {
        peer.send_from(from.0, from.1, &upload_block(100 + num as u16, "a", num, true));
    }
    let kept = never_finished(&mut peer, from, "c", 20) + never_finished(&mut peer, from, "d", 20);
    assert_eq!(kept, 40);
    assert!(peer.server.counters().uploads_gave_way > 0);
    let goes_on = |peer: &mut Peer, path: &str, num: u32| {
        peer.send_from(from.0, from.1, &upload_block(500, path, num, true).token(path.as_bytes()))
            .remove(0)
            .code()
    };
    assert_eq!(goes_on(&mut peer, "slow", 15), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(goes_on(&mut peer, "d", 19), Code::CONTINUE);
}

/// Returns the one request among the reported events.
fn asked(peer: &mut Peer) -> ExchangeId {
    let mut asked = peer.events().into_iter().filter_map(|event| match event {
        ServerEvent::Request { exchange, .. } => Some(exchange),
        _ => None,
    });
    asked.next().expect("a request")
}

/// Returns the exchanges that are reported to go on.
fn go_on(peer: &mut Peer) -> Vec<ExchangeId> {
    let goes_on = |event| match event {
        ServerEvent::WantsChunk { exchange } => Some(exchange),
        _ => None,
    };
    peer.events().into_iter().filter_map(goes_on).collect()
}

/// Sends a GET whose answer is as long as the server lets it be, in chunks of 16 kB, and never read beyond
/// the first block.
fn never_read(peer: &mut Peer, from: (SessionId, Network), id: u16, path: &str) -> usize {
    assert_eq!(peer.send_from(from.0, from.1, &make(CON, GET, id).path(path)), []);
    let exchange = asked(peer);
    peer.head(exchange);
    let mut bytes = 0;
    while peer.server.wants_chunk(exchange) {
        peer.chunk(exchange, &[1; 16 << 10], false);
        bytes += 16 << 10;
    }
    bytes
}

/// Reads an answer of 100 kB to its end, while it comes.
fn downloads(peer: &mut Peer, from: (SessionId, Network), id: u16) {
    assert_eq!(peer.send_from(from.0, from.1, &make(CON, GET, id).path("modest")), []);
    let exchange = asked(peer);
    peer.head(exchange);
    peer.chunk(exchange, &[2; 16 << 10], false);
    let mut chunks = 1;
    for num in 1..112 {
        let asked = make(CON, GET, id + num).path("modest").block(BLOCK2, num.into(), false, 1024);
        let mut answers = peer.send_from(from.0, from.1, &asked);
        if answers.is_empty() {
            assert!(chunks < 7 && peer.server.wants_chunk(exchange), "{from:?} waits, and is read on");
            chunks += 1;
            answers = peer.chunk(exchange, &[2; 16 << 10], chunks == 7);
        }
        assert_eq!(answers[0].code(), Code::CONTENT, "{from:?} at {num}");
    }
}

#[test]
fn answers_that_a_greedy_client_does_not_read_stop_its_own_upstreams_and_nobody_elses() {
    let total = 8 << 20;
    for networks in [1u8, 4, 40] {
        let limits = Limits { blockwise_total: total, upload_total: 0, ..Limits::default() };
        let mut peer = Peer::with(limits);
        for n in 0..200u64 {
            let network = if networks == 1 { greedy() } else { address(100 + n as u8 % networks, 1) };
            never_read(&mut peer, (SessionId(n / 4), network), (n % 4) as u16, &format!("huge{n}"));
            assert!(
                peer.server.blockwise_bytes() <= total + total / 8 + (1 << 20),
                "{}",
                peer.server.blockwise_bytes()
            );
        }
        assert!(peer.server.counters().read_paused > 100);
        for (n, from) in modest().into_iter().enumerate() {
            downloads(&mut peer, from, 200 * n as u16);
        }
        assert_eq!(
            peer.server.open_exchanges(),
            peer.server.counters().snapshots as usize
                - 3
                - (peer.server.counters().snapshots_gave_way + peer.server.counters().snapshots_evicted)
                    as usize
        );
    }
}

#[test]
fn what_the_upstream_holds_of_answers_that_are_not_read_counts_to_their_network() {
    const AT_UPSTREAM: usize = 100 << 10;
    let limits = Limits { blockwise_total: 8 << 20, upload_total: 0, ..Limits::default() };
    let mut peer = Peer::with(Limits { snapshot_at_upstream: AT_UPSTREAM, ..limits });
    let begin = |peer: &mut Peer, from: (SessionId, Network), size: Option<u64>| {
        assert_eq!(peer.send_from(from.0, from.1, &make(CON, GET, 1).path("long")), []);
        let exchange = asked(peer);
        let options = ResponseOptions { size, ..ResponseOptions::default() };
        peer.server.respond_head(peer.now, exchange, Code::CONTENT, options);
        peer.chunk(exchange, &[1; 2000], false);
        exchange
    };
    let held = |peer: &Peer| peer.server.counters().snapshot_at_upstream as usize;
    // What is known to be still to come is the most that can be held.
    let elsewhere = modest()[2];
    let exchange = begin(&mut peer, elsewhere, Some(10_000));
    assert_eq!(held(&peer), 8000);
    peer.chunk(exchange, &[1; 3000], false);
    assert_eq!(held(&peer), 5000);
    for session in 0..200 {
        begin(&mut peer, (SessionId(session), greedy()), None);
        assert!(peer.server.blockwise_bytes() <= (2 << 20) * 9 / 8 + 8000 + 4096, "of the network");
    }
    // A quarter is the share of a network, and an eighth more is far beyond it.
    let most = (2 << 20) * 9 / 8 / AT_UPSTREAM;
    let open = peer.server.open_exchanges() - 1;
    assert!((most - 2..=most).contains(&open), "{open} of {most}");
    assert_eq!(held(&peer), open * AT_UPSTREAM + 5000);
    assert_eq!(peer.server.counters().snapshots_gave_way as usize, 200 - open);
    // The client elsewhere has lost nothing, and its end gives back what it held.
    peer.chunk(exchange, &[1; 5000], true);
    assert_eq!(held(&peer), open * AT_UPSTREAM);
    for num in 1..10 {
        let next = make(CON, GET, 2 + num).path("long").block(BLOCK2, num.into(), false, 1024);
        assert_eq!(peer.send_from(elsewhere.0, elsewhere.1, &next)[0].code(), Code::CONTENT);
    }
    for session in 0..200 {
        peer.server.session_closed(peer.now, SessionId(session));
    }
    assert_eq!((held(&peer), peer.server.open_exchanges()), (0, 0));
}

#[test]
fn small_bodies_with_long_names_are_counted_whole() {
    let total = 2 << 20;
    let limits = Limits { blockwise_total: total, upload_total: 0, ..Limits::default() };
    let mut peer = Peer::with(limits);
    for n in 0..5000u32 {
        let named = (0..14).fold(make(CON, GET, (n / 50) as u16), |made, _| made.option(15, &[b'q'; 250]));
        let request = named.path(&n.to_string()).block(BLOCK2, 0, false, 16);
        let session = SessionId(u64::from(n % 50));
        assert_eq!(peer.send_from(session, address(n as u8 % 50, 1), &request), []);
        let exchange = asked(&mut peer);
        assert_eq!(peer.respond(exchange, &[0; 17]).len(), 1);
        assert!(peer.server.blockwise_bytes() <= total + total / 8 + 4096);
    }
    // 3.5 kB each: fewer than 700 fit.
    assert!(peer.server.counters().snapshots_gave_way > 4000);
}

#[test]
fn whoever_waits_for_memory_goes_on_when_there_is_some_and_few_at_once() {
    let limits = Limits { blockwise_total: 4 << 20, upload_total: 0, ..Limits::default() };
    let mut peer = Peer::with(limits);
    // Clients far from each other, and equally heavy.
    let (mut all, mut sessions) = (Vec::new(), 0);
    let is_paused = |peer: &Peer, exchange: &ExchangeId| !peer.server.wants_chunk(*exchange);
    while all.iter().filter(|exchange| is_paused(&peer, exchange)).count() < 40 {
        sessions += 1;
        let from = (SessionId(sessions), Network::alone(sessions));
        assert_eq!(peer.send_from(from.0, from.1, &make(CON, GET, 1).path("x")), []);
        let exchange = asked(&mut peer);
        peer.head(exchange);
        peer.chunk(exchange, &[0; 9000], false);
        all.push(exchange);
    }
    all.retain(|exchange| is_paused(&peer, exchange));
    // The others leave, one after the other.
    let mut woken = Vec::new();
    for session in 1..100 {
        peer.server.session_closed(peer.now, SessionId(session));
        let of_one = go_on(&mut peer);
        assert!(of_one.len() <= 32, "{} for one event", of_one.len());
        woken.extend(of_one);
    }
    peer.wait(SECOND);
    woken.extend(go_on(&mut peer));
    woken.sort_unstable();
    assert_eq!(woken, all, "each once");
}

#[test]
fn a_newcomer_uploads_although_others_who_hold_more_have_filled_the_memory() {
    let most = 1 << 20;
    let mut peer = Peer::with(Limits { upload: 300 << 10, upload_total: most, ..Limits::default() });
    let mut session = 0;
    while peer.server.counters().upload_bytes + (60 << 10) < most as u64 {
        session += 1;
        let kilobytes = ((most as u64 - peer.server.counters().upload_bytes) >> 10).min(250) as u32 * 4 / 5;
        let from = (SessionId(session), address(100 + session as u8, 1));
        assert_eq!(never_finished(&mut peer, from, "huge", kilobytes), kilobytes);
    }
    assert_eq!(peer.server.counters().uploads_gave_way, 0);
    uploads(&mut peer, modest()[2], "mod", most as u64);
    assert_eq!((peer.server.counters().uploads_gave_way, peer.server.counters().uploads_no_memory), (1, 0));
}
