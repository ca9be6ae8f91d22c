//! One exchange while it may still change.

use super::body::{self, Assembly, Describer, Room, Way, note};
use super::options::{Said, Target};
use crate::Time;
use crate::exchange::{Exchange, Kind, Mark, MessageRef, Note, State, Traffic};
use crate::ranges::Ranges;
use crate::session::Session;
use lowband_wire::coap::Code;
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::{Token, View};
use std::time::Duration;

/// An exchange that is not settled.
pub(super) struct Open {
    pub(super) exchange: Exchange,
    upload: Assembly,
    download: Assembly,
    /// Which bytes of the response requests have asked for, after the first one.
    asked: Ranges,
    etag: Option<Token>,
    /// When the response was whole, or a Reset came.
    done_at: Option<Time>,
    is_reset: bool,
    pub(super) begins_before: bool,
    /// When a message of it came last.
    pub(super) last: Time,
    /// The time under which it stands among those that wait to be settled.
    pub(super) scheduled: u64,
}

/// What is lent to an exchange that reads a message.
pub(super) struct Tools<'a> {
    pub(super) describer: &'a mut Describer,
    pub(super) room: &'a mut Room,
}

impl Open {
    pub(super) fn new(number: u64, session: &Session, first: &MessageRef, kind: Kind) -> Open {
        let exchange = Exchange {
            number,
            session: session.number,
            time: first.time,
            client: session.client,
            server: session.server,
            kind,
            from_server: false,
            method: None,
            path: String::new(),
            path_code: None,
            query: Vec::new(),
            code: None,
            state: State::Unanswered,
            up: Traffic::default(),
            down: Traffic::default(),
            repeats: 0,
            duration: None,
            request_body: None,
            response_body: None,
            observe: false,
            access_token: false,
            cbor_version: session.cbor_version,
            capabilities: session.capabilities,
            messages: Vec::new(),
            notes: Vec::new(),
        };
        Open {
            exchange,
            upload: Assembly::default(),
            download: Assembly::default(),
            asked: Ranges::default(),
            etag: None,
            done_at: None,
            is_reset: false,
            begins_before: false,
            last: first.time,
            scheduled: u64::MAX,
        }
    }

    pub(super) fn note(&mut self, which: Note) {
        note(&mut self.exchange.notes, which);
    }

    /// Returns whether nothing more is expected.
    pub(super) fn is_done(&self) -> bool {
        self.done_at.is_some()
    }

    /// Returns whether no response has come, not even the first block of one.
    pub(super) fn waits(&self) -> bool {
        self.done_at.is_none() && !self.download.has_begun()
    }

    /// Adds a message to the list, unless it has `most`, and counts it. Returns whether it is in the list.
    pub(super) fn count(&mut self, message: MessageRef, traffic: Traffic, most: usize) -> bool {
        let exchange = &mut self.exchange;
        if message.mark == Mark::Repeat {
            exchange.repeats = exchange.repeats.saturating_add(1);
        }
        if message.mark != Mark::Duplicate {
            if message.from_client { &mut exchange.up } else { &mut exchange.down }.add(traffic);
        }
        self.last = self.last.max(message.time);
        let is_listed = exchange.messages.len() < most;
        if is_listed {
            exchange.messages.push(message);
        } else {
            self.note(Note::TooManyMessages);
        }
        is_listed
    }

    /// Takes the first request, which says what the exchange is about; of path and query `most` bytes.
    pub(super) fn begin(&mut self, message: &View<'_>, said: &Said, most: usize) {
        let exchange = &mut self.exchange;
        let Target { path, path_code, query } = Target::of(message, most, &mut exchange.notes);
        (exchange.path, exchange.path_code, exchange.query) = (path, path_code, query);
        exchange.method = Some(message.code);
        exchange.observe = said.observe == Some(0);
        exchange.access_token = said.access_token;
        if said.goes_on() {
            self.begins_before = true;
            self.note(Note::BeginsBefore);
        }
    }

    /// Takes note that a block is the first one of the request's body, and has the options of the request,
    /// though others came before it.
    fn begins_here(&mut self, said: &Said) {
        let exchange = &mut self.exchange;
        exchange.observe |= said.observe == Some(0);
        exchange.access_token |= said.access_token;
        exchange.notes.retain(|note| *note != Note::BeginsBefore);
        self.begins_before = false;
    }

    /// Takes a request, the first one or one for another block. It is a repeat if an earlier message has
    /// brought and asked for the same blocks.
    pub(super) fn request(&mut self, message: &View<'_>, said: &Said, tools: Tools<'_>) -> Mark {
        let Tools { describer, room } = tools;
        if self.begins_before && said.tagged().is_some_and(|block| block.num == 0) {
            self.begins_here(said);
        }
        let asked = self.ask(said);
        let exchange = &mut self.exchange;
        if said.uses_q_block1 {
            note(&mut exchange.notes, Note::QBlock);
        }
        let format = said.content_format;
        let brought = said.block1.map(|block| self.upload.has(block.offset()));
        match said.block1 {
            Some(block) => {
                self.upload.add(block, message.payload, format, room, &mut exchange.notes);
                if self.upload.is_whole() && exchange.request_body.is_none() {
                    exchange.request_body =
                        self.upload.describe(describer, Way::Request, room, &mut exchange.notes);
                }
            }
            None if exchange.request_body.is_none() && !self.upload.has_begun() => {
                exchange.request_body =
                    body::whole(message.payload, format, Way::Request, describer, &mut exchange.notes);
            }
            None => {}
        }
        let said_before = [brought, asked].into_iter().flatten();
        said_before.reduce(|one, other| one && other).map_or(Mark::First, mark)
    }

