//! Whether the path of a session lets large datagrams through, and how large blocks are where it does not.
//!
//! ```text
//! not known ---- a message as long as a block arrives ----> let one through
//!     |                                                        |
//!     | LOST_AT_FIRST copies                                   | LOST_LATER copies of large messages are lost,
//!     | are lost while small messages pass                     | while small messages pass
//!     `---------> blocks of half the size, not known <---------'
//! ```
//!
//! A router that drops datagrams too long for its link, and whose error message does not arrive, looks like
//! loss that picks out large messages. So copies of unacknowledged large messages are counted, if some of
//! them were sent since small messages have passed, and if no large message has. A path on which nothing
//! passes says nothing of sizes. A request counts as large where its answer may be.
//!
//! If nothing else arrives from the peer, each third copy of a large message is followed by a probe: an Empty
//! confirmable message that is not repeated. An answer to it shows that the path drops large messages only.
//!
//! A path may begin as narrow, because a handshake or an earlier session has shown it. That is a guess, which
//! ends when a large message passes.
//!
//! Random loss differs from that in number alone. A path that has let a block through counts as narrow only
//! after more losses. The blocks of a session never grow again: the session would have to lose as many
//! messages to learn the same once more.

use super::repetition::Unacknowledged;
use super::{Alarm, MessageLayer};
use crate::SessionId;
use lowband_wire::coap::block::BlockSize;
use lowband_wire::coap::message::{Message, MessageId};
use lowband_wire::coap::{Code, numbers};
use std::time::Instant;

/// Copies of one message that count together: fewer say nothing. So two messages that are lost three times
/// each count as much as one that is lost six times.
const IN_A_ROW: u32 = 3;

/// Number of lost copies after which a path that has let nothing large through so far counts as narrow.
const LOST_AT_FIRST: u32 = 2 * IN_A_ROW;

/// Number of lost copies after which a path that has let something large through counts as narrow.
const LOST_LATER: u32 = 4 * IN_A_ROW;

/// The smallest blocks that a path is given, in bytes. A block of 512, with what CoAP and DTLS put around it,
/// is longer than 576 bytes, which every link of IPv4 was made to take (RFC 791); no link is known to take
/// less.
const SMALLEST: usize = 256;

/// How many halvings lead from the largest blocks to [`SMALLEST`].
const STEPS: u8 = 2;

/// Number of copies of a request already answered that show that its answer does not pass.
pub(super) const UNHEARD: u8 = 2;

/// The longest UDP payload on a path of 576 bytes (IPv4): a longer message shows that the path is wider.
const SMALL_MESSAGE: usize = 548;

/// What is known of the path of one session.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Path {
    /// How often blocks have been halved.
    halved: u8,
    /// How many large piggybacked responses have been lost since a large message passed.
    answers_lost: u8,
    /// Whether the halving is a guess.
    is_guessed: bool,
    /// Whether a message as long as a block has passed since blocks have had this size.
    has_let_through: bool,
}

impl Path {
    pub(super) fn is_narrow(self) -> bool {
        self.halved > 0
    }

    /// Returns the largest block on this path; `most` on one that is not narrow.
    pub(super) fn block_size(self, most: BlockSize) -> BlockSize {
        halved(most, self.halved)
    }

    fn copies_believed(self) -> u32 {
        if self.has_let_through { LOST_LATER } else { LOST_AT_FIRST }
    }
}

/// Returns the size halved this many times; it is not halved below what every path takes.
pub(in super::super) fn halved(size: BlockSize, times: u8) -> BlockSize {
    (0..times).fold(size, |size, _| smaller(size).unwrap_or(size))
}

