//! The names of the families, their meanings and their first values: all that a reader of /metrics can know
//! about them.

use super::labels::{Build, CodeLabel, DirectionLabel, ReasonLabel, RequestLabels, ResultLabel};
use super::process;
use super::public::Public;
use super::snapshot::{Latest, Limits, Others};
use super::{Hot, Metrics};
use crate::failure::Failure;
use crate::status;
use crate::upstream::Busy;
use lowband_wire::coap::Method;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::sync::{Arc, Mutex};

pub(super) const RATE: &str = "rate";
pub(super) const LOGOUT: &str = "logout";
pub(super) const REFUSED: &str = "refused";
pub(super) const TAKEN: &str = "taken";
pub(super) const TOO_LARGE: &str = "too_large";
pub(super) const ERROR: &str = "error";

/// Makes `count` buckets, each twice as long as the one before; `first` is in seconds. No bucket may end at a
/// whole second: its label would be "1" in one of the formats and "1.0" in the other, and a Prometheus that
/// changes over would begin a new series.
fn times(first: f64, count: u16) -> Histogram {
    Histogram::new(exponential_buckets(first, 2.0, count))
}

impl Metrics {
    /// Makes all families, at their first values.
    pub(super) fn with(limits: Limits) -> Metrics {
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
            send_calls: ours.add(
                "udp_send_calls",
                "Calls of the system that sent datagrams, or tried to: one for each batch of datagrams of one length to one peer",
                Counter::default(),
            ),
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
            // Buckets from 1 ms to 131 s, more than --response-timeout.
            response_seconds: ours.add(
                "upstream_response_seconds",
                "From a request to the first piece of the upstream's answer, without long polls",
                times(0.001, 18),
            ),
            // Buckets from 0.3 s to 20 min, more than --longest-poll.
            long_poll_seconds: ours.add(
                "upstream_long_poll_seconds",
                "The same of requests that ask the homeserver to wait (timeout=)",
                times(0.3, 13),
            ),
            // Buckets from 0.16 ms to 1.28 s, with borders at 10 and 20 ms. A border below 0.1 ms would
            // become two series: Prometheus keeps it unchanged from one of the two formats, and writes it as
            // 7.8125e-05 from the other.
            own_seconds: ours.add(
                "request_own_seconds",
                "What the sidecar itself takes for a request that the upstream answers: from the datagram that completes it to the \
                 first piece of its answer on its way, less the wait for the upstream",
                times(0.000_156_25, 14),
            ),
            // Buckets from 5 ms to 82 s, more than --handshake-timeout.
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
                "Batches of datagrams that had to wait for the buffer of the socket, and were sent then",
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
            public: Public::new(ours),
            hot,
            probe: Mutex::default(),
            registry,
        };
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete].map(Method::name) {
            for code in status::codes().map(CodeLabel) {
                drop(metrics.requests.get_or_create(&RequestLabels { method, code }));
            }
        }
        for result in [TAKEN, REFUSED] {
            drop(metrics.reloads.get_or_create(&ResultLabel { result }));
        }
        metrics
    }
}

/// The families under our prefix.
pub(super) struct Ours<'a>(&'a mut Registry);

impl Ours<'_> {
    /// Adds a family; `help` is a sentence without the full stop.
    pub(super) fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    /// Adds a family by reason, all of which are known.
    pub(super) fn reasons(
        &mut self,
        name: &str,
        help: &str,
        reasons: &[&'static str],
    ) -> Family<ReasonLabel, Counter> {
        let family = self.add(name, help, Family::<ReasonLabel, Counter>::default());
        for reason in reasons {
            drop(family.get_or_create(&ReasonLabel { reason }));
        }
        family
    }
}
