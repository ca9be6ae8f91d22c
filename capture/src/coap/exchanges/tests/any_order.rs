//! Bodies whose blocks go in any order: of requests under a Request-Tag, of responses under one token.

use super::*;

const TAG: u16 = 292;
const TOKEN: u16 = 256;
const CAPABILITIES: u16 = 65020;
const CHANGED: u8 = 0x44;
const LAST: u8 = 3;

fn body() -> Vec<u8> {
    [&[0xa1, 0x02, 0x78, 52][..], &[b'x'; 52]].concat()
}

fn piece(num: u8) -> Vec<u8> {
    body().chunks(16).nth(num.into()).unwrap().to_vec()
}

/// Has the client say that it knows bodies in any order.
fn introduce(talk: &mut Talk) {
    talk.up(CON, GET, 900, b"hello", &[(PATH, b"0"), (CAPABILITIES, &[2])], b"");
    talk.down(ACK, CONTENT, 900, b"hello", &[(CAPABILITIES, &[2])], b"\xa0");
}

/// Sends a block of the body under a tag, without an answer. The first one has the options of the request.
fn send(talk: &mut Talk, id: u16, tag: u8, num: u8) {
    let (value, tag) = (block(num, num < LAST, 0), [tag]);
    let mut options: Vec<(u16, &[u8])> = vec![(PATH, b"up"), (FORMAT, &[60]), (BLOCK1, &value)];
    if num == 0 {
        options.push((TOKEN, b"secret"));
    }
    options.push((TAG, &tag));
    talk.up(CON, PUT, id, &id.to_be_bytes(), &options, &piece(num));
}

fn go_on(talk: &mut Talk, id: u16, num: u8) {
    talk.down(ACK, CONTINUE, id, &id.to_be_bytes(), &[(BLOCK1, &block(num, true, 0))], b"");
}

/// Answers the request whose last block has this id.
fn answer(talk: &mut Talk, id: u16) {
    talk.down(CON, CHANGED, id + 500, &id.to_be_bytes(), &[(BLOCK1, &block(LAST, false, 0))], b"\xa0");
    talk.up(ACK, 0, id + 500, b"", &[], b"");
}

/// Returns the exchanges of bodies.
fn ended(talk: &mut Talk) -> Vec<Exchange> {
    talk.end().into_iter().filter(|exchange| exchange.path != "/_matrix/client/versions").collect()
}

fn assert_whole(talk: &Talk, exchange: &Exchange) {
    assert_eq!((exchange.state, exchange.path.as_str()), (State::Complete, "/up"));
    assert_eq!(exchange.code.unwrap().to_string(), "2.04");
    assert!(exchange.access_token);
    let request = exchange.request_body.as_ref().unwrap();
    assert_eq!((request.bytes, request.json_bytes), (56, Some(63)));
    assert_eq!(talk.0.detail(exchange).request_body.unwrap().bytes, body());
}

#[test]
fn blocks_of_a_request_in_any_order_are_one_exchange() {
    for known in [true, false] {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 1, 2], [1, 3, 0, 2], [2, 0, 3, 1]] {
            let mut talk = Talk::new();
            if known {
                introduce(&mut talk);
            }
            for num in order {
                send(&mut talk, num.into(), 7, num);
            }
            for num in [1, 0, 2] {
                go_on(&mut talk, num.into(), num);
            }
            answer(&mut talk, LAST.into());
            let all = ended(&mut talk);
            let [exchange] = &all[..] else { panic!("{order:?}: {all:#?}") };
            assert_whole(&talk, exchange);
            assert_eq!((exchange.repeats, exchange.messages.len()), (0, 9));
            let notes = if order == [0, 1, 2, 3] { vec![] } else { vec![Note::BlocksOutOfOrder] };
            assert_eq!(exchange.notes, notes, "{order:?}");
        }
    }
}

