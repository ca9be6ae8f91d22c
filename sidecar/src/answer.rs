//! The way back: what an upstream task reports about its exchange, on a bounded channel to the event loop.
//!
//! Back-pressure: after each piece of a body except the last, the task waits until the transport wants more.
//! So at most one piece of each answer is on its way, and a client that reads slowly slows down its own
//! HTTP/2 stream.
//!
//! An answer that is dropped before its end, because its task panics or is aborted by mistake, reports that
//! itself: no exchange waits for a task that has gone.

use crate::credentials::News;
use crate::failure::Failure;
use crate::refusal::Refusal;
use bytes::Bytes;
use lowband_transport::ExchangeId;
use lowband_wire::coap::Code;
use lowband_wire::coap::options::ResponseOptions;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// Messages that the channel holds; tasks wait when it is full.
pub const CHANNEL: usize = 256;

/// What the event loop is to do with an exchange.
#[derive(Debug)]
pub enum Command {
    /// Start the answer with the first piece of its body.
    Start {
        /// The response code.
        code: Code,
        /// The options of the response.
        options: ResponseOptions,
        /// The first piece of the body.
        piece: Piece,
        /// How long the upstream took until the first piece was there.
        waited: Duration,
    },
    /// Continue the answer with the next piece.
    Continue(Piece),
    /// What became of an access token; comes before the answer that says so.
    Token(News),
    /// End the exchange without a (complete) answer. Before the start the refusal becomes the response;
    /// afterwards its code answers requests for the missing blocks.
    Refuse {
        /// What the client receives instead.
        refusal: Refusal,
        /// Why the upstream failed, for log and metrics; `None` where it did not.
        failure: Option<Failure>,
    },
}

/// A piece of a body.
#[derive(Debug)]
pub struct Piece {
    /// The bytes of the piece; may be empty at the end.
    pub bytes: Bytes,
    /// Fired when the next piece is wanted; `None` on the last piece.
    pub go_on: Option<oneshot::Sender<()>>,
}

/// The error when no client waits for this answer any more.
#[derive(Debug)]
pub struct Gone;

/// The answering side of one exchange.
#[derive(Debug)]
pub struct AnswerWriter {
    exchange: ExchangeId,
    commands: mpsc::Sender<(ExchangeId, Command)>,
    asked: Option<Instant>,
    /// True when nothing is left to be said, or no client is left to receive it.
    is_over: AtomicBool,
}

impl AnswerWriter {
    /// Makes the writer for one exchange.
    pub fn new(exchange: ExchangeId, commands: mpsc::Sender<(ExchangeId, Command)>) -> AnswerWriter {
        AnswerWriter { exchange, commands, asked: None, is_over: AtomicBool::new(false) }
    }

    /// Notes that the request goes to the upstream now: from here on the time is the upstream's.
    pub fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// Sends the head and the first piece; returns when the next piece is wanted.
    pub async fn start(
        &self,
        code: Code,
        options: ResponseOptions,
        bytes: Bytes,
        last: bool,
    ) -> Result<(), Gone> {
        let waited = self.asked.map(|asked| asked.elapsed()).unwrap_or_default();
        self.piece(bytes, last, |piece| Command::Start { code, options, piece, waited }).await
    }

    /// Sends the next piece; returns when one more is wanted.
    pub async fn go_on(&self, bytes: Bytes, last: bool) -> Result<(), Gone> {
        self.piece(bytes, last, Command::Continue).await
    }

    /// Reports what the answer says about an access token, before the answer itself.
    pub async fn tell(&self, news: News) -> Result<(), Gone> {
        self.send(Command::Token(news)).await
    }

    /// Ends the exchange without a (complete) answer.
    pub async fn refuse(&self, refusal: Refusal, failure: Option<Failure>) -> Result<(), Gone> {
        self.send(Command::Refuse { refusal, failure }).await?;
        self.end();
        Ok(())
    }

