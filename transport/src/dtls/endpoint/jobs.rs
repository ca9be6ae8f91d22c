//! Costly steps of handshakes, on their way out and back.

use super::Endpoint;
use crate::SessionId;
use crate::dtls::handshake::{GoOn, Progress};
use crate::dtls::job::{Done, Job, Work};
use crate::dtls::table::HasPeer;
use std::collections::VecDeque;
use std::time::Instant;

/// Jobs that wait to be fetched. Those of handshakes that are nearly finished go first.
#[derive(Default)]
pub(super) struct Jobs {
    answers: VecDeque<Job>,
    hellos: VecDeque<Job>,
}

impl Endpoint {
    /// Returns the next costly step to be run, if the endpoint hands them out
    /// ([`Config::deferred`](crate::dtls::Config::deferred)).
    pub fn poll_job(&mut self) -> Option<Job> {
        loop {
            let job = self.jobs.answers.pop_front().or_else(|| self.jobs.hellos.pop_front())?;
            // Another handshake may have needed its place meanwhile.
            if self.handshakes.get(job.id).is_some() {
                return Some(job);
            }
        }
    }

    /// Takes back a costly step that has been run.
    pub fn handle_done(&mut self, now: Instant, done: Done) {
        let Done { id, outcome } = done;
        let Some(handshake) = self.handshakes.get_mut(id) else { return };
        let mut out = Vec::new();
        let progress = handshake.take_step(now, outcome, &mut out);
        if !matches!(progress, Progress::Waiting) {
            return self.advanced(now, id, progress, out);
        }
        match handshake.go_on(now, &mut self.counters, &mut out) {
            GoOn::Progress(progress) => self.advanced(now, id, progress, out),
            GoOn::Work(work) => {
                self.advanced(now, id, Progress::Waiting, out);
                self.answered(now, id, work);
            }
        }
    }

    /// Notes that the client of a handshake has answered our flight.
    pub(super) fn answered(&mut self, now: Instant, id: SessionId, work: Work) {
        if let Some(peer) = self.handshakes.get(id).map(HasPeer::peer) {
            self.half_open.answered(id, self.balancers.network(peer.ip(), id.0));
        }
        self.hand_out(now, id, work);
    }

    pub(super) fn may_queue_a_hello(&self) -> bool {
        self.jobs.hellos.len() < self.limits.waiting_hellos
    }

    pub(super) fn hand_out(&mut self, now: Instant, id: SessionId, work: Work) {
        let is_answer = matches!(work, Work::Answer { .. });
        let job = Job { id, work };
        if !self.deferred {
            self.handle_done(now, job.run());
        } else if is_answer {
            self.jobs.answers.push_back(job);
        } else {
            self.jobs.hellos.push_back(job);
        }
    }

    pub(super) fn advanced(&mut self, now: Instant, id: SessionId, progress: Progress, out: Vec<Vec<u8>>) {
        let Some(handshake) = self.handshakes.get_mut(id) else { return };
        let (peer, local) = (handshake.peer(), handshake.local());
        self.transmit(peer, local, out);
        match progress {
            Progress::Waiting => self.schedule_handshake(id),
            Progress::Finished => self.establish(now, id),
            Progress::Failed(failure) => {
                if failure.by_peer {
                    self.counters.handshakes_refused += 1;
                } else {
                    self.counters.handshakes_failed += 1;
                }
                self.end_handshake(id, failure.why);
            }
        }
    }
}
