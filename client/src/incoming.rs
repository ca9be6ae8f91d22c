//! A response that is handed out while it comes.
//!
//! ```text
//! State::take_events -> Pieces --channel--> Incoming::piece -> the caller
//! ```

use crate::connection::Pending;
use crate::driver::Failed;
use crate::error::Error;
use crate::message::Response;
use crate::packing::Unpacking;
use lowband_transport::coap::{Partial, ProtocolError};
use lowband_wire::coap::Code;
use lowband_wire::packed::NotPacked;
use std::fmt;
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// A response whose head is there, and whose body may still come. Dropping it cancels the request.
pub struct Incoming {
    /// The response code (RFC 7252 section 5.9).
    pub code: Code,
    /// Content-Format of the body.
    pub content_format: Option<u16>,
    /// Max-Age in seconds: when to ask again.
    pub max_age: Option<u32>,
    parts: UnboundedReceiver<Part>,
    is_whole: bool,
    _pending: Pending,
    _permit: OwnedSemaphorePermit,
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) code: Code,
    pub(crate) content_format: Option<u16>,
    pub(crate) max_age: Option<u32>,
}

/// What goes from the driver to an [`Incoming`]. All that goes unread is in the limit of a response's body.
pub(crate) enum Part {
    Head(Head),
    Bytes(Vec<u8>),
    /// The end of the body; nothing follows.
    End,
    /// The body has broken off: nothing follows.
    Failed(Failed),
}

impl Incoming {
    /// Waits for the head of the response.
    pub(crate) async fn begin(
        mut parts: UnboundedReceiver<Part>,
        pending: Pending,
        permit: OwnedSemaphorePermit,
    ) -> Result<Incoming, Failed> {
        match parts.recv().await {
            Some(Part::Head(Head { code, content_format, max_age })) => Ok(Incoming {
                code,
                content_format,
                max_age,
                parts,
                is_whole: false,
                _pending: pending,
                _permit: permit,
            }),
            Some(Part::Failed(failed)) => Err(failed),
            // The head always comes first.
            Some(Part::Bytes(_) | Part::End) | None => Err(Failed { error: Error::cut_off(), sent: true }),
        }
    }

    /// Returns the next piece of the body; `None` at its end. After an error the body stays incomplete: what
    /// has been handed out cannot be taken back, so nothing is asked for again.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, Error> {
        std::future::poll_fn(|context| self.poll_piece(context)).await
    }

    /// Returns the next piece as [`Incoming::piece`] does, or has the task woken when there is one.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, Error>> {
        if self.is_whole {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(match ready!(self.parts.poll_recv(context)) {
            Some(Part::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Part::End) => {
                self.is_whole = true;
                Ok(None)
            }
            Some(Part::Failed(failed)) => Err(failed.error),
            Some(Part::Head(_)) | None => Err(Error::cut_off()),
        })
    }

    /// Returns the response once its body is whole.
    pub async fn whole(mut self) -> Result<Response, Error> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            match body.is_empty() {
                true => body = piece,
                false => body.extend_from_slice(&piece),
            }
        }
        Ok(Response { code: self.code, content_format: self.content_format, max_age: self.max_age, body })
    }
}

/// Leaves out the body.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("code", &self.code)
            .field("content_format", &self.content_format)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// Hands out a response in parts.
pub(crate) struct Pieces {
    parts: UnboundedSender<Part>,
    /// What has been handed out: code, restarts of the request and bytes of the body as they came. `None`:
    /// nothing yet.
    begun: Option<(Code, u8, usize)>,
    unpacking: Unpacking,
    /// Bytes of the longest body.
    most: usize,
}

impl Pieces {
    /// Hands out a body of at most so many bytes.
    pub(crate) fn new(parts: UnboundedSender<Part>, most: usize) -> Pieces {
        Pieces { parts, begun: None, unpacking: Unpacking::default(), most }
    }

