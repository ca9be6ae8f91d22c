//! Separate responses that are too large for the path of their session, sent once more in smaller blocks.
//!
//! ```text
//! a first block of a snapshot ----------------> its beginning, under the same token
//! a body in one message --> snapshot, as if it had needed blocks --> its first block
//! ```
//!
//! A server may choose a smaller size than it was asked for (RFC 7959 section 2.4). Blocks after the first
//! need nothing: their client asks for them again. Nor do answers inside acknowledgements, which are not
//! acknowledged: a client that cannot ask for smaller blocks does not get them.

use super::super::block::Block;
use super::Server;
use crate::{ExchangeId, SessionId};
use std::time::Instant;

impl Server {
    /// Sends the separate responses of a session again after its blocks have become smaller.
    pub(super) fn cut_smaller(&mut self, now: Instant, session: SessionId) {
        let size = self.messages.block_size(session);
        for id in self.messages.longer_than(session, size.bytes()) {
            if self.send_smaller(now, id, Block { num: 0, more: true, size }).is_some() {
                // If the answer was on its way, the client may have got one of the large copies, and resets a
                // copy that it does not expect any more.
                self.messages.is_sent_again(session, id);
            }
        }
    }

    /// Sends one answer in blocks of this size; None if it stays as it is.
    fn send_smaller(&mut self, now: Instant, id: ExchangeId, block: Block) -> Option<()> {
        let exchange = self.exchanges.get_mut(&id).filter(|exchange| !exchange.for_block)?;
        if let Some(whole) = exchange.whole.take() {
            self.change(id, |exchange| (exchange.unacknowledged, exchange.state) = (false, *whole));
            self.start_snapshot(now, id, true);
            return Some(());
        }
        let (session, snapshot, token) = (exchange.asker.session, exchange.snapshot()?, exchange.asker.token);
        let message = self.first_block(now, session, snapshot, block, token)?;
        self.delivering(now, session, snapshot, false);
        self.reply(now, id, message);
        Some(())
    }
}
