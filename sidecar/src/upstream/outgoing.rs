//! The body of a request, kept for as long as the request may have to be sent again, and counted for as long
//! as it is in memory.
//!
//! ```text
//! Outgoing::new    kept here: each attempt sends a clone     memory given back with the last of them: nothing is sent again
//! Outgoing::once   handed over: HTTP/2 has it alone          memory given back when HTTP/2 has written its last byte
//! ```
//!
//! HTTP/2 releases a body when all of it is written, piece by piece as the other side's windows open (RFC
//! 9113 section 5.2), or when its stream ends before that.

use super::places::Permit;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The bytes of a body, and the permit that their memory counts to.
struct Counted {
    bytes: Bytes,
    permit: Arc<Permit>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.permit.give_back_bytes();
    }
}

/// The part that all attempts to send a body share.
#[derive(Debug)]
struct Kept {
    bytes: Mutex<Option<Bytes>>,
    len: usize,
    is_sent_once: bool,
}

/// One attempt to send a body. Clones are further attempts.
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
    /// Makes a body that can be sent again until the last clone is gone. Its memory counts to `permit`, and
    /// is given back when the body is not held anywhere any more.
    pub(super) fn new(bytes: Bytes, permit: &Arc<Permit>) -> Outgoing {
        Outgoing::keeping(bytes, permit, false)
    }

    /// Makes a body whose request may wait for minutes: it is not kept once it has been sent.
    pub(super) fn once(bytes: Bytes, permit: &Arc<Permit>) -> Outgoing {
        Outgoing::keeping(bytes, permit, true)
    }

    fn keeping(bytes: Bytes, permit: &Arc<Permit>, is_sent_once: bool) -> Outgoing {
        let len = bytes.len();
        let bytes = (len > 0).then(|| Bytes::from_owner(Counted { bytes, permit: Arc::clone(permit) }));
        Outgoing { kept: Arc::new(Kept { bytes: Mutex::new(bytes), len, is_sent_once }), is_sent: false }
    }

    /// Returns whether a further attempt has something to send.
    pub(super) fn can_be_sent(&self) -> bool {
        self.kept.len == 0 || self.kept.bytes.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&mut self) -> Option<Bytes> {
        if std::mem::replace(&mut self.is_sent, true) {
            return None;
        }
        let mut bytes = self.kept.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if self.kept.is_sent_once { bytes.take() } else { bytes.clone() }
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
    use super::super::places::{Held, Holder, Places};
    use super::*;
    use http_body_util::BodyExt;
    use lowband_transport::SessionId;
    use lowband_transport::shares::Network;

    fn permit(places: &Arc<Places>, bytes: usize) -> Arc<Permit> {
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
    async fn a_body_is_sent_as_often_as_there_are_clones_and_counted_until_the_last_is_gone() {
        let places = Arc::new(Places::new(10, 1 << 20, 1 << 20));
        let body = Outgoing::new(Bytes::from_static(b"body"), &permit(&places, 4));
        for _ in 0..2 {
            assert_eq!(send(body.clone()).await, "body");
            assert_eq!((places.held().body_bytes, body.can_be_sent()), (4, true));
        }
        let at_http2 = body.clone().take().unwrap();
        drop(body);
        assert_eq!(places.held().body_bytes, 4);
        drop(at_http2);
        assert_eq!(places.held(), Held::default());
        assert!(Outgoing::new(Bytes::new(), &permit(&places, 0)).is_end_stream());
    }

    #[tokio::test]
    async fn one_that_is_sent_once_is_counted_until_it_has_been_sent_however_long_it_is() {
        let places = Arc::new(Places::new(10, 1 << 20, 1 << 20));
        for len in [4, 1 << 20] {
            let permit = permit(&places, len);
            let mut body = Outgoing::once(vec![0; len].into(), &permit);
            assert_eq!((places.held().body_bytes, body.can_be_sent()), (len, true));
            let at_http2 = body.take().unwrap();
            assert_eq!((places.held().body_bytes, body.can_be_sent()), (len, false));
            drop(at_http2);
            let held = places.held();
            assert_eq!((held.body_bytes, held.requests), (0, 1), "its request still waits");
        }
        assert!(!Outgoing::once(Bytes::new(), &permit(&places, 0)).is_sent);
    }
}
