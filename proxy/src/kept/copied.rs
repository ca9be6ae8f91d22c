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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use crate::kept::{Kept, Look, Moments};
    use http::{HeaderMap, Response};
    use http_body_util::BodyExt;
    use std::time::SystemTime;

    /// Pieces that need not have the length that is declared.
    struct Pieces(Vec<Frame<Bytes>>, u64);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let next = (!self.0.is_empty()).then(|| self.0.remove(0));
            Poll::Ready(next.map(Ok))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.1)
        }
    }

    fn begin(kept: &Kept, request: &HeaderMap) -> Asking {
        let nobody = Account::nobody();
        kept.begin(&nobody, &nobody, "https://hs/file", request).unwrap()
    }

    /// Begins a copy of these pieces.
    fn copy(kept: &Kept, pieces: Vec<Frame<Bytes>>, declared: u64) -> Body {
        let (request, now) = (HeaderMap::new(), SystemTime::now());
        let response = Response::builder().header("cache-control", "max-age=60");
        let response = response.body(Pieces(pieces, declared).boxed_unsync()).unwrap();
        let moments = Moments { asked: now, answered: now };
        begin(kept, &request).copy(&request, response, moments).into_body()
    }

    fn is_kept(kept: &Kept) -> bool {
        let request = HeaderMap::new();
        matches!(begin(kept, &request).look(&request, SystemTime::now()), Look::Answer(_))
    }

    /// Returns what came to the client of these pieces, and whether they are kept.
    async fn copied(pieces: Vec<Frame<Bytes>>, declared: u64) -> (Bytes, bool) {
        let kept = Kept::new(1 << 20);
        let came = copy(&kept, pieces, declared).collect().await.unwrap().to_bytes();
        (came, is_kept(&kept))
    }

    #[tokio::test]
    async fn only_a_body_of_the_declared_length_is_kept() {
        let data = |text: &'static str| Frame::data(Bytes::from(text));
        for (pieces, declared, is_kept) in [
            (vec![data("ab"), data("c")], 3, true),
            (vec![], 0, true),
            (vec![data("ab")], 3, false),
            (vec![data("ab"), data("cd")], 3, false),
            (vec![data("ab"), Frame::trailers(HeaderMap::new()), data("c")], 3, false),
            (vec![data("ab")], 1 << 19, false),
            (vec![data("ab")], u64::MAX, false),
        ] {
            let told = pieces.iter().filter_map(Frame::data_ref).flatten().copied().collect::<Bytes>();
            assert_eq!(copied(pieces, declared).await, (told.clone(), is_kept), "{told:?} {declared}");
        }
    }
    #[tokio::test]
    async fn what_turns_out_too_long_gives_its_room_back_at_once() {
        let kept = Kept::new(40_000);
        let piece = || Frame::data(Bytes::from_static(&[b'x'; 6000]));
        let mut long = copy(&kept, vec![piece(), piece()], 9000);
        long.frame().await.unwrap().unwrap();
        copy(&kept, vec![piece()], 6000).collect().await.unwrap();
        assert!(!is_kept(&kept), "one owner has room for one such copy");
        long.frame().await.unwrap().unwrap();
        copy(&kept, vec![piece()], 6000).collect().await.unwrap();
        assert!(is_kept(&kept));
    }
}
