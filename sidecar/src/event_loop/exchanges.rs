//! Open exchanges: each request gets a task, an answer, and one line in the log.

mod answering;
mod line;
mod placing;

use super::own_time::OwnTime;
use super::polls::Polls;
use crate::answer::{AnswerWriter, Command};
use crate::config::Config;
use crate::credentials;
use crate::logging::Seldom;
use crate::metrics::Metrics;
use crate::packing;
use crate::rate::Rate;
use crate::reachable;
use crate::refusal::Refusal;
use crate::request::{self, Asker, Forward};
use crate::request_id::RequestId;
use crate::resources::{self, CORE_PATH};
use crate::server_names::ServerNames;
use crate::session::Sessions;
use crate::target::{self, READY_PATH, Target, UpstreamTarget};
use crate::upstream::{Holder, Permit, Upstream};
use line::Line;
pub(crate) use line::{loggable, whole_millis};
use lowband_transport::coap::Standing;
use lowband_transport::shares::{Network, Rates};
use lowband_transport::{ExchangeId, Server, SessionId};
use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method};
use placing::Left;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// All exchanges that wait for the upstream, and what is kept for their sessions.
#[derive(Debug)]
pub(super) struct Exchanges {
    open: HashMap<ExchangeId, Open>,
    own_time: OwnTime,
    /// Sessions that are about to be closed, and after how many seconds their clients shall poll again.
    leaving: HashMap<SessionId, u32>,
    /// Number of exchanges in `open` that ask the homeserver to wait.
    long_polls: usize,
    /// Long polls without any part of an answer yet: they may be answered early.
    polls: Polls,
    /// Requests that go on although their clients have gone away, because the rate of cancels was exceeded;
    /// each ends when another request needs its place.
    left: HashMap<ExchangeId, Left>,
    /// The requests in `left`, by their sessions and networks.
    gone: Polls,
    sessions: Sessions,
    server_names: ServerNames,
    /// Bytes of the longest body of a request.
    longest_body: usize,
    rate: Option<Rate>,
    /// Limits the log lines about requests that were refused here.
    refused: Seldom,
    /// The rate at which clients may abandon requests and have their streams ended.
    cancels: Rates,
    /// Age of a request from which its stream ends when its client goes away.
    cancel_after: Duration,
    upstream: Arc<Upstream>,
    answers: mpsc::Sender<(ExchangeId, Command)>,
    metrics: Arc<Metrics>,
}

/// One exchange that waits for the upstream. Dropping it ends its task, and with it the HTTP/2 stream.
#[derive(Debug)]
struct Open {
    line: Line,
    network: Network,
    is_long_poll: bool,
    /// True if a success shows that the homeserver knows the session's client.
    shows_an_account: bool,
    go_on: Option<oneshot::Sender<()>>,
    permit: Arc<Permit>,
    task: AbortOnDrop,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A whole request, as the transport hands it on.
#[derive(Debug)]
pub(super) struct Asked {
    /// When the last datagram of the request was read.
    pub(super) read: Instant,
    pub(super) session: SessionId,
    pub(super) method: Method,
    pub(super) options: RequestOptions,
    pub(super) standing: Standing,
    pub(super) body: Vec<u8>,
}

const ABOUT_TO_END: Refusal =
    Refusal::matrix(Code::SERVICE_UNAVAILABLE, "M_UNKNOWN", "this server is about to end; connect again");

impl Exchanges {
    pub(super) fn new(
        config: &Config,
        upstream: Arc<Upstream>,
        answers: mpsc::Sender<(ExchangeId, Command)>,
        metrics: Arc<Metrics>,
    ) -> Exchanges {
        Exchanges {
            open: HashMap::new(),
            own_time: OwnTime::default(),
            leaving: HashMap::new(),
            long_polls: 0,
            polls: Polls::new(),
            left: HashMap::new(),
            gone: Polls::new(),
            sessions: Sessions::new(config.default_cbor_version),
            server_names: config.server_names.clone(),
            longest_body: config.coap_limits.upload,
            rate: config.rate.map(Rate::new),
            refused: Seldom::default(),
            cancels: Rates::new(config.upstream.cancels, None),
            cancel_after: config.upstream.cancel_after,
            upstream,
            answers,
            metrics,
        }
    }

