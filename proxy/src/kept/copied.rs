//! A body that is copied while it goes by.

use super::{Asking, Head};
use crate::body::{Body, BoxError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The pieces of a body, as they come. Once all of them have, and no more and no less than was declared, the
/// copy is kept; in all other cases it is dropped.
pub(super) struct Copied {
    body: Body,
    copy: Option<Copying>,
}

struct Copying {
    bytes: Vec<u8>,
    length: usize,
    asking: Asking,
    head: Head,
}

impl Copied {
    /// Copies a body of this length, for which room was made.
    pub(super) fn new(body: Body, length: usize, asking: Asking, head: Head) -> Copied {
        let copy = Copying { bytes: Vec::with_capacity(length), length, asking, head };
        let mut copied = Copied { body, copy: Some(copy) };
        copied.keep_if_whole();
        copied
    }

    /// Keeps the copy as soon as the last piece has come: nobody asks for one more.
    fn keep_if_whole(&mut self) {
        if let Some(copy) = self.copy.take_if(|copy| copy.bytes.len() == copy.length) {
            copy.asking.put(copy.head, Bytes::from(copy.bytes));
        }
    }
}

impl http_body::Body for Copied {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let piece = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
        match (piece, &mut self.copy) {
            (Some(piece), Some(copy)) if piece.len() <= copy.length - copy.bytes.len() => {
                copy.bytes.extend_from_slice(piece);
                self.keep_if_whole();
            }
            // It breaks off, ends too early, is too long, or has trailers.
            _ => self.copy = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
