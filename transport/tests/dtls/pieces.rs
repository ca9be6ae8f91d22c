//! ClientHellos in pieces: any cuts, any faults of the link, and any way in which a client abuses the right
//! to send them.

use crate::certificates::p256;
use crate::foreign::{Program, Socket, Way, drive, echo_with_s_client, server};
use crate::pair::{End, LATENCY, Pair, client_config, data, oddities, server_config};
use lowband_transport::dtls::{Config, Endpoint, Event, Limits};
use std::io::Write;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::process::Stdio;
use std::time::Duration;

/// Bytes of the headers of the record and of the message.
const HEADERS: usize = 13 + 12;
/// Bytes of version, random, an empty session id, and a cookie of ours.
const UP_TO_THE_COOKIE: usize = 2 + 32 + 1 + 1 + 8;

/// Makes a datagram of the bytes `from..to` of a whole hello.
fn piece(hello: &[u8], from: usize, to: usize) -> Vec<u8> {
    let u24 = |value: usize| [(value >> 16) as u8, (value >> 8) as u8, value as u8];
    let mut bytes = hello[..HEADERS].to_vec();
    bytes[11..13].copy_from_slice(&((12 + to - from) as u16).to_be_bytes());
    bytes[19..22].copy_from_slice(&u24(from));
    bytes[22..25].copy_from_slice(&u24(to - from));
    bytes.extend(&hello[HEADERS + from..HEADERS + to]);
    bytes
}

/// Cuts a hello into pieces of `first` bytes and then `more` each.
fn pieces(hello: &[u8], first: usize, more: usize) -> Vec<Vec<u8>> {
    let length = hello.len() - HEADERS;
    let mut cuts = vec![0];
    cuts.extend((first..length).step_by(more));
    cuts.push(length);
    cuts.windows(2).map(|cut| piece(hello, cut[0], cut[1])).collect()
}

/// Makes a pair whose client has sent its second hello, with the cookie; neither that nor a repeat
/// arrives. Returns it.
fn before_the_second_hello() -> (Pair, Vec<u8>) {
    before_the_second_hello_with(Limits::default())
}

fn before_the_second_hello_with(limits: Limits) -> (Pair, Vec<u8>) {
    let mut pair = Pair::new(client_config(), Config { limits, ..server_config() });
    pair.link = Box::new(|sent| {
        let is_hello = sent.from == End::Client && sent.bytes[13] == 1 && sent.bytes[3..5] == [0, 0];
        if is_hello && sent.number > 0 { vec![] } else { vec![LATENCY] }
    });
    pair.connect();
    pair.run_for(LATENCY * 2);
    let hello = pair.trace.last().unwrap().bytes.clone();
    assert_eq!((pair.trace.len(), &hello[HEADERS + 35..HEADERS + 36]), (3, &[8][..]), "a cookie of 8 bytes");
    (pair, hello)
}

/// Returns whether the handshake goes on from here and a message comes through.
fn finishes(pair: &mut Pair) -> bool {
    pair.run_for(LATENCY * 5);
    let [Event::Connected { session, .. }] = pair.client_events[..] else { return false };
    pair.client.send(pair.now, session, b"hello").unwrap();
    pair.run_for(LATENCY);
    data(&pair.server_events) == [b"hello"]
}

#[test]
fn a_hello_cut_in_two_at_any_byte_behind_the_cookie_begins_a_handshake() {
    let length = before_the_second_hello().1.len() - HEADERS;
    for cut in 1..length {
        let (mut pair, hello) = before_the_second_hello();
        for piece in pieces(&hello, cut, length) {
            pair.inject(End::Server, &piece);
        }
        let counters = *pair.server.counters();
        if cut < UP_TO_THE_COOKIE {
            assert_eq!((counters.hellos_malformed, counters.hello_pieces_unknown), (1, 1), "cut at {cut}");
            assert_eq!((counters.half_open, counters.hellos_gathering), (0, 0), "cut at {cut}");
        } else {
            assert_eq!(
                (counters.half_open, oddities(&counters)),
                (1, vec![("hellos_fragmented", 1)]),
                "{cut}"
            );
            assert!(finishes(&mut pair), "cut at {cut}");
        }
    }
}

