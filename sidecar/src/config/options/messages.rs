//! Options for when messages are repeated and transfers are given up: the parameters of RFC 7252 section 4.8
//! by their names there, but for DEFAULT_LEISURE, which is for multicast, and times of our own.

use crate::config::{Mistakes, values};
use clap::Args;
use lowband_transport::coap::Times;

/// Most messages of one session on their way at once. A window as wide takes a minute at 9.6 kbit/s.
const MOST_AT_ONCE: u64 = 64;

/// The times of the CoAP layer, and how many of its messages may be on their way.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Messages {
    /// First retransmission of a confirmable message (ACK_TIMEOUT of RFC 7252) to a client whose round trip
    /// is not known yet. Afterwards the measured round trip counts.
    #[arg(long, env = "LOWBAND_ACK_TIMEOUT", value_name = "DURATION", default_value = "2s")]
    ack_timeout: String,
    /// The first retransmission comes up to so many times later, at random, so that messages are not repeated
    /// in step (ACK_RANDOM_FACTOR of RFC 7252, where it is 1.5): from 1 to 10.
    #[arg(long, env = "LOWBAND_ACK_RANDOM_FACTOR", value_name = "FACTOR", default_value = "1.25")]
    ack_random_factor: String,
    /// Retransmissions of a confirmable message (MAX_RETRANSMIT of RFC 7252), at most 6 s apart. The RFC's 4
    /// lose one answer in thirty at 30 % loss.
    #[arg(long, env = "LOWBAND_MAX_RETRANSMIT", value_name = "COUNT", default_value = "27")]
    max_retransmit: String,
    /// Confirmable messages of one session on their way at once (NSTART of RFC 7252, where it is 1); one more
    /// waits its turn. They queue up before a slow link: eight answers of 1 kB take 7 s at 9.6 kbit/s.
    #[arg(long, env = "LOWBAND_NSTART", value_name = "COUNT", default_value = "8")]
    nstart: String,
    /// Bytes a second, in the long run, to a client that has asked for a whole body by Q-Block2 (RFC 9177)
    /// and says nothing any more (PROBING_RATE of RFC 7252). At less than a block in --snapshot-idle, nothing
    /// is sent then. Confirmable messages do not count, but have the gaps between their retransmissions.
    #[arg(long, env = "LOWBAND_PROBING_RATE", value_name = "COUNT", default_value = "1")]
    probing_rate: String,
    /// How long a message id is remembered (EXCHANGE_LIFETIME of RFC 7252). The last retransmission comes
    /// within six tenths of it, so that its receiver still knows the first. Too short lets a late copy of a
    /// request act twice.
    #[arg(long, env = "LOWBAND_EXCHANGE_LIFETIME", value_name = "DURATION", default_value = "247s")]
    exchange_lifetime: String,
    /// A request that waits longer for the upstream is acknowledged and answered later: where the client has
    /// said or shown that it repeats sooner than RFC 7252 has it. Any other is acknowledged 1.8 s after it
    /// was sent, by the measured round trip, if that is later.
    #[arg(long, env = "LOWBAND_PIGGYBACK_WAIT", value_name = "DURATION", default_value = "500ms")]
    piggyback_wait: String,
    /// A blockwise transfer without progress ends after this.
    #[arg(long, env = "LOWBAND_BLOCKWISE_IDLE", value_name = "DURATION", default_value = "2m")]
    blockwise_idle: String,
    /// A blockwise response is kept this long after its last block was asked for.
    #[arg(long, env = "LOWBAND_SNAPSHOT_IDLE", value_name = "DURATION", default_value = "60s")]
    snapshot_idle: String,
}

impl Messages {
    /// Parses the group: the times, and how many messages of one session may be on their way.
    pub(in crate::config) fn parse(&self, mistakes: &mut Mistakes) -> Option<(Times, u16)> {
        let ack_timeout = mistakes.parse("--ack-timeout", &self.ack_timeout, values::some_duration);
        let ack_random_factor =
            mistakes.parse("--ack-random-factor", &self.ack_random_factor, values::factor);
        let max_retransmit = mistakes.parse("--max-retransmit", &self.max_retransmit, values::within(0..=60));
        let nstart = mistakes.parse("--nstart", &self.nstart, values::within(1..=MOST_AT_ONCE));
        let probing_rate =
            mistakes.parse("--probing-rate", &self.probing_rate, values::within(1..=1_000_000_000));
        let exchange_lifetime =
            mistakes.parse("--exchange-lifetime", &self.exchange_lifetime, values::some_duration);
        let piggyback_wait = mistakes.parse("--piggyback-wait", &self.piggyback_wait, values::duration);
        let blockwise_idle = mistakes.parse("--blockwise-idle", &self.blockwise_idle, values::some_duration);
        let snapshot_idle = mistakes.parse("--snapshot-idle", &self.snapshot_idle, values::some_duration);
        let times = Times {
            ack_timeout: ack_timeout?,
            ack_random_factor: ack_random_factor?,
            max_retransmit: u32::try_from(max_retransmit?).ok()?,
            probing_rate: u32::try_from(probing_rate?).ok()?,
            exchange_lifetime: exchange_lifetime?,
            piggyback_wait: piggyback_wait?,
            blockwise_idle: blockwise_idle?,
            snapshot_idle: snapshot_idle?,
            ..Times::measured()
        };
        Some((times, u16::try_from(nstart?).ok()?))
    }
}
