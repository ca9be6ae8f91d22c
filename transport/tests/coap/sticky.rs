//! What sticks to a session, whatever becomes of the request that carried it: each way in which a request can
//! end, with a token before, in and after it.

use super::peer::*;
use super::sim::{SECOND, body};
use lowband_transport::SessionId;
use lowband_transport::coap::{AccessToken, Code, Limits, ServerEvent, Standing};
use lowband_wire::coap::numbers::MAX_ACCESS_TOKEN;

/// A message without its token, its name, and the code that answers it at once; 0.00 stands for none.
type End = (&'static str, fn(u16) -> Make, Code);

fn request(id: u16) -> Make {
    make(CON, GET, id).path("x")
}

const ENDS: [End; 17] = [
    ("handed on", request, Code::EMPTY),
    ("handed on, non-confirmable", |id| make(NON, GET, id).path("x"), Code::EMPTY),
    ("unknown critical option", |id| request(id).option(9, b""), Code::BAD_OPTION),
    ("the same, non-confirmable", |id| make(NON, GET, id).path("x").option(9, b""), Code::EMPTY),
    ("critical option of a wrong length", |id| request(id).option(17, b"123"), Code::BAD_OPTION),
    ("method that is not served", |id| make(CON, Code::new(0, 5), id).path("x"), Code::METHOD_NOT_ALLOWED),
    ("dot segment", |id| request(id).path(".."), Code::BAD_REQUEST),
    ("reserved block size", |id| request(id).option(BLOCK1, &[7]), Code::BAD_REQUEST),
    ("forward proxy", |id| request(id).option(35, b"coap://x"), Code::PROXYING_NOT_SUPPORTED),
    (
        "block of an unknown body",
        |id| request(id).block(BLOCK2, 3, false, 1024),
        Code::REQUEST_ENTITY_INCOMPLETE,
    ),
    (
        "upload without its beginning",
        |id| make(CON, PUT, id).path("y").block(BLOCK1, 3, true, 16).payload(&[0; 16]),
        Code::REQUEST_ENTITY_INCOMPLETE,
    ),
    (
        "block of a wrong size",
        |id| make(CON, PUT, id).path("y").block(BLOCK1, 0, true, 16).payload(&[0; 3]),
        Code::BAD_REQUEST,
    ),
    (
        "upload that is too large",
        |id| {
            let block = make(CON, PUT, id).path("y").block(BLOCK1, 0, true, 16);
            block.option(SIZE1, &[0xff; 4]).payload(&[0; 16])
        },
        Code::REQUEST_ENTITY_TOO_LARGE,
    ),
    (
        "upload under way",
        |id| make(CON, PUT, id).path("y").block(BLOCK1, 0, true, 16).payload(&[0; 16]),
        Code::CONTINUE,
    ),
    (
        "upload in one block",
        |id| make(CON, PUT, id).path("y").block(BLOCK1, 0, false, 16).payload(&[0; 3]),
        Code::EMPTY,
    ),
    ("too many requests", |id| request(id).path("busy"), Code::SERVICE_UNAVAILABLE),
    ("no memory for copies", |id| request(id).path("full"), Code::EMPTY),
];

/// Makes a peer to which this end comes.
fn peer_for(end: &str) -> Peer {
    let limits = match end {
        "too many requests" => Limits { exchanges_per_session: 1, ..Limits::default() },
        "no memory for copies" => Limits { dedup_total: 1, ..Limits::default() },
        _ => return Peer::new(),
    };
    Peer::with(limits)
}

/// Uses up what this end lacks.
fn use_up(peer: &mut Peer, end: &str) {
    match end {
        "too many requests" => peer.send(&make(CON, GET, 60_000).path("waits")),
        "no memory for copies" => {
            peer.send_bytes(SessionId(2), &make(CON, GET, 60_000).path("waits").bytes())
        }
        _ => return,
    };
}

/// Returns what holds for a request that carries nothing, once all limits are far again.
fn holds(peer: &mut Peer) -> Option<String> {
    for event in peer.events() {
        if let ServerEvent::Request { exchange, .. } = event {
            peer.respond(exchange, b"");
        }
    }
    peer.wait(300 * SECOND);
    peer.events();
    peer.send(&make(CON, GET, 61_000).path("says/nothing"));
    standing(peer).access_token.map(|token| token.as_str().to_owned())
}

/// Returns what holds for the one request that has reached the caller.
fn standing(peer: &mut Peer) -> Standing {
    let mut standings = peer.events().into_iter().filter_map(|event| match event {
        ServerEvent::Request { standing, .. } => Some(standing),
        _ => None,
    });
    match (standings.next(), standings.next()) {
        (Some(standing), None) => standing,
        other => panic!("one request was expected, not {other:?}"),
    }
}

/// What messages carry one after the other, and what holds then.
type Said<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Option<&'a [u8]>, Option<&'a str>);

