//! Without `hold_headers`: the headers are right and have left before anything is known of the body.

use crate::host::{Fate, Message, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::{cbor_to_json, json_to_cbor};
use lowband_translation::config::{Advertise, Config};
use lowband_translation::exchange::Exchange;
use lowband_translation::metrics::Metric::{Messages, Refused};
use lowband_translation::metrics::{Direction, Outcome, Reason};
use lowband_translation::step::Then;

const HELD: usize = 100;

fn config() -> Config {
    Config { hold_headers: false, hold_response_bytes: HELD, max_request_bytes: 500, ..Config::default() }
}

/// Makes a stream whose client reads CBOR, and whose request has gone on.
fn asked() -> Exchange {
    let mut exchange = Exchange::new(config());
    pass(&mut exchange, &REQUEST, &get(&[("accept", CBOR)])).sent();
    exchange
}

fn document(size: usize) -> Vec<u8> {
    format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8)).into_bytes()
}

/// Returns the message in each way in which its body may come.
fn ways(message: &Message) -> impl Iterator<Item = Message> + use<> {
    let (message, body) = (message.clone(), message.pieces.concat());
    [(1, false, false), (7, true, false), (usize::MAX, false, false), (7, false, true), (7, true, true)]
        .into_iter()
        .map(move |(size, late_end, trailers)| {
            let pieces = body.chunks(size).map(<[u8]>::to_vec).collect();
            Message { pieces, late_end, trailers, ..message.clone() }
        })
}

#[test]
fn a_request_tells_no_length_and_its_body_is_the_whole_json() {
    let cbor = json_to_cbor(EVENT.as_bytes()).unwrap();
    let told = cbor.len().to_string();
    let fields =
        [("content-type", CBOR), ("content-length", &told), ("content-digest", "x"), ("accept", CBOR)];
    for request in ways(&post(&fields, &cbor)) {
        let (sent, body) = pass(&mut Exchange::new(config()), &REQUEST, &request).sent();
        assert_eq!(body, EVENT.as_bytes());
        for (name, expected) in [
            ("content-type", Some(JSON)),
            ("accept", Some(JSON)),
            ("content-length", None),
            ("content-digest", None),
        ] {
            assert_eq!(value(&sent, name).as_deref(), expected, "{name}");
        }
    }
}

#[test]
fn the_headers_of_a_request_never_wait_and_its_body_does() {
    let mut exchange = Exchange::new(config());
    let request = post(&[("content-type", CBOR)], b"");
    assert_eq!(exchange.request_headers(&headers(&request), false).then, Then::Forward);
    assert!(!exchange.headers_wait(Direction::Request));
    assert_eq!(exchange.request_body(1, false).then, Then::Hold);
    assert_eq!(exchange.request_body(1, true).then, Then::Take);
    let step = exchange.request_taken(b"\xa0");
    assert_eq!((step.edits, step.then), (vec![], Then::Replace(b"{}".to_vec())));
}

#[test]
fn a_broken_request_is_answered_and_nothing_of_its_body_leaves() {
    let cbor = json_to_cbor(EVENT.as_bytes()).unwrap();
    for cut in 1..cbor.len() {
        for request in ways(&post(&[("content-type", CBOR)], &cbor[..cut])) {
            let reply = pass(&mut Exchange::new(config()), &REQUEST, &request).replied();
            assert_eq!(errcode(&reply), (400, "M_NOT_JSON".to_owned()));
        }
    }
    let long = [&b"\x79\x01\xf4"[..], &[b'x'; 500]].concat();
    for request in ways(&post(&[("content-type", CBOR)], &long)) {
        let reply = pass(&mut Exchange::new(config()), &REQUEST, &request).replied();
        assert_eq!(errcode(&reply), (413, "M_TOO_LARGE".to_owned()));
    }
}

