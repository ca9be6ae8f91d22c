//! Watching a socket: the one place of this crate that vouches for a descriptor.

#![expect(
    unsafe_code,
    reason = "tokio cannot know for every type that its descriptor stays open and the same"
)]

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a socket on the runtime that runs this, for `interest` and nothing else.
pub(super) fn watch(socket: Arc<UdpSocket>, interest: Interest) -> io::Result<AsyncFd<Arc<UdpSocket>>> {
    // SAFETY: a `UdpSocket` owns its descriptor, closes it only when it is dropped, and has no method that
    // exchanges it; the `AsyncFd` has a share in owning the socket.
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    watched.map_err(io::Error::from)
}
