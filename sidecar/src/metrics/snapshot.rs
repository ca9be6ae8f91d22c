//! Numbers that other parts count for themselves: they come in with each scrape, with the limits beside them.

use crate::config::Config;
use crate::upstream::Usage;
use lowband_transport::counters::{Family, Kind, Numbers};
use lowband_transport::shares::Bounds;
use lowband_transport::{coap, dtls, shares};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The numbers of the event loop at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    /// Counters of the DTLS layer.
    pub dtls: dtls::Counters,
    /// Counters of the CoAP layer.
    pub coap: coap::Counters,
    /// Bytes held in uploads and snapshots.
    pub blockwise_bytes: u64,
    /// Exchanges without a finished answer.
    pub exchanges: u64,
    /// Number of addresses with a rate of their own.
    pub rate_addresses: u64,
    /// What the upstream has to do at the moment.
    pub upstream: Usage,
    /// Log lines that no reader took in time.
    pub log_lines_lost: u64,
    /// Lines of the key log that could not be written.
    pub key_log_lines_lost: u64,
}

/// The upper ends of gauges: the configured bound of each pool.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    sessions: u64,
    half_open: u64,
    blockwise_bytes: u64,
    remembered_bytes: u64,
    waiting_answer_bytes: u64,
    requests: u64,
    requests_of_a_network: u64,
    body_bytes: u64,
    connections: u64,
    public_connections: u64,
}

impl Limits {
    pub(super) fn of(config: &Config) -> Limits {
        Limits {
            sessions: config.dtls_limits.sessions as u64,
            half_open: config.dtls_limits.half_open as u64,
            blockwise_bytes: config.coap_limits.blockwise_total as u64,
            remembered_bytes: config.coap_limits.dedup_total as u64,
            waiting_answer_bytes: config.coap_limits.answers_total as u64,
            requests: config.upstream.requests as u64,
            requests_of_a_network: Bounds::of(config.upstream.requests).per_network as u64,
            body_bytes: config.upstream.request_bytes as u64,
            // Without Envoy each request may need one of its own.
            connections: match &config.homeserver {
                None => config.upstream.connections as u64,
                Some(settings) => settings.homeserver.requests as u64,
            },
            public_connections: config.public.as_ref().map_or(0, |public| public.connections as u64),
        }
    }
}

/// The snapshot of the scrape that is being written.
#[derive(Debug, Default)]
pub(super) struct Latest {
    limits: Limits,
    snapshot: Mutex<Snapshot>,
    ready: OnceLock<AtomicBool>,
}

impl Latest {
    pub(super) fn new(limits: Limits) -> Latest {
        Latest { limits, ..Latest::default() }
    }

