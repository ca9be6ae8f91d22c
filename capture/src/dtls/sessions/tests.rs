//! Sessions made by hand, datagram by datagram.

use crate::session::{End, Keys, Protection, UnprotectedAlert};
use crate::testing::{Bench, CLIENT, Made, SERVER, address, handshake, message};
use crate::{Event, Limits, Options, State, Why};
use lowband_wire::dtls::handshake::CLIENT_HELLO;
use lowband_wire::dtls::keys::Role;
use lowband_wire::dtls::record::{ContentType, DTLS_1_2, RecordNumber, header};

fn bench(made: &[&Made]) -> Bench {
    let mut bench = Bench::new(Options::default());
    for made in made {
        bench.capture.add_secrets(&made.key_log(), 1);
    }
    bench
}

fn get(id: u16) -> Vec<u8> {
    message(0, 1, id, &[id as u8], &[(11, b"0")], b"")
}

fn content(id: u16) -> Vec<u8> {
    message(2, 0x45, id, &[id as u8], &[(12, &[60])], b"\xa0")
}

/// Passes a request and its response in the given session.
fn exchange(bench: &mut Bench, made: &mut Made, id: u16) {
    bench.pass(CLIENT, SERVER, &made.message(Role::Client, &get(id)));
    bench.pass(SERVER, CLIENT, &made.message(Role::Server, &content(id)));
}