#[test]
fn what_the_headers_show_is_refused_before_they_leave() {
    for (fields, status) in [
        ([("content-type", CBOR), ("content-encoding", "gzip")], 415),
        ([("content-type", CBOR), ("content-length", "501")], 413),
    ] {
        let step = Exchange::new(config()).request_headers(&headers(&post(&fields, b"")), false);
        let Then::Reply(reply) = step.then else { panic!("{:?}", step.then) };
        assert_eq!(errcode(&reply).0, status);
    }
}

#[test]
fn an_answer_that_is_known_to_be_short_is_held_and_has_definite_lengths_but_tells_none() {
    for size in [20, HELD] {
        let json = document(size);
        let fields =
            [("content-type", JSON), ("etag", "e"), ("digest", "x"), ("content-length", &size.to_string())];
        for answer in ways(&ok(&fields, &json)) {
            let (sent, body) = pass(&mut asked(), &RESPONSE, &answer).sent();
            assert_eq!(body, json_to_cbor(&json).unwrap());
            for (name, expected) in [
                ("content-type", Some(CBOR)),
                ("vary", Some("Accept")),
                ("etag", Some("e")),
                ("content-length", None),
                ("digest", None),
            ] {
                assert_eq!(value(&sent, name).as_deref(), expected, "{name}");
            }
        }
    }
}

#[test]
fn an_answer_that_is_long_or_may_be_flows() {
    for (size, told) in [(HELD + 200, true), (HELD + 200, false), (20, false)] {
        let json = document(size);
        let mut answer = ok(&[("content-type", JSON)], &json);
        answer.fields.extend(told.then(|| (b"content-length".to_vec(), size.to_string().into_bytes())));
        for answer in ways(&answer).filter(|answer| answer.pieces.len() > 1) {
            let (sent, body) = pass(&mut asked(), &RESPONSE, &answer).sent();
            assert_eq!((body[0], cbor_to_json(&body).unwrap()), (0xbf, json.clone()));
            assert_eq!(value(&sent, "content-length"), None);
        }
    }
}

#[test]
fn with_no_bytes_to_hold_the_first_piece_leaves_at_once() {
    let mut exchange = Exchange::new(Config { hold_response_bytes: 0, ..config() });
    pass(&mut exchange, &REQUEST, &get(&[("accept", CBOR)])).sent();
    exchange.response_headers(&headers(&ok(&[("content-type", JSON)], b"")), false);
    assert_eq!(exchange.response_body(0, false).then, Then::Hold);
    assert_eq!(exchange.response_body(2, false).then, Then::Take);
    assert_eq!(exchange.response_taken(b"[1").then, Then::Replace(vec![0x9f]));
}

#[test]
fn a_broken_answer_is_cut() {
    for size in [50, 300] {
        let whole = document(size);
        let incomplete = whole[..size - 1].to_vec();
        for broken in [&incomplete, &[b"<", &whole[..]].concat(), &[&whole[..], b"}"].concat()] {
            let unannounced = ok(&[("content-type", JSON)], broken);
            for answer in ways(&unannounced).chain(ways(&json(broken))) {
                let (sent, body) = pass(&mut asked(), &RESPONSE, &answer).cut();
                assert_eq!(value(&sent, "content-length"), None);
                let waited = value(&answer.fields, "content-length").is_some() && size <= HELD;
                assert!(body.is_empty() || !waited);
                assert!(broken.ends_with(b"}}") || cbor_to_json(&body).is_err(), "it must not look whole");
            }
        }
    }
}

#[test]
fn nothing_follows_a_cut() {
    let mut exchange = asked();
    exchange.response_headers(&headers(&ok(&[("content-type", JSON)], b"")), false);
    assert_eq!(exchange.response_body(1, true).then, Then::Take);
    assert_eq!(exchange.response_taken(b"{").then, Then::Cut);
    assert_eq!(exchange.response_body(2, true).then, Then::Hold);
    assert_eq!(exchange.response_trailers().then, Then::Hold);
    let failed = [
        (Messages(Direction::Response, Outcome::Cut), 1),
        (Refused(Direction::Response, Reason::Incomplete), 1),
    ];
    assert_eq!(exchange.counted().skip(1).collect::<Vec<_>>(), failed);
}

