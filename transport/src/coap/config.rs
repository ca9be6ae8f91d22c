//! Times and limits: everything about the CoAP layer that can be set.

use crate::Mistake;
use crate::setup::LONGEST_TIME;
use lowband_wire::coap::block::BlockSize;
use std::time::Duration;

/// Transmission parameters (RFC 7252 section 4.8) and our own times. Defaults: "RFC" is [`Times::rfc7252`],
/// "measured" is [`Times::measured`]; a single number holds for both.
#[derive(Clone, Debug)]
pub struct Times {
    /// ACK_TIMEOUT: time until the first retransmission of a confirmable message, as long as no round trip is
    /// known. Default 2 s.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR: the first timeout is multiplied by a random number between 1 and this, so that
    /// clients do not repeat in step. From 1 to 10; default 1.5 (RFC), 1.25 (measured).
    pub ack_random_factor: f64,
    /// Factor by which the timeout grows from one transmission to the next. From 1 to 10; default 2
    /// (RFC), 1.5 (measured).
    pub backoff: f64,
    /// MAX_RETRANSMIT: copies of a message after the first. Whatever this says, no copy is sent later than
    /// six tenths of `exchange_lifetime` after the first: the receiver must still know the message id when
    /// the last copy arrives. At most 60; default 4 (RFC), 27 (measured).
    pub max_retransmit: u32,
    /// PROBING_RATE: bytes a second, in the long run, of Non-confirmable messages to a peer that answers none
    /// of them (RFC 7252 section 4.7): of the blocks of a body that is sent on by itself, once
    /// `non_max_retransmit` sets have had no answer. At less than a block in `snapshot_idle`, nothing is sent
    /// then. Confirmable messages do not count: the gaps between their copies bound them. At least 1; default
    /// 1.
    pub probing_rate: u32,
    /// Longest gap between two transmissions, except on paths whose round trip needs a longer one. Default 60
    /// s (RFC), 6 s (measured).
    pub max_interval: Duration,
    /// Whether to measure the round trip and use srtt + 4 var instead of `ack_timeout`. The first gap is
    /// longer by `piggyback_wait`, because the peer may hold its acknowledgement back for that long. Default
    /// false (RFC), true (measured).
    pub measured: bool,
    /// A ping that is not answered for this long, or for six round trips if that is longer, proves the server
    /// gone, unless something else has been heard meanwhile. See
    /// [`ClientEvent::Dead`](super::ClientEvent::Dead). Default 10 s.
    pub dead_after: Duration,
    /// How long a request of a client with short timers waits for the upstream before it is acknowledged
    /// (empty); no request is acknowledged sooner. [`Times::short_timers`] says which clients those are. 0
    /// acknowledges each request at once. Default 500 ms.
    pub piggyback_wait: Duration,
    /// The acknowledgement reaches any other client this long after it sent the request, as far as its round
    /// trip is known: just before the ACK_TIMEOUT of RFC 7252 is over and it would send a copy. An answer
    /// that comes before then saves a message, and clients that cannot take a long answer behind an
    /// acknowledgement get it in place of one. 0 acknowledges each request at once. Default 1.8 s.
    pub acknowledge_within: Duration,
    /// NON_TIMEOUT (RFC 9177 section 7.2): how long after a set of blocks the next one is sent to a client
    /// that asks for whole bodies by Q-Block2 and has not confirmed the first; two round trips if that is
    /// longer. Default 2 s.
    pub non_timeout: Duration,
    /// EXCHANGE_LIFETIME: how long message ids are remembered, those of the peer and our own; it bounds how
    /// long copies are sent ([`Times::derived`]). Shorter times let a late copy act twice. Default 247 s.
    pub exchange_lifetime: Duration,
    /// A blockwise upload without progress ends after this; see [`Limits::upload_rate`] for one with little.
    /// Default 120 s.
    pub blockwise_idle: Duration,
    /// How long a snapshot is kept after the last request for one of its blocks. Default 60 s.
    pub snapshot_idle: Duration,
}

