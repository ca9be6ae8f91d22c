//! A path that drops large datagrams silently: bodies get through in smaller blocks. And loss regardless of
//! size, which must not be taken for that.

use super::sim::*;
use lowband_transport::coap::{Code, FailReason, Limits, Request, Response, Times};
use lowband_transport::{ExchangeId, SessionId};
use std::time::Duration;

/// UDP payload that a path of 576 bytes takes (IPv4), less the header and tag of a DTLS record.
const SMALL: usize = 548 - 29;
/// Largest message of a path on which blocks of 512 pass, with all that CoAP may put around them.
const MIDDLE: usize = 640;

/// How often a waiting client asks for a sign of life, as `lowband-client` does.
const PINGS_EVERY: Duration = Duration::from_secs(5);

fn sim(seed: u64, loss: f64) -> (Sim, SessionId) {
    let way = Way { loss, delay: Duration::from_millis(100), jitter: Duration::from_millis(50), ..CLEAN };
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
    let session = sim.open(1);
    (sim, session)
}

fn small(seed: u64, loss: f64, most: usize) -> (Sim, SessionId) {
    let (mut sim, session) = sim(seed, loss);
    sim.lose = Box::new(move |_, bytes| bytes.len() > most);
    (sim, session)
}

/// Runs one request to its end; while it waits, the client pings.
fn ask(sim: &mut Sim, session: SessionId, request: Request) -> Result<Response, FailReason> {
    let exchange = sim.request(session, request);
    for _ in 0..120 {
        if sim.run(PINGS_EVERY, |sim| sim.results.contains_key(&exchange)) {
            return sim.results[&exchange].clone();
        }
        sim.client.ping(sim.now, session);
    }
    panic!("no end within ten minutes")
}

fn arrives(sim: &mut Sim, session: SessionId, request: Request, expected: &[u8]) {
    let response = ask(sim, session, request).unwrap();
    assert!(response.body == expected, "{} {} bytes", response.code, response.body.len());
}

/// Counts messages from now on that the path would drop.
fn too_large(sim: &Sim, from: usize, most: usize) -> usize {
    sim.sent[from..].iter().filter(|(_, bytes)| bytes.len() > most).count()
}

#[test]
fn bodies_go_down_and_up_a_small_path_and_the_session_remembers_it() {
    for (most, steps) in [(MIDDLE, 1), (SMALL, 2)] {
        for seed in 0..10 {
            let (mut sim, session) = small(seed, 0.0, most);
            sim.answer = Box::new(|request| match request.body.len() {
                0 => Answer::new(body(10_000, 1)),
                length => Answer::new(length.to_string().into_bytes()),
            });
            let began = sim.now;
            arrives(&mut sim, session, get("down"), &body(10_000, 1));
            let took = sim.now - began;
            assert!(took < 30 * steps * SECOND, "{took:?}");
            arrives(&mut sim, session, put("up", body(10_000, 2)), b"10000");
            assert_eq!(sim.client.counters().paths_narrowed, u64::from(steps));
            let from = sim.sent.len();
            arrives(&mut sim, session, post("up", body(700, 2)), b"700");
            arrives(&mut sim, session, get("down"), &body(10_000, 1));
            assert_eq!(too_large(&sim, from, most), 0, "what was learnt holds");
            let uploads: Vec<_> = sim.executed.iter().filter(|request| !request.body.is_empty()).collect();
            assert!(uploads.len() == 2 && uploads[0].body == body(10_000, 2));
        }
    }
}

#[test]
fn a_first_exchange_that_is_large_finds_out_where_nobody_pings() {
    for (most, seed) in (0..10).flat_map(|seed| [(MIDDLE, seed), (SMALL, seed)]) {
        for request in [get("down"), put("up", body(40_000, 3))] {
            let (mut sim, session) = small(seed, 0.0, most);
            sim.answer = Box::new(|_| Answer::new(body(20_000, 1)));
            let exchange = sim.request(session, request);
            let began = sim.now;
            // A connection is taken for lost when nothing has come for ten seconds.
            while !sim.run(SECOND, |sim| sim.results.contains_key(&exchange)) {
                let silence = sim.client.silence(session).map(|silence| sim.now - silence.since);
                assert!(silence < Some(10 * SECOND), "seed {seed}, {most} bytes: {silence:?}");
                assert!(sim.now - began < 90 * SECOND, "seed {seed}, {most} bytes");
            }
            let response = sim.results[&exchange].clone().unwrap();
            assert!(response.body == body(20_000, 1) && sim.executed.len() == 1);
            println!("seed {seed}, {most} bytes: {:?}", sim.now - began);
        }
    }
}