    pub(super) fn set(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    pub(super) fn set_ready(&self, is_ready: bool) {
        self.ready.get_or_init(AtomicBool::default).store(is_ready, Ordering::Relaxed);
    }
}

/// Collects the numbers of the last snapshot.
#[derive(Debug)]
pub(super) struct Others(pub(super) Arc<Latest>);

impl Collector for Others {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let snapshot = *self.0.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = self.0.limits;
        for each in snapshot.dtls.families().into_iter().chain(snapshot.coap.families()) {
            family(&mut encoder, &each)?;
        }
        let upstream = snapshot.upstream;
        for (name, help, value) in [
            ("sessions_limit", "Sessions at most (--sessions)", limits.sessions),
            (
                "handshakes_half_open_limit",
                "Handshakes under way and ClientHellos being gathered, together, at most (--half-open)",
                limits.half_open,
            ),
            ("blockwise_bytes", "Bytes in uploads and snapshots", snapshot.blockwise_bytes),
            (
                "blockwise_limit_bytes",
                "Bytes in uploads and snapshots at most (--blockwise-memory)",
                limits.blockwise_bytes,
            ),
            (
                "coap_remembered_limit_bytes",
                "Bytes that are remembered of answered messages at most (--dedup-memory)",
                limits.remembered_bytes,
            ),
            (
                "coap_waiting_answer_limit_bytes",
                "Bytes of separate answers that nobody has acknowledged yet at most (--answer-memory)",
                limits.waiting_answer_bytes,
            ),
            ("exchanges", "Exchanges without a finished answer", snapshot.exchanges),
            ("rate_addresses", "Addresses (IPv6: /64) with a rate of their own", snapshot.rate_addresses),
            (
                "rate_addresses_limit",
                "Addresses with a rate of their own at most; of a newcomer counts its /24 (IPv6: /48)",
                shares::Rates::MOST as u64,
            ),
            (
                "requests_in_flight",
                "Places at the upstream that are taken: by requests that wait for it or read its answer, and by those whose \
                 clients have gone and that still run there",
                upstream.requests,
            ),
            ("requests_in_flight_limit", "Places at the upstream (--upstream-requests)", limits.requests),
            (
                "requests_in_flight_heaviest_network",
                "Places at the upstream of the network (IPv4 address, IPv6 /64) that has most",
                upstream.most_of_a_network,
            ),
            (
                "requests_in_flight_network_limit",
                "Places at the upstream of one network at most: a quarter of --upstream-requests",
                limits.requests_of_a_network,
            ),
            (
                "requests_running_out",
                "Requests without a client that run on at the upstream: too young to be ended there (--upstream-cancel-after), or \
                 beyond --cancels-per-second of their network",
                upstream.running_out,
            ),
            (
                "upstream_body_bytes",
                "Bytes of request bodies on their way to the upstream",
                upstream.body_bytes,
            ),
            (
                "upstream_body_limit_bytes",
                "Bytes of request bodies on their way to the upstream at most (--blockwise-memory)",
                limits.body_bytes,
            ),
            ("upstream_connections", "Connections to the upstream", upstream.connections),
            (
                "upstream_connections_limit",
                "Connections to the upstream at most (--upstream-connections)",
                limits.connections,
            ),
            (
                "public_connections_limit",
                "Connections to --public at most (--public-connections); 0 where there is no such port",
                limits.public_connections,
            ),
        ] {
            gauge(&mut encoder, name, help, value)?;
        }
        counter(
            &mut encoder,
            "requests_repeated",
            "Requests that were asked again because their connection to the upstream had broken off",
            upstream.repeated,
        )?;
        counter(
            &mut encoder,
            "log_lines_lost",
            "Lines of the log that were not taken as fast as they came",
            snapshot.log_lines_lost,
        )?;
        counter(
            &mut encoder,
            "key_log_unwritten_lines",
            "Lines of the key log (--key-log) that could not be written, or not in time",
            snapshot.key_log_lines_lost,
        )?;
        counter(
            &mut encoder,
            "panics",
            "Panics, each of them a mistake in this program",
            super::process::panics(),
        )?;
        if let Some(ready) = self.0.ready.get() {
            let help = "1 when the last answer of /readyz was yes; absent until it is asked for";
            gauge(&mut encoder, "ready", help, u64::from(ready.load(Ordering::Relaxed)))?;
        }
        if let Some(up) = upstream.up {
            let help = "1 when the upstream, or the homeserver where there is no Envoy, could be connected to at the last \
                        attempt and spoke as it should; absent before the first one";
            gauge(&mut encoder, "upstream_up", help, u64::from(up))?;
        }
        Ok(())
    }
}

fn family(encoder: &mut DescriptorEncoder<'_>, family: &Family) -> Result<(), fmt::Error> {
    match (&family.numbers, family.kind) {
        (Numbers::One(value), Kind::Gauge) => gauge(encoder, family.name, &family.help, *value),
        (Numbers::One(value), Kind::Counter) => counter(encoder, family.name, &family.help, *value),
        (Numbers::Labelled(label, members), kind) => {
            let kind = match kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut described = describe(encoder, family.name, &family.help, kind)?;
            for (value, number) in members {
                let labels = [(*label, *value)];
                let member = described.encode_family(&labels)?;
                match kind {
                    MetricType::Gauge => ConstGauge::new(*number).encode(member)?,
                    _ => ConstCounter::new(*number).encode(member)?,
                }
            }
            Ok(())
        }
    }
}

pub(super) fn gauge<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: N,
) -> Result<(), fmt::Error> {
    ConstGauge::new(value).encode(describe(encoder, name, help, MetricType::Gauge)?)
}

/// Encodes a counter; `name` is without its `_total`.
pub(super) fn counter<N: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: N,
) -> Result<(), fmt::Error> {
    ConstCounter::new(value).encode(describe(encoder, name, help, MetricType::Counter)?)
}

fn describe<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    name: &'s str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    encoder.encode_descriptor(name, &format!("{help}."), None, kind)
}
