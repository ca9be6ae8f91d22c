//! What is counted, in Prometheus' words.
//!
//! One family has one meaning: a sum over its labels is a number that means something. Each value of a label that is known beforehand
//! has its 0 from the start. A new family is a field and a line in [`Metrics::new`]; of what the event loop or the transport know, a
//! field of [`Snapshot`] or a line in their `counters!`.
//!
//! | file | holds |
//! |---|---|
//! | `labels` | labels, and how their values are written |
//! | `snapshot` | what others count for themselves, and the limits |
//! | `process` | memory, processor time and file descriptors |
//! | `format` | which text format a reader gets |

use crate::config::Config;
use crate::credentials::News;
use crate::failure::Failure;
use crate::status;
use crate::upstream::Busy;
use labels::{Build, DirectionLabel, ReasonLabel, RequestLabels, ResultLabel};
use lowband_transport::coap::{Code, Method};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use snapshot::{Latest, Limits, Others};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

mod format;
mod labels;
mod process;
mod snapshot;

pub use format::Format;
pub use labels::{Dotted, method_name};
pub use process::count_panics;
pub use snapshot::Snapshot;

/// All metrics of one sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    latest: Arc<Latest>,
    requests: Family<RequestLabels, Counter>,
    refused: Family<ReasonLabel, Counter>,
    cancelled: Counter,
    cancelled_over_rate: Counter,
    polls_evicted: Counter,
    access_tokens_ended: Family<ReasonLabel, Counter>,
    upstream_failures: Family<ReasonLabel, Counter>,
    response_seconds: Histogram,
    long_poll_seconds: Histogram,
    own_seconds: Histogram,
    handshake_seconds: Histogram,
    request_bytes: Counter,
    response_bytes: Counter,
    long_polls: Gauge,
    draining: Gauge,
    unsent: Family<ReasonLabel, Counter>,
    send_waits: Counter,
    over_share: Counter,
    not_after: Gauge,
    reloads: Family<ResultLabel, Counter>,
    reload_worked: Gauge,
    hot: Hot,
    /// Where the last handshake of our own came from.
    probe: Mutex<Option<SocketAddr>>,
}

/// Members of families that every datagram touches, looked up once.
#[derive(Debug)]
struct Hot {
    datagrams_in: Counter,
    datagrams_out: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
}

/// Why a datagram was not sent.
#[derive(Debug, Clone, Copy)]
pub enum Unsent {
    /// Larger than the path takes.
    TooLarge,
    /// Any other error of the socket.
    Failed,
}

/// `count` buckets, each twice as long as the one before; `first` in seconds. None may end at a whole second: its label would be "1" in one
/// of the formats and "1.0" in the other, and a Prometheus that changes over would begin a new series.
fn times(first: f64, count: u16) -> Histogram {
    Histogram::new(exponential_buckets(first, 2.0, count))
}

impl Metrics {
    /// Nothing has happened yet. The configuration gives the limits.
    pub fn new(config: &Config) -> Metrics {
        Metrics::with(Limits::of(config))
    }

