//! Request bodies that arrive in blocks: the receiving side of Block1 (RFC 7959 section 2.5).
//!
//! Uploads are atomic: the caller sees a body when its last block has come, or never. The [`BodyKey`], of
//! which Request-Tag is a part (RFC 9175 section 3), distinguishes two uploads of one session; a new block 0
//! with the same key starts a new body. Blocks are taken in order only, but for clients that know bodies in
//! any order (`upload/any_order.rs`); their size may change where a body has been cut at a common border. All
//! blocks of a body have one Content-Format (RFC 7959 section 2.3); later ones may leave it out.
//!
//! The body runs under the access token of its first block, or of a later one that brings
//! its own (`server/sticky.rs`).
//!
//! An upload has no time limit as a whole, because 8 MiB over 9.6 kbit/s take hours. It has to make progress:
//! each byte buys time at [`Limits::upload_rate`], and no upload has more than the idle time in hand. A block
//! of 1 kB buys two minutes, so an honest link may be silent for that long between any two blocks. A block of
//! 16 bytes buys two seconds, so a trickle of small blocks does not keep a large body alive.

mod any_order;
mod body;
mod ended;

use super::config::Limits;
use super::counters::Counters;
use super::server::Standing;
use crate::ExchangeId;

use body::Body;
use ended::Ended;
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::block::Block;
use lowband_wire::coap::options::{BodyKey, RequestOptions};
use lowband_wire::coap::{Code, Method};
use std::time::{Duration, Instant};

pub(super) use any_order::LOST;

/// Bytes of one upload besides its body, its place in the list of its session included.
const OVERHEAD: usize = 2 * size_of::<Upload>();

#[derive(Debug)]
struct Upload {
    key: BodyKey,
    /// Options of block 0: later blocks may leave out what the session remembers. As long as block 0 has not
    /// come, those of the block that came first.
    options: RequestOptions,
    /// Whether block 0 has come.
    has_first: bool,
    /// Whether blocks may come in any order.
    any_order: bool,
    standing: Standing,
    body: Body,
    /// Length of the body, once its last block has come.
    total: Option<usize>,
    /// The last block, if it came before others.
    last: Option<Last>,
    began: Instant,
    last_used: Instant,
    /// When the upload ends unless a block has come.
    deadline: Instant,
}

impl Upload {
    /// Counts the bytes of memory, allocations included. The options are those from which the key is made, at
    /// most twice as large.
    fn bytes(&self) -> usize {
        let token = self.standing.access_token.as_ref().map_or(0, |token| token.as_str().len());
        OVERHEAD + 3 * self.key.as_bytes().len() + token + self.body.bytes()
    }

    /// Returns the bytes a second so far.
    fn speed(&self, now: Instant) -> u128 {
        self.body.received() as u128 * 1000 / (now.duration_since(self.began).as_millis() + 1)
    }

    /// Notes that so many bytes have come that were missing: they buy time.
    fn progressed(&mut self, now: Instant, bytes: usize, idle: Duration, limits: &Limits) {
        let credit = bytes * 1000 / limits.upload_rate.max(1);
        self.last_used = now;
        self.deadline = (self.deadline + Duration::from_millis(credit as u64)).min(now + idle);
    }
}

/// A last block whose request waits for the blocks before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub exchange: ExchangeId,
    pub method: Method,
    pub block1: Block,
    pub block2: Option<Block>,
}

impl Upload {
    /// Makes an upload of which this is the first block to arrive, without its payload.
    fn of(now: Instant, arrived: &Arrived<'_>, idle: Duration) -> Upload {
        Upload {
            key: arrived.key.clone(),
            options: arrived.options.clone(),
            has_first: arrived.block.num == 0,
            any_order: arrived.any_order,
            standing: arrived.standing.clone(),
            body: Body::default(),
            total: None,
            last: None,
            began: now,
            last_used: now,
            deadline: now + idle,
        }
    }
}

/// Text of an answer to a block that does not fit.
const INCOMPLETE: &str = "a block before this one is missing, or the upload was too slow for a server short of \
                          memory; start again at block 0";

/// Text of an answer to a block of another format.
const OTHER_FORMAT: &str = "the block has another Content-Format than the first one; start again at block 0";

/// What has become of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// More blocks are to come: answered 2.31.
    Continue,
    /// The last block has come, and others are missing: its request waits.
    Waits,
    /// The body is whole, by its last block.
    Complete { options: RequestOptions, standing: Standing, body: Vec<u8> },
    /// The body is whole, and its last block has waited for this one, which is answered 2.31.
    Filled(Box<Filled>),
    /// The block is answered at once with this code and text.
    Refused(Code, &'static str),
}

