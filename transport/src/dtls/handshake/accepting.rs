//! The accepting side's handshakes: their costly steps are work, which the caller does where it likes.
//!
//! ```text
//! hello from the front -> accept -> Work::Accept ---+--> take_step -> flight 4
//! the client's answer  -> answer -> Work::Answer ---+--> take_step -> flight 6: done
//!                         (what comes while the work is away waits, and go_on takes it in)
//! ```

use super::super::config::Limits;
use super::super::context::Acceptor;
use super::super::counters::Counters;
use super::super::failure::{Failure, HandshakeFailure};
use super::super::flight::Numbering;
use super::super::front;
use super::super::job::{Step, Work};
use super::{Handshake, Progress};
use crate::SetupError;
use lowband_wire::dtls::alert::INTERNAL_ERROR;
use lowband_wire::dtls::hello::ClientHello;
use lowband_wire::dtls::keys::Role;
use lowband_wire::dtls::record::{self, Record};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// What has become of the records that came while work was away.
pub(in crate::dtls) enum GoOn {
    Progress(Progress),
    /// One of them is the client's answer: see [`Handshake::answer`].
    Work(Work),
}

impl Handshake {
    /// Goes on where the front has stopped. The work is to be done, and to be brought to
    /// [`Handshake::take_step`].
    pub(in crate::dtls) fn accept(
        acceptor: Acceptor,
        limits: &Limits,
        now: Instant,
        peer: SocketAddr,
        local: Option<IpAddr>,
        hello: &ClientHello<'_>,
    ) -> (Handshake, Work) {
        // RFC 6347 section 4.2.2: the ServerHello goes under the number of the hello.
        let numbering = Numbering::starting_at(hello.record.number.sequence());
        let mut handshake = Handshake::new(None, limits, now, peer, local, Role::Server, numbering);
        handshake.client_random = Some(*hello.random);
        handshake.refusal = Some(front::refusal(&hello.record, INTERNAL_ERROR));
        handshake.fed = u64::from(hello.piece.message_seq);
        let message_seq = hello.piece.message_seq;
        let hello = handshake.for_openssl(&hello.record);
        (handshake, Work::Accept { acceptor, message_seq, hello })
    }

    /// Takes OpenSSL's object back.
    pub(in crate::dtls) fn take_step(
        &mut self,
        now: Instant,
        outcome: Result<Step, SetupError>,
        out: &mut Vec<Vec<u8>>,
    ) -> Progress {
        let progress = match outcome {
            Ok(step) => self.stepped(now, step, out),
            Err(error) => Progress::Failed(Failure::ours(HandshakeFailure::Protocol(error.to_string()))),
        };
        let Some(refusal) = self.refusal.take() else { return progress };
        match progress {
            // OpenSSL has said why, as a rule.
            Progress::Failed(failure) => {
                if out.is_empty() {
                    out.push(refusal);
                }
                Progress::Failed(failure)
            }
            // Whatever OpenSSL missed in it, there is nothing to wait for.
            _ if self.flight.datagrams().is_empty() => {
                out.push(refusal);
                Progress::Failed(Failure::ours(HandshakeFailure::Protocol(
                    "the hello was not answered".into(),
                )))
            }
            other => other,
        }
    }

    /// Takes in the records that have come in the meantime, up to one that is work: the rest wait for that.
    pub(in crate::dtls) fn go_on(
        &mut self,
        now: Instant,
        counters: &mut Counters,
        out: &mut Vec<Vec<u8>>,
    ) -> GoOn {
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        while let Some(bytes) = waiting.next() {
            let Ok((record, _)) = record::parse(&bytes) else { continue };
            if let Some(work) = self.answer(now, &record) {
                self.waiting = waiting.collect();
                return GoOn::Work(work);
            }
            match self.handle_record(now, &record, counters, out) {
                Progress::Waiting => {}
                other => return GoOn::Progress(other),
            }
        }
        GoOn::Progress(Progress::Waiting)
    }

    /// Returns the work that the client's answer is, to be done and brought to [`Handshake::take_step`]; None
    /// if the record is not that answer, or not now.
    pub(in crate::dtls) fn answer(&mut self, now: Instant, record: &Record<'_>) -> Option<Work> {
        if !self.is_answer(record) {
            return None;
        }
        let stream = self.stream.take()?;
        self.round_trips.add(self.measure(now));
        self.judge_path(now);
        Some(Work::Answer { stream, record: self.for_openssl(record) })
    }
}