    /// Notes which blocks of the response a request asks for, and returns whether all of them were asked for
    /// before; None if it asks for none after the first.
    fn ask(&mut self, said: &Said) -> Option<bool> {
        let asked = said.block2.iter().chain(&said.list).filter(|block| block.num > 0);
        asked.fold(None, |before, block| {
            let (start, end) = (block.offset(), block.offset() + block.size.bytes());
            let is_known = self.asked.has(start, end);
            self.asked.insert(start, end);
            Some(is_known && before != Some(false))
        })
    }

    /// Takes a response, the only one or one with a block. It is a repeat if the block was there.
    pub(super) fn response(&mut self, message: &View<'_>, said: &Said, tools: Tools<'_>, at: Time) -> Mark {
        let Tools { describer, room } = tools;
        let exchange = &mut self.exchange;
        if said.uses_q_block1 {
            note(&mut exchange.notes, Note::QBlock);
        }
        let (code, success) = (message.code, message.code.is_success());
        if said.goes_on_behind(code) {
            return Mark::First;
        }
        let is_known = |block: Block| self.etag == said.etag && self.download.has(block.offset());
        let was_there = mark(said.block2.is_some_and(is_known));
        if self.done_at.is_some() {
            return was_there;
        }
        let way = Way::Response { success };
        let Some(block) = said.block2 else {
            exchange.code = Some(code);
            exchange.response_body =
                body::whole(message.payload, said.content_format, way, describer, &mut exchange.notes);
            self.done_at = Some(at);
            return Mark::First;
        };
        if self.download.has_begun() && self.etag != said.etag {
            note(&mut exchange.notes, Note::EtagChanged);
            self.download.give_up(room);
            (self.download, self.asked) = (Assembly::default(), Ranges::default());
        }
        self.etag = said.etag;
        exchange.code = Some(code);
        self.download.add(block, message.payload, said.content_format, room, &mut exchange.notes);
        if self.download.is_whole() {
            exchange.response_body = self.download.describe(describer, way, room, &mut exchange.notes);
            self.done_at = Some(at);
        }
        was_there
    }

    /// Takes the Reset of one of its messages.
    pub(super) fn reset(&mut self, at: Time) {
        if self.exchange.kind != Kind::Ping {
            self.is_reset = true;
        }
        self.done_at.get_or_insert(at);
    }

    /// Takes the acknowledgement of a ping, which some servers send in place of a Reset.
    pub(super) fn answer_ping(&mut self, at: Time) {
        if self.exchange.kind == Kind::Ping {
            self.done_at.get_or_insert(at);
        }
    }

    /// Returns whether the response's block at `offset` is what a client may ask for: the exchange has
    /// blocks, and not this one.
    pub(super) fn lacks_download(&self, offset: usize) -> bool {
        !self.is_done() && self.download.has_begun() && !self.download.has(offset)
    }

    /// Returns whether the request's block at `offset` is missing in the middle of an upload.
    pub(super) fn lacks_upload(&self, offset: usize) -> bool {
        !self.is_done() && self.upload.has_begun() && !self.upload.is_whole() && !self.upload.has(offset)
    }

    /// Returns the exchange as it has become. `is_cut` says that the capture ends, and that it may have gone
    /// on.
    pub(super) fn settle(mut self, is_cut: bool, tools: Tools<'_>) -> Exchange {
        let Tools { describer, room } = tools;
        let exchange = &mut self.exchange;
        if self.upload.has_begun() && exchange.request_body.is_none() {
            note(&mut exchange.notes, Note::UploadIncomplete);
            exchange.request_body = self.upload.describe(describer, Way::Request, room, &mut exchange.notes);
        }
        if self.download.has_begun() && !self.download.is_whole() {
            note(&mut exchange.notes, Note::DownloadIncomplete);
            let way = Way::Response { success: exchange.code.is_some_and(Code::is_success) };
            let partial = self.download.describe(describer, way, room, &mut exchange.notes);
            exchange.response_body = exchange.response_body.take().or(partial);
        }
        self.upload.give_up(room);
        self.download.give_up(room);
        exchange.state = match self.done_at {
            _ if self.is_reset => State::Reset,
            _ if self.begins_before => State::Cut,
            Some(_) => State::Complete,
            None if is_cut => State::Cut,
            None => State::Unanswered,
        };
        exchange.duration =
            self.done_at.map(|done| Duration::from_nanos(done.0.saturating_sub(exchange.time.0)));
        exchange.messages.shrink_to_fit();
        self.exchange
    }
}

fn mark(is_again: bool) -> Mark {
    if is_again { Mark::Repeat } else { Mark::First }
}
