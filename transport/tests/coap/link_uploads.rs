//! Request bodies at the speed of the link: many blocks on their way at once, to a server that takes them in
//! any order.

use super::peer::{AUTHORIZATION, BLOCK1, CON, Got, NON, PUT, REQUEST_TAG, make};
use super::sim::*;
use lowband_transport::coap::{Code, Direction, FailReason, Limits, Method, Request, Times};
use lowband_transport::shares::Network;
use lowband_transport::{ExchangeId, SessionId};
use std::time::Duration;

/// The path of a satellite: 100 kbit/s, 600 ms there and back, 2 % lost each way.
const LINK: Way = Way {
    loss: 0.02,
    delay: Duration::from_millis(300),
    narrow: Some(Narrow { bits_per_second: 100_000, queue: 64_000 }),
    ..CLEAN
};

const RATE: f64 = 100_000.0;

fn link(seed: u64, way: Way) -> (Sim, SessionId) {
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), Limits::default()).both_ways(way);
    sim.answer = Box::new(|request| match request.method {
        Method::Get => Answer::new(body(100_000, 3)),
        _ => Answer::new(b"ok".to_vec()),
    });
    let session = sim.open(1);
    (sim, session)
}

/// Lets the ends know each other.
fn greet(sim: &mut Sim, session: SessionId) {
    sim.ask(session, put("hello", vec![]));
    sim.executed.clear();
}

/// Returns how long a body takes on the link at least: 79 bytes are around each block.
fn least(length: usize) -> f64 {
    (length + 79 * length.div_ceil(1024)) as f64 * 8.0 / RATE + 0.6
}