    /// Handles a request: it is answered here or passed to the upstream.
    pub(super) fn request(
        &mut self,
        now: Instant,
        server: &mut Server,
        exchange: ExchangeId,
        mut asked: Asked,
    ) {
        let peer = server.peer(asked.session);
        let mut line = Line {
            session: asked.session,
            peer,
            id: None,
            method: asked.method,
            path: String::new(),
            read: asked.read,
            bytes_in: asked.body.len(),
            bytes_out: 0,
            code: None,
            first_piece: None,
            failure: None,
            is_refused: false,
        };
        let network = server.network(asked.session);
        let method = asked.method;
        let judged = match packing::unpack(method, &mut asked.options, &mut asked.body, self.longest_body) {
            // What is not to be read counts for the rate as well.
            Err(refusal) => Err(self.within_rate(now, network).err().unwrap_or(refusal)),
            Ok(wants_packed) => {
                let judged = self.judge(now, &asked, peer.map(|peer| peer.ip()), network);
                judged.map(|judged| (judged, wants_packed))
            }
        };
        match judged {
            Err(refusal) => {
                line.path = loggable(&format!("/{}", asked.options.path.join("/")));
                self.refuse(now, server, exchange, line, &refusal);
            }
            Ok((Judged::Own { path, options, body }, _)) => {
                line.path = format!("/{}", path.join("/"));
                line.code = Some(Code::CONTENT);
                line.bytes_out = body.len();
                server.respond_head(now, exchange, Code::CONTENT, options);
                server.respond_chunk(now, exchange, body.as_bytes(), true);
                self.finish(now, line);
            }
            Ok((Judged::Upstream(target, asker), wants_packed)) => {
                line.id = asker.id;
                line.path = loggable(target.path());
                let is_long_poll = !target.long_poll.is_zero();
                if is_long_poll && let Some(max_age) = self.leaving.get(&asked.session).copied() {
                    return self.refuse_poll(now, server, exchange, line, max_age);
                }
                let Some(network) = server.network(asked.session) else { return };
                let holder = Holder { session: asked.session, network };
                let authority = self.upstream.authority();
                let Asked { method, options, body, .. } = asked;
                let held = body.len();
                let placed = request::forward(authority, method, &options, target, asker, body)
                    .and_then(|forward| Ok((self.place(now, server, holder, held)?, forward)));
                match placed {
                    Err(refusal) => {
                        line.is_refused = true;
                        self.refuse(now, server, exchange, line, &refusal);
                    }
                    Ok((permit, forward)) => {
                        self.carry(exchange, line, holder, Forward { wants_packed, ..forward }, permit);
                    }
                }
            }
        }
    }

    fn carry(
        &mut self,
        exchange: ExchangeId,
        line: Line,
        Holder { session, network }: Holder,
        forward: Forward,
        permit: Permit,
    ) {
        let is_long_poll = !forward.long_poll.is_zero();
        let shows_an_account = forward.credentials.show_an_account();
        let permit = Arc::new(permit);
        let upstream = Arc::clone(&self.upstream);
        let answer = AnswerWriter::new(exchange, self.answers.clone());
        let held = Arc::clone(&permit);
        let task = tokio::spawn(async move { upstream.carry(forward, answer, held).await });
        let task = AbortOnDrop(task.abort_handle());
        let open = Open { line, network, is_long_poll, shows_an_account, go_on: None, permit, task };
        self.open.insert(exchange, open);
        if is_long_poll {
            self.polls.add(session, network, exchange);
        }
        self.long_polls += usize::from(is_long_poll);
        self.metrics.long_polls(self.long_polls);
    }

    /// Notes that everything the transport had to send has been sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.own_time.sent(now).for_each(|own| self.metrics.answer_sent(own));
    }

    /// Ends an exchange whose answer no client waits for any more.
    pub(super) fn cancelled(&mut self, now: Instant, exchange: ExchangeId) {
        if let Some(Open { line, network, task, permit, .. }) = self.take(exchange) {
            let is_within_rate = self.cancels.take(now, network).is_ok();
            if !is_within_rate {
                // The request keeps its place until its answer comes, or another request needs it: a client
                // that asks and goes away uses up its own share, not the patience of Envoy.
                self.gone.add(line.session, network, exchange);
                self.left.insert(exchange, Left { session: line.session, permit, _task: task });
            }
            self.metrics.cancelled(is_within_rate);
            line.log_cancelled(now);
        }
    }

