//! Request bodies whose blocks come in any order: what they may hold, how long they may take, and what many
//! of them cost the others.

use super::any_order::{INCOMPLETE, name, named, piece, refused, tagged};
use super::peer::*;
use super::sim::{MS, SECOND, body};
use lowband_transport::SessionId;
use lowband_transport::coap::{Activity, Code, Limits};
use lowband_transport::shares::Network;
use std::net::Ipv4Addr;

fn address(third: u8, fourth: u8) -> Network {
    Network::of(Ipv4Addr::new(192, 0, third, fourth).into())
}

#[test]
fn a_body_above_the_limit_is_4_13_at_once_and_what_follows_is_refused() {
    let limits = Limits { upload: 4096, ..Limits::default() };
    let whole = body(9000, 1);
    let size = 9000u16.to_be_bytes();
    for (what, too_large) in
        [("NUM", piece(9, &whole, 4)), ("Size1", piece(9, &whole, 0).option(SIZE1, &size))]
    {
        let mut peer = named(limits.clone());
        peer.send(&piece(2, &whole[..2100], 2));
        let answers = peer.send(&too_large);
        assert_eq!(refused(&answers, 9), Code::REQUEST_ENTITY_TOO_LARGE, "{what}");
        assert_eq!(refused(&answers, 2), INCOMPLETE, "{what}");
        assert_eq!(peer.ask(&piece(10, &whole, 1)).code(), INCOMPLETE, "{what}");
        assert_eq!(peer.server.counters().uploads_too_large, 1);
        assert!(peer.server.blockwise_bytes() < 200, "{what}");
        // Of an upload that begins with it as well.
        let mut peer = named(limits.clone());
        assert_eq!(peer.ask(&too_large).code(), Code::REQUEST_ENTITY_TOO_LARGE, "{what}");
        assert_eq!(peer.ask(&piece(10, &whole, 1)).code(), INCOMPLETE, "{what}");
    }
}

#[test]
fn a_lone_block_takes_the_memory_of_one_block() {
    let mut peer = named(Limits::default());
    let far = |id, num| tagged(id, &vec![7; 8 << 20], num, 1024, b"1");
    assert_eq!(peer.send(&far(1, 8191)), []);
    assert!(peer.server.blockwise_bytes() < 3000, "{}", peer.server.blockwise_bytes());
    // A thousand of them, each beyond a gap.
    for num in 0..1000 {
        assert_eq!(peer.ask(&far(10 + num as u16, 1 + 2 * num)).code(), Code::CONTINUE);
    }
    let held = peer.server.blockwise_bytes();
    assert!((1001 * 1024..1001 * 1200).contains(&held), "{held}");
    // A thousand uploads of one block each.
    let mut peer = named(Limits::default());
    for tag in 0..1000u16 {
        let lone = tagged(tag, &[7; 9000], 8, 1024, &(tag + 1).to_be_bytes());
        let answers = peer.send(&lone);
        assert!(answers.iter().all(|got| got.code() == INCOMPLETE && got.id() != tag), "of an older one");
        assert!(peer.server.blockwise_bytes() < 32 * 3000 + 2048, "{}", peer.server.blockwise_bytes());
        assert!(peer.server.exchanges_of(SESSION).len() <= 32);
    }
    assert_eq!(peer.server.counters().uploads_evicted, 1000 - 32);
    peer.wait(600 * SECOND);
    assert_eq!((peer.server.blockwise_bytes(), peer.server.exchanges_of(SESSION).len()), (0, 0));
    assert_eq!(peer.events(), []);
}

#[test]
fn small_blocks_beyond_a_gap_count_with_all_that_they_cost() {
    let limits = Limits { upload: 256 << 10, upload_total: 1 << 20, ..Limits::default() };
    let network = address(2, 1);
    let mut peer = Peer::with(limits);
    name(&mut peer, SESSION, network);
    let whole = body(256 << 10, 1);
    let refused_at = (1..16_384).find(|num| {
        let block = tagged(*num as u16, &whole, *num, 16, b"1").token(&num.to_be_bytes());
        let answer = peer.send_from(SESSION, network, &block).remove(0);
        assert!(peer.server.counters().upload_bytes <= (256 << 10) * 9 / 8 + (32 << 10));
        answer.code() == Code::SERVICE_UNAVAILABLE
    });
    // Each 16 bytes take more than a hundred.
    assert!(refused_at.is_some_and(|num| (1_500..4_000).contains(&num)), "{refused_at:?}");
}

