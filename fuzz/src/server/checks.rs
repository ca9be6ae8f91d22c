//! Properties of everything that the server reports and sends.

use super::{Answer, LONGEST_CHUNK, Message, SESSIONS, World, answer_seed, upload_seed};
use crate::coap::{BLOCK2, ETAG, Q_BLOCK2, Sent, assert_in_order, body};
use coap_lite::MessageType;
use lowband_transport::coap::{Limits, ServerEvent};
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::{Code, Method};
use std::time::Duration;

impl World {
    /// Takes the server's reports and messages. `at`: the message that has just been delivered.
    pub(super) fn look(&mut self, at: Option<usize>) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Request { session, exchange, method, options, body, .. } => {
                    let message = &self.messages[at.expect("only a message makes a request")];
                    let key = message.key;
                    assert_eq!((session, method == Method::Put), (key.session, key.put));
                    assert_eq!(options.path, [if key.resource { "a" } else { "b" }]);
                    assert_in_order(&options, &body, &self.limits);
                    whole(message, &body);
                    let answer = Answer { key, begun: false, length: 0, complete: false, over: false };
                    assert!(self.answers.insert(exchange, answer).is_none(), "an exchange is told of once");
                }
                ServerEvent::Cancelled { exchange } => {
                    let answer = self.answers.get_mut(&exchange).expect("it was told of");
                    assert!(!answer.over, "what is complete or cancelled is not cancelled");
                    answer.over = true;
                }
                ServerEvent::WantsChunk { exchange } => {
                    assert!(!self.answers[&exchange].over, "what is over wants nothing");
                    assert!(self.server.wants_chunk(exchange));
                }
                other => panic!("{other:?}"),
            }
        }
        while let Some((session, bytes)) = self.server.poll_transmit() {
            assert!(self.sessions.contains(&session), "nothing is sent to a session that is gone");
            let sent = Sent::parse(&bytes);
            if sent.kind() == MessageType::Confirmable && !self.separate.contains(&(session, sent.id())) {
                self.separate.push((session, sent.id()));
            }
            if sent.code() == Code::CONTENT.0 {
                self.response(session, &sent);
            }
        }
    }

    /// Checks that a response belongs to an answer to the request that its token names.
    fn response(&mut self, session: SessionId, sent: &Sent) {
        let token = sent.token().try_into().map(u32::from_be_bytes).expect("a token of ours");
        let key = self.messages[token as usize].key;
        assert_eq!(key.session, session);
        let payload = sent.payload();
        let block = sent.block(BLOCK2).or_else(|| sent.block(Q_BLOCK2));
        let (from, more, size) = block.unwrap_or((0, false, usize::MAX));
        assert!(
            payload.len() <= size && (!more || payload.len() == size),
            "a block is full but for the last"
        );
        let end = from + payload.len();
        let belongs = |(id, answer): &(&ExchangeId, &Answer)| {
            answer.key == key
                && if more { answer.length >= end } else { answer.complete && answer.length == end }
                && body(answer_seed(**id), from, end) == payload
        };
        let Some(etag) = sent.option(ETAG) else {
            assert!(self.answers.iter().any(|answer| belongs(&answer)), "the body of an answer");
            return;
        };
        // A last empty block would belong to several bodies.
        let known = self.etags.get(etag).copied();
        let found = self
            .answers
            .iter()
            .filter(belongs)
            .map(|(id, _)| *id)
            .find(|id| known.is_none_or(|known| known == *id));
        let found = found.expect("a block of the body that its ETag names");
        self.etags.insert(etag.to_vec(), found);
    }

    pub(super) fn check(&self) {
        let Limits { blockwise_total, snapshot_bytes_per_session: share, exchanges_per_session, .. } =
            self.limits;
        // A snapshot with a waiting request is read on in any case, within the share of its session, and one
        // page more is reserved.
        let most = blockwise_total + SESSIONS * (share + share / 2 + LONGEST_CHUNK + (16 << 10));
        assert!(self.server.blockwise_bytes() <= most, "{} bytes held", self.server.blockwise_bytes());
        assert!(self.server.sessions_in_memory() <= SESSIONS);
        for session in self.sessions {
            let of_session = |answer: &&Answer| answer.key.session == session && !answer.over;
            assert!(self.answers.values().filter(of_session).count() <= exchanges_per_session);
        }
    }

    /// Checks that nothing is left after the end of all sessions, or after silence.
    pub(super) fn end(mut self, by_silence: bool) {
        if by_silence {
            for id in self.answers.keys() {
                self.server.fail(self.now, *id, Code::new(5, 4), "the upstream is silent");
            }
            self.answers.values_mut().for_each(|answer| answer.over = true);
            self.pass(Duration::from_secs(3600));
        } else {
            for session in self.sessions {
                self.server.session_closed(self.now, session);
            }
            while self.server.poll_transmit().is_some() {}
            self.look(None);
            assert!(self.answers.values().all(|answer| answer.over), "the end of a session cancels");
        }
        let server = &self.server;
        assert_eq!((server.blockwise_bytes(), server.open_exchanges()), (0, 0));
        assert_eq!(server.poll_timeout(), None);
        assert!(server.sessions_in_memory() == 0 || by_silence && self.has_said);
    }
}

/// Checks that the body of a request is the client's part of this upload, up to the end of the block that
/// completed it.
fn whole(message: &Message, uploaded: &[u8]) {
    match message.upload {
        Some((number, end)) => {
            assert_eq!(uploaded, body(upload_seed(message.key, number), 0, end), "an upload is whole");
        }
        None => assert!(uploaded.is_empty()),
    }
}
