//! All exchanges that are not settled: which message belongs to which, and when one is told of.
//!
//! ```text
//! message -> copy of one that was seen?  by session, direction, message id          -> its exchange
//!         -> acknowledgement, Reset?     by the id that it answers                  -> its exchange
//!         -> response?                   by token, else a registration's token      -> its exchange, a notification
//!         -> request for a block?        by what names the body, and what is missing -> its exchange
//!         -> request, ping                                                           -> a new exchange
//! ```
//!
//! Everything that is remembered belongs to an open exchange or stands in a list with a limit.

use super::body::{Describer, Room};
use super::open::{Open, Tools};
use crate::Time;
use crate::capture::{Event, Limits, Options};
use crate::exchange::{Kind, Mark, MessageRef, Note, Traffic};
use crate::session::Session;
use crate::unread::{Unread, Why};
use lowband_wire::coap::message::{Token, View};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

mod link;
mod registrations;

use registrations::Registrations;

/// How long a message id names one message: EXCHANGE_LIFETIME (RFC 7252 section 4.8.2).
const LIFETIME: u64 = 247_000_000_000;
/// Most open exchanges that one name of a body leads to; the oldest are not found by it any more.
const MAX_NAMESAKES: usize = 16;

/// A message id in its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct IdKey {
    session: u32,
    id: u16,
    from_client: bool,
    /// True for acknowledgements and Resets, which carry an id of the other end.
    is_reply: bool,
}

/// A token in the direction of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    session: u32,
    by_client: bool,
    token: Token,
}

/// The name of a body in the direction of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct NameKey {
    session: u32,
    by_client: bool,
    name: u64,
}

/// What tells a copy from another message with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    code: u8,
    token: Token,
    length: u32,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    exchange: u64,
    fingerprint: Fingerprint,
    time: Time,
}

/// What finds an open exchange, to be forgotten with it.
#[derive(Default)]
struct Handles {
    ids: Vec<IdKey>,
    tokens: Vec<TokenKey>,
    name: Option<NameKey>,
    /// The token of the registration, of a notification.
    registration: Option<TokenKey>,
}

/// An open exchange, and what finds it.
struct Entry {
    open: Open,
    handles: Handles,
}

/// One message with everything that is known about it.
pub(crate) struct Arrived<'a> {
    pub(crate) reference: MessageRef,
    pub(crate) traffic: Traffic,
    /// The message as CoAP has it.
    pub(crate) bytes: &'a [u8],
}

/// All exchanges that are not settled, of all sessions.
pub(crate) struct Exchanges {
    settle: u64,
    patience: u64,
    limits: Limits,
    last_number: u64,
    /// The latest time that was seen.
    now: u64,
    /// When the last message was captured; `now` may be later.
    latest: Time,
    /// In boxes: what a map moves about has to be small.
    open: BTreeMap<u64, Box<Entry>>,
    /// Messages that the open ones list.
    listed: usize,
    /// The open ones that are complete, in the order of completion; also some that were settled since.
    done: VecDeque<u64>,
    ids: HashMap<IdKey, Known>,
    /// Ids of settled exchanges, which still tell late copies.
    settled_ids: VecDeque<(IdKey, u64)>,
    tokens: HashMap<TokenKey, u64>,
    names: HashMap<NameKey, Vec<u64>>,
    registrations: Registrations,
    /// When to look at which exchange.
    schedule: BinaryHeap<Reverse<(u64, u64)>>,
    describer: Describer,
    room: Room,
}

impl Exchanges {
    pub(crate) fn new(options: &Options) -> Exchanges {
        let limits = options.limits;
        Exchanges {
            settle: nanos(options.settle),
            patience: nanos(options.patience),
            limits,
            last_number: 0,
            now: 0,
            latest: Time::default(),
            open: BTreeMap::new(),
            listed: 0,
            done: VecDeque::new(),
            ids: HashMap::new(),
            settled_ids: VecDeque::new(),
            tokens: HashMap::new(),
            names: HashMap::new(),
            registrations: Registrations::new(limits.registrations),
            schedule: BinaryHeap::new(),
            describer: Describer::new(),
            room: Room { left: limits.bodies, body: limits.body },
        }
    }

    /// Takes a message of a session. Exchanges that are settled by then come first.
    pub(crate) fn receive(
        &mut self,
        session: &mut Session,
        arrived: &Arrived<'_>,
        event: &mut dyn FnMut(Event),
    ) {
        self.latest = self.latest.max(arrived.reference.time);
        self.advance(arrived.reference.time, event);
        while self.listed >= self.limits.open_messages && self.give_up_one(event) {}
        let failed = match View::parse(arrived.bytes) {
            Ok(message) => self.link(session, arrived, &message, event).err(),
            Err(why) => Some(Why::MalformedMessage(why)),
        };
        if let Some(why) = failed {
            session.count_unread(why);
            event(Event::Unread(Unread { session: Some(session.number), message: arrived.reference, why }));
        }
    }

    /// Settles what is due if nothing has come for `time` since the last message.
    pub(crate) fn quiet(&mut self, time: Duration, event: &mut dyn FnMut(Event)) {
        self.advance(Time(self.latest.0.saturating_add(nanos(time))), event);
    }

    /// Takes a copy of a record that has been seen.
    pub(crate) fn duplicate(&mut self, session: &Session, reference: MessageRef, bytes: &[u8]) {
        let Ok(message) = View::parse(bytes) else { return };
        if let Some(number) = self.copied(session, &reference, &message, bytes.len()) {
            let reference = MessageRef { mark: Mark::Duplicate, ..reference };
            self.attach(number, reference, Traffic::default());
        }
    }

