//! Handshakes and sessions: how many, of whom, and for how long.

use super::MANY;
use crate::config::{Mistakes, values};
use clap::Args;
use lowband_transport::dtls::Limits;
use lowband_transport::shares::Balancers;

/// The limits of the DTLS layer.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Sessions {
    /// Sessions at most; an idle one takes 0.8 kB of memory.
    #[arg(long, env = "LOWBAND_SESSIONS", value_name = "COUNT", default_value = "100000")]
    sessions: String,
    /// Handshakes under way at most; each takes tens of kilobytes.
    #[arg(long, env = "LOWBAND_HALF_OPEN", value_name = "COUNT", default_value = "1000")]
    half_open: String,
    /// The same for one address (IPv6: one /64). Too few locks out users behind one NAT.
    #[arg(long, env = "LOWBAND_HALF_OPEN_PER_ADDRESS", value_name = "COUNT", default_value = "16")]
    half_open_per_address: String,
    /// Addresses of balancers and nodes that put their own address in place of their clients', or off: 10.0.0.0/8,2001:db8::7. No
    /// limit for one address holds there. Whoever can send from them has none, so name nothing that clients have.
    #[arg(long, env = "LOWBAND_BALANCERS", value_name = "LIST", default_value = "off")]
    balancers: String,
    /// Largest ClientHello that comes in pieces; one that comes in one datagram may have any size.
    #[arg(long, env = "LOWBAND_HELLO", value_name = "SIZE", default_value = "4KiB")]
    hello: String,
    /// How long a handshake may take.
    #[arg(long, env = "LOWBAND_HANDSHAKE_TIMEOUT", value_name = "DURATION", default_value = "60s")]
    handshake_timeout: String,
    /// A session that is silent for longer is closed.
    #[arg(long, env = "LOWBAND_IDLE_SESSION", value_name = "DURATION", default_value = "24h")]
    idle_session: String,
    /// When all sessions are taken, the one that has been silent longest gives way to a new client, if it has been silent
    /// for this long. Clients that are there ping about every minute: keep it well above.
    #[arg(long, env = "LOWBAND_MAKE_ROOM_AFTER", value_name = "DURATION", default_value = "10m")]
    make_room_after: String,
    /// Largest UDP payload of a handshake. 1232 passes every IPv6 network.
    #[arg(long, env = "LOWBAND_MTU", value_name = "SIZE", default_value = "1232")]
    mtu: String,
}

impl Sessions {
    pub(in crate::config) fn parse(&self, mistakes: &mut Mistakes) -> Option<(Limits, Balancers)> {
        let sessions = mistakes.parse("--sessions", &self.sessions, values::within(1..=MANY));
        let half_open = mistakes.parse("--half-open", &self.half_open, values::within(1..=MANY));
        let half_open_per_address =
            mistakes.parse("--half-open-per-address", &self.half_open_per_address, values::within(1..=MANY));
        let balancers = mistakes.parse("--balancers", &self.balancers, values::balancers);
        // 576 less the headers of IPv4 and UDP is what every host takes (RFC 791); 16 kB is one record.
        let hello = mistakes.parse("--hello", &self.hello, values::size_within(256..=16_372));
        let handshake = mistakes.parse("--handshake-timeout", &self.handshake_timeout, values::some_duration);
        let idle = mistakes.parse("--idle-session", &self.idle_session, values::some_duration);
        let make_room_after =
            mistakes.parse("--make-room-after", &self.make_room_after, values::some_duration);
        let mtu = mistakes.parse("--mtu", &self.mtu, values::size_within(548..=16_384));
        let limits = Limits {
            sessions: sessions?,
            half_open: half_open?,
            half_open_per_address: half_open_per_address?,
            hello: hello?,
            handshake: handshake?,
            idle: idle?,
            make_room_after: make_room_after?,
            mtu: mtu?,
        };
        Some((limits, balancers?))
    }
}
