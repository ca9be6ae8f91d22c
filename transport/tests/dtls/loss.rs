//! Handshakes over links that lose, repeat and reorder at random; the seed decides.

use crate::pair::{Pair, data};
use lowband_transport::dtls::{CloseReason, Event};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::time::Duration;

/// Loses `loss` percent each way, sends every tenth datagram twice, delays by 20 to 220 ms.
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
        // Twenty copies: one of them arrives, each one that does arrives once.
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
    // A flight and its answer pass with 64 %; RFC 6347's timer tries six times within the minute that is given.
    assert!(finished >= SEEDS - 4, "{finished} of {SEEDS}");
}
