//! Envoy's callbacks: each becomes one phase of an [`Exchange`], whose [`Step`] becomes host calls. The shell
//! decides nothing.

use crate::config;
use crate::host::{self, Action, BufferType, LogLevel, MapType, Refused, StreamType};
use lowband_shares::Network;
use lowband_translation::common::Common;
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;
use lowband_translation::headers::{Edit, Headers};
use lowband_translation::held::{Held, Room};
use lowband_translation::metrics::{Direction, Metric, Totals};
use lowband_translation::step::{Step, Then};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

thread_local! {
    /// The contexts of this VM: the host runs one for each of its threads.
    static CONTEXTS: RefCell<Contexts> = const { RefCell::new(Contexts { roots: BTreeMap::new(), streams: BTreeMap::new() }) };
}

struct Contexts {
    roots: BTreeMap<u32, Rc<Root>>,
    // Boxed, because entries move within a map.
    streams: BTreeMap<u32, Box<Stream>>,
}

/// How late Envoy's numbers are at most, in milliseconds. Counts of the last interval are lost only if the VM
/// traps.
const TELL_AFTER: u32 = 250;

/// A configuration of the filter, as written in a listener. It outlives its streams: the host keeps it for
/// each of them.
#[derive(Default)]
struct Root {
    common: Arc<Common>,
    /// The host's ids of the series, in the order of `Metric::all`. A series for which the host gave no id is
    /// not counted.
    ids: Vec<Option<u32>>,
    totals: RefCell<Totals>,
    /// Requests that have not ended, of all streams.
    held: RefCell<Held>,
    /// True if the host will call `tick`. It is asked to only when there are counts to report: an idle Envoy
    /// sleeps.
    ticking: Cell<bool>,
    /// Indexes of the series ([`Metric::index`]) about which a warning was logged. One warning is enough; the
    /// numbers show the rest.
    warned: RefCell<BTreeSet<usize>>,
    /// True if a body has come while its header fields waited, or once the warning about that was logged.
    bodies_come: Cell<bool>,
    /// True if a stream that waited for a body has ended before any body had ever come.
    waited_in_vain: Cell<bool>,
}

impl Root {
    fn new(config: Config) -> Self {
        let define = |(metric, name): (Metric, String)| {
            let id = host::define_metric(&name, metric.is_histogram());
            if let Err(Refused(status)) = id {
                host::log(LogLevel::Warn, &format!("lowband: no metric {name} (status {status})"));
            }
            id.ok()
        };
        let ids = Metric::all().into_iter().map(define).collect();
        let held = RefCell::new(Held::new(&config));
        Root { common: config.into(), ids, held, ..Root::default() }
    }

    fn count(&self, metric: Metric, value: u64) {
        let full = self.totals.try_borrow_mut().is_ok_and(|mut totals| {
            totals.add(metric, value);
            totals.is_full()
        });
        if full || (!self.ticking.get() && !self.tick_after(TELL_AFTER)) {
            self.tell();
        }
    }

    /// Warns an operator, once for each document and reason, that clients do not learn of this proxy.
    fn warn(&self, metric: Metric) {
        if let Metric::Unadvertised(document, miss) = metric
            && self.warned.try_borrow_mut().is_ok_and(|mut warned| warned.insert(metric.index()))
        {
            let (document, miss) = (document.title(), miss.predicate());
            let line = format!(
                "lowband: {document} goes to clients without what is advertised here, because {miss}; further ones are only \
                 counted, in lowband_unadvertised"
            );
            host::log(LogLevel::Warn, &line);
        }
    }

    /// Asks the host for ticks at this interval, or for none with 0.
    fn tick_after(&self, milliseconds: u32) -> bool {
        let set = host::set_tick_period(milliseconds).is_ok();
        self.ticking.set(set && milliseconds > 0);
        set
    }

    /// Reports the counts to the host. Returns false if there are none.
    fn tell(&self) -> bool {
        let Ok(mut totals) = self.totals.try_borrow_mut() else { return false };
        let mut told = false;
        for (index, value) in totals.drain() {
            told = true;
            if let Some(Some(id)) = self.ids.get(index) {
                host::count(*id, value, Metric::is_histogram_at(index));
            }
        }
        told
    }
}

/// Runs `work` on the contexts. `None` does not occur: within a callback the host calls nothing of this VM
/// but the allocation of memory.
fn with_contexts<R>(work: impl FnOnce(&mut Contexts) -> R) -> Option<R> {
    CONTEXTS.with(|contexts| contexts.try_borrow_mut().ok().map(|mut contexts| work(&mut contexts)))
}

/// Runs `work` on a stream. A message of an unknown stream does not go on: it could be an untranslated one.
fn with_stream(id: u32, work: impl FnOnce(&mut Stream) -> Action) -> Action {
    with_contexts(|contexts| contexts.streams.get_mut(&id).map(|stream| work(stream)))
        .flatten()
        .unwrap_or(Action::Pause)
}

