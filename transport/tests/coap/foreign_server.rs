//! Our client against servers that behave otherwise than ours: late, early, wrong, or as the reference does.

use super::foreign::{Foreign, piggybacked};
use super::peer::*;
use super::sim::{SECOND, body, get, post, put};
use lowband_transport::SessionId;
use lowband_transport::coap::{ClientEvent, Code, FailReason, OptionError, OptionFault, ProtocolError};

#[test]
fn a_separate_response_before_any_acknowledgement_ends_the_repetition() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    let acknowledged = foreign.says(&make(CON, Code::CONTENT, 77).token(asked.token()).payload(b"y"));
    assert_eq!((acknowledged[0].kind(), acknowledged[0].id()), (ACK, 77));
    assert_eq!(foreign.response().body, b"y");
    // A copy of the response is acknowledged again; the late acknowledgement of the request means nothing.
    let copy = foreign.says(&make(CON, Code::CONTENT, 77).token(asked.token()).payload(b"y"));
    assert_eq!((copy[0].kind(), copy[0].id()), (ACK, 77));
    assert_eq!(foreign.says(&empty(ACK, asked.id())), []);
    assert_eq!(foreign.events(), []);
    assert!(foreign.client.poll_timeout().is_none_or(|at| at > foreign.now + 100 * SECOND));
}

#[test]
fn only_the_newest_message_of_a_transfer_is_repeated() {
    let mut foreign = Foreign::one_by_one();
    let (_, asked) = foreign.ask(get("x"));
    let first =
        make(CON, Code::CONTENT, 77).token(asked.token()).block(BLOCK2, 0, true, 16).payload(&[0; 16]);
    let next = foreign.says(&first).remove(1);
    assert_eq!(next.block(BLOCK2), Some((1, false, 16)));
    foreign.now += 4 * SECOND;
    foreign.client.handle_timeout(foreign.now);
    assert_eq!(foreign.sent(), [next]);
}

#[test]
fn the_last_block_is_asked_for_again_under_its_id() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    let first = piggybacked(&asked, Code::CONTENT).block(BLOCK2, 0, true, 16).option(SIZE2, &[20]);
    let last = foreign.says(&first.payload(&[0; 16])).remove(0);
    assert_eq!(last.block(BLOCK2), Some((1, false, 16)));
    // A server that has forgotten the body would give the end of a newer one under another id.
    for _ in 0..2 {
        foreign.now = foreign.client.poll_timeout().unwrap();
        foreign.client.handle_timeout(foreign.now);
        // It may look for the peer as well, by a ping.
        let copies: Vec<_> = foreign.sent().into_iter().filter(|sent| sent.code() == GET).collect();
        assert_eq!(copies, std::slice::from_ref(&last));
    }
    foreign.says(&piggybacked(&last, Code::CONTENT).block(BLOCK2, 1, false, 16).payload(&[1; 4]));
    assert_eq!(foreign.response().body.len(), 20);
}

#[test]
fn a_foreign_server_is_asked_for_a_resource_once_at_a_time() {
    let mut foreign = Foreign::new();
    let (_, known) = foreign.ask(get("y"));
    foreign.says(&piggybacked(&known, Code::CONTENT));
    let (_, first) = foreign.ask(get("x"));
    foreign.client.request(foreign.now, SESSION, get("x"));
    assert_eq!(foreign.sent(), []);
    // Another resource and another method need not wait.
    foreign.ask(get("z"));
    foreign.ask(post("x", vec![1]));
    let second = foreign.says(&piggybacked(&first, Code::CONTENT)).remove(0);
    assert_eq!((second.code(), second.option(URI_PATH)), (GET, Some(b"x".as_slice())));
}