impl Times {
    /// Returns RFC 7252's own numbers (section 4.8).
    pub fn rfc7252() -> Times {
        Times {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor: 1.5,
            backoff: 2.0,
            max_retransmit: 4,
            probing_rate: 1,
            max_interval: Duration::from_secs(60),
            measured: false,
            dead_after: Duration::from_secs(10),
            piggyback_wait: Duration::from_millis(500),
            acknowledge_within: Duration::from_millis(1800),
            non_timeout: Duration::from_secs(2),
            exchange_lifetime: Duration::from_secs(247),
            blockwise_idle: Duration::from_secs(120),
            snapshot_idle: Duration::from_secs(60),
        }
    }

    /// Returns our own numbers: measured round trips, growth 1.5, gaps of at most 6 s, up to 28 copies
    /// within 148 s.
    ///
    /// At 30 % loss each way every second copy comes through with its answer. Twelve copies would lose 3 in
    /// 10,000 exchanges, which is one body of 100 kB in 30. Besides, a block must be asked for again often
    /// enough within `snapshot_idle` that the server does not take its reader for gone: all of thirteen
    /// requests are lost 2 times in 10 million.
    pub fn measured() -> Times {
        Times {
            ack_random_factor: 1.25,
            backoff: 1.5,
            max_retransmit: 27,
            max_interval: Duration::from_secs(6),
            measured: true,
            ..Times::rfc7252()
        }
    }
}

/// The most copies after the first. At our times 27 fill the lifetime of a message id.
const MOST_COPIES: u32 = 60;

/// The least ACK_TIMEOUT of a client that sends its copies as RFC 7252 section 4.8 says.
const PATIENT: Duration = Duration::from_secs(2);

impl Times {
    /// Returns whether a client with these times may send a copy of a request sooner than RFC 7252 says, so
    /// that it wants the server's acknowledgement after `piggyback_wait`. Our client announces that by option
    /// 65020. Of any other client the server assumes it once a copy arrives of a request that it has left
    /// unacknowledged for that long.
    pub fn short_timers(&self) -> bool {
        self.measured || self.ack_timeout < PATIENT
    }
}

impl Times {
    /// Returns how long a confirmable message is sent again before it is given up, at most: MAX_TRANSMIT_WAIT
    /// (RFC 7252 section 4.8.2), within what `max_retransmit` allows.
    pub(super) fn patience(&self) -> Duration {
        let longest = self.exchange_lifetime.mul_f64(0.6);
        let (mut gap, mut total) = (self.ack_timeout.mul_f64(self.ack_random_factor), Duration::ZERO);
        for _ in 0..=self.max_retransmit {
            total = total.saturating_add(gap);
            if total >= longest {
                return longest;
            }
            gap = gap.mul_f64(self.backoff).min(self.max_interval.max(gap));
        }
        total
    }
}

impl Times {
    /// Returns what makes no sense; empty if all is well.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (time, value) in [
            ("ack_timeout", self.ack_timeout),
            ("max_interval", self.max_interval),
            ("dead_after", self.dead_after),
            ("piggyback_wait", self.piggyback_wait),
            ("acknowledge_within", self.acknowledge_within),
            ("non_timeout", self.non_timeout),
            ("exchange_lifetime", self.exchange_lifetime),
            ("blockwise_idle", self.blockwise_idle),
            ("snapshot_idle", self.snapshot_idle),
        ] {
            // Only the waits for the upstream may be zero: each request is then acknowledged at once.
            let may_be_none = ["piggyback_wait", "acknowledge_within"].contains(&time);
            if (value.is_zero() && !may_be_none) || value > LONGEST_TIME {
                mistakes.push(Mistake::Time { time, value });
            }
        }
        for (count, value, least, most) in [
            ("max_retransmit", self.max_retransmit, 0, MOST_COPIES),
            ("probing_rate", self.probing_rate, 1, u32::MAX),
        ] {
            if !(least..=most).contains(&value) {
                mistakes.push(Mistake::Count { count, value, least, most });
            }
        }
        for (factor, value) in [("ack_random_factor", self.ack_random_factor), ("backoff", self.backoff)] {
            if !(1.0..=10.0).contains(&value) {
                mistakes.push(Mistake::Factor { factor, value });
            }
        }
        mistakes
    }
}

