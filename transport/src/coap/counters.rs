//! Counters of the CoAP layer: one number per reason, counted since the start.

use crate::counters::counters;

counters! {
    gauges {
        /// Bytes that deduplication remembers of answered messages.
        remembered_bytes = "coap_remembered_bytes",
        /// Bytes of separate answers that have not been acknowledged yet.
        waiting_bytes = "coap_waiting_answer_bytes",
        /// Bytes of uploads that are on their way.
        upload_bytes = "coap_upload_bytes",
        /// Bytes of responses that are kept for their blocks.
        snapshot_bytes = "coap_snapshot_bytes",
        /// Bytes that are held for snapshots at the upstream.
        snapshot_at_upstream = "coap_snapshot_upstream_bytes",
    }
    counters {
        /// Confirmable messages sent again.
        retransmissions = "coap_retransmissions",
        /// Copies not sent, because nothing came back and an older message was being sent again.
        withheld = "coap_retransmissions_withheld",
        /// Sessions whose blocks have become smaller, because nothing large got through their path.
        paths_narrowed = "coap_paths_narrowed",
        /// Confirmable messages given up because they were never acknowledged.
        gave_up = "coap_messages_unacknowledged",
        /// Separate answers given up for want of memory, before they were acknowledged.
        answers_gave_way = "coap_answers_gave_way",
        /// Duplicates answered from memory or dropped.
        duplicates = "coap_duplicates",
        /// Empty confirmable messages answered by a Reset.
        pings = "coap_pings",
        /// Requests acknowledged (empty) because the upstream takes long.
        empty_acks = "coap_empty_acknowledgements",
        /// Responses in a confirmable message of their own.
        separate_responses = "coap_separate_responses",
        /// Requests inside acknowledgements: those of go-coap for the next block of a separate response.
        requests_in_acknowledgements = "coap_requests_in_acknowledgements",
        /// Blocks that were not acknowledged, but whose successors were asked for under the same token.
        blocks_acknowledged_by_next = "coap_blocks_acknowledged_by_next",
        /// Requests handed on by the CoAP layer.
        requests = "coap_requests",
        /// Exchanges whose client went away before the answer was complete.
        cancelled = "coap_exchanges_cancelled",
        /// Message ids forgotten before their time, at the limits of one session.
        dedup_forgotten = "coap_message_ids_forgotten",
        /// Copies of messages that had acted, answered that their answer is not kept any more.
        copies_without_answer = "coap_copies_without_answer",
        /// Responses that needed blocks.
        snapshots = "coap_snapshots",
        /// Client: bodies asked for again from their beginning, because the server knew them no more.
        downloads_restarted = "coap_downloads_restarted",
        /// Client: bodies sent again from their beginning: the server may have had them whole already.
        uploads_sent_again = "coap_uploads_sent_again",
        /// Blocks sent out of snapshots.
        snapshot_blocks = "coap_snapshot_blocks",
        /// Blocks sent out of snapshots that had been sent before: they were asked for twice.
        snapshot_blocks_again = "coap_snapshot_blocks_again",
        /// Requests for lists of blocks.
        block_lists = "coap_block_lists",
        /// Bodies sent to clients that had asked for the whole.
        bodies_sent_on = "coap_bodies_sent_on",
        /// Bodies of which such a client was sent the first block alone, at the limit of its session.
        bodies_not_sent_on = "coap_bodies_not_sent_on",
        /// Bodies that were not sent to their end, because nothing was heard of their client.
        bodies_sent_in_vain = "coap_bodies_sent_in_vain",
        /// Bodies that their clients gave up: each of their blocks has not been sent.
        bodies_given_up = "coap_bodies_given_up",
        /// Times that reading from the upstream was paused.
        read_paused = "coap_reads_paused",
        /// Messages that could not be sent: too large, or of a session that has ended.
        unsendable = "coap_messages_unsendable",
    }
    families {
        /// All CoAP messages.
        "coap_messages" by "direction" {
            /// Received from peers.
            messages_in = "in",
            /// Sent, copies included.
            messages_out = "out",
        }
        /// All CoAP Resets.
        "coap_resets" by "direction" {
            /// Received for something that was waiting.
            resets_in = "in",
            /// Sent to peers.
            resets_out = "out",
        }
        /// Messages dropped, or answered by a Reset.
        "coap_messages_rejected" by "reason" {
            /// Fewer than four bytes.
            malformed_too_short = "too_short",
            /// A version other than 1.
            malformed_version = "version",
            /// A token of more than 8 bytes, or cut off.
            malformed_token_length = "token_length",
            /// An option with a nibble of 15, a number that overflows, or cut off.
            malformed_option = "option",
            /// A payload marker without payload.
            malformed_payload_marker = "payload_marker",
            /// Empty, with a token, options or payload.
            malformed_empty = "empty",
            /// A reserved code class, or a code that does not fit the type.
            malformed_code = "code",
            /// Empty and non-confirmable, which means nothing.
            empty_non_confirmable = "empty_non_confirmable",
            /// An acknowledgement or a Reset for nothing that is waiting.
            unmatched = "unmatched",
            /// A response to no request.
            unexpected_responses = "unexpected_response",
            /// A non-confirmable request with a bad option.
            non_confirmable_dropped = "non_confirmable",
            /// A request for a block, above the limit of those that wait.
            waiting_blocks_dropped = "waiting_block",
        }
        /// Options that were ignored, or refused with their requests if they are critical.
        "coap_options_rejected" by "reason" {
            /// Number not known.
            options_unknown = "unknown",
            /// Of an impossible length.
            options_bad_length = "length",
            /// Repeated, and may not be.
            options_repeated = "repeated",
            /// Value without a meaning.
            options_bad_value = "value",
        }
        /// Requests refused by the CoAP layer, but for those with bad options.
        "coap_requests_refused" by "reason" {
            /// Their access token cannot be read.
            access_tokens_unreadable = "access_token",
            /// Methods that are not served.
            methods_refused = "method",
            /// Asked for a forward proxy.
            proxying_refused = "proxying",
            /// The limit of exchanges of one session.
            exchanges_refused = "exchanges",
            /// Uploads above the limit of one body.
            uploads_too_large = "upload_size",
            /// Uploads of sessions that hold most, for want of memory.
            uploads_no_memory = "upload_memory",
            /// Their path and query are too long.
            paths_too_long = "path",
        }
        /// What was forgotten of answered messages before its time, for want of memory.
        "coap_remembered_evicted" by "kind" {
            /// Messages that may be carried out again, with their answers.
            evicted_repeatable = "repeatable",
            /// The bytes of other answers.
            evicted_answers = "answer",
            /// Messages whose answers had no bytes, or had lost them.
            evicted_ids = "message_id",
        }
        /// Blocks of uploads that their upload took, or had.
        "coap_upload_blocks" by "result" {
            /// The next one.
            upload_blocks = "taken",
            /// One that was there already.
            upload_blocks_repeated = "repeated",
        }
        /// Blocks refused in either direction.
        "coap_blocks_refused" by "reason" {
            /// A block that fits no upload: unknown, or out of order.
            upload_blocks_incomplete = "upload_incomplete",
            /// A payload that does not have the size it claims.
            upload_blocks_bad_size = "upload_block_size",
            /// A block of another Content-Format than the first one, which ends its upload.
            upload_blocks_other_format = "upload_format",
            /// A block that differs from others under its Request-Tag, which ends its upload.
            upload_blocks_contradictory = "upload_contradiction",
            /// A block of a snapshot that is not there.
            snapshot_unknown = "snapshot_unknown",
            /// A block beyond the end.
            snapshot_out_of_range = "snapshot_range",
            /// A block that was read long ago and dropped.
            snapshot_blocks_gone = "snapshot_gone",
        }
        /// Uploads that ended before they were whole.
        "coap_uploads_abandoned" by "reason" {
            /// Restarted by a block 0.
            uploads_restarted = "restarted",
            /// Displaced by newer ones of the same session.
            uploads_evicted = "evicted",
            /// Too little progress.
            uploads_expired = "expired",
            /// Slow, while sessions that hold less needed their memory.
            uploads_gave_way = "gave_way",
        }
        /// Snapshots given up, which are responses kept for their blocks.
        "coap_snapshots_dropped" by "reason" {
            /// Displaced by newer ones of the same session.
            snapshots_evicted = "evicted",
            /// Not asked for within the time that they are kept.
            snapshots_expired = "expired",
            /// Their memory was needed by sessions that hold less.
            snapshots_gave_way = "gave_way",
        }
    }
    unlisted {
        /// Client: requests of the peer.
        unexpected_requests,
        /// Client: responses that break the rules of blockwise or of tokens.
        responses_contradictory,
        /// Client: blocks asked for, or sent, once more.
        blocks_asked_again,
        /// Client: response bodies above the limit.
        downloads_too_large,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{Family, Kind, Numbers};
    use std::collections::BTreeSet;

    fn families() -> Vec<Family> {
        let coap = Counters { messages_in: 7, unsendable: 3, ..Default::default() };
        [crate::dtls::Counters::default().families(), coap.families()].concat()
    }

    #[test]
    fn every_counter_is_listed_once_under_its_name() {
        let counters = Counters { retransmissions: 7, downloads_too_large: 3, ..Default::default() };
        let all: Vec<_> = counters.each().collect();
        let ends = (all.first(), all.last());
        assert_eq!(ends, (Some(&("retransmissions", 7)), Some(&("downloads_too_large", 3))));
        let gauges = families().iter().filter(|each| each.kind == Kind::Gauge).count()
            - crate::dtls::Counters::default()
                .families()
                .iter()
                .filter(|each| each.kind == Kind::Gauge)
                .count();
        assert_eq!((all.len() + gauges) * 8, size_of::<Counters>());
    }

    #[test]
    fn a_family_has_a_name_of_its_own_and_tells_the_meaning_of_each_value() {
        let families = families();
        assert_eq!(families.iter().map(|each| each.name).collect::<BTreeSet<_>>().len(), families.len());
        for Family { name, help, numbers, .. } in &families {
            assert!(!help.is_empty() && !help.starts_with(' ') && !help.ends_with('.'), "{name}: {help}");
            if let Numbers::Labelled(label, members) = numbers {
                assert!(help.contains(&format!("By {label}, ")), "{name}: {help}");
                let values: BTreeSet<_> = members.iter().map(|(value, _)| value).collect();
                assert_eq!(values.len(), members.len(), "{name}");
                assert!(values.iter().all(|value| help.contains(&format!("{value}: "))), "{name}: {help}");
            }
        }
    }

    #[test]
    fn a_family_holds_what_was_counted() {
        let families = families();
        let find = |name| families.iter().find(|each| each.name == name).unwrap();
        let messages = find("coap_messages");
        assert_eq!(
            messages.help,
            "All CoAP messages. By direction, in: Received from peers; out: Sent, copies included"
        );
        assert_eq!(messages.numbers, Numbers::Labelled("direction", vec![("in", 7), ("out", 0)]));
        assert_eq!(
            (find("coap_messages_unsendable").kind, find("sessions").kind),
            (Kind::Counter, Kind::Gauge)
        );
        assert_eq!(find("coap_messages_unsendable").numbers, Numbers::One(3));
    }
}
