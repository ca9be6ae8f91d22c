//! What is counted of the public port.

use super::Metrics;
use super::families::Ours;
use super::labels::{ReasonLabel, StatusLabel};
use crate::public::{Over, PLACES, RATE, Refusal};
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Classes of a status, by its first digit (RFC 9110 section 15).
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Connections and requests over TCP.
#[derive(Debug)]
pub(super) struct Public {
    connections: Gauge,
    connections_refused: Family<ReasonLabel, Counter>,
    connections_ended: Family<ReasonLabel, Counter>,
    requests: Family<StatusLabel, Counter>,
    requests_refused: Family<ReasonLabel, Counter>,
}

impl Public {
    pub(super) fn new(ours: &mut Ours<'_>) -> Public {
        let requests = ours.add(
            "public_requests",
            "Requests over --public answered, by the first digit of their status",
            Family::<StatusLabel, Counter>::default(),
        );
        for status in CLASSES {
            drop(requests.get_or_create(&StatusLabel { status }));
        }
        Public {
            connections: ours.add("public_connections", "Connections to --public", Gauge::default()),
            connections_refused: ours.reasons(
                "public_connections_refused",
                "Connections to --public that were closed unread. By reason, rate: too many new ones of their network, or of \
                 all; places: all that their network may have are busy, or all there are",
                &[RATE, PLACES],
            ),
            connections_ended: ours.reasons(
                "public_connections_ended",
                "Connections to --public that this side has ended. By reason, handshake: it failed or took too long; head: a \
                 request was not finished in time; idle: no request for too long; stall: an answer was not read; cancels: too \
                 many requests were abandoned; gave_way: another one needed the place",
                &Over::NAMES,
            ),
            requests,
            requests_refused: ours.reasons(
                "public_requests_refused",
                "Requests over --public that were answered by this port itself. By reason, upgrade: another protocol than \
                 HTTP; target: no path; slow_body: the body did not come in time",
                &Refusal::NAMES,
            ),
        }
    }
}

impl Metrics {
    /// Notes the number of connections over TCP.
    pub(crate) fn public_connections(&self, connections: usize) {
        self.public.connections.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// Counts a connection over TCP that was closed unread.
    pub(crate) fn public_connection_refused(&self, reason: &'static str) {
        self.public.connections_refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a connection over TCP that was ended here.
    pub(crate) fn public_ended(&self, why: Over) {
        self.public.connections_ended.get_or_create(&ReasonLabel { reason: why.name() }).inc();
    }

    /// Counts an answer over TCP.
    pub(crate) fn public_answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).checked_sub(1).and_then(|class| CLASSES.get(class));
        if let Some(status) = class {
            self.public.requests.get_or_create(&StatusLabel { status }).inc();
        }
    }

    /// Counts a request over TCP that was answered by the port itself.
    pub(crate) fn public_refused(&self, why: Refusal) {
        self.public.requests_refused.get_or_create(&ReasonLabel { reason: why.name() }).inc();
    }
}
