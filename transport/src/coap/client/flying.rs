//! Sends the blocks of a session's bodies, as far as its window allows, and takes in what comes for them.
//!
//! ```text
//!   a body begins ---> is the peer known to answer one request at a time? -- yes --> exchange.rs, one by one
//!                         | no: two requests at once find out      ^
//!                         v                                        | an error, another block, silence
//!                       fly: next body in turn ---> ask_for ---> answered ---> whole: a response
//!                         ^                           |             |
//!                         `---- flight_due: lost, ----+-------------'
//!                               probed for, given up
//! ```
//!
//! Only GET is taken to fly by a peer of which nothing is known. A request for a block after the first may be
//! repeated under new message ids: it does nothing but read (RFC 7959 section 2.4).
//!
//! A body outlives silence: its blocks are asked for again, fewer and fewer, until the caller takes the
//! session for lost, or as long as a confirmable message would be sent again.

mod answers;
mod lost;

use super::super::body::Body;
use super::super::delay_window::DelayWindow;
use super::super::failure::FailReason;
use super::exchange::{Exchange, State};
use super::flight::{Flight, Part, Peer};
use super::{Client, Owner, Session};
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::Method;
use lowband_wire::coap::block::Block;
use lowband_wire::coap::fault::Unsendable;
use lowband_wire::coap::message::{Kind, Message, MessageId, Outgoing, Token};
use lowband_wire::coap::options::{self, ParsedResponse};
use lowband_wire::coap::uint::uint;
use lowband_wire::coap::{Code, numbers};
use std::time::{Duration, Instant};

/// In place of the id of a message that is not waited for by its id.
const NO_ID: Option<MessageId> = None;

/// Blocks that go out first where the path seems to take them at once, and where nothing is known of it.
const INITIAL: u32 = 10;
const INITIAL_SLOW: u32 = 4;

/// The first block of a body may take this much longer than a small message on a path that is not slow: 30
/// kbit/s.
const NOT_SLOW: Duration = Duration::from_millis(300);

impl Session {
    fn flight(&mut self, most: u32) -> &mut Flight {
        let round_trip = self.round_trip;
        let flight = self.flight.get_or_insert_with(|| Box::new(Flight::new(round_trip, most)));
        if self.is_ours == Some(true) {
            flight.peer = Peer::Ours;
        }
        flight
    }

    /// Returns the window of the session's bodies; None before the first.
    pub(super) fn window(&self) -> Option<&DelayWindow> {
        self.flight.as_ref().map(|flight| &flight.window)
    }

    /// Returns what is known of how the peer takes several requests.
    pub(super) fn peer(&self) -> Peer {
        match self.is_ours {
            Some(true) => Peer::Ours,
            _ => self.flight.as_ref().map(|flight| flight.peer).unwrap_or_default(),
        }
    }
}

impl Client {
    /// Returns whether the blocks of a body are asked for several at a time.
    pub(super) fn may_fly(&self, id: ExchangeId) -> bool {
        let Some(exchange) = self.exchanges.get(&id) else { return false };
        let Some(state) = self.sessions.get(&exchange.session) else { return false };
        self.messages.limits.body_window > 1
            && match state.peer() {
                Peer::Ours => true,
                Peer::OneByOne => false,
                Peer::Unknown | Peer::Pipelines => exchange.method() == Method::Get,
            }
    }

    /// Begins with the blocks of a body that misses some.
    pub(super) fn take_off(&mut self, now: Instant, id: ExchangeId) {
        let most = self.messages.limits.body_window;
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let session = exchange.session;
        exchange.progressed = Some(now);
        if let State::Downloading(_, one) = &mut exchange.state {
            *one = None;
        }
        let took = self.messages.newest_answer(session, Owner::Exchange(id));
        let Some(state) = self.sessions.get_mut(&session) else { return };
        if !exchange.keeps_token {
            state.tokens.remove(&exchange.token);
        }
        let is_slow = match (took, state.round_trip) {
            (Some(took), Some(least)) => took < least || took - least > NOT_SLOW,
            _ => true,
        };
        let flight = state.flight(most);
        flight.board(now, id, if is_slow { INITIAL_SLOW } else { INITIAL });
        // What was asked for besides the first block is on its way.
        let (beside, token) = (std::mem::take(&mut exchange.beside), exchange.token);
        let early = std::mem::take(&mut exchange.early);
        let mut asked = 0;
        for _ in 0..beside {
            let Some(body) = exchange.body_mut() else { break };
            let Some(block) = body.missing(false) else { break };
            let number = flight.ask(now, id, block);
            body.is_asked(block, number);
            flight.went_beside(number);
            flight.sent_as(number, token, NO_ID);
            asked += 1;
        }
        state.path.blocks += asked;
        state.path.lists += u64::from(beside > 0);
        for (code, response, payload) in early {
            self.take_beside(now, session, token, code, response, &payload);
        }
        self.fly(now, session);
    }