/// Upper bounds of the CoAP layer; a counter of each says how often it was reached. Larger numbers cost
/// memory. Defaults are those of [`Limits::default`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// Server: requests of one session that wait for the upstream, and again as many whose separate response
    /// is not acknowledged yet; one more is answered 5.03. Client: requests under way; one more waits its
    /// turn. Default 32.
    pub exchanges_per_session: usize,
    /// Confirmable messages of one session that are on their way at once and not acknowledged; one more
    /// waits. A request that has been acknowledged and waits for its answer takes no place. Default 8.
    pub window: u16,
    /// Client: blocks of one session that may be on their way at once, of all its bodies together; how many
    /// are, a measured window decides. 1 moves one block after the other, more than 256 count as 256. Default
    /// 64.
    pub body_window: u32,
    /// Blocks asked for by one session that wait for the upstream, each block of a list by itself; one more
    /// is dropped (the client asks again). Default 256.
    pub waiting_blocks_per_session: usize,
    /// Whether this end says that it knows packed bodies ([`lowband_wire::packed`]), where its peer says the
    /// same. To pack and to unpack them is the application's. Default false.
    pub packed_bodies: bool,
    /// Bytes of one request body; a longer one is answered 4.13. Default 8 MiB.
    pub upload: usize,
    /// Uploads of one session at the same time; one more ends the one that has been silent longest. With
    /// fewer than `exchanges_per_session`, a client that overlaps its requests loses uploads. Default 32.
    pub uploads_per_session: usize,
    /// Client: bytes of one response body; a longer one fails the request. Default 64 MiB.
    pub download: usize,
    /// Bytes in uploads and snapshots, all sessions together. Snapshots have what `upload_total` leaves, but
    /// at least half; one network has at most a quarter of that and one site half. At the bound the heaviest
    /// session loses what has been read of its bodies, and the upstreams of sessions that hold as much are
    /// not read on, unless a client waits for the next block. An eighth above a bound, the heaviest session
    /// loses bodies. Default 64 MiB.
    pub blockwise_total: usize,
    /// Bytes that are held elsewhere, until they are read, for a snapshot whose upstream has not come to its
    /// end: they count as the snapshot's own in `blockwise_total`, up to what is known to be still to come.
    /// Default 0, for an upstream that makes each chunk when it is asked for.
    pub snapshot_at_upstream: usize,
    /// The part of `blockwise_total` for uploads; one network has at most a quarter of it and one site half,
    /// and each at least one upload. At the bound the slowest upload of the heaviest session ends: its next
    /// block is answered 4.08. Default 32 MiB.
    pub upload_total: usize,
    /// Bytes a second that an upload has to make in the long run; `blockwise_idle` is the longest time that
    /// it has in hand. Default 8.
    pub upload_rate: usize,
    /// Snapshots of one session, besides two for each of `exchanges_per_session`: a client that overlaps its
    /// requests must not lose one body to the next, nor the last block of a body when that is lost on the way
    /// and asked for again. One more ends the oldest that has been read to its end, otherwise the oldest.
    /// Default 4.
    pub snapshots_per_session: usize,
    /// Bytes of one session's snapshots. Above it, parts that have been read are dropped, and upstreams are
    /// not read on; half as much again above it, snapshots that have been read to their end are dropped, then
    /// the oldest. Default 4 MiB.
    pub snapshot_bytes_per_session: usize,
    /// Bytes by which a snapshot is filled beyond what the client has asked for. Default 256 KiB.
    pub read_ahead: usize,
    /// MAX_PAYLOADS (RFC 9177 section 7.2): blocks of a set that is sent to a client which asks for whole
    /// bodies by Q-Block2; it should be the same at both ends. Default 10.
    pub max_payloads: u32,
    /// NON_MAX_RETRANSMIT (RFC 9177 section 7.2): sets that such a client is sent although nothing is heard
    /// of it. Default 4.
    pub non_max_retransmit: u32,
    /// Bodies that are sent to one such client at once; of one more only the first block is sent, and what
    /// its client asks for. Default 4.
    pub sent_bodies_per_session: usize,
    /// Message ids remembered per session for deduplication; one more forgets the oldest that was
    /// answered. Default 256.
    pub dedup_per_session: usize,
    /// Bytes of answers remembered per session for duplicates; more forgets the oldest that was answered. A
    /// client of ours needs a hundred answers of one block. Default 128 KiB.
    pub dedup_bytes_per_session: usize,
    /// Requests for later blocks that came inside acknowledgements, or as lists, remembered per session for
    /// deduplication; one more forgets the oldest. A copy comes within a few round trips, in which each
    /// exchange of its client gets on by a few blocks. Default 64.
    pub dedup_acknowledging_per_session: usize,
    /// Bytes of all answered messages that deduplication remembers; one network has at most a quarter of it
    /// and one site half ([`Bounds::of`](crate::shares::Bounds::of)). At the bound the heaviest session
    /// forgets what is worth least, and nothing is refused. 64 MiB remember 2,000 requests a second with
    /// answers of 1 kB for half a minute. Default 64 MiB.
    pub dedup_total: usize,
    /// Bytes that separate answers take until they are acknowledged, with what is kept to cut them smaller;
    /// one network has at most a quarter of it and one site half ([`Bounds::of`](crate::shares::Bounds::of)).
    /// At the bound the heaviest session loses an answer, first one that has been sent more than once. 2,000
    /// answers of 1 kB a second that are acknowledged after 2 s take 10 MB. Default 32 MiB.
    pub answers_total: usize,
    /// Largest block that we send or ask for, in either role. Default 1024 bytes, the largest of RFC 7959.
    pub block_size: BlockSize,
}

