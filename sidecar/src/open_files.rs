//! How many files, connections among them, this process may have open.

use crate::public;
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

/// Returns the limit, if clients over TCP may come to it.
pub(crate) fn shortage(settings: &public::Settings) -> Option<u64> {
    // Each with a request, and what else there is.
    let needed = (settings.connections as u64).saturating_mul(2).saturating_add(64);
    getrlimit(Resource::Nofile).current.filter(|limit| *limit < needed)
}
