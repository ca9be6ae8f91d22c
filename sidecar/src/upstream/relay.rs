//! An answer on its way to the client: judged by its head, read whole where its reason counts, packed where
//! that is wanted, in pieces otherwise.

use super::arriving::Arriving;
use super::{End, Fetch, MAX_ERROR, Response, Upstream};
use crate::answer::AnswerWriter;
use crate::failure::Failure;
use crate::packing::Packing;
use crate::response::{self, Head, Reading};
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

/// The longest answer of known length, in bytes, that is put together before it is packed: with what becomes
/// of it less than what counts for an answer that its client does not read.
const SHORT: usize = 64 << 10;

impl Upstream {
    pub(super) async fn relay(
        &self,
        response: Response,
        answer: &AnswerWriter,
        fetch: &Fetch,
    ) -> Result<(), End> {
        let is_repeatable = fetch.is_repeatable;
        let Response { parts, begun: mut first, mut body } = response;
        let is_empty = first.is_empty() && body.is_end_stream();
        let mut reading = response::read(parts.status, &parts.headers, is_empty, is_repeatable);
        // The head waits for the first piece of the body, so that an answer that breaks off before it can
        // still become a Matrix error, and so does an answer that turns out to have no body.
        if !matches!(reading, Reading::Refused(_)) && first.is_empty() && !is_empty {
            first = self.piece(&mut body).await?;
            if first.is_empty() {
                reading = response::read(parts.status, &parts.headers, true, is_repeatable);
            }
        }
        match reading {
            // The refusal goes instead of the proxy's answer; dropping the body resets the stream.
            Reading::Refused(refusal) | Reading::RefusedWithBody(refusal) => {
                Ok(answer.refuse(refusal, None).await?)
            }
            Reading::Matrix(head) => {
                if parts.status.is_client_error() || parts.status.is_server_error() {
                    first = self.whole(first, &mut body, MAX_ERROR).await?;
                    let is_short = first.len() <= MAX_ERROR;
                    if is_short
                        && !response::is_matrix_error(parts.status, head.options.content_format, &first)
                        && let Some(refusal) = response::refused(parts.status, &parts.headers)
                    {
                        return Ok(answer.refuse(refusal, None).await?);
                    }
                }
                self.stream(head, first, (&mut body, fetch.wants_packed), answer).await
            }
        }
    }

    async fn stream(
        &self,
        mut head: Head,
        mut first: Bytes,
        (body, wants_packed): (&mut Arriving, bool),
        answer: &AnswerWriter,
    ) -> Result<(), End> {
        if head.time_in_body {
            first = self.whole(first, body, MAX_ERROR).await?;
            head.options.max_age = response::retry_after_in_body(head.options.content_format, &first);
        }
        if wants_packed && head.options.size.is_some_and(|size| size <= SHORT as u64) {
            // Its length when packed is worth the wait: a client that knows it asks for no block beyond.
            first = self.whole(first, body, SHORT).await?;
        }
        let mut last = body.is_end_stream() || first.is_empty();
        let mut packing = Packing::begin(wants_packed, &head.options);
        let mut piece = packing.start(&mut head.options, first, last);
        // The head goes with a piece that is not empty, or with the last one.
        while piece.is_empty() && !last {
            (piece, last) = self.packed_piece(body, &mut packing).await?;
        }
        answer.start(head.code, head.options, piece, last).await?;
        while !last {
            (piece, last) = self.packed_piece(body, &mut packing).await?;
            if last || !piece.is_empty() {
                answer.go_on(piece, last).await?;
            }
        }
        Ok(())
    }

    /// Returns the whole body, unless it is longer than `most` bytes.
    pub(super) async fn whole(
        &self,
        first: Bytes,
        body: &mut Arriving,
        most: usize,
    ) -> Result<Bytes, Failure> {
        let mut whole = BytesMut::from(first);
        while whole.len() <= most && !body.is_end_stream() {
            let piece = self.piece(body).await?;
            if piece.is_empty() {
                break;
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Returns what becomes of the next piece of a body, and whether that was the last one.
    async fn packed_piece(
        &self,
        body: &mut Arriving,
        packing: &mut Packing,
    ) -> Result<(Bytes, bool), Failure> {
        let piece = self.piece(body).await?;
        let last = body.is_end_stream() || piece.is_empty();
        Ok((packing.go_on(piece, last), last))
    }

    /// Returns the next piece of a body; empty at its end.
    async fn piece(&self, body: &mut Arriving) -> Result<Bytes, Failure> {
        match timeout(self.settings.response_timeout, body.piece()).await {
            Err(_elapsed) => Err(Failure::Hung),
            Ok(piece) => piece,
        }
    }
}