fn token(made: Make, token: &[u8]) -> Make {
    made.option(AUTHORIZATION, token)
}

#[test]
fn what_a_message_says_holds_whatever_becomes_of_its_request() {
    let too_long = [b'x'; MAX_ACCESS_TOKEN + 1];
    // What was carried before the request, in it and after it, and what holds then; `None` carries nothing,
    // "" says "without a token".
    let said: [Said; 9] = [
        (None, Some(b"bob"), None, Some("bob")),
        (Some(b"alice"), Some(b"bob"), None, Some("bob")),
        (Some(b"alice"), Some(b"Bearer bob"), Some(b"carol"), Some("carol")),
        (Some(b"alice"), None, None, Some("alice")),
        (Some(b"alice"), Some(b""), None, None),
        (Some(b"alice"), Some(b"bob\xff"), None, None),
        (Some(b"alice"), Some(b"bob smith"), None, None),
        (Some(b"alice"), Some(&too_long), None, None),
        (Some(b"alice"), Some(&too_long), Some(b"carol"), Some("carol")),
    ];
    for (end, made, code) in ENDS {
        for (before, inside, after, holding) in said {
            let row = format!(
                "{end}: {holding:?} after {before:02x?}, {:?}, {after:02x?}",
                inside.map(<[u8]>::len)
            );
            let mut peer = peer_for(end);
            if let Some(before) = before {
                peer.send(&token(make(CON, GET, 1).path("before"), before));
                let ServerEvent::Request { exchange, .. } = peer.events().remove(0) else { panic!("{row}") };
                peer.respond(exchange, b"");
                peer.wait(300 * SECOND);
            }
            use_up(&mut peer, end);
            let made = inside.map_or(made(2), |inside| token(made(2), inside));
            let answers = peer.send(&made);
            let is_readable = inside
                .is_none_or(|inside| inside.is_ascii() && !inside.contains(&b' ') && inside.len() < 100);
            if is_readable {
                assert_eq!(answers.first().map_or(Code::EMPTY, Got::code), code, "{row}");
            } else {
                // The request is refused for its credential, or for what is wrong beside it.
                let refused = |answer: &Got| answer.code().class() == 4 || answer.code() == code;
                assert!(answers.iter().all(refused), "{row}: {answers:?}");
            }
            if let Some(after) = after {
                peer.send(&token(make(CON, Code::new(0, 5), 3), after));
                // A copy of the earlier message was delayed and comes now. Without memory it
                // cannot be recognised.
                if end != "no memory for copies" {
                    peer.send(&made);
                }
            }
            assert_eq!(holds(&mut peer).as_deref(), holding, "{row}");
        }
    }
}

#[test]
fn a_credential_that_cannot_be_read_is_refused_by_its_name_and_never_passed_over() {
    let longest = vec![b'x'; MAX_ACCESS_TOKEN];
    let mut peer = Peer::new();
    peer.send(&token(request(1), &longest));
    assert_eq!(standing(&mut peer).access_token.map(|token| token.as_str().len()), Some(MAX_ACCESS_TOKEN));
    let unreadable: [(&[&[u8]], Code, &str); 5] = [
        (&[&[&longest[..], b"x"].concat()], Code::BAD_OPTION, "4,096 bytes"),
        (&[b"bob\xff\xfe"], Code::BAD_REQUEST, "UTF-8"),
        (&[b"bob\r\nx-evil: 1"], Code::BAD_REQUEST, "characters"),
        (&[b"bob", b"bob"], Code::BAD_OPTION, "repeated"),
        (&[b"", b""], Code::BAD_OPTION, "repeated"),
    ];
    for (at, (values, code, word)) in unreadable.into_iter().enumerate() {
        let made = values.iter().fold(request(2 + at as u16), |made, value| token(made, value));
        let refused = peer.ask(&made);
        assert_eq!((refused.kind(), refused.code()), (ACK, code), "{word}");
        let text = String::from_utf8(refused.payload().to_vec()).unwrap();
        assert!(text.contains("option 256") && text.contains(word), "{text}");
        assert_eq!(peer.events(), [], "{word}");
        assert_eq!(peer.server.counters().access_tokens_unreadable, at as u64 + 1);
    }
}

/// Makes block `num` of three, of an upload to one path.
fn block(id: u16, num: u32) -> Make {
    let last = num == 2;
    make(CON, PUT, id).path("up").block(BLOCK1, num, !last, 16).payload(&[7; 16])
}

