//! How many files, connections among them, this process may have open.

use crate::public;
use crate::translator::MOST_STRANGERS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to what the system allows this process: without Envoy each client over TCP is a
/// connection, and so is each request that waits for a homeserver without HTTP/2. The limit that processes
/// have by default is low for the sake of programs that could not handle more (`select(2)`).
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where this fails, the old limit holds, and is told of if it is short.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// Returns the limit of this process; `None` for none.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Returns what [`raise`] makes the limit; `None` for none.
pub(crate) fn highest() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Returns whether clients over TCP may come to this limit.
pub(crate) fn is_short(limit: u64, settings: &public::Settings) -> bool {
    limit < needed(settings.connections)
}

/// Returns how many files clients over TCP may come to: each connection, all requests that they may have at a
/// time, of which a connection in HTTP/2 has many, and what else there is.
fn needed(connections: usize) -> u64 {
    let requests = connections.saturating_mul(public::STREAMS as usize).min(MOST_STRANGERS);
    (connections as u64).saturating_add(requests as u64).saturating_add(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_need_files_too_and_http2_has_many_on_a_connection() {
        assert_eq!(needed(4), 4 + 4 * 64 + 64);
        assert_eq!(needed(1000), 1000 + 8192 + 64);
    }
}
