//! Captures of low-bandwidth Matrix: bytes of a file in, exchanges out, no I/O and no clock.
//!
//! ```text
//! bytes of a file -> file::Reader -> packets, key logs -> Datagrams -> UDP datagrams, whatever IP did to them
//!                    pcap, pcapng                         link, IP, fragments
//! ```

mod bytes;
mod datagram;
pub mod datagrams;
pub mod file;
mod fragments;
mod ip;
mod link;
mod time;

pub use datagram::Datagram;
pub use datagrams::Datagrams;
pub use time::Time;