    fn with(limits: Limits) -> Metrics {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::ProcessNumbers));
        let latest = Arc::new(Latest::new(limits));
        let ours = &mut Ours(registry.sub_registry_with_prefix("lowband"));
        ours.0.register_collector(Box::new(Others(Arc::clone(&latest))));
        let build = Build { version: env!("CARGO_PKG_VERSION"), openssl: openssl::version::version() };
        ours.0.register("build", "What runs", Info::new(build));

        let udp_datagrams =
            ours.add("udp_datagrams", "UDP datagrams", Family::<DirectionLabel, Counter>::default());
        let udp_bytes =
            ours.add("udp_bytes", "Bytes of UDP payload", Family::<DirectionLabel, Counter>::default());
        let member = |family: &Family<DirectionLabel, Counter>, direction| {
            family.get_or_create(&DirectionLabel { direction }).clone()
        };
        let hot = Hot {
            datagrams_in: member(&udp_datagrams, "in"),
            datagrams_out: member(&udp_datagrams, "out"),
            bytes_in: member(&udp_bytes, "in"),
            bytes_out: member(&udp_bytes, "out"),
        };
        let metrics = Metrics {
            latest,
            requests: ours.add("requests", "Requests answered, by method and response code", Family::default()),
            refused: ours.reasons(
                "requests_refused",
                "Requests refused at a limit. By reason, rate: of one address; upstream_requests: all that may wait for the \
                 upstream; upstream_body_bytes: the memory for bodies on their way there",
                &[RATE, Busy::Requests.name(), Busy::BodyBytes.name()],
            ),
            cancelled: ours.add(
                "requests_cancelled",
                "Requests whose client went away while they waited for the upstream",
                Counter::default(),
            ),
            cancelled_over_rate: ours.add(
                "requests_cancelled_over_rate",
                "Those of them beyond --cancels-per-second of their network: left to their end at the upstream",
                Counter::default(),
            ),
            polls_evicted: ours.add(
                "long_polls_evicted",
                "Long polls answered early by 5.03 because another request needed their place (--upstream-requests)",
                Counter::default(),
            ),
            access_tokens_ended: ours.reasons(
                "access_tokens_ended",
                "Answers of the homeserver that end an access token. By reason, logout: its owner has given it up; refused: it is \
                 not known",
                &[LOGOUT, REFUSED],
            ),
            upstream_failures: ours.reasons(
                "upstream_failures",
                "Requests that the upstream failed. By reason, unreachable: no connection; hung: silence; \
                 unprocessed: refused or about to end, and the request could not be sent again; broken: the connection or the \
                 answer broke off; lost: a mistake in this program",
                &Failure::NAMES,
            ),
            // 1 ms to 131 s, more than --response-timeout.
            response_seconds: ours.add(
                "upstream_response_seconds",
                "From a request to the first piece of the upstream's answer, without long polls",
                times(0.001, 18),
            ),
            // 0.3 s to 20 min, more than --longest-poll.
            long_poll_seconds: ours.add(
                "upstream_long_poll_seconds",
                "The same of requests that ask the homeserver to wait (timeout=)",
                times(0.3, 13),
            ),
            // 0.16 ms to 1.28 s, with borders at 10 and 20 ms. One below 0.1 ms would be two series: of one of the two formats Prometheus
            // keeps it as it is, and of the other it makes 7.8125e-05.
            own_seconds: ours.add(
                "request_own_seconds",
                "What the sidecar itself takes for a request that the upstream answers: from the datagram that completes it to the \
                 first piece of its answer on its way, less the wait for the upstream",
                times(0.000_156_25, 14),
            ),
            // 5 ms to 82 s, more than --handshake-timeout.
            handshake_seconds: ours.add(
                "handshake_seconds",
                "From the proof of a client's address to its Finished, without the handshakes of /readyz",
                times(0.005, 15),
            ),
            request_bytes: ours.add("request_body_bytes", "Bytes of request bodies", Counter::default()),
            response_bytes: ours.add("response_body_bytes", "Bytes of response bodies", Counter::default()),
            long_polls: ours.add(
                "long_polls_in_flight",
                "Those of the requests that wait for the upstream which ask the homeserver to wait",
                Gauge::default(),
            ),
            draining: ours.add(
                "draining",
                "1 from SIGTERM to the end, while sessions are told to go elsewhere",
                Gauge::default(),
            ),
            unsent: ours.reasons(
                "udp_datagrams_unsent",
                "Datagrams that could not be sent. By reason, too_large: more than any datagram may have; error: any other error of \
                 the socket",
                &[TOO_LARGE, ERROR],
            ),
            send_waits: ours.add(
                "udp_send_waits",
                "Datagrams that had to wait for the buffer of the socket, and were sent then",
                Counter::default(),
            ),
            over_share: ours.add(
                "udp_datagrams_over_share",
                "Datagrams dropped because more were waiting than could be handled and their peer had had its share",
                Counter::default(),
            ),
            not_after: ours.add(
                "certificate_not_after_timestamp_seconds",
                "End of the validity of the certificate that is served, in seconds since 1970",
                Gauge::default(),
            ),
            reloads: ours.add(
                "certificate_reloads",
                "Certificates and keys that others were put in the place of. By result, taken: served; refused: the ones of before \
                 stay",
                Family::default(),
            ),
            reload_worked: ours.add(
                "certificate_last_reload_successful",
                "1 while what certificate and key hold is what is served",
                Gauge::default(),
            ),
            hot,
            probe: Mutex::default(),
            registry,
        };
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete].map(method_name) {
            for code in status::codes().map(Dotted) {
                drop(metrics.requests.get_or_create(&RequestLabels { method, code }));
            }
        }
        for result in [TAKEN, REFUSED] {
            drop(metrics.reloads.get_or_create(&ResultLabel { result }));
        }
        metrics
    }

    /// This is what clients are shown, with the end of its validity in seconds since 1970.
    pub fn certificate_served(&self, not_after: i64) {
        self.not_after.set(not_after);
        self.reload_worked.set(1);
    }

    /// The files hold another pair: whether it is served now.
    pub fn certificate_reloaded(&self, is_taken: bool) {
        let result = if is_taken { TAKEN } else { REFUSED };
        self.reloads.get_or_create(&ResultLabel { result }).inc();
        self.reload_worked.set(is_taken.into());
    }

    /// A request has its answer.
    pub fn answered(&self, method: Method, code: Code, request_bytes: u64, response_bytes: u64) {
        let labels = RequestLabels { method: method_name(method), code: Dotted(code) };
        self.requests.get_or_create(&labels).inc();
        self.request_bytes.inc_by(request_bytes);
        self.response_bytes.inc_by(response_bytes);
    }

    /// An address has asked too often.
    pub fn over_rate(&self) {
        self.refused.get_or_create(&ReasonLabel { reason: RATE }).inc();
    }

    /// There is no place for a request.
    pub fn over_limit(&self, busy: Busy) {
        self.refused.get_or_create(&ReasonLabel { reason: busy.name() }).inc();
    }

    /// A request's client went away, as often as may be or too often.
    pub fn cancelled(&self, is_within_rate: bool) {
        self.cancelled.inc();
        self.cancelled_over_rate.inc_by(u64::from(!is_within_rate));
    }

    /// A long poll has given its place to another request.
    pub fn poll_evicted(&self) {
        self.polls_evicted.inc();
    }

    /// An answer ends an access token.
    pub fn access_token_ended(&self, news: &News) {
        let reason = match news {
            News::Refused(_) => REFUSED,
            News::Ended(_) => LOGOUT,
            News::Accepted(_) => return,
        };
        self.access_tokens_ended.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// The upstream began to answer.
    pub fn upstream_answered(&self, after: Duration, is_long_poll: bool) {
        let seconds = if is_long_poll { &self.long_poll_seconds } else { &self.response_seconds };
        seconds.observe(after.as_secs_f64());
    }

    /// What the upstream has begun to answer is on its way to the client, after this time of our own.
    pub fn answer_sent(&self, own: Duration) {
        self.own_seconds.observe(own.as_secs_f64());
    }

    /// The upstream failed a request.
    pub fn upstream_failed(&self, failure: &Failure) {
        self.upstream_failures.get_or_create(&ReasonLabel { reason: failure.name() }).inc();
    }

    /// Long polls that wait for the upstream now.
    pub fn long_polls(&self, long_polls: usize) {
        self.long_polls.set(i64::try_from(long_polls).unwrap_or(i64::MAX));
    }

    /// The readiness probe is about to connect from here: its handshakes would drown those of clients.
    pub fn probe_from(&self, address: SocketAddr) {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// Whether /readyz was answered by yes.
    pub fn ready(&self, is_ready: bool) {
        self.latest.set_ready(is_ready);
    }

    /// A client has connected.
    pub fn connected(&self, peer: SocketAddr, took: Duration) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if *self.probe.lock().unwrap_or_else(PoisonError::into_inner) != Some(peer) {
            self.handshake_seconds.observe(took.as_secs_f64());
        }
    }

    /// The end has begun.
    pub fn draining(&self) {
        self.draining.set(1);
    }

    /// A datagram has come in.
    pub fn datagram_in(&self, len: usize) {
        self.hot.datagrams_in.inc();
        self.hot.bytes_in.inc_by(len as u64);
    }

    /// A datagram has gone out.
    pub fn datagram_out(&self, len: usize) {
        self.hot.datagrams_out.inc();
        self.hot.bytes_out.inc_by(len as u64);
    }

    /// A datagram is dropped for those of others.
    pub fn over_share(&self) {
        self.over_share.inc();
    }

    /// A datagram has to wait for the socket's buffer.
    pub fn send_waits(&self) {
        self.send_waits.inc();
    }

    /// A datagram could not be sent.
    pub fn unsent(&self, why: Unsent) {
        let reason = match why {
            Unsent::TooLarge => TOO_LARGE,
            Unsent::Failed => ERROR,
        };
        self.unsent.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// The text of a scrape.
    pub fn encode(&self, snapshot: Snapshot, format: Format) -> Result<String, fmt::Error> {
        self.latest.set(snapshot);
        let mut scrape = String::with_capacity(32 << 10);
        match format {
            Format::Text => prometheus_text::encode(&mut scrape, &self.registry)?,
            Format::OpenMetrics => text::encode(&mut scrape, &self.registry)?,
        }
        Ok(scrape)
    }
}

const RATE: &str = "rate";
const LOGOUT: &str = "logout";
const REFUSED: &str = "refused";
const TAKEN: &str = "taken";
const TOO_LARGE: &str = "too_large";
const ERROR: &str = "error";

/// Families under our prefix.
struct Ours<'a>(&'a mut Registry);

