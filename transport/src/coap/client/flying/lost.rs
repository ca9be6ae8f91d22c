//! Blocks that are lost, probed for, or asked for in another way: one by one, or smaller.

use super::super::super::body::Body;
use super::super::super::failure::{FailReason, ProtocolError};
use super::super::Client;
use super::super::exchange::{Exchange, State};
use super::super::flight::{Asked, Peer};
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::options;
use std::time::Instant;

impl Client {
    /// Does what is due in the flight of a session: asks again for what is lost, probes, and gives up.
    pub(in super::super) fn flight_due(&mut self, now: Instant, session: SessionId) {
        let exchanges = &self.exchanges;
        let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
            return;
        };
        let has_beyond = |asked: &Asked| {
            let body = exchanges.get(&asked.exchange).and_then(Exchange::body);
            body.is_some_and(|body| body.has_beyond(asked.block))
        };
        let due = flight.due(now, has_beyond);
        let mut probes = Vec::new();
        for number in due.lost.iter().chain(&due.probes) {
            let Some(asked) = flight.get(*number).copied() else { continue };
            let Some(body) = self.exchanges.get_mut(&asked.exchange).and_then(Exchange::body_mut) else {
                continue;
            };
            if due.probes.contains(number) && body.is_newest(asked.block, *number) {
                probes.push(asked);
            }
            body.is_lost(asked.block, *number);
        }
        let past = flight.tidy();
        for message in past {
            self.messages.forget_once(session, message);
        }
        if !due.probes.is_empty() {
            self.probe(now, session, &probes);
        }
        self.fly(now, session);
    }

    /// Asks once more for blocks of which nothing has been heard in time, and doubts the path, or the peer.
    fn probe(&mut self, now: Instant, session: SessionId, probes: &[Asked]) {
        let patience = self.messages.times.patience();
        let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
            return;
        };
        if flight.ends_pair() {
            return self.one_by_one(now, session);
        }
        let (backoff, last_goes_last) = (flight.window.backoff(), flight.last_goes_last());
        if flight.probed.is_some_and(|probed| self.messages.has_heard_since(session, probed)) {
            flight.large_lost += probes.len() as u32;
            self.messages.large_are_lost(session, flight.large_lost);
        }
        flight.probed = Some(now);
        // A body of which the peer has acknowledged a request waits for its answer, however long that takes.
        let is_over = |id: &ExchangeId| {
            let progressed = self.exchanges.get(id).and_then(|exchange| exchange.progressed);
            let is_late = progressed.is_some_and(|at| now.saturating_duration_since(at) >= patience);
            is_late && !flight.has_waiting(*id)
        };
        let mut probed: Vec<_> = probes.iter().map(|asked| asked.exchange).collect();
        probed.dedup();
        let over: Vec<_> = probed.into_iter().filter(is_over).collect();
        for id in over {
            self.messages.counters.gave_up += 1;
            self.fail(now, id, FailReason::Timeout);
        }
        if backoff >= 2 {
            self.messages.probe(now, session);
        }
        for asked in probes {
            // A single last block goes twice once a probe has been lost.
            let copies = if probes.len() == 1 && backoff >= 2 { 2 } else { 1 };
            let body = self.exchanges.get(&asked.exchange).and_then(Exchange::body);
            if let Some(block) = body.and_then(|body| body.missing(last_goes_last)) {
                if last_goes_last && self.is_last(asked.exchange, block) {
                    self.ask_for_last(now, asked.exchange, block);
                    continue;
                }
                for _ in 0..copies {
                    self.ask_for(now, session, asked.exchange, block, 1);
                }
            }
        }
        while let Some(narrowed) = self.messages.next_narrowed() {
            self.cut_smaller(now, narrowed);
        }
    }

    /// Goes on with one request at a time in a session whose peer does not take several.
    pub(super) fn one_by_one(&mut self, now: Instant, session: SessionId) {
        let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
            return;
        };
        flight.peer = Peer::OneByOne;
        for id in flight.bodies() {
            self.leave_flight(session, id);
            let Some(exchange) = self.exchanges.get_mut(&id) else { continue };
            let State::Downloading(download, one) = &mut exchange.state else { continue };
            download.lose_all();
            match download.missing(true) {
                Some(block) => *one = Some(block),
                None => {
                    let error = ProtocolError::TooManyBlocks { option: "Block2" };
                    self.contradict(now, id, error);
                    continue;
                }
            }
            self.send(now, id, options::Part::Download);
        }
    }

    /// Cuts what is on its way in the flight of a session into smaller blocks.
    pub(in super::super) fn cut_flight(&mut self, now: Instant, session: SessionId) {
        let size = self.messages.block_size(session);
        let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
            return;
        };
        flight.large_lost = 0;
        let mut uploads = Vec::new();
        for id in flight.bodies() {
            let lost = flight.lose_all(id);
            let Some(exchange) = self.exchanges.get_mut(&id) else { continue };
            for number in lost {
                if let (Some(asked), Some(body)) = (flight.get(number), exchange.body_mut()) {
                    body.is_lost(asked.block, number);
                }
            }
            match &mut exchange.state {
                State::Downloading(download, _) => download.cut(size),
                State::Sending(sending) => {
                    sending.cut(size);
                    uploads.push(id);
                }
                _ => {}
            }
        }
        for id in uploads {
            self.cut_last_block(now, id);
        }
        self.fly(now, session);
    }
}
