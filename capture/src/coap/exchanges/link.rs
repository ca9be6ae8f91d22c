//! Which exchange a message belongs to.

use super::registrations::Registration;
use super::{
    Arrived, Entry, Exchanges, Fingerprint, IdKey, Known, LIFETIME, NameKey, TokenKey, Tools, add_namesake,
};
use crate::capture::Event;
use crate::coap::options::Said;
use crate::exchange::{Kind as What, Mark, MessageRef, Note};
use crate::session::Session;
use crate::unread::Why;
use lowband_wire::coap::Code;
use lowband_wire::coap::message::Kind;
use lowband_wire::coap::message::View;
use lowband_wire::coap::numbers::ANY_ORDER;

impl Exchanges {
    /// Adds a message to its exchange, which may be a new one; or returns why there is none.
    pub(super) fn link(
        &mut self,
        session: &mut Session,
        arrived: &Arrived<'_>,
        message: &View<'_>,
        event: &mut dyn FnMut(Event),
    ) -> Result<(), Why> {
        let Arrived { reference, traffic, bytes } = *arrived;
        if let Some(number) = self.copied(session, &reference, message, bytes.len()) {
            if !self.open.contains_key(&number) {
                return Err(Why::Late { exchange: number });
            }
            let reference = MessageRef { mark: Mark::Repeat, ..reference };
            self.attach(number, reference, traffic);
            return Ok(());
        }
        let is_reply = matches!(message.kind, Kind::Acknowledgement | Kind::Reset);
        let (number, mark) = if message.code.is_request() {
            self.link_request(session, &reference, message, event)
        } else if message.code.is_response() {
            self.link_response(session, &reference, message, event)
        } else if is_reply {
            (self.link_reply(session, &reference, message)?, Mark::First)
        } else {
            // RFC 7252 section 4.3: an Empty confirmable message asks for a Reset.
            let number = self.open(session, &reference, What::Ping, event);
            self.set(number, |open| open.exchange.from_server = !reference.from_client);
            (number, Mark::First)
        };
        let key = id_key(session, &reference, message);
        let fingerprint = fingerprint(message, bytes.len());
        let known = Known { exchange: number, fingerprint, time: reference.time };
        self.remember_id(number, key, known);
        self.attach(number, MessageRef { mark, ..reference }, traffic);
        Ok(())
    }

    /// Returns the exchange of the message that this one is a copy of.
    pub(super) fn copied(
        &self,
        session: &Session,
        reference: &MessageRef,
        message: &View<'_>,
        length: usize,
    ) -> Option<u64> {
        let known = self.ids.get(&id_key(session, reference, message))?;
        let age = reference.time.0.saturating_sub(known.time.0);
        (known.fingerprint == fingerprint(message, length) && age < LIFETIME).then_some(known.exchange)
    }

    fn remember_id(&mut self, number: u64, key: IdKey, known: Known) {
        let Some(Entry { open, handles }) = self.open.get_mut(&number).map(Box::as_mut) else { return };
        // An exchange that is not listed any further does not remember any further either.
        if open.exchange.messages.len() >= self.limits.messages {
            return;
        }
        if self.ids.insert(key, known).is_none_or(|before| before.exchange != number) {
            handles.ids.push(key);
        }
    }

    fn set(&mut self, number: u64, change: impl FnOnce(&mut super::Open)) {
        if let Some(Entry { open, .. }) = self.open.get_mut(&number).map(Box::as_mut) {
            change(open);
        }
    }

