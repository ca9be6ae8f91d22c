//! A ClientHello as a server meets it, whole in one record of one datagram or in pieces (RFC 6347 sections
//! 4.2.1 to 4.2.3, RFC 5246 section 7.4.1.2): parsed strictly, so that it can be judged before any state
//! exists. [`body`] reads hellos that have been put together.
//!
//! The first piece holds what a server without state needs: version, random, session id and cookie come
//! first, in at most 101 bytes.

pub mod body;

use super::fragments::HANDSHAKE_HEADER;
use super::handshake::CLIENT_HELLO;
use super::record::{self, ContentType, Record, RecordNumber};
use crate::reader::Reader;
use body::{Beginning, ClientHelloBody};

/// A ClientHello from its beginning, possibly cut before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The whole record.
    pub record: Record<'a>,
    /// Random of the client.
    pub random: &'a [u8; 32],
    /// Id of a session that the client wants to resume, at most 32 bytes; empty for none.
    pub session_id: &'a [u8],
    /// Cookie of a HelloVerifyRequest; empty for none.
    pub cookie: &'a [u8],
    /// Bytes of the message that this record has.
    pub piece: Piece<'a>,
}

/// Some of the bytes of a ClientHello, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Number of the message within its handshake.
    pub message_seq: u16,
    /// Bytes of the whole hello.
    pub length: usize,
    /// Where these bytes begin in the hello. They end within `length`.
    pub offset: usize,
    /// The bytes themselves.
    pub bytes: &'a [u8],
}

impl Piece<'_> {
    /// Returns whether nothing of the hello is missing.
    pub fn is_whole(&self) -> bool {
        self.bytes.len() == self.length
    }
}

/// What a record contains of a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello<'a> {
    /// The beginning, or all of it.
    First(ClientHello<'a>),
    /// A piece from further on.
    Later(Piece<'a>),
}

/// Why a ClientHello is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError<'a> {
    /// The record or the hello does not parse, or is another message.
    Malformed,
    /// The highest version that the client knows is below DTLS 1.2.
    OldVersion(Record<'a>),
}

/// Returns whether a datagram begins with a plaintext ClientHello, which asks for a session.
pub fn begins_hello(datagram: &[u8]) -> bool {
    datagram.first() == Some(&(ContentType::Handshake as u8))
        && datagram.get(3..5) == Some(&[0, 0])
        && datagram.get(record::HEADER) == Some(&CLIENT_HELLO)
}

/// Parses what the first record of `datagram` contains of a ClientHello, and returns what follows it. A whole
/// hello comes alone.
pub fn parse(datagram: &[u8]) -> Result<(Hello<'_>, &[u8]), HelloError<'_>> {
    let (record, after) = record::parse(datagram).map_err(|_| HelloError::Malformed)?;
    if record.content_type != ContentType::Handshake || record.number.epoch() != 0 {
        return Err(HelloError::Malformed);
    }
    let piece = piece(record.fragment).ok_or(HelloError::Malformed)?;
    if piece.offset > 0 {
        return Ok((Hello::Later(piece), after));
    }
    let hello = client_hello(record, piece);
    let (hello, version) =
        hello.filter(|_| !piece.is_whole() || after.is_empty()).ok_or(HelloError::Malformed)?;
    // RFC 6347 section 4.1: version numbers count downwards.
    if version <= 0xfefd { Ok((Hello::First(hello), after)) } else { Err(HelloError::OldVersion(record)) }
}

fn piece(content: &[u8]) -> Option<Piece<'_>> {
    let mut rest = Reader(content);
    let [kind, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2] = *rest.array::<HANDSHAKE_HEADER>()?;
    let [length, offset, fragment] =
        [[l0, l1, l2], [o0, o1, o2], [f0, f1, f2]].map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]) as usize);
    let fits = kind == CLIENT_HELLO && fragment == rest.0.len() && offset + fragment <= length;
    let message_seq = u16::from_be_bytes([s0, s1]);
    fits.then_some(Piece { message_seq, length, offset, bytes: rest.0 })
}

