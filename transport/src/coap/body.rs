//! What a session has to know of a body in order to have several of its blocks on their way at once.

use lowband_wire::coap::block::Block;

/// A body in blocks, seen from its session: what may go next, and what has become of it.
pub(super) trait Body {
    /// Returns the block that goes next; None while nothing is missing that is not on its way.
    /// `last_at_last`: the last one has to wait for all others.
    fn missing(&self, last_at_last: bool) -> Option<Block>;
    /// Notes that this block has gone out under this number.
    fn is_asked(&mut self, block: Block, number: u64);
    /// Returns whether nothing newer has gone out for a block that is still missing.
    fn is_newest(&self, block: Block, number: u64) -> bool;
    /// Notes that a block has to go again.
    fn is_lost(&mut self, block: Block, number: u64);
    /// Returns whether later blocks have arrived.
    fn has_beyond(&self, block: Block) -> bool;
}
