//! What is counted, in Prometheus' words. The transport counts for itself; its numbers come in with each scrape
//! ([`Snapshot`]).

use crate::credentials::News;
use crate::failure::Failure;
use lowband_transport::coap::{Code, Method};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// All metrics of one sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    snapshot: Arc<Latest>,
    requests: Family<RequestLabels, Counter>,
    cancelled: Counter,
    access_tokens_ended: Family<ReasonLabel, Counter>,
    upstream_failures: Family<ReasonLabel, Counter>,
    response_seconds: Histogram,
    request_bytes: Counter,
    response_bytes: Counter,
    in_flight: Gauge,
    draining: Gauge,
    udp_datagrams: Family<DirectionLabel, Counter>,
    udp_bytes: Family<DirectionLabel, Counter>,
    udp_unsent: Family<ReasonLabel, Counter>,
    hot: Hot,
}

/// Members of families that every datagram touches, looked up once.
#[derive(Debug)]
struct Hot {
    datagrams_in: Counter,
    datagrams_out: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

/// The transport's own numbers at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Gauges of the DTLS layer.
    pub dtls_now: Vec<(&'static str, u64)>,
    /// Counters of the DTLS layer.
    pub dtls: Vec<(&'static str, u64)>,
    /// Counters of the CoAP layer.
    pub coap: Vec<(&'static str, u64)>,
    /// Bytes in uploads and snapshots.
    pub blockwise_bytes: u64,
    /// Exchanges without a finished answer.
    pub exchanges: u64,
}

/// Why a datagram was not sent.
#[derive(Debug, Clone, Copy)]
pub enum Unsent {
    /// Larger than the path takes.
    TooLarge,
    /// Any other error of the socket.
    Failed,
    /// It had to wait for the socket's buffer, and was sent then.
    Waited,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lowband");
        let snapshot = Arc::new(Latest::default());
        registry.register_collector(Box::new(Arc::clone(&snapshot)));
        let udp_datagrams = Family::<DirectionLabel, Counter>::default();
        let udp_bytes = Family::<DirectionLabel, Counter>::default();
        let member = |family: &Family<DirectionLabel, Counter>, direction| {
            family.get_or_create(&DirectionLabel { direction }).clone()
        };
        let hot = Hot {
            datagrams_in: member(&udp_datagrams, "in"),
            datagrams_out: member(&udp_datagrams, "out"),
            bytes_in: member(&udp_bytes, "in"),
            bytes_out: member(&udp_bytes, "out"),
        };
        let mut metrics = Metrics {
            registry,
            snapshot,
            requests: Family::default(),
            cancelled: Counter::default(),
            access_tokens_ended: Family::default(),
            upstream_failures: Family::default(),
            // 1 ms to 131 s: from a cached answer to the longest usual long poll.
            response_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            in_flight: Gauge::default(),
            draining: Gauge::default(),
            udp_datagrams,
            udp_bytes,
            udp_unsent: Family::default(),
            hot,
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests answered, by method and code", self.requests.clone());
        registry.register("requests_cancelled", "Requests whose client went away", self.cancelled.clone());
        registry.register(
            "access_tokens_ended",
            "Answers of the homeserver that end an access token",
            self.access_tokens_ended.clone(),
        );
        registry.register(
            "upstream_failures",
            "Requests that the upstream failed",
            self.upstream_failures.clone(),
        );
        registry.register(
            "upstream_response_seconds",
            "From request to the first piece of the upstream's answer, long polls included",
            self.response_seconds.clone(),
        );
        registry.register("request_body_bytes", "Bytes of request bodies", self.request_bytes.clone());
        registry.register("response_body_bytes", "Bytes of response bodies", self.response_bytes.clone());
        registry.register(
            "requests_in_flight",
            "Requests that wait for the upstream",
            self.in_flight.clone(),
        );
        registry.register(
            "draining",
            "1 while open requests are finished before the end",
            self.draining.clone(),
        );
        registry.register("udp_datagrams", "Datagrams", self.udp_datagrams.clone());
        registry.register("udp_bytes", "UDP payload", self.udp_bytes.clone());
        registry.register(
            "udp_send_trouble",
            "Datagrams that could not be sent at once",
            self.udp_unsent.clone(),
        );
    }

    /// A request has its answer.
    pub fn answered(&self, method: Method, code: Code, request_bytes: u64, response_bytes: u64) {
        let labels = RequestLabels { method: method_name(method), code: Dotted(code).to_string() };
        self.requests.get_or_create(&labels).inc();
        self.request_bytes.inc_by(request_bytes);
        self.response_bytes.inc_by(response_bytes);
    }

    /// A request's client went away.
    pub fn cancelled(&self) {
        self.cancelled.inc();
    }

    /// An answer ends an access token.
    pub fn access_token_ended(&self, news: &News) {
        let reason = match news {
            News::Refused(_) => "refused",
            News::Ended(_) => "logout",
            News::Accepted(_) => return,
        };
        self.access_tokens_ended.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// The upstream began to answer.
    pub fn upstream_answered(&self, after: Duration) {
        self.response_seconds.observe(after.as_secs_f64());
    }

    /// The upstream failed a request.
    pub fn upstream_failed(&self, failure: &Failure) {
        self.upstream_failures.get_or_create(&ReasonLabel { reason: failure.name() }).inc();
    }

    /// Requests that wait for the upstream now.
    pub fn in_flight(&self, count: usize) {
        self.in_flight.set(i64::try_from(count).unwrap_or(i64::MAX));
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

    /// A datagram could not be sent (at once).
    pub fn unsent(&self, why: Unsent) {
        let reason = match why {
            Unsent::TooLarge => "too_large",
            Unsent::Failed => "error",
            Unsent::Waited => "buffer_full",
        };
        self.udp_unsent.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// The text of a scrape.
    pub fn encode(&self, snapshot: Snapshot) -> Result<String, fmt::Error> {
        *self.snapshot.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
        let mut text = String::with_capacity(16 << 10);
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The snapshot of the scrape that is being written.
#[derive(Debug, Default)]
struct Latest(Mutex<Snapshot>);

impl Collector for Latest {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let snapshot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in &snapshot.dtls_now {
            gauge(&mut encoder, &format!("dtls_{name}"), "Now, in the DTLS layer", *value)?;
        }
        gauge(&mut encoder, "blockwise_bytes", "Bytes in uploads and snapshots", snapshot.blockwise_bytes)?;
        gauge(&mut encoder, "exchanges", "Exchanges without a finished answer", snapshot.exchanges)?;
        events(&mut encoder, "dtls_events", "What the DTLS layer counted, by event", &snapshot.dtls)?;
        events(&mut encoder, "coap_events", "What the CoAP layer counted, by event", &snapshot.coap)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn events(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(&'static str, u64)],
) -> Result<(), fmt::Error> {
    let mut family: MetricEncoder<'_> = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (event, value) in values {
        let labels = [("event", *event)];
        ConstCounter::new(*value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// The name of a method in logs and metrics.
pub fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    }
}

/// A code as people write it: `2.05`.
#[derive(Debug, Clone, Copy)]
pub struct Dotted(pub Code);

impl fmt::Display for Dotted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0.class(), self.0.detail())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_holds_requests_by_code_and_the_transports_events() {
        let metrics = Metrics::default();
        metrics.answered(Method::Get, Code::new(2, 5), 0, 10);
        metrics.answered(Method::Get, Code::new(2, 5), 0, 10);
        metrics.answered(Method::Put, Code::new(4, 29), 5, 1);
        metrics.upstream_failed(&Failure::Hung);
        metrics.unsent(Unsent::TooLarge);
        metrics.datagram_in(100);
        let snapshot = Snapshot {
            dtls_now: vec![("sessions", 3)],
            dtls: vec![("records_forged", 7)],
            coap: vec![("duplicates", 9)],
            blockwise_bytes: 11,
            exchanges: 1,
        };
        let text = metrics.encode(snapshot).unwrap();
        for line in [
            r#"lowband_requests_total{method="GET",code="2.05"} 2"#,
            r#"lowband_requests_total{method="PUT",code="4.29"} 1"#,
            r#"lowband_upstream_failures_total{reason="hung"} 1"#,
            r#"lowband_udp_send_trouble_total{reason="too_large"} 1"#,
            r#"lowband_udp_bytes_total{direction="in"} 100"#,
            "lowband_response_body_bytes_total 21",
            "lowband_dtls_sessions 3",
            r#"lowband_dtls_events_total{event="records_forged"} 7"#,
            r#"lowband_coap_events_total{event="duplicates"} 9"#,
            "lowband_blockwise_bytes 11",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }
}
