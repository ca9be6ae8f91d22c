//! A request's body that is held whole in the host's memory until its last piece has come.

use crate::reply::MatrixError;
use crate::step::Then;

/// Whether a message waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing waits: not begun, not to be translated, or released.
    #[default]
    Free,
    /// The body waits for its rest, and the headers wait with it if they may.
    Held,
    /// The body is complete, and trailers wait behind it.
    HeldWithTrailers,
    /// It is refused for its `content-encoding`, when its end has come: over HTTP/2 an answer before that
    /// comes with a reset of the stream, for which some clients (curl) throw the answer away.
    Compressed,
}

impl Hold {
    /// A piece has come, `held` bytes are there now; `end`: that is all.
    pub(crate) fn piece(self, held: usize, end: bool, limit: usize) -> Result<Then, MatrixError> {
        match self {
            Hold::Free => Ok(Then::Forward),
            Hold::Compressed if end || held > limit => Err(MatrixError::compressed()),
            _ if held > limit => Err(MatrixError::too_large(limit)),
            _ if end => Ok(Then::Take),
            _ => Ok(Then::Hold),
        }
    }

    /// Trailers have come: with them the body is complete (its last piece was not called the end).
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

    /// Releases the message. `None` when nothing was held.
    pub(crate) fn release(&mut self) -> Option<Released> {
        match std::mem::take(self) {
            Hold::Free | Hold::Compressed => None,
            Hold::Held => Some(Released { trailers: false }),
            Hold::HeldWithTrailers => Some(Released { trailers: true }),
        }
    }
}

/// A message on its way again.
pub(crate) struct Released {
    trailers: bool,
}

impl Released {
    /// What `content-length` may say of a body of this size: nothing before trailers, because HTTP/1 sends
    /// none after a body of known length.
    pub(crate) fn content_length(&self, size: usize) -> Option<usize> {
        (!self.trailers).then_some(size)
    }
}
