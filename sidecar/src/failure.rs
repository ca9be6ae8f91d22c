//! What can go wrong with the upstream, the answer that the client gets for it, and its name in log and
//! metrics.

use crate::refusal::Refusal;
use lowband_wire::coap::Code;
use std::fmt;

/// Why the upstream's response is missing or incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection; clients that try again soon get this failure again at once.
    Unreachable(String),
    /// The upstream was silent for too long.
    Hung,
    /// The upstream has refused to process the request, or its connection was about to end, and the request
    /// cannot be sent again from here.
    Unprocessed(String),
    /// The connection or the stream broke off.
    Broken(String),
    /// The task that carried the request ended before the response was complete: a bug in this program.
    Lost,
}

impl Failure {
    /// Every word that [`Failure::name`] returns.
    pub const NAMES: [&str; 5] = ["unreachable", "hung", "unprocessed", "broken", "lost"];

    /// Returns a short word for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Failure::Unreachable(_) => "unreachable",
            Failure::Hung => "hung",
            Failure::Unprocessed(_) => "unprocessed",
            Failure::Broken(_) => "broken",
            Failure::Lost => "lost",
        }
    }

    /// Returns the answer for the client.
    pub fn refusal(&self) -> Refusal {
        match self {
            Failure::Unreachable(_) => {
                Refusal::matrix(Code::BAD_GATEWAY, "M_UNKNOWN", "the homeserver's proxy cannot be reached")
            }
            Failure::Hung => {
                Refusal::matrix(Code::GATEWAY_TIMEOUT, "M_UNKNOWN", "the homeserver does not answer")
            }
            // The request has had no effect: repeating it at once is right, whatever it asks for.
            Failure::Unprocessed(_) => Refusal::matrix(
                Code::SERVICE_UNAVAILABLE,
                "M_UNKNOWN",
                "the homeserver's proxy is about to end; ask again",
            )
            .again_in(1),
            Failure::Broken(_) => Refusal::matrix(Code::BAD_GATEWAY, "M_UNKNOWN", "the answer broke off"),
            Failure::Lost => Refusal::matrix(Code::BAD_GATEWAY, "M_UNKNOWN", "the proxy has lost the answer"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Failure::Hung => f.write_str("does not answer"),
            Failure::Unprocessed(why) => write!(f, "did not process it: {why}"),
            Failure::Broken(why) => write!(f, "broke off: {why}"),
            Failure::Lost => f.write_str("was lost by an error of this program"),
        }
    }
}