    fn link_request(
        &mut self,
        session: &mut Session,
        reference: &MessageRef,
        message: &View<'_>,
        event: &mut dyn FnMut(Event),
    ) -> (u64, Mark) {
        let said = Said::by(message);
        if reference.from_client {
            session.cbor_version = said.cbor_version.or(session.cbor_version);
            session.capabilities = said.capabilities.or(session.capabilities);
            session.access_token |= said.access_token;
        }
        let by_client = reference.from_client;
        let token = TokenKey { session: session.number, by_client, token: message.token };
        let name = NameKey { session: session.number, by_client, name: said.name };
        if said.observe == Some(1) {
            self.registrations.remove(&token);
        }
        // Ends that know bodies in any order use a Request-Tag once: what comes late begins no other body.
        let any_order = by_client && session.capabilities.is_some_and(|bits| bits & ANY_ORDER != 0);
        let number = match self.continued(&said, name, &token, any_order) {
            Some(number) => number,
            None => {
                let number = self.open(session, reference, What::Request, event);
                let most = self.limits.target;
                self.set(number, |open| {
                    open.exchange.from_server = !by_client;
                    open.begin(message, &said, most);
                });
                if let Some(Entry { handles, .. }) = self.open.get_mut(&number).map(Box::as_mut) {
                    handles.name = Some(name);
                }
                add_namesake(self.names.entry(name).or_default(), number);
                number
            }
        };
        let is_full =
            self.open.get(&number).is_some_and(|one| one.handles.tokens.len() >= self.limits.messages);
        let mut mark = Mark::First;
        let before = if is_full { None } else { self.tokens.insert(token, number) };
        if let Some(Entry { open, handles }) = self.open.get_mut(&number).map(Box::as_mut) {
            if before != Some(number) && !is_full {
                handles.tokens.push(token);
            }
            if message.kind == Kind::Acknowledgement {
                open.note(Note::RequestInAcknowledgement);
            }
            let tools = Tools { describer: &mut self.describer, room: &mut self.room };
            mark = open.request(message, &said, tools);
        }
        if let Some(before) = before.filter(|before| *before != number) {
            self.set(before, |open| {
                if !open.is_done() {
                    open.note(Note::TokenReused);
                }
            });
        }
        (number, mark)
    }

    /// Returns the exchange of which a request asks for, or brings, another block. `any_order` says that a
    /// Request-Tag names one body for as long as the session lasts.
    fn continued(&self, said: &Said, name: NameKey, token: &TokenKey, any_order: bool) -> Option<u64> {
        let tagged = said.tagged();
        let goes_on = said.goes_on() || (any_order && tagged.is_some());
        if !goes_on && tagged.is_none() {
            return None;
        }
        let namesakes = self.names.get(&name)?;
        if let Some(same) = self.tokens.get(token).filter(|number| goes_on && namesakes.contains(number)) {
            return Some(*same);
        }
        let open = |number: &u64| self.open.get(number).map(|entry| &entry.open);
        let lacks = |number: &&u64| {
            open(number).is_some_and(|open| match (said.block1, said.block2) {
                (Some(block), _) if block.num > 0 || tagged.is_some() => open.lacks_upload(block.offset()),
                (_, Some(block)) => open.lacks_download(block.offset()),
                _ => said.list.iter().any(|block| open.lacks_download(block.offset())),
            })
        };
        let unfinished = |number: &&u64| open(number).is_some_and(|open| !open.is_done());
        let mut all = namesakes.iter();
        let found = all.clone().find(lacks);
        if !goes_on {
            return found.copied();
        }
        // A block that was there already, sent or asked for again under a new id.
        found.or_else(|| all.clone().rfind(unfinished)).or_else(|| all.next_back()).copied()
    }