fn smaller(size: BlockSize) -> Option<BlockSize> {
    size.smaller().filter(|smaller| smaller.bytes() >= SMALLEST)
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    pub(super) fn path(&self, session: SessionId) -> Path {
        self.known.get(session).map(|known| known.path).unwrap_or_default()
    }

    /// Begins anew with a path: what has passed, or was lost, had other blocks.
    fn begin_path(&mut self, session: SessionId, path: Path) {
        self.know(session).path = path;
        if let Some(link) = self.links.get_mut(&session) {
            link.let_through = None;
        }
        if let Some(seen) = self.seen.get_mut(session) {
            seen.answer_open = None;
        }
    }

    /// Notes that a message of that many bytes has passed, in either direction. Keeps nothing for it if
    /// nothing is kept of the session yet.
    pub(super) fn has_passed(&mut self, now: Instant, session: SessionId, bytes: usize) {
        if bytes > SMALL_MESSAGE {
            self.take_for_wide(session);
        }
        if bytes <= self.path(session).block_size(self.limits.block_size).bytes() {
            return;
        }
        let link = self.links.get_mut(&session);
        let is_kept = link.is_some() || self.known.contains(session) || self.seen.contains(session);
        if let Some(link) = link {
            link.let_through = Some(now);
        }
        if is_kept {
            let path = &mut self.know(session).path;
            path.has_let_through = true;
            path.answers_lost = 0;
        }
    }

    pub(in super::super) fn take_for_narrow(&mut self, session: SessionId) {
        if !self.path_is_narrow(session) {
            self.begin_path(session, Path { halved: STEPS, is_guessed: true, ..Path::default() });
            self.counters.paths_narrowed += 1;
        }
    }

    /// Ends a guess that was wrong.
    pub(in super::super) fn take_for_wide(&mut self, session: SessionId) {
        if self.path(session).is_guessed {
            self.begin_path(session, Path::default());
        }
    }

    pub(in super::super) fn path_is_narrow(&self, session: SessionId) -> bool {
        self.path(session).is_narrow()
    }

    /// Notes that large piggybacked responses to a request were lost, `lost` of them, and that a block of
    /// `size` arrived.
    pub(in super::super) fn answers_were_lost(
        &mut self,
        now: Instant,
        session: SessionId,
        request: MessageId,
        size: BlockSize,
        lost: u8,
    ) {
        let most = self.limits.block_size;
        let newest = self.seen.get_mut(session).filter(|seen| seen.answer_open == Some(request));
        // When many are on their way at once, some are lost by chance, and a later one may have arrived.
        let Some(seen) = newest else { return };
        seen.answer_open = None;
        let path = &mut self.know(session).path;
        path.answers_lost = path.answers_lost.saturating_add(lost);
        if u32::from(path.answers_lost) < path.copies_believed() || path.block_size(most) <= size {
            return;
        }
        let steps = (path.halved..STEPS).find(|steps| halved(most, *steps) <= size).unwrap_or(STEPS);
        self.begin_path(session, Path { halved: steps, ..Path::default() });
        self.counters.paths_narrowed += 1;
        self.narrowed.push_back(session);
        self.alarms.set(Alarm::Tell, now);
    }

    /// Notes that a piggybacked response is sent for the first time. If the one before it is not known to be
    /// lost, it may have arrived.
    pub(super) fn answer_goes(&mut self, session: SessionId, request: MessageId, bytes: usize) {
        let size = self.block_size(session).bytes();
        if let Some(seen) = self.seen.get_mut(session).filter(|_| bytes > size - size / 4)
            && seen.answer_open.replace(request).is_some()
        {
            self.large_answer_arrived(session);
        }
    }

    /// Notes that a large piggybacked response arrived, or may have: earlier responses were lost by chance.
    pub(in super::super) fn large_answer_arrived(&mut self, session: SessionId) {
        if let Some(known) = self.known.get_mut(session) {
            known.path.answers_lost = 0;
        }
    }

    /// Sends a probe beside a copy of a message, if nothing has arrived since `before`, when the copy
    /// before it was sent.
    pub(super) fn probe_path(&mut self, now: Instant, session: SessionId, id: MessageId, before: Instant) {
        let size = self.block_size(session);
        let Some(link) = self.links.get(&session).filter(|link| !link.controller.has_heard_since(before))
        else {
            return;
        };
        let is_in_doubt = |message: &Unacknowledged<O>| {
            message.id == id
                && message.copies().is_multiple_of(IN_A_ROW)
                && may_be_large(&message.bytes, size)
        };
        if smaller(size).is_some() && link.unacknowledged.iter().any(is_in_doubt) {
            self.probe(now, session);
        }
    }

    /// Judges the path after a message has not been acknowledged in time. It counts together with the other
    /// messages, whose newest copies may still be on their way.
    pub(super) fn judge_path(&mut self, session: SessionId, late: MessageId) {
        let size = self.block_size(session);
        let Some(link) = self.links.get(&session) else { return };
        // Otherwise the path may have been silent when the newest copy was lost.
        let is_beside = |message: &Unacknowledged<O>| link.controller.has_heard_since(message.last_sent());
        if !link.unacknowledged.iter().any(|message| message.id == late && is_beside(message)) {
            return;
        }
        let copies_lost = |message: &Unacknowledged<O>| {
            let under_way = u32::from(message.id != late);
            let lost = message.copies().saturating_sub(under_way);
            let beside_others = message.copies_beside_others(&link.controller).saturating_sub(under_way);
            let is_alone = link.let_through.is_none_or(|passed| passed <= message.first_sent());
            if beside_others >= IN_A_ROW && is_alone && may_be_large(&message.bytes, size) {
                lost - lost % IN_A_ROW
            } else {
                0
            }
        };
        let lost: u32 = link.unacknowledged.iter().map(copies_lost).sum();
        self.large_are_lost(session, lost);
    }

    /// Makes the blocks of a session smaller if so many large messages, or answers, were lost one after the
    /// other while small ones passed.
    pub(in super::super) fn large_are_lost(&mut self, session: SessionId, lost: u32) {
        let (size, path) = (self.block_size(session), self.path(session));
        if lost >= path.copies_believed() && smaller(size).is_some() {
            self.begin_path(session, Path { halved: path.halved + 1, ..Path::default() });
            self.counters.paths_narrowed += 1;
            self.narrowed.push_back(session);
        }
    }
}