#[test]
fn what_no_path_takes_fails_when_its_copies_have_gone_out() {
    // Pings pass, but no answer does, however small.
    let (mut sim, session) = small(1, 0.0, 100);
    sim.answer = Box::new(|_| Answer::new(body(20_000, 1)));
    let exchange = sim.request(session, get("down"));
    assert!(sim.run(600 * SECOND, |sim| sim.results.contains_key(&exchange)));
    assert_eq!(sim.results[&exchange], Err(FailReason::Timeout));
}

#[test]
fn a_silence_of_half_a_minute_leaves_blocks_as_they_are() {
    for seed in 0..10 {
        let (mut sim, session) = sim(seed, 0.0);
        // Something small arrives while the request is on its way, and then nothing.
        sim.answer =
            Box::new(|request| Answer::new(body(if request.body.is_empty() { 20_000 } else { 1 }, 1)));
        let small = sim.request(session, put("small", vec![1]));
        sim.pass(Duration::from_millis(100));
        let exchange = sim.request(session, get("down"));
        assert!(sim.run(SECOND, |sim| sim.results.contains_key(&small)));
        sim.lose = Box::new(|_, _| true);
        sim.pass(30 * SECOND);
        sim.lose = Box::new(|_, _| false);
        assert!(sim.run(60 * SECOND, |sim| sim.results.contains_key(&exchange)));
        assert!(sim.results[&exchange].is_ok());
        let narrowed = sim.client.counters().paths_narrowed + sim.server.counters().paths_narrowed;
        assert_eq!(narrowed, 0, "seed {seed}");
    }
}

#[test]
fn an_upload_finds_out_by_itself() {
    for seed in 0..10 {
        // Bodies in blocks, and in one message that is then sent in blocks.
        for length in [10_000, 900] {
            let (mut sim, session) = small(seed, 0.0, SMALL);
            arrives(&mut sim, session, put("up", body(length, 3)), b"up");
            assert!(sim.executed.len() == 1 && sim.executed[0].body == body(length, 3));
        }
        // The end of a body is not sent under another id if that could do something twice.
        let (mut sim, session) = small(seed, 0.0, SMALL);
        assert_eq!(ask(&mut sim, session, post("up", body(900, 3))), Err(FailReason::Timeout));
        assert_eq!(sim.executed.len(), 0);
        // The next body arrives all the same.
        arrives(&mut sim, session, post("up", body(900, 3)), b"up");
    }
}

#[test]
fn a_path_that_becomes_small_in_the_middle_of_a_body_goes_on_at_the_same_place() {
    for seed in 0..10 {
        let (mut sim, session) = sim(seed, 0.0);
        sim.answer = Box::new(|_| Answer::new(body(20_000, 1)));
        let mut large = 0;
        sim.lose = Box::new(move |_, bytes| {
            large += usize::from(bytes.len() > SMALL);
            bytes.len() > SMALL && large > 9
        });
        arrives(&mut sim, session, get("down"), &body(20_000, 1));
        assert_eq!((sim.executed.len(), sim.client.counters().downloads_restarted), (1, 0));
    }
}

#[test]
fn late_answers_go_in_smaller_blocks_by_the_servers_own_choice() {
    for seed in 0..10 {
        for length in [600, 1000, 10_000] {
            let (mut sim, session) = small(seed, 0.0, SMALL);
            sim.answer = Box::new(move |_| Answer::new(body(length, 1)).after(10 * SECOND));
            // This request is not a GET: it can be carried out only once.
            let exchange = sim.request(session, post("late", b"x".to_vec()));
            let done = |sim: &Sim| sim.results.contains_key(&exchange);
            while !sim.run(PINGS_EVERY, done) && sim.now - sim.start < 200 * SECOND {
                sim.client.ping(sim.now, session);
            }
            assert!(sim.results[&exchange].as_ref().is_ok_and(|response| response.body == body(length, 1)));
            assert_eq!((sim.executed.len(), sim.server.counters().paths_narrowed), (1, 2), "{length}");
            let from = sim.sent.len();
            arrives(&mut sim, session, post("late", b"x".to_vec()), &body(length, 1));
            assert_eq!(too_large(&sim, from, SMALL), 0, "the server remembers it too");
        }
    }
}

