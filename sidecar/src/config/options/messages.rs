//! Options for when messages are repeated and transfers are given up.

use crate::config::{Mistakes, values};
use clap::Args;
use lowband_transport::coap::Times;

/// The times of the CoAP layer.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Messages {
    /// First retransmission of a confirmable message (ACK_TIMEOUT of RFC 7252) to a client whose round trip
    /// is not known yet. Afterwards the measured round trip counts.
    #[arg(long, env = "LOWBAND_ACK_TIMEOUT", value_name = "DURATION", default_value = "2s")]
    ack_timeout: String,
    /// Retransmissions of a confirmable message (MAX_RETRANSMIT of RFC 7252), at most 6 s apart. The RFC's 4
    /// lose one answer in thirty at 30 % loss.
    #[arg(long, env = "LOWBAND_MAX_RETRANSMIT", value_name = "COUNT", default_value = "27")]
    max_retransmit: String,
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
    pub(in crate::config) fn parse(&self, mistakes: &mut Mistakes) -> Option<Times> {
        let ack_timeout = mistakes.parse("--ack-timeout", &self.ack_timeout, values::some_duration);
        let max_retransmit = mistakes.parse("--max-retransmit", &self.max_retransmit, values::within(0..=60));
        let piggyback_wait = mistakes.parse("--piggyback-wait", &self.piggyback_wait, values::duration);
        let blockwise_idle = mistakes.parse("--blockwise-idle", &self.blockwise_idle, values::some_duration);
        let snapshot_idle = mistakes.parse("--snapshot-idle", &self.snapshot_idle, values::some_duration);
        Some(Times {
            ack_timeout: ack_timeout?,
            max_retransmit: u32::try_from(max_retransmit?).ok()?,
            piggyback_wait: piggyback_wait?,
            blockwise_idle: blockwise_idle?,
            snapshot_idle: snapshot_idle?,
            ..Times::measured()
        })
    }
}