    /// Ends the capture: everything is settled.
    pub(crate) fn finish(&mut self, event: &mut dyn FnMut(Event)) {
        while let Some(number) = self.open.first_key_value().map(|(number, _)| *number) {
            self.settle_one(number, true, None, event);
        }
        self.schedule.clear();
    }

    /// Settles the exchanges of sessions that are not kept any more, and forgets what it remembers of them.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(u32) -> bool, event: &mut dyn FnMut(Event)) {
        let over = self.open.iter().filter(|(_, entry)| is_gone(entry.open.exchange.session));
        let over: Vec<_> = over.map(|(number, entry)| (*number, entry.open.is_done())).collect();
        for (number, is_done) in over {
            self.settle_one(number, false, (!is_done).then_some(Note::PushedOut), event);
        }
        self.registrations.forget(is_gone);
    }

    /// Settles what has been quiet for long enough at `time`.
    fn advance(&mut self, time: Time, event: &mut dyn FnMut(Event)) {
        self.now = self.now.max(time.0);
        while let Some(Reverse((at, number))) = self.schedule.peek().copied()
            && at <= self.now
        {
            self.schedule.pop();
            let Some(Entry { open, .. }) = self.open.get_mut(&number).map(Box::as_mut) else { continue };
            if open.scheduled != at {
                continue;
            }
            let due = due(open, self.settle, self.patience);
            if due > self.now {
                open.scheduled = due;
                self.schedule.push(Reverse((due, number)));
            } else {
                self.settle_one(number, false, None, event);
            }
        }
    }

    fn settle_one(&mut self, number: u64, at_end: bool, why: Option<Note>, event: &mut dyn FnMut(Event)) {
        let Some(entry) = self.open.remove(&number) else { return };
        let Entry { mut open, handles } = *entry;
        self.listed -= open.exchange.messages.len().min(self.listed);
        if let Some(why) = why {
            open.note(why);
        }
        let is_cut = at_end && self.now.saturating_sub(open.last.0) < self.patience;
        let tools = Tools { describer: &mut self.describer, room: &mut self.room };
        event(Event::Exchange(open.settle(is_cut, tools)));
        self.trim_done();
        self.settled_ids.extend(handles.ids.into_iter().map(|key| (key, number)));
        while self.settled_ids.len() > self.limits.settled_ids {
            if let Some((key, number)) = self.settled_ids.pop_front()
                && self.ids.get(&key).is_some_and(|known| known.exchange == number)
            {
                self.ids.remove(&key);
            }
        }
        for key in handles.tokens {
            if self.tokens.get(&key) == Some(&number) {
                self.tokens.remove(&key);
            }
        }
        if let Some(key) = handles.name
            && let Some(namesakes) = self.names.get_mut(&key)
        {
            namesakes.retain(|namesake| *namesake != number);
            if namesakes.is_empty() {
                self.names.remove(&key);
            }
        }
    }

    /// Forgets what was complete and is settled by now.
    fn trim_done(&mut self) {
        while self.done.front().is_some_and(|number| !self.open.contains_key(number)) {
            self.done.pop_front();
        }
        if self.done.len() / 2 > self.limits.open_exchanges {
            self.done.retain(|number| self.open.contains_key(number));
        }
    }

    /// Settles an open exchange to make room; returns false if there is none.
    fn give_up_one(&mut self, event: &mut dyn FnMut(Event)) -> bool {
        // One that is complete loses nothing but copies that may still come.
        if let Some(done) = self.done.pop_front() {
            self.settle_one(done, false, None, event);
        } else if let Some((oldest, _)) = self.open.first_key_value() {
            self.settle_one(*oldest, false, Some(Note::PushedOut), event);
        } else {
            return false;
        }
        true
    }

    /// Opens an exchange; the oldest goes if there are too many.
    fn open(
        &mut self,
        session: &Session,
        first: &MessageRef,
        kind: Kind,
        event: &mut dyn FnMut(Event),
    ) -> u64 {
        while self.open.len() >= self.limits.open_exchanges.max(1) && self.give_up_one(event) {}
        if self.schedule.len() / 4 > self.limits.open_exchanges {
            // Those that were pushed out are still waited for.
            let open = &self.open;
            self.schedule.retain(|Reverse((at, number))| {
                open.get(number).is_some_and(|entry| entry.open.scheduled == *at)
            });
        }
        self.last_number += 1;
        let number = self.last_number;
        let open = Open::new(number, session, first, kind);
        self.open.insert(number, Box::new(Entry { open, handles: Handles::default() }));
        number
    }

    /// Adds a message to an open exchange.
    fn attach(&mut self, number: u64, reference: MessageRef, traffic: Traffic) {
        let Some(Entry { open, .. }) = self.open.get_mut(&number).map(Box::as_mut) else { return };
        let has_room = self.listed < self.limits.open_messages || open.exchange.messages.is_empty();
        let most = if has_room { self.limits.messages } else { 0 };
        self.listed += usize::from(open.count(reference, traffic, most));
        let due = due(open, self.settle, self.patience);
        if due < open.scheduled {
            // At its first message, and when it becomes complete.
            open.scheduled = due;
            self.schedule.push(Reverse((due, number)));
            if open.is_done() {
                self.done.push_back(number);
            }
        }
    }
}

/// Returns when an exchange is settled if nothing more comes.
fn due(open: &Open, settle: u64, patience: u64) -> u64 {
    open.last.0.saturating_add(if open.is_done() { settle } else { patience })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The numbers of exchanges with one name of a body, in the order of beginning.
fn add_namesake(namesakes: &mut Vec<u64>, number: u64) {
    if namesakes.len() >= MAX_NAMESAKES {
        namesakes.remove(0);
    }
    namesakes.push(number);
}

#[cfg(test)]
mod tests;