/// A body that a block before the last has made whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filled {
    pub key: BodyKey,
    pub last: Last,
    pub options: RequestOptions,
    pub standing: Standing,
    pub body: Vec<u8>,
}

/// What has given way for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GaveWay {
    /// An upload that was not whole.
    Upload,
    /// The upload that was to end only if nothing else was left.
    Last,
    /// No upload was left: what is remembered of those that have ended.
    Memory,
}

/// One block, as it arrived.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    pub key: &'a BodyKey,
    pub options: &'a RequestOptions,
    /// What holds for the session since this block has arrived.
    pub standing: Standing,
    pub block: Block,
    pub payload: &'a [u8],
    /// Size1, if the client sent it.
    pub size: Option<u32>,
    /// Whether the blocks of this body may come in any order.
    pub any_order: bool,
}

/// Returns where in the body a block ends. Block numbers have 20 bits, so nothing overflows.
fn end(block: Block, payload: &[u8]) -> usize {
    block.offset() + payload.len()
}

/// Returns how many bytes of memory the largest body takes while it arrives, from its limit
/// ([`Limits::upload`]).
pub fn most_bytes(upload: usize) -> usize {
    upload.saturating_add(upload / 8).saturating_add(LARGEST_AROUND)
}

/// More bytes than [`OVERHEAD`], options, key and token of one upload take.
const LARGEST_AROUND: usize = 32 << 10;

/// The uploads of one session.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    list: Vec<Upload>,
    bytes: usize,
    /// Uploads in any order that have ended.
    ended: ended::Memory,
    /// Requests of last blocks whose uploads have ended before they were whole.
    left: Vec<ExchangeId>,
}

impl Uploads {
    /// Takes in a block, and lets its upload grow as it needs; the caller calls [`Uploads::give_way`] if that
    /// was too much. `idle` is how long an upload may be silent.
    pub(super) fn take(
        &mut self,
        now: Instant,
        arrived: Arrived<'_>,
        idle: Duration,
        limits: &Limits,
        counters: &mut Counters,
    ) -> Taken {
        let Arrived { key, options, ref standing, block, payload, size, any_order } = arrived;
        counters.upload_blocks += 1;
        let fits = if block.more {
            payload.len() == block.size.bytes()
        } else {
            payload.len() <= block.size.bytes()
        };
        if !fits {
            counters.upload_blocks_bad_size += 1;
            return Taken::Refused(Code::BAD_REQUEST, "the payload is not of the size that Block1 says");
        }
        if let Some(at) = self.position(key).filter(|_| block.num == 0 && !any_order) {
            counters.uploads_restarted += 1;
            self.lose(now, at);
        }
        if end(block, payload) > limits.upload || size.is_some_and(|size| size as usize > limits.upload) {
            counters.uploads_too_large += 1;
            self.end(now, key);
            if any_order {
                self.remember(now, key, Ended::Lost);
            }
            return Taken::Refused(Code::REQUEST_ENTITY_TOO_LARGE, "the body is too large");
        }
        if any_order {
            return self.take_in_any_order(now, arrived, idle, limits, counters);
        }
        if block.num == 0 {
            if !block.more {
                let (options, standing) = (options.clone(), standing.clone());
                return Taken::Complete { options, standing, body: payload.to_vec() };
            }
            let upload = Upload { body: Body::starting(payload), ..Upload::of(now, &arrived, idle) };
            self.begin(now, upload, limits, counters);
            return Taken::Continue;
        }
        self.go_on(now, arrived, idle, limits, counters)
    }

    fn position(&self, key: &BodyKey) -> Option<usize> {
        self.list.iter().position(|upload| upload.key == *key)
    }

    fn remove(&mut self, at: usize) -> Upload {
        let upload = self.list.remove(at);
        self.bytes -= upload.bytes();
        if self.list.is_empty() {
            self.list = Vec::new();
        }
        upload
    }

    /// Ends an upload that is not whole.
    fn lose(&mut self, now: Instant, at: usize) -> Upload {
        let upload = self.remove(at);
        if upload.any_order {
            self.remember(now, &upload.key, Ended::Lost);
        }
        self.left.extend(upload.last.as_ref().map(|last| last.exchange));
        upload
    }

    fn remember(&mut self, now: Instant, key: &BodyKey, how: Ended) {
        self.bytes -= self.ended.bytes();
        self.ended.add(now, key, how);
        self.bytes += self.ended.bytes();
    }

    fn begin(&mut self, now: Instant, upload: Upload, limits: &Limits, counters: &mut Counters) {
        if self.list.len() >= limits.uploads_per_session {
            let each = self.list.iter().enumerate();
            if let Some((oldest, _)) = each.min_by_key(|(_, upload)| upload.last_used) {
                counters.uploads_evicted += 1;
                self.lose(now, oldest);
            }
        }
        self.bytes += upload.bytes();
        self.list.push(upload);
    }

