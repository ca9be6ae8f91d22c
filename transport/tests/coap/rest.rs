//! How much of a session is under way: what a graceful end waits for, and what it does not.

use super::peer::*;
use super::sim::{MS, SECOND};
use lowband_transport::SessionId;
use lowband_transport::coap::{Activity, Code};
use std::time::Duration;

/// How long a body may be silent in these tests.
const SILENCE: Duration = Duration::from_secs(5);

fn activity(peer: &Peer) -> Activity {
    peer.server.activity(SESSION, peer.now - SILENCE)
}

fn is_at_rest(peer: &Peer) -> bool {
    activity(peer) == Activity::AtRest
}

#[test]
fn a_request_keeps_its_session_until_it_is_answered() {
    let mut peer = Peer::new();
    assert!(is_at_rest(&peer));
    peer.send(&make(CON, GET, 1).path("x"));
    let (exchange, _) = peer.request();
    assert_eq!((is_at_rest(&peer), peer.server.exchanges_of(SESSION)), (false, vec![exchange]));
    assert_eq!(peer.server.activity(SessionId(99), peer.now), Activity::AtRest, "another session");
    peer.respond(exchange, b"piggybacked");
    assert!(is_at_rest(&peer));
}

#[test]
fn a_separate_answer_keeps_it_until_that_is_acknowledged_or_given_up() {
    let mut peer = Peer::new();
    for (id, acknowledges) in [(1, true), (2, false)] {
        peer.send(&make(CON, GET, id).path("x"));
        let (exchange, _) = peer.request();
        peer.wait(2 * SECOND);
        let answer = peer.respond(exchange, b"late").remove(0);
        assert_eq!((answer.kind(), is_at_rest(&peer)), (CON, false));
        if acknowledges {
            peer.send(&empty(ACK, answer.id()));
        } else {
            peer.wait(20 * SECOND);
            assert_eq!(activity(&peer), Activity::Busy, "it is sent again");
            peer.wait(300 * SECOND);
        }
        assert!(is_at_rest(&peer));
    }
}

#[test]
fn an_upload_keeps_it_for_as_long_as_blocks_come() {
    let mut peer = Peer::new();
    let block = |id, num| make(CON, PUT, id).path("up").block(BLOCK1, num, true, 16).payload(&[0; 16]);
    assert_eq!(peer.ask(&block(1, 0)).code(), Code::CONTINUE);
    assert_eq!(activity(&peer), Activity::Busy);
    peer.wait(SILENCE - MS);
    assert_eq!(activity(&peer), Activity::Busy);
    peer.ask(&block(2, 1));
    peer.wait(SILENCE - MS);
    assert_eq!(activity(&peer), Activity::Busy);
    peer.wait(MS);
    assert_eq!(activity(&peer), Activity::Silent, "its client may be gone");
}

#[test]
fn an_answer_in_blocks_keeps_it_for_as_long_as_they_are_asked_for() {
    let mut peer = Peer::new();
    let ask = |id, num| make(CON, GET, id).path("big").block(BLOCK2, num, false, 1024);
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.respond(exchange, &[0; 3000]);
    peer.wait(SILENCE - MS);
    assert_eq!(activity(&peer), Activity::Busy);
    peer.ask(&ask(2, 1));
    peer.wait(SILENCE - MS);
    assert_eq!(activity(&peer), Activity::Busy);
    peer.ask(&ask(3, 2));
    assert!(is_at_rest(&peer), "it has been read to its end");

    peer.send(&make(CON, GET, 4).path("left"));
    let (exchange, _) = peer.request();
    peer.respond(exchange, &[0; 3000]);
    peer.wait(SILENCE);
    assert_eq!(activity(&peer), Activity::Silent, "its client may be gone");
}

#[test]
fn a_block_that_the_upstream_has_not_given_yet_keeps_it() {
    let mut peer = Peer::new();
    peer.send(&make(CON, GET, 1).path("big"));
    let (exchange, _) = peer.request();
    peer.head(exchange);
    peer.chunk(exchange, &[0; 1500], false);
    peer.send(&make(CON, GET, 2).path("big").block(BLOCK2, 1, false, 1024));
    peer.wait(20 * SECOND);
    assert_eq!(activity(&peer), Activity::Busy);
}
