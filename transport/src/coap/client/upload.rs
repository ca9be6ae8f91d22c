//! The blocks of a request at the client (RFC 7959 section 2.5): how large they are, and which one follows.

use super::super::exchanged::Request;
use super::super::failure::ProtocolError;
use lowband_wire::coap::Code;
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::options::{self, ParsedResponse, Part};

/// Longest message, in bytes, of a request that is cut into blocks, where that is possible: an IP packet of
/// 1,400 bytes less the headers of IPv4 and UDP and 37 bytes of DTLS. With a long access token, a block of
/// 1024 would otherwise exceed it.
pub(super) const LARGEST_MESSAGE: usize = 1335;

/// Smallest block, in bytes, into which we cut a request of our own accord.
const SMALLEST_BLOCK: usize = 64;

/// What a response to a block of the request means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Upload {
    Next(Block),
    /// The response answers the whole request, or refuses it.
    Answered,
    Contradiction(ProtocolError),
}

/// Returns what follows the block that has been answered (RFC 7959 sections 2.3 and 2.9).
pub(super) fn next_upload(sent: Block, code: Code, response: &ParsedResponse, length: usize) -> Upload {
    let echoed = response.block1;
    let size = echoed.map_or(sent.size, |block| block.size.min(sent.size));
    if code == Code::REQUEST_ENTITY_TOO_LARGE && sent.num == 0 && size < sent.size {
        // The blocks are too large, not the body (section 2.9.3). The server has not taken any yet.
        return Upload::Next(Block { num: 0, more: length > size.bytes(), size });
    }
    let goes_on = code == Code::CONTINUE || (code.is_success() && echoed.is_some());
    let acknowledged = echoed.map_or(sent.num, |block| block.num);
    match (goes_on, sent.more) {
        (true, true) if acknowledged != sent.num => {
            Upload::Contradiction(ProtocolError::WrongAcknowledgement { sent: sent.num, acknowledged })
        }
        (true, true) => {
            let offset = sent.offset() + sent.size.bytes();
            let next = Block::at(offset, size, offset + size.bytes() < length);
            let too_many = ProtocolError::TooManyBlocks { option: "Block1" };
            next.map_or(Upload::Contradiction(too_many), Upload::Next)
        }
        (_, false) if code == Code::CONTINUE => Upload::Contradiction(ProtocolError::UnexpectedContinue),
        _ => Upload::Answered,
    }
}

/// Returns the largest blocks with which the first message, the one with the most options, stays within
/// `most` bytes. If no size does, because of a long access token, that message goes in IP fragments, and the
/// other messages need not be small because of it.
pub(super) fn upload_size(request: &Request, own: BlockSize, most: usize) -> BlockSize {
    let options = options::encode_request(&request.options, Part::First).unwrap_or_default();
    // Header, an eight-byte token, the payload marker; at most five bytes before each value; Block1, Size1,
    // Request-Tag, Capabilities.
    let around = 13 + options.iter().map(|(_, value)| value.len() + 5).sum::<usize>() + 24;
    if around + request.body.len().min(SMALLEST_BLOCK) > most {
        return own;
    }
    let mut size = own;
    while around + request.body.len().min(size.bytes()) > most && size.bytes() > SMALLEST_BLOCK {
        let Some(smaller) = size.smaller() else { break };
        size = smaller;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::Method;
    use lowband_wire::coap::options::{RequestOptions, ResponseOptions};

    fn block(num: u32, more: bool, szx: u8) -> Block {
        Block { num, more, size: BlockSize::from_szx(szx).unwrap() }
    }

    fn next(sent: Block, code: Code, block1: Option<Block>, length: usize) -> Upload {
        let options = ResponseOptions::default();
        next_upload(sent, code, &ParsedResponse { options, block1, ..Default::default() }, length)
    }

    #[test]
    fn an_upload_goes_on_where_the_server_says() {
        use Code as C;
        let refused = C::REQUEST_ENTITY_TOO_LARGE;
        // RFC 7959 figures 7 to 9: plain, and with a smaller size from the second block on.
        let rows = [
            (block(0, true, 3), C::CONTINUE, Some(block(0, true, 3)), 300, block(1, true, 3)),
            (block(1, true, 3), C::CONTINUE, Some(block(1, true, 3)), 300, block(2, false, 3)),
            (block(1, true, 3), C::CONTINUE, None, 384, block(2, false, 3)),
            (block(0, true, 3), C::CONTINUE, Some(block(0, true, 1)), 300, block(4, true, 1)),
            (block(0, true, 3), C::CHANGED, Some(block(0, false, 3)), 300, block(1, true, 3)),
            (block(0, true, 6), refused, Some(block(0, true, 2)), 2000, block(0, true, 2)),
        ];
        for (sent, code, echoed, length, expected) in rows {
            assert_eq!(next(sent, code, echoed, length), Upload::Next(expected));
        }
    }

    #[test]
    fn an_upload_ends_with_any_other_answer() {
        for (sent, code, echoed) in [
            (block(0, true, 6), Code::REQUEST_ENTITY_TOO_LARGE, None),
            (block(1, true, 6), Code::REQUEST_ENTITY_INCOMPLETE, None),
            (block(0, true, 6), Code::CONTENT, None),
            (block(1, false, 6), Code::CONTENT, Some(block(1, false, 6))),
        ] {
            assert_eq!(next(sent, code, echoed, 2000), Upload::Answered);
        }
        let continued = next(block(1, false, 6), Code::CONTINUE, None, 2000);
        assert_eq!(continued, Upload::Contradiction(ProtocolError::UnexpectedContinue));
        let other = next(block(1, true, 6), Code::CONTINUE, Some(block(7, true, 6)), 9000);
        let wrong = ProtocolError::WrongAcknowledgement { sent: 1, acknowledged: 7 };
        assert_eq!(other, Upload::Contradiction(wrong));
        let last = next(block(Block::MAX_NUM, true, 0), Code::CONTINUE, None, usize::MAX);
        assert_eq!(last, Upload::Contradiction(ProtocolError::TooManyBlocks { option: "Block1" }));
    }

    #[test]
    fn long_tokens_and_short_records_make_smaller_blocks() {
        let within = |token: usize, body: usize, most: usize| {
            let options = RequestOptions { authorization: Some("t".repeat(token)), ..Default::default() };
            let request = Request { method: Method::Put, options, body: vec![0; body] };
            upload_size(&request, BlockSize::MAX, most).bytes()
        };
        let size = |token, body| within(token, body, LARGEST_MESSAGE);
        assert_eq!(size(60, 100_000), 1024);
        assert_eq!(size(600, 100_000), 512);
        assert_eq!(size(600, 600), 1024);
        assert_eq!(size(1200, 100_000), 64);
        assert_eq!(size(4096, 100_000), 1024);
        assert_eq!(within(60, 100_000, 512), 256);
        assert_eq!(within(300, 100_000, 512), 128);
        assert_eq!(within(60, 500, 1024), 1024);
    }
}