#[test]
fn a_session_with_its_handshake_and_key_is_read() {
    let mut made = Made::new(1);
    let mut bench = bench(&[&made]);
    made.shake_hands(&mut bench);
    exchange(&mut bench, &mut made, 1);
    bench.pass(CLIENT, SERVER, &made.record(Role::Client, ContentType::Alert, &[1, 0]));
    bench.finish();
    let [session] = bench.sessions()[..] else { panic!("{:?}", bench.events) };
    assert_eq!((session.client, session.server), (address(CLIENT), address(SERVER)));
    assert_eq!((session.protection, session.keys), (Protection::Dtls, Keys::Proven));
    assert_eq!(session.suite.unwrap().name, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(session.end, Some(End::Alert { from_client: true, description: 0 }));
    assert_eq!((session.up.datagrams, session.down.datagrams), (4, 3));
    assert_eq!((session.handshake_up.datagrams, session.handshake_down.datagrams), (3, 2));
    assert!(!session.resumed);
    let [exchange] = bench.exchanges()[..] else { panic!("{:?}", bench.events) };
    assert_eq!(exchange.path, "/_matrix/client/versions");
    assert_eq!(exchange.state, State::Complete);
    assert_eq!(exchange.up.bytes, (13 + 24 + get(1).len()) as u64);
    assert_eq!(bench.whys(), []);
    let detail = bench.detail(exchange);
    assert_eq!(detail.response_body.unwrap().json.unwrap().unwrap(), b"{}");
    let codes: Vec<_> =
        detail.messages.iter().map(|one| one.message.as_ref().unwrap().code.to_string()).collect();
    assert_eq!(codes, ["0.01", "2.05"]);
}

#[test]
fn a_resumed_session_has_the_session_id_of_its_hello() {
    let mut made = Made::new(1);
    made.session_ids = [vec![7; 32], vec![7; 32]];
    let mut bench = bench(&[&made]);
    made.shake_hands(&mut bench);
    exchange(&mut bench, &mut made, 1);
    bench.finish();
    assert!(bench.sessions()[0].resumed);
    assert_eq!(bench.exchanges().len(), 1);
}

#[test]
fn without_handshake_key_or_suite_each_record_says_why_and_the_session_how_many() {
    type Begin = fn(&mut Bench, &mut Made);
    let cases: [(&str, Begin); 5] = [
        ("no_handshake", |_, _| {}),
        ("no_handshake", |bench, made| bench.pass(CLIENT, SERVER, &made.client_hello())),
        ("no_handshake", |bench, made| bench.pass(SERVER, CLIENT, &made.server_hello())),
        ("no_key", |bench, made| {
            bench.pass(CLIENT, SERVER, &made.client_hello());
            bench.pass(SERVER, CLIENT, &made.server_hello());
        }),
        ("unknown_suite", |bench, made| {
            made.suite = 0xc023;
            bench.pass(CLIENT, SERVER, &made.client_hello());
            bench.pass(SERVER, CLIENT, &made.server_hello());
            made.suite = 0xc02b;
        }),
    ];
    for (why, begin) in cases {
        let (mut made, mut bench) = (Made::new(1), bench(&[]));
        begin(&mut bench, &mut made);
        exchange(&mut bench, &mut made, 1);
        bench.finish();
        assert_eq!(bench.whys().iter().map(|(_, why)| *why).collect::<Vec<_>>(), [why, why]);
        let [session] = bench.sessions()[..] else { panic!("{:?}", bench.events) };
        assert_eq!((session.client, session.server), (address(CLIENT), address(SERVER)));
        assert_eq!(
            session.unread.iter().map(|(why, count)| (why.name(), *count)).collect::<Vec<_>>(),
            [(why, 2)]
        );
        assert_eq!(session.keys, Keys::Missing);
        assert!(bench.exchanges().is_empty());
    }
}

#[test]
fn a_line_of_another_session_and_a_changed_record_are_not_authentic() {
    let mut made = Made::new(1);
    let mut bench = bench(&[]);
    let line = String::from_utf8(made.key_log()).unwrap();
    let (before, secret) = line.trim_end().rsplit_once(' ').unwrap();
    bench.capture.add_secrets(format!("{before} {}\n", "5a".repeat(secret.len() / 2)).as_bytes(), 1);
    made.shake_hands(&mut bench);
    assert_eq!(bench.whys(), [(3, "not_authentic"), (4, "not_authentic")]);
    bench.finish();
    assert_eq!(bench.sessions()[0].keys, Keys::Unproven);

    let mut made = Made::new(2);
    let mut bench = self::bench(&[&made]);
    made.shake_hands(&mut bench);
    let mut record = made.message(Role::Client, &get(1));
    *record.last_mut().unwrap() ^= 1;
    bench.pass(CLIENT, SERVER, &record);
    exchange(&mut bench, &mut made, 2);
    bench.finish();
    assert_eq!(bench.whys(), [(5, "not_authentic")]);
    assert_eq!(bench.exchanges().len(), 1);
}

#[test]
fn secrets_that_come_late_ask_for_another_pass_and_serve_what_follows() {
    let mut made = Made::new(1);
    let mut bench = bench(&[]);
    made.shake_hands(&mut bench);
    exchange(&mut bench, &mut made, 1);
    assert!(!bench.capture.wants_another_pass());
    bench.capture.add_secrets(&made.key_log(), 1);
    exchange(&mut bench, &mut made, 2);
    assert!(bench.capture.wants_another_pass());
    assert_eq!(bench.whys().len(), 4);
    bench.finish();
    assert_eq!(bench.exchanges().len(), 1);
    bench.capture.rewind();
    assert_eq!(bench.capture.sessions().count(), 0);
    let mut again = Made::new(1);
    again.shake_hands(&mut bench);
    exchange(&mut bench, &mut again, 1);
    assert!(!bench.capture.wants_another_pass());
    bench.events.clear();
    bench.finish();
    assert_eq!(bench.exchanges().len(), 1);
}

#[test]
fn a_hello_in_pieces_is_put_together_in_any_order() {
    let mut made = Made::new(1);
    made.connection_ids = Some([vec![1, 2], vec![3, 4, 5]]);
    let body = made.client_hello_body();
    let pieces: Vec<_> =
        (0..body.len()).step_by(20).map(|at| handshake(CLIENT_HELLO, &body, at, 20)).collect();
    let mut orders = vec![pieces.clone(), pieces.iter().rev().cloned().collect()];
    let mut twice = pieces.clone();
    twice.extend(pieces);
    orders.push(twice);
    for order in orders {
        let ids = made.connection_ids.clone();
        let mut made = Made::new(1);
        made.connection_ids = ids;
        let mut bench = bench(&[&made]);
        for piece in order {
            bench.pass(CLIENT, SERVER, &piece);
        }
        bench.pass(SERVER, CLIENT, &made.server_hello());
        exchange(&mut bench, &mut made, 1);
        bench.finish();
        assert_eq!(bench.whys(), []);
        let [session] = bench.sessions()[..] else { panic!("{:?}", bench.events) };
        assert_eq!((session.connection_id_up, session.connection_id_down), (Some(3), Some(2)));
        assert_eq!(bench.exchanges().len(), 1);
    }
}

#[test]
fn the_first_piece_of_a_hello_is_enough_for_the_keys() {
    let mut made = Made::new(1);
    let mut bench = bench(&[&made]);
    bench.pass(CLIENT, SERVER, &handshake(CLIENT_HELLO, &made.client_hello_body(), 0, 36));
    bench.pass(SERVER, CLIENT, &made.server_hello());
    exchange(&mut bench, &mut made, 1);
    bench.finish();
    assert_eq!((bench.exchanges().len(), bench.sessions().len()), (1, 1));
}

#[test]
fn a_session_goes_on_under_its_connection_id_from_another_port() {
    let moved = "10.9.9.9:1";
    for ids in [[vec![], vec![9; 8]], [vec![7; 4], vec![9; 8]], [vec![7], vec![]]] {
        let mut made = Made::new(1);
        made.connection_ids = Some(ids.clone());
        let mut bench = bench(&[&made]);
        made.shake_hands(&mut bench);
        exchange(&mut bench, &mut made, 1);
        let has_id = !ids[1].is_empty();
        let from = if has_id { moved } else { CLIENT };
        bench.pass(from, SERVER, &made.message(Role::Client, &get(2)));
        bench.pass(SERVER, from, &made.message(Role::Server, &content(2)));
        // What was on its way to the old port.
        bench.pass(SERVER, CLIENT, &made.message(Role::Server, &content(2)));
        bench.finish();
        assert_eq!(bench.whys(), [], "{ids:?}");
        let [session] = bench.sessions()[..] else { panic!("{:?}", bench.events) };
        let length = |id: &Vec<u8>| (!id.is_empty()).then_some(id.len() as u8);
        assert_eq!(
            (session.connection_id_down, session.connection_id_up),
            (length(&ids[0]), length(&ids[1]))
        );
        let exchanges = bench.exchanges();
        assert_eq!(exchanges.iter().map(|one| one.state).collect::<Vec<_>>(), [State::Complete; 2]);
        assert_eq!(exchanges[1].client, address(from));
        assert_eq!(exchanges[1].repeats, 1);
        for exchange in exchanges {
            assert!(bench.detail(exchange).messages.iter().all(|one| one.message.is_ok()));
        }
    }
}

#[test]
fn a_connection_id_of_no_handshake_in_the_capture_is_told() {
    let mut made = Made::new(1);
    made.connection_ids = Some([vec![], vec![9; 8]]);
    let mut bench = bench(&[&made]);
    bench.pass(CLIENT, SERVER, &made.message(Role::Client, &get(1)));
    assert_eq!(bench.whys(), [(1, "unknown_connection_id")]);
}

#[test]
fn a_new_handshake_between_the_same_addresses_replaces_a_session_whose_records_may_still_come() {
    let (mut old, mut new) = (Made::new(1), Made::new(2));
    let mut bench = bench(&[&old, &new]);
    old.shake_hands(&mut bench);
    exchange(&mut bench, &mut old, 1);
    bench.pass(CLIENT, SERVER, &new.client_hello());
    exchange(&mut bench, &mut old, 2);
    bench.pass(SERVER, CLIENT, &new.server_hello());
    exchange(&mut bench, &mut old, 3);
    exchange(&mut bench, &mut new, 4);
    bench.pass(SERVER, CLIENT, &old.message(Role::Server, &content(3)));
    bench.finish();
    assert_eq!(bench.whys(), []);
    let sessions: Vec<_> = bench.exchanges().iter().map(|exchange| exchange.session).collect();
    assert_eq!(sessions, [1, 1, 1, 2]);
    let ends: Vec<_> = bench.sessions().iter().map(|session| session.end).collect();
    assert_eq!(ends, [Some(End::Replaced { by: 2 }), None]);
}

#[test]
fn a_hello_that_is_sent_again_belongs_to_its_session() {
    let mut made = Made::new(1);
    let mut bench = bench(&[&made]);
    bench.pass(CLIENT, SERVER, &made.client_hello());
    made.shake_hands(&mut bench);
    bench.pass(CLIENT, SERVER, &made.client_hello());
    exchange(&mut bench, &mut made, 1);
    bench.finish();
    assert_eq!(bench.sessions().len(), 1);
}

#[test]
fn a_record_that_is_captured_twice_is_a_duplicate_and_counts_once() {
    let mut made = Made::new(1);
    let mut bench = bench(&[&made]);
    made.shake_hands(&mut bench);
    let record = made.message(Role::Client, &get(1));
    bench.pass(CLIENT, SERVER, &record);
    bench.pass(CLIENT, SERVER, &record);
    // The same message in another record was sent again.
    bench.pass(CLIENT, SERVER, &made.message(Role::Client, &get(1)));
    bench.finish();
    let [session] = bench.sessions()[..] else { panic!("{:?}", bench.events) };
    assert_eq!((session.duplicates, session.up.datagrams), (1, 4));
    let [exchange] = bench.exchanges()[..] else { panic!("{:?}", bench.events) };
    assert_eq!((exchange.up.datagrams, exchange.repeats), (2, 1));
    let marks: Vec<_> = exchange.messages.iter().map(|one| one.mark.name()).collect();
    assert_eq!(marks, ["first", "duplicate", "repeat"]);
}

#[test]
fn a_handshake_that_is_captured_twice_counts_once() {
    let mut made = Made::new(1);
    let (mut once, mut twice) = (bench(&[&made]), bench(&[&made]));
    for (from_client, datagram) in datagrams(&mut made, &mut once) {
        let (from, to) = if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        once.pass(from, to, &datagram);
        twice.pass(from, to, &datagram);
        twice.pass(from, to, &datagram);
    }
    once.finish();
    twice.finish();
    let ([once], [twice]) = (&once.sessions()[..], &twice.sessions()[..]) else { panic!() };
    assert_eq!((once.up, once.down), (twice.up, twice.down));
    assert_eq!((once.handshake_up, once.handshake_down), (twice.handshake_up, twice.handshake_down));
    assert_eq!(twice.duplicates, once.up.datagrams + once.down.datagrams);
}

#[test]
fn several_records_of_one_datagram_are_read_and_it_counts_once() {
    let mut made = Made::new(1);
    let mut bench = bench(&[&made]);
    made.shake_hands(&mut bench);
    let both = [made.message(Role::Client, &get(1)), made.message(Role::Client, &get(2))].concat();
    bench.pass(CLIENT, SERVER, &both);
    bench.finish();
    let exchanges = bench.exchanges();
    let counts: Vec<_> = exchanges.iter().map(|one| (one.up.bytes as usize, one.up.datagrams)).collect();
    assert_eq!(counts, [(both.len(), 1), (0, 0)]);
    for (exchange, id) in exchanges.iter().zip([1, 2]) {
        let detail = bench.detail(exchange);
        assert_eq!(detail.messages[0].message.as_ref().unwrap().id, id);
    }
}

#[test]
fn cut_off_malformed_and_renegotiated_records_say_so() {
    let mut made = Made::new(1);
    let mut bench = bench(&[&made]);
    made.shake_hands(&mut bench);
    let record = made.message(Role::Client, &get(1));
    bench.pass_cut(CLIENT, SERVER, &record[..record.len() - 5], record.len());
    bench.pass(CLIENT, SERVER, &record[..record.len() - 5]);
    let second = header(ContentType::ApplicationData, DTLS_1_2, RecordNumber::new(2, 0), 40);
    bench.pass(CLIENT, SERVER, &[&second[..], &[0; 40]].concat());
    bench.pass(CLIENT, SERVER, &made.message(Role::Client, b"\0no CoAP"));
    let whys: Vec<_> = bench.whys().into_iter().map(|(_, why)| why).collect();
    assert_eq!(whys, ["truncated", "malformed_record", "renegotiated", "malformed_message"]);
}

#[test]
fn each_datagram_of_a_session_cut_at_each_byte_leaves_the_others_readable() {
    for cut in 0..6 {
        let length = |cut: usize| {
            let mut made = Made::new(1);
            let mut bench = bench(&[&made]);
            datagrams(&mut made, &mut bench)[cut].1.len()
        };
        for at in 0..length(cut) {
            let mut made = Made::new(1);
            let mut bench = bench(&[&made]);
            let all = datagrams(&mut made, &mut bench);
            for (number, (from_client, bytes)) in all.iter().enumerate() {
                let (from, to) = if *from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
                let here = if number == cut { &bytes[..at] } else { &bytes[..] };
                bench.pass_cut(from, to, here, bytes.len());
            }
            bench.finish();
            let read = bench.exchanges().iter().map(|one| one.messages.len()).sum::<usize>();
            match cut {
                // The first piece of a hello has the random; behind it the ServerHello is of use.
                0 if at >= 13 + 12 + 34 => assert!(read <= 2),
                0 | 1 => assert_eq!(read, 0, "datagram {cut} cut at {at}"),
                2 | 3 => assert_eq!(read, 2, "datagram {cut} cut at {at}"),
                _ => assert_eq!(read, 1, "datagram {cut} cut at {at}"),
            }
        }
    }
}

/// Returns the six datagrams of a handshake and an exchange, and who sent them.
fn datagrams(made: &mut Made, _: &mut Bench) -> Vec<(bool, Vec<u8>)> {
    vec![
        (true, made.client_hello()),
        (false, made.server_hello()),
        (true, made.record(Role::Client, ContentType::Handshake, b"finished")),
        (false, made.record(Role::Server, ContentType::Handshake, b"finished")),
        (true, made.message(Role::Client, &get(1))),
        (false, made.message(Role::Server, &content(1))),
    ]
}

#[test]
fn the_sessions_that_were_quiet_for_longest_are_given_up_and_told_of() {
    let limits = Limits { sessions: 16, ..Limits::default() };
    let mut bench = Bench::new(Options { limits, ..Options::default() });
    for which in 0..17 {
        let made = Made::new(which);
        bench.pass(&format!("10.0.0.{which}:5000"), SERVER, &made.client_hello());
    }
    let over: Vec<_> = bench.sessions().iter().map(|session| session.number).collect();
    assert_eq!(over, [1, 2]);
    assert!(bench.capture.session(1).is_none() && bench.capture.session(3).is_some());
    bench.finish();
    assert_eq!(bench.sessions().len(), 17);
}

#[test]
fn details_of_a_session_that_was_given_up_are_gone() {
    let limits = Limits { sessions: 1, ..Limits::default() };
    let mut made = Made::new(1);
    let mut bench = Bench::new(Options { limits, ..Options::default() });
    bench.capture.add_secrets(&made.key_log(), 1);
    made.shake_hands(&mut bench);
    exchange(&mut bench, &mut made, 1);
    bench.pass("10.0.0.2:7", SERVER, &Made::new(2).client_hello());
    // Its exchanges come before it.
    let [Event::Exchange(exchange), Event::Session(session)] = &bench.events[..] else {
        panic!("{:?}", bench.events)
    };
    assert_eq!((exchange.session, session.number, &exchange.notes[..]), (1, 1, &[][..]));
    bench.finish();
    let detail = bench.detail(bench.exchanges()[0]);
    assert!(detail.messages.iter().all(|one| one.message == Err(Why::Gone)));
}

#[test]
fn hellos_in_pieces_beyond_the_limit_give_way() {
    let clients = ["10.0.0.1:1", "10.0.0.2:1"];
    for (pieces, expected) in [(1000, [Some(1), Some(1)]), (90, [None, Some(1)])] {
        let limits = Limits { pieces, ..Limits::default() };
        let mut bench = Bench::new(Options { limits, ..Options::default() });
        let made = [1, 2].map(|which| {
            let mut made = Made::new(which);
            made.connection_ids = Some([vec![], vec![which]]);
            made
        });
        // The later halves, with the Connection IDs; two hellos are more than 90 bytes.
        for (which, from, most) in [(0, 36, 99), (1, 36, 99), (1, 0, 36), (0, 0, 36)] {
            let piece = handshake(CLIENT_HELLO, &made[which].client_hello_body(), from, most);
            bench.pass(clients[which], SERVER, &piece);
        }
        for (client, made) in clients.iter().zip(&made) {
            bench.pass(SERVER, client, &made.server_hello());
        }
        bench.finish();
        let ids: Vec<_> = bench.sessions().iter().map(|session| session.connection_id_up).collect();
        assert_eq!(ids, expected);
    }
}

#[test]
fn what_is_sent_without_protection_is_told_apart() {
    let mut bench = bench(&[]);
    let plain = |content_type, content: &[u8]| {
        let header = header(content_type, DTLS_1_2, RecordNumber::new(0, 9), content.len() as u16);
        [&header[..], content].concat()
    };
    bench.pass(CLIENT, SERVER, &Made::new(1).client_hello());
    bench.pass(CLIENT, SERVER, &plain(ContentType::ApplicationData, &get(1)));
    bench.pass(SERVER, CLIENT, &plain(ContentType::Alert, &[2, 40]));
    bench.finish();
    assert_eq!(bench.whys(), [(2, "unprotected")]);
    let [session] = bench.sessions()[..] else { panic!("{:?}", bench.events) };
    let alert = UnprotectedAlert { from_client: false, is_fatal: true, description: 40 };
    assert_eq!((session.unprotected_alert, session.end), (Some(alert), None));
}

#[test]
fn what_is_neither_dtls_nor_at_a_port_of_coap_is_foreign() {
    let mut bench = bench(&[]);
    bench.pass("10.0.0.1:1", "10.0.0.2:53", b"\x12\x34\x01\x00");
    assert!(matches!(bench.events[..], [Event::Foreign { frame: 1 }]));
}
