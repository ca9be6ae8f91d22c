//! A body that is sent on by itself, for a client that has asked for all of it (RFC 9177 sections 4.4 and
//! 7.2).
//!
//! ```text
//! set of MAX_PAYLOADS blocks --- Continue ------------------------> the next set at once
//!        |                   `-- NON_TIMEOUT after the last of it -> the next set
//!        `--- nothing heard for NON_MAX_RETRANSMIT sets -----------> a block now and then, by PROBING_RATE, or no
//!                                                                   more; what is asked for is answered
//! ```
//!
//! The blocks of a set are spaced, so that they do not queue on the path. The time from the first block of a
//! set to its Continue is a round trip and what the path takes for the set; as long as no set has been
//! confirmed, four blocks go at once and the others four to a round trip.

use super::super::message_layer::Origin;
use super::{Ask, End, Lookup, Snapshot};
use lowband_wire::coap::block::{Block, BlockSize};
use std::time::{Duration, Instant};

/// Blocks that go at once while nothing is known of the path.
const AT_FIRST: u32 = 4;

/// Part of what the path has let through that is used of it.
const USED: f64 = 0.9;

/// What spacing is multiplied by after a set that has not queued on the path.
const FASTER: f64 = 0.8;

/// How a body is sent on: the parameters of RFC 9177 section 7.2.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Pace {
    /// MAX_PAYLOADS: blocks of a set, at least one.
    pub set: u32,
    /// NON_TIMEOUT: time from the last block of a set to the next set.
    pub timeout: Duration,
    /// NON_MAX_RETRANSMIT: sets that are sent although nothing is heard of the client.
    pub sets_in_silence: u32,
    /// PROBING_RATE: bytes a second that go on after those sets (RFC 7252 section 4.7).
    pub probing_rate: u32,
    /// The longest time from one block to the next at which a silent client is still sent any.
    pub patience: Duration,
}

impl Pace {
    /// Returns the time from a block of this size to the next in silence; None if nothing more is sent.
    fn between_probes(&self, size: BlockSize) -> Option<Duration> {
        let gap = Duration::from_secs_f64(size.bytes() as f64 / f64::from(self.probing_rate.max(1)));
        (gap <= self.patience).then_some(gap.max(self.timeout))
    }
}

/// A body on its way.
#[derive(Debug)]
pub(in super::super) struct Sending {
    /// The newest request that asks for the body to be sent on; its token names the blocks.
    asker: Origin,
    size: BlockSize,
    /// Number of the next block.
    next: u32,
    /// When the first block of this set was sent.
    began: Instant,
    /// Blocks that go at once at the beginning of a set.
    at_once: u32,
    /// Time between two blocks.
    spacing: Duration,
    /// When the last block of a set was sent; None within a set.
    set_sent: Option<Instant>,
    /// Sets sent since the client was heard.
    in_silence: u32,
    /// Whether the next block has not come from the upstream.
    pub is_stalled: bool,
}

/// What is to be done for a body on its way.
#[derive(Debug)]
pub(in super::super) enum Step {
    /// Send this, and ask again.
    Send(Origin, Lookup),
    /// Ask again at this time.
    At(Instant),
    /// Ask again when more of the body has come.
    Stalled,
    /// Nothing more is sent. `given_up`: the client is not there any more.
    Ended { given_up: bool },
}

impl Sending {
    /// Starts after block 0 has been sent. `spacing`: what a former body has shown; otherwise the round trip
    /// says how fast to begin.
    pub(in super::super) fn new(
        now: Instant,
        asker: Origin,
        size: BlockSize,
        pace: Pace,
        spacing: Option<Duration>,
        round_trip: Option<Duration>,
    ) -> Sending {
        let first = round_trip.map_or(pace.timeout / pace.set, |round_trip| round_trip / AT_FIRST);
        Sending {
            asker,
            size,
            next: 1,
            began: now,
            at_once: if spacing.is_some() { 1 } else { AT_FIRST },
            spacing: spacing.unwrap_or(first),
            set_sent: (pace.set == 1).then_some(now),
            in_silence: 0,
            is_stalled: false,
        }
    }

