//! Bodies on their way through, in pieces or whole.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Why a body broke off.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of a request or of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Bytes that are handed on at a time by [`Holding`]: those of a frame of HTTP/2 (RFC 9113 section 4.2). The
/// server takes a piece whole as soon as its client has room for one byte.
const PIECE: usize = 16 << 10;

/// Returns a body without bytes.
pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body that is known whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that holds something until its last piece has been taken, or until it is dropped: a place, say. It
/// is handed on in small pieces, so that little of it is held by others without that.
pub(crate) struct Holding<T> {
    body: Body,
    /// What of a large piece has not been taken yet.
    rest: Bytes,
    held: Option<T>,
}

impl<T> Holding<T> {
    pub(crate) fn new(body: Body, held: T) -> Holding<T> {
        Holding { body, rest: Bytes::new(), held: Some(held) }
    }
}

impl<T: Unpin> http_body::Body for Holding<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = if self.rest.is_empty() {
            ready!(Pin::new(&mut self.body).poll_frame(context))
        } else {
            Some(Ok(Frame::data(std::mem::take(&mut self.rest))))
        };
        let frame = frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(mut piece) => {
                    self.rest = piece.split_off(piece.len().min(PIECE));
                    Frame::data(piece)
                }
                Err(frame) => frame,
            })
        });
        if !matches!(frame, Some(Ok(_))) || self.is_end_stream() {
            self.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut with_rest = SizeHint::new();
        with_rest.set_lower(hint.lower().saturating_add(rest));
        if let Some(most) = hint.upper() {
            with_rest.set_upper(most.saturating_add(rest));
        }
        with_rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::channel::Channel;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_is_held_is_given_back_with_the_last_piece_and_not_before() {
        let held = Arc::new(());
        let is_held = || Arc::strong_count(&held) > 1;
        let mut body = Holding::new(whole(vec![b'x'; 2 * PIECE + 1]), Arc::clone(&held));
        for (length, rest) in [(PIECE, PIECE + 1), (PIECE, 1), (1, 0)] {
            assert!(is_held() && !body.is_end_stream());
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), length);
            assert_eq!(body.size_hint().exact(), Some(rest as u64));
        }
        assert!(!is_held() && body.is_end_stream() && body.frame().await.is_none());
    }

    #[tokio::test]
    async fn what_is_held_is_given_back_by_a_body_that_breaks_off_or_is_dropped() {
        let held = Arc::new(());
        let (sender, body) = Channel::<Bytes, BoxError>::new(1);
        let mut body = Holding::new(body.boxed_unsync(), Arc::clone(&held));
        sender.abort("broken".into());
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(Arc::strong_count(&held), 1);
        let untouched = Holding::new(whole("x"), Arc::clone(&held));
        assert_eq!(Arc::strong_count(&held), 2);
        drop(untouched);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
