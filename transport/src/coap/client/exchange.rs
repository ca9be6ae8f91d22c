//! One request and its response at the client, block by block.
//!
//! ```text
//! Queued -> Asked -------------------------------------> whole response
//!    |        | ^----- 4.08: a GET begins again -----.     ^
//!    |        `------- Block2, more ----> Downloading -----|
//!    `---> Uploading -- 2.31 ... last --------^------------'
//!              `-- 2.31 of a peer of ours --> Sending: blocks in any order (uploading.rs)
//! ```

use super::super::body::Body;
use super::super::congestion::Turn;
use super::super::download::{self, Download};
use super::super::exchanged::{Request, Response};
use super::super::failure::{FailReason, ProtocolError};
use super::flight::place;
use super::report::{Direction, Progress};
use super::sending::Sending;
use super::upload::{LARGEST_MESSAGE, Upload, next_upload, upload_size};
use super::{Client, Owner};
use crate::shares::Network;
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::fault::Unsendable;
use lowband_wire::coap::message::{Message, Outgoing, Token};
use lowband_wire::coap::options::{self, ParsedResponse, Part};
use lowband_wire::coap::uint::uint;
use lowband_wire::coap::{Code, Method, numbers};
use std::time::Instant;

/// How often a request begins again when the server no longer knows its body, because it had to make room or
/// has begun a newer one.
pub(super) const RESTARTS: u8 = 2;

#[derive(Debug)]
pub(super) enum State {
    Queued,
    /// The request went as a whole.
    Asked,
    /// This block of the request is on its way.
    Uploading(Block),
    /// Blocks of the request are on their way, in the flight of the session.
    Sending(Box<Sending>),
    /// Blocks of the response have been asked for: this one alone, or those that are in the flight of the
    /// session.
    Downloading(Box<Download>, Option<Block>),
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub session: SessionId,
    pub request: Request,
    pub state: State,
    /// Token of the newest message.
    pub token: Token,
    /// Whether all messages have the same token: the peer may run the request again for another.
    pub keeps_token: bool,
    /// Blocks after the first that the request has asked for besides.
    pub beside: u32,
    /// Those of them that came before the first one.
    pub early: Vec<(Code, ParsedResponse, Vec<u8>)>,
    /// When a block of its body came last.
    pub progressed: Option<Instant>,
    /// Request-Tag that keeps this request apart from others to the same resource; 0 means that it needs no
    /// tag.
    pub tag: u32,
    /// How many requests of its session had begun when the newest message went out.
    pub begun: u64,
    /// Whether the newest message carries our capabilities.
    pub tells: bool,
    /// How often the request has begun again.
    pub restarts: u8,
    /// Whether the last block of the body had been sent when the body was cut into smaller blocks.
    end_was_sent: bool,
    /// Messages so far; the newest may still wait for its turn.
    pub messages: u32,
}

impl Exchange {
    pub(super) fn new(session: SessionId, request: Request) -> Exchange {
        Exchange {
            session,
            request,
            state: State::Queued,
            token: Token::EMPTY,
            keeps_token: false,
            beside: 0,
            early: Vec::new(),
            progressed: None,
            tag: 0,
            begun: 0,
            tells: false,
            restarts: 0,
            end_was_sent: false,
            messages: 0,
        }
    }

    pub(super) fn method(&self) -> Method {
        self.request.method
    }

    /// Returns the options of a message of the request.
    pub(super) fn encode(&self, part: Part) -> Result<Vec<(u16, Vec<u8>)>, Unsendable> {
        options::encode_request(&self.request.options, part)
    }

    /// Returns whether a message may answer the newest one, where earlier ones had the same token.
    pub(super) fn awaits(&self, message: &Message) -> bool {
        let State::Downloading(_, Some(block)) = &self.state else { return true };
        place(message).is_none_or(|offset| offset == block.offset())
    }

    /// Returns the token of the newest message; None as long as nothing has been sent.
    pub(super) fn token(&self) -> Option<Token> {
        (!matches!(self.state, State::Queued)).then_some(self.token)
    }

    /// Returns how far the body has come that is on its way.
    pub(super) fn progress(&self) -> Option<Progress> {
        match &self.state {
            State::Sending(sending) if sending.acknowledged() > 0 => Some(Progress {
                direction: Direction::Upload,
                moved: sending.acknowledged() as u64,
                total: Some(self.request.body.len() as u64),
            }),
            State::Uploading(block) if block.num > 0 => Some(Progress {
                direction: Direction::Upload,
                moved: block.offset() as u64,
                total: Some(self.request.body.len() as u64),
            }),
            State::Downloading(download, _) => Some(Progress {
                direction: Direction::Download,
                moved: download.received() as u64,
                total: download.size(),
            }),
            _ => None,
        }
    }

