//! Handshakes over links that lose, repeat and reorder at random; the seed decides.

use crate::pair::{End, Pair, Sent, data};
use lowband_transport::dtls::{CloseReason, Event};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::time::Duration;

/// Makes a pair whose link loses `loss` percent each way, sends every tenth datagram twice, delays by 20
/// to 220 ms.
fn pair(seed: u64, loss: u32) -> Pair {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut pair = Pair::default();
    pair.link = Box::new(move |_| {
        let copies = match rng.next_u32() % 100 {
            roll if roll < loss => 0,
            roll if roll % 10 == 9 => 2,
            _ => 1,
        };
        (0..copies).map(|_| Duration::from_millis(u64::from(20 + rng.next_u32() % 200))).collect()
    });
    pair
}

#[test]
fn at_20_percent_loss_each_handshake_ends_and_nearly_all_finish() {
    const SEEDS: u64 = 200;
    let mut finished = 0;
    for seed in 0..SEEDS {
        let mut pair = pair(seed, 20);
        let session = pair.connect();
        pair.run_for(Duration::from_secs(61));
        match &pair.client_events[..] {
            [Event::Connected { .. }] => finished += 1,
            [Event::Closed { why: CloseReason::Handshake(_), .. }] => continue,
            other => panic!("seed {seed}: {other:?}"),
        }
        // Twenty copies: those that arrive do so once each, and at least one does.
        for copy in 0..20 {
            pair.client.send(pair.now, session, &[copy]).unwrap();
            pair.run_for(Duration::from_secs(1));
        }
        let mut arrived = data(&pair.server_events);
        assert!(arrived.len() > 5, "seed {seed}: {arrived:?}");
        arrived.sort_unstable();
        arrived.dedup();
        assert_eq!(arrived.len(), data(&pair.server_events).len(), "seed {seed}");
        let counters = [pair.client.counters(), pair.server.counters()];
        assert!(counters.iter().all(|c| (c.sessions, c.half_open) == (1, 0)), "seed {seed}: {counters:?}");
    }
    // A flight and its answer pass with 64 %, and there are eleven attempts within the minute
    // that is allowed.
    assert!(finished >= SEEDS - 4, "{finished} of {SEEDS}");
}

/// Counts the handshakes that do not finish within a minute, among one for each seed.
fn failed(loss: u32, seeds: u64) -> u64 {
    let fails = |seed: &u64| {
        let mut pair = pair(*seed, loss);
        pair.connect();
        pair.run_for(Duration::from_secs(61));
        !matches!(pair.client_events[..], [Event::Connected { .. }])
    };
    (0..seeds).filter(fails).count() as u64
}

#[test]
fn of_handshakes_that_lose_30_or_40_percent_each_way_one_in_100_and_two_in_100_fail() {
    const SEEDS: u64 = 300;
    // With intervals that grow to a minute, 9 and 32 would.
    for (loss, most) in [(30, SEEDS / 100), (40, SEEDS / 50)] {
        let failed = failed(loss, SEEDS);
        assert!(failed <= most, "{failed} of {SEEDS} at {loss} %");
    }
}

/// Returns when an end has sent its datagrams, in milliseconds.
fn times(pair: &Pair, from: End) -> Vec<u128> {
    pair.trace.iter().filter(|sent| sent.from == from).map(|sent| sent.at.as_millis()).collect()
}

#[test]
fn the_round_trip_of_a_hello_tells_a_client_how_long_the_path_is_whichever_copy_is_answered() {
    const SLOW: Duration = Duration::from_millis(800);
    // The second copy of the hello is sent before an answer can be there; the first copy, or
    // neither, is lost.
    for (lost, answered) in [(usize::MAX, 1600), (0, 2600)] {
        let mut pair = Pair::default();
        let arrives = move |sent: &Sent| !(sent.from == End::Client && sent.number == lost);
        pair.link = Box::new(move |sent| if arrives(sent) { vec![SLOW] } else { vec![] });
        pair.connect();
        pair.run_for(Duration::from_secs(30));
        let [Event::Connected { round_trip, .. }] = pair.client_events[..] else {
            panic!("{:?}", pair.client_events)
        };
        assert_eq!(round_trip, Some(SLOW * 2));
        // Once each from then on: the hello with its cookie and the last flight.
        assert_eq!(times(&pair, End::Client), [0, 1000, answered, answered + 1600], "{lost}");
    }
}

#[test]
fn a_path_that_is_slower_than_the_longest_interval_gets_no_copy_before_an_answer_can_be_there() {
    let slow = Duration::from_millis(3500);
    let mut pair = Pair::default();
    pair.link = Box::new(move |_| vec![slow]);
    pair.connect();
    pair.run_for(Duration::from_secs(60));
    assert_eq!(times(&pair, End::Client), [0, 1000, 3000, 7000, 14_000]);
    assert!(matches!(pair.client_events[..], [Event::Connected { .. }]));
}
