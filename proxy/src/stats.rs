//! What went over the wire, beside what HTTPS with JSON would have cost: for the line of `--stats`.
//!
//! ```text
//! by UDP    = payload of all datagrams, handshakes and keep-alives included, + 28 (IPv6: 48) for each
//! estimated = lowband_capture::report::https, as `lowband show` tells it: JSON without gzip, lean heads, one
//!             connection for each session
//! by HTTPS  = bytes of TLS beneath HTTP, + 52 for each segment and acknowledgement, estimated by the length of
//!             what is read and written; media and discovery are in it and have no estimate beside them
//! ```

use crate::ways::Way;
use lowband_capture::report::https::{self, Cost, DELAYED_ACKNOWLEDGEMENT, Lengths, SEGMENT};
use lowband_client::trace::{Meter, Traffic};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes of the headers of IPv4 and UDP, and of IPv6 and UDP.
const HEADERS: [u64; 2] = [20 + 8, 40 + 8];
/// Segments of TCP's handshake and of its end.
const CONNECTION_SEGMENTS: u64 = 3 + 4;

/// What has gone over the wire so far. Its text is one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Requests that were answered over UDP.
    pub over_udp: u64,
    /// Requests that were answered over HTTPS.
    pub over_https: u64,
    /// DTLS sessions whose server answered.
    pub sessions: u64,
    /// Datagrams, and bytes of their payload, of all sessions and dials.
    pub traffic: Traffic,
    /// The same with the headers of IP and UDP, in bytes.
    pub udp_wire: u64,
    /// Bytes on the wire that HTTPS with JSON would have cost for what went over UDP; an estimate.
    pub instead: u64,
    /// Bytes on the wire over HTTPS, media included; headers are estimated.
    pub https_wire: u64,
    /// Requests that were answered from what is kept, at once or after the homeserver has confirmed it.
    pub kept: u64,
    /// Bytes of the bodies of those answers, which did not go over the wire again.
    pub kept_bytes: u64,
}

impl Summary {
    /// Returns the bytes by UDP as a share of the estimate, in percent; `None` without an answer over UDP.
    pub fn share(&self) -> Option<u64> {
        let is_known = self.over_udp > 0 && self.instead > 0;
        is_known.then(|| (100 * self.udp_wire + self.instead / 2) / self.instead.max(1))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            over_udp,
            over_https,
            sessions,
            traffic,
            udp_wire,
            instead,
            https_wire,
            kept,
            kept_bytes,
        } = self;
        let datagrams = traffic.datagrams_out + traffic.datagrams_in;
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        write!(
            f,
            "by UDP {over_udp} request{} in {sessions} session{}, {udp_wire} bytes on the wire in {datagrams} datagram{}",
            plural(*over_udp),
            plural(*sessions),
            plural(datagrams)
        )?;
        if let Some(share) = self.share() {
            write!(f, ", {share} % of the {instead} that HTTPS with JSON would have cost (estimated)")?;
        }
        write!(f, "; by HTTPS {over_https} request{}, {https_wire} bytes", plural(*over_https))?;
        if *kept > 0 {
            write!(
                f,
                "; {kept} request{} answered from what is kept, {kept_bytes} bytes saved",
                plural(*kept)
            )?;
        }
        Ok(())
    }
}

/// An answered request: the lengths that it has, or would have had, as HTTP with JSON.
#[derive(Clone, Debug)]
pub(crate) struct Exchanged {
    /// How it went.
    pub(crate) way: Way,
    /// Bytes of the method's name.
    pub(crate) method: usize,
    /// Bytes of path and query.
    pub(crate) target: usize,
    pub(crate) has_token: bool,
    /// Bytes of the request's JSON. `None`: it has no body.
    pub(crate) request_json: Option<usize>,
    /// Bytes of the answer's JSON.
    pub(crate) answer_json: usize,
    /// Time from the request to its answer.
    pub(crate) took: Duration,
}

/// Counts for the [`Summary`]. Cheap to clone; all clones count the same.
#[derive(Clone, Default)]
pub struct Stats {
    counts: Arc<Mutex<Counts>>,
    tcp: Arc<Tcp>,
}

