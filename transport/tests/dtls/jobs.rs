//! Costly steps that are handed out: sessions do not wait for them, what comes in the meantime does, and
//! nothing is left behind.

use crate::pair::{End, LATENCY, Pair, client_config, data, oddities, server_config};
use lowband_transport::dtls::{Config, Endpoint, Event, Job, Limits};
use std::net::SocketAddr;
use std::time::Duration;

fn deferring(limits: Limits) -> Pair {
    let client = Config { limits: limits.clone(), ..client_config() };
    Pair::new(client, Config { limits, deferred: true, ..server_config() })
}

fn jobs(pair: &mut Pair) -> Vec<Job> {
    std::iter::from_fn(|| pair.server.poll_job()).collect()
}

/// Runs the jobs that there are, in another thread. Returns their number.
fn run_jobs(pair: &mut Pair) -> usize {
    let jobs = jobs(pair);
    let count = jobs.len();
    for job in jobs {
        let done = std::thread::spawn(move || job.run()).join().unwrap();
        pair.server.handle_done(pair.now, done);
    }
    count
}

/// Lets time pass, with a look at the jobs every ten milliseconds.
fn run_with_jobs(pair: &mut Pair, time: Duration) -> usize {
    const STEP: Duration = Duration::from_millis(10);
    (0..time.as_millis() / STEP.as_millis())
        .map(|_| {
            pair.run_for(STEP);
            run_jobs(pair)
        })
        .sum()
}

/// Sends a hello with its cookie from another address; the server's answer is lost.
fn half_open(pair: &mut Pair, address: SocketAddr) -> Vec<u8> {
    let mut client = Endpoint::new(client_config(), [7; 32]).unwrap();
    client.connect(pair.now, End::Server.address(), "server.test").unwrap();
    let first = client.poll_transmit().unwrap().bytes;
    pair.server.handle_datagram(pair.now, address, None, &first);
    let verify = pair.server.poll_transmit().unwrap().bytes;
    client.handle_datagram(pair.now, End::Server.address(), None, &verify);
    let hello = client.poll_transmit().unwrap().bytes;
    pair.server.handle_datagram(pair.now, address, None, &hello);
    hello
}

fn stranger(last: u8) -> SocketAddr {
    ([203, 0, last, 1], 1000).into()
}

#[test]
fn a_handshake_has_two_of_them_and_a_session_that_lives_waits_for_none() {
    let mut pair = deferring(Limits::default());
    let client = pair.connect();
    assert_eq!(run_with_jobs(&mut pair, Duration::from_secs(1)), 2);
    assert!(matches!(pair.client_events[..], [Event::Connected { session, .. }] if session == client));
    pair.client.send(pair.now, client, b"ping").unwrap();
    pair.run_for(LATENCY);
    pair.clear();

    half_open(&mut pair, stranger(1));
    assert_eq!(pair.server.counters().half_open, 1);
    assert!(pair.server.poll_transmit().is_none(), "its flight has not been made");
    pair.client.send(pair.now, client, b"ping").unwrap();
    pair.run_for(LATENCY);
    assert_eq!(data(&pair.server_events), [b"ping"]);
    let [job] = <[Job; 1]>::try_from(jobs(&mut pair)).unwrap();
    pair.server.handle_done(pair.now, job.run());
    let flight = pair.server.poll_transmit().unwrap();
    assert!(flight.peer == stranger(1) && flight.bytes.len() > 500);
}

