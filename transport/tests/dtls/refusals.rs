//! No proven hello meets silence: the table in `src/dtls/front.rs`. A client that is refused gives up at
//! once, be it ours or another project's, and can fall back to HTTPS.

use crate::certificates::p256;
use crate::foreign::{Program, Socket, server, until};
use crate::pair::{End, LATENCY, Pair, client_config, oddities};
use lowband_transport::dtls::{CloseReason, Endpoint, Event, HandshakeFailure, Limits};
use lowband_transport::shares::Limit;
use std::process::Stdio;
use std::time::Duration;

/// Prepares the server of a pair so that it refuses the next client.
type Prepare = fn(&mut Pair);

#[test]
fn a_proven_client_that_cannot_be_served_is_told_so_at_once() {
    fn one_session(pair: &mut Pair) {
        let mut other = Endpoint::new(client_config(), [7; 32]).unwrap();
        other.connect(pair.now, End::Server.address(), "server.test").unwrap();
        let address = "203.0.113.1:1000".parse().unwrap();
        for _ in 0..2 {
            let hello = other.poll_transmit().unwrap().bytes;
            pair.server.handle_datagram(pair.now, address, None, &hello);
            let answer = pair.server.poll_transmit().unwrap().bytes;
            other.handle_datagram(pair.now, End::Server.address(), None, &answer);
        }
        assert_eq!(pair.server.counters().half_open, 1);
    }
    fn drain(pair: &mut Pair) {
        pair.server.stop_accepting();
    }
    let one = |limits: Limits| limits;
    let rows: [(&str, Limits, Prepare); 2] = [
        ("hellos_over_sessions", one(Limits { sessions: 1, ..Limits::default() }), one_session),
        ("hellos_not_accepting", Limits::default(), drain),
    ];
    for (counter, limits, prepare) in rows {
        let mut pair = Pair::with_limits(limits);
        prepare(&mut pair);
        let started = pair.now;
        pair.connect();
        pair.run_for(LATENCY * 4);
        let [Event::Closed { why: why @ CloseReason::Refused, .. }] = &pair.client_events[..] else {
            panic!("{counter}: {:?}", pair.client_events)
        };
        assert!(why.to_string().contains("alert internal error"), "{counter}: {why}");
        assert_eq!(pair.trace.last().unwrap().bytes.len(), 15);
        assert!(pair.trace.iter().all(|sent| pair.start + sent.at <= started + LATENCY * 3));
        assert!(oddities(pair.server.counters()).contains(&(counter, 1)), "{:?}", pair.server.counters());
    }
}

#[test]
fn an_alert_in_a_handshake_is_told_by_its_number() {
    let alert = |description| [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, description];
    for (description, words) in [(40, "handshake failure"), (70, "protocol version"), (48, "unknown ca")] {
        let mut pair = Pair::default();
        pair.link = Box::new(|_| vec![]);
        let session = pair.connect();
        pair.run_for(LATENCY);
        pair.inject(End::Client, &alert(description));
        let [Event::Closed { session: gone, why: CloseReason::Handshake(why) }] = &pair.client_events[..]
        else {
            panic!("{:?}", pair.client_events)
        };
        assert_eq!(*gone, session);
        assert!(
            matches!(why, HandshakeFailure::Alert { description: told, .. } if *told == description),
            "{why:?}"
        );
        assert!(why.to_string().contains(words), "{why}");
        assert_eq!(pair.client.counters().handshakes_refused, 1);
    }
}

/// The rates may have a token again within seconds.
#[test]
fn a_hello_that_finds_no_token_is_told_so_when_it_comes_for_the_fourth_time() {
    let one = Limit { per_second: 1, burst: 1 };
    let rows = [
        Limits { handshakes: one, ..Limits::default() },
        Limits { handshakes_per_address: one, ..Limits::default() },
    ];
    for limits in rows {
        let mut pair = Pair::with_limits(limits);
        let address = |port| ([203, 0, 113, 1], port).into();
        let mut first = Endpoint::new(client_config(), [7; 32]).unwrap();
        let mut second = Endpoint::new(client_config(), [8; 32]).unwrap();
        let say = |pair: &mut Pair, client: &mut Endpoint, port| {
            let hello = client.poll_transmit().unwrap().bytes;
            pair.server.handle_datagram(pair.now, address(port), None, &hello);
            pair.server.poll_transmit().map(|answer| answer.bytes)
        };
        for (client, port) in [(&mut first, 1), (&mut second, 2)] {
            client.connect(pair.now, End::Server.address(), "server.test").unwrap();
            let verify = say(&mut pair, client, port).unwrap();
            client.handle_datagram(pair.now, End::Server.address(), None, &verify);
        }
        assert!(say(&mut pair, &mut first, 1).is_some(), "it has the token");
        assert_eq!(say(&mut pair, &mut second, 2), None);
        for seconds in [1, 3] {
            second.handle_timeout(pair.now + Duration::from_secs(seconds));
            assert_eq!(say(&mut pair, &mut second, 2), None);
        }
        second.handle_timeout(pair.now + Duration::from_secs(7));
        assert_eq!(say(&mut pair, &mut second, 2).unwrap()[13..], [2, 80]);
        assert_eq!(oddities(pair.server.counters()), [("hellos_over_rate", 4)]);
    }
}

