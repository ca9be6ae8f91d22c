//! Bodies over HTTPS whose progress is seen: so that a long upload is not taken for a silent server, and a
//! download that has stopped is not waited for.

use crate::body::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep};

/// When a body last moved. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Moved(Arc<Mutex<Instant>>);

impl Default for Moved {
    fn default() -> Self {
        Moved(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Moved {
    pub(super) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A body that notes when it moves.
pub(super) struct Counted<B> {
    body: B,
    moved: Moved,
}

impl<B> Counted<B> {
    pub(super) fn new(body: B, moved: Moved) -> Counted<B> {
        Counted { body, moved }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // Asked for a piece, the one before it has gone.
        self.moved.now();
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that breaks off after a silence.
pub(super) struct Watched<B> {
    body: B,
    longest: Duration,
    /// Runs while a piece is waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<B> Watched<B> {
    pub(super) fn new(body: B, longest: Duration) -> Watched<B> {
        Watched { body, longest, silence: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let longest = self.longest;
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(longest)));
        silence.as_mut().poll(context).map(|()| Some(Err(format!("nothing came for {longest:?}").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};
    use tokio::sync::mpsc;

    /// A body of the pieces of a channel.
    fn of(
        mut pieces: mpsc::UnboundedReceiver<&'static str>,
    ) -> impl Body<Data = Bytes, Error = BoxError> + Unpin {
        struct Pieces<F>(F);
        impl<F: FnMut(&mut Context<'_>) -> Poll<Option<&'static str>> + Unpin> Body for Pieces<F> {
            type Data = Bytes;
            type Error = BoxError;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
                (self.0)(context).map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from(piece)))))
            }
        }
        Pieces(move |context: &mut Context<'_>| pieces.poll_recv(context))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_its_time_and_breaks_off_after_a_silence() {
        let (send, pieces) = mpsc::unbounded_channel();
        let mut body = Watched::new(of(pieces), Duration::from_secs(60));
        for _ in 0..3 {
            let late = async {
                sleep(Duration::from_secs(59)).await;
                send.send("x").unwrap();
            };
            let (frame, ()) = tokio::join!(body.frame(), late);
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "x");
        }
        let broken = body.frame().await.unwrap().unwrap_err();
        assert_eq!(broken.to_string(), "nothing came for 60s");
    }

    #[tokio::test]
    async fn what_moves_is_noted_and_the_length_stays_known() {
        let moved = Moved::default();
        let before = moved.last();
        let mut body = Counted::new(Full::new(Bytes::from("abc")), moved.clone());
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert!(moved.last() > before && body.is_end_stream());
    }
}