#[test]
fn what_comes_while_a_job_is_run_waits_for_it() {
    let mut pair = deferring(Limits::default());
    pair.connect();
    pair.run_for(LATENCY * 4);
    // The hello comes again, as after a second: it counts as one hello.
    let hello = pair.trace.iter().rfind(|sent| sent.from == End::Client).unwrap().bytes.clone();
    pair.inject(End::Server, &hello);
    assert_eq!(run_jobs(&mut pair), 1);
    pair.run_for(LATENCY * 2);
    assert_eq!(pair.server.counters().handshakes, 0, "key exchange, ChangeCipherSpec and Finished are there");
    let answer: Vec<_> = pair.trace.iter().filter(|sent| sent.from == End::Client).skip(2).collect();
    let answer: Vec<_> = answer.into_iter().map(|sent| sent.bytes.clone()).collect();
    for datagram in &answer {
        pair.inject(End::Server, datagram);
    }
    assert_eq!(run_jobs(&mut pair), 1);
    assert_eq!(pair.server.counters().handshakes, 1);
    pair.run_for(LATENCY);
    assert!(matches!(pair.client_events[..], [Event::Connected { .. }]));
}

#[test]
fn a_hello_that_finds_the_queue_full_is_served_when_it_comes_again() {
    let mut pair = deferring(Limits { waiting_hellos: 1, ..Limits::default() });
    half_open(&mut pair, stranger(1));
    pair.connect();
    pair.run_for(LATENCY * 4);
    assert_eq!(oddities(pair.server.counters()), [("hellos_over_queue", 1)]);
    assert_eq!(jobs(&mut pair).len(), 1);
    run_with_jobs(&mut pair, Duration::from_secs(2));
    assert!(matches!(pair.client_events[..], [Event::Connected { .. }]), "{:?}", pair.client_events);
}

#[test]
fn what_nobody_needs_any_more_is_not_handed_out_and_comes_back_to_nobody() {
    let limits = Limits { half_open: 1, half_open_per_address: 1, ..Limits::default() };
    let mut pair = deferring(limits.clone());
    half_open(&mut pair, stranger(1));
    let [late] = <[Job; 1]>::try_from(jobs(&mut pair)).unwrap();
    half_open(&mut pair, stranger(2));
    half_open(&mut pair, stranger(3));
    assert_eq!(jobs(&mut pair).len(), 1, "that of the one that has the place");
    pair.server.handle_done(pair.now, late.run());
    assert!(pair.server.poll_transmit().is_none());
    assert_eq!(oddities(pair.server.counters()), [("handshakes_evicted", 2)]);
    // The last one is never run: its handshake times out, without a message.
    pair.now += limits.handshake;
    pair.server.handle_timeout(pair.now);
    assert!(pair.server.poll_transmit().is_none() && pair.server.poll_timeout().is_none());
    assert_eq!((pair.server.counters().half_open, pair.server.counters().handshakes_timed_out), (0, 1));
}

#[test]
fn an_answer_right_behind_its_hello_is_a_job_too() {
    let mut pair = deferring(Limits::default());
    half_open(&mut pair, stranger(1));
    let [hello] = <[Job; 1]>::try_from(jobs(&mut pair)).unwrap();
    // Type, length, message_seq, fragment offset and length; a point of 65 bytes that is on no curve.
    let key_exchange = [&[16, 0, 0, 66, 0, 2, 0, 0, 0, 0, 0, 66][..], &[65, 4], &[0; 64]].concat();
    let record = |content_type: u8, sequence: u8, fragment: &[u8]| {
        let length = fragment.len() as u8;
        [&[content_type, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence, 0, length][..], fragment].concat()
    };
    let datagram = [record(22, 9, &key_exchange), record(20, 10, &[1])].concat();
    pair.server.handle_datagram(pair.now, stranger(1), None, &datagram);
    pair.server.handle_done(pair.now, hello.run());
    assert!(pair.server.poll_transmit().unwrap().bytes.len() > 500, "the flight");
    assert_eq!(oddities(pair.server.counters()), [], "nothing is computed here");
    let [answer] = <[Job; 1]>::try_from(jobs(&mut pair)).unwrap();
    pair.server.handle_done(pair.now, answer.run());
    assert_eq!(oddities(pair.server.counters()), [("handshakes_failed", 1)]);
}