#[test]
fn lost_and_late_blocks_belong_to_their_exchange_also_after_its_end() {
    let mut talk = Talk::new();
    introduce(&mut talk);
    send(&mut talk, 3, 7, 3);
    // A copy of the last one; the answer to block 1 is lost, and it goes again as another message.
    send(&mut talk, 3, 7, 3);
    send(&mut talk, 1, 7, 1);
    send(&mut talk, 10, 7, 1);
    go_on(&mut talk, 10, 1);
    send(&mut talk, 2, 7, 2);
    go_on(&mut talk, 2, 2);
    talk.down(ACK, 0, 3, b"", &[], b"");
    send(&mut talk, 11, 7, 0);
    answer(&mut talk, 3);
    // All of them again, and a copy of an earlier one.
    for (id, num) in [(20, 0), (21, 1), (22, 2), (1, 1)] {
        send(&mut talk, id, 7, num);
        go_on(&mut talk, id, num);
    }
    let all = ended(&mut talk);
    let [exchange] = &all[..] else { panic!("{all:#?}") };
    assert_whole(&talk, exchange);
    assert_eq!(exchange.notes, [Note::BlocksOutOfOrder]);
    assert_eq!((exchange.up.datagrams, exchange.down.datagrams), (11, 8));
    // Copies of two messages, and four blocks that went again as other messages.
    assert_eq!(exchange.repeats, 6);
    let mark = |id: u16| {
        let detail = talk.0.detail(exchange);
        let is_it = |one: &&crate::detail::MessageDetail| {
            one.reference.from_client && one.message.as_ref().is_ok_and(|message| message.id == id)
        };
        detail.messages.iter().find(is_it).unwrap().reference.mark
    };
    assert_eq!([1, 10, 11, 20].map(mark), [Mark::First, Mark::Repeat, Mark::First, Mark::Repeat]);
}

#[test]
fn a_first_block_after_the_end_begins_another_body_where_tags_may_be_used_again() {
    for (known, exchanges) in [(true, 1), (false, 2)] {
        let mut talk = Talk::new();
        if known {
            introduce(&mut talk);
        }
        for num in 0..=LAST {
            send(&mut talk, num.into(), 7, num);
        }
        answer(&mut talk, LAST.into());
        send(&mut talk, 10, 7, 0);
        assert_eq!(ended(&mut talk).len(), exchanges);
    }
}

#[test]
fn blocks_of_a_request_that_are_not_in_the_capture_are_told() {
    for (lost, state, notes) in [
        (0, State::Cut, vec![Note::BeginsBefore, Note::BlocksOutOfOrder, Note::UploadIncomplete]),
        (1, State::Complete, vec![Note::BlocksOutOfOrder, Note::UploadIncomplete]),
    ] {
        let mut talk = Talk::new();
        introduce(&mut talk);
        for num in [0, 1, 2, 3].into_iter().filter(|num| *num != lost) {
            send(&mut talk, num.into(), 7, num);
        }
        answer(&mut talk, LAST.into());
        let all = ended(&mut talk);
        let [exchange] = &all[..] else { panic!("{all:#?}") };
        assert_eq!((exchange.state, exchange.notes.clone()), (state, notes), "{lost}");
        assert_eq!(exchange.request_body.as_ref().unwrap().bytes, 40);
    }
}

#[test]
fn requests_of_one_path_whose_blocks_are_mixed_keep_apart_by_their_tags() {
    let mut talk = Talk::new();
    introduce(&mut talk);
    for num in [3, 1, 0, 2] {
        for tag in [7, 8] {
            send(&mut talk, u16::from(tag) * 10 + u16::from(num), tag, num);
        }
    }
    answer(&mut talk, 83);
    answer(&mut talk, 73);
    let all = ended(&mut talk);
    assert_eq!(all.len(), 2);
    for exchange in &all {
        assert_whole(&talk, exchange);
        assert_eq!(exchange.messages.len(), 6);
    }
}