/// node-coap and the reference's stack run a request anew for each token.
#[test]
fn a_foreign_server_is_asked_for_all_blocks_under_one_token() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    let block = |kind, id: u16, num| {
        let made = make(kind, Code::CONTENT, id).token(asked.token()).block(BLOCK2, num, num < 4, 16);
        made.option(SIZE2, &[80]).payload(&[num as u8; 16])
    };
    foreign.now += SECOND;
    let mut requests = foreign.says(&block(ACK, asked.id(), 0));
    assert_eq!(requests.len(), 2, "two at once find out");
    // The second block comes first, by itself; the first one twice.
    let answer = block(CON, 1, 2);
    foreign.now += SECOND;
    requests.extend(foreign.says(&answer).into_iter().filter(|sent| sent.kind() == CON));
    for _ in 0..2 {
        let sent = foreign.says(&block(ACK, requests[0].id(), 1));
        requests.extend(sent.into_iter().filter(|sent| sent.kind() == CON));
    }
    requests.extend(foreign.says(&block(ACK, requests[2].id(), 3)));
    let places: Vec<_> = requests.iter().map(|request| request.block(BLOCK2).unwrap().0).collect();
    assert_eq!(places, [1, 2, 3, 4]);
    assert!(requests.iter().all(|request| request.token() == asked.token()));
    foreign.says(&block(ACK, requests[3].id(), 4));
    let expected: Vec<u8> = (0..5).flat_map(|num| [num; 16]).collect();
    assert_eq!(foreign.response().body, expected);
}

#[test]
fn a_non_confirmable_response_is_taken_and_not_answered() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    assert_eq!(foreign.says(&make(NON, Code::CONTENT, 77).token(asked.token()).payload(b"y")), []);
    assert_eq!(foreign.response().body, b"y");
}

#[test]
fn the_second_acknowledgement_of_the_reference_is_taken_as_the_response() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    assert_eq!(foreign.says(&empty(ACK, asked.id())), []);
    assert_eq!(foreign.says(&piggybacked(&asked, Code::CONTENT).payload(b"late")), []);
    assert_eq!(foreign.response().body, b"late");
}

#[test]
fn pings_are_answered_by_a_reset_or_by_the_empty_acknowledgement_of_the_reference() {
    for kind in [RST, ACK] {
        let mut foreign = Foreign::new();
        foreign.client.ping(foreign.now, SESSION);
        let ping = foreign.arrived();
        assert_eq!((ping.kind(), ping.code()), (CON, Code::EMPTY));
        foreign.says(&empty(kind, ping.id()));
        assert_eq!(foreign.events(), [ClientEvent::Pong { session: SESSION }]);
    }
}

#[test]
fn a_reset_fails_the_request() {
    let mut foreign = Foreign::new();
    let (exchange, asked) = foreign.ask(get("x"));
    foreign.says(&empty(RST, asked.id()));
    assert_eq!(foreign.events(), [ClientEvent::Failed { exchange, why: FailReason::Reset, sent: true }]);
}

#[test]
fn a_response_to_nothing_is_reset_or_ignored() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    let wrong = make(CON, Code::CONTENT, 77).token(b"other");
    let refused = foreign.says(&wrong);
    assert_eq!((refused[0].kind(), refused[0].id()), (RST, 77));
    assert_eq!(foreign.says(&make(NON, Code::CONTENT, 78).token(b"other")), []);
    assert_eq!(foreign.says(&make(ACK, Code::CONTENT, 79).token(b"other")), []);
    let refused = foreign.says(&make(CON, GET, 80).path("x"));
    assert_eq!((refused[0].kind(), refused[0].id()), (RST, 80));
    assert_eq!(foreign.events(), []);
    let counters = foreign.client.counters();
    assert_eq!((counters.unexpected_responses, counters.unexpected_requests, counters.unmatched), (2, 1, 1));
    foreign.says(&piggybacked(&asked, Code::CONTENT));
    foreign.response();
}

#[test]
fn an_acknowledgement_with_another_requests_token_fails_the_request() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    foreign.says(&make(ACK, Code::CONTENT, asked.id()).token(b"other"));
    assert_eq!(foreign.failure(), FailReason::Protocol(ProtocolError::OtherRequest));
    assert_eq!(foreign.client.counters().responses_contradictory, 1);
}

