//! Shares: how much of a limited thing one client may hold or ask for, so that no client is refused because
//! another is greedy.
//!
//! ```text
//!                                        a site (IPv4 /24, IPv6 /48)
//! who asks: a session, a handshake  ->   a network (IPv4 address, IPv6 /64)  ->  in all
//!
//! Pool   what is held: memory, places. Full, it names the network that has to give way: the heaviest one.
//!        LazyPool keeps no order as long as no network can have to give way.
//! Rates  what is asked for: handshakes, requests. Short, it keeps the rest for those who have asked for little.
//! ```
//!
//! Neither type knows what it counts, and no frequent operation walks over all entries. No I/O, no clock: the
//! caller passes `now`.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "an Instant, the zero of a fake clock, cannot be made in any other way"
    )
)]

mod lazy_pool;
mod network;
mod pool;
mod rates;

pub use lazy_pool::LazyPool;
pub use network::{Balancers, Network, Site};
pub use pool::{Bounds, Pool, Share};
pub use rates::{Limit, Rates};