#[test]
fn an_upload_runs_under_what_held_at_its_beginning_and_brings_nothing_back() {
    for (first, holding) in [(Some(&b"old"[..]), "old"), (None, "before")] {
        let mut peer = Peer::new();
        peer.send(&token(request(1), b"before"));
        standing(&mut peer);
        peer.ask(&first.map_or(block(2, 0), |first| token(block(2, 0), first)));
        peer.send(&token(request(3), b"new"));
        assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("new"));
        // Tokens as clients send them that repeat their options in each block.
        peer.ask(&first.map_or(block(4, 1), |first| token(block(4, 1), first)));
        peer.send(&first.map_or(block(5, 2), |first| token(block(5, 2), first)));
        let upload = standing(&mut peer);
        assert_eq!(
            (upload.access_token.as_ref().map(AccessToken::as_str), upload.is_explicit),
            (Some(holding), first.is_some())
        );
        peer.send(&request(6));
        assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("new"));
    }
}

#[test]
fn a_token_that_comes_only_in_a_later_block_is_used_and_kept() {
    for at in [1, 2] {
        let mut peer = Peer::new();
        for num in 0..3 {
            let made = block(num as u16, num);
            peer.send(&if num == at { token(made, b"late") } else { made });
        }
        let upload = standing(&mut peer);
        assert_eq!(
            (upload.access_token.as_ref().map(AccessToken::as_str), upload.is_explicit),
            (Some("late"), true)
        );
        peer.send(&request(9));
        assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("late"));
    }
}

#[test]
fn an_upload_ends_with_a_block_whose_credential_cannot_be_read() {
    let mut peer = Peer::new();
    peer.ask(&token(block(1, 0), b"alice"));
    assert_eq!(peer.ask(&token(block(2, 1), b"\xff")).code(), Code::BAD_REQUEST);
    assert_eq!(peer.ask(&block(3, 1)).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!((peer.events(), peer.server.blockwise_bytes()), (vec![], 0));
}

#[test]
fn a_download_that_repeats_its_token_does_not_bring_it_back() {
    let mut peer = Peer::new();
    peer.send(&token(request(1), b"old"));
    let ServerEvent::Request { exchange, .. } = peer.events().remove(0) else { panic!() };
    peer.respond(exchange, &body(3000, 1));
    peer.send(&token(make(CON, GET, 2).path("other"), b"new"));
    standing(&mut peer);
    let next = |id| make(CON, GET, id).path("x").block(BLOCK2, 1, false, 1024);
    assert_eq!(peer.ask(&token(next(3), b"old")).code(), Code::CONTENT);
    peer.send(&request(4).path("y"));
    assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("new"));
    // Another token than that of the body is new, and the body is not of that one.
    assert_eq!(peer.ask(&token(next(5), b"newest")).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    peer.send(&request(6).path("z"));
    assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("newest"));
}

#[test]
fn a_late_block_of_a_body_that_is_not_known_any_more_does_not_bring_its_token_back() {
    let mut peer = Peer::new();
    for num in 0..3 {
        peer.send(&token(block(num as u16, num), b"old"));
    }
    assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("old"));
    peer.send(&token(request(7), b"new"));
    standing(&mut peer);
    let next = make(CON, GET, 9).path("gone").block(BLOCK2, 1, false, 1024);
    for late in [block(8, 2), next] {
        assert_eq!(peer.ask(&token(late, b"old")).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    }
    peer.send(&request(10));
    assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("new"));
    // A request outside a body holds what it carries, and so does a block with a token that has not been
    // seen.
    peer.send(&token(request(11), b"old"));
    assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("old"));
    peer.ask(&token(block(12, 2), b"newest"));
    peer.send(&request(13));
    assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("newest"));
}

