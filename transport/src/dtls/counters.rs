//! Counters of the DTLS layer: numbers since the start, one per reason, and gauges of now.

use crate::counters::counters;

counters! {
    gauges {
        /// Established sessions now, including those whose peer has not sent data yet.
        sessions = "sessions",
        /// Handshakes under way now.
        half_open = "handshakes_half_open",
        /// ClientHellos of which pieces are still missing, now; they take the places of handshakes.
        hellos_gathering = "dtls_hellos_gathering",
    }
    counters {
        /// HelloVerifyRequests sent to clients.
        cookies_sent = "dtls_cookies_sent",
        /// ClientHellos with a cookie that is not, or no longer, ours (answered with a new one).
        cookies_invalid = "dtls_cookies_invalid",
        /// ClientHellos put together from pieces.
        hellos_fragmented = "dtls_hellos_fragmented",
        /// ClientHellos that came again after their handshake had finished.
        hellos_repeated = "dtls_hellos_repeated",
        /// Flights sent again, by the timer or because the peer repeated its own.
        flights_repeated = "dtls_flights_repeated",
        /// Those of them that were cut into smaller fragments, for a path that may take small datagrams only.
        flights_recut = "dtls_flights_recut",
        /// Repeats of a peer's flight that were not answered because of the limit of repeats.
        flights_over_repeats = "dtls_flights_over_repeats",
        /// Authentic alerts that were warnings, and ignored.
        alerts_ignored = "dtls_alerts_ignored",
        /// Key log lines lost because they were not fetched.
        key_log_lost = "key_log_lines_lost",
    }
    families {
        /// Handshakes that have ended.
        "handshakes" by "result" {
            /// Finished with a session.
            handshakes = "finished",
            /// Ended by an error of ours, or because there is nothing in common.
            handshakes_failed = "failed",
            /// Ended by an alert of the peer: as a rule it does not trust the certificate.
            handshakes_refused = "refused",
            /// Took longer than their limit.
            handshakes_timed_out = "timed_out",
            /// Superseded by a new handshake of the same peer.
            handshakes_superseded = "superseded",
            /// Displaced by a newer one when all half-open places were taken, hellos in pieces included.
            handshakes_evicted = "evicted",
        }
        /// ClientHellos that led to no handshake; refused with an alert if the client has proved its address.
        "dtls_hellos_refused" by "reason" {
            /// The limit of sessions.
            hellos_over_sessions = "sessions",
            /// The limits of new handshakes a second, in all and per address.
            hellos_over_rate = "rate",
            /// The limit of hellos that wait for a signature.
            hellos_over_queue = "queue",
            /// The limit of length, of hellos in pieces.
            hellos_over_length = "length",
            /// To an endpoint that does not accept, or no longer.
            hellos_not_accepting = "not_accepting",
            /// From a client that does not know DTLS 1.2.
            hellos_old_version = "old_version",
            /// From a client that has been asked for its cookie too often.
            hellos_over_message_seq = "message_seq",
            /// Broken format, or a first piece that ends before the cookie.
            hellos_malformed = "malformed",
            /// A piece never came, or not before the client began anew.
            hello_pieces_missing = "pieces_missing",
        }
        /// Authentic protected records.
        "dtls_records" by "direction" {
            /// Decrypted, from peers.
            records_in = "in",
            /// Encrypted, to peers.
            records_out = "out",
        }
        /// Records that came and were dropped.
        "dtls_records_dropped" by "reason" {
            /// Datagrams whose rest is not a record.
            records_malformed = "malformed",
            /// From a peer without session or handshake.
            records_no_session = "no_session",
            /// Plaintext for a live session, other than alerts.
            records_unprotected = "unprotected",
            /// Plaintext alerts for a live session.
            alerts_unprotected = "unprotected_alert",
            /// Of an epoch that does not exist.
            records_wrong_epoch = "wrong_epoch",
            /// Authentication has failed.
            records_forged = "forged",
            /// Seen before, or older than the replay window.
            records_replayed = "replayed",
            /// Authentic, but without a meaning at this point.
            records_unexpected = "unexpected",
            /// Protected, before the end of the handshake, and beyond the few that are kept.
            records_early_dropped = "early",
            /// Pieces of ClientHellos not being gathered: the first one was lost, or had no valid cookie.
            hello_pieces_unknown = "hello_piece",
        }
        /// Records of sessions that are not known here.
        "dtls_lost_sessions" by "result" {
            /// Answered by an alert to the sender.
            lost_sessions_told = "told",
            /// Not answered, because there had been too many.
            lost_sessions_untold = "untold",
        }
        /// Attempts to renegotiate, none of which succeeds.
        "dtls_renegotiations" by "result" {
            /// Answered by no_renegotiation.
            renegotiations_refused = "refused",
            /// Ignored, beyond those that are answered.
            renegotiations_ignored = "ignored",
        }
        /// Sessions that have ended, except those that this end has closed.
        "sessions_ended" by "reason" {
            /// Closed by the peer.
            sessions_closed_by_peer = "peer",
            /// An authentic fatal alert.
            sessions_alerted = "alert",
            /// A new handshake from the same address.
            sessions_replaced = "replaced",
            /// The limit of idleness.
            sessions_idle = "idle",
            /// Worth least when others needed their places.
            sessions_evicted = "evicted",
            /// Too many records failed their authentication.
            sessions_forged = "forged",
        }
    }
    unlisted {
        /// Client: HelloVerifyRequests beyond those that are answered.
        cookies_over_message_seq,
    }
}
