//! How requests share connections, so that none waits for what the client of another does not read.
//!
//! Over HTTP/2 all requests of a hyper client share one connection: its window for what has come and is not
//! read yet, and the number of streams that the server takes. A lane is such a client, and carries only as
//! many requests as have room in both, whatever is read of them; one more takes the next lane.
//!
//! ```text
//! request -> take -> the first lane with room -> its connection over HTTP/2, or its several over HTTP/1.1
//!            given back with the end of the answer's body
//! ```

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests of a lane at a time: servers are asked for streams "no smaller than 100" (RFC 9113 section
/// 6.5.2).
const REQUESTS: u16 = 100;
/// Bytes of one answer that may have come before they are read. With a round trip of 600 ms 3.5 Mbit/s go
/// through it; with the default [`crate::Limits::requests`] clients that read nothing hold 128 MiB, those of
/// one access token 32 MiB.
pub(super) const WINDOW: u32 = 256 << 10;
/// Bytes of all answers of a lane that may have come so: each can fill its window.
pub(super) const WINDOW_OF_ALL: u32 = REQUESTS as u32 * WINDOW;

/// Clients, each with connections of its own, used in their order.
pub(super) struct Lanes<C> {
    lanes: Vec<Lane<C>>,
    /// Takes what has room nowhere. That can be requests of the proxy itself alone, which has few.
    beyond: C,
}

struct Lane<C> {
    client: C,
    room: Arc<Semaphore>,
}

/// The room of a request in its lane, given back when it is dropped; `None` beyond the lanes.
pub(super) type Room = Option<OwnedSemaphorePermit>;

impl<C> Lanes<C> {
    /// Makes lanes for so many requests at a time, [`crate::Limits::requests`].
    pub(super) fn new(requests: usize, mut client: impl FnMut() -> C) -> Lanes<C> {
        let lanes = (0..requests.div_ceil(usize::from(REQUESTS)))
            .map(|_| Lane { client: client(), room: Arc::new(Semaphore::new(usize::from(REQUESTS))) });
        Lanes { lanes: lanes.collect(), beyond: client() }
    }

    /// Returns the client that is to send one more request.
    pub(super) fn take(&self) -> (&C, Room) {
        let free = self.lanes.iter().find_map(|lane| {
            let room = Arc::clone(&lane.room).try_acquire_owned().ok()?;
            Some((&lane.client, Some(room)))
        });
        free.unwrap_or((&self.beyond, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_full_before_the_next_is_used_and_the_first_room_is_taken_again() {
        let mut number = 0;
        let lanes = Lanes::new(usize::from(REQUESTS) + 1, || {
            number += 1;
            number
        });
        let taken: Vec<_> = (0..2 * REQUESTS + 1).map(|_| lanes.take()).collect();
        let of = |lane| taken.iter().filter(|(client, _)| **client == lane).count();
        assert_eq!([of(1), of(2), of(3)], [100, 100, 1]);
        assert!(taken.iter().all(|(client, room)| room.is_none() == (**client == 3)));
        let first = taken.into_iter().nth(7);
        drop(first);
        assert_eq!(*lanes.take().0, 1);
    }

    #[test]
    fn the_defaults_have_room_for_all_requests() {
        let limits = crate::Limits::default();
        let lanes = Lanes::new(limits.requests, || ());
        let taken: Vec<_> = (0..limits.requests).map(|_| lanes.take().1).collect();
        assert!(taken.iter().all(Option::is_some));
        assert!(u64::from(WINDOW_OF_ALL) < 1 << 31, "the largest window of HTTP/2");
        assert!(u64::from(WINDOW) * u64::from(REQUESTS) <= u64::from(WINDOW_OF_ALL));
    }
}
