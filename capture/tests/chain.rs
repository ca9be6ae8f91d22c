//! The capture of a run of the whole chain in `data/`: our client, the reference implementation's, and both
//! clients of libcoap.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what helps a test may fail as the test does, and reads files and clocks"
)]

use lowband_capture::session::Keys;
use lowband_capture::{Capture, Event, Exchange, Kind, Options, Session, State};
use std::fs;
use std::path::Path;

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// What a file has told, read in pieces.
fn read(
    capture: &mut Capture,
    file: &[u8],
    piece: usize,
) -> (Vec<Exchange>, Vec<Session>, Vec<&'static str>) {
    let (mut exchanges, mut sessions, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    let mut take = |event| match event {
        Event::Exchange(exchange) => exchanges.push(exchange),
        Event::Session(session) => sessions.push(session),
        Event::Unread(one) => unread.push(one.why.name()),
        Event::Secrets(_) => {}
        other => panic!("{other:?}"),
    };
    file.chunks(piece).for_each(|piece| capture.push(piece, &mut take));
    capture.finish(&mut take);
    exchanges.sort_by_key(|exchange| exchange.number);
    (exchanges, sessions, unread)
}

#[test]
fn the_chain_is_read_whole() {
    let file = data("chain.pcap");
    for piece in [7, 1 << 20] {
        let mut capture = Capture::new(Options::default());
        capture.add_secrets(&data("chain.keys"), 1);
        let (exchanges, sessions, unread) = read(&mut capture, &file, piece);
        assert!(unread.is_empty(), "{unread:?}");
        assert_eq!(sessions.len(), 4);
        assert!(sessions.iter().all(|session| session.keys == Keys::Proven), "{sessions:#?}");
        let told: Vec<_> = exchanges
            .iter()
            .filter(|exchange| exchange.kind == Kind::Request)
            .map(|exchange| {
                assert_eq!(exchange.state, State::Complete, "{exchange:#?}");
                let body = exchange.response_body.as_ref().unwrap();
                assert!(body.json_bytes.unwrap() >= body.bytes / 2, "{exchange:#?}");
                let path = exchange.path.split("/!").next().unwrap();
                (exchange.session, exchange.method.unwrap().method_name().unwrap(), path.to_owned())
            })
            .collect();
        let expected = [
            (1, "POST", "/_matrix/client/r0/register"),
            (1, "POST", "/_matrix/client/r0/createRoom"),
            (1, "PUT", "/_matrix/client/r0/rooms"),
            (2, "GET", "/_matrix/client/r0/sync"),
            (3, "GET", "/_matrix/client/versions"),
            (4, "GET", "/_matrix/client/versions"),
        ];
        let expected: Vec<_> =
            expected.into_iter().map(|(n, method, path)| (n, method, path.to_owned())).collect();
        assert_eq!(told, expected);
        let send = &exchanges.iter().find(|exchange| exchange.path.contains("/send/")).unwrap();
        assert_eq!(send.request_body.as_ref().unwrap().blocks, 4);
        let detail = capture.detail(send, &mut |offset, length| {
            file.get(offset as usize..offset as usize + length).map(<[u8]>::to_vec)
        });
        let json = String::from_utf8(detail.request_body.unwrap().json.unwrap().unwrap()).unwrap();
        assert!(json.contains(&"several blocks up. ".repeat(200)), "{json}");
        assert!(detail.messages.iter().all(|message| message.message.is_ok()));
    }
}

#[test]
fn secrets_in_the_file_are_enough() {
    let mut capture = Capture::new(Options::default());
    let (exchanges, sessions, unread) = read(&mut capture, &data("secrets.pcapng"), 100);
    assert!(unread.is_empty(), "{unread:?}");
    assert_eq!((sessions.len(), sessions[0].keys), (1, Keys::Proven));
    assert!(!exchanges.is_empty() && !capture.wants_another_pass());
}

#[test]
fn a_capture_of_first_bytes_says_what_is_cut_off() {
    let mut capture = Capture::new(Options::default());
    capture.add_secrets(&data("chain.keys"), 1);
    let (_, sessions, unread) = read(&mut capture, &data("snapped.pcapng"), 1 << 20);
    assert_eq!(sessions.len(), 1);
    assert!(!unread.is_empty() && unread.iter().all(|why| *why == "truncated"), "{unread:?}");
}