#[derive(Default)]
struct Counts {
    over_udp: u64,
    over_https: u64,
    kept: u64,
    kept_bytes: u64,
    instead: Cost,
    /// What those meters have counted that nobody counts on any more.
    ended: Udp,
    meters: Vec<(Arc<Meter>, u64)>,
}

/// What went over UDP.
#[derive(Clone, Copy, Default)]
struct Udp {
    sessions: u64,
    traffic: Traffic,
    wire: u64,
}

impl Udp {
    fn add(&mut self, traffic: Traffic, headers: u64) {
        self.sessions += u64::from(traffic.datagrams_in > 0);
        self.traffic = self.traffic + traffic;
        self.wire += traffic.bytes_out + traffic.bytes_in;
        self.wire += headers * (traffic.datagrams_out + traffic.datagrams_in);
    }
}

impl Counts {
    /// Keeps only the sums of meters whose connections are gone, so that their number is that of sessions.
    fn fold(&mut self) {
        let ended = &mut self.ended;
        self.meters.retain(|(meter, headers)| {
            let is_used = Arc::strong_count(meter) > 1;
            if !is_used {
                ended.add(meter.traffic(), *headers);
            }
            is_used
        });
    }
}

impl Stats {
    /// Returns a meter for a new connection to this server.
    pub(crate) fn meter(&self, server: SocketAddr) -> Arc<Meter> {
        let [ipv4, ipv6] = HEADERS;
        let meter = Arc::new(Meter::default());
        let mut counts = self.counts();
        counts.fold();
        counts.meters.push((Arc::clone(&meter), if server.is_ipv4() { ipv4 } else { ipv6 }));
        meter
    }

    /// Returns what counts the connections of TCP.
    pub(crate) fn tcp(&self) -> Arc<Tcp> {
        Arc::clone(&self.tcp)
    }

    /// Notes an answered request. What went over HTTPS is counted there, whatever became of its answer.
    pub(crate) fn exchanged(&self, one: &Exchanged) {
        if !matches!(one.way, Way::Udp(_)) {
            return;
        }
        let mut counts = self.counts();
        counts.over_udp += 1;
        counts.instead += https::lengths(&Lengths {
            method: one.method as u64,
            target: one.target as u64,
            has_token: one.has_token,
            request: one.request_json.map(|length| length as u64),
            response: Some(one.answer_json as u64),
            is_slow: one.took > DELAYED_ACKNOWLEDGEMENT,
        });
    }

    /// Notes a request that was answered over HTTPS.
    pub(crate) fn answered_over_https(&self) {
        self.counts().over_https += 1;
    }

    /// Notes a request that was answered from what is kept, by so many bytes.
    pub(crate) fn answered_from_kept(&self, bytes: u64) {
        let mut counts = self.counts();
        counts.kept += 1;
        counts.kept_bytes += bytes;
    }

