//! A body that is held: mostly one piece, which is then never copied.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use std::future::poll_fn;
use std::pin::Pin;

/// The pieces of a body so far.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    first: Bytes,
    all: BytesMut,
}

impl Pieces {
    pub(super) fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    pub(super) fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    pub(super) fn whole(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// Returns the next piece of a body that is not empty; `None` at its end. Trailers hold nothing that Matrix
/// knows, and are left out.
pub(super) async fn next<B: Body<Data = Bytes>>(mut body: Pin<&mut B>) -> Result<Option<Bytes>, B::Error> {
    loop {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            None => return Ok(None),
            Some(frame) => match frame?.into_data() {
                Ok(piece) if !piece.is_empty() => return Ok(Some(piece)),
                _ => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_not_copied_and_several_are_one_body() {
        let one = Bytes::from_static(b"one");
        let mut pieces = Pieces::default();
        assert_eq!((pieces.len(), Pieces::default().whole()), (0, Bytes::new()));
        pieces.push(one.clone());
        assert_eq!(pieces.len(), 3);
        pieces.push(Bytes::from_static(b", two"));
        pieces.push(Bytes::from_static(b", three"));
        assert_eq!(pieces.len(), 15);
        assert_eq!(pieces.whole(), "one, two, three");
        let mut pieces = Pieces::default();
        pieces.push(one.clone());
        assert_eq!(pieces.whole().as_ptr(), one.as_ptr());
    }
}
