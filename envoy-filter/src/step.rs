//! What the shell has to do at the end of a phase. The shell carries a step out and decides nothing.

use crate::{headers::Edit, reply::Reply};

/// The answer to one phase of a stream: first the edits, then the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Changes to the header fields of the message whose phase it is; only while they are held.
    pub edits: Vec<Edit>,
    /// What happens to the message.
    pub then: Then,
}

/// What happens to the message after the edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on as it is.
    Forward,
    /// It waits: neither headers nor body leave. The host keeps what has come so far.
    Hold,
    /// The body is complete: hand all of it over (`Exchange::request_whole`, `Exchange::response_whole`).
    Take,
    /// Its body becomes these bytes, and it goes on.
    Replace(Vec<u8>),
    /// It ends here, and the client gets this answer.
    Reply(Reply),
}

impl From<Then> for Step {
    fn from(then: Then) -> Self {
        Step { edits: Vec::new(), then }
    }
}