#[test]
fn the_first_hello_is_answered_by_its_first_piece_alone_and_nothing_is_kept() {
    let mut pair = Pair::default();
    pair.link = Box::new(|sent| if sent.from == End::Client { vec![] } else { vec![LATENCY] });
    pair.connect();
    pair.run_for(Duration::ZERO);
    let hello = pair.trace[0].bytes.clone();
    let pieces = pieces(&hello, 60, 20);
    for piece in pieces.iter().rev() {
        pair.inject(End::Server, piece);
    }
    let answers = pair.trace.iter().filter(|sent| sent.from == End::Server).map(|sent| sent.bytes.len());
    assert_eq!(answers.collect::<Vec<_>>(), [36]);
    assert_eq!(oddities(pair.server.counters()), [("hello_pieces_unknown", pieces.len() as u64 - 1)]);
    assert_eq!(pair.server.poll_timeout(), None);
    // The client accepts the answer.
    pair.run_for(LATENCY);
    assert_eq!(pair.trace.last().unwrap().from, End::Client);
}

#[test]
fn pieces_may_be_tiny_doubled_backwards_overlapping_and_many_in_one_datagram() {
    type Deal = fn(&[u8]) -> Vec<Vec<u8>>;
    let deals: [(&str, Deal); 6] = [
        ("byte by byte", |hello| pieces(hello, UP_TO_THE_COOKIE, 1)),
        ("each one twice", |hello| pieces(hello, 50, 7).into_iter().flat_map(|p| [p.clone(), p]).collect()),
        ("the rest backwards", |hello| {
            let mut pieces = pieces(hello, 50, 7);
            pieces[1..].reverse();
            pieces
        }),
        ("overlapping", |hello| {
            let length = hello.len() - HEADERS;
            let more = (50..length).step_by(5).map(|at| piece(hello, at - 20, (at + 10).min(length)));
            std::iter::once(piece(hello, 0, 50)).chain(more).collect()
        }),
        ("all in one datagram", |hello| vec![pieces(hello, 50, 7).concat()]),
        ("empty ones between", |hello| {
            pieces(hello, 50, 7).into_iter().flat_map(|p| [p, piece(hello, 60, 60)]).collect()
        }),
    ];
    for (what, deal) in deals {
        let (mut pair, hello) = before_the_second_hello();
        for piece in deal(&hello) {
            pair.inject(End::Server, &piece);
        }
        assert_eq!(pair.server.counters().hellos_fragmented, 1, "{what}");
        assert!(finishes(&mut pair), "{what}");
    }
}

#[test]
fn what_was_lost_comes_with_the_repeat_of_the_flight() {
    let count = pieces(&before_the_second_hello().1, 50, 20).len();
    for lost in 0..count {
        let (mut pair, hello) = before_the_second_hello();
        for (at, piece) in pieces(&hello, 50, 20).iter().enumerate() {
            if at != lost {
                pair.inject(End::Server, piece);
            }
        }
        assert_eq!(pair.server.counters().half_open, 0, "{lost} is missing");
        pair.run_for(Duration::from_secs(1));
        // The hello comes in other pieces and under other numbers, as of a client that has learnt of a
        // smaller MTU.
        let again = pair.trace.last().unwrap().bytes.clone();
        assert_ne!(again[5..11], hello[5..11]);
        for piece in pieces(&again, 45, 33) {
            pair.inject(End::Server, &piece);
        }
        assert_eq!(pair.server.counters().hellos_fragmented, 1, "{lost} was missing");
        assert!(finishes(&mut pair), "{lost} was missing");
    }
}

#[test]
fn the_first_piece_of_a_hello_that_has_been_answered_brings_the_flight_again() {
    let (mut pair, hello) = before_the_second_hello();
    for piece in pieces(&hello, 50, 20) {
        pair.inject(End::Server, &piece);
    }
    for piece in pieces(&hello, 50, 20) {
        pair.inject(End::Server, &piece);
    }
    let counters = pair.server.counters();
    assert_eq!((counters.flights_repeated, counters.hellos_fragmented, counters.half_open), (1, 1, 1));
    assert!(finishes(&mut pair));
    pair.inject(End::Server, &piece(&hello, 0, 50));
    assert_eq!(pair.server.counters().hellos_repeated, 1);
}