    async fn piece(
        &self,
        bytes: Bytes,
        last: bool,
        command: impl FnOnce(Piece) -> Command,
    ) -> Result<(), Gone> {
        let (go_on, wanted) = if last { (None, None) } else { Some(oneshot::channel()).unzip() };
        self.send(command(Piece { bytes, go_on })).await?;
        match wanted {
            Some(wanted) => wanted.await.map_err(|_| self.gone()),
            None => {
                self.end();
                Ok(())
            }
        }
    }

    async fn send(&self, command: Command) -> Result<(), Gone> {
        self.commands.send((self.exchange, command)).await.map_err(|_| self.gone())
    }

    fn gone(&self) -> Gone {
        self.end();
        Gone
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Drop for AnswerWriter {
    fn drop(&mut self) {
        if *self.is_over.get_mut() {
            return;
        }
        let failure = Failure::Lost;
        let last = Command::Refuse { refusal: failure.refusal(), failure: Some(failure) };
        if let Err(TrySendError::Full(last)) = self.commands.try_send((self.exchange, last))
            && let Ok(runtime) = Handle::try_current()
        {
            let commands = self.commands.clone();
            runtime.spawn(async move { commands.send(last).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = mpsc::Receiver<(ExchangeId, Command)>;

    fn answer(channel: usize) -> (AnswerWriter, Told) {
        let (commands, told) = mpsc::channel(channel);
        (AnswerWriter::new(ExchangeId(1), commands), told)
    }

    async fn is_told_as_lost(told: &mut Told) {
        let Some((ExchangeId(1), Command::Refuse { refusal, failure })) = told.recv().await else { panic!() };
        assert_eq!((refusal.code, failure), (Code::BAD_GATEWAY, Some(Failure::Lost)));
    }

    async fn start(answer: &AnswerWriter, last: bool) -> Result<(), Gone> {
        answer.start(Code::CONTENT, ResponseOptions::default(), Bytes::new(), last).await
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_its_answer_before_and_after_the_head() {
        let (answer, mut told) = answer(8);
        let task = tokio::spawn(async move {
            let _answer = answer;
            panic!("a mistake in this program");
        });
        assert!(task.await.unwrap_err().is_panic());
        is_told_as_lost(&mut told).await;

        let (answer, mut told) = self::answer(8);
        let task = tokio::spawn(async move {
            let _ = start(&answer, false).await;
            panic!("a mistake in this program");
        });
        let Some((_, Command::Start { piece, .. })) = told.recv().await else { panic!() };
        piece.go_on.unwrap().send(()).unwrap();
        assert!(task.await.unwrap_err().is_panic());
        is_told_as_lost(&mut told).await;
    }

    #[tokio::test]
    async fn a_lost_answer_is_told_through_a_full_channel_as_well() {
        let (answer, mut told) = answer(1);
        answer.tell(News::Accepted("token".into())).await.unwrap();
        drop(answer);
        assert!(matches!(told.recv().await, Some((_, Command::Token(_)))));
        is_told_as_lost(&mut told).await;
        assert!(told.recv().await.is_none());
    }

    #[tokio::test]
    async fn an_answer_that_has_come_to_its_end_says_no_more() {
        let (whole, mut told) = answer(8);
        start(&whole, true).await.unwrap();
        drop(whole);
        assert!(matches!(told.recv().await, Some((_, Command::Start { .. }))));
        assert!(told.recv().await.is_none());

        let (refused, mut told) = answer(8);
        refused.refuse(Failure::Hung.refusal(), Some(Failure::Hung)).await.unwrap();
        drop(refused);
        assert!(matches!(told.recv().await, Some((_, Command::Refuse { failure: Some(Failure::Hung), .. }))));
        assert!(told.recv().await.is_none());

        // The exchange was cancelled: its `go_on` is dropped with its piece.
        let (unwanted, mut told) = answer(8);
        let task = tokio::spawn(async move { start(&unwanted, false).await });
        drop(told.recv().await);
        assert!(task.await.unwrap().is_err());
        assert!(told.recv().await.is_none());
    }
}