    /// Prepares a session for being closed: its long polls without any part of an answer are answered, and so
    /// are those to come. Requests that change something at the homeserver are left alone, even if they ask
    /// it to wait.
    pub(super) fn dismiss(&mut self, now: Instant, server: &mut Server, session: SessionId, max_age: u32) {
        self.leaving.insert(session, max_age);
        for exchange in server.exchanges_of(session) {
            let waits = |open: &Open| open.is_long_poll && open.line.code.is_none();
            if !self.open.get(&exchange).is_some_and(waits) {
                continue;
            }
            if let Some(Open { line, .. }) = self.take(exchange) {
                self.refuse_poll(now, server, exchange, line, max_age);
            }
        }
    }

    fn refuse_poll(
        &mut self,
        now: Instant,
        server: &mut Server,
        exchange: ExchangeId,
        line: Line,
        max_age: u32,
    ) {
        self.refuse(now, server, exchange, line, &ABOUT_TO_END.again_in(max_age));
    }

    /// Returns the number of requests that run on because their clients have gone away beyond the rate.
    pub(super) fn left(&self) -> usize {
        self.left.len()
    }

    /// Returns the number of networks with a rate of their own.
    pub(super) fn rate_networks(&self) -> usize {
        self.rate.as_ref().map_or(0, Rate::networks)
    }

    /// Forgets a session that has ended.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.leaving.remove(&session);
        self.sessions.forget(session);
    }

    fn within_rate(&mut self, now: Instant, network: Option<Network>) -> Result<(), Refusal> {
        match (&mut self.rate, network) {
            (Some(rate), Some(network)) => rate.take(now, network).inspect_err(|_| self.metrics.over_rate()),
            _ => Ok(()),
        }
    }

    fn judge(
        &mut self,
        now: Instant,
        asked: &Asked,
        peer: Option<IpAddr>,
        network: Option<Network>,
    ) -> Result<Judged, Refusal> {
        let Asked { session, method, options, standing, body, .. } = asked;
        // First, because what a body shows of its client holds whatever becomes of the request.
        let cbor_version = self.sessions.cbor_version(*session, standing, options, body);
        self.within_rate(now, network)?;
        self.server_names.admit(options.host.as_deref())?;
        match target::map(*method, options)? {
            Target::Ready if *method == Method::Get => {
                let (options, body) = (ResponseOptions::default(), String::new());
                Ok(Judged::Own { path: READY_PATH, options, body })
            }
            Target::Ready => Err(resources::ONLY_GET),
            Target::Core => {
                let (options, body) = resources::answer(*method, options)?;
                Ok(Judged::Own { path: CORE_PATH, options, body })
            }
            Target::Upstream(target) => {
                reachable::judge(target.path())?;
                let path = target.segments();
                let path: Vec<_> = path.iter().map(AsRef::as_ref).collect();
                let credentials = credentials::decide(*method, &path, options, standing, body);
                Ok(Judged::Upstream(target, Asker { credentials, cbor_version, peer, id: RequestId::draw() }))
            }
        }
    }

    fn refuse(
        &mut self,
        now: Instant,
        server: &mut Server,
        exchange: ExchangeId,
        mut line: Line,
        why: &Refusal,
    ) {
        line.code = Some(why.code);
        match why.matrix_response() {
            Some((options, body)) => {
                line.bytes_out = body.len();
                server.respond_head(now, exchange, why.code, options);
                server.respond_chunk(now, exchange, &body, true);
            }
            None => server.fail(now, exchange, why.code, &why.text),
        }
        self.finish(now, line);
    }

    fn take(&mut self, exchange: ExchangeId) -> Option<Open> {
        let open = self.open.remove(&exchange)?;
        if open.is_long_poll {
            self.polls.remove(open.line.session, exchange);
        }
        self.long_polls -= usize::from(open.is_long_poll);
        self.metrics.long_polls(self.long_polls);
        Some(open)
    }

    fn finish(&mut self, now: Instant, line: Line) {
        let Some(code) = line.code else { return };
        self.metrics.answered(line.method, code, line.bytes_in as u64, line.bytes_out as u64);
        line.log(now, code, &mut self.refused);
    }
}

/// The decision where a request goes.
enum Judged {
    /// The sidecar's own answer.
    Own {
        path: [&'static str; 2],
        options: ResponseOptions,
        body: String,
    },
    Upstream(UpstreamTarget, Asker),
}