/// Runs a phase of a request, of which the host holds `held` bytes. Until the request ends it is counted
/// among those that have not ended, or one of them is cut.
fn with_request(id: u32, held: usize, work: impl FnOnce(&mut Stream) -> Action) -> Action {
    with_contexts(|contexts| {
        let stream = contexts.streams.get_mut(&id)?;
        let action = work(stream);
        let room = stream.find_room(id, held);
        for other in room.evicted {
            if let Some(other_stream) = contexts.streams.get_mut(&other)
                && host::speak_of(other).is_ok()
            {
                other_stream.cut();
            }
            let _ = host::speak_of(id);
        }
        match room.refused {
            true => contexts.streams.get_mut(&id).map(|stream| stream.give_way()),
            false => Some(action),
        }
    })
    .flatten()
    .unwrap_or(Action::Pause)
}

pub(crate) fn create(id: u32, parent: u32) {
    with_contexts(|contexts| {
        if parent == 0 {
            contexts.roots.insert(id, Rc::default());
        } else if let Some(root) = contexts.roots.get(&parent) {
            let exchange = Exchange::new(Arc::clone(&root.common));
            contexts.streams.insert(id, Box::new(Stream { exchange, root: Rc::clone(root), share: None }));
        }
    });
}

pub(crate) fn configure(id: u32) -> bool {
    let text = match host::buffer(BufferType::PluginConfiguration) {
        Ok(text) => text,
        Err(Refused(status)) => {
            host::log(LogLevel::Error, &format!("lowband: no configuration can be read (status {status})"));
            return false;
        }
    };
    match config::parse(&text) {
        Ok(config) => {
            let root = Rc::new(Root::new(config));
            with_contexts(|contexts| contexts.roots.insert(id, root)).is_some()
        }
        Err(mistakes) => {
            for mistake in mistakes {
                host::log(LogLevel::Error, &format!("lowband: configuration: {mistake}"));
            }
            false
        }
    }
}

pub(crate) fn delete(id: u32) {
    with_contexts(|contexts| {
        if let Some(mut stream) = contexts.streams.remove(&id) {
            stream.leave(id);
            stream.end();
        } else if let Some(root) = contexts.roots.remove(&id) {
            root.tell();
        }
    });
}

pub(crate) fn tick(id: u32) {
    with_contexts(|contexts| {
        if let Some(root) = contexts.roots.get(&id)
            && !root.tell()
        {
            root.tick_after(0);
        }
    });
}

pub(crate) fn request_headers(id: u32, end: bool) -> Action {
    with_request(id, 0, |stream| {
        let action = stream.headers(&REQUEST, |exchange, headers| exchange.request_headers(headers, end));
        if stream.exchange.reads_cbor() {
            // For answers of Envoy itself that no callback sees (`local_reply_config` of envoy.yaml): the
            // request's `accept` no longer shows the form.
            host::set_property("lowband_reads", "cbor");
        }
        action
    })
}

pub(crate) fn request_body(id: u32, held: usize, end: bool) -> Action {
    with_request(id, held, |stream| stream.body(&REQUEST, |exchange| exchange.request_body(held, end)))
}

pub(crate) fn request_trailers(id: u32) -> Action {
    with_request(id, 0, |stream| stream.phase(&REQUEST, Exchange::request_trailers))
}

pub(crate) fn response_headers(id: u32, end: bool) -> Action {
    with_stream(id, |stream| {
        stream.headers(&RESPONSE, |exchange, headers| exchange.response_headers(headers, end))
    })
}

pub(crate) fn response_body(id: u32, held: usize, end: bool) -> Action {
    with_stream(id, |stream| stream.body(&RESPONSE, |exchange| exchange.response_body(held, end)))
}

pub(crate) fn response_trailers(id: u32) -> Action {
    with_stream(id, |stream| stream.phase(&RESPONSE, Exchange::response_trailers))
}

/// One HTTP stream.
struct Stream {
    exchange: Exchange,
    root: Rc<Root>,
    /// The network to which the stream is charged until its request has ended; then `None`.
    share: Option<Network>,
}

/// The host's names for one direction, and the phase that takes a body.
struct Half {
    direction: Direction,
    headers: MapType,
    body: BufferType,
    stream: StreamType,
    taken: fn(&mut Exchange, &[u8]) -> Step,
}

const REQUEST: Half = Half {
    direction: Direction::Request,
    headers: MapType::HttpRequestHeaders,
    body: BufferType::HttpRequestBody,
    stream: StreamType::HttpRequest,
    taken: Exchange::request_taken,
};

const RESPONSE: Half = Half {
    direction: Direction::Response,
    headers: MapType::HttpResponseHeaders,
    body: BufferType::HttpResponseBody,
    stream: StreamType::HttpResponse,
    taken: Exchange::response_taken,
};

