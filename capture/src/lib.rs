//! Captures of low-bandwidth Matrix: bytes of a file in, exchanges out, no I/O and no clock.
//!
//! ```text
//! bytes of a file -> file::Reader -> packets, key logs -> Datagrams -> UDP datagrams, whatever IP did to them
//!                    pcap, pcapng                         link, IP, fragments
//!                                                                           |
//!            key logs -> KeyLog -> dtls: sessions, keys, records decrypted <-'
//!                                                  |
//!                                                  v
//!                                  coap: messages to exchanges -> Event::Exchange, which says where it stands
//!                                                                                   |
//!                                               Capture::detail <- bytes of the file <'
//! ```
//!
//! [`Capture`] is the whole of it. What it remembers is bounded by [`Limits`], not by the length of the file.

mod bytes;
mod capture;
mod coap;
mod datagram;
pub mod datagrams;
pub mod detail;
mod dtls;
pub mod exchange;
pub mod file;
mod fragments;
mod ip;
pub mod key_log;
mod link;
mod packet;
mod ranges;
pub mod report;
pub mod session;
#[cfg(test)]
mod testing;
mod time;
mod unread;

pub use capture::{Capture, Event, Limits, Options};
pub use datagram::Datagram;
pub use datagrams::Datagrams;
pub use detail::Detail;
pub use exchange::{Body, BodyError, BodyKind, Exchange, Kind, Mark, MessageRef, Note, State, Traffic};
pub use key_log::KeyLog;
pub use lowband_wire::coap::Code;
pub use lowband_wire::dtls::suite::Suite;
pub use session::Session;
pub use time::Time;
pub use unread::{Unread, Why};
