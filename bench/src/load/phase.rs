//! A stretch of time in which a crowd asks at a fixed rate and newcomers connect, and what came of it.
//!
//! ```text
//! due times of requests and of newcomers ---> fleet ---> events ---> Tally
//! ```

use bytes::Bytes;
use lowband_bench::fleet::Fleet;
use lowband_bench::{stub, usage};
use lowband_e2e::{Error, Result};
use lowband_transport::client::Event;
use lowband_transport::coap::Request;
use lowband_transport::{ExchangeId, SessionId};
use lowband_wire::coap::content_format::CBOR;
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Bytes in the answer of a GET: 1 kB, which is one block.
pub(crate) const ANSWER: usize = 1000;
/// Bytes in the body of an upload: more than the greedy client leaves free.
const UPLOAD: usize = 20_000;
/// Time after the last request in which an answer still counts. Longer than two repeats of a request that was
/// lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time after the begin of the last newcomer in which one has to connect; otherwise it was locked out.
const NEWCOMER: Duration = Duration::from_secs(30);
/// Requests without an answer at the same time. A machine that is too slow for the rate makes fewer requests;
/// `late` and the answered ones show it.
const MOST_UNDER_WAY: usize = 2_000;
const A_MOMENT: Duration = Duration::from_millis(10);
/// Requests made before answers are looked for.
const ASKED_IN_A_ROW: usize = 16;
/// Handshakes under way at the same time, while a crowd comes in.
const AT_ONCE: usize = 64;

/// What happens during a part of a scenario.
#[derive(Clone, Copy)]
pub(crate) struct Phase {
    pub(crate) length: Duration,
    /// Requests a second of all clients together.
    pub(crate) per_second: u32,
    /// One of so many requests is an upload of more than one block. 0: none is.
    pub(crate) upload_in: usize,
    /// Number of clients that connect, evenly in time.
    pub(crate) newcomers: usize,
}

/// Clients with a session each, every one from an IPv4 /24 of its own.
pub(crate) struct Crowd {
    fleet: Fleet,
    sessions: Vec<SessionId>,
    next: usize,
    networks: u32,
}

/// The results of a phase.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    /// Requests that were refused by 5.03.
    pub(crate) refused: usize,
    /// Uploads among the refused.
    pub(crate) uploads_refused: usize,
    /// Requests answered with another code or not at all: the session is gone, or nothing came in time.
    pub(crate) failed: usize,
    /// Times of GETs, from asked to answered.
    pub(crate) waits: Vec<Duration>,
    /// How much later than due each request was made: the generator's own fault.
    pub(crate) late: Vec<Duration>,
    /// Times from the first ClientHello to the Finished, of newcomers that have connected.
    pub(crate) connected: Vec<Duration>,
    /// Time from the first request's due time to the last one's.
    pub(crate) length: Duration,
    /// Processor time of the generator's thread.
    pub(crate) spent: Duration,
}

impl Crowd {
    /// Connects so many clients, not more than so many a second and so many at once. A client that is refused
    /// comes again in its turn.
    pub(crate) async fn connect(server: SocketAddr, count: usize, per_second: u32) -> Result<Crowd> {
        let mut crowd = Crowd {
            fleet: Fleet::new(server, Duration::ZERO)?,
            sessions: Vec::with_capacity(count),
            next: 0,
            networks: 0,
        };
        let begin = Instant::now();
        let (mut tries, mut refused) = (0, 0);
        while crowd.sessions.len() < count {
            let under_way = tries - crowd.sessions.len() - refused;
            let due = begin + Duration::from_secs_f64(tries as f64 / f64::from(per_second));
            let is_turn = under_way < AT_ONCE && crowd.sessions.len() + under_way < count;
            if is_turn && Instant::now() >= due {
                let from = crowd.network();
                crowd.fleet.begin(from).await?;
                tries += 1;
                continue;
            }
            let until = if is_turn { due } else { Instant::now() + 2 * NEWCOMER };
            match crowd.fleet.event_before(until).await {
                Some(Event::Connected { session, .. }) => crowd.sessions.push(session),
                Some(Event::Closed { why, .. }) => {
                    refused += 1;
                    if refused > count {
                        return Err(Error::Setup(format!("{refused} clients were refused: {why:?}")));
                    }
                }
                None if !is_turn => {
                    let connected = crowd.sessions.len();
                    return Err(Error::Setup(format!(
                        "{connected} of {count} clients have connected, and no more"
                    )));
                }
                _ => {}
            }
        }
        Ok(crowd)
    }

    /// Returns a new /24 of loopback for each client.
    fn network(&mut self) -> Ipv4Addr {
        let [_, high, middle, low] = self.networks.to_be_bytes();
        self.networks += 1;
        // Addresses of 127.0 and those above 127.128 have other users.
        Ipv4Addr::new(127, 1 + high + middle, low, 1)
    }