    /// Hands out what has come since the last time. Fails if the body is another one than that of which a
    /// part has been handed out, or is not what its format says.
    pub(crate) fn go_on(&mut self, partial: Option<Partial<'_>>) -> Result<(), Failed> {
        let Some(partial) = partial else {
            return if self.begun.is_none() { Ok(()) } else { Err(changed()) };
        };
        if self.begun.is_none() {
            self.begin(partial.code, partial.options.content_format, partial.options.max_age);
        }
        let (code, restarts, sent) = self.begun.unwrap_or((partial.code, partial.restarts, 0));
        if code != partial.code || restarts != partial.restarts {
            return Err(changed());
        }
        if let Some(more) = partial.body.get(sent..).filter(|more| !more.is_empty()) {
            let bytes = self.unpacking.piece(more.to_vec()).map_err(not_packed)?;
            self.bytes(bytes);
        }
        self.begun = Some((code, restarts, partial.body.len().max(sent)));
        Ok(())
    }

    /// Hands out the rest.
    pub(crate) fn finish(mut self, answer: Result<Response, Failed>) {
        let mut response = match answer {
            Ok(response) => response,
            Err(failed) => return self.send(Part::Failed(failed)),
        };
        let Response { code, content_format, max_age, .. } = response;
        let sent = match self.begun {
            None => {
                self.begin(code, content_format, max_age);
                0
            }
            Some((begun, _, sent)) if begun == code && sent <= response.body.len() => sent,
            // The server could not go on, and said so in place of a block.
            Some(_) => return self.send(Part::Failed(changed())),
        };
        let rest = response.body.split_off(sent);
        let last = self.unpacking.piece(rest).and_then(|mut bytes| {
            bytes.extend(std::mem::take(&mut self.unpacking).finish()?);
            Ok(bytes)
        });
        match last {
            Ok(bytes) => {
                self.bytes(bytes);
                self.send(Part::End);
            }
            Err(why) => self.send(Part::Failed(not_packed(why))),
        }
    }

    fn begin(&mut self, code: Code, content_format: Option<u16>, max_age: Option<u32>) {
        let (unpacking, content_format) = Unpacking::begin(content_format, self.most);
        self.unpacking = unpacking;
        self.send(Part::Head(Head { code, content_format, max_age }));
    }

    fn bytes(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.send(Part::Bytes(bytes));
        }
    }

    fn send(&self, part: Part) {
        let _nobody_waits_any_more = self.parts.send(part);
    }
}

fn not_packed(why: NotPacked) -> Failed {
    Failed { error: Error::NotPacked(why), sent: true }
}

/// Returns the failure of a response of which a part has been handed out that is not its own any more.
fn changed() -> Failed {
    Failed { error: Error::Protocol(ProtocolError::BodyChanged), sent: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::options::ResponseOptions;
    use tokio::sync::mpsc::unbounded_channel;

    fn partial<'c>(options: &'c ResponseOptions, body: &'c [u8], restarts: u8) -> Option<Partial<'c>> {
        Some(Partial { code: Code::new(2, 5), options, body, restarts })
    }

    #[test]
    fn a_body_that_begins_again_goes_on_only_where_nothing_was_handed_out() {
        let options = ResponseOptions::default();
        let (sender, _parts) = unbounded_channel();
        let mut pieces = Pieces::new(sender, 1 << 20);
        assert!(pieces.go_on(None).is_ok(), "nothing has come");
        assert!(pieces.go_on(partial(&options, b"ab", 1)).is_ok());
        assert!(pieces.go_on(partial(&options, b"abc", 1)).is_ok());
        assert!(pieces.go_on(None).is_err(), "it is asked for again");
        assert!(pieces.go_on(partial(&options, b"abcd", 2)).is_err());
    }

    #[test]
    fn a_refusal_in_the_middle_of_a_body_is_a_failure() {
        let options = ResponseOptions::default();
        let (sender, mut parts) = unbounded_channel();
        let mut pieces = Pieces::new(sender, 1 << 20);
        assert!(pieces.go_on(partial(&options, b"ab", 0)).is_ok());
        let response = |code| Response { code, content_format: None, max_age: None, body: b"abc".to_vec() };
        pieces.finish(Ok(response(Code::new(5, 4))));
        assert!(matches!(parts.try_recv(), Ok(Part::Head(_))));
        assert!(matches!(parts.try_recv(), Ok(Part::Bytes(bytes)) if bytes == b"ab"));
        assert!(matches!(parts.try_recv(), Ok(Part::Failed(_))));
        assert!(parts.try_recv().is_err());
    }
}