impl Ours<'_> {
    /// `help` is a sentence without the full stop.
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    /// A family by reason, all of which are known.
    fn reasons(&mut self, name: &str, help: &str, reasons: &[&'static str]) -> Family<ReasonLabel, Counter> {
        let family = self.add(name, help, Family::<ReasonLabel, Counter>::default());
        for reason in reasons {
            drop(family.get_or_create(&ReasonLabel { reason }));
        }
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(metrics: &Metrics, format: Format) -> String {
        let mut snapshot = Snapshot { blockwise_bytes: 11, exchanges: 1, ..Snapshot::default() };
        snapshot.dtls.sessions = 3;
        snapshot.dtls.records_forged = 7;
        snapshot.coap.duplicates = 9;
        metrics.encode(snapshot, format).unwrap()
    }

    fn busy() -> Metrics {
        let metrics = Metrics::with(Limits::default());
        metrics.answered(Method::Get, Code::new(2, 5), 0, 10);
        metrics.answered(Method::Get, Code::new(2, 5), 0, 10);
        metrics.answered(Method::Put, Code::new(4, 29), 5, 1);
        metrics.upstream_failed(&Failure::Hung);
        metrics.over_limit(Busy::BodyBytes);
        metrics.unsent(Unsent::TooLarge);
        metrics.datagram_in(100);
        metrics
    }

    const LINES: [&str; 14] = [
        r#"lowband_requests_total{method="GET",code="2.05"} 2"#,
        r#"lowband_requests_total{method="PUT",code="4.29"} 1"#,
        r#"lowband_requests_total{method="DELETE",code="5.05"} 0"#,
        r#"lowband_requests_refused_total{reason="upstream_body_bytes"} 1"#,
        r#"lowband_upstream_failures_total{reason="hung"} 1"#,
        r#"lowband_upstream_failures_total{reason="broken"} 0"#,
        r#"lowband_udp_datagrams_unsent_total{reason="too_large"} 1"#,
        r#"lowband_udp_bytes_total{direction="in"} 100"#,
        "lowband_response_body_bytes_total 21",
        "lowband_sessions 3",
        "lowband_sessions_limit 0",
        r#"lowband_dtls_records_dropped_total{reason="forged"} 7"#,
        "lowband_coap_duplicates_total 9",
        "lowband_blockwise_bytes 11",
    ];

    #[test]
    fn a_scrape_holds_requests_by_code_the_transports_numbers_and_zeros() {
        for format in [Format::Text, Format::OpenMetrics] {
            let text = scrape(&busy(), format);
            for line in LINES {
                assert!(text.lines().any(|have| have == line), "{line}\n{text}");
            }
        }
    }

    #[test]
    fn the_formats_differ_in_what_a_counter_is_called_and_in_the_last_line() {
        let (text, open_metrics) = (scrape(&busy(), Format::Text), scrape(&busy(), Format::OpenMetrics));
        assert!(text.contains("# TYPE lowband_requests_total counter\n") && !text.contains("# EOF"));
        assert!(
            open_metrics.contains("# TYPE lowband_requests counter\n") && open_metrics.ends_with("\n# EOF\n")
        );
        assert!(text.contains(concat!(
            "lowband_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\",openssl=\""
        )));
    }

    #[test]
    fn the_upstream_is_up_or_down_once_that_is_known() {
        let metrics = Metrics::with(Limits::default());
        let told = |up| {
            let mut snapshot = Snapshot::default();
            snapshot.upstream.up = up;
            let text = metrics.encode(snapshot, Format::Text).unwrap();
            text.lines().find_map(|line| Some(line.strip_prefix("lowband_upstream_up ")?.to_owned()))
        };
        assert_eq!([None, Some(true), Some(false)].map(told), [None, Some("1".into()), Some("0".into())]);
    }

    #[test]
    fn handshakes_of_the_readiness_probe_are_left_out() {
        let metrics = Metrics::with(Limits::default());
        metrics.probe_from("127.0.0.1:4000".parse().unwrap());
        for peer in ["[::ffff:127.0.0.1]:4000", "127.0.0.1:4000", "127.0.0.1:4001", "192.0.2.1:4000"] {
            metrics.connected(peer.parse().unwrap(), Duration::from_millis(30));
        }
        let text = scrape(&metrics, Format::Text);
        assert!(text.contains("\nlowband_handshake_seconds_count 2\n"), "{text}");
    }
}