    /// Notes that the client is there.
    pub(in super::super) fn is_heard(&mut self) {
        self.in_silence = 0;
    }

    /// Returns the number of the next block.
    pub(in super::super) fn next(&self) -> u32 {
        self.next
    }

    /// Notes that all before the next block has arrived: the next set goes at once, under this request.
    /// Returns the time between blocks that follows from it.
    pub(in super::super) fn confirmed(
        &mut self,
        now: Instant,
        asker: Origin,
        pace: Pace,
        round_trip: Option<Duration>,
    ) -> Duration {
        let took = now.saturating_duration_since(self.began);
        let on_path = took.saturating_sub(round_trip.unwrap_or_default());
        let spaced = self.spacing * pace.set.saturating_sub(self.at_once);
        // A tenth of a round trip is what samples differ by without a queue.
        let queued = on_path.saturating_sub(spaced) > round_trip.unwrap_or_default() / 10;
        self.spacing = if queued || self.at_once > 1 {
            on_path.div_f64(USED * f64::from(pace.set))
        } else {
            self.spacing.mul_f64(FASTER)
        };
        self.spacing = self.spacing.min(pace.timeout / pace.set);
        (self.asker, self.at_once, self.in_silence) = (asker, 1, 0);
        self.begin_set(now);
        self.spacing
    }

    /// Returns when the next block of a set is due.
    fn due(&self, pace: Pace) -> Instant {
        let place = self.next % pace.set;
        self.began + self.spacing * (place + 1).saturating_sub(self.at_once)
    }

    fn begin_set(&mut self, now: Instant) {
        (self.began, self.set_sent) = (now, None);
    }

    /// Puts the next set off, because blocks that were lost are sent first.
    pub(in super::super) fn put_off(&mut self, now: Instant) {
        self.set_sent = self.set_sent.map(|_| now);
    }

    /// Goes on in smaller blocks, if larger ones do not fit any more.
    fn fit(&mut self, size: BlockSize) {
        if size < self.size
            && let Some(next) = Block::at(self.next as usize * self.size.bytes(), size, false)
        {
            (self.size, self.next) = (size, next.num);
        }
    }
}

impl Snapshot {
    /// Returns what is to be done next for a body on its way; `size` is the largest block that fits.
    pub(in super::super) fn step(&mut self, now: Instant, size: BlockSize, pace: Pace) -> Step {
        let Some(mut sending) = self.sending.take() else { return Step::Ended { given_up: false } };
        sending.fit(size);
        let probes = sending.set_sent.is_some() && sending.in_silence + 1 >= pace.sets_in_silence;
        let due = match sending.set_sent {
            Some(sent) if probes && now >= sent + pace.timeout => match pace.between_probes(sending.size) {
                Some(gap) => sent + gap,
                None => return Step::Ended { given_up: true },
            },
            Some(sent) if now < sent + pace.timeout => sent + pace.timeout,
            Some(_) => {
                sending.in_silence += 1;
                sending.begin_set(now);
                sending.due(pace)
            }
            None => sending.due(pace),
        };
        if now < due {
            self.sending = Some(sending);
            return Step::At(due);
        }
        let block = Block { num: sending.next, more: false, size: sending.size };
        let asker = sending.asker;
        let lookup = self.ask(now, Ask::listed(block, asker.token, true));
        match lookup {
            Lookup::Wait => {
                sending.is_stalled = true;
                self.sending = Some(sending);
                return Step::Stalled;
            }
            Lookup::OutOfRange => return Step::Ended { given_up: false },
            Lookup::Ready { .. } => {}
            Lookup::Gone | Lookup::Failed(..) => return Step::Send(asker, lookup),
        }
        sending.is_stalled = false;
        sending.asker.kind = lowband_wire::coap::message::Kind::NonConfirmable;
        sending.next += 1;
        if probes || sending.next.is_multiple_of(pace.set) {
            sending.set_sent = Some(now);
        }
        let is_last =
            matches!(self.end, End::Complete) && block.offset() + block.size.bytes() >= self.content.end;
        self.sending = (!is_last).then_some(sending);
        Step::Send(asker, lookup)
    }
}
