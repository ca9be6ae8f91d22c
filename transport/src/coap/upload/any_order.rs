//! Blocks that arrive in any order, from clients that say that they know such bodies
//! ([`numbers::ANY_ORDER`](lowband_wire::coap::numbers::ANY_ORDER)).
//!
//! ```text
//! a block before the last ----> put, gaps or not -----------------> 2.31    (a copy too, however late)
//!                                  `-- the last gap is filled ----> 2.31, and the last block's request goes on
//! the last block -- gaps -----> kept; its request waits
//!                `- none -----> the request goes on
//! ```
//!
//! Such a client gives each body a Request-Tag that it does not use again in the session, so all blocks under
//! one tag are parts of one body, and block 0 begins nothing anew. The options of the request, its access
//! token and Size1 come with block 0, which need not arrive first. Blocks may become smaller in mid-body;
//! what then overlaps has to say the same.
//!
//! Only a last block acts, so a request is carried out once: a last block of an upload that has been handed
//! on is refused.

use super::{Arrived, Ended, Filled, INCOMPLETE, Last, OTHER_FORMAT, Taken, Upload, Uploads, end};
use crate::ExchangeId;
use crate::coap::config::Limits;
use crate::coap::counters::Counters;
use lowband_wire::coap::Code;
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::options::{BodyKey, RequestOptions};
use std::time::{Duration, Instant};

/// Text of an answer to a block of an upload that has ended before it was whole.
pub(in crate::coap) const LOST: &str =
    "this upload has ended before it was whole; start again under another Request-Tag";

/// Text of an answer to another last block of a body that was whole.
const WHOLE: &str = "this body has been whole before, and its answer went to the request that made it so";

/// Text of an answer to a block that does not fit to others.
const CONTRADICTION: &str = "the block contradicts others of its Request-Tag; start again under another one";

/// Why a block ends its upload.
enum Unfit {
    Format,
    Contradiction,
}

impl Upload {
    /// Takes in a block; returns how many of its bytes are new.
    fn put(&mut self, arrived: &Arrived<'_>) -> Result<usize, Unfit> {
        let Arrived { options, standing, block, payload, .. } = arrived;
        if !self.agrees(block.num, options) {
            return Err(Unfit::Format);
        }
        let end = end(*block, payload);
        let fits = match self.total {
            Some(total) if block.more => end <= total,
            Some(total) => end == total,
            None => block.more || self.body.end() <= end,
        };
        if !fits {
            return Err(Unfit::Contradiction);
        }
        let new = self.body.put(block.offset(), payload).ok_or(Unfit::Contradiction)?;
        self.standing.update(standing);
        if !block.more {
            self.total = Some(end);
        }
        Ok(new)
    }

    /// Takes in the options of a block; false if they name another Content-Format than the other blocks.
    fn agrees(&mut self, num: u32, options: &RequestOptions) -> bool {
        let (known, said) = (self.options.content_format, options.content_format);
        if num == 0 && !self.has_first {
            self.has_first = true;
            self.options.clone_from(options);
            return known.is_none() || known == said;
        }
        if known.is_none() && !self.has_first {
            self.options.content_format = said;
            return true;
        }
        said.is_none() || known == said
    }

    fn is_whole(&self) -> bool {
        self.total == Some(self.body.first_gap())
    }
}

impl Uploads {
    /// Takes in a block, as [`Uploads::take`] does.
    pub(super) fn take_in_any_order(
        &mut self,
        now: Instant,
        arrived: Arrived<'_>,
        idle: Duration,
        limits: &Limits,
        counters: &mut Counters,
    ) -> Taken {
        let (key, block) = (arrived.key, arrived.block);
        match self.ended.get(key) {
            Some(Ended::Whole) if block.more => {
                counters.upload_blocks_repeated += 1;
                return Taken::Continue;
            }
            Some(how) => {
                counters.upload_blocks_incomplete += 1;
                let text = if how == Ended::Whole { WHOLE } else { LOST };
                return Taken::Refused(Code::REQUEST_ENTITY_INCOMPLETE, text);
            }
            None => {}
        }
        if self.position(key).is_none() {
            if block.num == 0 && !block.more {
                // No other block can come late.
                let (options, standing) = (arrived.options.clone(), arrived.standing);
                return Taken::Complete { options, standing, body: arrived.payload.to_vec() };
            }
            self.begin(now, Upload::of(now, &arrived, idle), limits, counters);
        }
        let at = self.position(key);
        let Some((at, upload)) = at.and_then(|at| Some((at, self.list.get_mut(at)?))) else {
            return Taken::Refused(Code::REQUEST_ENTITY_INCOMPLETE, INCOMPLETE);
        };
        self.bytes -= upload.bytes();
        let put = upload.put(&arrived);
        self.bytes += upload.bytes();
        match put {
            Ok(0) => counters.upload_blocks_repeated += 1,
            Ok(new) => upload.progressed(now, new, idle, limits),
            Err(unfit) => {
                self.lose(now, at);
                let (counter, text) = match unfit {
                    Unfit::Format => (&mut counters.upload_blocks_other_format, OTHER_FORMAT),
                    Unfit::Contradiction => (&mut counters.upload_blocks_contradictory, CONTRADICTION),
                };
                *counter += 1;
                return Taken::Refused(Code::REQUEST_ENTITY_INCOMPLETE, text);
            }
        }
        match (block.more, upload.is_whole()) {
            (true, true) if upload.last.is_some() => self.complete(now, at, true),
            (false, true) => self.complete(now, at, false),
            (true, _) => Taken::Continue,
            (false, false) => Taken::Waits,
        }
    }

    /// Hands on an upload that is whole: by its last block, or by the one that this has waited for.
    fn complete(&mut self, now: Instant, at: usize, has_waited: bool) -> Taken {
        let Upload { key, options, standing, body, last, .. } = self.remove(at);
        self.remember(now, &key, Ended::Whole);
        let body = body.into_whole();
        match last {
            Some(last) if has_waited => {
                Taken::Filled(Box::new(Filled { key, last, options, standing, body }))
            }
            last => {
                self.left.extend(last.map(|last| last.exchange));
                Taken::Complete { options, standing, body }
            }
        }
    }

    /// Lets the request of a last block wait. One that has waited before gives up its place: its client has
    /// sent the block anew.
    pub(in crate::coap) fn wait(&mut self, key: &BodyKey, last: Last) {
        let Some(upload) = self.list.iter_mut().find(|upload| upload.key == *key) else {
            return self.left.push(last.exchange);
        };
        let before: Option<ExchangeId> = upload.last.replace(last).map(|before| before.exchange);
        self.left.extend(before);
    }

    /// Returns whether the blocks of an upload under way may come in any order.
    pub(in crate::coap) fn is_in_any_order(&self, key: &BodyKey) -> bool {
        self.list.iter().any(|upload| upload.any_order && upload.key == *key)
    }

    /// Returns whether block 0 of an upload in any order has come before with this access token.
    pub(in crate::coap) fn has_begun_with(&self, key: &BodyKey, said: &Option<AccessToken>) -> bool {
        let begun = |upload: &&Upload| upload.any_order && upload.has_first && upload.key == *key;
        let upload = self.list.iter().find(begun);
        upload.is_some_and(|upload| upload.standing.access_token == *said)
            || self.ended.get(key) == Some(Ended::Whole)
    }
}