#[test]
fn new_bytes_buy_time_and_copies_do_not() {
    let mut peer = named(Limits::default());
    let whole = body(5000, 1);
    peer.send(&piece(4, &whole, 4));
    for (id, num) in [(10, 3), (11, 1)] {
        peer.wait(119 * SECOND);
        assert_eq!(peer.ask(&piece(id, &whole, num)).code(), Code::CONTINUE);
    }
    let silent = peer.now;
    for id in 0..3 {
        peer.wait(39 * SECOND);
        assert_eq!(peer.ask(&piece(20 + id, &whole, 1)).code(), Code::CONTINUE);
    }
    assert_eq!(peer.server.activity(SESSION, silent - MS), Activity::Busy);
    assert_eq!(peer.server.activity(SESSION, silent), Activity::Silent);
    assert_eq!(refused(&peer.wait(4 * SECOND), 4), INCOMPLETE);
    assert_eq!(peer.server.counters().uploads_expired, 1);
    // Sixteen bytes buy two seconds.
    let mut peer = named(Limits::default());
    let crumbs = (0..60).take_while(|num| {
        peer.wait(8 * SECOND);
        peer.ask(&tagged(100 + *num as u16, &whole, 100 - num, 16, b"1")).code() == Code::CONTINUE
    });
    assert!((15..25).contains(&crumbs.count()));
}

#[test]
fn bodies_full_of_gaps_keep_nobody_from_uploading() {
    // Nine bodies of one session, of nine sessions of an address, of nine of a site.
    for (sessions, networks) in [(1, 1), (9, 1), (9, 9)] {
        let limits = Limits { upload: 1 << 20, upload_total: 4 << 20, ..Limits::default() };
        let most = limits.upload_total as u64;
        let mut peer = Peer::with(limits);
        let large = body(1 << 20, 1);
        let greedy = |n: u64| (SessionId(n % sessions), address(2, 1 + (n % networks) as u8));
        let modest = [address(2, 1), address(2, 200), address(3, 1)];
        let modest = [0, 1, 2].map(|at| (SessionId(1000 + at as u64), modest[at]));
        (0..sessions).map(greedy).chain(modest).for_each(|from| name(&mut peer, from.0, from.1));
        for n in 0..9u64 {
            let from = greedy(n);
            // The last block first, then each but block 0 from the end.
            for num in (1..1024u32).rev() {
                let block = tagged(num as u16, &large, num, 1024, &[n as u8 + 1]);
                peer.send_from(from.0, from.1, &block.token(&[n as u8, (num >> 8) as u8, num as u8]));
                assert!(peer.server.counters().upload_bytes <= most);
            }
            for (at, (session, network)) in modest.into_iter().enumerate() {
                let modest = body(100 << 10, at as u64);
                for num in (0..100u32).rev() {
                    let block = tagged(num as u16, &modest, num, 1024, &[n as u8 + 1]);
                    let answers = peer.send_from(session, network, &block.token(&[9, num as u8, n as u8]));
                    let own = answers.iter().filter(|got| got.token() == [9, num as u8, n as u8]);
                    assert!(own.map(Got::code).all(|code| code == Code::CONTINUE), "{at} {num}");
                    assert!(peer.server.counters().upload_bytes <= most);
                }
                assert!(peer.request().1 == modest, "{sessions} {networks} {n} {at}");
                peer.wait(MS);
            }
        }
        let counters = peer.server.counters();
        assert!(counters.uploads_gave_way + counters.uploads_no_memory > 0, "{sessions} {networks}");
    }
}

#[test]
fn uploads_that_have_ended_are_remembered_up_to_a_limit() {
    let mut peer = named(Limits::default());
    let whole = body(1500, 1);
    for tag in 1..=200u8 {
        peer.send(&tagged(1000 + u16::from(tag), &whole, 0, 1024, &[tag]));
        peer.send(&tagged(2000 + u16::from(tag), &whole, 1, 1024, &[tag]));
        let (exchange, _) = peer.request();
        peer.respond(exchange, b"");
        assert!(peer.server.blockwise_bytes() <= 64 * 32, "{}", peer.server.blockwise_bytes());
    }
    // The newest are known, and a late block of the oldest begins what never becomes whole.
    let held = peer.server.blockwise_bytes();
    for tag in 137..=200u8 {
        let late = peer.ask(&tagged(3000 + u16::from(tag), &whole, 0, 1024, &[tag]));
        assert_eq!((late.code(), peer.server.blockwise_bytes()), (Code::CONTINUE, held));
    }
    peer.ask(&tagged(4000, &whole, 0, 1024, &[136]));
    assert!(peer.server.blockwise_bytes() > held + 1024);
    // They give way when memory is short, and nothing else does.
    let mut peer = named(Limits { upload: 4000, upload_total: 1500, ..Limits::default() });
    for tag in 1..=200u8 {
        let too_large = make(CON, PUT, tag.into()).path("up").option(REQUEST_TAG, &[tag]);
        let too_large = too_large.block(BLOCK1, 4, true, 1024).payload(&[0; 1024]);
        assert_eq!(peer.ask(&too_large).code(), Code::REQUEST_ENTITY_TOO_LARGE);
        assert!(peer.server.blockwise_bytes() <= 1500);
    }
    assert_eq!(peer.server.counters().uploads_gave_way, 0);
}
