//! How much of the upstream is in use, and the refusals for lack of room.

use crate::refusal::Refusal;
use lowband_wire::coap::Code;

/// A pool without room for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// [`super::Settings::requests`] are in flight, or the share of the asking client is used up.
    Requests,
    /// [`super::Settings::request_bytes`] are in use, or the share of the asking client is used up.
    BodyBytes,
}

impl Busy {
    /// Returns a short word for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Busy::Requests => "upstream_requests",
            Busy::BodyBytes => "upstream_body_bytes",
        }
    }

    /// Returns the refusal that the client gets.
    pub fn refusal(self) -> Refusal {
        BUSY.again_in(1)
    }
}

const BUSY: Refusal = Refusal::matrix(Code::SERVICE_UNAVAILABLE, "M_UNKNOWN", "the proxy is busy");

/// Returns the refusal of a long poll that gives way to another request: to ask again in this many seconds.
pub fn polls_again_in(seconds: u32) -> Refusal {
    BUSY.again_in(seconds)
}

/// The load of an upstream at one moment, and its counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Places that are taken, including those of requests whose clients have gone.
    pub requests: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Bytes of request bodies that are kept.
    pub body_bytes: u64,
    /// Requests of the network that has most.
    pub most_of_a_network: u64,
    /// Requests that no client waits for any more, and that run on.
    pub running_out: u64,
    /// Requests that were sent again since the start because their connection had broken off.
    pub repeated: u64,
    /// Whether the upstream could be used at the last attempt; `None` before the first one.
    pub up: Option<bool>,
}
