//! Several bodies in one session at the same time, in both directions, and two to the same resource.

use super::sim::*;
use lowband_transport::coap::{Code, Limits, Times};
use std::time::Duration;

#[test]
fn two_downloads_and_two_uploads_in_one_session_do_not_mix() {
    for seed in 0..8 {
        let way = Way { loss: 0.1, duplication: 0.1, delay: 50 * MS, jitter: 100 * MS };
        let mut sim = Sim::with(seed, Times::rfc7252(), Times::measured(), Limits::default()).both_ways(way);
        sim.answer = Box::new(|request| {
            let answer = if request.body.is_empty() { body(50_000, 7) } else { request.body.clone() };
            Answer::new(answer).in_chunks(5000, 100 * MS)
        });
        let session = sim.open(1);
        let down = [sim.request(session, get("a")), sim.request(session, get("b"))];
        let up = [
            sim.request(session, post("a", body(40_000, 1))),
            sim.request(session, post("b", body(40_000, 2))),
        ];
        assert!(sim.run(Duration::from_secs(3600), |sim| sim.results.len() == 4), "seed {seed}");
        for exchange in down {
            assert!(sim.results[&exchange].clone().unwrap().body == body(50_000, 7), "seed {seed}");
        }
        for (exchange, number) in up.into_iter().zip(1..) {
            assert!(sim.results[&exchange].clone().unwrap().body == body(40_000, number), "seed {seed}");
        }
        assert_eq!(sim.executed.len(), 4, "seed {seed}");
    }
}

#[test]
fn requests_to_the_same_resource_at_the_same_time_each_get_their_own_answer() {
    let mut sim = Sim::new(1);
    let mut count = 0;
    sim.answer = Box::new(move |request| {
        count += 1;
        let answer = if request.body.is_empty() { body(20_000, count) } else { request.body.clone() };
        Answer::new(answer)
    });
    let session = sim.open(1);
    let down: Vec<_> = (0..3).map(|_| sim.request(session, get("same"))).collect();
    let up: Vec<_> = (0..3).map(|n| sim.request(session, post("same", body(20_000, 10 + n)))).collect();
    sim.pass(60 * SECOND);
    for (exchange, number) in down.iter().zip(1..) {
        assert!(sim.results[exchange].clone().unwrap().body == body(20_000, number));
    }
    for (exchange, number) in up.iter().zip(10..) {
        assert!(sim.results[exchange].clone().unwrap().body == body(20_000, number));
    }
}

#[test]
fn an_upstream_that_streams_slowly_is_read_at_its_pace() {
    let way = Way { loss: 0.1, duplication: 0.0, delay: 100 * MS, jitter: 50 * MS };
    for seed in 0..4 {
        let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
        sim.answer = Box::new(|_| Answer::new(body(30_000, 5)).after(2 * SECOND).in_chunks(700, 800 * MS));
        let session = sim.open(1);
        let response = sim.ask(session, get("slow"));
        assert!(response.body == body(30_000, 5), "seed {seed}");
        // 43 pieces, 42 times 800 ms between them.
        assert!(sim.now - sim.start > Duration::from_secs(35), "seed {seed}");
        assert!(sim.now - sim.start < Duration::from_secs(60), "seed {seed}: {:?}", sim.now - sim.start);
        assert_eq!(sim.executed.len(), 1, "seed {seed}");
    }
}

#[test]
fn a_session_replaced_in_mid_exchange_fails_what_it_carried_and_the_new_one_works() {
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(body(50_000, 1)).in_chunks(5000, SECOND));
    let old = sim.open(1);
    let upload = sim.request(old, post("up", body(50_000, 2)));
    let download = sim.request(old, get("down"));
    sim.pass(300 * MS);
    sim.server.session_closed(sim.now, old);
    sim.client.session_closed(sim.now, old);
    let new = sim.open(2);
    let response = sim.ask(new, get("down"));
    assert_eq!((response.code, response.body.len()), (Code::CONTENT, 50_000));
    assert!(sim.results[&upload].is_err() && sim.results[&download].is_err());
    assert_eq!(sim.cancelled.len(), 1);
    sim.pass(100 * SECOND);
    assert_eq!(sim.server.blockwise_bytes(), 0);
}

#[test]
fn an_upload_cut_off_for_good_leaves_nothing_and_is_never_executed() {
    let mut sim = Sim::new(1);
    let session = sim.open(1);
    let exchange = sim.request(session, post("up", body(50_000, 2)));
    sim.pass(SECOND);
    sim.lose = Box::new(|_, _| true);
    sim.pass(93 * SECOND);
    assert!(sim.results[&exchange].is_err());
    assert!(sim.server.blockwise_bytes() > 10_000);
    sim.pass(40 * SECOND);
    assert_eq!((sim.server.blockwise_bytes(), sim.executed.len()), (0, 0));
    // Over a link that works again, the next one is whole.
    sim.lose = Box::new(|_, _| false);
    sim.answer = Box::new(echo);
    assert!(sim.ask(session, post("up", body(50_000, 3))).body == body(50_000, 3));
}
