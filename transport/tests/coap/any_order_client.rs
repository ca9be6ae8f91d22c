//! Our client's request bodies in any order, against a server written by hand: which messages go, and what
//! each answer does.

use super::peer::*;
use super::sim::{MS, SECOND, body, post, put, zero};
use lowband_transport::ExchangeId;
use lowband_transport::coap::{Client, ClientEvent, Code, FailReason, Limits, ProtocolError, Request, Times};
use lowband_wire::coap::numbers::{ANY_ORDER, CAPABILITIES};
use std::time::{Duration, Instant};

struct Hand {
    now: Instant,
    client: Client,
    /// Messages that have arrived and are not answered yet.
    inbox: Vec<Got>,
}

impl Hand {
    /// Begins a session with a peer of which nothing is known.
    fn new() -> Hand {
        let mut client = Client::new(Times::measured(), Limits::default(), [3; 32]);
        let now = zero();
        client.session_opened(now, SESSION, Some(100 * MS));
        Hand { now, client, inbox: Vec::new() }
    }

    /// Begins a session with a peer that has said that it knows bodies in any order.
    fn known() -> Hand {
        let mut hand = Hand::new();
        hand.ask(put("hello", vec![]));
        let hello = hand.inbox.remove(0);
        assert_eq!(hello.number(CAPABILITIES).map(|told| told as u32 & ANY_ORDER), Some(ANY_ORDER));
        hand.says(answer(&hello, Code::CHANGED).option(CAPABILITIES, &[ANY_ORDER as u8]));
        assert_eq!(hand.events().len(), 1);
        hand
    }

    fn ask(&mut self, request: Request) -> ExchangeId {
        let exchange = self.client.request(self.now, SESSION, request);
        self.receive();
        exchange
    }

    /// Takes what has been sent into the inbox, but for pings.
    fn receive(&mut self) {
        let sent = std::iter::from_fn(|| self.client.poll_transmit()).map(|(_, bytes)| Got::parse(&bytes));
        self.inbox.extend(sent.filter(|got| (got.kind(), got.code()) != (CON, Code::EMPTY)));
    }

    fn says(&mut self, message: Make) {
        self.now += 100 * MS;
        self.client.handle_message(self.now, SESSION, &message.bytes());
        self.receive();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.client.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.client.handle_timeout(self.now);
            self.receive();
        }
        self.now = end;
    }

    fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// Takes the message with this block out of the inbox, and those that were sent before it for the same.
    fn take(&mut self, num: u64) -> Got {
        let of_block = |got: &Got| got.block(BLOCK1).is_some_and(|block| block.0 == num);
        let found = self.inbox.iter().rfind(|got| of_block(got)).cloned();
        self.inbox.retain(|got| !of_block(got));
        found.unwrap_or_else(|| panic!("no block {num} in {:?}", self.nums()))
    }

    fn nums(&self) -> Vec<u64> {
        self.inbox.iter().filter_map(|got| Some(got.block(BLOCK1)?.0)).collect()
    }

    /// Answers a block by 2.31.
    fn goes_on(&mut self, num: u64) {
        let got = self.take(num);
        let (num, more, size) = got.block(BLOCK1).unwrap();
        assert!(more, "block {num} is the last");
        self.says(answer(&got, Code::CONTINUE).block(BLOCK1, num as u32, true, size));
    }

    fn response(&mut self) -> (Code, Vec<u8>) {
        match self.events().pop() {
            Some(ClientEvent::Response { response, .. }) => (response.code, response.body),
            other => panic!("a response was expected, not {other:?}"),
        }
    }

    fn failure(&mut self) -> FailReason {
        match self.events().pop() {
            Some(ClientEvent::Failed { why, .. }) => why,
            other => panic!("a failure was expected, not {other:?}"),
        }
    }
}

/// Makes a piggybacked answer to a message as it arrived.
fn answer(to: &Got, code: Code) -> Make {
    make(ACK, code, to.id()).token(to.token())
}