#[test]
fn an_empty_body_stays_empty() {
    for end in [false, true] {
        let answer = Message { late_end: end, ..ok(&[("content-type", JSON)], b"") };
        assert_eq!(pass(&mut asked(), &RESPONSE, &answer).sent().1, b"");
        let request = Message { late_end: end, ..post(&[("content-type", CBOR)], b"") };
        let (sent, body) = pass(&mut Exchange::new(config()), &REQUEST, &request).sent();
        assert_eq!((body.as_slice(), value(&sent, "content-type").as_deref()), (&b""[..], Some(JSON)));
    }
}

#[test]
fn what_is_not_translated_goes_on_as_if_headers_were_held() {
    let bare = |message: Message| Message { pieces: Vec::new(), ..message };
    let head = |mut request: Message| {
        request.fields[0].1 = b"HEAD".to_vec();
        request
    };
    let status = |status: &str, mut answer: Message| {
        answer.fields[0].1 = status.into();
        answer
    };
    let (reads_cbor, reads_json) = (get(&[("accept", CBOR)]), get(&[("accept", JSON)]));
    for (request, answer) in [
        (head(reads_cbor.clone()), bare(json(b"{}"))),
        (reads_cbor.clone(), bare(status("304", json(b"{}")))),
        (reads_cbor.clone(), bare(status("204", ok(&[], b"")))),
        (reads_cbor.clone(), bare(json(b""))),
        (reads_cbor.clone(), status("206", json(b"{\"a"))),
        (
            reads_cbor.clone(),
            ok(&[("content-type", JSON), ("content-encoding", "gzip"), ("content-length", "2")], b"\x1f\x8b"),
        ),
        (reads_cbor.clone(), ok(&[("content-type", "image/png"), ("content-length", "1")], b"\x89")),
        (reads_json, status("404", json(b"{ \"errcode\" : 1 }"))),
        (post(&[("content-type", JSON), ("content-length", "2")], b"{}"), json(b"{}")),
        (bare(post(&[("content-type", CBOR), ("content-length", "0")], b"")), bare(json(b""))),
    ] {
        let through = |config: Config| {
            let mut exchange = Exchange::new(config);
            (pass(&mut exchange, &REQUEST, &request), pass(&mut exchange, &RESPONSE, &answer))
        };
        assert_eq!(through(config()), through(Config { hold_headers: true, ..config() }));
    }
}

#[test]
fn a_document_loses_its_length_where_something_may_be_exchanged_in_it() {
    let advertise = Advertise { dtls_port: Some(8008), ..Advertise::default() };
    let long = [b"{}", &[b' '; HELD][..]].concat();
    for (body, told, exchanged, length) in [
        (b"{}".to_vec(), true, true, false),
        (b"{\"a\"".to_vec(), true, false, false),
        (long.clone(), false, false, false),
        (long, true, false, true),
    ] {
        let mut exchange = Exchange::new(Config { advertise: advertise.clone(), ..config() });
        let mut request = get(&[]);
        request.fields[1].1 = b"/_matrix/client/versions".to_vec();
        pass(&mut exchange, &REQUEST, &request).sent();
        let answer = if told { json(&body) } else { ok(&[("content-type", JSON)], &body) };
        let pieces = body.chunks(3).map(<[u8]>::to_vec).collect();
        let (sent, got) =
            pass(&mut exchange, &RESPONSE, &Message { pieces, late_end: true, ..answer }).sent();
        assert_eq!(got.windows(7).any(|text| text == b"msc3079"), exchanged);
        assert!(exchanged || got == body);
        assert_eq!(value(&sent, "content-length"), length.then(|| body.len().to_string()));
    }
}

