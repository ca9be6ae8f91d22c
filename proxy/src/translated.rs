//! An answer's CBOR that becomes JSON while it comes.

use crate::body::{Body, BoxError};
use crate::relay::LONGEST_DOCUMENT;
use crate::sessions::Lease;
use crate::stats::{Exchanged, Stats};
use bytes::Bytes;
use http_body::{Body as _, Frame};
use lowband_client::Incoming;
use lowband_codec::{DecodeOptions, KeyTable, PushDecoder};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// Where the pieces of an answer come from.
pub(crate) enum Source {
    /// Over CoAP. The session is in use until the body has ended.
    Coap { incoming: Incoming, _lease: Lease },
    /// Over HTTPS, in CBOR as well.
    Https(Body),
}

impl Source {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BoxError>> {
        match self {
            Source::Coap { incoming, .. } => {
                incoming.poll_piece(context).map_ok(|piece| piece.map(Bytes::from)).map_err(BoxError::from)
            }
            Source::Https(body) => loop {
                let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(context)).transpose()? else {
                    return Poll::Ready(Ok(None));
                };
                // Trailers say nothing to a client of Matrix.
                if let Ok(piece) = frame.into_data() {
                    return Poll::Ready(Ok(Some(piece)));
                }
            },
        }
    }
}

/// The JSON of an answer, as far as its pieces have come.
pub(crate) struct Translated {
    source: Source,
    /// `None`: the answer is JSON already.
    decoder: Option<PushDecoder<'static>>,
    is_whole: bool,
    counted: Counted,
}

/// Counts an answer once it is whole.
pub(crate) struct Counted {
    pub(crate) stats: Stats,
    pub(crate) exchanged: Exchanged,
    pub(crate) begin: Instant,
}

impl Translated {
    /// `is_cbor`: whether the pieces are CBOR; otherwise they are JSON.
    pub(crate) fn new(source: Source, is_cbor: bool, counted: Counted) -> Translated {
        let options = DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() };
        let decoder = is_cbor.then(|| PushDecoder::new(options));
        Translated { source, decoder, is_whole: false, counted }
    }

    /// Returns the JSON of what has come, and whether that is all: a short answer has come whole with its
    /// head, and gets a length. Of one that comes without end it returns the beginning.
    pub(crate) async fn at_hand(&mut self) -> Result<(Vec<u8>, bool), BoxError> {
        let mut json = Vec::new();
        std::future::poll_fn(|context| {
            loop {
                match self.poll_more(context, &mut json) {
                    Poll::Ready(Ok(true)) if json.len() <= LONGEST_DOCUMENT => {}
                    Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Ready(Ok(())),
                }
            }
        })
        .await?;
        Ok((json, self.is_whole))
    }

    /// Returns the JSON of the whole answer, of [`LONGEST_DOCUMENT`] at the most.
    pub(crate) async fn whole(mut self, mut json: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        while json.len() <= LONGEST_DOCUMENT
            && std::future::poll_fn(|context| self.poll_more(context, &mut json)).await?
        {}
        if json.len() > LONGEST_DOCUMENT {
            return Err(format!("the answer has more than {LONGEST_DOCUMENT} bytes").into());
        }
        Ok(json)
    }

    /// Adds the JSON of the next piece; returns false once the answer is whole.
    fn poll_more(&mut self, context: &mut Context<'_>, json: &mut Vec<u8>) -> Poll<Result<bool, BoxError>> {
        if self.is_whole {
            return Poll::Ready(Ok(false));
        }
        let before = json.len();
        let piece = ready!(self.source.poll_piece(context))?;
        match (&piece, &mut self.decoder) {
            (Some(piece), Some(decoder)) => decoder.push(piece, json)?,
            (Some(piece), None) => json.extend_from_slice(piece),
            (None, decoder) => {
                if let Some(decoder) = decoder {
                    decoder.finish(json)?;
                }
                self.is_whole = true;
            }
        }
        let Counted { stats, exchanged, begin } = &mut self.counted;
        exchanged.answer_json += json.len() - before;
        if self.is_whole {
            exchanged.took = begin.elapsed();
            stats.exchanged(exchanged);
        }
        Poll::Ready(Ok(!self.is_whole))
    }
}

/// A body of which the beginning has been taken already.
pub(crate) struct Streamed {
    beginning: Vec<u8>,
    rest: Translated,
}

impl Streamed {
    pub(crate) fn new(beginning: Vec<u8>, rest: Translated) -> Streamed {
        Streamed { beginning, rest }
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut json = std::mem::take(&mut self.beginning);
        while json.is_empty() {
            match ready!(self.rest.poll_more(context, &mut json)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready((!json.is_empty()).then(|| Ok(Frame::data(json.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ways::Way;
    use http_body_util::BodyExt;
    use std::time::Duration;

    /// Blanks without end, of which each piece is there at once.
    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 4096])))))
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_held_up_to_a_bound_and_handed_on_beyond() {
        let exchanged = Exchanged {
            way: Way::HttpsCbor,
            method: 3,
            target: 1,
            has_token: false,
            request_json: None,
            answer_json: 0,
            took: Duration::ZERO,
        };
        let counted = Counted { stats: Stats::default(), exchanged, begin: Instant::now() };
        let source = Source::Https(Endless.boxed_unsync());
        let mut translated = Translated::new(source, false, counted);
        let (json, is_whole) = translated.at_hand().await.unwrap();
        assert!(json.len() > LONGEST_DOCUMENT && json.len() < 2 * LONGEST_DOCUMENT && !is_whole);
        let error = translated.whole(json).await.unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }
}
