//! Exchanges over plain CoAP, message by message.

use super::{Arrived, Exchanges};
use crate::session::Session;
use crate::testing::{Bench, CLIENT, COAP, address, message};
use crate::{
    BodyError, BodyKind, Event, Exchange, Kind, Limits, Mark, MessageRef, Note, Options, State, Time, Why,
};
use std::time::Duration;

mod any_order;
mod packed;

const CON: u8 = 0;
const NON: u8 = 1;
const ACK: u8 = 2;
const RST: u8 = 3;
const GET: u8 = 1;
const PUT: u8 = 3;
const CONTENT: u8 = 0x45;
const CONTINUE: u8 = 0x5f;
const ETAG: u16 = 4;
const OBSERVE: u16 = 6;
const PATH: u16 = 11;
const FORMAT: u16 = 12;
const QUERY: u16 = 15;
const BLOCK2: u16 = 23;
const BLOCK1: u16 = 27;
const Q_BLOCK2: u16 = 31;

type Values<'a> = &'a [(u16, &'a [u8])];

/// A bench on which a client and a server speak CoAP without DTLS.
struct Talk(Bench);

impl Talk {
    fn new() -> Talk {
        Talk::with(Options::default())
    }
    fn with(options: Options) -> Talk {
        Talk(Bench::new(options))
    }
    fn limited(limits: Limits) -> Talk {
        Talk::with(Options { limits, ..Options::default() })
    }
    fn up(&mut self, kind: u8, code: u8, id: u16, token: &[u8], options: Values, payload: &[u8]) {
        self.0.pass(CLIENT, COAP, &message(kind, code, id, token, options, payload));
    }
    fn down(&mut self, kind: u8, code: u8, id: u16, token: &[u8], options: Values, payload: &[u8]) {
        self.0.pass(COAP, CLIENT, &message(kind, code, id, token, options, payload));
    }
    fn wait(&mut self, time: Duration) {
        self.0.now += time.as_millis() as u64;
    }
    fn end(&mut self) -> Vec<Exchange> {
        self.0.finish();
        self.0.exchanges().into_iter().cloned().collect()
    }
    fn only(&mut self) -> Exchange {
        let all = self.end();
        let [exchange] = &all[..] else { panic!("{all:#?}") };
        exchange.clone()
    }
    /// Returns the numbers of the exchanges that have been told of, in that order.
    fn told(&self) -> Vec<u64> {
        self.0.events.iter().filter_map(crate::testing::exchange).map(|one| one.number).collect()
    }
}

/// The value of a block option.
fn block(num: u8, more: bool, szx: u8) -> [u8; 1] {
    [num << 4 | u8::from(more) << 3 | szx]
}

fn marks(exchange: &Exchange) -> Vec<(bool, Mark)> {
    exchange.messages.iter().map(|one| (one.from_client, one.mark)).collect()
}

#[test]
fn a_request_with_its_piggybacked_response_is_complete() {
    let mut talk = Talk::new();
    let options: Values = &[(PATH, b"9"), (PATH, b"!r:a"), (PATH, b"m.x"), (PATH, b"1"), (FORMAT, &[60])];
    talk.up(CON, PUT, 7, b"t", options, b"\xa1\x18\x1b\x61x");
    talk.down(ACK, CONTENT, 7, b"t", &[(FORMAT, &[60])], b"\xa1\x02\x61y");
    let exchange = talk.only();
    assert_eq!(exchange.method.unwrap().method_name(), Some("PUT"));
    assert_eq!(exchange.path, "/_matrix/client/r0/rooms/!r:a/send/m.x/1");
    assert_eq!((exchange.path_code, exchange.code.unwrap().to_string()), (Some('9'), "2.05".into()));
    assert_eq!((exchange.state, exchange.duration), (State::Complete, Some(Duration::from_millis(10))));
    let body = exchange.request_body.as_ref().unwrap();
    assert_eq!(
        (body.bytes, body.json_bytes, body.kind),
        (5, Some(r#"{"body":"x"}"#.len() as u64), BodyKind::Cbor)
    );
    let body = exchange.response_body.as_ref().unwrap();
    assert_eq!((body.bytes, body.json_bytes, body.blocks), (4, Some(r#"{"type":"y"}"#.len() as u64), 0));
    assert_eq!((exchange.up.datagrams, exchange.down.datagrams), (1, 1));
    let detail = talk.0.detail(&exchange);
    assert_eq!(detail.request_body.unwrap().json.unwrap().unwrap(), br#"{"body":"x"}"#);
    assert_eq!(detail.response_body.unwrap().bytes, b"\xa1\x02\x61y");
}

#[test]
fn copies_of_request_and_response_are_repeats_and_a_used_id_with_other_bytes_is_not() {
    let mut talk = Talk::new();
    talk.up(CON, GET, 7, b"t", &[(PATH, b"0")], b"");
    talk.up(CON, GET, 7, b"t", &[(PATH, b"0")], b"");
    talk.down(ACK, CONTENT, 7, b"t", &[], b"\xa0");
    talk.down(ACK, CONTENT, 7, b"t", &[], b"\xa0");
    talk.up(CON, GET, 7, b"u", &[(PATH, b"0")], b"");
    let all = talk.end();
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].repeats, all[0].up.datagrams, all[0].down.datagrams), (2, 2, 2));
    let (first, repeat) = (Mark::First, Mark::Repeat);
    assert_eq!(marks(&all[0]), [(true, first), (true, repeat), (false, first), (false, repeat)]);
    assert_eq!((all[1].repeats, all[1].state), (0, State::Cut));
}

#[test]
fn a_late_response_comes_by_its_token_and_its_acknowledgement_belongs_to_it() {
    for kind in [CON, NON] {
        let mut talk = Talk::new();
        talk.up(CON, GET, 7, b"t", &[(PATH, b"7")], b"");
        talk.down(ACK, 0, 7, b"", &[], b"");
        talk.wait(Duration::from_secs(100));
        talk.down(kind, CONTENT, 900, b"t", &[], b"\xa0");
        talk.down(kind, CONTENT, 900, b"t", &[], b"\xa0");
        talk.up(ACK, 0, 900, b"", &[], b"");
        let exchange = talk.only();
        assert_eq!((exchange.state, exchange.messages.len(), exchange.repeats), (State::Complete, 5, 1));
        assert_eq!(exchange.duration, Some(Duration::from_millis(100_020)));
    }
}

#[test]
fn non_confirmable_requests_are_matched_by_token_alone() {
    let mut talk = Talk::new();
    talk.up(NON, GET, 1, b"a", &[(PATH, b"0")], b"");
    talk.up(NON, GET, 2, b"b", &[(PATH, b"7")], b"");
    talk.down(NON, CONTENT, 50, b"b", &[], b"\xa0");
    talk.down(NON, 0x84, 51, b"a", &[], b"not there");
    let all = talk.end();
    let told: Vec<_> = all.iter().map(|one| one.code.unwrap().to_string()).collect();
    assert_eq!(told, ["4.04", "2.05"]);
    assert_eq!(all[0].response_body.as_ref().unwrap().kind, BodyKind::Text);
}

#[test]
fn a_reset_ends_what_it_refuses() {
    let mut talk = Talk::new();
    talk.up(CON, GET, 7, b"t", &[(PATH, b"0")], b"");
    talk.down(RST, 0, 7, b"", &[], b"");
    talk.up(CON, GET, 8, b"u", &[(PATH, b"0")], b"");
    talk.down(CON, CONTENT, 70, b"u", &[], b"\xa0");
    talk.up(RST, 0, 70, b"", &[], b"");
    let states: Vec<_> = talk.end().iter().map(|one| (one.state, one.code.is_some())).collect();
    assert_eq!(states, [(State::Reset, false), (State::Reset, true)]);
}

#[test]
fn a_ping_is_answered_by_a_reset_or_by_an_acknowledgement() {
    for answer in [RST, ACK] {
        let mut talk = Talk::new();
        talk.up(CON, 0, 7, b"", &[], b"");
        talk.down(answer, 0, 7, b"", &[], b"");
        let exchange = talk.only();
        assert_eq!((exchange.kind, exchange.state), (Kind::Ping, State::Complete));
        assert_eq!((exchange.method, exchange.path.as_str()), (None, ""));
    }
    let mut talk = Talk::new();
    talk.down(CON, 0, 7, b"", &[], b"");
    assert!(talk.only().from_server);
}

#[test]
fn acknowledgements_and_responses_to_nothing_are_told() {
    let mut talk = Talk::new();
    talk.down(ACK, 0, 7, b"", &[], b"");
    talk.up(RST, 0, 8, b"", &[], b"");
    assert_eq!(talk.0.whys(), [(1, "stray"), (2, "stray")]);
    talk.down(CON, CONTENT, 9, b"x", &[], b"\xa0");
    let exchange = talk.only();
    assert_eq!((exchange.method, exchange.state), (None, State::Cut));
    assert_eq!(exchange.notes, [Note::BeginsBefore]);
}

/// Sends an upload of three blocks of 16 bytes, each under a token of its own, in the given order.
fn upload(talk: &mut Talk, order: &[u8]) {
    let body = [&[0xa1, 0x02, 0x78, 40][..], &[b'x'; 40]].concat();
    for (at, num) in order.iter().enumerate() {
        let (id, token) = (at as u16, [at as u8]);
        let piece = &body[usize::from(*num) * 16..body.len().min(usize::from(*num) * 16 + 16)];
        let value = block(*num, *num < 2, 0);
        talk.up(CON, PUT, id, &token, &[(PATH, b"up"), (FORMAT, &[60]), (BLOCK1, &value)], piece);
        let code = if *num < 2 { CONTINUE } else { CONTENT };
        talk.down(ACK, code, id, &token, &[(BLOCK1, &value)], if *num < 2 { b"" } else { b"\xa0" });
    }
}

#[test]
fn an_upload_in_blocks_is_one_exchange_and_one_body() {
    let mut talk = Talk::new();
    upload(&mut talk, &[0, 1, 2]);
    let exchange = talk.only();
    let body = exchange.request_body.as_ref().unwrap();
    assert_eq!((body.bytes, body.json_bytes, body.blocks), (44, Some(51), 3));
    assert_eq!((exchange.state, exchange.code.unwrap().to_string()), (State::Complete, "2.05".into()));
    assert_eq!(exchange.notes, []);
    assert_eq!(talk.0.detail(&exchange).request_body.unwrap().bytes.len(), 44);
}

#[test]
fn blocks_that_are_missing_or_out_of_order_are_told() {
    for (order, note, bytes) in [
        (&[0, 2][..], vec![Note::BlocksOutOfOrder, Note::UploadIncomplete], 28),
        (&[0, 1][..], vec![Note::UploadIncomplete], 32),
        (&[0, 2, 1], vec![Note::BlocksOutOfOrder], 44),
    ] {
        let mut talk = Talk::new();
        upload(&mut talk, order);
        let exchange = talk.only();
        assert_eq!(exchange.notes, note, "{order:?}");
        let body = exchange.request_body.unwrap();
        assert_eq!((body.bytes, body.json_bytes.is_some()), (bytes, bytes == 44), "{order:?}");
    }
    let mut talk = Talk::new();
    upload(&mut talk, &[1, 2]);
    let exchange = talk.only();
    assert_eq!(exchange.state, State::Cut);
    assert!(exchange.notes.contains(&Note::BeginsBefore));
}

/// Serves a body of 40 bytes in blocks of 16 under a token each.
fn download(talk: &mut Talk, order: &[u8], etag: impl Fn(u8) -> u8) {
    let body = [&[0xa1, 0x02, 0x78, 36][..], &[b'x'; 36]].concat();
    for (at, num) in order.iter().enumerate() {
        let (id, token, num) = (at as u16, [at as u8], *num);
        let ask = block(num, false, 0);
        let options: Values = if num == 0 {
            &[(PATH, b"7"), (QUERY, b"a=b")]
        } else {
            &[(PATH, b"7"), (QUERY, b"a=b"), (BLOCK2, &ask)]
        };
        talk.up(CON, GET, id, &token, options, b"");
        let piece = &body[usize::from(num) * 16..body.len().min(usize::from(num) * 16 + 16)];
        let options: Values = &[(ETAG, &[etag(num)]), (FORMAT, &[60]), (BLOCK2, &block(num, num < 2, 0))];
        talk.down(ACK, CONTENT, id, &token, options, piece);
    }
}

#[test]
fn a_download_in_blocks_is_one_exchange_and_one_body() {
    for (order, notes) in
        [(&[0, 1, 2][..], vec![]), (&[0, 2, 1], vec![Note::BlocksOutOfOrder]), (&[0, 1, 1, 2], vec![])]
    {
        let mut talk = Talk::new();
        download(&mut talk, order, |_| 5);
        let exchange = talk.only();
        let body = exchange.response_body.as_ref().unwrap();
        assert_eq!((body.bytes, body.json_bytes), (40, Some(47)), "{order:?}");
        assert_eq!((exchange.query.clone(), exchange.notes.clone()), (vec!["a=b".to_owned()], notes));
        assert_eq!(talk.0.detail(&exchange).response_body.unwrap().json.unwrap().unwrap().len(), 47);
    }
}

#[test]
fn a_download_that_ends_early_is_unanswered_if_the_capture_goes_on_and_else_cut() {
    for (goes_on, state) in [(false, State::Cut), (true, State::Unanswered)] {
        let mut talk = Talk::new();
        download(&mut talk, &[0, 1], |_| 5);
        if goes_on {
            talk.wait(Duration::from_secs(300));
            talk.up(CON, 0, 999, b"", &[], b"");
        }
        let exchange = talk.end().remove(0);
        assert_eq!((exchange.state, exchange.duration), (state, None));
        assert_eq!(exchange.notes, [Note::DownloadIncomplete]);
        assert_eq!(exchange.response_body.unwrap().bytes, 32);
    }
}

#[test]
fn another_etag_begins_the_body_anew() {
    let mut talk = Talk::new();
    download(&mut talk, &[0, 1], |num| num);
    let exchange = talk.only();
    assert!(exchange.notes.contains(&Note::EtagChanged));
    assert_eq!(exchange.response_body.unwrap().bytes, 16);
}

#[test]
fn two_downloads_of_one_path_at_once_keep_apart() {
    let mut talk = Talk::new();
    let ask = |talk: &mut Talk, id: u16, num: u8| {
        let value = block(num, false, 0);
        let options: Values = if num == 0 { &[(PATH, b"7")] } else { &[(PATH, b"7"), (BLOCK2, &value)] };
        talk.up(CON, GET, id, &[id as u8], options, b"");
    };
    let answer = |talk: &mut Talk, id: u16, num: u8, etag: u8| {
        let options: Values = &[(ETAG, &[etag]), (BLOCK2, &block(num, num < 1, 0))];
        let piece: &[u8] = if num == 0 {
            &[0xa1, 0x02, 0x78, 12, b'x', b'x', b'x', b'x', b'x', b'x', b'x', b'x', b'x', b'x', b'x', b'x']
        } else {
            b""
        };
        talk.down(ACK, CONTENT, id, &[id as u8], options, piece);
    };
    ask(&mut talk, 1, 0);
    ask(&mut talk, 2, 0);
    answer(&mut talk, 1, 0, 11);
    answer(&mut talk, 2, 0, 22);
    ask(&mut talk, 3, 1);
    answer(&mut talk, 3, 1, 11);
    ask(&mut talk, 4, 1);
    answer(&mut talk, 4, 1, 22);
    let all = talk.end();
    assert_eq!(
        all.iter().map(|one| (one.state, one.messages.len())).collect::<Vec<_>>(),
        [(State::Complete, 4); 2]
    );
}

#[test]
fn a_request_inside_an_acknowledgement_is_both() {
    let mut talk = Talk::new();
    talk.up(CON, GET, 1, b"t", &[(PATH, b"7")], b"");
    talk.down(ACK, 0, 1, b"", &[], b"");
    talk.down(CON, CONTENT, 500, b"t", &[(BLOCK2, &block(0, true, 0))], &[0xa0; 16]);
    talk.up(ACK, GET, 500, b"t", &[(PATH, b"7"), (BLOCK2, &block(1, false, 0))], b"");
    talk.down(NON, CONTENT, 501, b"t", &[(BLOCK2, &block(1, false, 0))], b"\xa0");
    let exchange = talk.only();
    assert_eq!((exchange.state, exchange.notes), (State::Complete, vec![Note::RequestInAcknowledgement]));
}

#[test]
fn notifications_belong_to_their_registration_until_a_reset() {
    let mut talk = Talk::new();
    talk.up(CON, GET, 1, b"o", &[(OBSERVE, b""), (PATH, b"7")], b"");
    talk.down(ACK, CONTENT, 1, b"o", &[(OBSERVE, &[1])], b"");
    for (id, number) in [(600, 2), (601, 3)] {
        talk.down(CON, CONTENT, id, b"o", &[(OBSERVE, &[number])], b"\xa0");
        talk.up(ACK, 0, id, b"", &[], b"");
        talk.wait(Duration::from_secs(100));
    }
    // One of two blocks, of which the client fetches the second.
    talk.down(CON, CONTENT, 602, b"o", &[(OBSERVE, &[4]), (BLOCK2, &block(0, true, 0))], &[0x80; 16]);
    talk.up(ACK, 0, 602, b"", &[], b"");
    talk.up(CON, GET, 2, b"q", &[(PATH, b"7"), (BLOCK2, &block(1, false, 0))], b"");
    talk.down(ACK, CONTENT, 2, b"q", &[(BLOCK2, &block(1, false, 0))], b"\x80");
    talk.down(CON, CONTENT, 603, b"o", &[(OBSERVE, &[5])], b"\xa0");
    talk.up(RST, 0, 603, b"", &[], b"");
    talk.down(CON, CONTENT, 604, b"o", &[(OBSERVE, &[6])], b"\xa0");
    let all = talk.end();
    let notification = |sequence| Kind::Notification { registration: 1, sequence: Some(sequence) };
    let kinds: Vec<_> = all.iter().map(|one| (one.kind, one.state)).collect();
    assert_eq!(
        kinds,
        [
            (Kind::Request, State::Complete),
            (notification(2), State::Complete),
            (notification(3), State::Complete),
            (notification(4), State::Complete),
            (notification(5), State::Reset),
            (Kind::Request, State::Cut),
        ]
    );
    assert!(all[..5].iter().all(|one| one.observe && one.path == "/_matrix/client/r0/sync"));
    assert_eq!(all[3].messages.len(), 4);
    assert_eq!(all[3].response_body.as_ref().unwrap().bytes, 17);
}

#[test]
fn a_deregistration_ends_the_notifications() {
    let mut talk = Talk::new();
    talk.up(CON, GET, 1, b"o", &[(OBSERVE, b""), (PATH, b"7")], b"");
    talk.down(ACK, CONTENT, 1, b"o", &[(OBSERVE, &[1])], b"\xa0");
    talk.up(CON, GET, 2, b"o", &[(OBSERVE, &[1]), (PATH, b"7")], b"");
    talk.down(ACK, CONTENT, 2, b"o", &[], b"\xa0");
    let all = talk.end();
    assert_eq!(all.iter().map(|one| one.observe).collect::<Vec<_>>(), [true, false]);
    assert!(all.iter().all(|one| one.kind == Kind::Request && one.state == State::Complete));
}

#[test]
fn the_cbor_version_and_capabilities_stay_with_the_session_and_a_token_is_noticed() {
    let mut talk = Talk::new();
    let token: Values = &[(PATH, b"7"), (256, b"secret-token"), (257, &[1]), (65020, &[1])];
    talk.up(NON, GET, 1, b"a", token, b"");
    talk.up(NON, GET, 2, b"b", &[(PATH, b"7")], b"");
    let all = talk.end();
    assert_eq!(all.iter().map(|one| one.access_token).collect::<Vec<_>>(), [true, false]);
    assert!(all.iter().all(|one| (one.cbor_version, one.capabilities) == (Some(1), Some(1))));
    assert!(talk.0.sessions()[0].access_token);
    let detail = talk.0.detail(&all[0]);
    let hidden = crate::detail::Value::Hidden { bytes: 12 };
    assert!(detail.messages[0].message.as_ref().unwrap().options.iter().any(|one| one.value == hidden));
    let bytes = &detail.messages[0].message.as_ref().unwrap().bytes;
    let expected =
        message(NON, GET, 1, b"a", &[(PATH, b"7"), (256, &[0; 12]), (257, &[1]), (65020, &[1])], b"");
    assert_eq!(bytes, &expected);
    assert!(!format!("{detail:?} {:?} {:?}", talk.0.capture, all).contains("secret-token"));

    let mut talk = Talk::with(Options { keep_access_tokens: true, ..Options::default() });
    talk.up(NON, GET, 1, b"a", token, b"");
    let exchange = talk.only();
    let options = talk.0.detail(&exchange).messages.remove(0).message.unwrap().options;
    assert!(options.iter().any(|one| one.value == crate::detail::Value::Text("secret-token".into())));
}

#[test]
fn an_exchange_is_told_of_once_it_has_been_quiet_and_a_later_copy_is_late() {
    let mut talk = Talk::new();
    talk.up(CON, GET, 1, b"a", &[(PATH, b"0")], b"");
    talk.down(ACK, CONTENT, 1, b"a", &[], b"\xa0");
    talk.up(CON, GET, 2, b"b", &[(PATH, b"7")], b"");
    talk.wait(Duration::from_secs(24));
    talk.up(CON, 0, 900, b"", &[], b"");
    assert_eq!(talk.told(), []);
    talk.wait(Duration::from_secs(2));
    talk.up(CON, GET, 1, b"a", &[(PATH, b"0")], b"");
    assert_eq!(talk.told(), [1]);
    let late: Vec<_> = talk.0.unread().iter().map(|one| one.why).collect();
    assert_eq!(late, [Why::Late { exchange: 1 }]);
    talk.wait(Duration::from_secs(220));
    talk.up(CON, 0, 901, b"", &[], b"");
    assert_eq!(talk.told(), [1]);
    talk.wait(Duration::from_secs(5));
    talk.up(CON, 0, 902, b"", &[], b"");
    assert_eq!(talk.told(), [1, 2]);
    // The id has been free again for a new message.
    talk.up(CON, GET, 1, b"a", &[(PATH, b"0")], b"");
    assert_eq!(talk.0.unread().len(), 1);
}

#[test]
fn one_open_exchange_too_many_pushes_the_oldest_out() {
    let mut talk = Talk::limited(Limits { open_exchanges: 2, ..Limits::default() });
    for id in 1..4 {
        talk.up(CON, GET, id, &[id as u8], &[(PATH, b"0")], b"");
    }
    assert_eq!(talk.told(), [1]);
    let all = talk.end();
    assert_eq!(all[0].notes, [Note::PushedOut]);
    assert_eq!(all.len(), 3);
}

#[test]
fn ids_of_settled_exchanges_are_forgotten_beyond_the_limit() {
    let mut talk = Talk::limited(Limits { settled_ids: 1, open_exchanges: 1, ..Limits::default() });
    for id in [1, 2, 3, 1, 2] {
        talk.up(CON, GET, id, &[id as u8], &[(PATH, b"0")], b"");
    }
    assert_eq!(talk.0.whys(), [], "the ids of 1 and 2 had been forgotten");
    assert_eq!(talk.end().len(), 5);
}

#[test]
fn bodies_and_lists_of_messages_have_limits() {
    let mut talk = Talk::limited(Limits { body: 20, ..Limits::default() });
    upload(&mut talk, &[0, 1, 2]);
    let exchange = talk.only();
    assert_eq!(exchange.notes, [Note::BodyTooLarge]);
    assert_eq!(exchange.request_body.unwrap().json_bytes, None);

    let mut talk = Talk::limited(Limits { bodies: 20, ..Limits::default() });
    upload(&mut talk, &[0, 1, 2]);
    assert_eq!(talk.only().notes, [Note::BodyTooLarge]);

    let mut talk = Talk::limited(Limits { messages: 3, ..Limits::default() });
    upload(&mut talk, &[0, 1, 2]);
    let exchange = talk.only();
    assert_eq!((exchange.messages.len(), exchange.notes), (3, vec![Note::TooManyMessages]));
    assert_eq!((exchange.up.datagrams, exchange.down.datagrams), (3, 3));
}

#[test]
fn paths_and_queries_have_a_limit() {
    let told = |most: usize, path: &[&str], query: &[&str]| {
        let mut talk = Talk::limited(Limits { target: most, ..Limits::default() });
        let path = path.iter().map(|value| (PATH, value.as_bytes()));
        let options: Vec<_> = path.chain(query.iter().map(|value| (QUERY, value.as_bytes()))).collect();
        talk.up(CON, GET, 1, b"a", &options, b"");
        let Exchange { path, query, notes, .. } = talk.only();
        (path, query.join("&"), notes.contains(&Note::TargetCut))
    };
    let expected = |path: &str, query: &str, is_cut| (path.to_owned(), query.to_owned(), is_cut);
    assert_eq!(told(73, &["ab", "cd"], &["e=f", "g"]), expected("/ab/cd", "e=f", true));
    assert_eq!(told(74, &["ab", "cd"], &["e=f", "g"]), expected("/ab/cd", "e=f&g", false));
    assert_eq!(told(5, &["ab", "cd"], &["e"]), expected("/ab/c", "", true));
    // An odd path is written as it came.
    assert_eq!(told(5, &["..", "é"], &["a"]), expected("/../", "", true));
}

#[test]
fn details_have_a_limit() {
    let told = |details: usize| {
        let mut talk = Talk::limited(Limits { details, ..Limits::default() });
        for _ in 0..3 {
            talk.up(CON, GET, 1, b"a", &[(PATH, b"0")], &[0x80; 1000]);
        }
        talk.down(ACK, CONTENT, 1, b"a", &[], b"\xa0");
        let exchange = talk.only();
        let detail = talk.0.detail(&exchange);
        detail.messages.iter().map(|one| one.message.clone().map(|_| ())).collect::<Vec<_>>()
    };
    let too_long = Err(Why::DetailTooLong);
    assert_eq!(told(3_500), [Ok(()), too_long, too_long, Ok(())]);
    assert_eq!(told(7_000), [Ok(()), Ok(()), too_long, Ok(())]);
    assert_eq!(told(1 << 20), [Ok(()); 4]);
}

#[test]
fn messages_of_all_open_exchanges_have_a_limit() {
    let mut talk = Talk::limited(Limits { open_messages: 4, ..Limits::default() });
    for id in [1, 2, 3, 3, 3, 4] {
        talk.up(CON, GET, id, &[id as u8], &[(PATH, b"0")], b"");
        if id == 2 {
            talk.down(ACK, CONTENT, id, &[id as u8], &[], b"\xa0");
        }
    }
    // First the one that is complete, then the oldest.
    assert_eq!(talk.told(), [2, 1]);
    let all = talk.end();
    assert_eq!(all.iter().map(|one| one.messages.len()).collect::<Vec<_>>(), [1, 2, 3, 1]);
    assert_eq!(all.iter().map(|one| one.notes.len()).collect::<Vec<_>>(), [1, 0, 0, 0]);
    assert_eq!(all[0].notes, [Note::PushedOut]);
}

#[test]
fn what_finds_exchanges_stays_within_their_limits() {
    let limits = Limits { open_exchanges: 2, messages: 3, settled_ids: 5, ..Limits::default() };
    let mut exchanges = Exchanges::new(&Options { limits, ..Options::default() });
    let (client, server) = (address(CLIENT), address(COAP));
    let mut session = Session::new(1, client, server, Time(0));
    let mut pass = |exchanges: &mut Exchanges, number: u16, options: Values| {
        let bytes = message(NON, GET, number, &number.to_be_bytes(), options, b"");
        let (frame, time, mark) = (number.into(), Time(number.into()), Mark::First);
        let reference =
            MessageRef { frame, offset: None, length: 0, record_at: 0, time, from_client: true, mark };
        let traffic = crate::Traffic::default();
        exchanges.receive(&mut session, &Arrived { reference, traffic, bytes: &bytes }, &mut |_| {});
        assert!(exchanges.open.len() <= 2 && exchanges.schedule.len() <= 13);
        assert!(exchanges.settled_ids.len() <= 5 && exchanges.ids.len() <= 5 + 2 * 3);
        assert!(exchanges.tokens.len() <= 2 * 3 && exchanges.names.len() <= 2 && exchanges.done.len() <= 5);
    };
    for number in 0..100 {
        pass(&mut exchanges, number, &[(PATH, &number.to_be_bytes())]);
    }
    for number in 100..200 {
        pass(&mut exchanges, number, &[(PATH, b"x"), (BLOCK2, &block(u8::from(number > 100), false, 0))]);
    }
    // Last blocks alone under many tags, then blocks of one request.
    for number in 200..300 {
        pass(&mut exchanges, number, &[(BLOCK1, &block(2, false, 0)), (292, &number.to_be_bytes())]);
    }
    for number in 300..400 {
        pass(&mut exchanges, number, &[(BLOCK1, &block(number as u8 % 16, true, 0)), (292, b"t")]);
    }
}

#[test]
fn observers_beyond_the_limit_are_forgotten_the_oldest_first() {
    let mut talk = Talk::limited(Limits { registrations: 2, ..Limits::default() });
    for id in 1..4 {
        talk.up(CON, GET, id, &[id as u8], &[(OBSERVE, b""), (PATH, b"7")], b"");
        talk.down(ACK, CONTENT, id, &[id as u8], &[(OBSERVE, &[1])], b"\xa0");
    }
    for id in 1..4 {
        talk.down(NON, CONTENT, 900 + id, &[id as u8], &[(OBSERVE, &[2])], b"\xa0");
    }
    let registrations: Vec<_> = talk.end()[3..]
        .iter()
        .filter_map(|one| match one.kind {
            Kind::Notification { registration, .. } => Some(registration),
            _ => None,
        })
        .collect();
    assert_eq!(registrations, [2, 3]);
}

#[test]
fn bodies_say_what_they_are_and_what_is_wrong_with_them() {
    let kind = |format: Option<&[u8]>, code: u8, payload: &[u8]| {
        let mut talk = Talk::new();
        talk.up(CON, GET, 1, b"a", &[(PATH, b"0")], b"");
        let with = format.map(|value| [(FORMAT, value)]);
        talk.down(ACK, code, 1, b"a", with.as_ref().map_or(&[], |one| &one[..]), payload);
        let Exchange { response_body, notes, .. } = talk.only();
        let body = response_body.unwrap();
        let offset = body.error.map(|error| match error {
            BodyError::Malformed(error) => error.offset,
            other => panic!("{other}"),
        });
        (body.kind, body.json_bytes, offset, notes)
    };
    assert_eq!(kind(Some(&[60]), CONTENT, b"\xa0"), (BodyKind::Cbor, Some(2), None, vec![]));
    assert_eq!(kind(Some(&[50]), CONTENT, b"{ }"), (BodyKind::Json, Some(3), None, vec![]));
    assert_eq!(
        kind(Some(&[50]), CONTENT, b"\xa0"),
        (BodyKind::Cbor, Some(2), None, vec![Note::MislabelledCbor])
    );
    assert_eq!(kind(Some(&[60]), CONTENT, b"\xa1\x02"), (BodyKind::Cbor, None, Some(2), vec![]));
    assert_eq!(kind(Some(&[50]), CONTENT, b"{\"a\":nul}"), (BodyKind::Json, None, Some(5), vec![]));
    assert_eq!(kind(Some(b""), CONTENT, b"text"), (BodyKind::Text, None, None, vec![]));
    assert_eq!(kind(Some(&[40]), CONTENT, b"</x>"), (BodyKind::Other, None, None, vec![]));
    assert_eq!(kind(None, 0x84, b"no"), (BodyKind::Text, None, None, vec![]));
    assert_eq!(kind(None, 0x84, b"\xa0"), (BodyKind::Cbor, Some(2), None, vec![]));
}

#[test]
fn lists_and_their_blocks_belong_to_the_exchange_of_their_body() {
    let path: (u16, &[u8]) = (PATH, b"0");
    let etag: (u16, &[u8]) = (ETAG, b"e");
    let part = |num: u8| [0x60 | (num + 1); 16];
    // A list beside the request: its blocks come before the first one, and one is lost.
    let mut talk = Talk::new();
    talk.up(
        CON,
        GET,
        1,
        b"a",
        &[path, (Q_BLOCK2, &block(1, false, 0)), (Q_BLOCK2, &block(2, false, 0))],
        b"",
    );
    talk.down(NON, CONTENT, 50, b"a", &[etag, (Q_BLOCK2, &block(1, true, 0))], &part(1));
    talk.down(ACK, CONTENT, 1, b"a", &[etag, (BLOCK2, &block(0, true, 0))], &part(0));
    talk.up(
        NON,
        GET,
        2,
        b"b",
        &[path, (Q_BLOCK2, &block(2, false, 0)), (Q_BLOCK2, &block(3, false, 0))],
        b"",
    );
    talk.down(NON, CONTENT, 51, b"b", &[etag, (Q_BLOCK2, &block(2, true, 0))], &part(2));
    // A copy that the network has made, and a block that was sent before.
    talk.up(
        NON,
        GET,
        2,
        b"b",
        &[path, (Q_BLOCK2, &block(2, false, 0)), (Q_BLOCK2, &block(3, false, 0))],
        b"",
    );
    talk.up(NON, GET, 3, b"c", &[path, (Q_BLOCK2, &block(3, false, 0))], b"");
    talk.down(NON, CONTENT, 52, b"b", &[etag, (Q_BLOCK2, &block(3, false, 0))], &part(3)[..4]);
    talk.down(NON, CONTENT, 53, b"c", &[etag, (Q_BLOCK2, &block(3, false, 0))], &part(3)[..4]);
    // The same path again is another exchange, for the request is confirmable.
    talk.up(CON, GET, 4, b"d", &[path, (Q_BLOCK2, &block(1, false, 0))], b"");
    talk.down(ACK, CONTENT, 4, b"d", &[], b"\xa0");
    let all = talk.end();
    assert_eq!(all.iter().map(|one| one.state).collect::<Vec<_>>(), [State::Complete; 2]);
    // A copy, block 3 asked for again, and sent again.
    assert_eq!((all[0].repeats, all[0].messages.len()), (3, 9));
    let body = all[0].response_body.as_ref().unwrap();
    assert_eq!((body.bytes, body.blocks), (52, 4));
    assert_eq!((&all[0].notes[..], &all[1].notes[..]), (&[Note::BlocksOutOfOrder][..], &[][..]));
    let detail = talk.0.detail(&all[0]);
    assert_eq!(
        detail.response_body.unwrap().bytes,
        [&part(0)[..], &part(1), &part(2), &part(3)[..4]].concat()
    );
}

#[test]
fn a_body_that_is_sent_set_by_set_is_one_exchange() {
    let path: (u16, &[u8]) = (PATH, b"0");
    let mut talk = Talk::new();
    talk.up(NON, GET, 1, b"a", &[path, (Q_BLOCK2, &block(0, true, 0))], b"");
    for num in 0..10 {
        talk.down(NON, CONTENT, 50 + u16::from(num), b"a", &[(Q_BLOCK2, &block(num, true, 0))], &[0x61; 16]);
    }
    // A Continue, which may be confirmable.
    talk.up(CON, GET, 2, b"b", &[path, (Q_BLOCK2, &block(10, true, 0))], b"");
    talk.down(ACK, CONTENT, 2, b"b", &[(Q_BLOCK2, &block(10, false, 0))], b"end");
    let exchange = talk.only();
    assert_eq!((exchange.state, exchange.messages.len(), exchange.repeats), (State::Complete, 13, 0));
    assert_eq!((exchange.response_body.unwrap().bytes, exchange.notes), (163, vec![]));
}

#[test]
fn odd_paths_q_blocks_and_used_tokens_are_noted() {
    let mut talk = Talk::new();
    talk.up(NON, GET, 1, b"a", &[(PATH, b"x"), (PATH, b"..")], b"");
    talk.up(NON, PUT, 2, b"b", &[(PATH, b"9"), (19, &[8])], b"x");
    talk.up(NON, GET, 3, b"a", &[(PATH, b"0")], b"");
    let all = talk.end();
    assert_eq!(all[0].notes, [Note::OddPath, Note::TokenReused]);
    assert_eq!(all[0].path, "/x/..");
    assert_eq!(all[1].notes, [Note::OddPath, Note::QBlock]);
    assert_eq!(all[2].notes, []);
}

#[test]
fn malformed_messages_are_told_with_the_reason() {
    let mut talk = Talk::new();
    talk.0.pass(CLIENT, COAP, b"\x40\x01\x00\x01\xff");
    assert!(matches!(talk.0.events[..], [Event::Unread(_)]));
    assert_eq!(talk.0.whys(), [(1, "malformed_message")]);
    talk.0.pass_cut(CLIENT, COAP, b"\x40\x01\x00\x01", 9);
    assert_eq!(talk.0.whys().last(), Some(&(2, "truncated")));
}
