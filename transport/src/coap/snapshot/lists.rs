//! Lists of blocks at a snapshot: several blocks in one request (RFC 9177 section 4.4, M unset).
//!
//! ```text
//! a list --- each block that is there -----------> its answer, in ascending order
//!       |--- each that has not come yet ---> waits ---^
//!       `--- each beyond the end --------> left out; if all are, the list gets one refusal
//! ```
//!
//! A block waits in one list only: who asks for it again does not get it twice when it comes.

use super::super::message_layer::Origin;
use super::{Ask, Lookup, Sending, Snapshot};
use lowband_wire::coap::block::Block;
use std::time::Instant;

/// The blocks of a list that have not been answered.
#[derive(Debug)]
pub(in super::super) struct List {
    /// The request. Its blocks are answered by non-confirmable messages with its token.
    pub asker: Origin,
    /// In ascending order, all of one size.
    pub blocks: Vec<Block>,
    pub wants_size: bool,
    /// Whether a block has been answered, so that the client knows that its list has arrived.
    pub is_answered: bool,
    /// Whether the client has been told that blocks will not come, or is not to be.
    pub is_told: bool,
}

impl Snapshot {
    /// Looks up the blocks of a list that has just arrived; at most `room` of them may wait. Returns the
    /// answers, and how many blocks were dropped for want of room.
    pub(in super::super) fn ask_list(
        &mut self,
        now: Instant,
        mut list: List,
        room: usize,
    ) -> (Vec<Lookup>, usize) {
        self.last_used = now;
        self.has_gaps = true;
        for other in &mut self.lists {
            other.blocks.retain(|block| !list.blocks.contains(block));
        }
        self.lists.retain(|other| !other.blocks.is_empty());
        for block in &list.blocks {
            self.asked.ask(*block);
            self.demanded = self.demanded.max(block.offset() + block.size.bytes());
        }
        let answers = self.serve(&mut list);
        let dropped = list.blocks.len().saturating_sub(room);
        list.blocks.truncate(room);
        if !list.blocks.is_empty() {
            self.lists.push(list);
        }
        (answers, dropped)
    }

    /// Returns the answers to all lists whose blocks have come, or never will.
    pub(in super::super) fn serve_lists(&mut self, now: Instant) -> Vec<(Origin, Vec<Lookup>)> {
        let mut served = Vec::new();
        let mut lists = std::mem::take(&mut self.lists);
        lists.retain_mut(|list| {
            let answers = self.serve(list);
            if !answers.is_empty() {
                self.last_used = now;
                served.push((list.asker, answers));
            }
            !list.blocks.is_empty()
        });
        self.lists = lists;
        served
    }

    /// Answers what can be answered of a list; the other blocks stay in it.
    fn serve(&mut self, list: &mut List) -> Vec<Lookup> {
        let mut answers = Vec::new();
        let mut waiting = Vec::new();
        let mut refusal = None;
        for block in std::mem::take(&mut list.blocks) {
            let lookup = self.look_up(Ask::listed(block, list.asker.token, list.wants_size));
            match lookup {
                Lookup::Ready { .. } => {
                    list.is_answered = true;
                    answers.push(lookup);
                }
                Lookup::Wait => waiting.push(block),
                Lookup::OutOfRange if list.is_answered => {}
                Lookup::OutOfRange | Lookup::Gone | Lookup::Failed(..) => {
                    refusal.get_or_insert(lookup);
                }
            }
        }
        list.blocks = waiting;
        if let Some(refusal) = refusal.filter(|_| !list.is_told) {
            list.is_told = true;
            answers.push(refusal);
        }
        answers
    }

    /// Counts the blocks of lists that wait.
    pub(in super::super) fn listed(&self) -> usize {
        self.lists.iter().map(|list| list.blocks.len()).sum()
    }

    /// Returns whether a client waits for a block.
    pub(in super::super) fn is_waited_for(&self) -> bool {
        let is_stalled = self.sending.as_ref().is_some_and(|sending| sending.is_stalled);
        !self.waiting.is_empty() || !self.lists.is_empty() || is_stalled
    }

    /// Counts the bytes of the lists that wait, and of what is known of a body on its way.
    pub(super) fn bytes_of_lists(&self) -> usize {
        let blocks = self.lists.iter().map(|list| list.blocks.capacity()).sum::<usize>();
        let sending = self.sending.as_ref().map_or(0, |_| size_of::<Sending>());
        self.lists.capacity() * size_of::<List>() + blocks * size_of::<Block>() + sending
    }
}
