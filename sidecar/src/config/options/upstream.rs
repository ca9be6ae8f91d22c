//! Where requests go.

use super::MANY;
use crate::config::{Mistakes, values};
use crate::upstream::Settings;
use clap::Args;

/// The upstream, and how long it may take.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Upstream {
    /// Where requests go: unix:PATH, or http://host:port, always HTTP/2 with prior knowledge. Plain http to another
    /// machine shows access tokens to the network between.
    #[arg(long, env = "LOWBAND_UPSTREAM", value_name = "URL", default_value = "unix:run/envoy.sock")]
    upstream: String,
    /// Connections to the upstream at most. One more is opened when each has 100 requests in flight.
    #[arg(long, env = "LOWBAND_UPSTREAM_CONNECTIONS", value_name = "COUNT", default_value = "32")]
    upstream_connections: String,
    /// Requests in flight to the upstream at most, long polls included; beyond them clients get 5.03.
    #[arg(long, env = "LOWBAND_UPSTREAM_REQUESTS", value_name = "COUNT", default_value = "20000")]
    upstream_requests: String,
    /// How long connecting to the upstream may take.
    #[arg(long, env = "LOWBAND_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "5s")]
    connect_timeout: String,
    /// How long the upstream may be silent, before the response and between two pieces of it, until clients get 5.04.
    /// The `timeout` of a long poll is added. Too short turns slow joins of large rooms into errors.
    #[arg(long, env = "LOWBAND_RESPONSE_TIMEOUT", value_name = "DURATION", default_value = "60s")]
    response_timeout: String,
    /// The longest `timeout` of a long poll that is believed.
    #[arg(long, env = "LOWBAND_LONGEST_POLL", value_name = "DURATION", default_value = "10m")]
    longest_poll: String,
    /// How often a busy connection to the upstream is asked whether it lives. A dead one ends its requests with 5.02.
    #[arg(long, env = "LOWBAND_UPSTREAM_PING", value_name = "DURATION", default_value = "20s")]
    upstream_ping: String,
}

impl Upstream {
    /// The settings still have to be told how many bytes of request bodies there may be.
    pub(in crate::config) fn parse(
        &self,
        mistakes: &mut Mistakes,
    ) -> Option<impl FnOnce(usize) -> Settings + use<>> {
        let address = mistakes.parse("--upstream", &self.upstream, values::upstream);
        let connections =
            mistakes.parse("--upstream-connections", &self.upstream_connections, values::within(1..=1024));
        let requests =
            mistakes.parse("--upstream-requests", &self.upstream_requests, values::within(1..=MANY));
        let connect_timeout =
            mistakes.parse("--connect-timeout", &self.connect_timeout, values::some_duration);
        let response_timeout =
            mistakes.parse("--response-timeout", &self.response_timeout, values::some_duration);
        let longest_poll = mistakes.parse("--longest-poll", &self.longest_poll, values::duration);
        let ping = mistakes.parse("--upstream-ping", &self.upstream_ping, values::some_duration);
        let (address, connections, requests) = (address?, connections?, requests?);
        let (connect_timeout, response_timeout) = (connect_timeout?, response_timeout?);
        let (longest_poll, ping) = (longest_poll?, ping?);
        Some(move |request_bytes| Settings {
            address,
            connections,
            requests,
            request_bytes,
            connect_timeout,
            response_timeout,
            longest_poll,
            ping,
        })
    }
}
