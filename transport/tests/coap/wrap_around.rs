//! Message ids that begin again at 0 in the middle of a session (RFC 7252 section 4.4), over a
//! link with faults.

use super::sim::*;
use lowband_transport::SessionId;
use lowband_transport::coap::{Limits, Times};
use std::collections::BTreeSet;
use std::time::Duration;

const EXCHANGES: usize = 6000;

/// Makes a session in which each request is acknowledged at once and answered separately, so that both ends
/// use up ids.
fn separate(seed: u64, way: Way) -> (Sim, SessionId) {
    let times = Times { piggyback_wait: Duration::ZERO, ..Times::measured() };
    let mut sim = Sim::with(seed, times.clone(), times, Limits::default()).both_ways(way);
    sim.answer = Box::new(|request| Answer::new(request.body.clone()).after(MS));
    let session = sim.open(1);
    (sim, session)
}

/// Returns the ids of an end's own messages.
fn ids(sim: &Sim, to: To) -> BTreeSet<u16> {
    let confirmable = |(end, bytes): &&(To, Vec<u8>)| *end == to && bytes[0] & 0x30 == 0;
    sim.sent.iter().filter(confirmable).map(|(_, bytes)| u16::from_be_bytes([bytes[2], bytes[3]])).collect()
}

/// Finds the first seed with which both ends begin near the highest id.
fn seed() -> u64 {
    let is_near = |seed: &u64| {
        let (mut sim, session) = separate(*seed, CLEAN);
        sim.ask(session, put("x", vec![]));
        [To::Server, To::Client].iter().all(|end| ids(&sim, *end).first() > Some(&(u16::MAX - 5000)))
    };
    (0..).find(is_near).unwrap()
}

#[test]
fn message_ids_of_both_ends_wrap_around_and_no_exchange_is_lost_or_executed_twice() {
    let way = Way { loss: 0.05, duplication: 0.05, delay: 5 * MS, jitter: 20 * MS, ..CLEAN };
    let (mut sim, session) = separate(seed(), way);
    let exchanges: Vec<_> =
        (0..EXCHANGES).map(|n| sim.request(session, put("x", n.to_string().into_bytes()))).collect();
    assert!(sim.run(3600 * SECOND, |sim| sim.results.len() == EXCHANGES));
    for (n, exchange) in exchanges.iter().enumerate() {
        assert_eq!(sim.results[exchange].as_ref().unwrap().body, n.to_string().into_bytes());
    }
    assert_eq!(sim.executed.len(), EXCHANGES);
    for end in [To::Server, To::Client] {
        let ids = ids(&sim, end);
        assert_eq!((ids.len(), ids.first(), ids.last()), (EXCHANGES, Some(&0), Some(&u16::MAX)), "{end:?}");
    }
}