/// Reads a hello and the version that it names. Of a first piece, what comes after the cookie is not looked
/// at.
fn client_hello<'a>(record: Record<'a>, piece: Piece<'a>) -> Option<(ClientHello<'a>, u16)> {
    let mut rest = Reader(piece.bytes);
    let beginning = Beginning::read(&mut rest).ok()?;
    if piece.is_whole() {
        ClientHelloBody::read(beginning, rest).ok()?;
    }
    let Beginning { version, random, session_id, cookie } = beginning;
    Some((ClientHello { record, random, session_id, cookie, piece }, version))
}

/// Makes the datagram of a whole ClientHello; `body` must not be longer than a record may be.
pub fn build(number: RecordNumber, message_seq: u16, body: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = (body.len() as u32).to_be_bytes();
    let [s0, s1] = message_seq.to_be_bytes();
    let message_header = [CLIENT_HELLO, l0, l1, l2, s0, s1, 0, 0, 0, l0, l1, l2];
    let length = (message_header.len() + body.len()) as u16;
    let header = record::header(ContentType::Handshake, record::DTLS_1_2, number, length);
    [&header[..], &message_header, body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Makes a hello as a client sends it: two suites, one extension.
    fn sample(sequence: u64, message_seq: u16, random: [u8; 32], cookie: &[u8]) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend(random);
        body.extend([3, 1, 2, 3]);
        body.push(cookie.len() as u8);
        body.extend(cookie);
        body.extend([0, 4, 0xc0, 0x2b, 0xcc, 0xa9, 1, 0]);
        body.extend([0, 8, 0, 0x17, 0, 0, 0xff, 0x01, 0, 0]);
        build(RecordNumber::new(0, sequence), message_seq, &body)
    }

    /// Cuts off the first `length` bytes of a hello, in a record of their own.
    fn piece(hello: &[u8], length: usize) -> Vec<u8> {
        let mut piece = hello[..record::HEADER + HANDSHAKE_HEADER + length].to_vec();
        piece[11..13].copy_from_slice(&((HANDSHAKE_HEADER + length) as u16).to_be_bytes());
        piece[22..25].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
        piece
    }

    /// Parses a datagram that contains a whole hello.
    fn whole(datagram: &[u8]) -> Result<ClientHello<'_>, HelloError<'_>> {
        match parse(datagram)? {
            (Hello::First(hello), []) if hello.piece.is_whole() => Ok(hello),
            other => panic!("{other:?}"),
        }
    }

    /// Makes the sample with one byte set, the lengths around it untouched.
    fn with(at: usize, value: u8) -> Vec<u8> {
        let mut bytes = sample(3, 1, [7; 32], b"cookie!!");
        bytes[at] = value;
        bytes
    }

    #[test]
    fn the_fields_are_found() {
        let bytes = sample(3, 1, [7; 32], b"cookie!!");
        assert!(begins_hello(&bytes));
        let hello = whole(&bytes).unwrap();
        assert_eq!(hello.piece.message_seq, 1);
        assert_eq!(hello.record.number, RecordNumber::new(0, 3));
        assert_eq!(
            (hello.random, hello.session_id, hello.cookie),
            (&[7; 32], &[1, 2, 3][..], &b"cookie!!"[..])
        );
    }

    #[test]
    fn a_hello_cut_at_any_byte_is_dropped() {
        let bytes = sample(3, 1, [7; 32], b"cookie!!");
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Err(HelloError::Malformed), "cut at {end}");
        }
    }

    #[test]
    fn a_hello_whose_record_ends_at_any_byte_is_dropped() {
        let bytes = sample(3, 1, [7; 32], b"cookie!!");
        for end in record::HEADER..bytes.len() {
            let mut cut = bytes[..end].to_vec();
            cut[11..13].copy_from_slice(&((end - record::HEADER) as u16).to_be_bytes());
            assert_eq!(parse(&cut), Err(HelloError::Malformed), "cut at {end}");
        }
    }

    #[test]
    fn a_body_that_ends_at_any_byte_with_right_lengths_around_it_is_dropped_but_before_the_extensions() {
        let bytes = sample(3, 1, [7; 32], b"cookie!!");
        let body = &bytes[record::HEADER + HANDSHAKE_HEADER..];
        for end in 0..body.len() {
            let cut = build(RecordNumber::new(0, 3), 1, &body[..end]);
            assert_eq!(whole(&cut).is_ok(), end == body.len() - 10, "cut at {end}");
        }
    }

    #[test]
    fn wrong_fields_are_dropped() {
        let body = record::HEADER + HANDSHAKE_HEADER;
        let table = [
            ("a session id of 33 bytes", with(body + 34, 33), HelloError::Malformed),
            ("an odd length of suites", with(body + 48, 3), HelloError::Malformed),
            ("no null compression", with(body + 54, 1), HelloError::Malformed),
            ("an extension that is too long", with(body + 60, 9), HelloError::Malformed),
            ("another message", with(record::HEADER, 2), HelloError::Malformed),
            ("bytes beyond its end", with(record::HEADER + 8, 1), HelloError::Malformed),
            ("a shorter message", with(record::HEADER + 3, 20), HelloError::Malformed),
            ("epoch 1", with(4, 1), HelloError::Malformed),
            ("an alert", with(0, 21), HelloError::Malformed),
        ];
        for (what, bytes, error) in table {
            assert_eq!(parse(&bytes), Err(error), "{what}");
        }
        let mut two = sample(3, 1, [7; 32], b"cookie!!");
        two.extend(sample(4, 1, [7; 32], b"cookie!!"));
        assert_eq!(parse(&two), Err(HelloError::Malformed), "a second record");
        assert!(matches!(parse(&with(body + 1, 0xff)), Err(HelloError::OldVersion(_))));
    }

    #[test]
    fn a_first_piece_is_taken_when_it_reaches_to_the_end_of_the_cookie() {
        let bytes = sample(3, 1, [7; 32], b"cookie!!");
        let length = bytes.len() - record::HEADER - HANDSHAKE_HEADER;
        for end in 0..length {
            let piece = piece(&bytes, end);
            let Ok((Hello::First(hello), after)) = parse(&piece) else {
                assert!(end < 47, "cut at {end}");
                assert_eq!(parse(&piece), Err(HelloError::Malformed));
                continue;
            };
            assert!(end >= 47, "cut at {end}");
            assert_eq!((hello.random, hello.cookie), (&[7; 32], &b"cookie!!"[..]));
            assert_eq!((hello.piece.length, hello.piece.bytes.len(), after), (length, end, &[][..]));
        }
    }

    #[test]
    fn later_pieces_stand_for_themselves_and_several_come_in_one_datagram() {
        let bytes = sample(3, 1, [7; 32], b"cookie!!");
        let mut later = piece(&bytes, 50);
        later[19..22].copy_from_slice(&[0, 0, 15]);
        let both = [piece(&bytes, 50), later.clone()].concat();
        let (first, after) = parse(&both).unwrap();
        assert!(matches!(first, Hello::First(_)));
        let Ok((Hello::Later(piece), [])) = parse(after) else { panic!() };
        assert_eq!((piece.message_seq, piece.offset, piece.bytes.len()), (1, 15, 50));
        later[21] = 16;
        assert_eq!(parse(&later), Err(HelloError::Malformed), "beyond the end");
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_change_is_parsed_or_refused(at in 0usize..99, value: u8) {
            let mut bytes = sample(3, 1, [7; 32], b"cookie!!");
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = parse(&bytes);
        }
    }
}
