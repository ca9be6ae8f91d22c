//! Numbers since the start, one per reason, and how many there are now.

use crate::counters::counters;

counters! {
    gauges {
        /// Established sessions now, those whose peer has not sent data yet included.
        sessions,
        /// Handshakes under way now.
        half_open,
        /// ClientHellos of which pieces are still missing, now.
        hellos_gathering,
    }
    counters {
        /// Handshakes finished.
        handshakes,
        /// Handshakes ended by an error or an alert.
        handshakes_failed,
        /// Handshakes that took longer than their limit.
        handshakes_timed_out,
        /// Handshakes given up because the same peer began another one.
        handshakes_superseded,
        /// HelloVerifyRequests sent.
        cookies_sent,
        /// ClientHellos with a cookie that is not, or no longer, ours (answered with a new one).
        cookies_invalid,
        /// ClientHellos that break the format, or whose first piece ends before the cookie.
        hellos_malformed,
        /// ClientHellos put together from pieces.
        hellos_fragmented,
        /// Pieces of ClientHellos that are not being gathered: their first piece was lost, or brought no valid cookie.
        hello_pieces_unknown,
        /// ClientHellos of which a piece never came, or not before the client began anew.
        hello_pieces_missing,
        /// ClientHellos in pieces refused because of the limit of their length.
        hellos_over_length,
        /// ClientHellos of a client that does not know DTLS 1.2, refused by protocol_version.
        hellos_old_version,
        /// ClientHellos of a client that has been asked for its cookie too often.
        hellos_over_message_seq,
        /// HelloVerifyRequests to a client that has answered as many as it may.
        cookies_over_message_seq,
        /// ClientHellos that came again after their handshake had finished.
        hellos_repeated,
        /// ClientHellos to an endpoint that does not accept (dropped), or not any more (refused).
        hellos_not_accepting,
        /// ClientHellos refused because of the limit of sessions.
        hellos_over_sessions,
        /// ClientHellos refused because of the limit of half-open handshakes.
        hellos_over_half_open,
        /// ClientHellos refused because of the limit of half-open handshakes per address.
        hellos_over_half_open_per_address,
        /// Flights sent again, by the timer or because the peer repeated its own.
        flights_repeated,
        /// Repeats of a peer's flight that were not answered because of the limit of repeats.
        flights_over_repeats,
        /// Records decrypted.
        records_in,
        /// Records encrypted.
        records_out,
        /// Datagrams whose rest is not a record.
        records_malformed,
        /// Records from a peer without session or handshake.
        records_no_session,
        /// Plaintext records against a live session, but for alerts.
        records_unprotected,
        /// Plaintext alerts against a live session.
        alerts_unprotected,
        /// Records of an epoch that does not exist.
        records_wrong_epoch,
        /// Records that are not authentic.
        records_forged,
        /// Records seen before, or older than the replay window.
        records_replayed,
        /// Authentic records that mean nothing at this place.
        records_unexpected,
        /// Protected records before the end of the handshake beyond the few that are kept.
        records_early_dropped,
        /// Tries to renegotiate, answered by no_renegotiation.
        renegotiations_refused,
        /// Tries to renegotiate beyond those that are answered.
        renegotiations_ignored,
        /// Authentic warning alerts.
        alerts_ignored,
        /// Sessions ended by the peer's close_notify.
        sessions_closed_by_peer,
        /// Sessions ended by an authentic fatal alert.
        sessions_alerted,
        /// Sessions ended by a new handshake from the same address.
        sessions_replaced,
        /// Sessions ended by the limit of idleness.
        sessions_idle,
        /// Sessions silent for long, ended to make room for new ones.
        sessions_evicted,
        /// Key log lines lost because nobody fetched them.
        key_log_lost,
    }
}
