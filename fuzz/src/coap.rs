//! Shared by the CoAP targets: messages written and read with coap-lite, bodies in which every byte is known,
//! and limits so small that a fuzzer reaches them.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lowband_transport::coap::Limits;
use lowband_wire::coap::block::BlockSize;
use lowband_wire::coap::numbers::MAX_ACCESS_TOKEN;
use lowband_wire::coap::options::RequestOptions;

pub(crate) use lowband_wire::coap::numbers::{
    BLOCK1, BLOCK2, CAPABILITIES, ETAG, Q_BLOCK2, REQUEST_TAG, SIZE1, SIZE2, URI_PATH,
};
pub(crate) use lowband_wire::coap::uint::uint;

/// Returns small limits. A page of a snapshot has 16 KiB: smaller byte limits would not test anything.
pub(crate) fn tight_limits() -> Limits {
    Limits {
        exchanges_per_session: 3,
        packed_bodies: true,
        waiting_blocks_per_session: 4,
        upload: 10_000,
        uploads_per_session: 2,
        download: 10_000,
        blockwise_total: 96 << 10,
        upload_total: 24 << 10,
        upload_rate: 8,
        snapshots_per_session: 1,
        snapshot_bytes_per_session: 64 << 10,
        read_ahead: 8 << 10,
        dedup_per_session: 8,
        dedup_bytes_per_session: 8 << 10,
        dedup_acknowledging_per_session: 3,
        dedup_total: 24 << 10,
        answers_total: 16 << 10,
        max_payloads: 3,
        non_max_retransmit: 2,
        sent_bodies_per_session: 1,
        snapshot_at_upstream: 64,
        window: 2,
        body_window: 4,
        block_size: BlockSize::MAX,
    }
}

/// A message to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing(Packet);

impl Outgoing {
    pub(crate) fn new(kind: MessageType, code: u8, id: u16, token: &[u8]) -> Outgoing {
        let mut packet = Packet::new();
        packet.header.set_version(1);
        packet.header.set_type(kind);
        packet.header.code = MessageClass::from(code);
        packet.header.message_id = id;
        packet.set_token(token.to_vec());
        Outgoing(packet)
    }

    pub(crate) fn option(mut self, number: u16, value: &[u8]) -> Outgoing {
        self.0.add_option(CoapOption::from(number), value.to_vec());
        self
    }

    pub(crate) fn payload(mut self, payload: Vec<u8>) -> Outgoing {
        self.0.payload = payload;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.to_bytes_unlimited().expect("a message within the format")
    }
}

/// Encodes NUM, M and SZX as an option (RFC 7959 section 2.2).
pub(crate) fn block(num: u32, more: bool, szx: u8) -> Vec<u8> {
    uint(num << 4 | u32::from(more) << 3 | u32::from(szx))
}

/// A message of ours, which must be well-formed.
#[derive(Debug)]
pub(crate) struct Sent(Packet);

impl Sent {
    pub(crate) fn parse(bytes: &[u8]) -> Sent {
        assert!(bytes.len() <= 1 << 14, "a message fits into a record");
        let packet = Packet::from_bytes(bytes).expect("what we send is CoAP");
        assert_eq!(packet.header.get_version(), 1);
        Sent(packet)
    }
    pub(crate) fn kind(&self) -> MessageType {
        self.0.header.get_type()
    }
    pub(crate) fn code(&self) -> u8 {
        self.0.header.code.into()
    }
    pub(crate) fn id(&self) -> u16 {
        self.0.header.message_id
    }
    pub(crate) fn token(&self) -> &[u8] {
        self.0.get_token()
    }
    pub(crate) fn payload(&self) -> &[u8] {
        &self.0.payload
    }
    pub(crate) fn option(&self, number: u16) -> Option<&[u8]> {
        self.0.get_first_option(CoapOption::from(number)).map(Vec::as_slice)
    }
    /// Returns offset, M and size in bytes.
    pub(crate) fn block(&self, number: u16) -> Option<(usize, bool, usize)> {
        let value = self.option(number)?.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
        assert!(value & 7 < 7, "SZX 7 is reserved");
        let size = 16 << (value & 7);
        Some(((value >> 4) * size, value & 8 != 0, size))
    }
}

/// Makes bytes `from..to` of a body that differs from every other body at nearly every place.
pub(crate) fn body(seed: u64, from: usize, to: usize) -> Vec<u8> {
    let byte = |at: usize| {
        let mixed =
            (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 29) as u8
    };
    (from..to.max(from)).map(byte).collect()
}

/// Checks a request as its receiver sees it.
pub(crate) fn assert_in_order(options: &RequestOptions, body: &[u8], limits: &Limits) {
    assert!(options.path.iter().all(|segment| segment.len() <= 255 && segment != "." && segment != ".."));
    assert!(options.query.iter().all(|parameter| parameter.len() <= 255));
    assert!(options.authorization.as_ref().is_none_or(|token| token.len() <= MAX_ACCESS_TOKEN));
    assert!(body.len() <= limits.upload.max(1 << 14), "a body within the limit");
}
