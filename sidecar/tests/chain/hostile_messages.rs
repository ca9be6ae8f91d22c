//! Messages and bodies made to hurt, inside a session: refused as the RFC says, counted under their own
//! reason, and the session goes on.

use crate::client::{Wire, options};
use crate::harness::Chain;
use crate::raw::Raw;
use crate::stub::ok;
use lowband_wire::coap::{Code, Method};

const MEGABYTES_20: usize = 20 << 20;

#[tokio::test]
async fn each_bad_message_is_counted_under_its_own_reason_and_the_session_goes_on() {
    let block = [&[0xff][..], &[7; 1024]].concat();
    let with_block = |head: &[u8]| [head, &block].concat();
    // First byte, code, and the bytes that follow the message id.
    let cases: &[(u8, u8, &[u8], &str)] = &[
        (0xc0, 0x01, b"", r#"lowband_coap_messages_rejected_total{reason="version"}"#),
        (0x49, 0x01, b"123456789", r#"lowband_coap_messages_rejected_total{reason="token_length"}"#),
        (0x59, 0x01, b"123456789", r#"lowband_coap_messages_rejected_total{reason="token_length"}"#),
        (0x48, 0x01, b"123", r#"lowband_coap_messages_rejected_total{reason="token_length"}"#),
        // A nibble of 15, a number and a length beyond 65,535, an option that is cut off.
        (0x40, 0x01, b"\xf0", r#"lowband_coap_messages_rejected_total{reason="option"}"#),
        (0x40, 0x01, b"\xe0\xff\xff", r#"lowband_coap_messages_rejected_total{reason="option"}"#),
        (0x40, 0x01, b"\x0e\xff\xff", r#"lowband_coap_messages_rejected_total{reason="option"}"#),
        (0x50, 0x01, b"\xbd", r#"lowband_coap_messages_rejected_total{reason="option"}"#),
        (0x40, 0x01, b"\xb1\x30\xff", r#"lowband_coap_messages_rejected_total{reason="payload_marker"}"#),
        (0x40, 0x00, b"\xffx", r#"lowband_coap_messages_rejected_total{reason="empty"}"#),
        (0x41, 0x00, b"t", r#"lowband_coap_messages_rejected_total{reason="empty"}"#),
        (0x40, 0x20, b"", r#"lowband_coap_messages_rejected_total{reason="code"}"#),
        (0x50, 0xe1, b"", r#"lowband_coap_messages_rejected_total{reason="code"}"#),
        (0x50, 0x00, b"", r#"lowband_coap_messages_rejected_total{reason="empty_non_confirmable"}"#),
        (0x60, 0x00, b"", r#"lowband_coap_messages_rejected_total{reason="unmatched"}"#),
        (0x70, 0x00, b"", r#"lowband_coap_messages_rejected_total{reason="unmatched"}"#),
        (
            0x40,
            0x45,
            b"\xffnobody asked",
            r#"lowband_coap_messages_rejected_total{reason="unexpected_response"}"#,
        ),
        (
            0x50,
            0x45,
            b"\xffnobody asked",
            r#"lowband_coap_messages_rejected_total{reason="unexpected_response"}"#,
        ),
        (
            0x60,
            0x45,
            b"\xffnobody asked",
            r#"lowband_coap_messages_rejected_total{reason="unexpected_response"}"#,
        ),
        // Option 9, which is not known.
        (0x40, 0x01, b"\x90\x21\x30", r#"lowband_coap_options_rejected_total{reason="unknown"}"#),
        (0x50, 0x01, b"\x90\x21\x30", r#"lowband_coap_messages_rejected_total{reason="non_confirmable"}"#),
        // Accept of three bytes, and twice.
        (0x40, 0x01, b"\xb1\x30\x63abc", r#"lowband_coap_options_rejected_total{reason="length"}"#),
        (
            0x40,
            0x01,
            b"\xb1\x30\x61\x3c\x01\x3c",
            r#"lowband_coap_options_rejected_total{reason="repeated"}"#,
        ),
        (0x40, 0x01, b"\xb2..", r#"lowband_coap_options_rejected_total{reason="value"}"#),
        (0x40, 0x01, b"\xb1\xff", r#"lowband_coap_options_rejected_total{reason="value"}"#),
        (0x40, 0x05, b"\xb1\x30", r#"lowband_coap_requests_refused_total{reason="method"}"#),
        (0x40, 0x01, b"\xd1\x16x", r#"lowband_coap_requests_refused_total{reason="proxying"}"#),
        // Block1: an empty block, one that is not full, one beyond every limit, the reserved size.
        (
            0x40,
            0x03,
            &with_block(b"\xb1\x30\xd1\x03\x5e"),
            r#"lowband_coap_blocks_refused_total{reason="upload_incomplete"}"#,
        ),
        (
            0x40,
            0x03,
            b"\xb1\x30\xd1\x03\x0e\xffshort",
            r#"lowband_coap_blocks_refused_total{reason="upload_block_size"}"#,
        ),
        (
            0x40,
            0x03,
            &with_block(b"\xb1\x30\xd3\x03\xff\xff\xfe"),
            r#"lowband_coap_requests_refused_total{reason="upload_size"}"#,
        ),
        (
            0x40,
            0x03,
            &with_block(b"\xb1\x30\xd1\x03\x0f"),
            r#"lowband_coap_options_rejected_total{reason="value"}"#,
        ),
        // Block2 of a body that is not kept, and the reserved size.
        (0x40, 0x01, b"\xb1\x30\xc1\x56", r#"lowband_coap_blocks_refused_total{reason="snapshot_unknown"}"#),
        (0x40, 0x01, b"\xb1\x30\xc1\x57", r#"lowband_coap_options_rejected_total{reason="value"}"#),
    ];
    let chain = Chain::start(ok(), &[]).await;
    let mut raw = Raw::connect(chain.server).await;
    for (first, code, rest, reason) in cases {
        let before = chain.metric(reason).await;
        let [i0, i1] = raw.id();
        raw.say(&[&[*first, *code, i0, i1][..], rest].concat()).await;
        raw.is_served().await;
        assert_eq!(chain.metric(reason).await, before + 1.0, "{reason}: {first:02x} {code:02x}");
    }
    raw.say(b"\x40\x01\x00").await;
    raw.is_served().await;
    assert_eq!(chain.metric(r#"lowband_coap_messages_rejected_total{reason="too_short"}"#).await, 1.0);
    assert_eq!(chain.stub.seen().len(), cases.len() + 1, "only what is right reaches the upstream");
    assert_eq!(chain.metric("lowband_sessions").await, 1.0);
}

#[tokio::test]
async fn an_upload_of_twenty_megabytes_is_4_13_at_once_when_it_is_announced() {
    let chain = Chain::start(ok(), &[]).await;
    let wire = chain.connect().await;
    let refused = wire.request(Method::Put, options("7"), &vec![0; MEGABYTES_20]).await;
    assert_eq!(refused.code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(chain.metric(r#"lowband_coap_upload_blocks_total{result="taken"}"#).await, 1.0);
    assert_eq!(chain.metric(r#"lowband_coap_requests_refused_total{reason="upload_size"}"#).await, 1.0);
    assert_eq!(wire.get("0").await.code, Code::CONTENT);
    assert_eq!(chain.stub.seen().len(), 1);
}

#[tokio::test]
async fn an_upload_of_twenty_megabytes_that_says_nothing_of_its_size_is_4_13_at_the_limit_and_leaves_nothing()
{
    const LIMIT: u32 = (8 << 20) / 1024;
    let chain = Chain::start(ok(), &[]).await;
    let mut raw = Raw::connect(chain.server).await;
    let payload = [&[0xff][..], &[7; 1024]].concat();
    for num in 0..(MEGABYTES_20 / 1024) as u32 {
        let [i0, i1] = raw.id();
        // Block1 in three bytes: NUM, M, SZX 6.
        let [_, b0, b1, b2] = (num << 4 | 0xe).to_be_bytes();
        raw.say(&[&[0x40, 0x03, i0, i1, 0xb1, b'7', 0xd3, 0x03, b0, b1, b2][..], &payload].concat()).await;
        let answer = raw.hear().await;
        let code = if num < LIMIT { Code::CONTINUE } else { Code::REQUEST_ENTITY_TOO_LARGE };
        assert_eq!((answer[0], answer[1]), (0x60, code.0), "block {num}: {answer:02x?}");
    }
    assert_eq!(chain.metric("lowband_blockwise_bytes").await, 0.0);
    raw.is_served().await;
    assert_eq!(chain.stub.seen().len(), 1);
}

#[tokio::test]
async fn cbor_made_to_hurt_is_carried_to_whoever_converts_it_and_the_session_goes_on() {
    let chain = Chain::start(ok(), &[]).await;
    let wire: Wire = chain.connect().await;
    let claims = |head: u8| [&[head][..], &(1_u64 << 40).to_be_bytes(), b"abc"].concat();
    let bodies = [
        b"\x43abc".to_vec(),
        b"\xa1\x61a\x43abc".to_vec(),
        b"\xc0\x61a".to_vec(),
        vec![0x81; 100_000],
        vec![0xc1; 100_000],
        [b"\xa1\x02".repeat(50_000), vec![0]].concat(),
        vec![0x9f; 1000],
        claims(0x5b),
        claims(0x7b),
        claims(0x9b),
        claims(0xbb),
        vec![0xff],
    ];
    for (number, body) in bodies.iter().enumerate() {
        let response = wire.request(Method::Put, options("/_matrix/client/v3/x"), body).await;
        assert_eq!(response.code, Code::CONTENT, "{number}");
        assert!(chain.stub.last().body == *body, "{number}");
    }
    assert_eq!(chain.stub.seen().len(), bodies.len());
}