#[test]
fn a_list_asks_for_the_answer_to_a_tagged_request() {
    let mut talk = Talk::new();
    introduce(&mut talk);
    for num in [3, 0, 1, 2] {
        send(&mut talk, num.into(), 7, num);
    }
    let etag: (u16, &[u8]) = (ETAG, b"e");
    let value = block(LAST, false, 0);
    let first: Values = &[etag, (BLOCK2, &block(0, true, 0)), (BLOCK1, &value)];
    talk.down(ACK, CHANGED, 3, &3u16.to_be_bytes(), first, &[0x61; 16]);
    let list: Values =
        &[(PATH, b"up"), (Q_BLOCK2, &block(1, false, 0)), (Q_BLOCK2, &block(2, false, 0)), (TAG, &[7])];
    talk.up(NON, PUT, 10, b"list", list, b"");
    talk.down(NON, CHANGED, 50, b"list", &[etag, (Q_BLOCK2, &block(2, false, 0))], b"end");
    talk.down(NON, CHANGED, 51, b"list", &[etag, (Q_BLOCK2, &block(1, true, 0))], &[0x61; 16]);
    let all = ended(&mut talk);
    let [exchange] = &all[..] else { panic!("{all:#?}") };
    assert_whole(&talk, exchange);
    assert_eq!(exchange.response_body.as_ref().unwrap().bytes, 35);
}

#[test]
fn blocks_that_are_asked_for_at_once_under_one_token_are_one_exchange_also_after_its_end() {
    let mut talk = Talk::new();
    let ask = |talk: &mut Talk, id: u16, token: &[u8], num: u8| {
        let value = block(num, false, 0);
        let options: Values = if num == 0 { &[(PATH, b"7")] } else { &[(PATH, b"7"), (BLOCK2, &value)] };
        talk.up(CON, GET, id, token, options, b"");
    };
    let serve = |talk: &mut Talk, id: u16, token: &[u8], num: u8| {
        let options: Values = &[(ETAG, b"e"), (FORMAT, &[60]), (BLOCK2, &block(num, num < LAST, 0))];
        talk.down(ACK, CONTENT, id, token, options, &piece(num));
    };
    ask(&mut talk, 1, b"one", 0);
    serve(&mut talk, 1, b"one", 0);
    for (id, num) in [(2, 1), (3, 2), (4, 3)] {
        ask(&mut talk, id, b"one", num);
    }
    // Block 2 is lost, and asked for again.
    serve(&mut talk, 4, b"one", 3);
    serve(&mut talk, 2, b"one", 1);
    ask(&mut talk, 5, b"one", 2);
    serve(&mut talk, 5, b"one", 2);
    // Another body of the path has begun when a request and a block of the first come late.
    ask(&mut talk, 6, b"two", 0);
    serve(&mut talk, 6, b"two", 0);
    ask(&mut talk, 7, b"one", 1);
    serve(&mut talk, 7, b"one", 1);
    for (id, num) in [(8, 1), (9, 2), (10, 3)] {
        ask(&mut talk, id, b"two", num);
        serve(&mut talk, id, b"two", num);
    }
    let all = talk.end();
    let told: Vec<_> = all.iter().map(|one| (one.state, one.messages.len(), one.repeats)).collect();
    assert_eq!(told, [(State::Complete, 11, 3), (State::Complete, 8, 0)]);
    for exchange in &all {
        assert_eq!(talk.0.detail(exchange).response_body.unwrap().bytes, body());
    }
}

#[test]
fn a_request_whose_last_block_comes_first_stays_within_the_limits() {
    for limits in [Limits { body: 55, ..Limits::default() }, Limits { bodies: 55, ..Limits::default() }] {
        let mut talk = Talk::limited(limits);
        introduce(&mut talk);
        for num in [3, 0, 1, 2] {
            send(&mut talk, num.into(), 7, num);
        }
        // What the large one has left is there for another.
        talk.up(CON, PUT, 20, b"s", &[(PATH, b"s"), (BLOCK1, &block(0, true, 0))], &piece(0));
        let all = ended(&mut talk);
        assert!(all[0].notes.contains(&Note::BodyTooLarge));
        assert!(!all[1].notes.contains(&Note::BodyTooLarge));
    }

    let mut talk = Talk::limited(Limits { messages: 3, ..Limits::default() });
    introduce(&mut talk);
    for (id, num) in (1..).zip([3, 2, 1, 0, 0, 0]) {
        send(&mut talk, id, 7, num);
    }
    let all = ended(&mut talk);
    let [exchange] = &all[..] else { panic!("{all:#?}") };
    assert_eq!((exchange.messages.len(), exchange.up.datagrams), (3, 6));
    assert!(exchange.notes.contains(&Note::TooManyMessages));
}