#[test]
fn a_response_with_an_unknown_critical_option_is_refused() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    let refused = foreign.says(&make(CON, Code::CONTENT, 5).token(asked.token()).option(9, b"x"));
    assert_eq!((refused[0].kind(), refused[0].id()), (RST, 5));
    let refused_by =
        |number, fault| FailReason::Protocol(ProtocolError::Option(OptionError { number, fault }));
    assert_eq!(foreign.failure(), refused_by(9, OptionFault::Unknown));
    let again = foreign.says(&make(CON, Code::CONTENT, 5).token(asked.token()).option(9, b"x"));
    assert_eq!(again, refused);
    let (_, asked) = foreign.ask(get("x"));
    foreign.says(&piggybacked(&asked, Code::CONTENT).option(BLOCK2, b"\x07"));
    assert_eq!(foreign.failure(), refused_by(BLOCK2, OptionFault::ReservedSize));
    // An elective option is passed over, and counted all the same.
    let (_, asked) = foreign.ask(get("x"));
    foreign.says(&piggybacked(&asked, Code::CONTENT).option(MAX_AGE, b"12345"));
    foreign.response();
    let counters = foreign.client.counters();
    let rejected = (counters.options_unknown, counters.options_bad_value, counters.options_bad_length);
    assert_eq!(rejected, (1, 1, 1));
}

#[test]
fn an_error_with_a_max_age_comes_through() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(get("x"));
    let slow_down = piggybacked(&asked, Code::new(4, 29)).option(MAX_AGE, &[30]).option(12, &[60]);
    foreign.says(&slow_down.payload(b"wait"));
    let response = foreign.response();
    assert_eq!((response.code, response.options.max_age), (Code::new(4, 29), Some(30)));
    assert_eq!((response.options.content_format, response.body), (Some(60), b"wait".to_vec()));
}

#[test]
fn a_download_goes_on_in_the_size_that_the_server_chose_and_sends_the_token_once() {
    let mut foreign = Foreign::one_by_one();
    let whole = body(150, 1);
    let mut request = get("x");
    request.options.authorization = Some("secret".into());
    let (_, mut asked) = foreign.ask(request);
    assert_eq!((asked.option(256), asked.option(BLOCK2)), (Some(b"secret".as_slice()), None));
    for num in 0..3 {
        let from = num as usize * 64;
        let answer = piggybacked(&asked, Code::CONTENT)
            .option(ETAG, b"e")
            .block(BLOCK2, num, num < 2, 64)
            .payload(&whole[from..(from + 64).min(150)]);
        let next = foreign.says(&answer);
        if num < 2 {
            assert_ne!(next[0].token(), asked.token(), "a token of its own");
            asked = next[0].clone();
            assert_eq!(asked.block(BLOCK2), Some((u64::from(num) + 1, false, 64)));
            assert_eq!((asked.option(256), asked.option(URI_PATH)), (None, Some(b"x".as_slice())));
        }
    }
    assert!(foreign.response().body == whole);
}

#[test]
fn a_body_that_changes_whenever_it_is_read_is_begun_again_twice_and_then_fails() {
    let mut foreign = Foreign::one_by_one();
    let (_, mut asked) = foreign.ask(get("x"));
    let block = |to: &Got, num, etag: &[u8]| {
        piggybacked(to, Code::CONTENT).option(ETAG, etag).block(BLOCK2, num, true, 16).payload(&[0; 16])
    };
    for etags in [b"ab", b"cd", b"ef"] {
        assert_eq!(asked.block(BLOCK2), None, "from its beginning");
        let second = foreign.says(&block(&asked, 0, &etags[..1])).remove(0);
        let next = foreign.says(&block(&second, 1, &etags[1..]));
        match next.into_iter().next() {
            Some(again) => asked = again,
            None => assert_eq!(etags, b"ef"),
        }
    }
    assert_eq!(foreign.failure(), FailReason::Protocol(ProtocolError::BodyChanged));
    let counters = foreign.client.counters();
    assert_eq!((counters.downloads_restarted, counters.responses_contradictory), (2, 1));
}

