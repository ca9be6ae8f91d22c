//! From option numbers and bytes to options with a meaning, and back (RFC 7252 sections 5.4 and 5.10).
//!
//! The rules for what is wrong are the same in both directions: an option that is not in the table, whose
//! value has an impossible length, or that is repeated although it may not be, counts as unrecognised.
//! Elective ones are then ignored, critical ones refuse the message (5.4.1, 5.4.3, 5.4.5).

mod encode;
mod list;
mod refusal;
mod response;

use super::block::Block;
use super::code::Method;
use super::fault::{OptionError, OptionFault};
use super::message::Message;
use super::numbers::{self, Definition};
use super::uint::from_uint;

pub use encode::{Part, encode_request, encode_response};
pub use list::MAX_LIST;
pub use refusal::Refusal;
pub use response::{ParsedResponse, ResponseOptions};

/// The options of a request that have a meaning, validated; critical ones that have none refuse the
/// request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestOptions {
    /// Uri-Path values, raw UTF-8, in order. Never `.` or `..` in a received request (RFC 7252 section
    /// 5.10.1).
    pub path: Vec<String>,
    /// Uri-Query values, in order.
    pub query: Vec<String>,
    /// Content-Format (option 12): the format of the body, see [`super::content_format`].
    pub content_format: Option<u16>,
    /// Accept (option 17): the format that the client wants, see [`super::content_format`].
    pub accept: Option<u16>,
    /// Option 256 of MSC3079: the access token as this very request says it. It stays with the session, so a
    /// request without one may have the token of an earlier request.
    pub authorization: Option<String>,
    /// Option 257 of MSC3079: the CBOR version as this very request says it.
    pub cbor_version: Option<u32>,
    /// Observe (option 6) as the client says it. A server may answer such a request like any other (RFC 7641
    /// section 4.1).
    pub observe: Option<u32>,
    /// Uri-Host (option 3): the server that the client means, where the address does not say it.
    pub host: Option<String>,
}

/// What names a body within a session: the method and the options that make the cache key (RFC 7252 section
/// 5.4.2), as bytes. Uri-Path, Uri-Query, Accept and Request-Tag. Left out on purpose: options 256 and 257,
/// which belong to the session once they have been sent, and what speaks of payloads or hosts, which
/// clients leave out of block requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyKey(Box<[u8]>);

impl BodyKey {
    /// Returns the bytes: code, then number, length and value of each option.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Most bytes of a [`BodyKey`], which is path and query with four bytes for each option. It is kept with each
/// body and each request that waits. The longest real ones are some 1,500 bytes: a `/sync` with an inline
/// filter and a `since` of many stream positions, a `/join` with servers to ask; a single parameter has 255
/// bytes at most (RFC 7252 section 5.10).
const MAX_KEY: usize = 4096;

/// A request, parsed into what a server acts upon.
#[derive(Debug)]
pub struct ParsedRequest {
    /// What is asked for.
    pub method: Method,
    /// The options that mean the same in each message of the request.
    pub options: RequestOptions,
    /// What names the body that the request is about.
    pub key: BodyKey,
    /// Block1: which block of the request body the message carries.
    pub block1: Option<Block>,
    /// Block2: which block of the response body is asked for.
    pub block2: Option<Block>,
    /// Q-Block2: which blocks of the response body are asked for, at most [`MAX_LIST`] of one size, in
    /// ascending order; M asks for more than the block itself (RFC 9177 section 4.4). Empty without the
    /// option, which never stands beside the two above (section 4.1).
    pub q_block2: Vec<Block>,
    /// Size1: what the client says its body measures, in bytes.
    pub size1: Option<u32>,
    /// Whether the client asks for Size2 (RFC 7959 section 4).
    pub wants_size2: bool,
}

/// Returns the options that are recognised, each with its definition's promises kept; or the first critical
/// one that is not. What is wrong with elective ones is added to `ignored`.
fn recognised<'a>(
    message: &'a Message,
    table: &'static [Definition],
    ignored: &mut Vec<OptionFault>,
) -> Result<Vec<(u16, &'a [u8])>, OptionError> {
    let mut found: Vec<(u16, &[u8])> = Vec::new();
    for (number, value) in message.options() {
        let fault = match table.iter().find(|definition| definition.number == number) {
            None => OptionFault::Unknown,
            Some(known) if value.len() < known.min || value.len() > known.max => OptionFault::Length,
            Some(known) if !known.repeatable && found.last().is_some_and(|last| last.0 == number) => {
                OptionFault::Repeated
            }
            Some(_) => {
                found.push((number, value));
                continue;
            }
        };
        if numbers::is_critical(number) {
            return Err(OptionError { number, fault });
        }
        ignored.push(fault);
    }
    Ok(found)
}

