//! A ClientHello in one record of one datagram (RFC 6347 sections 4.2.1 and 4.2.2, RFC 5246 section 7.4.1.2), parsed
//! strictly before any state exists.

use super::record::{self, ContentType, RecordNumber};

/// HandshakeType of a ClientHello.
const CLIENT_HELLO: u8 = 1;
/// Type (1), length (3), message_seq (2), fragment offset (3), fragment length (3).
const HANDSHAKE_HEADER: usize = 12;

/// What the front needs of a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientHello<'a> {
    /// The whole record.
    pub(super) record: record::Record<'a>,
    pub(super) message_seq: u16,
    pub(super) random: &'a [u8; 32],
    pub(super) session_id: &'a [u8],
    pub(super) cookie: &'a [u8],
}

/// Why a ClientHello is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HelloError {
    Malformed,
    /// In pieces: a stateless front cannot put them together.
    Fragmented,
    /// The highest version that the client knows is below DTLS 1.2.
    OldVersion,
}

/// Whether a datagram begins with a plaintext ClientHello and is to be given to [`parse`].
pub(super) fn begins_hello(datagram: &[u8]) -> bool {
    datagram.first() == Some(&(ContentType::Handshake as u8))
        && datagram.get(3..5) == Some(&[0, 0])
        && datagram.get(record::HEADER) == Some(&CLIENT_HELLO)
}

/// The ClientHello that is all of `datagram`.
pub(super) fn parse(datagram: &[u8]) -> Result<ClientHello<'_>, HelloError> {
    let (record, after) = record::parse(datagram).ok_or(HelloError::Malformed)?;
    if record.content_type != ContentType::Handshake || record.number.epoch() != 0 || !after.is_empty() {
        return Err(HelloError::Malformed);
    }
    let mut message = Reader(record.fragment);
    let Header { message_seq, body } = message.handshake_header()?;
    let mut body = Reader(body);
    let hello = body.client_hello(record, message_seq);
    hello.ok_or(HelloError::Malformed).and_then(|(hello, version)| {
        // RFC 6347 section 4.1: version numbers count downwards.
        if version <= 0xfefd { Ok(hello) } else { Err(HelloError::OldVersion) }
    })
}

struct Header<'a> {
    message_seq: u16,
    body: &'a [u8],
}

/// Takes fields off the front; `None` when they are not all there.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn handshake_header(&mut self) -> Result<Header<'a>, HelloError> {
        let [kind, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2] =
            *self.array::<HANDSHAKE_HEADER>().ok_or(HelloError::Malformed)?;
        let [length, offset, fragment] = [[l0, l1, l2], [o0, o1, o2], [f0, f1, f2]]
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]) as usize);
        if kind != CLIENT_HELLO {
            return Err(HelloError::Malformed);
        }
        if fragment != self.0.len() || offset + fragment > length {
            return Err(HelloError::Malformed);
        }
        if fragment != length {
            return Err(HelloError::Fragmented);
        }
        Ok(Header { message_seq: u16::from_be_bytes([s0, s1]), body: self.0 })
    }

    fn client_hello(
        &mut self,
        record: record::Record<'a>,
        message_seq: u16,
    ) -> Option<(ClientHello<'a>, u16)> {
        let version = self.u16()?;
        let random = self.array::<32>()?;
        let session_id = self.vector8().filter(|id| id.len() <= 32)?;
        let cookie = self.vector8()?;
        let _suites =
            self.vector16().filter(|suites| !suites.is_empty() && suites.len().is_multiple_of(2))?;
        // Every client offers null compression (RFC 5246 section 7.4.1.2).
        let _compression = self.vector8().filter(|methods| methods.contains(&0))?;
        if !self.0.is_empty() {
            let mut extensions = Reader(self.vector16()?);
            while !extensions.0.is_empty() {
                extensions.u16()?;
                extensions.vector16()?;
            }
        }
        self.0
            .is_empty()
            .then_some((ClientHello { record, message_seq, random, session_id, cookie }, version))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(taken)
    }
    fn u16(&mut self) -> Option<u16> {
        self.array().map(|b| u16::from_be_bytes(*b))
    }
    fn vector8(&mut self) -> Option<&'a [u8]> {
        let [length] = *self.array()?;
        self.take(length.into())
    }
    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

/// A minimal ClientHello without cookie: walks a fresh OpenSSL object past its own HelloVerifyRequest.
pub(super) fn canned(message_seq: u16) -> Vec<u8> {
    // version, random, empty session id, empty cookie, one suite, null compression
    let body = [&[0xfe, 0xfd][..], &[0; 32], &[0], &[0], &[0, 2, 0xc0, 0x2b], &[1, 0]].concat();
    build(RecordNumber::new(0, u64::from(message_seq)), message_seq, &body)
}

fn build(number: RecordNumber, message_seq: u16, body: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = (body.len() as u32).to_be_bytes();
    let [s0, s1] = message_seq.to_be_bytes();
    let message_header = [CLIENT_HELLO, l0, l1, l2, s0, s1, 0, 0, 0, l0, l1, l2];
    let length = (message_header.len() + body.len()) as u16;
    let header = record::header(ContentType::Handshake, record::DTLS_1_2, number, length);
    [&header[..], &message_header, body].concat()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A hello as a client sends it: two suites, one extension.
    pub(in crate::dtls) fn sample(
        sequence: u64,
        message_seq: u16,
        random: [u8; 32],
        cookie: &[u8],
    ) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend(random);
        body.extend([3, 1, 2, 3]);
        body.push(cookie.len() as u8);
        body.extend(cookie);
        body.extend([0, 4, 0xc0, 0x2b, 0xcc, 0xa9, 1, 0]);
        body.extend([0, 8, 0, 0x17, 0, 0, 0xff, 0x01, 0, 0]);
        build(RecordNumber::new(0, sequence), message_seq, &body)
    }

    /// The same with one byte set, the lengths around it untouched.
    fn with(at: usize, value: u8) -> Vec<u8> {
        let mut bytes = sample(3, 1, [7; 32], b"cookie!!");
        bytes[at] = value;
        bytes
    }

    #[test]
    fn the_fields_are_found() {
        let bytes = sample(3, 1, [7; 32], b"cookie!!");
        assert!(begins_hello(&bytes));
        let hello = parse(&bytes).unwrap();
        assert_eq!(hello.message_seq, 1);
        assert_eq!(hello.record.number, RecordNumber::new(0, 3));
        assert_eq!(
            (hello.random, hello.session_id, hello.cookie),
            (&[7; 32], &[1, 2, 3][..], &b"cookie!!"[..])
        );
        assert_eq!(parse(&canned(2)).map(|hello| hello.message_seq), Ok(2));
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
            assert_eq!(parse(&cut).is_ok(), end == body.len() - 10, "cut at {end}");
        }
    }

    #[test]
    fn wrong_fields_are_dropped() {
        let body = record::HEADER + HANDSHAKE_HEADER;
        let table = [
            ("an old version", with(body + 1, 0xff), HelloError::OldVersion),
            ("a session id of 33 bytes", with(body + 34, 33), HelloError::Malformed),
            ("an odd length of suites", with(body + 48, 3), HelloError::Malformed),
            ("no null compression", with(body + 54, 1), HelloError::Malformed),
            ("an extension that is too long", with(body + 60, 9), HelloError::Malformed),
            ("another message", with(record::HEADER, 2), HelloError::Malformed),
            ("a fragment that is not first", with(record::HEADER + 8, 1), HelloError::Malformed),
            ("a longer message", with(record::HEADER + 3, 200), HelloError::Fragmented),
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
