//! Options for where requests go.

use super::MANY;
use crate::config::{Mistakes, values};
use crate::upstream::Settings;
use clap::Args;
use lowband_transport::shares::Limit;
use lowband_transport::{coap, dtls};

/// The upstream, and how long it may take.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Upstream {
    /// Where requests go: unix:PATH, or http://host:port, always HTTP/2 with prior knowledge. Plain http to
    /// another machine shows access tokens to the network between. Without it and without --homeserver,
    /// unix:run/envoy.sock.
    #[arg(long, env = "LOWBAND_UPSTREAM", value_name = "URL")]
    upstream: Option<String>,
    /// Connections to the upstream at most. Over a unix socket one more is opened when each has 100 requests
    /// in flight; over TCP requests are spread over all of them.
    #[arg(long, env = "LOWBAND_UPSTREAM_CONNECTIONS", value_name = "COUNT", default_value = "32")]
    upstream_connections: String,
    /// How long a connection to the upstream over TCP takes requests, less a random quarter at most. Then the
    /// name is asked for again; what waits on the old one ends there.
    #[arg(long, env = "LOWBAND_UPSTREAM_CONNECTION_AGE", value_name = "DURATION", default_value = "10m")]
    upstream_connection_age: String,
    /// Requests in flight to the upstream at most, long polls included, or auto: five for four of --sessions,
    /// for every client has one open all the time, but no more than the 16384 that Envoy lets through by the
    /// envoy.yaml of this program. A quarter of them for one address (IPv6: /64), half for its neighbourhood
    /// (IPv4 /24, IPv6 /48). Beyond them the oldest long poll of whoever has most is answered early, by 5.03;
    /// where there is none, clients get 5.03. Envoy's limits (max_concurrent_streams, circuit breakers) must
    /// allow as many.
    #[arg(long, env = "LOWBAND_UPSTREAM_REQUESTS", value_name = "COUNT", default_value = "auto")]
    upstream_requests: String,
    /// A request whose client goes away is ended at the upstream when it is this old, not sooner: Envoy cuts
    /// connections on which many requests were ended young (premature_reset_min_stream_lifetime_seconds, 1 s
    /// unless set), and with them those of others.
    #[arg(long, env = "LOWBAND_UPSTREAM_CANCEL_AFTER", value_name = "DURATION", default_value = "3s")]
    upstream_cancel_after: String,
    /// Waiting requests a second that clients of one address (IPv6: /64) may go away from on average, ten
    /// times as many at once. What goes beyond is not ended at the upstream, and keeps its place until its
    /// answer comes or somebody needs it.
    #[arg(long, env = "LOWBAND_CANCELS_PER_SECOND", value_name = "COUNT", default_value = "20")]
    cancels_per_second: String,
    /// How long connecting to the upstream may take.
    #[arg(long, env = "LOWBAND_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "5s")]
    connect_timeout: String,
    /// How long the upstream may be silent, before the response and between two pieces of it, until
    /// clients get 5.04. The `timeout` of a long poll is added. Too short turns slow joins of large
    /// rooms into errors.
    #[arg(long, env = "LOWBAND_RESPONSE_TIMEOUT", value_name = "DURATION", default_value = "60s")]
    response_timeout: String,
    /// The longest `timeout` of a long poll that is believed. Long polls are /sync, /events and sliding sync.
    #[arg(long, env = "LOWBAND_LONGEST_POLL", value_name = "DURATION", default_value = "10m")]
    longest_poll: String,
    /// How often a busy connection to the upstream is asked whether it lives. A dead one ends its
    /// requests with 5.02.
    #[arg(long, env = "LOWBAND_UPSTREAM_PING", value_name = "DURATION", default_value = "20s")]
    upstream_ping: String,
}

/// Where Envoy listens by the envoy.yaml of this program.
const OF_ENVOY: &str = "unix:run/envoy.sock";
const BOTH: &str =
    "names an Envoy, which --homeserver does without: leave out --upstream, or --homeserver to ask Envoy";

impl Upstream {
    /// Forgets an address in favour of a homeserver.
    pub(in crate::config) fn forget(&mut self) {
        self.upstream = None;
    }

    /// Parses the group. The settings still need the number of sessions, and the size and number of request
    /// bodies.
    pub(in crate::config) fn parse(
        &self,
        without_envoy: bool,
        mistakes: &mut Mistakes,
    ) -> Option<impl FnOnce(&dtls::Limits, &coap::Limits) -> Settings + use<>> {
        let given = self.upstream.as_deref();
        let address = mistakes.parse("--upstream", given.unwrap_or(OF_ENVOY), |url| match without_envoy {
            true if given.is_some() => Err(BOTH.to_owned()),
            _ => values::upstream(url),
        });
        let connections =
            mistakes.parse("--upstream-connections", &self.upstream_connections, values::within(1..=1024));
        let connection_age =
            mistakes.parse("--upstream-connection-age", &self.upstream_connection_age, values::some_duration);
        let requests = mistakes.parse("--upstream-requests", &self.upstream_requests, |text| {
            values::count_or_auto(text, 1..=MANY)
        });
        let cancel_after =
            mistakes.parse("--upstream-cancel-after", &self.upstream_cancel_after, values::duration);
        let cancels =
            mistakes.parse("--cancels-per-second", &self.cancels_per_second, values::within(1..=1_000_000));
        let connect_timeout =
            mistakes.parse("--connect-timeout", &self.connect_timeout, values::some_duration);
        let response_timeout =
            mistakes.parse("--response-timeout", &self.response_timeout, values::some_duration);
        let longest_poll = mistakes.parse("--longest-poll", &self.longest_poll, values::duration);
        let ping = mistakes.parse("--upstream-ping", &self.upstream_ping, values::some_duration);
        let (address, connections, requests) = (address?, connections?, requests?);
        let (connect_timeout, response_timeout) = (connect_timeout?, response_timeout?);
        let (longest_poll, ping) = (longest_poll?, ping?);
        let (connection_age, cancel_after) = (connection_age?, cancel_after?);
        let cancels = tens_at_once(u32::try_from(cancels?).ok()?);
        Some(move |dtls: &dtls::Limits, coap: &coap::Limits| Settings {
            address,
            connections,
            requests: requests.unwrap_or_else(|| requests_of(dtls.sessions)),
            request_bytes: coap.blockwise_total,
            largest_body: coap.upload,
            cancel_after,
            cancels,
            connection_age,
            connect_timeout,
            response_timeout,
            longest_poll,
            ping,
        })
    }
}

/// The circuit breaker of envoy.yaml for what comes from here. Envoy would refuse more, without knowing whose
/// turn it is.
const ENVOY_TAKES: usize = 16_384;

/// Fewest requests in flight. A household behind one address has a quarter of them, and one client half of
/// that: with fewer, a client's messages would end its own syncs.
const FEWEST: usize = 1024;

/// Returns the default for this many sessions: each client has a long poll open all the time, and one in four
/// sends another request.
fn requests_of(sessions: usize) -> usize {
    sessions.saturating_add(sessions / 4).clamp(FEWEST, ENVOY_TAKES)
}

fn tens_at_once(per_second: u32) -> Limit {
    Limit { per_second, burst: per_second.saturating_mul(10) }
}
