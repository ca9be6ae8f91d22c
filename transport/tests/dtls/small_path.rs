//! Handshakes on a path of 576 bytes, where datagrams of more than 548 are lost silently.

use crate::certificates::{Authority, identity, p256, rsa};
use crate::foreign::{Program, Socket, Way, drive, flush};
use crate::pair::{End, LATENCY, Pair, Sent, client_config};
use lowband_transport::dtls::{Config, Endpoint, Event, ServerIdentity};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::io::Write;
use std::ops::ControlFlow;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// UDP payload that the path takes.
const MOST: usize = 548;

/// Makes a chain like those of public authorities: three datagrams of 1232.
fn long_chain() -> ServerIdentity {
    let (authority, key) = (Authority::new(), p256());
    let mut chain = vec![authority.issue(&key)];
    chain.extend(vec![authority.certificate.clone(); 9]);
    identity(&chain, &key)
}

fn pair(identity: ServerIdentity) -> Pair {
    Pair::new(client_config(), Config { server: Some(identity), ..Config::default() })
}

fn passes(sent: &Sent) -> bool {
    sent.bytes.len() <= MOST
}

/// Returns a datagram without the numbers of its records.
fn without_numbers(datagram: &[u8]) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    let mut at = 0;
    while at + 13 <= bytes.len() {
        bytes[at + 3..at + 11].fill(0);
        at += 13 + usize::from(u16::from_be_bytes([bytes[at + 11], bytes[at + 12]]));
    }
    bytes
}

#[test]
fn the_third_repeat_of_a_flight_comes_in_datagrams_that_pass() {
    for identity in [Authority::new().identity(&rsa()), long_chain()] {
        let mut pair = pair(identity);
        pair.link = Box::new(|sent| if passes(sent) { vec![LATENCY] } else { vec![] });
        pair.connect();
        pair.run_for(Duration::from_secs(9));
        assert!(matches!(pair.client_events[..], [Event::Connected { .. }]), "{:?}", pair.client_events);
        let counters = pair.server.counters();
        assert_eq!((counters.flights_repeated, counters.flights_recut), (3, 1));

        // Leaves out HelloVerifyRequests and the last flight.
        let sent: Vec<_> =
            pair.trace.iter().filter(|sent| sent.from == End::Server && sent.bytes.len() > 150).collect();
        let flights: Vec<_> = sent.chunk_by(|a, b| a.at == b.at).collect();
        let [first, second, third, small] = flights[..] else { panic!("{}", flights.len()) };
        let bytes = |flight: &[&Sent]| flight.iter().map(|s| without_numbers(&s.bytes)).collect::<Vec<_>>();
        assert!(bytes(first) == bytes(second) && bytes(first) == bytes(third), "byte for byte");
        assert!(first.iter().any(|sent| !passes(sent)) && small.iter().all(|sent| passes(sent)));
    }
}

#[test]
fn a_small_path_that_loses_30_percent_besides_lets_nearly_all_handshakes_through() {
    const SEEDS: u64 = 100;
    let mut finished = 0;
    for seed in 0..SEEDS {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut pair = pair(Authority::new().identity(&rsa()));
        pair.link = Box::new(
            move |sent| {
                if passes(sent) && rng.next_u32() % 100 >= 30 { vec![LATENCY] } else { vec![] }
            },
        );
        pair.connect();
        pair.run_for(Duration::from_secs(61));
        finished += u64::from(matches!(pair.client_events[..], [Event::Connected { .. }]));
    }
    assert!(finished >= SEEDS * 9 / 10, "{finished} of {SEEDS}");
}

/// Lets a program say a line over a lossy socket. On a small path gnutls-cli needs the small datagrams
/// twice: 20 seconds.
fn is_served(program: &str, arguments: &[&str], socket: &Socket) {
    let mut endpoint =
        Endpoint::new(Config { server: Some(long_chain()), ..Config::default() }, [3; 32]).unwrap();
    let port = socket.udp.local_addr().unwrap().port().to_string();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.replace("{port}", &port)).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut program = Program::start(program, &arguments, Stdio::null());
    let mut input = program.input();
    input.write_all(b"hello\n").unwrap();
    drive(&mut endpoint, socket, |_, event| match event {
        Event::Data { bytes, .. } => {
            assert_eq!(bytes, b"hello\n");
            ControlFlow::Break(())
        }
        Event::Connected { .. } => ControlFlow::Continue(()),
        other => panic!("{other:?}"),
    });
    let now = Instant::now();
    endpoint.session_ids().into_iter().for_each(|session| endpoint.close(now, session));
    flush(&mut endpoint, socket);
}

const S_CLIENT: [&str; 6] = ["s_client", "-dtls1_2", "-quiet", "-no_ign_eof", "-connect", "127.0.0.1:{port}"];
const GNUTLS: [&str; 5] = ["--udp", "--insecure", "--port", "{port}", "127.0.0.1"];

#[test]
fn s_client_and_gnutls_cli_come_through_a_small_path() {
    std::thread::scope(|scope| {
        for (program, arguments) in [("openssl", &S_CLIENT[..]), ("gnutls-cli", &GNUTLS)] {
            scope.spawn(|| {
                is_served(program, arguments, &Socket::losing(Box::new(|_, bytes| bytes.len() > MOST)))
            });
        }
    });
}

/// Loses one of the datagrams of the server's flight three times, and nothing else: the first part of its
/// content that arrives is cut in another way than all that has arrived before.
fn losing_three_times(which: usize) -> Socket {
    let mut sent = Vec::new();
    let mut left = 3;
    Socket::losing(Box::new(move |way, bytes| {
        if way == Way::In {
            return false;
        }
        sent.push(without_numbers(bytes));
        // The first datagram is the HelloVerifyRequest.
        let is_it = sent.get(1 + which) == sent.last() && left > 0;
        left -= u32::from(is_it);
        is_it
    }))
}

#[test]
fn s_client_and_gnutls_cli_join_what_arrives_of_both_cuts() {
    std::thread::scope(|scope| {
        for (program, arguments) in [("openssl", &S_CLIENT[..]), ("gnutls-cli", &GNUTLS)] {
            for which in 0..3 {
                scope.spawn(move || {
                    let socket = losing_three_times(which);
                    is_served(program, arguments, &socket);
                    let sent = socket.sent.borrow();
                    let is_cut_anew = |bytes: &&Vec<u8>| bytes.len() > MOST - 64 && bytes.len() <= MOST;
                    assert!(sent.iter().any(|bytes| is_cut_anew(&bytes)));
                });
            }
        }
    });
}
