//! The CoAP layer by its behaviour: one file per phenomenon, over a simulated link or against
//! a hand-written peer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod coap {
    mod any_order;
    mod any_order_client;
    mod any_order_limits;
    mod bodies;
    mod cancel;
    mod capabilities;
    mod death;
    mod dedup;
    mod delay;
    mod exchange;
    mod foreign;
    mod foreign_server;
    mod greedy_neighbour;
    mod hostile;
    mod interleaved;
    mod late;
    mod limits;
    mod link_uploads;
    mod links;
    mod lists;
    mod lists_lossy;
    mod lossy;
    mod mid_exchange;
    mod narrow;
    mod peer;
    mod pipelining;
    mod plain_client;
    mod q_block;
    mod queue;
    mod repetition;
    mod rest;
    mod restart;
    mod several_at_once;
    mod short_timers;
    mod silence;
    mod sim;
    mod small_path;
    mod snapshot_memory;
    mod snapshots;
    mod sticky;
    mod streaming;
    mod uploads;
    mod walk;
    mod wrap_around;
}
