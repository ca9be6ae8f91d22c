//! Separate responses that are too large for the path of their session, sent once more in smaller blocks.
//!
//! ```text
//! a first block of a snapshot ----------------> its beginning, under the same token
//! a body in one message --> snapshot, as if it had needed blocks --> its first block
//! ```
//!
//! A server may choose a smaller size than it was asked for (RFC 7959 section 2.4). Blocks after the first
//! need nothing: their client asks for them again.
//!
//! A piggybacked response is not acknowledged. But a client that repeats its request has not received it:
//! from the third arrival of a request on, the response is cut into smaller blocks. A copy need not get the
//! same bytes, only an equivalent response (RFC 7252 section 4.5); a client that has received the first
//! response ignores the others. If it then asks for the second block in the smaller size, none of the
//! larger responses arrived. After enough of those the path counts as narrow.
//!
//! ```text
//! arrival of the request    1st     2nd     3rd     4th and later
//! bytes of the block       1024    1024     512     256
//! ```

use super::super::message_layer::{Origin, halved};
use super::super::snapshot::{Ask, End, Lookup, Snapshot, SnapshotId};
use super::{Server, echo};
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::message::{Message, Outgoing};
use lowband_wire::coap::options::{ParsedRequest, ParsedResponse};
use lowband_wire::coap::{access_token, numbers};
use std::time::Instant;

impl Server {
    /// Makes the blocks of a session small, because its handshake has shown that datagrams of more than 548
    /// bytes do not pass. A longer message that arrives revokes it. Call it before
    /// [`Server::session_opened`].
    pub fn take_for_narrow(&mut self, session: SessionId) {
        self.messages.take_for_narrow(session);
    }

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

    /// Answers a copy of a request whose answer was sent before, in smaller blocks; `times` counts such
    /// copies.
    pub(super) fn answer_smaller(
        &mut self,
        now: Instant,
        asker: &Origin,
        request: &Message,
        answer: Vec<u8>,
        times: u8,
    ) {
        self.still_wanted(now, asker.session, asker.id);
        let size = halved(self.messages.block_size(asker.session), times.saturating_sub(1));
        match self.in_blocks(now, asker, request, &answer, size) {
            Some(smaller) => {
                self.messages.respond(now, asker, smaller);
                if let Some(id) = self.snapshot_for(asker.session, asker) {
                    self.change_snapshot(now, asker.session, id, |snapshot| {
                        snapshot.cut = Some((size, times));
                    });
                }
            }
            None => self.messages.send_again(asker.session, answer),
        }
    }

    /// Makes the first block of an answer that was sent before; `None` if the answer is short enough, or its
    /// snapshot is gone.
    fn in_blocks(
        &mut self,
        now: Instant,
        asker: &Origin,
        request: &Message,
        answer: &[u8],
        size: BlockSize,
    ) -> Option<Outgoing> {
        let answer = Message::parse(answer).ok().filter(|answer| answer.payload().len() > size.bytes())?;
        let sent = ParsedResponse::parse(&answer).0.ok()?;
        let (session, block1) = (asker.session, sent.block1);
        let snapshot = match sent.block2.or(sent.q_block2).filter(|block| block.more) {
            Some(_) => self.snapshot_for(session, asker)?,
            None => self.keep_sent(now, asker, request, answer, sent)?,
        };
        let block = Block { num: 0, more: true, size };
        // The client has not received the size of the body yet.
        let ask = |snapshot: &mut Snapshot| {
            let option = snapshot.option;
            snapshot.ask(now, Ask { block, token: asker.token, option, wants_size: true })
        };
        let asked = self.change_snapshot(now, session, snapshot, ask);
        let block = asked.filter(|lookup| matches!(lookup, Lookup::Ready { .. }))?;
        let mut message = self.block_message(asker.token, block)?;
        message.options.extend(block1.map(echo));
        Some(message)
    }

    fn snapshot_for(&self, session: SessionId, asker: &Origin) -> Option<SnapshotId> {
        let mut snapshots = self.bodies(session)?.snapshots();
        snapshots.find(|snapshot| snapshot.request == (asker.id, asker.token)).map(|snapshot| snapshot.id)
    }

    /// Makes a snapshot of an answer that was sent in one message.
    fn keep_sent(
        &mut self,
        now: Instant,
        asker: &Origin,
        request: &Message,
        answer: Message,
        sent: ParsedResponse,
    ) -> Option<SnapshotId> {
        let parsed = ParsedRequest::parse(request).0.ok()?;
        let said = access_token::said(request);
        let access_token = self.standing(asker.session, &said).access_token;
        let (id, etag) = self.next_snapshot();
        // No exchange fills the snapshot: it is whole.
        let (head, nobody) = ((answer.code, sent.options), ExchangeId(u64::MAX));
        let mut snapshot = Snapshot::new(now, id, parsed.key, asker, nobody, head, etag);
        snapshot.access_token = access_token;
        snapshot.append(answer.payload());
        snapshot.finish(End::Complete);
        self.messages.counters.snapshots += 1;
        self.insert_snapshot(now, asker, snapshot);
        self.grown(now, asker.session, id);
        Some(id)
    }

    /// Judges the path by a request for a block after the first. If the request has the size of a first block
    /// that was cut, the larger blocks were lost. Otherwise a large one has arrived.
    pub(super) fn judge_by_next_block(
        &mut self,
        now: Instant,
        session: SessionId,
        id: SnapshotId,
        asked: BlockSize,
    ) {
        let cut = self
            .change_snapshot(now, session, id, |snapshot| Some((snapshot.request.0, snapshot.cut.take()?)));
        match cut.flatten() {
            Some((request, (size, lost))) if asked <= size => {
                self.messages.answers_were_lost(now, session, request, asked, lost);
            }
            _ if asked >= self.messages.block_size(session) => self.messages.large_answer_arrived(session),
            _ => {}
        }
    }

    /// Judges the path by the first message of a client of ours: a client that takes its path for narrow
    /// names a small block there. A client that does not has received a long datagram of the handshake, or
    /// shook hands without repeats.
    pub(super) fn judge_by_our_client(&mut self, session: SessionId, message: &Message) {
        let mut blocks = message
            .options()
            .filter(|(number, _)| [numbers::BLOCK1, numbers::BLOCK2, numbers::Q_BLOCK2].contains(number))
            .filter_map(|(_, value)| Block::decode(value).ok());
        if !blocks.any(|block| block.size < BlockSize::MAX) {
            self.messages.take_for_wide(session);
        }
    }
}
