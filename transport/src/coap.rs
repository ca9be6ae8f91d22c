//! CoAP (RFC 7252) with blockwise (RFC 7959) over sessions: messages in, requests and responses out.
//!
//! CoAP works above any session layer that delivers datagrams: [`crate::dtls`] in production, clear
//! text in tests.
//!
//! ```text
//!              client                server             what a request or a response is, block by block
//!          download  |            |  upload, snapshot
//!                     message_layer                     which message answers which; duplicates; repetition
//!             dedup  |     |      |  retransmission      congestion: what may be sent, and when again
//!                  lowband_wire::coap                   what messages and options are as bytes
//! ```
//!
//! Each line uses only lines below it; [`Times`], [`Limits`] and [`Counters`] go through all of them.

mod body;
mod by_session;
mod client;
mod config;
mod congestion;
mod counters;
mod counting;
mod dedup;
mod delay_window;
mod derived;
mod download;
mod exchanged;
mod failure;
mod message_layer;
pub(crate) mod random;
mod retransmission;
mod round_trip;
mod server;
mod snapshot;
mod timers;
mod upload;

pub use client::{Client, ClientEvent, Direction, Partial, PathReport, Progress, Silence};
pub use config::{Limits, Times};
pub use counters::Counters;
pub use derived::Derived;
pub use exchanged::{Request, Response};
pub use failure::{FailReason, ProtocolError};
pub use server::{Activity, Server, ServerEvent, Standing};
pub use upload::most_bytes as upload_memory;

// What of the wire stands in this API.
pub use lowband_wire::coap::access_token::AccessToken;
pub use lowband_wire::coap::block::BlockSize;
pub use lowband_wire::coap::fault::{OptionError, OptionFault, Unsendable};
pub use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
pub use lowband_wire::coap::{Code, Method};
