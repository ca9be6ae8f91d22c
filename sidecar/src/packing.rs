//! Bodies in fewer bytes, for clients that have heard that this server knows them (docs/protocol.md section
//! 5).
//!
//! ```text
//! request: PACKED -> unpack -> as if it had come in CBOR        answer: CBOR -> Packing -> PACKED
//! ```

use crate::refusal::Refusal;
use bytes::Bytes;
use lowband_wire::coap::content_format::{CBOR, JSON, PACKED};
use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method};
use lowband_wire::packed::{self, NotPacked, Packer};

const NOT_PACKED: Refusal = Refusal::diagnostic(
    Code::BAD_REQUEST,
    "the body is not what Content-Format 65060 says; nothing was done",
);

/// Makes a request one in CBOR, with a body of at most so many bytes. Returns whether the answer is wanted
/// packed. A GET has no body that would count (RFC 7252 section 5.5).
///
/// # Errors
///
/// The body is not a packed one, or too long.
pub fn unpack(
    method: Method,
    options: &mut RequestOptions,
    body: &mut Vec<u8>,
    most: usize,
) -> Result<bool, Refusal> {
    if method == Method::Get {
        body.clear();
    }
    if options.content_format == Some(PACKED) {
        let most = most.min(packed::longest_request(body.len()));
        *body = packed::unpack(body, most).map_err(|why| match why {
            NotPacked::TooLong(_) => Refusal::diagnostic(
                Code::REQUEST_ENTITY_TOO_LARGE,
                "the body is too long when it is unpacked",
            ),
            NotPacked::Item(_) | NotPacked::CutOff(_) => NOT_PACKED,
        })?;
        options.content_format = Some(CBOR);
    }
    let is_wanted = options.accept == Some(PACKED);
    if is_wanted {
        // Nothing said is CBOR, or what there is, but for a body in JSON.
        options.accept = (options.content_format == Some(JSON)).then_some(CBOR);
    }
    Ok(is_wanted)
}

/// Packs the body of an answer, in the pieces in which it comes.
pub struct Packing(Option<Packer>);

impl Packing {
    /// Begins with the head of an answer, which need not be one in CBOR.
    pub fn begin(is_wanted: bool, options: &ResponseOptions) -> Packing {
        Packing((is_wanted && options.content_format == Some(CBOR)).then(Packer::default))
    }

    /// Packs the first piece, and says so in the head. An answer that is whole and no shorter for it stays as
    /// it is.
    pub fn start(&mut self, options: &mut ResponseOptions, piece: Bytes, last: bool) -> Bytes {
        if self.0.is_none() {
            return piece;
        }
        let packed = self.go_on(piece.clone(), last);
        if last && packed.len() >= piece.len() {
            return piece;
        }
        options.content_format = Some(PACKED);
        options.size = last.then_some(packed.len() as u64);
        packed
    }