impl ParsedRequest {
    /// Returns whether the request is about a block of a body that another message has begun.
    pub fn goes_on(&self) -> bool {
        self.block1.is_some_and(|block| block.num > 0) || self.reads_on()
    }

    /// Returns whether the request asks for blocks of a response that another message has begun. One with
    /// Q-Block2 does: a server that takes it for a new request takes the option out first.
    pub fn reads_on(&self) -> bool {
        self.block2.is_some_and(|block| block.num > 0) || !self.q_block2.is_empty()
    }

    /// Returns the first block of the response that is asked for, by either option.
    pub fn first_asked(&self) -> Option<Block> {
        self.block2.or(self.q_block2.first().copied())
    }

    /// Returns the request, or why it is refused; and what was wrong with options that were ignored.
    pub fn parse(message: &Message) -> (Result<ParsedRequest, Refusal>, Vec<OptionFault>) {
        let mut ignored = Vec::new();
        let result = ParsedRequest::of(message, &mut ignored);
        (result, ignored)
    }

    fn of(message: &Message, ignored: &mut Vec<OptionFault>) -> Result<ParsedRequest, Refusal> {
        let recognised = recognised(message, &numbers::IN_REQUESTS, ignored)?;
        let method = Method::from_code(message.code).ok_or(Refusal::Method)?;
        let mut options = RequestOptions::default();
        let names = |number| {
            let names = [numbers::URI_PATH, numbers::URI_QUERY, numbers::ACCEPT, numbers::REQUEST_TAG];
            names.contains(&number)
        };
        let named = recognised.iter().filter(|(number, _)| names(*number));
        let length = 1 + named.map(|(_, value)| 4 + value.len()).sum::<usize>();
        if length > MAX_KEY {
            return Err(Refusal::PathTooLong);
        }
        let mut key = Vec::with_capacity(length);
        key.push(message.code.0);
        let (mut block1, mut block2, mut size1, mut wants_size2) = (None, None, None, false);
        let mut q_block2 = Vec::new();
        for (number, value) in recognised {
            if names(number) {
                // Fixed widths for number and length keep two different lists of options apart.
                key.extend(number.to_be_bytes());
                key.extend((value.len() as u16).to_be_bytes());
                key.extend(value);
            }
            match number {
                numbers::URI_HOST => options.host = Some(text(number, value)?),
                numbers::URI_PATH => options.path.push(path_segment(value)?),
                numbers::URI_QUERY => options.query.push(text(number, value)?),
                numbers::CONTENT_FORMAT => {
                    options.content_format = from_uint(value).map(|value| value as u16)
                }
                numbers::ACCEPT => options.accept = from_uint(value).map(|value| value as u16),
                // The server refuses a token that cannot be read (`access_token`).
                numbers::AUTHORIZATION => match text(number, value) {
                    Ok(text) => options.authorization = Some(text),
                    Err(error) => ignored.push(error.fault),
                },
                numbers::CBOR_VERSION => options.cbor_version = from_uint(value),
                numbers::OBSERVE => options.observe = from_uint(value),
                numbers::BLOCK1 => block1 = Some(block(number, value)?),
                numbers::BLOCK2 => block2 = Some(block(number, value)?),
                numbers::Q_BLOCK2 => list::push(&mut q_block2, block(number, value)?)?,
                numbers::SIZE1 => size1 = from_uint(value),
                numbers::SIZE2 => wants_size2 = true,
                numbers::PROXY_URI | numbers::PROXY_SCHEME => {
                    return Err(Refusal::Proxying);
                }
                _ => {}
            }
        }
        if !q_block2.is_empty() && (block1.is_some() || block2.is_some()) {
            return Err(Refusal::MixedBlocks);
        }
        let key = BodyKey(key.into());
        Ok(ParsedRequest { method, options, key, block1, block2, q_block2, size1, wants_size2 })
    }
}