    fn link_response(
        &mut self,
        session: &Session,
        reference: &MessageRef,
        message: &View<'_>,
        event: &mut dyn FnMut(Event),
    ) -> (u64, Mark) {
        let said = Said::by(message);
        let by_client = !reference.from_client;
        let token = TokenKey { session: session.number, by_client, token: message.token };
        let acknowledged = self.answered(session, reference, message);
        let by_token = self.tokens.get(&token).copied();
        let asked = acknowledged.or(by_token);
        // What comes by itself under the token of a registration, whose own answer has come or has begun.
        let open = asked.and_then(|number| self.open.get(&number)).map(|entry| &entry.open);
        let waits = open.is_some_and(|open| open.waits());
        let pushed = acknowledged.is_none() && !waits && said.block2.is_none_or(|block| block.num == 0);
        let registration = self.registrations.get(&token).filter(|_| pushed).cloned();
        let number = match (asked, registration) {
            (_, Some(registration)) => {
                if !message.code.is_success() || said.observe.is_none() {
                    // RFC 7641 section 3.2: such a response ends the registration.
                    self.registrations.remove(&token);
                }
                self.open_notification(session, reference, &said, &registration, token, event)
            }
            (Some(number), _) if self.open.contains_key(&number) => number,
            _ => {
                let number = self.open(session, reference, What::Request, event);
                self.set(number, |open| {
                    open.exchange.from_server = !by_client;
                    open.begins_before = true;
                    open.note(Note::BeginsBefore);
                });
                number
            }
        };
        let (mut registered, mut mark) = (None, Mark::First);
        if let Some(Entry { open, handles }) = self.open.get_mut(&number).map(Box::as_mut) {
            let tools = Tools { describer: &mut self.describer, room: &mut self.room };
            mark = open.response(message, &said, tools, reference.time);
            let is_first = waits && open.exchange.observe && open.exchange.kind == What::Request;
            if is_first && said.observe.is_some() && message.code.is_success() {
                let name = handles.name.map_or(0, |name| name.name);
                registered = Some(Registration::of(&open.exchange, name));
            }
        }
        if let Some(registration) = registered.filter(|_| by_token == Some(number)) {
            self.registrations.insert(token, registration);
        }
        (number, mark)
    }

    fn open_notification(
        &mut self,
        session: &Session,
        reference: &MessageRef,
        said: &Said,
        registration: &Registration,
        token: TokenKey,
        event: &mut dyn FnMut(Event),
    ) -> u64 {
        let what = What::Notification { registration: registration.exchange, sequence: said.observe };
        let number = self.open(session, reference, what, event);
        let name = NameKey { session: session.number, by_client: token.by_client, name: registration.name };
        if let Some(Entry { open, handles }) = self.open.get_mut(&number).map(Box::as_mut) {
            open.exchange.from_server = !token.by_client;
            registration.apply(&mut open.exchange);
            handles.name = Some(name);
            handles.registration = Some(token);
        }
        add_namesake(self.names.entry(name).or_default(), number);
        number
    }

    /// Returns the exchange of the message that an acknowledgement or a Reset answers.
    fn answered(&self, session: &Session, reference: &MessageRef, message: &View<'_>) -> Option<u64> {
        if !matches!(message.kind, Kind::Acknowledgement | Kind::Reset) {
            return None;
        }
        let key = IdKey {
            session: session.number,
            id: message.id.0,
            from_client: !reference.from_client,
            is_reply: false,
        };
        let known = self.ids.get(&key)?;
        // A response inside an acknowledgement has the token as well: an id may be that of an older message.
        let fits = message.code == Code::EMPTY || known.fingerprint.token == message.token;
        (fits && self.open.contains_key(&known.exchange)).then_some(known.exchange)
    }

    fn link_reply(
        &mut self,
        session: &Session,
        reference: &MessageRef,
        message: &View<'_>,
    ) -> Result<u64, Why> {
        let number = self.answered(session, reference, message).ok_or(Why::Stray)?;
        let mut refused = None;
        if let Some(Entry { open, handles }) = self.open.get_mut(&number).map(Box::as_mut) {
            if message.kind == Kind::Reset {
                open.reset(reference.time);
                refused = handles.registration;
            } else {
                open.answer_ping(reference.time);
            }
        }
        if let Some(registration) = refused {
            // RFC 7641 section 3.6: a Reset ends the registration.
            self.registrations.remove(&registration);
        }
        Ok(number)
    }
}

fn id_key(session: &Session, reference: &MessageRef, message: &View<'_>) -> IdKey {
    IdKey {
        session: session.number,
        id: message.id.0,
        from_client: reference.from_client,
        is_reply: matches!(message.kind, Kind::Acknowledgement | Kind::Reset),
    }
}

fn fingerprint(message: &View<'_>, length: usize) -> Fingerprint {
    Fingerprint { code: message.code.0, token: message.token, length: length as u32 }
}