    /// Asks in turn on all sessions, takes newcomers in, and waits for what is under way at the end.
    pub(crate) async fn pass(&mut self, phase: Phase) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut under_way: HashMap<ExchangeId, (Instant, bool)> = HashMap::new();
        let mut connecting: HashMap<SessionId, Instant> = HashMap::new();
        let spent = usage::own_thread_time()?;
        let begin = Instant::now();
        let end = begin + phase.length;
        let (mut asked, mut begun, mut in_a_row) = (0usize, 0usize, 0usize);
        loop {
            let due = begin + Duration::from_secs_f64(asked as f64 / f64::from(phase.per_second));
            let newcomer = if begun < phase.newcomers {
                begin + phase.length.mul_f64(begun as f64 / phase.newcomers as f64)
            } else {
                end
            };
            let now = Instant::now();
            let is_full = under_way.len() >= MOST_UNDER_WAY;
            if due <= now && now < end && !is_full && in_a_row < ASKED_IN_A_ROW {
                let is_upload = phase.upload_in > 0 && asked % phase.upload_in == phase.upload_in - 1;
                let exchange = self.ask(if is_upload { upload(asked) } else { get() });
                under_way.insert(exchange, (now, is_upload));
                tally.late.push(now - due);
                asked += 1;
                in_a_row += 1;
                continue;
            }
            in_a_row = 0;
            if newcomer < end && newcomer <= now {
                let from = self.network();
                connecting.insert(self.fleet.begin(from).await?, now);
                begun += 1;
                continue;
            }
            // Requests that a slow machine has not made in time are not made.
            let over = (due >= end && newcomer >= end) || now >= end;
            if over && under_way.is_empty() && connecting.is_empty() {
                break;
            }
            let patience = if connecting.is_empty() { PATIENCE } else { NEWCOMER };
            let next = if is_full { now + A_MOMENT } else { due.min(newcomer) };
            let until = if over { end + patience } else { next };
            match self.fleet.event_before(until).await {
                Some(event) => note(event, &mut under_way, &mut connecting, &mut tally),
                None if over => break,
                None => {}
            }
        }
        tally.asked = asked;
        tally.failed += under_way.len();
        tally.length = phase.length;
        tally.spent = usage::own_thread_time()? - spent;
        Ok(tally)
    }

    fn ask(&mut self, request: Request) -> ExchangeId {
        let session =
            self.sessions.get(self.next % self.sessions.len().max(1)).copied().unwrap_or(SessionId(0));
        self.next += 1;
        self.fleet.request(session, request)
    }
}

fn note(
    event: Event,
    under_way: &mut HashMap<ExchangeId, (Instant, bool)>,
    connecting: &mut HashMap<SessionId, Instant>,
    tally: &mut Tally,
) {
    match event {
        Event::Response { exchange, response } => {
            let Some((asked, is_upload)) = under_way.remove(&exchange) else { return };
            match response.code {
                code if code.is_success() => {
                    tally.answered += 1;
                    // An upload waits for each of its blocks.
                    if !is_upload {
                        tally.waits.push(asked.elapsed());
                    }
                }
                Code::SERVICE_UNAVAILABLE => {
                    tally.refused += 1;
                    tally.uploads_refused += usize::from(is_upload);
                }
                _ => tally.failed += 1,
            }
        }
        Event::Failed { exchange, .. } => {
            tally.failed += usize::from(under_way.remove(&exchange).is_some());
        }
        Event::Connected { session, .. } => {
            if let Some(begun) = connecting.remove(&session) {
                tally.connected.push(begun.elapsed());
            }
        }
        Event::Closed { session, .. } => drop(connecting.remove(&session)),
        _ => {}
    }
}

impl Tally {
    /// Returns the wait in seconds that so many of a hundred answers do not exceed.
    pub(crate) fn wait(&self, percent: usize) -> f64 {
        percentile(&self.waits, percent)
    }

    /// Returns the milliseconds of the generator's processor time for each request.
    pub(crate) fn cost(&self) -> f64 {
        self.spent.as_secs_f64() * 1e3 / self.asked.max(1) as f64
    }
}

/// Returns the nearest rank; 0 of no times.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).map_or(0.0, Duration::as_secs_f64)
}

/// Makes a request for `/versions` by its path code (MSC3079).
pub(crate) fn get() -> Request {
    let options = RequestOptions { path: vec!["0".to_owned()], ..RequestOptions::default() };
    Request { method: Method::Get, options, body: Vec::new() }
}

/// Makes a message to a room, of more than one block.
fn upload(number: usize) -> Request {
    request_with_body(number, stub::document(UPLOAD))
}

/// Makes a message to a room. The number distinguishes one from the next.
pub(crate) fn request_with_body(number: usize, body: Bytes) -> Request {
    let path = ["9", "!load:matrix.example.org", "m.room.message", &number.to_string()];
    let options = RequestOptions {
        path: path.map(str::to_owned).to_vec(),
        content_format: Some(CBOR),
        ..RequestOptions::default()
    };
    Request { method: Method::Put, options, body: body.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times: Vec<_> = (1..=200).rev().map(Duration::from_secs).collect();
        assert_eq!([1, 50, 99, 100].map(|percent| percentile(&times, percent)), [2.0, 100.0, 198.0, 200.0]);
        assert_eq!([percentile(&times[..1], 99), percentile(&[], 99)], [200.0, 0.0]);
    }
}
