//! UDP datagrams as they are handed from the packets of a capture to what reads their content.

use crate::time::Time;
use std::fmt;
use std::net::SocketAddr;

/// One UDP datagram of a capture, put together if IP had fragmented it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Number of its packet in the file, from 1, as Wireshark counts; of its last fragment, if it had some.
    pub frame: u64,
    /// Where the payload begins in the file, in bytes; None if it was put together from fragments.
    pub offset: Option<u64>,
    /// When it was captured.
    pub time: Time,
    /// Address and port that it came from.
    pub from: SocketAddr,
    /// Address and port that it went to.
    pub to: SocketAddr,
    /// UDP payload, as far as it was captured.
    pub payload: &'a [u8],
    /// Bytes of UDP payload on the wire: more than `payload` has, if the capture was truncated.
    pub length: usize,
}

impl fmt::Debug for Datagram<'_> {
    // Without the payload: without DTLS, access tokens and passwords stand in it as they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Datagram { frame, offset, time, from, to, payload, length } = self;
        f.debug_struct("Datagram")
            .field("frame", frame)
            .field("offset", offset)
            .field("time", time)
            .field("from", from)
            .field("to", to)
            .field("captured", &payload.len())
            .field("length", length)
            .finish()
    }
}
