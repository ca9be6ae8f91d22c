//! State of an exchange.

use super::super::super::message_layer::Origin;
use super::super::super::snapshot::SnapshotId;
use lowband_wire::coap::Code;
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::Kind;
use lowband_wire::coap::options::{BodyKey, ResponseOptions};
use std::time::Instant;

#[derive(Debug)]
pub(in super::super) enum State {
    /// The upstream has the request; nothing has been sent.
    Open {
        key: BodyKey,
        access_token: Option<AccessToken>,
        block1: Option<Block>,
        block2: Option<Block>,
        /// Blocks that the request asks for besides the first one; the first one among them if that is to be
        /// named by Q-Block2.
        list: Vec<Block>,
        head: Option<(Code, ResponseOptions)>,
        body: Vec<u8>,
    },
    /// The upstream fills a snapshot.
    Feeding(SnapshotId),
    /// A block request waits for the upstream.
    WaitingForBlock(SnapshotId),
    /// The last block of an upload waits for those before it.
    WaitingForUpload,
    /// The answer has been sent, or the first block of this snapshot.
    Done(Option<SnapshotId>),
}

#[derive(Debug)]
pub(in super::super) struct Exchange {
    pub asker: Origin,
    pub state: State,
    /// True if the request asks for a block of a snapshot, or for what needed no upstream.
    pub for_block: bool,
    /// True if the request asks for further blocks together with the first one, so that its client may ask
    /// for others before it has that.
    pub(super) has_list: bool,
    /// Offset in the body of the block that the request asks for.
    pub(super) offset: usize,
    pub(super) arrived: Instant,
    /// True if the response will be separate: an empty acknowledgement has been sent, or the request
    /// was inside one.
    pub(super) acknowledged: bool,
    /// True while a separate response is on its way.
    pub unacknowledged: bool,
    /// State before the answer, if the response is one message that may have to be sent in smaller blocks.
    pub whole: Option<Box<State>>,
}

impl Exchange {
    pub(in super::super) fn new(now: Instant, asker: Origin, state: State, offset: usize) -> Exchange {
        let for_block = matches!(state, State::WaitingForBlock(_) | State::Done(_));
        let has_list = matches!(&state, State::Open { list, .. } if !list.is_empty());
        let acknowledged = asker.kind == Kind::Acknowledgement;
        Exchange {
            asker,
            state,
            for_block,
            has_list,
            offset,
            arrived: now,
            acknowledged,
            unacknowledged: false,
            whole: None,
        }
    }

    /// Returns whether the caller still owes a part of the answer.
    pub(in super::super) fn waits_for_upstream(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Feeding(_))
    }

    /// Returns whether something is to be sent or acknowledged, apart from what snapshots hold.
    pub(in super::super) fn is_unfinished(&self) -> bool {
        matches!(self.state, State::Open { .. }) || self.unacknowledged
    }

    /// Returns the snapshot that this exchange fills.
    pub(in super::super) fn feeds(&self) -> Option<SnapshotId> {
        match self.state {
            State::Feeding(snapshot) => Some(snapshot),
            _ => None,
        }
    }

    pub(in super::super) fn snapshot(&self) -> Option<SnapshotId> {
        match self.state {
            State::Open { .. } | State::WaitingForUpload => None,
            State::Feeding(snapshot) | State::WaitingForBlock(snapshot) => Some(snapshot),
            State::Done(snapshot) => snapshot,
        }
    }
}