    fn go_on(
        &mut self,
        now: Instant,
        arrived: Arrived<'_>,
        idle: Duration,
        limits: &Limits,
        counters: &mut Counters,
    ) -> Taken {
        let Arrived { key, options, standing, block, payload, .. } = arrived;
        let at = self.position(key);
        let Some((at, upload)) = at.and_then(|at| Some((at, self.list.get_mut(at)?))) else {
            counters.upload_blocks_incomplete += 1;
            return Taken::Refused(Code::REQUEST_ENTITY_INCOMPLETE, INCOMPLETE);
        };
        if options.content_format.is_some() && options.content_format != upload.options.content_format {
            counters.upload_blocks_other_format += 1;
            self.lose(now, at);
            return Taken::Refused(Code::REQUEST_ENTITY_INCOMPLETE, OTHER_FORMAT);
        }
        self.bytes -= upload.bytes();
        upload.standing.update(&standing);
        self.bytes += upload.bytes();
        let received = upload.body.received();
        if block.offset() < received && block.more && end(block, payload) <= received {
            // A copy that came late, under another message id or one that has been forgotten.
            counters.upload_blocks_repeated += 1;
            return Taken::Continue;
        }
        if block.offset() != received {
            counters.upload_blocks_incomplete += 1;
            return Taken::Refused(Code::REQUEST_ENTITY_INCOMPLETE, INCOMPLETE);
        }
        self.bytes -= upload.bytes();
        upload.body.append(payload);
        self.bytes += upload.bytes();
        upload.progressed(now, payload.len(), idle, limits);
        if block.more {
            return Taken::Continue;
        }
        let upload = self.remove(at);
        let (options, standing) = (upload.options, upload.standing);
        Taken::Complete { options, standing, body: upload.body.into_whole() }
    }

    /// Returns the access token that an upload runs under; the inner `None` stands for no token. None without
    /// such an upload.
    pub(super) fn access_token(&self, key: &BodyKey) -> Option<Option<AccessToken>> {
        let upload = self.list.iter().find(|upload| upload.key == *key)?;
        Some(upload.standing.access_token.clone())
    }

    /// Returns the access token of an upload, if one of its blocks has carried it.
    pub(super) fn said_token(&self, key: &BodyKey) -> Option<Option<AccessToken>> {
        let upload = self.list.iter().find(|upload| upload.key == *key && upload.standing.is_explicit)?;
        Some(upload.standing.access_token.clone())
    }

    /// Ends one upload, if it exists.
    pub(super) fn end(&mut self, now: Instant, key: &BodyKey) {
        if let Some(at) = self.position(key) {
            self.lose(now, at);
        }
    }

    /// Ends the slowest upload, the oldest of equals; `last` ends only when it is the only one.
    pub(super) fn give_way(&mut self, now: Instant, last: Option<&BodyKey>) -> GaveWay {
        let each = self.list.iter().enumerate();
        let rank = |upload: &Upload| (Some(&upload.key) == last, upload.speed(now), upload.began);
        let Some(at) = each.min_by_key(|(_, upload)| rank(upload)).map(|(at, _)| at) else {
            self.bytes -= self.ended.bytes();
            self.ended = ended::Memory::default();
            return GaveWay::Memory;
        };
        if Some(&self.lose(now, at).key) == last { GaveWay::Last } else { GaveWay::Upload }
    }

    /// Ends uploads that have not progressed for too long, and forgets those that ended `lifetime` ago.
    pub(super) fn expire(&mut self, now: Instant, lifetime: Duration, counters: &mut Counters) {
        while let Some(at) = self.list.iter().position(|upload| upload.deadline <= now) {
            counters.uploads_expired += 1;
            self.lose(now, at);
        }
        self.bytes -= self.ended.bytes();
        self.ended.expire(now, lifetime);
        self.bytes += self.ended.bytes();
    }

    /// Returns when [`Uploads::expire`] has something to do; None if it never has.
    pub(super) fn next_expiry(&self, lifetime: Duration) -> Option<Instant> {
        let ended = self.ended.oldest().map(|at| at + lifetime);
        self.list.iter().map(|upload| upload.deadline).chain(ended).min()
    }

    /// Takes the requests of last blocks whose uploads have ended before they were whole.
    pub(super) fn take_left(&mut self) -> Vec<ExchangeId> {
        std::mem::take(&mut self.left)
    }

    /// Returns when the last block of any upload came; None without uploads.
    pub(super) fn last_used(&self) -> Option<Instant> {
        self.list.iter().map(|upload| upload.last_used).max()
    }

    /// Counts the bytes of all uploads, allocations as a whole.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.ended.is_empty()
    }
}
