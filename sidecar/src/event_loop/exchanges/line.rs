//! The log line about each request.

use crate::failure::Failure;
use crate::logging::Seldom;
use crate::reachable::eagerly_decoded;
use crate::request_id::RequestId;
use lowband_transport::SessionId;
use lowband_wire::coap::{Code, Method};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The fields of the log line: no access token, no query, no body.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) session: SessionId,
    pub(super) peer: Option<SocketAddr>,
    /// The id that Envoy and the homeserver see; `None` for a request that is not passed on.
    pub(super) id: Option<RequestId>,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) read: Instant,
    pub(super) bytes_in: usize,
    pub(super) bytes_out: usize,
    pub(super) code: Option<Code>,
    pub(super) first_piece: Option<Duration>,
    pub(super) failure: Option<Failure>,
    /// True for a request that has got no place at the upstream.
    pub(super) is_refused: bool,
}

impl Line {
    /// Logs that the request has been answered with this code. One that was passed to the upstream has its
    /// line at info. One that was refused here costs its client nothing, so its line is seldom.
    pub(super) fn log(&self, now: Instant, code: Code, refused: &mut Seldom) {
        macro_rules! request_line {
            ($level:ident, $left_out:expr) => {
                tracing::$level!(
                    left_out = $left_out,
                    peer = self.peer.map(tracing::field::display),
                    session = self.session.0,
                    id = self.id.map(tracing::field::display),
                    method = self.method.name(),
                    path = self.path,
                    code = %code,
                    bytes_in = self.bytes_in,
                    bytes_out = self.bytes_out,
                    first_millis = self.first_piece.map(whole_millis),
                    millis = whole_millis(now.duration_since(self.read)),
                    upstream = self.failure.as_ref().map(ToString::to_string),
                    "request"
                )
            };
        }
        match self.id {
            Some(_) if !self.is_refused => request_line!(info, None::<u64>),
            None if code.is_success() => request_line!(debug, None::<u64>),
            _ => match refused.take(now) {
                Some(left_out) => request_line!(info, Some(left_out).filter(|left_out| *left_out > 0)),
                None => request_line!(debug, None::<u64>),
            },
        }
    }

    /// Logs that the client has gone away from the request.
    pub(super) fn log_cancelled(&self, now: Instant) {
        tracing::info!(
            peer = self.peer.map(tracing::field::display),
            session = self.session.0,
            id = self.id.map(tracing::field::display),
            method = self.method.name(),
            path = self.path,
            bytes_in = self.bytes_in,
            bytes_out = self.bytes_out,
            millis = whole_millis(now.duration_since(self.read)),
            "request cancelled by its client"
        );
    }
}

/// Returns the milliseconds as a number that stays one in a log of JSON.
pub(crate) fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the path for the log. A client that writes a query into a Uri-Path value may have written an
/// access token there: the path ends where a query might begin, and before a segment that contains the word
/// for one, however often it is escaped.
pub(crate) fn loggable(path: &str) -> String {
    let end = ["?", "%3F", "%3f"].iter().filter_map(|mark| path.find(mark)).min().unwrap_or(path.len());
    let path = path.get(..end).unwrap_or_default();
    let mut shown = 0;
    for segment in path.split('/') {
        if speaks_of_a_token(segment) {
            return path.get(..shown).unwrap_or_default().trim_end_matches('/').to_owned();
        }
        shown += segment.len() + 1;
    }
    path.to_owned()
}

fn speaks_of_a_token(segment: &str) -> bool {
    // A text that is escaped more often than any server decodes may hold anything.
    eagerly_decoded(segment).is_none_or(|text| text.to_ascii_lowercase().contains("access_token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logged_path_ends_where_a_query_might_begin() {
        for (path, logged) in [
            ("/_matrix/client/v3/sync", "/_matrix/client/v3/sync"),
            ("/x?access_token=secret", "/x"),
            ("/x%3Faccess_token=secret", "/x"),
            ("/x%3faccess_token=secret?", "/x"),
            ("", ""),
            ("/_matrix/client/v3/sync%253Faccess_token=secret", "/_matrix/client/v3"),
            ("/_matrix/client/v3/sync&access_token=secret", "/_matrix/client/v3"),
            ("/v3/sync;Access%5Ftoken=secret/x", "/v3"),
            ("/v3/sync%2526access%255Ftoken%253Dsecret", "/v3"),
            ("/v3/sync\u{ff1f}access_token=secret", "/v3"),
            ("/v3/%2525252525252525253Fsecret", "/v3"),
            ("/v3/rooms/!a%2Fb:hs/state/m.room.name/", "/v3/rooms/!a%2Fb:hs/state/m.room.name/"),
        ] {
            assert_eq!(loggable(path), logged);
        }
    }
}
