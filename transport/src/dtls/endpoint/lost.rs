//! Records of sessions that are not known here: an alert informs their peers, so that they need not wait for
//! their own timers.
//!
//! ```text
//! a protected record of application data,    within the rates    fatal alert without protection, 15 bytes: to the peer, or to
//! no session and no handshake at its address --------------->    the one that forged its address
//! anything else, or beyond the rates         --------------->    nothing
//! ```
//!
//! After a restart, or when its address has changed, a client goes on with a session that only it still
//! has. The alert proves nothing to it (RFC 6347 section 4.1.2.7 lets it be ignored), and the newest stacks
//! ignore it. But the Go client of the reference connects anew at once, and ours asks whether its session
//! is still there.

use super::Endpoint;
use crate::shares::{Limit, Rates};
use lowband_wire::dtls::alert::{UNEXPECTED_MESSAGE, plaintext_alert};
use lowband_wire::dtls::record::{ContentType, DTLS_1_2, Record, RecordNumber};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Alerts for one network: enough for some dozens of clients behind one address, each of which
/// repeats its message.
const EACH: Limit = Limit { per_second: 10, burst: 40 };
/// Alerts in all: 100,000 clients that ping every 50 seconds draw as many; a hundredth of a core
/// and 0.7 Mbit/s.
const ALL: Limit = Limit { per_second: 2_000, burst: 4_000 };

/// A record number beyond those of any handshake, which a stack with a replay window has seen: it would not
/// read the alert.
const UNUSED: u64 = 1 << 47;

/// Makes the limits of these alerts.
pub(super) fn rates() -> Rates {
    Rates::new(EACH, Some(ALL))
}

impl Endpoint {
    /// Handles a protected record from an address that has neither a session nor a handshake.
    pub(super) fn receive_unknown(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        local: Option<IpAddr>,
        record: &Record<'_>,
    ) {
        self.counters.records_no_session += 1;
        let number = RecordNumber::new(0, UNUSED | record.number.sequence());
        let alert = plaintext_alert(DTLS_1_2, number, UNEXPECTED_MESSAGE);
        // An alert must not draw an alert, and no address is sent more bytes than came from it.
        let is_data = record.content_type == ContentType::ApplicationData && record.raw.len() > alert.len();
        if !self.contexts.accepts() || !is_data {
            return;
        }
        // Behind a balancer only the port distinguishes clients, and the rate for all bounds them.
        let network = self.balancers.network(peer.ip(), peer.port().into());
        if self.lost_sessions.take(now, network).is_err() {
            self.counters.lost_sessions_untold += 1;
            return;
        }
        self.counters.lost_sessions_told += 1;
        self.transmit(peer, local, vec![alert]);
    }
}