/// Warning for an operator who has set only one of two related settings.
const NO_BODY_CAME: &str = "lowband: streams have ended that waited in vain for a body, and none has ever come while header fields \
    wait: either Envoy's allow_on_headers_stop_iteration has to be true, or the filter's hold_headers false";

impl Stream {
    fn end(&self) {
        let waits = [REQUEST, RESPONSE].iter().any(|half| self.exchange.headers_wait(half.direction));
        // A single such stream may come from a client that has left before its body.
        if waits && !self.root.bodies_come.get() && self.root.waited_in_vain.replace(true) {
            self.root.bodies_come.set(true);
            host::log(LogLevel::Error, NO_BODY_CAME);
        }
    }

    /// Accounts for this stream's unfinished request, if it is unfinished. Returns the streams that must give
    /// way.
    fn find_room(&mut self, id: u32, bytes: usize) -> Room {
        let Some(bytes) = self.exchange.unfinished(bytes) else {
            self.leave(id);
            return Room::default();
        };
        let Ok(mut held) = self.root.held.try_borrow_mut() else { return Room::default() };
        let network =
            *self.share.get_or_insert_with(|| held.share(id, || host::source_address().unwrap_or_default()));
        held.wait(id, network, bytes)
    }

    /// Removes the stream's request, which has ended, from the account.
    fn leave(&mut self, id: u32) {
        if self.share.take().is_some()
            && let Ok(mut held) = self.root.held.try_borrow_mut()
        {
            held.release(id);
        }
    }

    /// Cuts the request for want of room, from within a callback of another stream. An answer here would stop
    /// that stream for ever, since the host keeps for a VM, not for a stream, that an answer was given.
    fn cut(&mut self) {
        self.share = None;
        let step = self.exchange.cut_for_room();
        self.perform(&REQUEST, step);
    }

    /// Refuses the stream's request for want of room.
    fn give_way(&mut self) -> Action {
        self.share = None;
        let step = self.exchange.no_room();
        self.perform(&REQUEST, step)
    }

    fn body(&mut self, half: &Half, phase: impl FnOnce(&mut Exchange) -> Step) -> Action {
        if self.exchange.headers_wait(half.direction) {
            self.root.bodies_come.set(true);
        }
        self.phase(half, phase)
    }

    fn headers(&mut self, half: &Half, phase: impl FnOnce(&mut Exchange, &Headers<'_>) -> Step) -> Action {
        let map = host::headers(half.headers);
        let step = match map.as_deref().ok().and_then(Headers::parse) {
            Some(headers) => phase(&mut self.exchange, &headers),
            None => self.exchange.host_refused(half.direction),
        };
        self.perform(half, step)
    }

    fn phase(&mut self, half: &Half, phase: impl FnOnce(&mut Exchange) -> Step) -> Action {
        let step = phase(&mut self.exchange);
        self.perform(half, step)
    }

    fn perform(&mut self, half: &Half, step: Step) -> Action {
        let action = self.carry_out(half, step).or_else(|Refused(status)| {
            host::log(LogLevel::Error, &format!("lowband: the host refused a call (status {status})"));
            let step = self.exchange.host_refused(half.direction);
            self.carry_out(half, step)
        });
        self.count();
        action.unwrap_or_else(|_| {
            // An answer is no longer possible either: a cut stream is better than half a message.
            let _ = host::close(half.stream);
            Action::Pause
        })
    }

    /// Counts the events, and sets the sizes of a translated body for the access log.
    fn count(&mut self) {
        let mut bytes_in = 0;
        for (metric, value) in self.exchange.counted() {
            self.root.count(metric, value);
            match metric {
                Metric::Unadvertised(..) => self.root.warn(metric),
                Metric::BytesIn(_) => bytes_in = value,
                Metric::BytesOut(Direction::Request) => {
                    host::set_property("lowband_request", &format!("{bytes_in}>{value}"))
                }
                Metric::BytesOut(Direction::Response) => {
                    host::set_property("lowband_response", &format!("{bytes_in}>{value}"))
                }
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, half: &Half, step: Step) -> Result<Action, Refused> {
        for Edit { name, value } in &step.edits {
            match value {
                Some(value) => host::set_header(half.headers, name, value)?,
                None => host::remove_header(half.headers, name)?,
            }
        }
        match step.then {
            Then::Forward => Ok(Action::Continue),
            Then::Hold => Ok(Action::Pause),
            Then::Take => {
                let body = host::buffer(half.body)?;
                let step = (half.taken)(&mut self.exchange, &body);
                self.carry_out(half, step)
            }
            Then::Replace(body) => {
                host::set_buffer(half.body, &body)?;
                Ok(Action::Continue)
            }
            Then::Reply(reply) => {
                host::send_response(reply.status, &reply.headers, &reply.body)?;
                Ok(Action::Pause)
            }
            Then::Cut => {
                host::close(half.stream)?;
                Ok(Action::Pause)
            }
        }
    }
}
