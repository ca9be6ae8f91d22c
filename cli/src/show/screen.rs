//! What is written of a capture: exchanges as they settle, and at the end what is to be said of the whole.

use super::source::Source;
use crate::exit::{Exit, Failure};
use crate::output::Writer;
use lowband_capture::file::{FileFault, Unreadable};
use lowband_capture::report::hide::Secrets;
use lowband_capture::report::text::{self, Colours};
use lowband_capture::report::{Faults, Filter, Others, Totals, json};
use lowband_capture::{Capture, Event, Exchange, Session, Why};

/// Bytes that are written at once, where nobody waits for a line.
const PIECE: usize = 64 << 10;

/// How exchanges are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text(Colours),
    Json,
}

/// What is still to be shown, in the order in which it came.
enum Told {
    Exchange(Box<Exchange>),
    Session(Box<Session>),
}

/// The output on its way.
pub(super) struct Screen {
    form: Form,
    filter: Filter,
    secrets: Secrets,
    verbose: bool,
    told: Vec<Told>,
    out: String,
    /// Day of the last line.
    day: String,
    totals: Totals,
    faults: Faults,
    others: Others,
    lacks_keys: bool,
    /// The first place of the file that cannot be read.
    broken: Option<Unreadable>,
}

impl Screen {
    pub(super) fn new(form: Form, filter: Filter, secrets: Secrets, verbose: bool) -> Screen {
        Screen {
            form,
            filter,
            secrets,
            verbose,
            told: Vec::new(),
            out: String::new(),
            day: String::new(),
            totals: Totals::default(),
            faults: Faults::default(),
            others: Others::default(),
            lacks_keys: false,
            broken: None,
        }
    }

    /// Takes an event. Exchanges wait for [`Screen::show`]: their details need the capture, which is at work.
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Exchange(exchange) if self.filter.accepts(&exchange) => {
                self.told.push(Told::Exchange(Box::new(exchange)));
            }
            Event::Session(session) => self.told.push(Told::Session(Box::new(session))),
            Event::Unread(unread) => {
                self.lacks_keys |= unread.why == Why::NoKey;
                self.faults.add(unread.message.frame, &unread.why);
            }
            Event::Packet { frame, why } => self.faults.add(frame, &why),
            Event::File(unreadable) => {
                self.faults.add(unreadable.frame, &unreadable.why);
                self.broken.get_or_insert(unreadable);
            }
            Event::Other { kind, .. } => self.others.add(kind),
            Event::Foreign { .. } => self.others.add_udp(),
            // Lines of a pcapng's own key log that cannot be read are nobody's mistake here.
            _ => {}
        }
    }

    /// Writes what has come.
    pub(super) fn show(&mut self, capture: &Capture, source: &Source) {
        for told in std::mem::take(&mut self.told) {
            match told {
                Told::Exchange(exchange) => self.exchange(&exchange, capture, source),
                Told::Session(session) => self.totals.session(&session),
            }
        }
    }

    fn exchange(&mut self, exchange: &Exchange, capture: &Capture, source: &Source) {
        let cost = self.totals.exchange(exchange);
        let mut again = |offset, length| source.again(offset, length);
        let detail = self.verbose.then(|| capture.detail(exchange, &mut again));
        match self.form {
            Form::Json => {
                json::exchange(&mut self.out, exchange, cost.payload, detail.as_ref(), self.secrets);
                self.out.push('\n');
            }
            Form::Text(colours) => {
                let day = exchange.time.date();
                if self.day.is_empty() {
                    self.out.push_str(text::HEAD);
                    self.out.push('\n');
                }
                if self.day != day {
                    text::day(&mut self.out, exchange.time, colours);
                    self.day = day;
                }
                text::line(&mut self.out, exchange, self.secrets, colours);
                if let Some(detail) = &detail {
                    text::details(&mut self.out, exchange, detail, self.secrets, colours);
                }
            }
        }
    }

    /// Writes what is to be said of the whole.
    pub(super) fn end(&mut self) {
        if self.broken.is_some_and(|place| place.offset == 0) {
            // Not a capture at all: the failure says it.
            return;
        }
        match self.form {
            Form::Json => {
                self.faults.json(&mut self.out);
                self.others.json(&mut self.out);
                if self.filter.is_empty() {
                    self.totals.besides_json(&mut self.out);
                }
                self.totals.json(&mut self.out);
            }
            Form::Text(_) => {
                if !self.day.is_empty() {
                    self.out.push('\n');
                }
                self.faults.text(&mut self.out, self.verbose);
                self.others.text(&mut self.out);
                if self.filter.is_empty() {
                    self.totals.besides_text(&mut self.out);
                }
                self.totals.text(&mut self.out);
            }
        }
    }

    /// Passes on what is written: all of it, or if it is much.
    pub(super) fn flush(&mut self, all: bool, out: &mut Writer<'_>) -> Result<(), Failure> {
        if !self.out.is_empty() && (all || self.out.len() >= PIECE) {
            out.write(self.out.as_bytes())?;
            self.out.clear();
        }
        Ok(())
    }

    /// Returns true if a session could not be decrypted for want of its keys.
    pub(super) fn lacks_keys(&self) -> bool {
        self.lacks_keys
    }

    /// Returns the failure of a file that could not be read to its end. A capture that goes on is left
    /// wherever it is, often within a packet.
    pub(super) fn outcome(&self, source: &Source) -> Result<(), Failure> {
        match self.broken {
            None => Ok(()),
            Some(Unreadable { why: FileFault::CutOff, .. }) if source.is_live() => Ok(()),
            Some(Unreadable { offset, why, .. }) => {
                Err(Failure::new(Exit::BadInput, format!("{}: byte {offset}: {why}", source.name())))
            }
        }
    }
}