    /// Packs the next piece; empty if nothing is known yet of what becomes of it.
    pub fn go_on(&mut self, piece: Bytes, last: bool) -> Bytes {
        let Some(mut packer) = self.0.take() else { return piece };
        let mut packed = Vec::with_capacity(piece.len());
        packer.push(&piece, &mut packed);
        if last {
            packer.finish(&mut packed);
        } else {
            self.0 = Some(packer);
        }
        packed.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::packed::LONGEST_REQUEST;

    /// `{1: "m.room.message"}` and the same packed.
    const PLAIN: &[u8] = b"\xa1\x01\x6em.room.message";
    const SHORT: &[u8] = b"\xa1\x01\xe0";

    fn options(content_format: Option<u16>, accept: Option<u16>) -> RequestOptions {
        RequestOptions { content_format, accept, ..RequestOptions::default() }
    }

    #[test]
    fn a_request_becomes_one_in_cbor_and_says_whether_its_answer_is_to_be_packed() {
        for (format, accept, then, wanted) in [
            (None, None, (None, None), false),
            (Some(CBOR), Some(CBOR), (Some(CBOR), Some(CBOR)), false),
            (Some(CBOR), Some(PACKED), (Some(CBOR), None), true),
            (Some(PACKED), None, (Some(CBOR), None), false),
            (Some(PACKED), Some(PACKED), (Some(CBOR), None), true),
            (Some(PACKED), Some(JSON), (Some(CBOR), Some(JSON)), false),
            (Some(JSON), Some(PACKED), (Some(JSON), Some(CBOR)), true),
        ] {
            let mut options = options(format, accept);
            let mut body = if format == Some(PACKED) { SHORT } else { PLAIN }.to_vec();
            assert_eq!(
                unpack(Method::Put, &mut options, &mut body, 100),
                Ok(wanted),
                "{format:?} {accept:?}"
            );
            assert_eq!(((options.content_format, options.accept), &body[..]), (then, PLAIN));
        }
    }

    #[test]
    fn a_payload_of_a_get_is_ignored() {
        let mut body = b"\xd6".to_vec();
        assert_eq!(unpack(Method::Get, &mut options(Some(PACKED), None), &mut body, 100), Ok(false));
        assert!(body.is_empty());
    }

    #[test]
    fn a_body_of_known_texts_alone_cannot_grow_without_bound() {
        let refused = unpack(Method::Put, &mut options(Some(PACKED), None), &mut vec![0xe0; 10_000], 1 << 20)
            .unwrap_err();
        assert_eq!(refused.code, Code::REQUEST_ENTITY_TOO_LARGE);
    }

    #[test]
    fn a_long_body_cannot_hold_up_the_others() {
        for (length, is_taken) in [(LONGEST_REQUEST, true), (LONGEST_REQUEST + 1, false)] {
            let unpacked =
                unpack(Method::Put, &mut options(Some(PACKED), None), &mut vec![0; length], 8 << 20);
            let expected = if is_taken { Ok(false) } else { Err(Code::REQUEST_ENTITY_TOO_LARGE) };
            assert_eq!(unpacked.map_err(|refusal| refusal.code), expected);
        }
    }

    #[test]
    fn what_is_not_packed_or_too_long_is_refused() {
        for (body, most, code) in
            [(&b"\xd6"[..], 100, Code::BAD_REQUEST), (SHORT, 16, Code::REQUEST_ENTITY_TOO_LARGE)]
        {
            let refused =
                unpack(Method::Put, &mut options(Some(PACKED), None), &mut body.to_vec(), most).unwrap_err();
            assert_eq!(refused.code, code);
        }
        assert_eq!(unpack(Method::Put, &mut options(Some(PACKED), None), &mut SHORT.to_vec(), 17), Ok(false));
    }

    fn answer(content_format: u16) -> ResponseOptions {
        ResponseOptions { content_format: Some(content_format), size: Some(9), ..ResponseOptions::default() }
    }

    #[test]
    fn an_answer_is_packed_where_that_is_wanted_and_makes_it_shorter() {
        for (wanted, format, plain, then, body) in [
            (true, CBOR, PLAIN, (PACKED, Some(3)), SHORT),
            (false, CBOR, PLAIN, (CBOR, Some(9)), PLAIN),
            (true, JSON, b"\"AQIDBAUG\"", (JSON, Some(9)), b"\"AQIDBAUG\""),
            (true, CBOR, b"\x61a", (CBOR, Some(9)), b"\x61a"),
            (true, CBOR, b"", (CBOR, Some(9)), b""),
        ] {
            let mut options = answer(format);
            let packed = Packing::begin(wanted, &options).start(&mut options, plain.into(), true);
            assert_eq!((options.content_format.unwrap(), options.size), then, "{plain:?}");
            assert_eq!(packed, body);
        }
    }

    #[test]
    fn an_answer_in_pieces_is_packed_whatever_the_cut() {
        for cut in 0..PLAIN.len() {
            let (first, rest) = PLAIN.split_at(cut);
            let mut options = answer(CBOR);
            let mut packing = Packing::begin(true, &options);
            let mut packed = packing.start(&mut options, Bytes::copy_from_slice(first), false).to_vec();
            packed.extend(packing.go_on(Bytes::copy_from_slice(rest), true));
            assert_eq!((options.content_format, options.size), (Some(PACKED), None));
            assert_eq!(packed, SHORT, "{cut}");
        }
    }
}
