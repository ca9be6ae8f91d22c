//! The way back: what an upstream task has to say about its exchange, on a bounded channel to the event loop.
//!
//! Back-pressure: after each piece of a body that is not the last, the task waits until the transport wants more. So at
//! most one piece of each answer is on its way, and a client that reads slowly slows its own HTTP/2 stream down.

use crate::credentials::News;
use crate::failure::Failure;
use crate::refusal::Refusal;
use bytes::Bytes;
use lowband_transport::ExchangeId;
use lowband_transport::coap::{Code, ResponseOptions};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Messages on the channel; tasks wait beyond it.
pub const CHANNEL: usize = 256;

/// What the event loop is to do with an exchange.
#[derive(Debug)]
pub enum Command {
    /// Start the answer with the first piece of its body.
    Start {
        /// The response code.
        code: Code,
        /// Its options.
        options: ResponseOptions,
        /// The piece.
        piece: Piece,
        /// How long the upstream has taken until it was there.
        waited: Duration,
    },
    /// Go on with the next piece.
    Continue(Piece),
    /// What became of an access token; comes before the answer that says so.
    Token(News),
    /// There will be no (more) answer. Before the start it becomes a response, after it the missing blocks get its code.
    Refuse {
        /// What the client is told.
        refusal: Refusal,
        /// Why, where the upstream failed; for log and metrics.
        failure: Option<Failure>,
    },
}

/// A piece of a body.
#[derive(Debug)]
pub struct Piece {
    /// May be empty at the end.
    pub bytes: Bytes,
    /// To be fired when the next piece is wanted; `None` on the last piece.
    pub go_on: Option<oneshot::Sender<()>>,
}

/// Nobody waits for this answer any more.
#[derive(Debug)]
pub struct Gone;

/// The answering side of one exchange.
#[derive(Debug)]
pub struct Answer {
    exchange: ExchangeId,
    commands: mpsc::Sender<(ExchangeId, Command)>,
    asked: Option<Instant>,
}

impl Answer {
    /// For one exchange.
    pub fn new(exchange: ExchangeId, commands: mpsc::Sender<(ExchangeId, Command)>) -> Answer {
        Answer { exchange, commands, asked: None }
    }

    /// From now on it is the upstream that takes its time.
    pub fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// Head and first piece; returns when the next piece is wanted.
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

    /// The next piece; returns when one more is wanted.
    pub async fn go_on(&self, bytes: Bytes, last: bool) -> Result<(), Gone> {
        self.piece(bytes, last, Command::Continue).await
    }

    /// What the answer says of an access token, before it.
    pub async fn tell(&self, news: News) -> Result<(), Gone> {
        self.commands.send((self.exchange, Command::Token(news))).await.map_err(|_| Gone)
    }

    /// The end, without a (complete) answer.
    pub async fn refuse(&self, refusal: Refusal, failure: Option<Failure>) -> Result<(), Gone> {
        self.commands.send((self.exchange, Command::Refuse { refusal, failure })).await.map_err(|_| Gone)
    }

    async fn piece(
        &self,
        bytes: Bytes,
        last: bool,
        command: impl FnOnce(Piece) -> Command,
    ) -> Result<(), Gone> {
        let (go_on, wanted) = if last { (None, None) } else { Some(oneshot::channel()).unzip() };
        self.commands.send((self.exchange, command(Piece { bytes, go_on }))).await.map_err(|_| Gone)?;
        match wanted {
            Some(wanted) => wanted.await.map_err(|_| Gone),
            None => Ok(()),
        }
    }
}