#[test]
fn bodies_of_two_users_of_one_session_are_not_joined() {
    let mut peer = Peer::new();
    // Uploads to one path: the block of the first upload no longer belongs to a body, and that of the second
    // goes on.
    peer.ask(&token(block(1, 0), b"alice"));
    peer.ask(&token(block(2, 0), b"bob"));
    assert_eq!(peer.ask(&token(block(3, 1), b"alice")).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.ask(&token(block(4, 1), b"bob")).code(), Code::CONTINUE);
    peer.send(&block(5, 2));
    assert_eq!(standing(&mut peer).access_token.as_ref().map(AccessToken::as_str), Some("bob"));
    // An answer is read by the user it was made for.
    peer.send(&token(request(6), b"alice"));
    let ServerEvent::Request { exchange, .. } = peer.events().remove(0) else { panic!() };
    peer.respond(exchange, &body(3000, 1));
    let next = |id| request(id).block(BLOCK2, 1, false, 1024);
    assert_eq!(peer.ask(&token(next(7), b"bob")).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(peer.ask(&token(next(8), b"alice")).code(), Code::CONTENT);
    assert_eq!(peer.ask(&next(9)).code(), Code::CONTENT);
}

#[test]
fn blocks_that_repeat_a_token_take_no_memory_for_copies() {
    let mut peer = Peer::with(Limits { dedup_per_session: 4, ..Limits::default() });
    peer.send(&token(make(CON, PUT, 1).path("send"), b"alice"));
    peer.events();
    let first = token(request(2), b"alice");
    peer.send(&first);
    let ServerEvent::Request { exchange, .. } = peer.events().remove(0) else { panic!() };
    peer.respond(exchange, &body(100_000, 1));
    for num in 1..90 {
        let next = request(100 + num).block(BLOCK2, num.into(), false, 1024);
        assert_eq!(peer.ask(&token(next, b"alice")).code(), Code::CONTENT);
    }
    assert_eq!(peer.server.counters().dedup_forgotten, 0);
}

#[test]
fn the_cbor_version_holds_from_its_arrival_as_well() {
    let mut peer = Peer::new();
    assert_eq!(peer.ask(&request(1).option(9, b"").option(CBOR_VERSION, &[1])).code(), Code::BAD_OPTION);
    peer.send(&request(2));
    assert_eq!(standing(&mut peer).cbor_version, Some(1));
    peer.send(&request(3).option(CBOR_VERSION, &[]));
    assert_eq!(standing(&mut peer).cbor_version, Some(0));
    for wrong in [&[1, 2, 3, 4, 5][..], &[1, 1, 1, 1, 1]] {
        assert_eq!(peer.ask(&request(4).option(CBOR_VERSION, wrong)).code(), Code::BAD_OPTION);
    }
    peer.send(&request(5));
    assert_eq!(standing(&mut peer).cbor_version, Some(0));
}

#[test]
fn a_token_that_the_homeserver_refuses_is_marked_only_while_it_sticks() {
    let mut peer = Peer::new();
    let ask = |peer: &mut Peer, id: u16, said: Option<&[u8]>| {
        peer.send(&said.map_or(request(id), |said| token(request(id), said)));
        let Standing { access_token, is_refused, .. } = standing(peer);
        (access_token.map(|token| token.as_str().to_owned()), is_refused)
    };
    let alice = || Some("alice".to_owned());
    assert_eq!(ask(&mut peer, 1, Some(b"alice")), (alice(), false));
    peer.server.refuse_access_token(SESSION, &AccessToken::from("older"));
    peer.server.end_access_token(SESSION, &AccessToken::from("older"));
    assert_eq!(ask(&mut peer, 2, None), (alice(), false));
    peer.server.refuse_access_token(SESSION, &AccessToken::from("alice"));
    assert_eq!(ask(&mut peer, 3, None), (alice(), true));
    peer.server.accept_access_token(SESSION, &AccessToken::from("older"));
    assert_eq!(ask(&mut peer, 7, None), (alice(), true));
    peer.server.accept_access_token(SESSION, &AccessToken::from("alice"));
    assert_eq!(ask(&mut peer, 8, None), (alice(), false));
    peer.server.refuse_access_token(SESSION, &AccessToken::from("alice"));
    assert_eq!(ask(&mut peer, 4, Some(b"bob")), (Some("bob".to_owned()), false));
    // The answer to alice's request is late.
    peer.server.refuse_access_token(SESSION, &AccessToken::from("alice"));
    assert_eq!(ask(&mut peer, 5, None), (Some("bob".to_owned()), false));
    peer.server.end_access_token(SESSION, &AccessToken::from("bob"));
    assert_eq!(ask(&mut peer, 6, None), (None, false));
}

#[test]
fn what_sticks_dies_with_its_session_and_is_of_one_session_alone() {
    let mut peer = Peer::new();
    peer.send(&token(request(1), b"alice"));
    standing(&mut peer);
    peer.send_bytes(SessionId(2), &request(1).bytes());
    assert_eq!(standing(&mut peer), Standing::default());
    peer.server.session_closed(peer.now, SESSION);
    peer.server.session_closed(peer.now, SessionId(2));
    assert_eq!(peer.server.sessions_in_memory(), 0);
    peer.send(&request(2));
    assert_eq!(standing(&mut peer), Standing::default());
}

#[test]
fn a_token_is_not_in_debug_output() {
    let mut peer = Peer::new();
    peer.send(&token(request(1), b"secret-token"));
    let standing = standing(&mut peer);
    assert!(!format!("{standing:?} {:?}", peer.server).contains("secret-token"));
}
