//! How much of the upstream is in use, and what is told when there is no room.

use crate::refusal::Refusal;
use crate::status;

/// A pool without room for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// [`super::Settings::requests`] wait.
    Requests,
    /// [`super::Settings::request_bytes`] wait.
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
        Refusal::matrix(status::UNAVAILABLE, "M_UNKNOWN", "the proxy is busy").again_in(1)
    }
}

/// What an upstream has to do at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connections that are open.
    pub connections: u64,
    /// Bytes of request bodies on their way.
    pub body_bytes: u64,
    /// Whether the last attempt to connect succeeded; `None` before the first one.
    pub up: Option<bool>,
}
