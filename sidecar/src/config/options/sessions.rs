//! Options for handshakes and sessions: how many, for each address, and for how long.

use super::MANY;
use crate::config::{Mistakes, values};
use clap::Args;
use lowband_transport::dtls::Limits;
use lowband_transport::shares::{Balancers, Limit};

/// The limits of the DTLS layer.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Sessions {
    /// Sessions at most; an idle one takes 0.6 kB of memory.
    #[arg(long, env = "LOWBAND_SESSIONS", value_name = "COUNT", default_value = "100000")]
    sessions: String,
    /// Sessions of one address (an IPv6 /64 counts as one) at most, or auto for a quarter of --sessions and
    /// 16 at least; twice as many for an IPv4 /24 or IPv6 /48. One more ends another one of them: first one
    /// without a request that the homeserver has accepted, then the one silent longest.
    #[arg(long, env = "LOWBAND_SESSIONS_PER_ADDRESS", value_name = "COUNT", default_value = "auto")]
    sessions_per_address: String,
    /// Handshakes under way at most; each takes tens of kilobytes. One more ends the oldest of
    /// whoever has most.
    #[arg(long, env = "LOWBAND_HALF_OPEN", value_name = "COUNT", default_value = "1000")]
    half_open: String,
    /// Handshakes of one address (an IPv6 /64 counts as one) under way at most. With too few, users behind
    /// one NAT end each other's.
    #[arg(long, env = "LOWBAND_HALF_OPEN_PER_ADDRESS", value_name = "COUNT", default_value = "250")]
    half_open_per_address: String,
    /// New handshakes a second of all clients, on average; twice as many at once. One takes 0.3 to 0.6 ms of
    /// a core with a P-256 certificate, by the machine, 0.6 to 1.4 ms with RSA-2048, 4 to 6 ms with
    /// RSA-4096: strangers get half a core at most by default, but with RSA-4096, for which 80 would be
    /// right. Beyond it hellos are dropped, of those first who have sent most; clients repeat theirs after
    /// 1, 2 and 4 seconds.
    #[arg(long, env = "LOWBAND_HANDSHAKES_PER_SECOND", value_name = "COUNT", default_value = "300")]
    handshakes_per_second: String,
    /// New handshakes a second of one address (an IPv6 /64 counts as one), on average; eight times as many
    /// for an IPv4 /24 or IPv6 /48.
    #[arg(long, env = "LOWBAND_HANDSHAKES_PER_ADDRESS", value_name = "COUNT", default_value = "20")]
    handshakes_per_address: String,
    /// New handshakes of one address at once before its rate counts: an office behind one address
    /// that comes back.
    #[arg(long, env = "LOWBAND_HANDSHAKE_BURST", value_name = "COUNT", default_value = "200")]
    handshake_burst: String,
    /// Hellos that wait for a signature at most; one more is dropped, and its client repeats it
    /// a second later.
    #[arg(long, env = "LOWBAND_WAITING_HELLOS", value_name = "COUNT", default_value = "256")]
    waiting_hellos: String,
    /// Addresses of balancers and nodes that put their own address in place of their clients', or off:
    /// 10.0.0.0/8,2001:db8::7. No limit for one address holds there. Whoever can send from them has none, so
    /// name nothing that clients have.
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
    /// When all sessions are taken and none is worth less, the one that has been silent longest gives way to
    /// a new client, if it has been silent for this long. Clients that are there ping about every minute:
    /// keep it well above.
    #[arg(long, env = "LOWBAND_MAKE_ROOM_AFTER", value_name = "DURATION", default_value = "10m")]
    make_room_after: String,
    /// Largest UDP payload of a handshake. 1232 passes every IPv6 network.
    #[arg(long, env = "LOWBAND_MTU", value_name = "SIZE", default_value = "1232")]
    mtu: String,
}

impl Sessions {
    pub(in crate::config) fn parse(&self, mistakes: &mut Mistakes) -> Option<(Limits, Balancers)> {
        let sessions = mistakes.parse("--sessions", &self.sessions, values::within(1..=MANY));
        let per_address = match self.sessions_per_address.as_str() {
            "auto" => sessions.map(|sessions| (sessions / 4).max(16)),
            given => mistakes.parse("--sessions-per-address", given, |text| {
                values::count(text, 1..=MANY).map_err(|why| values::or_word(why, "auto"))
            }),
        };
        let half_open = mistakes.parse("--half-open", &self.half_open, values::within(1..=MANY));
        let half_open_per_address =
            mistakes.parse("--half-open-per-address", &self.half_open_per_address, values::within(1..=MANY));
        let mut rate = |option, given: &str| {
            mistakes
                .parse(option, given, values::within(1..=1_000_000))
                .and_then(|rate| u32::try_from(rate).ok())
        };
        let per_second = rate("--handshakes-per-second", &self.handshakes_per_second);
        let one_per_second = rate("--handshakes-per-address", &self.handshakes_per_address);
        let one_burst = rate("--handshake-burst", &self.handshake_burst);
        let waiting_hellos =
            mistakes.parse("--waiting-hellos", &self.waiting_hellos, values::within(1..=MANY));
        let balancers = mistakes.parse("--balancers", &self.balancers, values::balancers);
        // Every host takes 576 bytes less the headers of IPv4 and UDP (RFC 791); 16 kB is one record.
        let hello = mistakes.parse("--hello", &self.hello, values::size_within(256..=16_372));
        let handshake = mistakes.parse("--handshake-timeout", &self.handshake_timeout, values::some_duration);
        let idle = mistakes.parse("--idle-session", &self.idle_session, values::some_duration);
        let make_room_after =
            mistakes.parse("--make-room-after", &self.make_room_after, values::some_duration);
        let mtu = mistakes.parse("--mtu", &self.mtu, values::size_within(548..=16_384));
        let limits = Limits {
            sessions: sessions?,
            sessions_per_address: per_address?,
            half_open: half_open?,
            half_open_per_address: half_open_per_address?,
            handshakes: Limit { per_second: per_second?, burst: per_second?.saturating_mul(2) },
            handshakes_per_address: Limit { per_second: one_per_second?, burst: one_burst? },
            waiting_hellos: waiting_hellos?,
            hello: hello?,
            handshake: handshake?,
            idle: idle?,
            make_room_after: make_room_after?,
            mtu: mtu?,
        };
        Some((limits, balancers?))
    }
}
