//! Request bodies that arrive in blocks: the receiving side of Block1 (RFC 7959 section 2.5).
//!
//! Atomic: the caller sees a body when its last block has come, or never. Two uploads of one session are told apart by
//! their [`BodyKey`], of which Request-Tag is a part (RFC 9175 section 3); with the same key a new block 0 starts a new
//! body. Blocks are taken in order only; the size of blocks may change where a body has been cut at a common border. All blocks
//! of a body have one Content-Format (RFC 7959 section 2.3); later ones may leave it out.
//!
//! The body runs under the access token of its first block, or of a later one that brings its own (`server/sticky.rs`).

use super::access_token::AccessToken;
use super::block::Block;
use super::config::Limits;
use super::counters::Counters;
use super::numbers::Code;
use super::options::{BodyKey, RequestOptions};
use super::server::Standing;
use std::time::{Duration, Instant};

/// What one upload costs beside its bytes.
const OVERHEAD: usize = size_of::<Upload>();

#[derive(Debug)]
struct Upload {
    key: BodyKey,
    /// The options of block 0: later blocks may leave out what the session remembers.
    options: RequestOptions,
    standing: Standing,
    body: Vec<u8>,
    last_used: Instant,
}

impl Upload {
    fn bytes(&self) -> usize {
        OVERHEAD + self.key.len() + self.body.len()
    }
}

/// What became of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// More is to come: 2.31.
    Continue,
    /// The body is whole.
    Complete { options: RequestOptions, standing: Standing, body: Vec<u8> },
    /// Answered at once with this code and text.
    Refused(Code, &'static str),
}

/// One block, as it arrived.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    pub key: &'a BodyKey,
    pub options: &'a RequestOptions,
    /// What holds since this block has arrived.
    pub standing: Standing,
    pub block: Block,
    pub payload: &'a [u8],
    /// Size1, where the client said it.
    pub size: Option<u32>,
}

/// Where in the body a block ends. Block numbers are of 20 bits: nothing overflows.
fn end(block: Block, payload: &[u8]) -> usize {
    block.offset() + payload.len()
}

/// The uploads of one session.
#[derive(Debug, Default)]
pub(super) struct Uploads(Vec<Upload>);

impl Uploads {
    /// `room`: bytes that all uploads and snapshots together may still grow by.
    pub(super) fn take(
        &mut self,
        now: Instant,
        arrived: Arrived<'_>,
        room: usize,
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
        let at = self.0.iter().position(|upload| upload.key == *key);
        if let Some(at) = at.filter(|_| block.num == 0) {
            counters.uploads_restarted += 1;
            self.0.remove(at);
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
                last_used: now,
            };
            return self.begin(now, upload, room, limits, counters);
        }
        self.go_on(now, Arrived { key, options, standing, block, payload, size }, room, counters)
    }

    fn begin(
        &mut self,
        now: Instant,
        upload: Upload,
        room: usize,
        limits: &Limits,
        counters: &mut Counters,
    ) -> Taken {
        if upload.bytes() > room {
            return no_memory(counters);
        }
        debug_assert!(upload.last_used <= now);
        if self.0.len() >= limits.uploads_per_session {
            let oldest = (0..self.0.len()).min_by_key(|at| self.0.get(*at).map(|upload| upload.last_used));
            if let Some(oldest) = oldest {
                counters.uploads_evicted += 1;
                self.0.remove(oldest);
            }
        }
        self.0.push(upload);
        Taken::Continue
    }

    fn go_on(&mut self, now: Instant, arrived: Arrived<'_>, room: usize, counters: &mut Counters) -> Taken {
        let Arrived { key, options, standing, block, payload, .. } = arrived;
        let incomplete = Taken::Refused(
            Code::REQUEST_ENTITY_INCOMPLETE,
            "a block before this one is missing; start again at block 0",
        );
        let Some(at) = self.0.iter().position(|upload| upload.key == *key) else {
            counters.upload_blocks_incomplete += 1;
            return incomplete;
        };
        let Some(upload) = self.0.get_mut(at) else { return incomplete };
        if options.content_format.is_some() && options.content_format != upload.options.content_format {
            counters.upload_blocks_other_format += 1;
            self.0.remove(at);
            return Taken::Refused(
                Code::REQUEST_ENTITY_INCOMPLETE,
                "the block has another Content-Format than the first one; start again at block 0",
            );
        }
        upload.standing.update(&standing);
        if block.offset() < upload.body.len() && block.more && end(block, payload) <= upload.body.len() {
            // A copy that came late, under a message id of its own or of one that is not remembered.
            counters.upload_blocks_repeated += 1;
            return Taken::Continue;
        }
        if block.offset() != upload.body.len() {
            counters.upload_blocks_incomplete += 1;
            return incomplete;
        }
        if payload.len() > room {
            self.0.remove(at);
            return no_memory(counters);
        }
        upload.body.extend_from_slice(payload);
        upload.last_used = now;
        if block.more {
            return Taken::Continue;
        }
        let upload = self.0.remove(at);
        Taken::Complete { options: upload.options, standing: upload.standing, body: upload.body }
    }

    /// The access token that an upload runs under, where there is one; the inner `None` stands for no token.
    pub(super) fn access_token(&self, key: &BodyKey) -> Option<Option<AccessToken>> {
        let upload = self.0.iter().find(|upload| upload.key == *key)?;
        Some(upload.standing.access_token.clone())
    }

    /// The same where one of its blocks has said it.
    pub(super) fn said_token(&self, key: &BodyKey) -> Option<Option<AccessToken>> {
        let upload = self.0.iter().find(|upload| upload.key == *key && upload.standing.is_explicit)?;
        Some(upload.standing.access_token.clone())
    }

    /// Ends one upload, where there is one.
    pub(super) fn end(&mut self, key: &BodyKey) {
        self.0.retain(|upload| upload.key != *key);
    }

    /// Ends what has been silent for too long.
    pub(super) fn expire(&mut self, now: Instant, idle: Duration, counters: &mut Counters) {
        let before = self.0.len();
        self.0.retain(|upload| upload.last_used + idle > now);
        counters.uploads_expired += (before - self.0.len()) as u64;
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    /// When [`Uploads::expire`] has something to do.
    pub(super) fn next_expiry(&self, idle: Duration) -> Option<Instant> {
        self.0.iter().map(|upload| upload.last_used + idle).min()
    }

    /// When the last block of any has come.
    pub(super) fn last_used(&self) -> Option<Instant> {
        self.0.iter().map(|upload| upload.last_used).max()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Upload::bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn no_memory(counters: &mut Counters) -> Taken {
    counters.uploads_no_memory += 1;
    Taken::Refused(Code::SERVICE_UNAVAILABLE, "too many bodies are on their way; try again later")
}