#[test]
fn whoever_has_not_proved_its_address_is_never_told_of_limits() {
    let mut pair = Pair::with_limits(Limits { half_open: 1, ..Limits::default() });
    pair.server.stop_accepting();
    pair.link = Box::new(|_| vec![]);
    pair.connect();
    pair.run_for(Duration::ZERO);
    let hello = pair.trace[0].bytes.clone();
    for _ in 0..50 {
        pair.inject(End::Server, &hello);
    }
    let answers = || pair.trace.iter().filter(|sent| sent.from == End::Server);
    assert!(answers().all(|sent| sent.bytes[13] == 3), "HelloVerifyRequests");
    assert_eq!((answers().count(), pair.server.counters().hellos_not_accepting), (50, 0));
}

/// Some clients believe an alert that nothing vouches for.
#[test]
fn a_hello_of_an_old_version_with_the_address_of_a_client_on_it_does_not_reach_that_client() {
    let old = |hello: &[u8]| {
        let mut hello = hello.to_vec();
        hello[26] = 0xff;
        hello
    };
    let mut stranger = Endpoint::new(client_config(), [7; 32]).unwrap();
    let (mut pair, _, _) = Pair::connected();
    stranger.connect(pair.now, End::Server.address(), "server.test").unwrap();
    let hello = stranger.poll_transmit().unwrap().bytes;
    pair.inject(End::Server, &old(&hello));
    assert_eq!((pair.trace.len(), pair.server.counters().hellos_old_version), (0, 1), "a session");

    let mut pair = Pair::default();
    pair.inject(End::Server, &old(&hello));
    assert_eq!(pair.trace[0].bytes[13..], [2, 70], "nobody is there");

    let mut pair = Pair::default();
    pair.connect();
    pair.run_for(LATENCY * 3);
    let sent = pair.trace.len();
    pair.inject(End::Server, &old(&hello));
    assert_eq!((pair.trace.len(), pair.server.counters().half_open), (sent, 1), "a handshake");
    pair.run_for(LATENCY * 4);
    assert!(matches!(pair.client_events[..], [Event::Connected { .. }]));
}

#[test]
fn an_endpoint_that_never_accepts_says_nothing() {
    let (mut pair, _, _) = Pair::connected();
    let mut other = Endpoint::new(client_config(), [7; 32]).unwrap();
    other.connect(pair.now, End::Client.address(), "client.test").unwrap();
    let hello = other.poll_transmit().unwrap().bytes;
    pair.inject(End::Client, &hello);
    assert_eq!((pair.trace.len(), pair.client.counters().hellos_not_accepting), (0, 1));
}

/// Returns what a foreign client prints at its end, after this many refusals.
fn refused(program: &str, arguments: &[&str], limits: Limits, draining: bool, times: u64) -> String {
    let mut endpoint = server(&p256(), limits);
    if draining {
        endpoint.stop_accepting();
    }
    let socket = Socket::new(None);
    let port = socket.udp.local_addr().unwrap().port().to_string();
    let address = format!("127.0.0.1:{port}");
    let always = match program {
        "openssl" => vec!["s_client", "-connect", &address],
        _ => vec!["--udp", "--insecure", "--port", &port, "127.0.0.1"],
    };
    let mut program = Program::start(program, &[&always, arguments].concat(), Stdio::piped());
    let refusals = |endpoint: &Endpoint| {
        let counters = endpoint.counters();
        counters.hellos_not_accepting + counters.hellos_old_version + counters.handshakes_failed
    };
    until(&mut endpoint, &socket, |endpoint| refusals(endpoint) == times);
    let said = program.end();
    assert_eq!(socket.sent.borrow().last().unwrap().len(), 15, "{said}");
    said
}

/// OpenSSL ends at the first alert. GnuTLS 3.7 on a blocking socket sends its hello once more, after a
/// second, and ends at the alert to that.
#[test]
fn s_client_and_gnutls_cli_give_up_at_once() {
    let old = "DEFAULT@SECLEVEL=0";
    let rows: [(&str, &[&str], bool, &str); 6] = [
        ("openssl", &["-dtls1", "-cipher", old], false, "SSL alert number 70"),
        ("gnutls-cli", &["--priority", "NORMAL:-VERS-ALL:+VERS-DTLS1.0"], false, "alert [70]"),
        ("openssl", &["-dtls1_2"], true, "SSL alert number 80"),
        ("gnutls-cli", &[], true, "alert [80]"),
        ("openssl", &["-dtls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], false, "SSL alert number 40"),
        ("gnutls-cli", &["--priority", "NORMAL:-CIPHER-ALL:+AES-128-CBC"], false, "alert [40]"),
    ];
    for (program, arguments, draining, expected) in rows {
        let times = if program == "openssl" { 1 } else { 2 };
        let said = refused(program, arguments, Limits::default(), draining, times);
        assert!(said.contains(expected), "{program} {arguments:?}: {said}");
    }
}
