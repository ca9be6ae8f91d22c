//! How much of the upstream is in use, and what is told when there is no room.

use crate::refusal::Refusal;
use lowband_transport::coap::Code;

/// A pool without room for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// [`super::Settings::requests`] wait, or the share of who asks.
    Requests,
    /// [`super::Settings::request_bytes`] wait, or the share of who asks.
    BodyBytes,
}

impl Busy {
    /// A short word for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Busy::Requests => "upstream_requests",
            Busy::BodyBytes => "upstream_body_bytes",
        }
    }

    /// What the client is told.
    pub fn refusal(self) -> Refusal {
        BUSY.again_in(1)
    }
}

const BUSY: Refusal = Refusal::matrix(Code::SERVICE_UNAVAILABLE, "M_UNKNOWN", "the proxy is busy");

/// What is told to a long poll that gives way to another request: to ask again in so many seconds.
pub fn polls_again_in(seconds: u32) -> Refusal {
    BUSY.again_in(seconds)
}

/// What an upstream has to do at one moment, and what it has had to do so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Places that are taken, those of requests among them whose clients have gone.
    pub requests: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Bytes of request bodies that are kept.
    pub body_bytes: u64,
    /// Requests of the network that has most.
    pub most_of_a_network: u64,
    /// Requests that nobody waits for any more, and that run on.
    pub running_out: u64,
    /// Requests that were asked again since the start, because their connection had broken off.
    pub repeated: u64,
    /// Whether the last attempt to connect succeeded; `None` before the first one.
    pub up: Option<bool>,
}