#[test]
fn a_client_that_begins_anew_gives_up_what_was_gathered() {
    // A hello in pieces is ended by a whole hello, or by the first piece of another one.
    for whole in [true, false] {
        let (mut pair, hello) = before_the_second_hello();
        pair.inject(End::Server, &piece(&hello, 0, 50));
        assert_eq!(pair.server.counters().hellos_gathering, 1);
        pair.client = Endpoint::new(client_config(), [9; 32]).unwrap();
        pair.trace.clear();
        pair.link = Box::new(move |sent| {
            if sent.from == End::Client && sent.number == 1 && !whole { vec![] } else { vec![LATENCY] }
        });
        pair.connect();
        pair.run_for(LATENCY * 2);
        if !whole {
            let second = pair.trace.last().unwrap().bytes.clone();
            for piece in pieces(&second, 50, 20) {
                pair.inject(End::Server, &piece);
            }
        }
        assert!(finishes(&mut pair), "whole: {whole}");
        let counters = pair.server.counters();
        assert_eq!((counters.hello_pieces_missing, counters.hellos_gathering), (1, 0), "whole: {whole}");
    }
}

#[test]
fn a_server_that_is_about_to_end_finishes_what_it_has_begun_and_refuses_what_comes_new() {
    let (mut pair, hello) = before_the_second_hello();
    pair.inject(End::Server, &piece(&hello, 0, 50));
    pair.server.stop_accepting();
    assert_eq!(greedy(&mut pair, ([203, 0, 113, 1], 1000).into()).unwrap()[13..], [2, 80]);
    for piece in pieces(&hello, 50, 20) {
        pair.inject(End::Server, &piece);
    }
    // The server's flight was lost, or is late.
    pair.inject(End::Server, &piece(&hello, 0, 50));
    let counters = pair.server.counters();
    assert_eq!((counters.flights_repeated, counters.hellos_not_accepting), (1, 1));
    assert!(finishes(&mut pair));
}

#[test]
fn a_hello_that_breaks_the_format_once_it_is_whole_is_refused() {
    let (mut pair, mut hello) = before_the_second_hello();
    // Changes the length of the list of suites.
    hello[HEADERS + UP_TO_THE_COOKIE + 1] += 1;
    for piece in pieces(&hello, 50, 20) {
        pair.inject(End::Server, &piece);
    }
    assert_eq!(pair.trace.last().unwrap().bytes[13..], [2, 50], "decode_error");
    let counters = pair.server.counters();
    assert_eq!((counters.hellos_malformed, counters.hellos_gathering, counters.half_open), (1, 0, 0));
}

#[test]
fn a_hello_that_claims_too_much_is_refused_before_anything_is_kept() {
    let length = before_the_second_hello().1.len() - HEADERS;
    for (limit, refused) in [(length.max(256), false), (256, true)] {
        let (mut pair, mut hello) =
            before_the_second_hello_with(Limits { hello: limit, ..Limits::default() });
        if refused {
            hello[14..17].copy_from_slice(&[0, 1, 1]);
        }
        pair.inject(End::Server, &piece(&hello, 0, 50));
        let counters = pair.server.counters();
        assert_eq!(
            (counters.hellos_over_length, counters.hellos_gathering),
            (u64::from(refused), u64::from(!refused))
        );
        if refused {
            assert_eq!(pair.trace.last().unwrap().bytes[13..], [2, 80], "internal_error");
        }
    }
}

/// Sends the first piece, with a cookie, of a client at `address`, again if it is not answered, and no more.
/// Returns the answer.
fn greedy(pair: &mut Pair, address: SocketAddr) -> Option<Vec<u8>> {
    let mut client = Endpoint::new(client_config(), [7; 32]).unwrap();
    client.connect(pair.now, End::Server.address(), "server.test").unwrap();
    let hello = client.poll_transmit().unwrap().bytes;
    pair.server.handle_datagram(pair.now, address, None, &hello);
    let answer = pair.server.poll_transmit().unwrap().bytes;
    client.handle_datagram(pair.now, End::Server.address(), None, &answer);
    let hello = client.poll_transmit().unwrap().bytes;
    pair.server.handle_datagram(pair.now, address, None, &piece(&hello, 0, 50));
    if let Some(at_once) = pair.server.poll_transmit() {
        return Some(at_once.bytes);
    }
    client.handle_timeout(pair.now + Duration::from_secs(1));
    let hello = client.poll_transmit().unwrap().bytes;
    pair.server.handle_datagram(pair.now, address, None, &piece(&hello, 0, 50));
    pair.server.poll_transmit().map(|transmit| transmit.bytes)
}

