//! Times and limits: everything about the CoAP layer that can be set.

use super::block::BlockSize;
use std::time::Duration;

/// Transmission parameters (RFC 7252 section 4.8) and our own times.
#[derive(Clone, Debug)]
pub struct Times {
    /// ACK_TIMEOUT: first retransmission of a confirmable message, as long as no round trip is known.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR: the first timeout is multiplied by a random number between 1 and this.
    pub ack_random_factor: f64,
    /// Growth of the timeout from one transmission to the next.
    pub backoff: f64,
    /// MAX_RETRANSMIT. No copy is sent later than six tenths of `exchange_lifetime` after the first, whatever this says:
    /// the receiver must still know the message id when the last copy arrives.
    pub max_retransmit: u32,
    /// No gap between two transmissions is longer, but for paths whose round trip needs it.
    pub max_interval: Duration,
    /// Measure the round trip and use srtt + 4 var instead of `ack_timeout`; the first gap is longer by
    /// `piggyback_wait`, because the peer may hold its acknowledgement back for that long.
    pub measured: bool,
    /// A ping that nobody answers for this long, or for six round trips if that is longer, shows that nobody is there, unless
    /// something else has been heard meanwhile. See [`ClientEvent::Dead`](super::ClientEvent::Dead).
    pub dead_after: Duration,
    /// A request of a client that is known to have short timers is acknowledged (empty) when it has waited for the upstream
    /// for this long, and no request sooner. What makes a client known for that: see [`Times::short_timers`].
    pub piggyback_wait: Duration,
    /// Any other client has its acknowledgement this long after it sent the request, as far as its round trip is known: just
    /// before the ACK_TIMEOUT of RFC 7252 is over and it would send a copy. What is answered before that costs one message less,
    /// and clients that cannot take a long answer behind an acknowledgement get it in place of one.
    pub acknowledge_within: Duration,
    /// EXCHANGE_LIFETIME: message ids are remembered this long.
    pub exchange_lifetime: Duration,
    /// A blockwise upload without progress ends after this; see [`Limits::upload_rate`] for one with little.
    pub blockwise_idle: Duration,
    /// A snapshot is kept this long after its last block was asked for.
    pub snapshot_idle: Duration,
}

impl Times {
    /// RFC 7252's own numbers.
    pub fn rfc7252() -> Times {
        Times {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor: 1.5,
            backoff: 2.0,
            max_retransmit: 4,
            max_interval: Duration::from_secs(60),
            measured: false,
            dead_after: Duration::from_secs(10),
            piggyback_wait: Duration::from_millis(500),
            acknowledge_within: Duration::from_millis(1800),
            exchange_lifetime: Duration::from_secs(247),
            blockwise_idle: Duration::from_secs(120),
            snapshot_idle: Duration::from_secs(60),
        }
    }

    /// Our own numbers: measured round trips, growth 1.5, gaps of at most 6 s, up to 28 copies within 148 s.
    ///
    /// At 30 % loss each way every second copy comes through with its answer. Twelve copies would lose 3 in 10,000
    /// exchanges, which is one body of 100 kB in 30. And a block must be asked for again often enough within `snapshot_idle`
    /// that the server does not take its reader for gone: thirteen requests of which none arrives are 2 in 10 million.
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

/// The least ACK_TIMEOUT of a client that sends its copies as RFC 7252 section 4.8 has it.
const PATIENT: Duration = Duration::from_secs(2);

impl Times {
    /// A client with these times may send a copy of a request sooner than one by RFC 7252 would, so it wants the server's
    /// acknowledgement after `piggyback_wait`. Our client says so by option 65020; of any other the server believes it as soon
    /// as a copy arrives of a request that it has not acknowledged for that long.
    pub fn short_timers(&self) -> bool {
        self.measured || self.ack_timeout < PATIENT
    }
}

/// Times are added to the clock and multiplied, which must not overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl Times {
    /// What makes no sense, one line for each mistake; none if all is well.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (name, time) in [
            ("ack_timeout", self.ack_timeout),
            ("max_interval", self.max_interval),
            ("dead_after", self.dead_after),
            ("piggyback_wait", self.piggyback_wait),
            ("acknowledge_within", self.acknowledge_within),
            ("exchange_lifetime", self.exchange_lifetime),
            ("blockwise_idle", self.blockwise_idle),
            ("snapshot_idle", self.snapshot_idle),
        ] {
            // Only the waits for the upstream may be none at all: then each request is acknowledged at once.
            let may_be_none = ["piggyback_wait", "acknowledge_within"].contains(&name);
            if (time.is_zero() && !may_be_none) || time > LONGEST {
                mistakes.push(format!("time {name} must be more than 0 and at most a year"));
            }
        }
        for (name, factor) in [("ack_random_factor", self.ack_random_factor), ("backoff", self.backoff)] {
            if !(1.0..=10.0).contains(&factor) {
                mistakes.push(format!("factor {name} is {factor}; it must be 1 to 10"));
            }
        }
        mistakes
    }
}

