//! The body of a response on its way here.

use super::{connection, pool};
use crate::failure::Failure;
use crate::translator::{BodyError, TranslatedBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};

/// What brings the body.
#[derive(Debug)]
pub(super) enum Arriving {
    /// A stream of HTTP/2 from Envoy, with its share in the connection.
    FromEnvoy { body: Incoming, _lease: pool::Lease },
    /// What the translator makes of the homeserver's answer.
    FromHomeserver(TranslatedBody),
}

impl Arriving {
    pub(super) fn from_envoy(body: Incoming, lease: pool::Lease) -> Arriving {
        Arriving::FromEnvoy { body, _lease: lease }
    }

    /// Returns whether nothing more comes.
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Arriving::FromEnvoy { body, .. } => body.is_end_stream(),
            Arriving::FromHomeserver(body) => body.is_end_stream(),
        }
    }

    /// Returns the next piece; empty at the end. Trailers hold nothing that CoAP could pass on.
    pub(super) async fn piece(&mut self) -> Result<Bytes, Failure> {
        loop {
            let Some(frame) = self.frame().await else { return Ok(Bytes::new()) };
            match frame?.into_data() {
                Ok(piece) if !piece.is_empty() => return Ok(piece),
                _ => {}
            }
        }
    }

    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, Failure>> {
        Some(match self {
            Arriving::FromEnvoy { body, .. } => {
                body.frame().await?.map_err(|error| connection::failure(&error))
            }
            Arriving::FromHomeserver(body) => body.frame().await?.map_err(|error| match &error {
                BodyError::Hung => Failure::Hung,
                BodyError::Broken(error) => connection::failure(error),
                BodyError::NotJson | BodyError::NoRoom => Failure::Broken(error.to_string()),
            }),
        })
    }
}