#[test]
fn a_greedy_neighbour_gets_the_places_of_one_address_and_for_a_minute() {
    let limits = Limits { half_open_per_address: 3, half_open: 5, ..Limits::default() };
    let mut pair = Pair::with_limits(limits);
    let at = |site, port| -> SocketAddr { ([203, 0, site, 1], port).into() };
    for port in 0..10 {
        assert_eq!(greedy(&mut pair, at(1, 1000 + port)), None);
    }
    let counters = pair.server.counters();
    assert_eq!((counters.hellos_gathering, counters.handshakes_evicted), (3, 7));
    // Another client is served, with and without pieces.
    assert_eq!(greedy(&mut pair, at(2, 1000)), None);
    pair.establish();
    // At most five are gathered in all.
    assert_eq!(greedy(&mut pair, at(3, 1000)), None);
    assert_eq!(greedy(&mut pair, at(4, 1000)), None);
    assert_eq!(pair.server.counters().handshakes_evicted, 8);

    pair.run_for(Duration::from_secs(58));
    assert_eq!(pair.server.counters().hellos_gathering, 5);
    pair.run_for(Duration::from_secs(3));
    let counters = pair.server.counters();
    assert_eq!((counters.hellos_gathering, counters.hello_pieces_missing), (0, 5));
    for port in 0..3 {
        assert_eq!(greedy(&mut pair, at(1, 2000 + port)), None);
    }
}

#[test]
fn a_datagram_of_many_first_pieces_without_cookie_is_answered_once() {
    let mut pair = Pair::default();
    pair.link = Box::new(|_| vec![]);
    pair.connect();
    pair.run_for(Duration::ZERO);
    let first = piece(&pair.trace[0].bytes, 0, 40);
    pair.inject(End::Server, &first.repeat(200));
    assert_eq!(pair.trace.iter().filter(|sent| sent.from == End::Server).count(), 1);
}

#[test]
fn our_own_client_and_server_do_with_the_smallest_mtu_and_the_longest_name() {
    let mut pair = Pair::with_limits(Limits { mtu: 256, ..Limits::default() });
    let name = format!("{}{}", "sixteen-letters.".repeat(15), "server.test");
    pair.client.connect(pair.now, End::Server.address(), &name).unwrap();
    pair.run_for(Duration::from_secs(1));
    assert!(matches!(pair.client_events[..], [Event::Connected { .. }]), "{:?}", pair.client_events);
    assert_eq!(pair.server.counters().hellos_fragmented, 1);
    assert!(pair.trace.iter().all(|sent| sent.bytes.len() <= 256));
}

/// GnuTLS, whose hello is in pieces only once the cookie has made it longer.
#[test]
fn gnutls_cli_finishes_with_its_second_hello_in_pieces() {
    let mut endpoint = server(&p256(), Limits::default());
    let socket = Socket::new(None);
    let port = socket.udp.local_addr().unwrap().port().to_string();
    let arguments = ["--udp", "--insecure", "--mtu", "220", "--port", &port, "127.0.0.1"];
    let mut program = Program::start("gnutls-cli", &arguments, Stdio::null());
    program.input().write_all(b"hello\n").unwrap();
    drive(&mut endpoint, &socket, |_, event| match event {
        Event::Data { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    let counters = endpoint.counters();
    assert_eq!((counters.hellos_fragmented, counters.hello_pieces_unknown), (1, 0));
}

/// An MTU that OpenSSL's client takes, and a hello that does not fit.
const IN_PIECES: [&str; 6] = [
    "-mtu",
    "256",
    "-servername",
    "some.long.host.name.example.org",
    "-alpn",
    "proto00,proto01,proto02,proto03,proto04,proto05,proto06,proto07,proto08,proto09,proto10,proto11",
];

#[test]
fn s_client_finishes_with_its_hello_in_pieces_whatever_one_datagram_is_lost() {
    std::thread::scope(|scope| {
        let numbers = (0..5).map(|number| Some((Way::In, number)));
        let answers = (0..3).map(|number| Some((Way::Out, number)));
        for lost in numbers.chain(answers).chain([None]) {
            scope.spawn(move || echo_with_s_client(&p256(), Limits::default(), &IN_PIECES, lost));
        }
    });
}
