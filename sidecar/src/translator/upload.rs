//! The body of a request on its way to the homeserver: one that goes on as it comes, or JSON that was CBOR.

use super::strangers::Unended;
use crate::homeserver::Outbound;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// Makes a body for the homeserver of one that is on its way, whose request counts as `unended` until all of
/// it has gone on. The other value tells how it goes.
pub(super) fn outbound<B>(body: B, unended: Option<Unended>) -> (Outbound, Course)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let course = Course(Arc::new(Mutex::new((Instant::now(), false))));
    let watched = Watched { body: Box::pin(body), unended, course: course.clone() };
    (Outbound::Streaming(watched.map_err(Into::into).boxed_unsync()), course)
}

/// When a body has moved last, and whether it has broken off.
#[derive(Clone)]
pub(super) struct Course(Arc<Mutex<(Instant, bool)>>);

impl Course {
    fn note(&self, is_broken: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), is_broken);
    }

    /// Returns when a piece has gone on last; at first, when the body was made.
    pub(super) fn moved(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Returns true if the body has not come whole.
    pub(super) fn is_broken(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

struct Watched<B> {
    body: Pin<Box<B>>,
    unended: Option<Unended>,
    course: Course,
}

impl<B: Body<Data = Bytes>> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // Trailers hold nothing that Matrix knows, and may hold what is believed of a proxy.
        let frame = ready!(self.body.as_mut().poll_frame(cx))
            .filter(|frame| !frame.as_ref().is_ok_and(Frame::is_trailers));
        self.course.note(matches!(frame, Some(Err(_))));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.unended = None;
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

/// What counts a body.
#[expect(dead_code, reason = "only the end of each counts")]
pub(super) enum HeldBy {
    /// The CBOR that it was.
    Coap(Bytes),
    Stranger(Unended),
}

/// Returns JSON that counts to its client for as long as it is in memory: a homeserver may take its time.
pub(super) fn translated(json: Vec<u8>, held_by: HeldBy) -> Bytes {
    Bytes::from_owner(Translated { json, _held_by: held_by })
}

struct Translated {
    json: Vec<u8>,
    _held_by: HeldBy,
}

impl AsRef<[u8]> for Translated {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use http_body_util::Full;

    #[tokio::test]
    async fn trailers_of_a_client_reach_no_homeserver() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        let body = Full::new(Bytes::from_static(b"{}")).with_trailers(async { Some(Ok(trailers)) });
        let (body, course) = outbound(body, None);
        let collected = body.collect().await.unwrap();
        assert!(collected.trailers().is_none() && !course.is_broken());
        assert_eq!(collected.to_bytes(), "{}");
    }
}
