//! The costly steps of an accepted handshake: the signature in its first flight, and the key exchange with
//! the client's answer. The owner of the endpoint may run them in another thread, so that no session waits
//! for them.
//!
//! ```text
//! hello with its cookie -> Job -> Done -> ServerHello ... ServerHelloDone
//! ClientKeyExchange     -> Job -> Done -> (ChangeCipherSpec, Finished, which have waited)
//! ```

use super::context::Acceptor;
use super::pipe::Pipe;
use crate::{SessionId, SetupError};
use openssl::ssl::{self, SslStream};
use std::fmt;

/// A costly step that waits to be run. If it is dropped, its handshake ends by its time limit.
pub struct Job {
    pub(super) id: SessionId,
    pub(super) work: Work,
}

/// A costly step that has been run: for [`super::Endpoint::handle_done`].
pub struct Done {
    pub(super) id: SessionId,
    pub(super) outcome: Result<Step, SetupError>,
}

/// OpenSSL's object travels with it.
pub(super) enum Work {
    /// `hello`: the record.
    Accept {
        acceptor: Acceptor,
        message_seq: u16,
        hello: Vec<u8>,
    },
    Answer {
        stream: SslStream<Pipe>,
        record: Vec<u8>,
    },
}

/// What OpenSSL has made of a record.
pub(super) struct Step {
    pub(super) stream: SslStream<Pipe>,
    pub(super) result: Result<(), ssl::Error>,
    pub(super) written: Vec<u8>,
}

impl Job {
    /// Runs the step. That takes some hundred microseconds, with RSA some milliseconds, and does no I/O.
    pub fn run(self) -> Done {
        let ready = match self.work {
            Work::Accept { acceptor, message_seq, hello } => {
                acceptor.accept(message_seq).map(|stream| (stream, hello))
            }
            Work::Answer { stream, record } => Ok((stream, record)),
        };
        let outcome = ready.map(|(stream, record)| Step::feed(stream, record));
        Done { id: self.id, outcome }
    }
}

impl Step {
    fn feed(mut stream: SslStream<Pipe>, record: Vec<u8>) -> Step {
        stream.get_mut().push(record);
        Step::go_on(stream)
    }

    pub(super) fn go_on(mut stream: SslStream<Pipe>) -> Step {
        let result = stream.do_handshake();
        let written = stream.get_mut().take_outgoing();
        Step { stream, result, written }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_may_cross_threads() {
        fn is_send<T: Send + 'static>() {}
        is_send::<Job>();
        is_send::<Done>();
    }
}