    /// Keeps a block that came before the first one of its body, if the request has asked for it; false for
    /// any other message.
    pub(super) fn came_beside(&mut self, id: ExchangeId, message: &Message) -> bool {
        let Some(exchange) = self.exchanges.get_mut(&id).filter(|exchange| exchange.beside > 0) else {
            return false;
        };
        if message.kind != Kind::NonConfirmable {
            return false;
        }
        let (Ok(response), _) = ParsedResponse::parse(message) else { return false };
        if response.q_block2.is_none_or(|block| block.num == 0) {
            return false;
        }
        if exchange.early.len() < exchange.beside as usize {
            exchange.early.push((message.code, response, message.payload().to_vec()));
        }
        true
    }

    /// Takes in a block that came before the first one of its body.
    fn take_beside(
        &mut self,
        now: Instant,
        session: SessionId,
        token: Token,
        code: Code,
        response: ParsedResponse,
        payload: &[u8],
    ) {
        let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
            return;
        };
        let offset = response.q_block2.map(Block::offset);
        let Some(number) = offset.and_then(|offset| flight.of_token_at(token, offset)) else { return };
        if let Some((asked, _)) = flight.answered(now, number, true) {
            self.take_part(now, session, &asked, code, response, payload);
        }
    }

    /// Asks for blocks of the session's bodies, one body after the other, as far as there is room.
    pub(super) fn fly(&mut self, now: Instant, session: SessionId) {
        let flight = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut());
        if flight.is_some_and(|flight| flight.ends_pair()) {
            return self.one_by_one(now, session);
        }
        loop {
            let small = self.messages.on_their_way(now, session);
            let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
                return;
            };
            let (room, length) = (flight.room(small), flight.list_length());
            if room == 0 || (room < length && flight.window.on_their_way() > 0) {
                break;
            }
            let last_goes_last = flight.last_goes_last();
            let mut bodies = flight.bodies().into_iter();
            let next = bodies.find_map(|id| {
                flight.pass();
                Some((id, self.exchanges.get(&id)?.body()?.missing(last_goes_last)?))
            });
            let Some((id, block)) = next else {
                flight.window.tail(now);
                break;
            };
            match last_goes_last && self.is_last(id, block) {
                true => self.ask_for_last(now, id, block),
                false => self.ask_for(now, session, id, block, room.min(length)),
            }
        }
        self.watch_flight(session);
    }

    fn is_last(&self, id: ExchangeId, block: Block) -> bool {
        let state = self.exchanges.get(&id).map(|exchange| &exchange.state);
        matches!(state, Some(State::Downloading(download, _)) if download.is_last(block))
    }

    /// Asks for the last block by a message that is sent again under its id. A peer that forgets a body once
    /// its last block was asked for knows such a copy, and gives the same answer; under another id it would
    /// give the end of a newer body, and without an ETag nothing would tell.
    fn ask_for_last(&mut self, now: Instant, id: ExchangeId, block: Block) {
        self.land(id);
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if let State::Downloading(_, one) = &mut exchange.state {
            *one = Some(block);
        }
        self.send(now, id, options::Part::Download);
    }

    fn watch_flight(&mut self, session: SessionId) {
        let flight = self.sessions.get(&session).and_then(|state| state.flight.as_ref());
        match flight.and_then(|flight| flight.timeout()) {
            Some(at) => self.alarms.set(session, at),
            None => self.alarms.clear(session),
        }
    }

    /// Sends one request for a block, and for those that are missing after it, `most` in all, whatever the
    /// window says.
    fn ask_for(&mut self, now: Instant, session: SessionId, id: ExchangeId, block: Block, most: usize) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let is_upload = matches!(exchange.state, State::Sending(_));
        if is_upload && !block.more {
            return self.send_last_block(now, id, block);
        }
        // A message carries one block of a request, and asks for several of a response.
        let most = if is_upload { 1 } else { most };
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let Some(flight) = state.flight.as_mut() else { return };
        let token = match exchange.keeps_token {
            true => exchange.token,
            false => {
                state.last_token += 1;
                Token::from_number(state.last_token)
            }
        };
        let last_goes_last = flight.last_goes_last();
        let (mut blocks, mut numbers, mut next) = (Vec::new(), Vec::new(), Some(block));
        while let Some(block) = next {
            let number = flight.ask(now, id, block);
            let is_again = flight.tries(number) > 1;
            state.path.blocks += u64::from(!is_again);
            state.path.blocks_again += u64::from(is_again);
            self.messages.counters.blocks_asked_again += u64::from(is_again);
            let Some(body) = exchange.body_mut() else { return };
            body.is_asked(block, number);
            blocks.push(block);
            numbers.push(number);
            next = body.missing(last_goes_last).filter(|_| blocks.len() < most);
        }
        exchange.messages = exchange.messages.saturating_add(1);
        let message = match exchange.part(&blocks, token) {
            Ok(message) => message,
            Err(why) => return self.fail(now, id, FailReason::Unsendable(why)),
        };
        let sent = match numbers[..] {
            [number] => {
                let owner = Owner::Part(Part { session, number });
                self.messages.send_once(now, session, message, owner).map(Some)
            }
            _ => {
                state.path.lists += 1;
                self.messages.send_unconfirmed(now, session, message).then_some(NO_ID)
            }
        };
        let Some(message) = sent else {
            let most = self.messages.largest_message(session);
            return self.fail(now, id, FailReason::Unsendable(Unsendable::Message { most }));
        };
        for (at, number) in numbers.into_iter().enumerate() {
            flight.sent_as(number, token, message);
            // The others queue up behind the first of a list: only that one tells the round trip.
            if at > 0 {
                flight.went_beside(number);
            }
        }
    }

    /// Asks for the body of a GET from its beginning.
    pub(super) fn begin_again(&mut self, now: Instant, id: ExchangeId) {
        self.land(id);
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.restarts += 1;
        // Late blocks of the body before must not be taken for new ones.
        exchange.keeps_token = false;
        exchange.state = State::Asked;
        self.messages.counters.downloads_restarted += 1;
        self.send(now, id, options::Part::First);
    }

    /// Takes a body out of the flight of its session, with all that it has asked for.
    pub(super) fn land(&mut self, id: ExchangeId) {
        let Some(session) = self.exchanges.get(&id).map(|exchange| exchange.session) else { return };
        self.leave_flight(session, id);
    }

    /// Forgets what a body has asked for.
    pub(super) fn leave_flight(&mut self, session: SessionId, id: ExchangeId) {
        let Some(flight) = self.sessions.get_mut(&session).and_then(|state| state.flight.as_mut()) else {
            return;
        };
        for message in flight.leave(id) {
            self.messages.forget_once(session, message);
        }
        self.watch_flight(session);
    }
}

