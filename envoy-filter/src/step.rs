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
    /// It waits: what has not left stays, and the host keeps what has come so far.
    Hold,
    /// Hand over what the host holds of the body (`Exchange::request_taken`, `Exchange::response_taken`).
    Take,
    /// What the host holds of the body becomes these bytes, and it goes on.
    Replace(Vec<u8>),
    /// It ends here, and the client gets this answer.
    Reply(Reply),
    /// It breaks off: its beginning has left, and nobody must take that for the whole.
    Cut,
}

impl From<Then> for Step {
    fn from(then: Then) -> Self {
        Step { edits: Vec::new(), then }
    }
}