/// Default of [`Limits::window`]: a queue of eight answers of 1 kB takes 7 s at 9.6 kbit/s.
const WINDOW: u16 = 8;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            exchanges_per_session: 32,
            window: WINDOW,
            body_window: 64,
            waiting_blocks_per_session: 256,
            packed_bodies: false,
            upload: 8 << 20,
            uploads_per_session: 32,
            download: 64 << 20,
            blockwise_total: 64 << 20,
            snapshot_at_upstream: 0,
            upload_total: 32 << 20,
            upload_rate: 8,
            snapshots_per_session: 4,
            snapshot_bytes_per_session: 4 << 20,
            read_ahead: 256 << 10,
            max_payloads: 10,
            non_max_retransmit: 4,
            sent_bodies_per_session: 4,
            dedup_per_session: 256,
            dedup_bytes_per_session: 128 << 10,
            dedup_acknowledging_per_session: 64,
            dedup_total: 64 << 20,
            answers_total: 32 << 20,
            block_size: BlockSize::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_of_times_make_sense_and_every_impossible_one_is_named() {
        assert!(Times::rfc7252().mistakes().is_empty() && Times::measured().mistakes().is_empty());
        let wrong = Times {
            ack_timeout: Duration::ZERO,
            ack_random_factor: f64::NAN,
            backoff: 0.5,
            max_retransmit: 61,
            probing_rate: 0,
            snapshot_idle: Duration::MAX,
            ..Times::rfc7252()
        };
        let mistakes = wrong.mistakes();
        assert!(matches!(
            mistakes[..],
            [
                Mistake::Time { time: "ack_timeout", value: Duration::ZERO },
                Mistake::Time { time: "snapshot_idle", value: Duration::MAX },
                Mistake::Count { count: "max_retransmit", value: 61, least: 0, most: 60 },
                Mistake::Count { count: "probing_rate", value: 0, least: 1, most: u32::MAX },
                Mistake::Factor { factor: "ack_random_factor", .. },
                Mistake::Factor { factor: "backoff", value: 0.5 },
            ]
        ));
        assert_eq!(mistakes[2].to_string(), "max_retransmit is 61; it must be 0 to 60");
        assert_eq!(mistakes[5].to_string(), "factor backoff is 0.5; it must be 1 to 10");
    }
}