#[test]
fn the_first_block_to_an_unknown_peer_goes_alone_and_its_answer_decides() {
    for is_ours in [true, false] {
        let mut hand = Hand::new();
        hand.ask(post("up", body(5000, 1)));
        assert_eq!(hand.inbox.len(), 1);
        let first = hand.take(0);
        assert_eq!((first.number(REQUEST_TAG), first.number(SIZE1)), (Some(1), Some(5000)));
        let mut goes_on = answer(&first, Code::CONTINUE).block(BLOCK1, 0, true, 1024);
        if is_ours {
            goes_on = goes_on.option(CAPABILITIES, &[ANY_ORDER as u8]);
        }
        hand.says(goes_on);
        let expected = if is_ours { vec![1, 2, 3, 4] } else { vec![1] };
        assert_eq!(hand.nums(), expected);
        assert!(hand.inbox.iter().all(|got| got.number(REQUEST_TAG) == Some(1) && got.kind() == CON));
        assert!(
            hand.inbox.iter().all(|got| got.option(SIZE1).is_none() && got.option(CAPABILITIES).is_none())
        );
        // A small request to it needs no tag, and the next body another one.
        hand.inbox.clear();
        hand.ask(put("up", body(10, 1)));
        hand.ask(put("elsewhere", body(5000, 1)));
        let tags: Vec<_> = hand.inbox.iter().map(|got| got.number(REQUEST_TAG)).collect();
        assert_eq!((tags[0], tags.last()), (None, Some(&is_ours.then_some(2))));
    }
}

#[test]
fn the_last_block_alone_has_copies_and_its_answer_ends_the_exchange() {
    let mut hand = Hand::known();
    hand.ask(post("up", body(4000, 1)));
    assert_eq!(hand.nums(), [0, 1, 2, 3]);
    hand.goes_on(2);
    hand.goes_on(0);
    hand.wait(20 * SECOND);
    let of = |num| hand.inbox.iter().filter(move |got| got.block(BLOCK1).unwrap().0 == num);
    let different = |of: &dyn Fn(&Got) -> Vec<u8>, num| {
        let mut all: Vec<_> =
            hand.inbox.iter().filter(|got| got.block(BLOCK1).unwrap().0 == num).map(of).collect();
        all.sort();
        all.dedup();
        all.len()
    };
    let id = |got: &Got| got.id().to_be_bytes().to_vec();
    let token = |got: &Got| got.token().to_vec();
    assert!(of(1).count() > 2 && of(3).count() > 2);
    assert_eq!([different(&id, 1), different(&token, 1)], [of(1).count(); 2], "each is a message of its own");
    assert_eq!([different(&id, 3), different(&token, 3)], [1, 1], "one message, again and again");
    assert_eq!((of(0).count(), of(2).count()), (0, 0));
    // An answer to the last one is that of the request, whatever has become of the others.
    let late = hand.inbox.iter().find(|got| got.block(BLOCK1).unwrap().0 == 1).cloned().unwrap();
    let last = hand.take(3);
    assert_eq!(last.payload().len(), 4000 - 3072);
    hand.says(answer(&last, Code::CHANGED).block(BLOCK1, 3, false, 1024).payload(b"done"));
    assert_eq!(hand.response(), (Code::CHANGED, b"done".to_vec()));
    hand.inbox.clear();
    hand.says(answer(&late, Code::CONTINUE).block(BLOCK1, 1, true, 1024));
    hand.wait(300 * SECOND);
    assert_eq!((hand.inbox.len(), hand.events().len()), (0, 0));
}

#[test]
fn an_answer_may_come_behind_an_empty_acknowledgement() {
    let mut hand = Hand::known();
    hand.ask(put("up", body(2500, 1)));
    let block = hand.take(0);
    hand.says(empty(ACK, block.id()));
    hand.goes_on(1);
    let last = hand.take(2);
    hand.says(empty(ACK, last.id()));
    let separate = make(CON, Code::CONTINUE, 700).token(block.token()).block(BLOCK1, 0, true, 1024);
    hand.says(separate);
    assert_eq!((hand.inbox[0].kind(), hand.inbox[0].id(), hand.inbox.len()), (ACK, 700, 1));
    hand.says(make(CON, Code::CHANGED, 701).token(last.token()).payload(b"done"));
    assert_eq!(hand.response().1, b"done");
}

