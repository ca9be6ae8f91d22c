//! What is counted, under Prometheus names.
//!
//! One family has one meaning: a sum over its labels is a number that means something. Each label value that
//! is known beforehand starts at 0. A new family is a field and a line in `families`; a number that the event
//! loop or the transport knows is a field of [`Snapshot`] or a line in their `counters!`.
//!
//! | file | holds |
//! |---|---|
//! | `families` | names and meanings of what is counted here |
//! | `labels` | labels, and how their values are written |
//! | `snapshot` | what other parts count for themselves, and the limits |
//! | `public` | what is counted of the public port |
//! | `translation` | what the translator counts, where there is no Envoy |
//! | `process` | memory, processor time and file descriptors |
//! | `format` | which text format a reader gets |

use crate::config::Config;
use crate::credentials::News;
use crate::failure::Failure;
use crate::translator::Counts;
use crate::upstream::Busy;
use families::{ERROR, LOGOUT, RATE, REFUSED, TAKEN, TOO_LARGE};
use labels::{CodeLabel, ReasonLabel, RequestLabels, ResultLabel};
use lowband_wire::coap::{Code, Method};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use snapshot::{Latest, Limits};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

mod families;
mod format;
mod labels;
mod process;
mod public;
mod snapshot;
mod translation;

pub use format::Format;
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
    public: public::Public,
    hot: Hot,
    /// Address of the last handshake of our own readiness probe.
    probe: Mutex<Option<SocketAddr>>,
}

/// Members of families that every datagram touches, looked up once.
#[derive(Debug)]
struct Hot {
    datagrams_in: Counter,
    datagrams_out: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    send_calls: Counter,
}

/// The reason why a datagram was not sent.
#[derive(Debug, Clone, Copy)]
pub enum Unsent {
    /// The datagram is larger than the path takes.
    TooLarge,
    /// Any other error of the socket.
    Failed,
}

impl Metrics {
    /// Makes the metrics at their first values. The configuration gives the limits.
    pub fn new(config: &Config) -> Metrics {
        Metrics::with(Limits::of(config))
    }

    /// Shows what a translator counts as well.
    pub fn with_translation(mut self, counts: Arc<Counts>) -> Metrics {
        self.registry.register_collector(Box::new(translation::Translation(counts)));
        self
    }

    /// Notes the certificate that clients are shown: the end of its validity in seconds since 1970.
    pub fn certificate_served(&self, not_after: i64) {
        self.not_after.set(not_after);
        self.reload_worked.set(1);
    }

    /// Counts a change of the certificate files: whether the new pair is served now.
    pub fn certificate_reloaded(&self, is_taken: bool) {
        let result = if is_taken { TAKEN } else { REFUSED };
        self.reloads.get_or_create(&ResultLabel { result }).inc();
        self.reload_worked.set(is_taken.into());
    }

    /// Counts an answered request.
    pub fn answered(&self, method: Method, code: Code, request_bytes: u64, response_bytes: u64) {
        let labels = RequestLabels { method: method.name(), code: CodeLabel(code) };
        self.requests.get_or_create(&labels).inc();
        self.request_bytes.inc_by(request_bytes);
        self.response_bytes.inc_by(response_bytes);
    }

    /// Counts a request of an address that has sent too many.
    pub fn over_rate(&self) {
        self.refused.get_or_create(&ReasonLabel { reason: RATE }).inc();
    }

    /// Counts a request that found no place.
    pub fn over_limit(&self, busy: Busy) {
        self.refused.get_or_create(&ReasonLabel { reason: busy.name() }).inc();
    }

    /// Counts a request whose client went away, within the allowed rate or beyond it.
    pub fn cancelled(&self, is_within_rate: bool) {
        self.cancelled.inc();
        self.cancelled_over_rate.inc_by(u64::from(!is_within_rate));
    }

    /// Counts a long poll that gave its place to another request.
    pub fn poll_evicted(&self) {
        self.polls_evicted.inc();
    }