impl Exchange {
    /// Returns the body whose blocks are on their way in the flight of its session.
    pub(super) fn body(&self) -> Option<&dyn Body> {
        match &self.state {
            State::Downloading(download, None) => Some(&**download),
            State::Sending(sending) => Some(&**sending),
            _ => None,
        }
    }

    pub(super) fn body_mut(&mut self) -> Option<&mut dyn Body> {
        match &mut self.state {
            State::Downloading(download, None) => Some(&mut **download),
            State::Sending(sending) => Some(&mut **sending),
            _ => None,
        }
    }

    /// Returns the message that moves blocks of the body.
    fn part(&self, blocks: &[Block], token: Token) -> Result<Outgoing, Unsendable> {
        if let (State::Sending(_), [block]) = (&self.state, blocks) {
            return self.block_to_send(*block, token);
        }
        let mut options = self.encode(options::Part::Download)?;
        let option = if blocks.len() == 1 { numbers::BLOCK2 } else { numbers::Q_BLOCK2 };
        options.extend(blocks.iter().map(|block| (option, block.encode())));
        if self.tag > 0 {
            options.push((numbers::REQUEST_TAG, uint(self.tag)));
        }
        Ok(Outgoing { code: self.method().code(), token, options, payload: Vec::new() })
    }
}
