//! Captures of low-bandwidth Matrix: bytes of a file in, exchanges out, no I/O and no clock.

mod datagram;
mod time;

pub use datagram::Datagram;
pub use time::Time;
