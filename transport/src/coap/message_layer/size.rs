//! How long a message may be: what one record of its session carries, which is less where the handshake has
//! agreed on a max_fragment_length (RFC 6066 section 4). Every message of ours passes here; a longer one is
//! never sent. Blocks are smaller than that where the path takes no large datagrams (`path.rs`).

use super::MessageLayer;
use crate::SessionId;
use lowband_wire::coap::block::BlockSize;
use lowband_wire::coap::message::{Kind, MAX_MESSAGE, MessageId, Outgoing};
use lowband_wire::coap::{Code, numbers};

/// Bytes around a block of a response: header, token and payload marker (13 bytes), Content-Format, Max-Age,
/// ETag, Block1, Block2, Size2, and as much again for what may be added.
const AROUND: usize = 96;

/// Diagnostic text in place of a response that cannot be sent.
const TOO_LONG: &str = "the answer does not fit into a record of this session";

impl<O: Copy + PartialEq> MessageLayer<O> {
    pub(in crate::coap) fn limit(&mut self, session: SessionId, bytes: usize) {
        if bytes < MAX_MESSAGE {
            self.narrow.insert(session, bytes);
        }
    }

    /// Returns the bytes of the largest message to this session.
    pub(in crate::coap) fn largest_message(&self, session: SessionId) -> usize {
        self.narrow.get(&session).copied().unwrap_or(MAX_MESSAGE)
    }

    /// Returns the largest block that we send to this session or ask it for.
    pub(in crate::coap) fn block_size(&self, session: SessionId) -> BlockSize {
        let most = self.largest_message(session).saturating_sub(AROUND);
        let mut size = self.path(session).block_size(self.limits.block_size);
        while size.bytes() > most {
            let Some(smaller) = size.smaller() else { break };
            size = smaller;
        }
        size
    }

    /// Encodes a message; None for a request that is too long. A response is cut down until it can be sent:
    /// its client would otherwise repeat the request until it gives up.
    pub(super) fn encode(
        &mut self,
        session: SessionId,
        message: Outgoing,
        kind: Kind,
        id: MessageId,
    ) -> Option<Vec<u8>> {
        let most = self.largest_message(session);
        let fits = |message: Outgoing| message.encode(kind, id).filter(|bytes| bytes.len() <= most);
        let fallback = (!message.code.is_request()).then_some((message.code, message.token));
        let shorter = shortened_diagnostic(&message, most);
        if let Some(bytes) = fits(message).or_else(|| fits(shorter?)) {
            return Some(bytes);
        }
        self.counters.unsendable += 1;
        let (code, token) = fallback?;
        let code = if code.is_success() { Code::INTERNAL_SERVER_ERROR } else { code };
        fits(Outgoing { code, token, options: Vec::new(), payload: TOO_LONG.into() })
    }
}