#[test]
fn an_answer_may_come_before_the_request_has_ended() {
    let begun = || {
        let mut exchange = Exchange::new(config());
        exchange.request_headers(&headers(&post(&[("content-type", CBOR)], b"")), false);
        exchange.request_body(1, false);
        exchange
    };
    let mut exchange = begun();
    assert_eq!(pass(&mut exchange, &RESPONSE, &json(b"{}")).sent().1, b"\xa0");

    // The request then turns out to be broken. It is too late to report that to the client, and no part of
    // the answer passes unchanged.
    for (request, reason) in [(&b"\xff"[..], Reason::Malformed), (&[0; 501], Reason::TooLarge)] {
        let mut exchange = begun();
        assert_eq!(exchange.response_headers(&headers(&json(b"{}")), false).then, Then::Forward);
        assert_eq!(exchange.response_body(1, false).then, Then::Hold);
        let step = match exchange.request_body(request.len(), true).then {
            Then::Take => exchange.request_taken(request),
            then => then.into(),
        };
        assert_eq!(step.then, Then::Cut);
        assert_eq!(exchange.response_body(2, true).then, Then::Hold);
        let failed =
            [(Messages(Direction::Request, Outcome::Cut), 1), (Refused(Direction::Request, reason), 1)];
        assert_eq!(exchange.counted().collect::<Vec<_>>(), failed);
    }
}

#[test]
fn a_call_that_the_host_refuses_is_told_while_the_headers_are_here_and_cuts_after_that() {
    let mut exchange = asked();
    let answer = ok(&[("content-type", JSON)], b"");
    exchange.response_headers(&headers(&answer), false);
    assert!(matches!(exchange.host_refused(Direction::Response).then, Then::Reply(_)));

    let mut exchange = asked();
    exchange.response_headers(&headers(&answer), false);
    exchange.response_body(2, true);
    assert_eq!(exchange.response_taken(b"{}").then, Then::Replace(vec![0xa0]));
    assert_eq!(exchange.host_refused(Direction::Response).then, Then::Cut);

    let mut exchange = Exchange::new(config());
    exchange.request_headers(&headers(&post(&[("content-type", CBOR)], b"")), false);
    exchange.request_body(1, true);
    exchange.request_taken(b"\xa0");
    assert!(matches!(exchange.host_refused(Direction::Request).then, Then::Reply(_)));
}

proptest::proptest! {
    #[test]
    fn bodies_are_those_that_held_headers_give(
        (request, response) in proptest::arbitrary::any::<(Vec<u8>, Vec<u8>)>(),
        (valid, trailers, late_end) in proptest::arbitrary::any::<(bool, bool, bool)>(),
        size in 1..200usize,
    ) {
        let json_of = |bytes: &[u8]| serde_json::to_vec(&bytes).unwrap();
        let request = if valid { json_to_cbor(&json_of(&request)).unwrap() } else { request };
        let response = if valid { json_of(&response) } else { response };
        let cut = |message: Message| {
            let pieces = message.pieces.concat().chunks(size).map(<[u8]>::to_vec).collect();
            Message { pieces, trailers, late_end, ..message }
        };
        let through = |hold_headers| {
            let mut exchange = Exchange::new(Config { hold_headers, ..config() });
            let sent = pass(&mut exchange, &REQUEST, &cut(post(&[("content-type", CBOR)], &request)));
            let ends = matches!(sent, Fate::Replied(_));
            (sent, (!ends).then(|| pass(&mut exchange, &RESPONSE, &cut(json(&response)))))
        };
        let body = |fate: Fate| match fate {
            Fate::Sent(_, body) => Some(body),
            Fate::Replied(_) | Fate::Cut(..) => None,
        };
        let ((held, held_answer), (early, early_answer)) = (through(true), through(false));
        proptest::prop_assert_eq!(body(held), body(early));
        proptest::prop_assert_eq!(held_answer.and_then(body), early_answer.and_then(body));
    }
}
