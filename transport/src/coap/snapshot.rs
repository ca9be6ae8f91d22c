//! Response bodies that leave in blocks: the sending side of Block2 (RFC 7959 section 2.4),
//! with random access.
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
//! What lies before `start` has been dropped to make room: only what lies behind the client's newest
//! request by more than the widest window of a pipelining client, and only once the session's share is used
//! up. So any block of a body within the share can be asked for again, and larger bodies can still be
//! fetched in order.

use crate::ExchangeId;
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::message::{MessageId, Outgoing, Token};
use lowband_wire::coap::options::{self, BodyKey, ResponseOptions};
use lowband_wire::coap::uint::uint;
use lowband_wire::coap::{Code, numbers};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes kept behind the newest block asked for: 256 blocks of 1024, the widest window of a client.
const KEEP_BEHIND: usize = 256 << 10;

/// Bytes of a page: a multiple of every block size, so that no block lies on two pages.
const PAGE: usize = 16 << 10;

/// Bytes that grow at one end and are dropped at the other.
#[derive(Debug, Default)]
struct Content {
    pages: VecDeque<Vec<u8>>,
    /// Pages dropped from the beginning.
    gone: usize,
    end: usize,
    /// Bytes of all pages, spare capacity included.
    allocated: usize,
}

impl Content {
    fn start(&self) -> usize {
        self.gone * PAGE
    }