fn text(number: u16, value: &[u8]) -> Result<String, OptionError> {
    String::from_utf8(value.to_vec()).map_err(|_| OptionError { number, fault: OptionFault::NotUtf8 })
}

/// Refuses `.` and `..`, which are not legal values (RFC 7252 section 5.10.1). Escaping them would not help,
/// since HTTP servers resolve the escaped form as well.
fn path_segment(value: &[u8]) -> Result<String, Refusal> {
    let segment = text(numbers::URI_PATH, value)?;
    if segment == "." || segment == ".." { Err(Refusal::DotSegment) } else { Ok(segment) }
}

/// Reads a block option. The table of options has let values of three bytes at most pass.
fn block(number: u16, value: &[u8]) -> Result<Block, OptionError> {
    Block::decode(value).map_err(|_| OptionError { number, fault: OptionFault::ReservedSize })
}

/// Returns what the sender says it is capable of; 0 if it says nothing. A message that is refused for other
/// options says it as well.
#[inline]
pub fn capabilities(message: &Message) -> u32 {
    let told = message.options().find(|(number, value)| *number == numbers::CAPABILITIES && value.len() <= 4);
    told.and_then(|(_, value)| from_uint(value)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::code::Code;
    use super::super::fault::Unsendable;
    use super::super::message::{Kind, MessageId, Outgoing, Token};
    use super::super::numbers::MAX_ACCESS_TOKEN;
    use super::*;

    /// Options as a test writes them.
    type Wire<'a> = &'a [(u16, &'a [u8])];

    fn parse(code: Code, options: Wire) -> (Result<ParsedRequest, Refusal>, Vec<OptionFault>) {
        let options = options.iter().map(|(number, value)| (*number, value.to_vec())).collect();
        let message = Outgoing { code, token: Token::EMPTY, options, payload: vec![] };
        let wire = message.encode(Kind::Confirmable, MessageId(1)).unwrap();
        ParsedRequest::parse(&Message::parse(&wire).unwrap())
    }

    fn options(wire: Wire) -> RequestOptions {
        parse(Code::GET, wire).0.unwrap().options
    }

    #[test]
    fn every_option_of_a_request_survives_the_wire() {
        let all = RequestOptions {
            path: vec!["_matrix".into(), "".into(), "#räum/%".into()],
            query: vec!["b=2".into(), "a".into(), "b=2".into()],
            content_format: Some(60),
            accept: Some(50),
            authorization: Some("t".repeat(MAX_ACCESS_TOKEN)),
            cbor_version: Some(1),
            observe: Some(0),
            host: Some("matrix.example.org".into()),
        };
        let wire = encode_request(&all, Part::First).unwrap();
        let wire: Vec<_> = wire.iter().map(|(number, value)| (*number, value.as_slice())).collect();
        assert_eq!(options(&wire), all);
    }

    #[test]
    fn later_blocks_leave_out_what_the_session_knows() {
        let all = RequestOptions {
            path: vec!["x".into()],
            content_format: Some(60),
            authorization: Some("t".into()),
            cbor_version: Some(1),
            observe: Some(0),
            ..Default::default()
        };
        let numbers =
            |part| encode_request(&all, part).unwrap().into_iter().map(|option| option.0).collect::<Vec<_>>();
        assert_eq!(numbers(Part::Upload), [numbers::URI_PATH, numbers::CONTENT_FORMAT]);
        assert_eq!(numbers(Part::Download), [numbers::URI_PATH]);
    }

    #[test]
    fn critical_options_that_are_wrong_are_refused_and_elective_ones_ignored() {
        let long = vec![b'a'; MAX_ACCESS_TOKEN + 1];
        let long = long.as_slice();
        let refused: &[(Wire, &str)] = &[
            (&[(9, b"x")], "option 9 is not known"),
            (&[(19, b"")], "option 19 is not known"),
            (&[(31, b"1234")], "option 31 Q-Block2 has an impossible length"),
            (&[(1, b"x")], "option 1 is not known"),
            (&[(5, b"")], "option 5 is not known"),
            (&[(65535, b"")], "option 65535 is not known"),
            (&[(11, &long[..256])], "option 11 Uri-Path has an impossible length"),
            (&[(15, &long[..256])], "option 15 Uri-Query has an impossible length"),
            (&[(17, b"123")], "option 17 Accept has an impossible length"),
            (&[(23, b"1234")], "option 23 Block2 has an impossible length"),
            (&[(27, b"1234")], "option 27 Block1 has an impossible length"),
            (&[(3, b"")], "option 3 Uri-Host has an impossible length"),
            (&[(257, b"12345")], "option 257 CBOR-Version has an impossible length"),
            (&[(17, b""), (17, b"")], "option 17 Accept is repeated"),
            (&[(27, b"\x06"), (27, b"\x06")], "option 27 Block1 is repeated"),
            (&[(257, b""), (257, b"")], "option 257 CBOR-Version is repeated"),
            (&[(11, b"\xff")], "option 11 is not UTF-8"),
            (&[(15, b"\xff")], "option 15 is not UTF-8"),
        ];
        for (wire, text) in refused {
            let refusal = parse(Code::GET, wire).0.unwrap_err();
            assert_eq!((refusal.code(), refusal.to_string().as_str()), (Code::BAD_OPTION, *text));
            assert!(refusal.is_bad_option());
        }
        let ignored: &[Wire] = &[
            &[(2, b"x")],
            &[(258, b"\x02")],
            &[(12, b"123")],
            &[(256, long)],
            &[(6, b"1234")],
            &[(60, b"12345")],
            &[(292, b"123456789")],
            &[(256, b"\xff")],
            &[(4, b"etag"), (4, b"etag2")],
        ];
        for wire in ignored {
            let parsed = parse(Code::GET, wire).0.unwrap();
            assert_eq!(parsed.options, RequestOptions::default(), "{wire:?}");
            assert_eq!(parsed.key, parse(Code::GET, &[]).0.unwrap().key);
        }
        // A repeated elective option: the first counts (RFC 7252 section 5.4.5).
        let twice = options(&[(256, b"one"), (256, b"two")]);
        assert_eq!(twice.authorization.as_deref(), Some("one"));
    }

    #[test]
    fn path_and_query_have_a_bound_together_that_the_longest_real_ones_keep_far_from() {
        let filter = "f".repeat(255);
        let real: Vec<_> = std::iter::once((numbers::URI_PATH, b"_matrix".as_slice()))
            .chain(std::iter::repeat_n((numbers::URI_QUERY, filter.as_bytes()), 15))
            .collect();
        assert_eq!(parse(Code::GET, &real).0.unwrap().key.as_bytes().len(), 1 + 11 + 15 * 259);
        let refused = parse(Code::GET, &[&real[..], &real[15..]].concat()).0.unwrap_err();
        assert_eq!(refused, Refusal::PathTooLong);
        assert_eq!((refused.code(), refused.is_bad_option()), (Code::BAD_REQUEST, false));
        assert!(refused.to_string().contains("4,096 bytes"));
        // Tags are a part of what is kept.
        let tags = vec![(numbers::REQUEST_TAG, b"12345678".as_slice()); 342];
        assert_eq!(parse(Code::GET, &tags[..341]).0.unwrap().key.as_bytes().len(), 1 + 341 * 12);
        assert_eq!(parse(Code::GET, &tags).0.unwrap_err(), Refusal::PathTooLong);
    }

    #[test]
    fn what_is_wrong_with_ignored_options_is_said() {
        use OptionFault::*;
        let faults = |wire: Wire| parse(Code::GET, wire).1;
        assert_eq!(faults(&[(2, b"x"), (11, b"a"), (60, b"12345")]), [Unknown, Length]);
        assert_eq!(faults(&[(6, b""), (6, b"")]), [Repeated]);
        assert_eq!(faults(&[(256, b"\xff")]), [NotUtf8]);
    }

    #[test]
    fn values_that_are_illegal_and_methods_that_are_not_served_have_their_codes() {
        let code = |method, wire: Wire| parse(method, wire).0.unwrap_err().code();
        assert_eq!(code(Code::GET, &[(11, b"a"), (11, b"..")]), Code::BAD_REQUEST);
        assert_eq!(code(Code::GET, &[(11, b".")]), Code::BAD_REQUEST);
        assert_eq!(code(Code::GET, &[(27, b"\x07")]), Code::BAD_REQUEST);
        assert_eq!(code(Code::GET, &[(39, b"http")]), Code::PROXYING_NOT_SUPPORTED);
        for detail in [5, 6, 7, 8, 31] {
            assert_eq!(code(Code::new(0, detail), &[]), Code::METHOD_NOT_ALLOWED);
        }
    }

    #[test]
    fn bodies_are_told_apart_by_the_options_of_the_cache_key_alone() {
        let key = |code, wire: Wire| parse(code, wire).0.unwrap().key;
        let base = key(Code::GET, &[(11, b"a"), (11, b"b"), (15, b"q")]);
        for other in [
            key(Code::POST, &[(11, b"a"), (11, b"b"), (15, b"q")]),
            key(Code::GET, &[(11, b"ab"), (15, b"q")]),
            key(Code::GET, &[(11, b"a"), (11, b"b")]),
            key(Code::GET, &[(11, b"a"), (11, b"b"), (15, b"q"), (17, b"\x3c")]),
            key(Code::GET, &[(11, b"a"), (11, b"b"), (15, b"q"), (292, b"")]),
        ] {
            assert_ne!(base, other);
        }
        let with_more = key(
            Code::GET,
            &[
                (3, b"host"),
                (11, b"a"),
                (11, b"b"),
                (12, b"\x3c"),
                (15, b"q"),
                (23, b"\x16"),
                (256, b"t"),
                (65020, b"\x01"),
            ],
        );
        assert_eq!(base, with_more);
    }

    #[test]
    fn what_does_not_fit_into_an_option_is_said_before_it_is_sent() {
        let encode = |options| encode_request(&options, Part::First).unwrap_err();
        let path = vec!["p".repeat(256)];
        let why = encode(RequestOptions { path, ..Default::default() });
        assert_eq!(why, Unsendable::PathSegment { bytes: 256 });
        let query = vec!["q".repeat(257)];
        let why = encode(RequestOptions { query, ..Default::default() });
        assert_eq!(why, Unsendable::QueryParameter { bytes: 257 });
        let bytes = MAX_ACCESS_TOKEN + 1;
        let why = encode(RequestOptions { authorization: Some("t".repeat(bytes)), ..Default::default() });
        assert_eq!(why, Unsendable::AccessToken { bytes });
        for bytes in [0, 256] {
            let why = encode(RequestOptions { host: Some("h".repeat(bytes)), ..Default::default() });
            assert_eq!(why, Unsendable::Host { bytes });
        }
    }
}