/// Shortens a diagnostic text (RFC 7252 section 5.5.2). A body may not be cut.
fn shortened_diagnostic(message: &Outgoing, most: usize) -> Option<Outgoing> {
    let has_format = message.options.iter().any(|(number, _)| *number == numbers::CONTENT_FORMAT);
    if message.code.is_request()
        || message.code.is_success()
        || has_format
        || message.payload.len() < most / 2
    {
        return None;
    }
    let text = std::str::from_utf8(&message.payload).ok()?;
    let cut = (0..=most / 2).rev().find_map(|length| text.get(..length))?;
    Some(Outgoing { payload: cut.into(), ..message.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::super::config::{Limits, Times};
    use super::super::super::congestion::Turn;
    use super::super::super::dedup::Effect;
    use super::super::Origin;
    use super::*;
    use crate::shares::Network;
    use lowband_wire::coap::message::{Message, Token};
    use std::time::Instant;

    const SESSION: SessionId = SessionId(1);

    fn layer(largest: usize) -> MessageLayer<u8> {
        let mut layer = MessageLayer::new(Times::rfc7252(), Limits::default(), [1; 32]);
        layer.limit(SESSION, largest);
        layer
    }

    #[test]
    fn blocks_leave_room_for_what_stands_around_them() {
        for (largest, block) in
            [(512, 256), (1024, 512), (2048, 1024), (4096, 1024), (16_384, 1024), (60, 16)]
        {
            assert_eq!(layer(largest).block_size(SESSION).bytes(), block, "{largest}");
        }
        assert_eq!(layer(512).block_size(SessionId(2)).bytes(), 1024, "another session");
        let mut closed = layer(512);
        closed.closed(SESSION);
        assert_eq!(closed.block_size(SESSION).bytes(), 1024, "nothing is left of a session");
    }

    /// Returns what arrives of a response, and how many messages were counted as not to be sent.
    fn respond(
        kind: Kind,
        code: Code,
        options: Vec<(u16, Vec<u8>)>,
        payload: Vec<u8>,
    ) -> (Code, usize, Vec<u8>, u64) {
        let mut layer = layer(512);
        let token = Token::new(&[7; 8]).unwrap();
        let (network, effect) = (Network::alone(1), Effect::Acts);
        let (id, says) = (MessageId(1), 0);
        let origin = Origin { session: SESSION, network, kind, id, token, effect, says };
        layer.respond(Instant::now(), &origin, Outgoing { code, token, options, payload });
        let (_, bytes) = layer.poll_transmit().unwrap();
        assert!(bytes.len() <= 512, "{}", bytes.len());
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.token, layer.poll_transmit()), (token, None));
        let options = message.options().count();
        (message.code, options, message.payload().to_vec(), layer.counters.unsendable)
    }

    #[test]
    fn whatever_is_to_be_sent_fits_or_its_client_is_told() {
        let too_long = TOO_LONG.as_bytes().to_vec();
        let (format, max_age) = ((numbers::CONTENT_FORMAT, vec![60]), (numbers::MAX_AGE, vec![5]));
        let text = "é".repeat(300);
        let cases = [
            // A response that fits is sent unchanged.
            (Code::CONTENT, vec![format.clone()], vec![1; 450], Code::CONTENT, 1, vec![1; 450], 0),
            // A text is cut between characters; the rest of the message stays.
            (
                Code::SERVICE_UNAVAILABLE,
                vec![max_age],
                text.clone().into_bytes(),
                Code::SERVICE_UNAVAILABLE,
                1,
                text.as_bytes()[..256].to_vec(),
                0,
            ),
            // A body is not cut.
            (Code::CONTENT, vec![], vec![1; 520], Code::INTERNAL_SERVER_ERROR, 0, too_long.clone(), 1),
            (Code::NOT_FOUND, vec![format], vec![1; 520], Code::NOT_FOUND, 0, too_long.clone(), 1),
            // Options are not cut either.
            (
                Code::CONTENT,
                vec![(numbers::ETAG, vec![1; 600])],
                vec![],
                Code::INTERNAL_SERVER_ERROR,
                0,
                too_long,
                1,
            ),
        ];
        for (code, options, payload, arrives, count, text, unsendable) in cases {
            for kind in [Kind::Confirmable, Kind::NonConfirmable] {
                let got = respond(kind, code, options.clone(), payload.clone());
                assert_eq!(got, (arrives, count, text.clone(), unsendable), "{code:?} {kind:?}");
            }
        }
    }

    #[test]
    fn a_request_that_is_too_long_is_not_sent() {
        let mut layer = layer(512);
        let options = vec![(numbers::URI_PATH, vec![b'a'; 255]), (numbers::URI_PATH, vec![b'b'; 255])];
        let message = Outgoing { code: Code::GET, token: Token::EMPTY, options, payload: Vec::new() };
        assert!(!layer.send_confirmable(Instant::now(), SESSION, Network::alone(1), message, Turn::Small, 0));
        assert_eq!((layer.poll_transmit(), layer.counters.unsendable), (None, 1));
    }
}