#[test]
fn a_small_path_that_loses_besides_lets_bodies_through() {
    for seed in 0..20 {
        let (mut sim, session) = small(seed, 0.1, SMALL);
        sim.answer = Box::new(|request| match request.body.len() {
            0 => Answer::new(body(10_000, 1)),
            length => Answer::new(length.to_string().into_bytes()),
        });
        arrives(&mut sim, session, get("down"), &body(10_000, 1));
        arrives(&mut sim, session, put("up", body(10_000, 2)), b"10000");
    }
}

/// Counts the sessions of `seeds` whose blocks became smaller while bodies of 100 kB went both ways
/// beside small requests.
fn false_alarms(loss: f64, seeds: u64) -> u64 {
    let mut alarms = 0;
    for seed in 0..seeds {
        let (mut sim, session) = sim(seed, loss);
        sim.answer = Box::new(|request| match (request.options.path[0].as_str(), request.body.len()) {
            ("down", _) => Answer::new(body(100_000, 1)).after(SECOND),
            (_, length) => Answer::new(length.to_string().into_bytes()),
        });
        let mut exchanges = vec![sim.request(session, get("down"))];
        exchanges.push(sim.request(session, put("up", body(50_000, 2))));
        for number in 0..40 {
            exchanges.push(sim.request(session, put("small", vec![1; number])));
            exchanges.push(sim.request(session, get("small")));
            sim.pass(2 * SECOND);
        }
        let all = |sim: &Sim| exchanges.iter().all(|exchange| sim.results.contains_key(exchange));
        assert!(sim.run(7200 * SECOND, all), "seed {seed}");
        let failed: Vec<_> = sim.results.values().filter(|result| result.is_err()).collect();
        assert!(failed.is_empty(), "seed {seed}: {failed:?}");
        let narrowed = sim.client.counters().paths_narrowed + sim.server.counters().paths_narrowed;
        alarms += u64::from(narrowed > 0);
    }
    println!("loss {loss}: {alarms} of {seeds} sessions have smaller blocks");
    alarms
}

#[test]
fn loss_that_picks_out_nothing_leaves_blocks_as_they_are() {
    for (loss, most) in [(0.1, 0), (0.2, 1), (0.3, 4)] {
        assert!(false_alarms(loss, 40) <= most, "{loss}");
    }
}

#[test]
fn a_narrow_path_is_forgotten_with_its_session_and_not_before() {
    let (mut sim, session) = small(1, 0.0, MIDDLE);
    sim.answer = Box::new(|_| Answer::new(body(10_000, 1)));
    arrives(&mut sim, session, put("up", body(10_000, 1)), &body(10_000, 1));
    sim.pass(3600 * SECOND);
    let from = sim.sent.len();
    arrives(&mut sim, session, get("down"), &body(10_000, 1));
    assert_eq!(too_large(&sim, from, MIDDLE), 0, "an hour later");
    sim.client.session_closed(sim.now, session);
    sim.server.session_closed(sim.now, session);
    let session = sim.open(2);
    let from = sim.sent.len();
    arrives(&mut sim, session, get("down"), &body(10_000, 1));
    assert!(too_large(&sim, from, MIDDLE) > 0, "another session begins anew");
}