fn run(sim: &mut Sim, exchange: ExchangeId) -> f64 {
    let began = sim.now;
    assert!(sim.run(Duration::from_secs(3600), |sim| sim.results.contains_key(&exchange)));
    assert!(sim.results[&exchange].is_ok(), "{:?}", sim.results[&exchange]);
    (sim.now - began).as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Returns the blocks of requests that have gone up, with their tags.
fn blocks(sim: &Sim) -> Vec<Got> {
    let up = sim.sent.iter().filter(|(to, _)| *to == To::Server).map(|(_, bytes)| Got::parse(bytes));
    up.filter(|got| got.block(BLOCK1).is_some()).collect()
}

fn tags(sim: &Sim) -> Vec<u64> {
    let mut tags: Vec<_> = blocks(sim).iter().filter_map(|got| got.number(REQUEST_TAG)).collect();
    tags.dedup();
    tags
}

#[test]
fn a_hundred_kilobytes_go_up_at_the_speed_of_the_link() {
    for (what, is_greeted) in [("first", false), ("later", true)] {
        let times = (0..15).map(|seed| {
            let (mut sim, session) = link(seed, LINK);
            if is_greeted {
                greet(&mut sim, session);
            }
            let exchange = sim.request(session, post("media", body(100_000, 1)));
            let took = run(&mut sim, exchange);
            assert_eq!(sim.executed.len(), 1);
            assert!(sim.executed[0].body == body(100_000, 1));
            took / least(100_000)
        });
        let median = median(times.collect());
        println!("{what}: {median:.2} times the link's own time");
        assert!(median <= 1.3, "{what}: {median}");
    }
}

#[test]
fn a_body_of_two_blocks_takes_one_round_trip_once_the_peer_is_known() {
    let (mut sim, session) = link(1, Way { loss: 0.0, ..LINK });
    greet(&mut sim, session);
    let exchange = sim.request(session, put("x", body(1500, 1)));
    assert!(run(&mut sim, exchange) < 1.0);
}

#[test]
fn every_body_arrives_once_whatever_the_path_does() {
    let ways = [
        Way { loss: 0.2, ..LINK },
        Way { jitter: Duration::from_millis(400), duplication: 0.1, ..LINK },
        Way { narrow: Some(Narrow { bits_per_second: 9600, queue: 8000 }), ..LINK },
        Way { loss: 0.1, jitter: Duration::from_secs(2), duplication: 0.3, ..CLEAN },
    ];
    for (seed, way) in (0..20).flat_map(|seed| ways.map(|way| (seed, way))) {
        let (mut sim, session) = link(seed, way);
        let bodies = [body(20_000, 1), body(1025, 2), body(5 * 1024, 3), body(30_000, 4)];
        let requests = bodies.iter().enumerate().map(|(at, body)| {
            let path = format!("media/{}", at / 2);
            if at % 2 == 0 { post(&path, body.clone()) } else { put(&path, body.clone()) }
        });
        let exchanges: Vec<_> = requests.map(|request| sim.request(session, request)).collect();
        assert!(
            sim.run(Duration::from_secs(3600), |sim| exchanges.iter().all(|id| sim.results.contains_key(id)))
        );
        assert!(exchanges.iter().all(|id| sim.results[id].is_ok()), "{:?}", sim.results);
        assert_eq!(sim.executed.len(), 4, "seed {seed}");
        for body in &bodies {
            assert_eq!(sim.executed.iter().filter(|executed| executed.body == *body).count(), 1);
        }
        assert_eq!(sim.server.counters().uploads_restarted, 0);
        sim.pass(Duration::from_secs(600));
        assert_eq!((sim.server.blockwise_bytes(), sim.server.open_exchanges()), (0, 0));
    }
}

#[test]
fn an_upload_and_a_download_at_once_share_the_window() {
    let times = (0..9).map(|seed| {
        let (mut sim, session) = link(seed, LINK);
        greet(&mut sim, session);
        let began = sim.now;
        let exchanges =
            [sim.request(session, put("media", body(100_000, 1))), sim.request(session, get("media"))];
        assert!(
            sim.run(Duration::from_secs(3600), |sim| exchanges.iter().all(|id| sim.results.contains_key(id)))
        );
        let [up, down] = exchanges.map(|id| (sim.finished[&id] - began).as_secs_f64() / least(100_000));
        assert!(sim.executed.iter().any(|executed| executed.body == body(100_000, 1)));
        assert!(sim.results[&exchanges[1]].as_ref().unwrap().body == body(100_000, 3));
        // Neither starves the other.
        assert!(up.max(down) < 2.0 * up.min(down), "{up:.2} {down:.2}");
        up.max(down)
    });
    let median = median(times.collect());
    println!("both at once: {median:.2} times the link's own time for one");
    assert!(median < 2.0, "{median}");
}

#[test]
fn small_requests_are_not_held_back_by_a_body() {
    let (mut sim, session) = link(1, Way { loss: 0.0, ..LINK });
    let upload = sim.request(session, put("media", body(300_000, 1)));
    sim.pass(Duration::from_secs(8));
    sim.answer = Box::new(|_| Answer::new(b"ok".to_vec()));
    for _ in 0..5 {
        let began = sim.now;
        sim.ask(session, get("small"));
        // A round trip and a queue of a few blocks.
        assert!(sim.now - began < Duration::from_millis(1500), "{:?}", sim.now - began);
        sim.pass(SECOND);
    }
    assert!(!sim.results.contains_key(&upload));
    run(&mut sim, upload);
}

#[test]
fn each_body_has_a_tag_of_its_own_and_says_how_far_it_is() {
    let (mut sim, session) = link(1, LINK);
    for number in 1..=3 {
        let exchange = sim.request(session, put("x", body(30_000, number)));
        assert_eq!(sim.client.progress(exchange), None);
        assert!(sim.run(Duration::from_secs(60), |sim| sim.client.progress(exchange).is_some()));
        let mut before = 0;
        while let Some(progress) = sim.client.progress(exchange) {
            assert_eq!((progress.direction, progress.total), (Direction::Upload, Some(30_000)));
            assert!((before..=30_000).contains(&progress.moved));
            before = progress.moved;
            sim.pass(100 * MS);
        }
        assert!(before > 15_000 && sim.results[&exchange].is_ok(), "{before}");
    }
    assert_eq!(tags(&sim), [1, 2, 3]);
    let path = sim.client.path(session).unwrap();
    assert!(path.window.unwrap() > 2 && path.blocks >= 3 * 28, "{path:?}");
}

/// Lets a body go up for a while, then makes the server lose it, and waits for the end.
fn lost_in_the_middle(method: Method, length: usize, after: Duration, seed: u64) -> (Sim, ExchangeId) {
    let limits = Limits { uploads_per_session: 1, ..Limits::default() };
    let way = Way { loss: 0.0, ..LINK };
    let mut sim = Sim::with(seed, Times::measured(), Times::measured(), limits).both_ways(way);
    let session = sim.open(1);
    greet(&mut sim, session);
    let request = Request { method, ..put("x", body(length, 1)) };
    let exchange = sim.request(session, request);
    sim.pass(after);
    assert!(sim.server.blockwise_bytes() > 1024 && sim.executed.is_empty());
    let lone = make(NON, PUT, 1).path("other").option(REQUEST_TAG, b"other").block(BLOCK1, 7, true, 16);
    let lone = lone.payload(&[0; 16]).token(b"other").bytes();
    sim.server.handle_message(sim.now, session, Network::alone(session.0), &lone);
    sim.settle();
    sim.run(Duration::from_secs(3600), |sim| sim.results.contains_key(&exchange));
    (sim, exchange)
}

#[test]
fn a_body_that_the_server_has_lost_goes_again_under_another_tag() {
    for (seed, seconds) in (0..5).flat_map(|seed| [1, 2, 3].map(|seconds| (seed, seconds))) {
        for method in [Method::Put, Method::Post] {
            let (sim, exchange) = lost_in_the_middle(method, 80_000, seconds * SECOND, seed);
            assert!(sim.results[&exchange].as_ref().unwrap().code.is_success(), "{method:?} {seed}");
            let bodies: Vec<_> = sim.executed.iter().map(|executed| executed.body.len()).collect();
            assert_eq!((bodies, tags(&sim).last()), (vec![80_000], Some(&2)), "{method:?} {seed}");
            assert_eq!(sim.client.counters().uploads_sent_again, 1);
        }
    }
}

#[test]
fn a_post_whose_last_block_has_gone_is_never_sent_again() {
    for seed in 0..5 {
        // Four blocks go at once, and three of them have arrived.
        for method in [Method::Put, Method::Post] {
            let (sim, exchange) = lost_in_the_middle(method, 4000, 600 * MS, seed);
            let is_post = method == Method::Post;
            let code = if is_post { Code::REQUEST_ENTITY_INCOMPLETE } else { Code::CONTENT };
            assert_eq!(sim.results[&exchange].as_ref().unwrap().code, code, "{method:?} {seed}");
            assert_eq!((tags(&sim).len(), sim.executed.len()), if is_post { (1, 0) } else { (2, 1) });
        }
    }
}

#[test]
fn a_path_that_becomes_narrow_gets_smaller_blocks_of_the_same_body() {
    for seed in 0..6 {
        let (mut sim, session) = link(seed, LINK);
        greet(&mut sim, session);
        let exchange = sim.request(session, put("x", body(60_000, 1)));
        sim.pass(3 * SECOND);
        sim.lose = Box::new(|to, bytes| to == To::Server && bytes.len() > 700);
        assert!(sim.run(Duration::from_secs(3600), |sim| sim.results.contains_key(&exchange)));
        assert!(sim.results[&exchange].is_ok(), "{:?}", sim.results);
        assert_eq!(sim.executed.len(), 1);
        assert!(sim.executed[0].body == body(60_000, 1));
        assert_eq!((tags(&sim).len(), sim.client.counters().paths_narrowed), (1, 1));
    }
}

#[test]
fn a_server_that_takes_less_is_not_asked_to_take_more() {
    let limits = Limits { upload: 10_000, ..Limits::default() };
    let mut sim = Sim::with(1, Times::measured(), Times::measured(), limits).both_ways(LINK);
    let session = sim.open(1);
    for _ in 0..2 {
        let response = sim.ask(session, put("x", body(50_000, 1)));
        assert_eq!(response.code, Code::REQUEST_ENTITY_TOO_LARGE);
        sim.pass(Duration::from_secs(30));
    }
    assert!(sim.executed.is_empty());
    // What had gone when the refusal came, and no more.
    assert!(blocks(&sim).len() < 20, "{}", blocks(&sim).len());
}

#[test]
fn what_has_been_sent_of_a_body_is_told_truly() {
    let (mut sim, session) = link(1, LINK);
    greet(&mut sim, session);
    let gone = sim.request(session, put("x", body(50_000, 1)));
    let exchanges: Vec<_> = (0..40).map(|n| sim.request(session, put("y", body(50_000, 2 + n)))).collect();
    sim.client.session_closed(sim.now, session);
    sim.settle();
    let paths = blocks(&sim);
    assert!(sim.sent_before_failing[&gone]);
    let sent = exchanges.iter().filter(|id| sim.sent_before_failing[id]).count();
    let mut seen: Vec<_> = paths.iter().filter_map(|got| got.number(REQUEST_TAG)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(1 + sent, seen.len());
    assert!(matches!(sim.results[&gone], Err(FailReason::SessionClosed)));
}

#[test]
fn block_0_carries_the_access_token_and_the_others_do_not() {
    let (mut sim, session) = link(3, Way { loss: 0.1, ..LINK });
    greet(&mut sim, session);
    let mut request = put("x", body(30_000, 1));
    request.options.authorization = Some("token".into());
    let exchange = sim.request(session, request);
    run(&mut sim, exchange);
    for got in blocks(&sim) {
        let is_first = got.block(BLOCK1).unwrap().0 == 0;
        assert_eq!((got.option(AUTHORIZATION).is_some(), got.kind()), (is_first, CON));
    }
    assert_eq!(sim.executed[0].options.authorization.as_deref(), Some("token"));
}

#[test]
fn an_upload_that_waits_for_its_answer_outlives_the_silence_of_another_body() {
    let (mut sim, session) = link(1, CLEAN);
    sim.answer = Box::new(|request| match request.method {
        Method::Get => Answer::new(body(100_000, 3)),
        _ => Answer::new(b"ok".to_vec()).after(400 * SECOND),
    });
    let upload = sim.request(session, post("media", body(20_000, 1)));
    sim.pass(200 * SECOND);
    let other = sim.request(session, get("x"));
    // A gap in the middle of the other body.
    sim.pass(100 * MS);
    (sim.up, sim.down) = (Way { loss: 1.0, ..CLEAN }, Way { loss: 1.0, ..CLEAN });
    sim.pass(10 * SECOND);
    (sim.up, sim.down) = (CLEAN, CLEAN);
    for exchange in [other, upload] {
        run(&mut sim, exchange);
    }
    assert!(sim.client.counters().blocks_asked_again > 0, "the other body has been probed for");
    assert_eq!(sim.results[&upload].as_ref().unwrap().body, b"ok");
}