    /// Returns whether the answer to the request for a block means that the body is to be asked for from its
    /// beginning. A GET does no harm when it is executed once more (RFC 7252 section 5.1); of other methods
    /// only the caller knows that.
    pub(super) fn begins_again(&self, code: Code, response: &ParsedResponse) -> bool {
        let State::Downloading(download, _) = &self.state else { return false };
        let is_lost = code == Code::REQUEST_ENTITY_INCOMPLETE || download.is_of_another(code, response);
        is_lost && self.may_begin_again()
    }

    /// Returns whether a refusal inside the body means that a shorter one has taken its place, so that the
    /// body is to be asked for from its beginning.
    pub(super) fn has_shrunk(&self, refusal: &Response) -> bool {
        refusal.code == Code::BAD_REQUEST && self.may_begin_again()
    }

    /// Returns whether the request may be executed once more for its body.
    pub(super) fn may_begin_again(&self) -> bool {
        self.request.method == Method::Get && self.request.body.is_empty() && self.restarts < RESTARTS
    }

    /// Keeps the place in the body and cuts smaller blocks, where these have become too large since the last
    /// one (RFC 7959 section 2.4).
    fn keep_within(&mut self, size: BlockSize) {
        let length = self.request.body.len();
        let cut = |block: &Block, is_ours: bool| {
            let offset = block.offset();
            Block::at(offset, size, is_ours && offset + size.bytes() < length)
        };
        match &mut self.state {
            State::Uploading(block) if block.size > size => *block = cut(block, true).unwrap_or(*block),
            State::Downloading(download, Some(block)) if block.size > size => {
                download.cut(size);
                *block = cut(block, false).unwrap_or(*block);
            }
            _ => {}
        }
    }

    /// Cuts the newest message into smaller blocks, and returns which part of the request goes again, under a
    /// new message id. None where that could carry the request out twice, or does not help. `waits`: whether
    /// the message has not been sent yet.
    fn cut(&mut self, size: BlockSize, waits: bool) -> Option<Part> {
        let may_go_twice = waits || self.request.method != Method::Post;
        match &self.state {
            State::Queued | State::Sending(_) => None,
            State::Downloading(_, Some(_)) => Some(Part::Download),
            State::Downloading(_, None) => None,
            // The last block of the body may already have had its effect.
            State::Uploading(block) if !block.more && !may_go_twice => None,
            State::Uploading(block) => {
                self.end_was_sent |= !block.more && !waits;
                Some(if block.num == 0 { Part::First } else { Part::Upload })
            }
            State::Asked if self.request.body.len() > size.bytes() && may_go_twice => {
                self.state = State::Uploading(Block { num: 0, more: true, size });
                Some(Part::First)
            }
            State::Asked => (waits || self.request.method == Method::Get).then_some(Part::First),
        }
    }

    /// Returns whether the answer to a block of the request means that the server had the whole body before
    /// its end was cut anew: the server keeps no complete body, and its answer was lost. Then the body is
    /// sent again from its beginning, in blocks that pass. A request that may not be carried out twice is not
    /// cut there.
    fn uploads_again(&self, code: Code) -> bool {
        self.end_was_sent
            && code == Code::REQUEST_ENTITY_INCOMPLETE
            && matches!(self.state, State::Uploading(block) if block.num > 0)
    }

    /// Returns whether both are a GET of the same resource.
    pub(super) fn gets_the_same(&self, other: &Exchange) -> bool {
        self.request.method == Method::Get && self.same_resource(&other.request)
    }

    /// Returns whether blocks of the two requests could be confused (RFC 9175 section 3).
    fn same_resource(&self, other: &Request) -> bool {
        let (ours, theirs) = (&self.request.options, &other.options);
        self.request.method == other.method
            && ours.path == theirs.path
            && ours.query == theirs.query
            && ours.accept == theirs.accept
    }
}

impl Client {
    /// Sends the first message of a request.
    pub(super) fn start(&mut self, now: Instant, id: ExchangeId) {
        let Some(session) = self.exchanges.get(&id).map(|exchange| exchange.session) else { return };
        let (own_size, most) = (self.messages.block_size(session), self.messages.largest_message(session));
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let size = upload_size(&exchange.request, own_size, most.min(LARGEST_MESSAGE));
        let is_upload = exchange.request.body.len() > size.bytes();
        let needs_tag = self.is_like_another(id) || (is_upload && self.may_send_in_any_order(session));
        let tag = if needs_tag { self.new_tag(session) } else { 0 };
        let is_in_any_order = is_upload && self.sends_in_any_order(session);
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.tag = tag;
        if is_in_any_order {
            return self.begin_upload(now, id, size);
        }
        exchange.state = match is_upload {
            true => State::Uploading(Block { num: 0, more: true, size }),
            false => State::Asked,
        };
        self.send(now, id, Part::First);
    }