    fn append(&mut self, mut bytes: &[u8]) {
        self.end += bytes.len();
        while !bytes.is_empty() {
            let room = self.pages.back().map_or(0, |page| PAGE - page.len());
            if room == 0 {
                self.pages.push_back(Vec::new());
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(page) = self.pages.back_mut() {
                let before = page.capacity();
                if before - page.len() < now.len() {
                    // Grow to a page at most, in few steps.
                    page.reserve_exact(now.len().max(page.len()).min(room));
                }
                page.extend_from_slice(now);
                self.allocated += page.capacity() - before;
            }
            bytes = later;
        }
    }

    /// Returns at most `length` bytes, all on one page; fewer at the end, none before the start.
    fn slice(&self, offset: usize, length: usize) -> &[u8] {
        let page = (offset / PAGE).checked_sub(self.gone).and_then(|page| self.pages.get(page));
        let rest = page.and_then(|page| page.get(offset % PAGE..)).unwrap_or(&[]);
        rest.get(..length).unwrap_or(rest)
    }

    /// Drops whole pages before `offset`.
    fn trim(&mut self, offset: usize) {
        while self.start() + PAGE <= offset.min(self.end)
            && let Some(page) = self.pages.pop_front()
        {
            self.allocated -= page.capacity();
            self.gone += 1;
        }
    }

    /// Counts the bytes of memory.
    fn bytes(&self) -> usize {
        self.allocated + self.pages.capacity() * size_of::<Vec<u8>>()
    }
}

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

/// What the answer to a block request is.
#[derive(Debug)]
pub(super) enum Lookup {
    Ready(Outgoing),
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
    pub answered: Instant,
    /// Access token of that request.
    pub access_token: Option<AccessToken>,
    /// Exchange that fills the snapshot; None once the upstream has ended.
    pub feeder: Option<ExchangeId>,
    /// Block requests that wait, in the order of their arrival.
    pub waiting: VecDeque<Waiting>,
    pub last_used: Instant,
    /// True once the last block has been sent.
    pub read: bool,
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
    size_told: bool,
}

impl Snapshot {
    pub(super) fn new(
        now: Instant,
        id: SnapshotId,
        key: BodyKey,
        request: (MessageId, Token),
        feeder: ExchangeId,
        head: (Code, ResponseOptions),
        etag: Vec<u8>,
    ) -> Snapshot {
        Snapshot {
            id,
            key,
            request,
            answered: now,
            access_token: None,
            feeder: Some(feeder),
            waiting: VecDeque::new(),
            last_used: now,
            read: false,
            delivering: 0,
            cut: None,
            code: head.0,
            options: head.1,
            etag,
            content: Content::default(),
            end: End::Open,
            demanded: 0,
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
    pub(super) fn ask(&mut self, now: Instant, block: Block, token: Token, wants_size: bool) -> Lookup {
        self.last_used = now;
        self.demanded = self.demanded.max(block.offset() + block.size.bytes());
        self.look_up(block, token, wants_size)
    }

    /// Takes out the first request that need not wait any longer.
    pub(super) fn next_ready(&mut self, now: Instant) -> Option<(Waiting, Lookup)> {
        for at in 0..self.waiting.len() {
            let (block, token) = self.waiting.get(at).map(|waiting| (waiting.block, waiting.token))?;
            let lookup = self.look_up(block, token, false);
            if !matches!(lookup, Lookup::Wait) {
                self.last_used = now;
                return Some((self.waiting.remove(at)?, lookup));
            }
        }
        None
    }

    fn look_up(&mut self, block: Block, token: Token, wants_size: bool) -> Lookup {
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
        self.read |= !more;
        let mut options = options::encode_response(&self.options);
        options.push((numbers::ETAG, self.etag.clone()));
        options.push((numbers::BLOCK2, Block { more, ..block }.encode()));
        let length = match self.end {
            End::Complete => Some(end as u64),
            _ => self.options.size,
        };
        if let Some(length) = length.and_then(|length| u32::try_from(length).ok())
            && (wants_size || !self.size_told)
        {
            self.size_told = true;
            options.push((numbers::SIZE2, uint(length)));
        }
        let payload = self.content.slice(offset, size).to_vec();
        Lookup::Ready(Outgoing { code: self.code, token, options, payload })
    }

    /// Counts the bytes that have come but have not been asked for yet.
    pub(super) fn ahead(&self) -> usize {
        self.content.end.saturating_sub(self.demanded)
    }

    /// Counts all bytes of memory, allocations as a whole, and the place in the list of the session.
    pub(super) fn bytes(&self) -> usize {
        let token = self.access_token.as_ref().map_or(0, |token| token.as_str().len());
        let waiting = self.waiting.capacity() * size_of::<Waiting>();
        OVERHEAD + self.key.as_bytes().len() + token + waiting + self.content.bytes()
    }

    /// Returns how many bytes are held for the snapshot at the upstream: `most`, or all that is still to come
    /// if that is known to be less; 0 if the upstream has ended.
    pub(super) fn at_upstream(&self, most: usize) -> usize {
        let to_come = self.options.size.map_or(usize::MAX, |size| {
            usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(self.content.end)
        });
        if self.feeder.is_some() { to_come.min(most) } else { 0 }
    }

    /// Drops what has been read, except the newest part: at most a quarter of the session's `share`.
    pub(super) fn trim(&mut self, share: usize) {
        self.content.trim(self.demanded.saturating_sub(KEEP_BEHIND.min(share / 4)));
    }

    /// Returns when the snapshot ends; None while a client is known to wait.
    pub(super) fn expires(&self, idle: Duration) -> Option<Instant> {
        (self.waiting.is_empty() && self.delivering == 0).then(|| self.last_used + idle)
    }
}

/// Returns the block size of a response: the server's own, or the one that the request asks for if that is
/// smaller (RFC 7959 section 2.4, early negotiation).
pub(super) fn negotiate(asked: Option<Block>, own: BlockSize) -> BlockSize {
    asked.map_or(own, |block| block.size.min(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_are_let_go_only_as_a_whole_and_never_beyond_the_end() {
        let mut content = Content::default();
        content.append(&vec![1; PAGE + 10]);
        content.trim(PAGE - 1);
        assert_eq!((content.start(), content.allocated), (0, PAGE + 10));
        content.trim(PAGE);
        assert_eq!((content.start(), content.allocated), (PAGE, 10));
        content.trim(10 * PAGE);
        assert_eq!((content.start(), content.allocated), (PAGE, 10));
        assert_eq!(content.slice(0, 16), b"");
        assert_eq!(content.slice(PAGE, 16), [1; 10]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_bytes_at_every_offset(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..12),
            szx in 0u8..=6,
            trimmed in 0usize..40_000,
        ) {
            let size = BlockSize::from_szx(szx).unwrap().bytes();
            let whole = chunks.concat();
            let mut content = Content::default();
            for chunk in &chunks {
                content.append(chunk);
            }
            content.trim(trimmed);
            prop_assert_eq!(content.end, whole.len());
            prop_assert_eq!(content.allocated, content.pages.iter().map(Vec::capacity).sum::<usize>());
            prop_assert!(content.pages.iter().all(|page| page.capacity() <= PAGE));
            prop_assert!(content.start() <= trimmed);
            for (num, block) in whole.chunks(size).enumerate() {
                let expected = if num * size < content.start() { &[] } else { block };
                prop_assert_eq!(content.slice(num * size, size), expected);
            }
        }
    }
}