#[test]
fn an_upload_follows_the_servers_block_size_and_stops_at_its_refusal() {
    let mut foreign = Foreign::new();
    let whole = body(3000, 1);
    let (_, first) = foreign.ask(put("x", whole.clone()));
    assert_eq!((first.block(BLOCK1), first.number(SIZE1)), (Some((0, true, 1024)), Some(3000)));
    let smaller = piggybacked(&first, Code::CONTINUE).block(BLOCK1, 0, true, 256);
    let second = foreign.says(&smaller).remove(0);
    assert_eq!((second.block(BLOCK1), second.number(SIZE1)), (Some((4, true, 256)), None));
    assert!(second.payload() == &whole[1024..1280]);
    foreign.says(&piggybacked(&second, Code::REQUEST_ENTITY_INCOMPLETE).payload(b"lost"));
    assert_eq!(foreign.response().code, Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(foreign.sent(), []);
}

#[test]
fn a_server_that_finds_the_first_block_too_large_gets_smaller_ones() {
    let mut foreign = Foreign::new();
    let (_, first) = foreign.ask(put("x", body(3000, 1)));
    let refused = piggybacked(&first, Code::REQUEST_ENTITY_TOO_LARGE).block(BLOCK1, 0, true, 64);
    let again = foreign.says(&refused).remove(0);
    assert_eq!((again.block(BLOCK1), again.payload().len()), (Some((0, true, 64)), 64));
    foreign.says(&piggybacked(&again, Code::REQUEST_ENTITY_TOO_LARGE));
    assert_eq!(foreign.response().code, Code::REQUEST_ENTITY_TOO_LARGE);
}

#[test]
fn continue_where_nothing_is_missing_fails() {
    let mut foreign = Foreign::new();
    let (_, asked) = foreign.ask(post("x", vec![1]));
    foreign.says(&piggybacked(&asked, Code::CONTINUE));
    assert_eq!(foreign.failure(), FailReason::Protocol(ProtocolError::UnexpectedContinue));
}

#[test]
fn a_token_is_used_once_and_short() {
    let mut foreign = Foreign::new();
    let mut tokens = Vec::new();
    for _ in 0..300 {
        let (_, asked) = foreign.ask(get("x"));
        tokens.push(asked.token().to_vec());
        foreign.says(&piggybacked(&asked, Code::CONTENT));
        foreign.response();
    }
    assert_eq!((tokens[0].len(), tokens[254].len(), tokens[255].len()), (1, 1, 2));
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 300);
    // Each session counts for itself.
    let other = SessionId(5);
    foreign.client.session_opened(foreign.now, other, None);
    foreign.client.request(foreign.now, other, get("x"));
    assert_eq!(foreign.arrived().token(), [1]);
}

#[test]
fn message_ids_wrap_around_and_pass_over_one_that_is_still_on_its_way() {
    let mut foreign = Foreign::one_by_one();
    let (stuck, unanswered) = foreign.ask(get("stuck"));
    let (_, mut asked) = foreign.ask(get("long"));
    let mut wrapped = false;
    for num in 0..66_000 {
        assert_ne!(asked.id(), unanswered.id());
        wrapped |= asked.id() == 0;
        let block = piggybacked(&asked, Code::CONTENT).block(BLOCK2, num, true, 16).payload(&[0; 16]);
        asked = foreign.says(&block).remove(0);
    }
    assert!(wrapped);
    foreign.says(&piggybacked(&unanswered, Code::CONTENT));
    let answered = foreign.events();
    assert!(matches!(&answered[..], [ClientEvent::Response { exchange, .. }] if *exchange == stuck));
}