#[test]
fn blocks_become_smaller_where_the_peer_says_so() {
    let mut hand = Hand::known();
    hand.ask(put("up", body(9000, 1)));
    let first = hand.take(0);
    hand.says(answer(&first, Code::CONTINUE).block(BLOCK1, 0, true, 256));
    let sizes: Vec<_> = hand.inbox.iter().map(|got| got.block(BLOCK1).unwrap().2).collect();
    let cut = sizes.iter().position(|size| *size == 256).unwrap();
    assert!(cut >= 3 && sizes[cut..].iter().all(|size| *size == 256), "{sizes:?}");
    // On from where the large ones ended.
    assert_eq!(hand.inbox[cut].block(BLOCK1).unwrap().0 as usize * 256, (cut + 1) * 1024);
    assert_eq!(hand.inbox[cut].payload(), &body(9000, 1)[(cut + 1) * 1024..][..256]);
}

#[test]
fn too_large_with_a_smaller_size_begins_again_and_without_one_is_the_answer() {
    for (size, at) in [(Some(256), 1), (Some(256), 3), (None, 1), (None, 3)] {
        let mut hand = Hand::known();
        hand.ask(put("up", body(4000, 1)));
        let refused = hand.take(at);
        let more = refused.block(BLOCK1).unwrap().1;
        let too_large = answer(&refused, Code::REQUEST_ENTITY_TOO_LARGE);
        hand.inbox.clear();
        match size {
            Some(size) => {
                hand.says(too_large.block(BLOCK1, at as u32, more, size));
                assert!(hand.events().is_empty());
                let first = hand.take(0);
                assert_eq!((first.block(BLOCK1), first.number(REQUEST_TAG)), (Some((0, true, 256)), Some(2)));
            }
            None => {
                hand.says(too_large.payload(b"4 kB are too much"));
                assert_eq!(hand.response().0, Code::REQUEST_ENTITY_TOO_LARGE);
                hand.wait(300 * SECOND);
                assert_eq!(hand.inbox.len(), 0);
            }
        }
    }
}

#[test]
fn a_body_that_is_lost_again_and_again_is_given_up() {
    for (method, times) in [(put as fn(&str, Vec<u8>) -> Request, 2), (post, 0)] {
        let mut hand = Hand::known();
        hand.ask(method("up", body(4000, 1)));
        for tag in 1..=times + 1 {
            assert_eq!(hand.inbox[0].number(REQUEST_TAG), Some(tag));
            let lost = hand.take(1);
            hand.inbox.clear();
            hand.says(answer(&lost, Code::REQUEST_ENTITY_INCOMPLETE));
        }
        assert_eq!(hand.response().0, Code::REQUEST_ENTITY_INCOMPLETE);
        assert_eq!(hand.client.counters().uploads_sent_again, times);
        hand.wait(300 * SECOND);
        assert_eq!(hand.inbox.len(), 0);
    }
}

#[test]
fn any_other_answer_to_a_block_ends_the_exchange() {
    type Says = fn(&Got) -> Make;
    let answers: [(u64, Says, Option<FailReason>); 5] = [
        (1, |to| answer(to, Code::SERVICE_UNAVAILABLE), None),
        (1, |to| answer(to, Code::CHANGED), None),
        (
            1,
            |to| answer(to, Code::CONTINUE).block(BLOCK1, 2, true, 1024),
            Some(FailReason::Protocol(ProtocolError::WrongAcknowledgement { sent: 1, acknowledged: 2 })),
        ),
        (
            3,
            |to| answer(to, Code::CONTINUE).block(BLOCK1, 3, false, 1024),
            Some(FailReason::Protocol(ProtocolError::UnexpectedContinue)),
        ),
        (1, |to| empty(RST, to.id()), Some(FailReason::Reset)),
    ];
    for (num, says, expected) in answers {
        let mut hand = Hand::known();
        hand.ask(put("up", body(4000, 1)));
        let to = hand.take(num);
        let message = says(&to);
        let code = Got::parse(&message.bytes()).code();
        hand.inbox.clear();
        hand.says(message);
        match expected {
            Some(why) => assert_eq!(hand.failure(), why, "{code:?}"),
            None => assert_eq!(hand.response().0, code),
        }
        hand.wait(300 * SECOND);
        assert_eq!((hand.inbox.len(), hand.events().len()), (0, 0), "{code:?}");
    }
}

#[test]
fn a_peer_that_falls_silent_is_given_up_in_time() {
    for acknowledged in [false, true] {
        let mut hand = Hand::known();
        hand.ask(put("up", body(4000, 1)));
        if acknowledged {
            let last = hand.take(3);
            hand.says(empty(ACK, last.id()));
        }
        hand.wait(200 * SECOND);
        assert_eq!(hand.failure(), FailReason::Timeout);
    }
}
