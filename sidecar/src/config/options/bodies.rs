//! Options for exchanges and bodies: how many, and how large.

use super::{MANY, MEMORY};
use crate::config::{Mistakes, values};
use crate::upstream::held_of_an_answer;
use clap::Args;
use lowband_transport::coap::{Limits, upload_memory as upload_memory_of};

/// The limits of the CoAP layer.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Bodies {
    /// Requests of one session that wait for an answer, at most.
    #[arg(long, env = "LOWBAND_EXCHANGES", value_name = "COUNT", default_value = "32")]
    exchanges: String,
    /// Largest request body. Envoy's filter has a limit of its own (max_request_bytes).
    #[arg(long, env = "LOWBAND_UPLOAD", value_name = "SIZE", default_value = "8MiB")]
    upload: String,
    /// Memory for uploads and blockwise responses of all sessions; as much again for bodies on
    /// their way upstream.
    #[arg(long, env = "LOWBAND_BLOCKWISE_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    blockwise_memory: String,
    /// The part of it for uploads, or half (one upload at least); one address (IPv6: one /64) gets a quarter
    /// of that, or one upload. When it is used up, the slowest upload of who holds most ends.
    #[arg(long, env = "LOWBAND_UPLOAD_MEMORY", value_name = "SIZE", default_value = "half")]
    upload_memory: String,
    /// Blockwise responses kept for one session, at most.
    #[arg(long, env = "LOWBAND_SNAPSHOTS", value_name = "COUNT", default_value = "4")]
    snapshots: String,
    /// Memory for the blockwise responses of one session.
    #[arg(long, env = "LOWBAND_SNAPSHOT_MEMORY", value_name = "SIZE", default_value = "4MiB")]
    snapshot_memory: String,
    /// What Envoy holds of an answer that its client does not read on: as much as its stream may have
    /// (initial_stream_window_size) and one read from the homeserver (per_connection_buffer_limit_bytes), as
    /// the envoy.yaml of this program has them. It counts to the client's part of --blockwise-memory. With
    /// 1MiB, for Envoy Gateway and Istio, one address has room for 8 such answers, and all for 35; with more
    /// than a sixteenth of --blockwise-memory, one address has room for a single one.
    #[arg(long, env = "LOWBAND_HELD_BY_ENVOY", value_name = "SIZE", default_value = "128KiB")]
    held_by_envoy: String,
    /// Message ids remembered for one session, against duplicates.
    #[arg(long, env = "LOWBAND_MESSAGE_IDS", value_name = "COUNT", default_value = "256")]
    message_ids: String,
    /// Memory for the answers that are remembered against duplicates, all sessions together; one address
    /// (IPv6: one /64) gets a quarter of it. Nothing is refused for want of it: copies of GETs are then
    /// carried out again, others are told that their answer is gone.
    #[arg(long, env = "LOWBAND_DEDUP_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    dedup_memory: String,
    /// Memory for answers in messages of their own until their clients acknowledge them, all sessions
    /// together; one address (IPv6: one /64) gets a quarter of it. When it is used up, the session that
    /// holds most loses an answer.
    #[arg(long, env = "LOWBAND_ANSWER_MEMORY", value_name = "SIZE", default_value = "32MiB")]
    answer_memory: String,
}

impl Bodies {
    pub(in crate::config) fn parse(&self, mistakes: &mut Mistakes) -> Option<Limits> {
        let exchanges = mistakes.parse("--exchanges", &self.exchanges, values::within(1..=MANY));
        let upload = mistakes.parse("--upload", &self.upload, values::size_within(1..=MEMORY));
        let blockwise =
            mistakes.parse("--blockwise-memory", &self.blockwise_memory, values::size_within(1..=MEMORY));
        let upload_memory = mistakes.parse("--upload-memory", &self.upload_memory, half_or_size);
        let snapshots = mistakes.parse("--snapshots", &self.snapshots, values::within(1..=MANY));
        let snapshot_memory =
            mistakes.parse("--snapshot-memory", &self.snapshot_memory, values::size_within(1024..=MEMORY));
        let held_by_envoy =
            mistakes.parse("--held-by-envoy", &self.held_by_envoy, values::size_within(0..=MEMORY));
        let message_ids = mistakes.parse("--message-ids", &self.message_ids, values::within(1..=65_536));
        let dedup_memory =
            mistakes.parse("--dedup-memory", &self.dedup_memory, values::size_within(64 << 10..=MEMORY));
        let answer_memory =
            mistakes.parse("--answer-memory", &self.answer_memory, values::size_within(64 << 10..=MEMORY));
        let (upload, blockwise, upload_memory) = (upload?, blockwise?, upload_memory?);
        if upload > blockwise {
            mistakes.add("--upload", format!("{:?} is more than --blockwise-memory holds", self.upload));
        } else if upload_memory.is_some_and(|memory| !(upload..=blockwise).contains(&memory)) {
            let why = "is less than --upload, or more than --blockwise-memory";
            mistakes.add("--upload-memory", format!("{:?} {why}", self.upload_memory));
        }
        let half = (blockwise / 2).max(upload_memory_of(upload)).min(blockwise);
        Some(Limits {
            exchanges_per_session: exchanges?,
            upload,
            blockwise_total: blockwise,
            snapshot_at_upstream: held_of_an_answer(held_by_envoy?),
            upload_total: upload_memory.unwrap_or(half),
            snapshots_per_session: snapshots?,
            snapshot_bytes_per_session: snapshot_memory?,
            dedup_per_session: message_ids?,
            dedup_total: dedup_memory?,
            answers_total: answer_memory?,
            packed_bodies: true,
            ..Limits::default()
        })
    }
}

fn half_or_size(text: &str) -> Result<Option<usize>, String> {
    match text {
        "half" => Ok(None),
        _ => values::size(text, 1..=MEMORY).map(Some).map_err(|why| values::or_word(why, "half")),
    }
}