    /// Returns whether another request of the session that has begun has the same resource and no tag.
    fn is_like_another(&self, id: ExchangeId) -> bool {
        let Some(own) = self.exchanges.get(&id) else { return false };
        let has_begun = |other: &&Exchange| other.session == own.session && other.token().is_some();
        let mut others = self.exchanges.values().filter(has_begun);
        others.any(|other| other.tag == 0 && other.same_resource(&own.request))
    }

    /// Sends the message that the state asks for, under a token of its own.
    pub(super) fn send(&mut self, now: Instant, id: ExchangeId, part: Part) {
        let Some(session) = self.exchanges.get(&id).map(|exchange| exchange.session) else { return };
        let own_size = self.messages.block_size(session);
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.keep_within(own_size);
        let Some(state) = self.sessions.get_mut(&exchange.session) else { return };
        state.tokens.remove(&exchange.token);
        if !exchange.keeps_token {
            state.last_token += 1;
            exchange.token = Token::from_number(state.last_token);
        }
        exchange.begun = state.begun;
        exchange.messages = exchange.messages.saturating_add(1);
        // Sent until one message with the capabilities is known to have arrived: earlier ones may be lost, or
        // overtaken by this one.
        let mut capabilities = 0;
        if !state.knows_us && self.messages.times.short_timers() {
            capabilities |= numbers::SHORT_TIMERS;
        }
        if state.is_ours.is_none() && self.messages.limits.body_window > 1 {
            capabilities |= numbers::ANY_ORDER;
        }
        if state.is_ours.is_none() && self.messages.limits.packed_bodies {
            capabilities |= numbers::PACKED_BODIES;
        }
        exchange.tells = part == Part::First && capabilities != 0;
        state.tokens.insert(exchange.token, id);
        let request = &exchange.request;
        let mut options = match options::encode_request(&request.options, part) {
            Ok(options) => options,
            Err(why) => return self.fail(now, id, FailReason::Unsendable(why)),
        };
        if exchange.tag > 0 {
            options.push((numbers::REQUEST_TAG, uint(exchange.tag)));
        }
        if exchange.tells {
            options.push((numbers::CAPABILITIES, uint(capabilities)));
        }
        let mut payload = Vec::new();
        let mut asks_for_size = own_size < BlockSize::MAX;
        match &exchange.state {
            State::Queued => return,
            State::Asked => payload.clone_from(&request.body),
            // The last block; the others go as parts.
            State::Sending(sending) => {
                let Some(block) = sending.last() else { return };
                payload.extend_from_slice(request.body.get(block.offset()..).unwrap_or_default());
                options.push((numbers::BLOCK1, block.encode()));
            }
            State::Uploading(block) => {
                let rest = request.body.get(block.offset()..).unwrap_or(&[]);
                payload.extend_from_slice(rest.get(..block.size.bytes()).unwrap_or(rest));
                options.push((numbers::BLOCK1, block.encode()));
                if let (0, Ok(length)) = (block.num, u32::try_from(request.body.len())) {
                    options.push((numbers::SIZE1, uint(length)));
                }
                asks_for_size &= !block.more;
            }
            State::Downloading(_, None) => return,
            State::Downloading(_, Some(block)) => {
                options.push((numbers::BLOCK2, block.encode()));
                asks_for_size = false;
            }
        }
        let asks_beside = part == Part::First
            && !asks_for_size
            && request.method == Method::Get
            && matches!(exchange.state, State::Asked);
        let flight = state.flight.as_ref().filter(|_| asks_beside);
        exchange.beside = flight.map_or(0, |flight| flight.beside(now));
        exchange.early = Vec::new();
        for num in 1..=exchange.beside {
            let block = Block { num, more: false, size: own_size };
            options.push((numbers::Q_BLOCK2, block.encode()));
        }
        if asks_for_size {
            // Early negotiation (RFC 7959 section 2.4).
            let block = Block { num: 0, more: false, size: own_size };
            options.push((numbers::BLOCK2, block.encode()));
        }
        match &exchange.state {
            State::Uploading(Block { num: 1.., .. }) | State::Downloading(_, Some(_)) => {
                state.path.blocks += 1;
                state.path.window = Some(1);
            }
            State::Sending(_) => state.path.blocks += 1,
            _ => {}
        }
        let message = Outgoing { code: request.method.code(), token: exchange.token, options, payload };
        let turn = if part == Part::First { Turn::Small } else { Turn::Block };
        let (network, owner) = (Network::alone(session.0), Owner::Exchange(id));
        if !self.messages.send_confirmable(now, session, network, message, turn, owner) {
            let most = self.messages.largest_message(session);
            self.fail(now, id, FailReason::Unsendable(Unsendable::Message { most }));
        }
    }