    /// Returns all counts.
    pub fn summary(&self) -> Summary {
        let mut counts = self.counts();
        counts.fold();
        let mut udp = counts.ended;
        counts.meters.iter().for_each(|(meter, headers)| udp.add(meter.traffic(), *headers));
        Summary {
            over_udp: counts.over_udp,
            over_https: counts.over_https,
            sessions: udp.sessions,
            traffic: udp.traffic,
            udp_wire: udp.wire,
            instead: counts.instead.wire() + udp.sessions * https::connection().wire(),
            https_wire: self.tcp.wire(),
            kept: counts.kept,
            kept_bytes: counts.kept_bytes,
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what goes over TCP. Segments are estimated: those of each piece that is read or written, and an
/// acknowledgement for every second.
#[derive(Debug, Default)]
pub(crate) struct Tcp {
    payload: AtomicU64,
    segments: AtomicU64,
}

impl Tcp {
    pub(crate) fn connected(&self) {
        self.segments.fetch_add(CONNECTION_SEGMENTS, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.moved(bytes as u64);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.moved(bytes as u64);
    }

    fn moved(&self, bytes: u64) {
        let segments = bytes.div_ceil(SEGMENT);
        self.payload.fetch_add(bytes, Ordering::Relaxed);
        self.segments.fetch_add(segments + segments.div_ceil(2), Ordering::Relaxed);
    }

    fn wire(&self) -> u64 {
        Cost::of(self.payload.load(Ordering::Relaxed), self.segments.load(Ordering::Relaxed)).wire()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ways::Udp as Place;

    fn exchanged(way: Way) -> Exchanged {
        Exchanged {
            way,
            method: 3,
            target: 27,
            has_token: true,
            request_json: None,
            answer_json: 1000,
            took: Duration::from_millis(700),
        }
    }

    fn udp() -> Way {
        Way::Udp(Place { server: ([192, 0, 2, 1], 8008).into(), server_name: "hs".into() })
    }

    #[test]
    fn what_goes_over_udp_is_held_against_its_estimate() {
        let stats = Stats::default();
        stats.exchanged(&exchanged(udp()));
        stats.exchanged(&exchanged(Way::HttpsJson));
        stats.answered_over_https();
        let summary = stats.summary();
        assert_eq!((summary.over_udp, summary.over_https, summary.sessions), (1, 1, 0));
        // 3 + 27 + 12 + 85 + 64 + 22 up, 471 + 1000 + 22 down; 4 segments of headers.
        assert_eq!(summary.instead, 213 + 1493 + (1 + 2 + 2) * 52);
    }

    #[test]
    fn a_meter_that_nobody_uses_any_more_is_summed_up() {
        let stats = Stats::default();
        let held = stats.meter(([192, 0, 2, 1], 1).into());
        for _ in 0..1000 {
            drop(stats.meter(([192, 0, 2, 1], 1).into()));
        }
        stats.summary();
        assert_eq!(stats.counts().meters.len(), 1);
        drop(held);
        stats.summary();
        assert!(stats.counts().meters.is_empty());
    }

    #[test]
    fn headers_are_those_of_the_family() {
        let traffic = Traffic { datagrams_out: 2, bytes_out: 100, datagrams_in: 1, bytes_in: 50 };
        for (headers, wire) in HEADERS.into_iter().zip([150 + 3 * 28, 150 + 3 * 48]) {
            let mut udp = Udp::default();
            udp.add(traffic, headers);
            assert_eq!((udp.wire, udp.sessions), (wire, 1));
        }
        let mut silent = Udp::default();
        silent.add(Traffic { datagrams_in: 0, ..traffic }, 28);
        assert_eq!(silent.sessions, 0);
    }

    #[test]
    fn the_line_says_what_was_counted_and_no_share_of_nothing() {
        let mut summary =
            Summary { over_udp: 2, sessions: 1, udp_wire: 250, instead: 1000, ..Summary::default() };
        assert_eq!(
            summary.to_string(),
            "by UDP 2 requests in 1 session, 250 bytes on the wire in 0 datagrams, 25 % of the 1000 that HTTPS with \
             JSON would have cost (estimated); by HTTPS 0 requests, 0 bytes"
        );
        summary.over_udp = 0;
        let line = summary.to_string();
        assert!(!line.contains('%') && !line.contains("kept"), "{line}");
    }

    #[test]
    fn the_line_says_what_was_answered_from_what_is_kept() {
        let stats = Stats::default();
        stats.answered_from_kept(1000);
        assert!(
            stats.summary().to_string().ends_with("; 1 request answered from what is kept, 1000 bytes saved")
        );
        stats.answered_from_kept(0);
        let line = stats.summary().to_string();
        assert!(line.ends_with("; 2 requests answered from what is kept, 1000 bytes saved"), "{line}");
    }

    #[test]
    fn tcp_counts_segments_of_what_is_read_and_written() {
        let tcp = Tcp::default();
        tcp.connected();
        tcp.sent(100);
        tcp.received(1449);
        tcp.received(0);
        assert_eq!(tcp.wire(), 1549 + 52 * (7 + 2 + 3));
    }
}
