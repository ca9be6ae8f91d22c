//! Where sessions are looked for first: between which addresses.

use crate::datagram::Datagram;
use std::net::SocketAddr;

/// Two addresses, whichever sends, with DTLS between them or plain CoAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FlowKey {
    low: SocketAddr,
    high: SocketAddr,
    is_plain: bool,
}

impl FlowKey {
    pub(super) fn of(datagram: &Datagram<'_>, is_plain: bool) -> FlowKey {
        let (low, high) = (datagram.from.min(datagram.to), datagram.from.max(datagram.to));
        FlowKey { low, high, is_plain }
    }
}
