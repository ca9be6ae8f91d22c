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
//! A router that drops what is too long for its link, and whose word of it does not arrive, looks like loss that picks out large
//! messages. So those that nobody acknowledged are counted: copies of messages on their way of which some were sent since small messages
//! have passed, and no large one. A path on which nothing passes says nothing of sizes. A request counts as large where its answer may be.
//!
//! What is lost at random is told from that by its number alone. Of a path that has let a block through it is believed only after more.
//! The blocks of a session never grow again: it would have to lose as many to learn the same once more.

use super::super::block::BlockSize;
use super::super::message::{Message, MessageId};
use super::super::numbers::{self, Code};
use super::MessageLayer;
use super::repetition::Unacknowledged;
use crate::SessionId;
use std::time::Instant;

/// Copies of one message that count together: fewer say nothing. So two messages that are lost three times are what one is that is lost
/// six times.
const IN_A_ROW: u32 = 3;

/// Copies that are lost until a path is taken for narrow which has let nothing large through so far.
const LOST_AT_FIRST: u32 = 2 * IN_A_ROW;

/// The same for one that has.
const LOST_LATER: u32 = 4 * IN_A_ROW;

/// The smallest blocks that a path is given. A block of 512 with what stands around it and DTLS is longer than 576 bytes, which is
/// what every link of IPv4 was made to take (RFC 791); no link is known to take less.
const SMALLEST: usize = 256;

/// Of one session.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Path {
    /// How often blocks have been halved.
    halved: u8,
    /// When a message as long as a block has passed last, since then.
    let_through: Option<Instant>,
}

impl Path {
    pub(super) fn is_narrow(self) -> bool {
        self.halved > 0
    }

    /// The largest block on this path; `most` elsewhere.
    pub(super) fn block_size(self, most: BlockSize) -> BlockSize {
        (0..self.halved).fold(most, |size, _| smaller(size).unwrap_or(size))
    }

    /// A message of that many bytes has passed, in either direction.
    pub(super) fn passed(&mut self, now: Instant, bytes: usize, most: BlockSize) {
        if bytes > self.block_size(most).bytes() {
            self.let_through = Some(now);
        }
    }

    /// Whether nothing large has passed since then.
    fn is_doubted_since(self, sent: Instant) -> bool {
        self.let_through.is_none_or(|passed| passed <= sent)
    }

    fn copies_believed(self) -> u32 {
        if self.let_through.is_some() { LOST_LATER } else { LOST_AT_FIRST }
    }
}

fn smaller(size: BlockSize) -> Option<BlockSize> {
    size.smaller().filter(|smaller| smaller.bytes() >= SMALLEST)
}

impl<O: Copy + PartialEq> MessageLayer<O> {
    pub(super) fn has_passed(&mut self, now: Instant, session: SessionId, bytes: usize) {
        if let Some(link) = self.links.get_mut(&session) {
            link.path.passed(now, bytes, self.limits.block_size);
        }
    }

    /// A message has not been acknowledged in time. It counts with the others, of which the newest copy may still be on its way.
    pub(super) fn judge_path(&mut self, session: SessionId, late: MessageId) {
        let size = self.block_size(session);
        let Some(link) = self.links.get_mut(&session) else { return };
        let copies_lost = |message: &Unacknowledged<O>| {
            let under_way = u32::from(message.id != late);
            let lost = message.copies().saturating_sub(under_way);
            let beside_others = message.copies_beside_others(&link.controller).saturating_sub(under_way);
            let is_alone = link.path.is_doubted_since(message.first_sent());
            if beside_others >= IN_A_ROW && is_alone && may_be_large(&message.bytes, size) {
                lost - lost % IN_A_ROW
            } else {
                0
            }
        };
        let lost: u32 = link.unacknowledged.iter().map(copies_lost).sum();
        if lost >= link.path.copies_believed() && smaller(size).is_some() {
            link.path = Path { halved: link.path.halved + 1, let_through: None };
            self.counters.paths_narrowed += 1;
            self.narrowed.push_back(session);
        }
    }
}

/// Whether a message of ours, or what answers it, may be longer than half a block: any GET, and any request for a further block.
fn may_be_large(bytes: &[u8], block: BlockSize) -> bool {
    let asks_for_much = |message: Message| {
        let names_block = message.options().any(|(number, _)| number == numbers::BLOCK2);
        message.code == Code::GET || (message.code.is_request() && names_block)
    };
    bytes.len() > block.bytes() / 2 || Message::parse(bytes).is_ok_and(asks_for_much)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (mut path, now) = (Path::default(), Instant::now());
        path.passed(now, 1024, BlockSize::MAX);
        assert_eq!(path.copies_believed(), LOST_AT_FIRST);
        path.passed(now, 1025, BlockSize::MAX);
        assert_eq!(path.copies_believed(), LOST_LATER);
    }
}
