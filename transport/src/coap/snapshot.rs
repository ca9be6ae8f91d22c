//! Response bodies that leave in blocks: the sending side of Block2 (RFC 7959 section 2.4) and of Q-Block2
//! (RFC 9177), with random access.
//!
//! A snapshot is filled from the upstream while the client reads it. Any block that has come may be asked for
//! at any time, in any order and size, any number of times. A request for a later block waits. No block
//! request reaches the upstream.
//!
//! ```text
//!   0        start                  demanded              end
//!   |- gone -|---- may be asked for ----|- read ahead ------|   still at the upstream
//! ```
//!
//! What lies before `start` has been dropped to make room: only what lies behind the client's newest request
//! by more than the widest window of a pipelining client, what has not been asked for lately, and only once
//! the session's share is used up. So any block of a body within the share can be asked for again, and larger
//! bodies can still be fetched in order.

mod asked;
mod content;
mod lists;
mod sending;

use super::message_layer::Origin;
use crate::ExchangeId;
use asked::Asked;
use content::Content;
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::message::{MessageId, Outgoing, Token};
use lowband_wire::coap::options::{self, BodyKey, ResponseOptions};
use lowband_wire::coap::uint::uint;
use lowband_wire::coap::{Code, numbers};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(super) use lists::List;
pub(super) use sending::{Pace, Sending, Step};

/// Bytes kept behind the newest block asked for: 256 blocks of 1024, the widest window of a client.
const KEEP_BEHIND: usize = 256 << 10;

/// How the upstream has ended its part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The body still grows.
    Open,
    /// The body is whole.
    Complete,
    /// Nothing more will come; blocks that are missing are answered by this.
    Failed(Code, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SnapshotId(pub u64);

/// What is asked for, and how it is to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub block: Block,
    pub token: Token,
    /// Option that names the block in the answer: Block2 or Q-Block2.
    pub option: u16,
    /// Whether the answer says how long the body is, although another one has.
    pub wants_size: bool,
}

impl Ask {
    /// Makes a question by Block2.
    pub(super) fn by_block2(block: Block, token: Token, wants_size: bool) -> Ask {
        Ask { block, token, option: numbers::BLOCK2, wants_size }
    }

    /// Makes a question by a list.
    pub(super) fn listed(block: Block, token: Token, wants_size: bool) -> Ask {
        Ask { block, token, option: numbers::Q_BLOCK2, wants_size }
    }
}

/// What the answer to a block request is.
#[derive(Debug)]
pub(super) enum Lookup {
    /// The block; `again`: it has been sent before.
    Ready {
        message: Outgoing,
        again: bool,
    },
    /// The block has not come from the upstream yet.
    Wait,
    /// The block lies beyond the end of the body.
    OutOfRange,
    /// The block was read long ago and has been dropped.
    Gone,
    Failed(Code, String),
}

/// A block request that waits for its block to come from the upstream.
#[derive(Debug)]
pub(super) struct Waiting {
    pub exchange: ExchangeId,
    pub block: Block,
    pub token: Token,
}

/// Bytes of a snapshot besides its content: itself, a place that its list may have to spare, its
/// ETag, and allocations.
const OVERHEAD: usize = 2 * size_of::<Snapshot>() + 64;

/// One response body, and everything that all its blocks have in common.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub id: SnapshotId,
    pub key: BodyKey,
    /// The request for the first block.
    pub request: (MessageId, Token),
    /// Option that names the first block in its answer.
    pub option: u16,
    pub answered: Instant,
    /// Access token of that request.
    pub access_token: Option<AccessToken>,
    /// Exchange that fills the snapshot; None once the upstream has ended.
    pub feeder: Option<ExchangeId>,
    /// Block requests that wait, in the order of their arrival.
    pub waiting: VecDeque<Waiting>,
    /// Lists of which blocks wait, likewise.
    pub lists: Vec<List>,
    /// How the body is sent on by itself; None if it waits for requests.
    pub sending: Option<Box<Sending>>,
    pub last_used: Instant,
    /// True once every block has been sent.
    pub read: bool,
    /// True once the client has asked for several blocks in one message, or for one again: it may miss some
    /// although all have been sent.
    pub has_gaps: bool,
    /// Blocks on their way as separate responses: until they have arrived, the client cannot ask for more.
    pub delivering: u32,
    /// Smaller size in which the first block has been sent, and how many larger copies seemed lost before
    /// that.
    pub cut: Option<(BlockSize, u8)>,
    code: Code,
    options: ResponseOptions,
    etag: Vec<u8>,
    content: Content,
    end: End,
    /// End of the furthest block that was asked for.
    demanded: usize,
    asked: Asked,
    size_told: bool,
}

