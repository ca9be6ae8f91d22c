//! One number per reason, counted since the start.

use crate::counters::counters;

counters! {
    gauges {}
    counters {
        /// Messages received.
        messages_in,
        /// Messages sent, copies included.
        messages_out,
        /// Confirmable messages sent again.
        retransmissions,
        /// Confirmable messages that nobody acknowledged.
        gave_up,
        /// Duplicates answered from memory or dropped.
        duplicates,
        /// Empty confirmable messages answered by a Reset.
        pings,
        /// Resets sent.
        resets_out,
        /// Resets received for something that was waiting.
        resets_in,
        /// Requests acknowledged (empty) because the upstream takes long.
        empty_acks,
        /// Responses in a confirmable message of their own.
        separate_responses,
        /// Requests inside acknowledgements: those of go-coap for the next block of a separate response.
        requests_in_acknowledgements,
        /// Blocks that were not acknowledged, but whose successors were asked for under the same token.
        blocks_acknowledged_by_next,
        /// Messages of fewer than four bytes.
        malformed_too_short,
        /// Messages of another version than 1.
        malformed_version,
        /// Tokens of more than 8 bytes, or cut off.
        malformed_token_length,
        /// Options with a nibble of 15, a number that overflows, or cut off.
        malformed_option,
        /// Payload markers without payload.
        malformed_payload_marker,
        /// Empty messages with a token, options or payload.
        malformed_empty,
        /// Reserved code classes, or a code that does not fit the type.
        malformed_code,
        /// Empty non-confirmable messages: they mean nothing.
        empty_non_confirmable,
        /// Acknowledgements and Resets for nothing that is waiting.
        unmatched,
        /// Responses that nobody asked for.
        unexpected_responses,
        /// Requests to an endpoint that serves none.
        unexpected_requests,
        /// Options that are not known; critical ones were refused.
        options_unknown,
        /// Options of an impossible length; critical ones were refused.
        options_bad_length,
        /// Options repeated that may not be; critical ones were refused.
        options_repeated,
        /// Options whose value has no meaning.
        options_bad_value,
        /// Requests refused because their access token cannot be read.
        access_tokens_unreadable,
        /// Non-confirmable requests dropped for a bad option.
        non_confirmable_dropped,
        /// Methods that are not served.
        methods_refused,
        /// Requests to act as a forward proxy.
        proxying_refused,
        /// Requests handed to the caller.
        requests,
        /// Requests above the limit of exchanges per session.
        exchanges_refused,
        /// Exchanges whose client went away before the answer was complete.
        cancelled,
        /// Message ids forgotten before their time, at the limits of one session.
        dedup_forgotten,
        /// Requests refused because deduplication holds all it may.
        dedup_refused,
        /// Blocks of uploads taken.
        upload_blocks,
        /// Blocks that an upload already had.
        upload_blocks_repeated,
        /// Blocks that fit no upload: unknown, or out of order.
        upload_blocks_incomplete,
        /// Blocks whose payload is not of the size that they claim.
        upload_blocks_bad_size,
        /// Blocks of another Content-Format than the first one; they end their upload.
        upload_blocks_other_format,
        /// Uploads above the limit of one body.
        uploads_too_large,
        /// Uploads refused for want of memory.
        uploads_no_memory,
        /// Uploads begun anew by a block 0.
        uploads_restarted,
        /// Uploads ended by newer ones of the same session.
        uploads_evicted,
        /// Uploads ended by silence.
        uploads_expired,
        /// Responses that needed blocks.
        snapshots,
        /// Blocks sent out of snapshots.
        snapshot_blocks,
        /// Blocks asked for of snapshots that are not there.
        snapshot_unknown,
        /// Blocks asked for beyond the end.
        snapshot_out_of_range,
        /// Blocks asked for that were read long ago and are gone.
        snapshot_blocks_gone,
        /// Snapshots ended by newer ones of the same session.
        snapshots_evicted,
        /// Snapshots ended by silence.
        snapshots_expired,
        /// Block requests dropped above the limit of those that wait.
        waiting_blocks_dropped,
        /// Times that reading from the upstream had to stop.
        read_paused,
        /// Client: responses that break the rules of blockwise or of tokens.
        responses_contradictory,
        /// Client: response bodies above the limit.
        downloads_too_large,
        /// Messages that could not be sent: too large, or the session is gone.
        unsendable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_listed_once_under_its_name() {
        let counters = Counters { messages_in: 7, unsendable: 3, ..Default::default() };
        let all: Vec<_> = counters.each().collect();
        assert_eq!((all.first(), all.last()), (Some(&("messages_in", 7)), Some(&("unsendable", 3))));
        assert_eq!(all.len() * 8, size_of::<Counters>());
    }
}
