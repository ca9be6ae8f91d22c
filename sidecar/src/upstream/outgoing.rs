//! The body of a request, kept for as long as the request may have to be sent again.

use super::places::Place;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// A body that is sent once is let go as soon as it is in the hands of HTTP/2, if it is no longer than this: the flow control window of a
/// stream takes it whole (RFC 9113 section 6.9.2: 65,535 bytes).
const LET_GO: usize = 16 << 10;

/// What several attempts have in common.
#[derive(Debug)]
struct Kept {
    bytes: Mutex<Option<Bytes>>,
    len: usize,
    /// Whose memory is given back when the bytes are let go.
    sent_once: Option<Arc<Place>>,
}

/// One attempt to send it. Clones are further attempts.
#[derive(Debug)]
pub(super) struct Outgoing {
    kept: Arc<Kept>,
    is_sent: bool,
}

impl Clone for Outgoing {
    fn clone(&self) -> Outgoing {
        Outgoing { kept: Arc::clone(&self.kept), is_sent: false }
    }
}

impl Outgoing {
    /// A body that can be sent again until the last clone is gone.
    pub(super) fn new(bytes: Bytes) -> Outgoing {
        Outgoing::keeping(bytes, None)
    }

    /// A body whose request may wait for minutes: nobody keeps it when it has been sent, and `place` gets its memory back.
    pub(super) fn once(bytes: Bytes, place: &Arc<Place>) -> Outgoing {
        let is_short = bytes.len() <= LET_GO;
        Outgoing::keeping(bytes, is_short.then(|| Arc::clone(place)))
    }

    fn keeping(bytes: Bytes, sent_once: Option<Arc<Place>>) -> Outgoing {
        let len = bytes.len();
        let kept = Arc::new(Kept { bytes: Mutex::new(Some(bytes)), len, sent_once });
        Outgoing { kept, is_sent: false }
    }

    /// Whether a further attempt has something to send.
    pub(super) fn can_be_sent(&self) -> bool {
        self.kept.len == 0 || self.kept.bytes.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&mut self) -> Option<Bytes> {
        if std::mem::replace(&mut self.is_sent, true) || self.kept.len == 0 {
            return None;
        }
        let mut bytes = self.kept.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.kept.sent_once {
            None => bytes.clone(),
            Some(place) => {
                place.give_back_bytes();
                bytes.take()
            }
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_sent || self.kept.len == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.is_end_stream() { 0 } else { self.kept.len as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::places::{Holder, Places};
    use super::*;
    use http_body_util::BodyExt;
    use lowband_transport::SessionId;
    use lowband_transport::shares::Network;

    fn place(places: &Arc<Places>, bytes: usize) -> Arc<Place> {
        let holder = Holder { session: SessionId(1), network: Network::alone(1) };
        Arc::new(places.take(holder, bytes).unwrap())
    }

    async fn send(body: Outgoing) -> Bytes {
        let hint = body.size_hint().exact();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(hint, Some(bytes.len() as u64));
        bytes
    }

    #[tokio::test]
    async fn a_body_is_sent_as_often_as_there_are_clones() {
        let body = Outgoing::new(Bytes::from_static(b"body"));
        for _ in 0..2 {
            assert_eq!(send(body.clone()).await, "body");
            assert!(body.can_be_sent());
        }
        assert!(Outgoing::new(Bytes::new()).is_end_stream());
    }

    #[tokio::test]
    async fn one_that_is_sent_once_is_let_go_with_its_memory_unless_it_is_long() {
        let places = Arc::new(Places::new(10, 1 << 20, 1 << 20));
        let body = Outgoing::once(Bytes::from_static(b"body"), &place(&places, 4));
        assert_eq!((places.held().body_bytes, body.can_be_sent()), (4, true));
        assert_eq!(send(body.clone()).await, "body");
        assert_eq!((places.held().body_bytes, body.can_be_sent()), (0, false));

        let place = place(&places, LET_GO + 1);
        let body = Outgoing::once(vec![0; LET_GO + 1].into(), &place);
        assert_eq!(send(body.clone()).await.len(), LET_GO + 1);
        assert_eq!((places.held().body_bytes, body.can_be_sent()), (LET_GO + 1, true));
        assert!(!Outgoing::once(Bytes::new(), &place).is_sent);
    }
}
