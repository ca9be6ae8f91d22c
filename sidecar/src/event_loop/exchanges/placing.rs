//! Places at the upstream: which request gets one, and which gives up its place for it.
//!
//! ```text
//! a place is free ----------------------------------------------> taken
//! none is, or not of this share:
//!     a request that its client has gone away from (Left) ------> ended, its place taken over
//!     a long poll of the heaviest holder, if no less than ours -> answered early, its place taken over
//!     neither --------------------------------------------------> 5.03
//! ```

use super::{AbortOnDrop, Exchanges, Open};
use crate::drain::POLL_SPREAD;
use crate::refusal::Refusal;
use crate::upstream::{Busy, Full, Holder, Permit, polls_again_in};
use lowband_transport::{ExchangeId, Server, SessionId};
use std::sync::Arc;
use std::time::Instant;

/// A request that no client waits for. Dropping it ends its task.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) session: SessionId,
    pub(super) permit: Arc<Permit>,
    pub(super) _task: AbortOnDrop,
}

impl Exchanges {
    /// Takes a place for a request. Where no place is free, the long poll that is worth least is answered
    /// early; a request that is not a long poll is never cut.
    pub(super) fn place(
        &mut self,
        now: Instant,
        server: &mut Server,
        holder: Holder,
        body_len: usize,
    ) -> Result<Permit, Refusal> {
        let full = match self.upstream.place(holder, body_len) {
            Ok(permit) => return Ok(permit),
            Err(full) => full,
        };
        let placed = match full.busy {
            Busy::Requests if self.make_room(now, server, holder, full) => {
                self.upstream.take_over(holder, body_len)
            }
            Busy::Requests | Busy::BodyBytes => Err(full),
        };
        placed.map_err(|full| {
            self.metrics.over_limit(full.busy);
            full.busy.refusal()
        })
    }

    fn make_room(&mut self, now: Instant, server: &mut Server, holder: Holder, full: Full) -> bool {
        // A request that no client waits for is worth least of all.
        if let Some((_, exchange)) = self.gone.of_network(full.network).or_else(|| self.gone.of_all())
            && let Some(Left { permit, .. }) = self.end_left(exchange)
        {
            permit.give_way();
            return true;
        }
        let of_network = self.polls.of_network(full.network);
        // The heaviest network has nothing to give: then another network's poll has to go, but not because of
        // the asker's own share.
        let worst = of_network.or_else(|| self.polls.of_all().filter(|_| full.network != holder.network));
        let Some((session, exchange)) = worst else { return false };
        let Some(open) = self.open.get(&exchange) else { return false };
        // A holder never gives way to a neighbour or a network that holds more.
        let (mine, theirs) = if open.network == holder.network {
            (self.upstream.held_by(holder.session), self.upstream.held_by(session))
        } else {
            (self.upstream.held_in(holder.network), self.upstream.held_in(open.network))
        };
        // A young stream goes on until it is old enough to be reset, beyond the limit: only holders of far
        // less are given its place.
        let is_young = now.duration_since(open.line.read) < self.cancel_after;
        if session != holder.session && (mine > theirs || (is_young && mine * 2 > theirs)) {
            return false;
        }
        let Some(Open { line, permit, .. }) = self.take(exchange) else { return false };
        permit.give_way();
        self.metrics.poll_evicted();
        let max_age = 1 + u32::try_from(exchange.0 % u64::from(POLL_SPREAD)).unwrap_or(0);
        self.refuse(now, server, exchange, line, &polls_again_in(max_age));
        true
    }

    /// Ends a request whose client has gone away, because it is complete or has to give way.
    pub(super) fn end_left(&mut self, exchange: ExchangeId) -> Option<Left> {
        let left = self.left.remove(&exchange)?;
        self.gone.remove(left.session, exchange);
        Some(left)
    }
}
