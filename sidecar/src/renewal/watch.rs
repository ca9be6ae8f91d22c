//! The files, the clock and the log of a renewal.

use super::{Renewal, Step};
use crate::config::{Identity, Mistake, Paths, now};
use crate::event_loop::Inspector;
use crate::metrics::Metrics;
use crate::notes::Note;
use crate::public::Public;
use crate::service;
use lowband_transport::dtls::ServerIdentity;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Everything that a renewal works with.
pub(crate) struct Watch {
    pub(crate) paths: Paths,
    /// The identity that is served since the start.
    pub(crate) identity: Identity,
    /// Time between two looks.
    pub(crate) check: Duration,
    /// The channel on which each message asks for a look at once.
    pub(crate) asked: mpsc::Receiver<()>,
    pub(crate) inspector: Inspector,
    /// The port over TCP that shows the same identity.
    pub(crate) public: Option<Public>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Watch {
    /// Watches until the event loop has ended.
    pub(crate) async fn run(mut self) {
        let mut renewal = Renewal::new(self.paths.clone(), self.identity.clone());
        loop {
            if let Some(reminder) = renewal.remind(now()) {
                Note::from(reminder).log();
            }
            let asked = tokio::select! {
                () = sleep(self.check) => false,
                Some(()) = self.asked.recv() => true,
            };
            if asked {
                service::reloading();
            }
            // A disk may take its time, and clients must not wait for it.
            let paths = self.paths.clone();
            let looking = tokio::task::spawn_blocking(move || {
                let step = renewal.look(paths.read(), asked, now());
                let exposed = matches!(step, Step::Serve(_)).then(|| paths.exposed()).flatten();
                (renewal, step, exposed)
            });
            let Ok((back, step, exposed)) = looking.await else { return };
            renewal = back;
            match step {
                Step::Nothing => {}
                Step::Same => {
                    self.metrics.certificate_served(renewal.identity().validity.not_after());
                    tracing::info!("certificate and key are those that are served");
                }
                Step::Refuse(mistakes) => self.refuse(&mistakes),
                Step::Serve(identity) => match self.serve(&identity.server).await {
                    None => return,
                    Some(Ok(())) => self.tell_renewed(&identity, exposed),
                    // Not expected: the check before asks the same of an identity as the transport that
                    // serves it. Files that were refused are not tried again before they change.
                    Some(Err(why)) => self.refuse(&[Mistake { option: "--certificate", why }]),
                },
            }
            if asked {
                service::ready();
            }
        }
    }

    /// Has the identity served over UDP and TCP; `None` if the event loop has ended.
    async fn serve(&self, identity: &ServerIdentity) -> Option<Result<(), String>> {
        let over_udp = self.inspector.renew_identity(identity.clone()).await?;
        Some(over_udp.map_err(|why| why.to_string()).and_then(|()| match &self.public {
            Some(public) => public.renew(identity).map_err(|why| why.to_string()),
            None => Ok(()),
        }))
    }

    fn tell_renewed(&self, identity: &Identity, exposed: Option<String>) {
        self.metrics.certificate_reloaded(true);
        self.metrics.certificate_served(identity.validity.not_after());
        tracing::info!(
            serial = identity.serial,
            "renewed certificate in use for new handshakes, {}; open sessions are not affected",
            identity.validity.tell(now())
        );
        if let Some(why) = exposed {
            tracing::warn!("{why}");
        }
    }

    fn refuse(&self, mistakes: &[Mistake]) {
        self.metrics.certificate_reloaded(false);
        let why: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        tracing::error!(
            "keeping the previous certificate and key: the files cannot be used: {}",
            why.join("; ")
        );
    }
}