#[test]
fn what_waits_for_its_turn_when_blocks_become_smaller_goes_in_smaller_ones() {
    for seed in 0..10 {
        // Requests that may be carried out twice are cut whether they are on their way or wait.
        let (mut sim, session) = one_at_a_time(seed);
        let make = |number: u64| put(&number.to_string(), body(900, number));
        let requests: Vec<_> = (0..12).map(|number| sim.request(session, make(number))).collect();
        until(&mut sim, session, |sim| sim.client.counters().paths_narrowed == 2);
        let from = sim.sent.len();
        ends(&mut sim, session, &requests);
        assert!(requests.iter().all(|request| sim.results[request].is_ok()));
        assert_eq!((too_large(&sim, from, SMALL), sim.executed.len()), (0, 12), "seed {seed}");

        // Of requests that may not be carried out twice, only what waits is cut: no peer has seen it.
        let (mut sim, session) = one_at_a_time(seed);
        let make = |number: u64| post("up", body(900, number));
        let requests: Vec<_> = (0..12).map(|number| sim.request(session, make(number))).collect();
        ends(&mut sim, session, &requests);
        let whole = |number: u64| sim.sent.iter().any(|(_, sent)| sent.ends_with(&body(900, number)));
        for (number, request) in (0..).zip(&requests) {
            assert_eq!(sim.results[request].is_err(), whole(number), "seed {seed}: {number}");
        }
        assert!(sim.results[&requests[11]].is_ok());

        // Answers are cut as well.
        let (mut sim, session) = one_at_a_time(seed);
        sim.answer = Box::new(|request| Answer::new(body(900, request.body.len() as u64)).after(10 * SECOND));
        let requests: Vec<_> =
            (0..12).map(|number| sim.request(session, post("late", vec![1; number]))).collect();
        until(&mut sim, session, |sim| sim.server.counters().paths_narrowed == 2);
        let from = sim.sent.len();
        ends(&mut sim, session, &requests);
        for (number, request) in (0..).zip(&requests) {
            let response = sim.results[request].clone().unwrap();
            assert!(response.body == body(900, number), "seed {seed}: {number}");
        }
        assert_eq!((too_large(&sim, from, SMALL), sim.executed.len()), (0, 12), "seed {seed}");
    }
}

/// Makes a small path, with one message on its way at once.
fn one_at_a_time(seed: u64) -> (Sim, SessionId) {
    let limits = Limits { window: 1, ..Limits::default() };
    let way = Way { delay: Duration::from_millis(100), ..CLEAN };
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), limits).both_ways(way);
    sim.lose = Box::new(|_, bytes| bytes.len() > SMALL);
    let session = sim.open(1);
    (sim, session)
}

fn ends(sim: &mut Sim, session: SessionId, requests: &[ExchangeId]) {
    until(sim, session, |sim| requests.iter().all(|request| sim.results.contains_key(request)));
}

fn until(sim: &mut Sim, session: SessionId, done: impl Fn(&Sim) -> bool) {
    for _ in 0..240 {
        if sim.run(PINGS_EVERY, &done) {
            return;
        }
        sim.client.ping(sim.now, session);
    }
    panic!("no end within twenty minutes")
}

#[test]
fn an_upload_whose_large_answer_is_lost_goes_again_where_that_does_no_harm() {
    for seed in 0..10 {
        // Everything passes upwards. The answer is in the acknowledgement of the last block, and is cut
        // there.
        let (mut sim, session) = sim(seed, 0.0);
        sim.lose = Box::new(|to, bytes| to == To::Client && bytes.len() > SMALL);
        sim.answer = Box::new(|_| Answer::new(body(900, 7)));
        arrives(&mut sim, session, put("up", body(10_000, 3)), &body(900, 7));
        arrives(&mut sim, session, post("up", body(10_000, 3)), &body(900, 7));
        assert!(sim.executed.iter().all(|request| request.body == body(10_000, 3)));
        assert_eq!((sim.client.counters().uploads_sent_again, sim.executed.len()), (0, 2));

        // The smaller answers are lost as well, until the end of the body has been sent in smaller blocks.
        let mut lost = 0;
        sim.lose = Box::new(move |to, bytes| {
            lost += usize::from(to == To::Client && bytes[1] == Code::CONTENT.0);
            to == To::Client && bytes[1] == Code::CONTENT.0 && lost <= 13
        });
        let (client, server) = (&mut sim.client, &mut sim.server);
        client.session_closed(sim.now, session);
        server.session_closed(sim.now, session);
        let session = sim.open(2);
        arrives(&mut sim, session, put("up", body(10_000, 3)), &body(900, 7));
        assert_eq!((sim.client.counters().uploads_sent_again, sim.executed.len()), (1, 4));
        // A request that may not be carried out twice is not cut.
        sim.lose = Box::new(|to, bytes| to == To::Client && bytes[1] == Code::CONTENT.0);
        assert_eq!(ask(&mut sim, session, post("up", body(10_000, 3))), Err(FailReason::Timeout));
        assert_eq!(sim.executed.len(), 5);
    }
}
