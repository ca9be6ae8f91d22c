//! A request's body that is held whole in the host's memory until its last piece has come.

use crate::reply::MatrixError;
use crate::step::Then;

/// Whether a message waits, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing waits: the message has not begun, need not be translated, or was released.
    #[default]
    Free,
    /// The body waits for its rest, and the headers wait with it if they may.
    Held,
    /// The body is complete, and trailers wait after it.
    HeldWithTrailers,
    /// The message will be refused for its `content-encoding` when it ends: over HTTP/2 an earlier answer
    /// comes with a reset of the stream, and some clients (curl) then discard the answer.
    Compressed,
}

impl Hold {
    /// Takes a piece; `held` bytes are there now. `end`: the body is complete.
    pub(crate) fn piece(self, held: usize, end: bool, limit: usize) -> Result<Then, MatrixError> {
        match self {
            Hold::Free => Ok(Then::Forward),
            Hold::Compressed if end || held > limit => Err(MatrixError::compressed()),
            _ if held > limit => Err(MatrixError::too_large(limit)),
            _ if end => Ok(Then::Take),
            _ => Ok(Then::Hold),
        }
    }

    /// Takes note of trailers, which complete the body (its last piece was not marked as the end).
    pub(crate) fn trailers(&mut self) -> Result<Then, MatrixError> {
        match self {
            Hold::Free => Ok(Then::Forward),
            Hold::Compressed => Err(MatrixError::compressed()),
            _ => {
                *self = Hold::HeldWithTrailers;
                Ok(Then::Take)
            }
        }
    }

    /// Releases the message. Returns `None` if nothing was held.
    pub(crate) fn release(&mut self) -> Option<Released> {
        match std::mem::take(self) {
            Hold::Free | Hold::Compressed => None,
            Hold::Held => Some(Released { trailers: false }),
            Hold::HeldWithTrailers => Some(Released { trailers: true }),
        }
    }
}

/// A message that was released.
pub(crate) struct Released {
    trailers: bool,
}

impl Released {
    /// Returns the `content-length` for a body of this size: none before trailers, because HTTP/1 sends none
    /// after a body of known length.
    pub(crate) fn content_length(&self, size: usize) -> Option<usize> {
        (!self.trailers).then_some(size)
    }
}