    /// Counts an answer that ends an access token.
    pub fn access_token_ended(&self, news: &News) {
        let reason = match news {
            News::Refused(_) => REFUSED,
            News::Ended(_) => LOGOUT,
            News::Accepted(_) => return,
        };
        self.access_tokens_ended.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Notes how long the upstream took to begin an answer.
    pub fn upstream_answered(&self, after: Duration, is_long_poll: bool) {
        let seconds = if is_long_poll { &self.long_poll_seconds } else { &self.response_seconds };
        seconds.observe(after.as_secs_f64());
    }

    /// Notes that the beginning of an answer was sent to the client, after this time of our own.
    pub fn answer_sent(&self, own: Duration) {
        self.own_seconds.observe(own.as_secs_f64());
    }

    /// Counts a request that the upstream failed.
    pub fn upstream_failed(&self, failure: &Failure) {
        self.upstream_failures.get_or_create(&ReasonLabel { reason: failure.name() }).inc();
    }

    /// Notes the number of long polls that wait for the upstream now.
    pub fn long_polls(&self, long_polls: usize) {
        self.long_polls.set(i64::try_from(long_polls).unwrap_or(i64::MAX));
    }

    /// Notes the address that the readiness probe connects from, so that its handshakes are left out: they
    /// would drown those of clients.
    pub fn probe_from(&self, address: SocketAddr) {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// Notes whether /readyz reported ready.
    pub fn ready(&self, is_ready: bool) {
        self.latest.set_ready(is_ready);
    }

    /// Notes that a client has connected, and how long its handshake took.
    pub fn connected(&self, peer: SocketAddr, took: Duration) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if *self.probe.lock().unwrap_or_else(PoisonError::into_inner) != Some(peer) {
            self.handshake_seconds.observe(took.as_secs_f64());
        }
    }

    /// Notes that the end has begun.
    pub fn draining(&self) {
        self.draining.set(1);
    }

    /// Counts a datagram received.
    pub fn datagram_in(&self, len: usize) {
        self.hot.datagrams_in.inc();
        self.hot.bytes_in.inc_by(len as u64);
    }

    /// Counts datagrams that were sent, and all their bytes.
    pub fn datagrams_out(&self, datagrams: usize, bytes: usize) {
        self.hot.datagrams_out.inc_by(datagrams as u64);
        self.hot.bytes_out.inc_by(bytes as u64);
    }

    /// Counts a call that hands datagrams to the system.
    pub fn handing_over(&self) {
        self.hot.send_calls.inc();
    }

    /// Counts a datagram that was dropped in favour of those of others.
    pub fn over_share(&self) {
        self.over_share.inc();
    }

    /// Counts a call that found no room in the socket's buffer.
    pub fn send_waits(&self) {
        self.send_waits.inc();
    }

    /// Counts a datagram that could not be sent.
    pub fn unsent(&self, why: Unsent) {
        let reason = match why {
            Unsent::TooLarge => TOO_LARGE,
            Unsent::Failed => ERROR,
        };
        self.unsent.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Returns the text of a scrape.
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

    /// Returns whether one of `there` is what the page calls so; `*` stands for any text.
    fn is_there(named: &str, there: &[String]) -> bool {
        let pieces: Vec<&str> = named.split('*').collect();
        there.iter().any(|name| {
            let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return false };
            let fits = |rest: &str| if pieces.len() == 1 { rest.is_empty() } else { rest.ends_with(last) };
            name.strip_prefix(first).is_some_and(fits)
        })
    }

    #[test]
    fn the_page_for_operators_names_metrics_that_exist() {
        let metrics = busy();
        metrics.ready(true);
        let mut snapshot = Snapshot::default();
        snapshot.upstream.up = Some(true);
        let text = metrics.encode(snapshot, Format::Text).unwrap();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let there: Vec<_> = types.map(str::to_owned).collect();
        let rows =
            include_str!("../../docs/operations.md").lines().filter(|line| line.starts_with("| `lowband_"));
        let named: Vec<_> =
            rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
        assert!(named.len() >= 30, "{named:?}");
        for name in named {
            assert!(is_there(name, &there), "docs/operations.md names {name}");
        }
    }
}
