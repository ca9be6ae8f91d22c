//! The work of the shell at the end of a phase. The shell carries a step out and decides nothing.

use crate::{headers::Edit, reply::Reply};

/// The answer to one phase of a stream: first the edits, then the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Changes to the header fields of the phase's message; only while they are held.
    pub edits: Vec<Edit>,
    /// The fate of the message.
    pub then: Then,
}

/// What happens to the message after the edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// The message goes on unchanged.
    Forward,
    /// The message waits: the parts that have not left stay, and the host keeps what has come so far.
    Hold,
    /// The host's part of the body is handed over (`Exchange::request_taken`, `Exchange::response_taken`).
    Take,
    /// The host's part of the body is replaced by these bytes, and the message goes on.
    Replace(Vec<u8>),
    /// The message ends here, and the client gets this answer.
    Reply(Reply),
    /// The message breaks off: its beginning has left and must not pass for the whole.
    Cut,
}

impl From<Then> for Step {
    fn from(then: Then) -> Self {
        Step { edits: Vec::new(), then }
    }
}