/// Upper bounds of the CoAP layer; each has a counter of what it turned away.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Server: requests of one session that wait for the upstream, and again as many whose separate response is not
    /// acknowledged yet; one more is answered 5.03. Client: requests on the way; one more waits its turn.
    pub exchanges_per_session: usize,
    /// Confirmable messages of one session that are on their way at once and not acknowledged; one more waits. A request that has
    /// been acknowledged and waits for its answer takes no place.
    pub window: u16,
    /// Block requests of one session that wait for the upstream; one more is dropped (the client repeats it).
    pub waiting_blocks_per_session: usize,
    /// Bytes of one request body; more is 4.13.
    pub upload: usize,
    /// Uploads of one session at the same time; one more ends the one that has been silent longest. With fewer than
    /// `exchanges_per_session` a client that overlaps its requests loses uploads.
    pub uploads_per_session: usize,
    /// Bytes of one response body (client role).
    pub download: usize,
    /// Bytes in uploads and snapshots, all sessions together. Snapshots have what `upload_total` leaves, at least half; a quarter of
    /// theirs for one network and half for one site. At the bound the heaviest session loses what has been read of its bodies, and the
    /// upstreams are not read on for those who hold as much as it, unless somebody waits for the next block; beyond, by an eighth, it
    /// loses bodies.
    pub blockwise_total: usize,
    /// The part of it for uploads; a quarter for one network, half for one site, and at least one upload for each. At the bound the
    /// slowest upload of the heaviest session ends: its next block is answered 4.08.
    pub upload_total: usize,
    /// Bytes a second that an upload has to make in the long run: see `blockwise_idle`, which is the time that it has in hand.
    pub upload_rate: usize,
    /// Snapshots of one session, beside two for each of `exchanges_per_session`: a client that overlaps its requests must
    /// not lose one body to the next, nor the last block of a body when that is lost on the way and asked for again. One
    /// more ends the oldest that has been read to its end, else the oldest.
    pub snapshots_per_session: usize,
    /// Bytes of one session's snapshots. Beyond, the parts go that have been read, and the upstreams are not read on;
    /// beyond half as much again those go that have been read to their end, then the oldest.
    pub snapshot_bytes_per_session: usize,
    /// How far a snapshot is filled beyond what the client has asked for.
    pub read_ahead: usize,
    /// Message ids remembered per session for deduplication; one more forgets the oldest answered.
    pub dedup_per_session: usize,
    /// Bytes of answers remembered per session for duplicates; more forgets the oldest answered. A client of ours needs a
    /// hundred answers of one block.
    pub dedup_bytes_per_session: usize,
    /// Requests for later blocks that came inside acknowledgements, remembered per session for deduplication; one more forgets
    /// the oldest. A copy comes within a few round trips, in which each of its exchanges gets on by a few blocks.
    pub dedup_acknowledging_per_session: usize,
    /// Bytes of all answered messages that deduplication remembers, a quarter of it for one network and half for one site
    /// ([`Bounds::of`](crate::shares::Bounds::of)). At the bound the heaviest session forgets what is worth least, and nothing is
    /// refused. 2,000 requests a second with answers of 1 kB are remembered for half a minute with 64 MiB.
    pub dedup_total: usize,
    /// Bytes that separate answers take until they are acknowledged, with what is kept to cut them smaller; a
    /// quarter of it for one network and half for one site ([`Bounds::of`](crate::shares::Bounds::of)). At
    /// the bound the heaviest session loses an answer, first one that has been sent more than once. 2,000
    /// answers of 1 kB a second that are acknowledged after 2 s take 10 MB.
    pub answers_total: usize,
    /// Largest block that we send or ask for.
    pub block_size: BlockSize,
}

/// A queue of eight answers of 1 kB is 7 s at 9.6 kbit/s.
const WINDOW: u16 = 8;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            exchanges_per_session: 32,
            window: WINDOW,
            waiting_blocks_per_session: 256,
            upload: 8 << 20,
            uploads_per_session: 32,
            download: 64 << 20,
            blockwise_total: 64 << 20,
            upload_total: 32 << 20,
            upload_rate: 8,
            snapshots_per_session: 4,
            snapshot_bytes_per_session: 4 << 20,
            read_ahead: 256 << 10,
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
            snapshot_idle: Duration::MAX,
            ..Times::rfc7252()
        };
        let named = ["ack_timeout", "snapshot_idle", "ack_random_factor", "backoff"];
        let mistakes = wrong.mistakes();
        assert_eq!(mistakes.len(), named.len());
        assert!(mistakes.iter().zip(named).all(|(mistake, name)| mistake.contains(name)));
    }
}