/// Returns whether a message of ours, or its answer, may be longer than half a block: any GET, and any
/// request for a further block.
fn may_be_large(bytes: &[u8], block: BlockSize) -> bool {
    let asks_for_much = |message: Message| {
        let names_block = message.options().any(|(number, _)| number == numbers::BLOCK2);
        message.code == Code::GET || (message.code.is_request() && names_block)
    };
    bytes.len() > block.bytes() / 2 || Message::parse(bytes).is_ok_and(asks_for_much)
}

#[cfg(test)]
mod tests {
    use super::super::super::config::{Limits, Times};
    use super::super::super::dedup::Effect;
    use super::super::Origin;
    use super::*;
    use crate::shares::Network;
    use lowband_wire::coap::message::{Kind, Token};
    use std::time::Duration;

    #[test]
    fn blocks_become_smaller_by_steps_down_to_what_every_link_takes() {
        let mut path = Path::default();
        for (halved, bytes) in [(0, 1024), (1, 512), (2, 256), (3, 256), (255, 256)] {
            path.halved = halved;
            assert_eq!(path.block_size(BlockSize::MAX).bytes(), bytes);
            let small = BlockSize::MIN;
            assert_eq!(path.block_size(small), small, "what is set smaller stays");
        }
    }

    #[test]
    fn a_path_that_has_let_a_block_through_is_doubted_later() {
        let mut layer = MessageLayer::<u8>::new(Times::rfc7252(), Limits::default(), [1; 32]);
        let (session, now) = (SessionId(1), Instant::now());
        layer.know(session);
        for (bytes, believed) in [(1024, LOST_AT_FIRST), (1025, LOST_LATER), (4, LOST_LATER)] {
            layer.has_passed(now, session, bytes);
            assert_eq!(layer.path(session).copies_believed(), believed, "{bytes}");
        }
    }

    /// Makes a session that has asked, and whose large piggybacked response was lost twice.
    fn lost_twice(times: Times, round_trip: Option<Duration>) -> (MessageLayer<u8>, Origin, Instant) {
        let mut layer = MessageLayer::new(times, Limits::default(), [1; 32]);
        let (session, network, token) = (SessionId(1), Network::alone(1), Token::EMPTY);
        let (kind, id, effect, now) = (Kind::Confirmable, MessageId(1), Effect::Acts, Instant::now());
        let origin = Origin { session, network, kind, id, token, effect, says: 0 };
        layer.opened(now, session, round_trip);
        layer.remember(now, &origin);
        layer.answer_goes(session, id, 1024);
        layer.answers_were_lost(now, session, id, BlockSize::MAX, 2);
        assert_eq!(layer.path(session).answers_lost, 2);
        (layer, origin, now)
    }

    #[test]
    fn an_answer_of_which_no_more_will_be_known_may_have_arrived() {
        let sample = Some(Duration::from_millis(100));
        let (mut layer, origin, now) = lost_twice(Times::measured(), sample);
        let lifetime = layer.times.exchange_lifetime;
        assert!(layer.handle_timeout(now + lifetime).is_none());
        assert_eq!(layer.path(origin.session).answers_lost, 2, "nothing was sent meanwhile");
        let next = Origin { id: MessageId(2), ..origin };
        layer.remember(now + lifetime, &next);
        layer.answer_goes(origin.session, next.id, 1024);
        assert!(layer.handle_timeout(now + 2 * lifetime).is_none());
        assert_eq!(layer.path(origin.session).answers_lost, 0);
    }

    #[test]
    fn a_path_that_was_taken_for_narrow_wakes_nobody_after_its_session() {
        let (mut layer, origin, now) = lost_twice(Times::rfc7252(), None);
        let (session, next, size) = (origin.session, MessageId(2), BlockSize::MAX);
        layer.answer_goes(session, next, 1024);
        layer.answers_were_lost(now, session, next, size.smaller().unwrap(), 4);
        assert!(layer.path_is_narrow(session));
        assert_eq!(layer.poll_timeout(), Some(now));
        layer.closed(session);
        assert_eq!((layer.sessions(), layer.poll_timeout()), (0, None));
    }

    #[test]
    fn doubts_of_a_path_are_forgotten_with_all_else() {
        let (mut layer, origin, now) = lost_twice(Times::rfc7252(), None);
        layer.has_passed(now, origin.session, 1025);
        assert_eq!(layer.path(origin.session).copies_believed(), LOST_LATER);
        assert!(layer.handle_timeout(now + layer.times.exchange_lifetime).is_none());
        assert_eq!((layer.sessions(), layer.poll_timeout()), (0, None));
    }
}
