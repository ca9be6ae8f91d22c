//! Captures of low-bandwidth Matrix: bytes of a file in, exchanges out, no I/O and no clock.
//!
//! ```text
//! bytes of a file -> file::Reader -> packets, key logs -> Datagrams -> UDP datagrams, whatever IP did to them
//!                    pcap, pcapng                         link, IP, fragments
//!                                         KeyLog: client random -> master secret
//! ```

mod bytes;
mod datagram;
pub mod datagrams;
pub mod file;
mod fragments;
mod ip;
pub mod key_log;
mod link;
mod time;

pub use datagram::Datagram;
pub use datagrams::Datagrams;
pub use key_log::KeyLog;
pub use time::Time;
