//! The questions that other tasks ask the event loop, and how far its end has come.

use crate::drain::Phase;
use crate::metrics::Snapshot;
use lowband_transport::SetupError;
use lowband_transport::dtls::ServerIdentity;
use tokio::sync::{mpsc, oneshot, watch};

/// The questions, each with the channel for its answer.
pub(super) enum Question {
    Snapshot(oneshot::Sender<Snapshot>),
    Renew(ServerIdentity, oneshot::Sender<Result<(), SetupError>>),
}

/// The handle by which other tasks ask the loop.
#[derive(Debug, Clone)]
pub struct Inspector {
    questions: mpsc::Sender<Question>,
    phase: watch::Receiver<Phase>,
}

impl Inspector {
    pub(super) fn new(questions: mpsc::Sender<Question>, phase: watch::Receiver<Phase>) -> Inspector {
        Inspector { questions, phase }
    }

    /// Returns the transport's numbers; `None` when the loop has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (answer, snapshot) = oneshot::channel();
        self.questions.send(Question::Snapshot(answer)).await.ok()?;
        snapshot.await.ok()
    }

    /// Has new handshakes accepted with this identity from now on; `None` when the loop has ended.
    pub async fn renew_identity(&self, identity: ServerIdentity) -> Option<Result<(), SetupError>> {
        let (answer, result) = oneshot::channel();
        self.questions.send(Question::Renew(identity, answer)).await.ok()?;
        result.await.ok()
    }

    /// Returns how far the end has come.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }
}