impl Snapshot {
    pub(super) fn new(
        now: Instant,
        id: SnapshotId,
        key: BodyKey,
        request: &Origin,
        feeder: ExchangeId,
        head: (Code, ResponseOptions),
        etag: Vec<u8>,
    ) -> Snapshot {
        Snapshot {
            id,
            key,
            request: (request.id, request.token),
            option: numbers::BLOCK2,
            answered: now,
            access_token: None,
            feeder: Some(feeder),
            waiting: VecDeque::new(),
            lists: Vec::new(),
            sending: None,
            last_used: now,
            read: false,
            has_gaps: false,
            delivering: 0,
            cut: None,
            code: head.0,
            options: head.1,
            etag,
            content: Content::default(),
            end: End::Open,
            demanded: 0,
            asked: Asked::default(),
            size_told: false,
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.content.append(bytes);
    }

    pub(super) fn finish(&mut self, end: End) {
        self.end = end;
        self.feeder = None;
    }

    /// Looks up a block for a request that has just arrived.
    pub(super) fn ask(&mut self, now: Instant, ask: Ask) -> Lookup {
        self.last_used = now;
        self.demanded = self.demanded.max(ask.block.offset() + ask.block.size.bytes());
        self.asked.ask(ask.block);
        self.look_up(ask)
    }

    /// Takes out the first request that need not wait any longer.
    pub(super) fn next_ready(&mut self, now: Instant) -> Option<(Waiting, Lookup)> {
        for at in 0..self.waiting.len() {
            let (block, token) = self.waiting.get(at).map(|waiting| (waiting.block, waiting.token))?;
            let lookup = self.look_up(Ask::by_block2(block, token, false));
            if !matches!(lookup, Lookup::Wait) {
                self.last_used = now;
                return Some((self.waiting.remove(at)?, lookup));
            }
        }
        None
    }

    fn look_up(&mut self, ask: Ask) -> Lookup {
        let Ask { block, token, option, wants_size } = ask;
        let (offset, size, end) = (block.offset(), block.size.bytes(), self.content.end);
        if offset < self.content.start() {
            return Lookup::Gone;
        }
        // A block is known to be the last one once the end has come, and not to be once a byte after it has.
        let more = match &self.end {
            _ if offset + size < end => true,
            End::Open => return Lookup::Wait,
            End::Failed(_, _) if offset + size == end => true,
            End::Failed(code, text) => return Lookup::Failed(*code, text.clone()),
            End::Complete if offset >= end && offset > 0 => return Lookup::OutOfRange,
            End::Complete => false,
        };
        let again = self.asked.send(block);
        self.has_gaps |= again;
        self.read |= matches!(self.end, End::Complete) && self.asked.is_all_of(end);
        let mut options = options::encode_response(&self.options);
        options.push((numbers::ETAG, self.etag.clone()));
        options.push((option, Block { more, ..block }.encode()));
        if let Some(length) = self.length().and_then(|length| u32::try_from(length).ok())
            && (wants_size || !self.size_told)
        {
            self.size_told = true;
            options.push((numbers::SIZE2, uint(length)));
        }
        let payload = self.content.slice(offset, size).to_vec();
        Lookup::Ready { message: Outgoing { code: self.code, token, options, payload }, again }
    }

    /// Returns how many bytes the body has, if that is known.
    fn length(&self) -> Option<u64> {
        match self.end {
            End::Complete => Some(self.content.end as u64),
            _ => self.options.size,
        }
    }

    /// Counts the bytes that have come but have not been asked for yet.
    pub(super) fn ahead(&self) -> usize {
        self.content.end.saturating_sub(self.demanded)
    }

    /// Counts all bytes of memory, allocations as a whole, and the place in the list of the session.
    pub(super) fn bytes(&self) -> usize {
        let token = self.access_token.as_ref().map_or(0, |token| token.as_str().len());
        let waiting = self.waiting.capacity() * size_of::<Waiting>();
        let asked = self.asked.bytes() + self.bytes_of_lists();
        OVERHEAD + self.key.as_bytes().len() + token + waiting + asked + self.content.bytes()
    }

    /// Returns how many bytes are held for the snapshot at the upstream: `most`, or all that is still to come
    /// if that is known to be less; 0 if the upstream has ended.
    pub(super) fn at_upstream(&self, most: usize) -> usize {
        let to_come = self.options.size.map_or(usize::MAX, |size| {
            usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(self.content.end)
        });
        if self.feeder.is_some() { to_come.min(most) } else { 0 }
    }

    /// Drops what has been read, except the newest part and what was asked for lately: at most a quarter of
    /// the session's `share`.
    pub(super) fn trim(&mut self, share: usize) {
        let newest = self.demanded.saturating_sub(KEEP_BEHIND);
        let needed = self.asked.lately().map_or(newest, |lately| lately.min(newest));
        self.content.trim(needed.max(self.demanded.saturating_sub(share / 4)));
    }

    /// Returns when the snapshot ends; None while a client is known to wait.
    pub(super) fn expires(&self, idle: Duration) -> Option<Instant> {
        (!self.is_waited_for() && self.delivering == 0).then(|| self.last_used + idle)
    }
}

/// Returns the block size of a response: the server's own, or the one that the request asks for if that is
/// smaller (RFC 7959 section 2.4, early negotiation).
pub(super) fn negotiate(asked: Option<Block>, own: BlockSize) -> BlockSize {
    asked.map_or(own, |block| block.size.min(own))
}
