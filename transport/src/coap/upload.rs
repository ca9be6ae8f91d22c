//! Request bodies that arrive in blocks: the receiving side of Block1 (RFC 7959 section 2.5).
//!
//! Uploads are atomic: the caller sees a body when its last block has come, or never. The [`BodyKey`], of
//! which Request-Tag is a part (RFC 9175 section 3), distinguishes two uploads of one session; a new block 0
//! with the same key starts a new body. Blocks are taken in order only; their size may change where a body
//! has been cut at a common border. All blocks of a body have one Content-Format (RFC 7959 section 2.3);
//! later ones may leave it out.
//!
//! The body runs under the access token of its first block, or of a later one that brings
//! its own (`server/sticky.rs`).
//!
//! An upload has no time limit as a whole, because 8 MiB over 9.6 kbit/s take hours. It has to make progress:
//! each byte buys time at [`Limits::upload_rate`], and no upload has more than the idle time in hand. A block
//! of 1 kB buys two minutes, so an honest link may be silent for that long between any two blocks. A block of
//! 16 bytes buys two seconds, so a trickle of small blocks does not keep a large body alive.

use super::config::Limits;
use super::counters::Counters;
use super::server::Standing;
use lowband_wire::coap::Code;
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::block::Block;
use lowband_wire::coap::options::{BodyKey, RequestOptions};
use std::time::{Duration, Instant};

/// Bytes of one upload besides its body, its place in the list of its session included.
const OVERHEAD: usize = 2 * size_of::<Upload>();

#[derive(Debug)]
struct Upload {
    key: BodyKey,
    /// Options of block 0: later blocks may leave out what the session remembers.
    options: RequestOptions,
    standing: Standing,
    body: Vec<u8>,
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
        OVERHEAD + 3 * self.key.as_bytes().len() + token + self.body.capacity()
    }

    /// Takes the next bytes, with little to spare: spare capacity counts against the share as well.
    fn append(&mut self, payload: &[u8]) {
        if self.body.capacity() - self.body.len() < payload.len() {
            self.body.reserve_exact(payload.len().max(self.body.len() / 8));
        }
        self.body.extend_from_slice(payload);
    }

    /// Returns the bytes a second so far.
    fn speed(&self, now: Instant) -> u128 {
        self.body.len() as u128 * 1000 / (now.duration_since(self.began).as_millis() + 1)
    }
}

/// What has become of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// More blocks are to come: answered 2.31.
    Continue,
    /// The body is whole.
    Complete { options: RequestOptions, standing: Standing, body: Vec<u8> },
    /// The block is answered at once with this code and text.
    Refused(Code, &'static str),
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
        let Arrived { key, options, standing, block, payload, size } = arrived;
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
        if let Some(at) = self.position(key).filter(|_| block.num == 0) {
            counters.uploads_restarted += 1;
            self.remove(at);
        }
        if end(block, payload) > limits.upload || size.is_some_and(|size| size as usize > limits.upload) {
            counters.uploads_too_large += 1;
            self.end(key);
            return Taken::Refused(Code::REQUEST_ENTITY_TOO_LARGE, "the body is too large");
        }
        if block.num == 0 {
            if !block.more {
                return Taken::Complete { options: options.clone(), standing, body: payload.to_vec() };
            }
            let upload = Upload {
                key: key.clone(),
                options: options.clone(),
                standing,
                body: payload.to_vec(),
                began: now,
                last_used: now,
                deadline: now + idle,
            };
            return self.begin(upload, limits, counters);
        }
        let credit = payload.len() * 1000 / limits.upload_rate.max(1);
        let deadline = |before: Instant| (before + Duration::from_millis(credit as u64)).min(now + idle);
        self.go_on(now, Arrived { key, options, standing, block, payload, size }, deadline, counters)
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

    fn begin(&mut self, upload: Upload, limits: &Limits, counters: &mut Counters) -> Taken {
        if self.list.len() >= limits.uploads_per_session {
            let each = self.list.iter().enumerate();
            if let Some((oldest, _)) = each.min_by_key(|(_, upload)| upload.last_used) {
                counters.uploads_evicted += 1;
                self.remove(oldest);
            }
        }
        self.bytes += upload.bytes();
        self.list.push(upload);
        Taken::Continue
    }

    fn go_on(
        &mut self,
        now: Instant,
        arrived: Arrived<'_>,
        deadline: impl Fn(Instant) -> Instant,
        counters: &mut Counters,
    ) -> Taken {
        let Arrived { key, options, standing, block, payload, .. } = arrived;
        let incomplete = Taken::Refused(
            Code::REQUEST_ENTITY_INCOMPLETE,
            "a block before this one is missing, or the upload was too slow for a server short of memory; start again at block 0",
        );
        let at = self.position(key);
        let Some((at, upload)) = at.and_then(|at| Some((at, self.list.get_mut(at)?))) else {
            counters.upload_blocks_incomplete += 1;
            return incomplete;
        };
        if options.content_format.is_some() && options.content_format != upload.options.content_format {
            counters.upload_blocks_other_format += 1;
            self.remove(at);
            return Taken::Refused(
                Code::REQUEST_ENTITY_INCOMPLETE,
                "the block has another Content-Format than the first one; start again at block 0",
            );
        }
        self.bytes -= upload.bytes();
        upload.standing.update(&standing);
        self.bytes += upload.bytes();
        if block.offset() < upload.body.len() && block.more && end(block, payload) <= upload.body.len() {
            // A copy that came late, under another message id or one that has been forgotten.
            counters.upload_blocks_repeated += 1;
            return Taken::Continue;
        }
        if block.offset() != upload.body.len() {
            counters.upload_blocks_incomplete += 1;
            return incomplete;
        }
        self.bytes -= upload.bytes();
        upload.append(payload);
        self.bytes += upload.bytes();
        upload.last_used = now;
        upload.deadline = deadline(upload.deadline);
        if block.more {
            return Taken::Continue;
        }
        let upload = self.remove(at);
        Taken::Complete { options: upload.options, standing: upload.standing, body: upload.body }
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
    pub(super) fn end(&mut self, key: &BodyKey) {
        if let Some(at) = self.position(key) {
            self.remove(at);
        }
    }

    /// Ends the slowest upload, the oldest of equals, and returns whether that was `last`, which ends only
    /// when it is the only one.
    pub(super) fn give_way(&mut self, now: Instant, last: Option<&BodyKey>) -> bool {
        let each = self.list.iter().enumerate();
        let rank = |upload: &Upload| (Some(&upload.key) == last, upload.speed(now), upload.began);
        let Some((at, _)) = each.min_by_key(|(_, upload)| rank(upload)) else { return false };
        Some(&self.remove(at).key) == last
    }

    /// Ends uploads that have not progressed for too long.
    pub(super) fn expire(&mut self, now: Instant, counters: &mut Counters) {
        while let Some(at) = self.list.iter().position(|upload| upload.deadline <= now) {
            counters.uploads_expired += 1;
            self.remove(at);
        }
    }

    /// Returns when [`Uploads::expire`] has something to do; None without uploads.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.list.iter().map(|upload| upload.deadline).min()
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
        self.list.is_empty()
    }
}
