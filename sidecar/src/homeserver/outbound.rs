//! The body of a request on its way to the homeserver.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

type Failed = Box<dyn Error + Send + Sync>;

/// The longest piece that is handed out at once, in bytes: what has been handed out may be copied, and then
/// counts for nobody.
const PIECE: usize = 32 << 10;

/// A body that is here, or one that goes on as it comes.
pub(crate) enum Outbound {
    /// What has not been taken; `None` for nothing.
    Whole(Option<Bytes>),
    /// A body on its way.
    Streaming(UnsyncBoxBody<Bytes, Failed>),
}

impl Outbound {
    /// Makes a body of which all is here.
    pub(crate) fn whole(bytes: Bytes) -> Outbound {
        Outbound::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = Failed;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        match self.get_mut() {
            Outbound::Whole(rest) => Poll::Ready(rest.take().map(|mut bytes| {
                let piece = bytes.split_to(bytes.len().min(PIECE));
                *rest = Some(bytes).filter(|bytes| !bytes.is_empty());
                Ok(Frame::data(piece))
            })),
            Outbound::Streaming(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outbound::Whole(bytes) => bytes.is_none(),
            Outbound::Streaming(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outbound::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Outbound::Streaming(body) => body.size_hint(),
        }
    }
}