    /// Cuts smaller blocks when the path of a session lets no message through that is as large as its blocks
    /// were. Messages on their way, and those that wait for their turn, go in smaller blocks and ask for
    /// such.
    pub(super) fn cut_smaller(&mut self, now: Instant, session: SessionId) {
        let size = self.messages.block_size(session);
        for owner in self.messages.unsettled(session) {
            let Owner::Exchange(id) = owner else { continue };
            let waits = self.messages.waits(session, owner);
            let Some(exchange) = self.exchanges.get_mut(&id) else { continue };
            let Some(part) = exchange.cut(size, waits) else { continue };
            // A message that replaces one that has not been sent does not count as a further one.
            exchange.messages = exchange.messages.saturating_sub(u32::from(waits));
            self.send(now, id, part);
        }
        self.cut_flight(now, session);
    }

    /// Takes the response to the newest message of an exchange.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        id: ExchangeId,
        code: Code,
        response: ParsedResponse,
        payload: Vec<u8>,
    ) {
        let limit = self.messages.limits.download;
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let counters = &mut self.messages.counters;
        if exchange.begins_again(code, &response) {
            return self.begin_again(now, id);
        }
        if matches!(exchange.state, State::Sending(_)) {
            return self.last_block_answered(now, id, code, response, payload);
        }
        if exchange.uploads_again(code) {
            exchange.end_was_sent = false;
            counters.uploads_sent_again += 1;
            exchange.state = State::Uploading(Block { num: 0, more: true, size: BlockSize::MAX });
            return self.send(now, id, Part::First);
        }
        let is_inside = matches!(exchange.state, State::Downloading(..));
        let progress = match std::mem::replace(&mut exchange.state, State::Asked) {
            State::Uploading(block) => match next_upload(block, code, &response, exchange.request.body.len())
            {
                Upload::Next(next) => {
                    exchange.state = State::Uploading(next);
                    if (block.num, exchange.tag > 0) == (0, true) && next.num > 0 {
                        let session = exchange.session;
                        if self.sends_in_any_order(session) {
                            return self.go_on_in_any_order(now, id, block, next.size);
                        }
                    }
                    let part = if next.num == 0 { Part::First } else { Part::Upload };
                    return self.send(now, id, part);
                }
                Upload::Answered => Download::start(code, response, payload, limit),
                Upload::Contradiction(error) => Err(error),
            },
            State::Downloading(mut download, Some(block)) => {
                match download.add(block, code, response, payload, limit) {
                    Ok(Some(whole)) => Ok(download::Progress::Whole(whole)),
                    Ok(None) => Ok(download::Progress::More(download)),
                    Err(error) => Err(error),
                }
            }
            // Handled above.
            State::Sending(_) => return,
            // Its blocks do not come this way.
            State::Downloading(download, None) => {
                exchange.state = State::Downloading(download, None);
                return;
            }
            State::Asked | State::Queued if code == Code::CONTINUE => Err(ProtocolError::UnexpectedContinue),
            State::Asked | State::Queued => Download::start(code, response, payload, limit),
        };
        match progress {
            Ok(download::Progress::Whole(response)) if is_inside && exchange.has_shrunk(&response) => {
                self.begin_again(now, id);
            }
            Ok(download::Progress::Whole(response)) => self.succeed(now, id, response),
            Ok(download::Progress::More(download)) => {
                let is_ours = self.sessions.get(&exchange.session).and_then(|state| state.is_ours);
                exchange.keeps_token |= is_ours == Some(false);
                let next = download.missing(true);
                exchange.state = State::Downloading(download, next);
                // A body that has been sent is not needed again (RFC 7959 section 3.3).
                exchange.request.body = Vec::new();
                if self.may_fly(id) {
                    self.take_off(now, id);
                } else if next.is_some() {
                    self.send(now, id, Part::Download);
                } else {
                    self.contradict(now, id, ProtocolError::TooManyBlocks { option: "Block2" });
                }
            }
            Err(error) => self.contradict(now, id, error),
        }
    }
}
