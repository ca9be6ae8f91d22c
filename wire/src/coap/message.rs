//! One CoAP message (RFC 7252 section 3): read by [`View`], written by [`Outgoing`]. This file only separates
//! the options; [`super::options`] knows what they mean.

mod token;
mod view;

use super::code::Code;

pub use token::{MessageId, Token};
pub use view::{Options, View};

/// Largest message in either direction: the plaintext of one DTLS record (RFC 6347 section 4.1).
pub const MAX_MESSAGE: usize = 1 << 14;

/// The type of a message (RFC 7252 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CON: is repeated until it is acknowledged (RFC 7252 section 4.2)
    Confirmable,
    /// NON: is sent once (RFC 7252 section 4.3)
    NonConfirmable,
    /// ACK: answers a confirmable message
    Acknowledgement,
    /// RST: answers a message that means nothing to its receiver
    Reset,
}

impl Kind {
    /// Returns how the specification abbreviates the type: `CON`, `NON`, `ACK`, `RST`.
    pub const fn abbreviation(self) -> &'static str {
        match self {
            Kind::Confirmable => "CON",
            Kind::NonConfirmable => "NON",
            Kind::Acknowledgement => "ACK",
            Kind::Reset => "RST",
        }
    }

    /// Returns the first byte of a message of version 1 with a token of this length.
    const fn first_byte(self, token_length: u8) -> u8 {
        let kind = match self {
            Kind::Confirmable => 0x40,
            Kind::NonConfirmable => 0x50,
            Kind::Acknowledgement => 0x60,
            Kind::Reset => 0x70,
        };
        kind | token_length
    }
}

/// What is wrong with the form of a message. Its content is never looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The message has fewer than 4 bytes.
    #[error("fewer than the four bytes of a header")]
    TooShort,
    /// The version is not 1: ignored in silence (RFC 7252 section 3).
    #[error("the version is not 1")]
    Version,
    /// The token length is 9 to 15, or the token is cut off.
    #[error("the token is longer than 8 bytes or cut off")]
    TokenLength,
    /// An option has a nibble of 15 or a number above 65,535, or is cut off.
    #[error("an option is cut off or has an impossible head")]
    Option,
    /// A payload marker stands without a payload.
    #[error("a payload marker stands without a payload")]
    PayloadMarker,
    /// The code is 0.00 and the message is longer than its header (RFC 7252 section 4.1).
    #[error("an Empty message has more than its header")]
    EmptyWithContent,
    /// The code is of class 1, 6 or 7, or does not go with the type.
    #[error("the code is reserved or does not go with the type")]
    Code,
}

/// A malformed message, with what is needed to refuse it (RFC 7252 sections 4.2 and 4.3).
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub why: Malformed,
    /// Id of a confirmable message, which is answered by a Reset. None for all others, which are ignored.
    pub reset: Option<MessageId>,
}

/// A received message that is well-formed: [`Kind`] and code fit each other.
#[derive(Debug)]
pub struct Message {
    /// Type of the message.
    pub kind: Kind,
    /// Method, response code or [`Code::EMPTY`].
    pub code: Code,
    /// Id of the message, or of the one that it acknowledges or resets.
    pub id: MessageId,
    /// Token of the request; of an Empty message [`Token::EMPTY`].
    pub token: Token,
    /// The options as they were received, and behind them the payload.
    content: Vec<u8>,
    options: usize,
}

impl Message {
    /// Parses one message, which is all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Message, Refused> {
        let View { kind, code, id, token, options, payload } =
            View::parse(bytes).map_err(|why| Refused { why, reset: confirmable(bytes) })?;
        Ok(Message { kind, code, id, token, content: [options, payload].concat(), options: options.len() })
    }

    /// Returns numbers and values in ascending order; values of one number keep the order of the message.
    #[inline]
    pub fn options(&self) -> Options<'_> {
        Options::of(self.content.get(..self.options).unwrap_or_default())
    }

    /// Returns the payload; empty for none.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.content.get(self.options..).unwrap_or_default()
    }

    /// Returns the payload and gives up the rest.
    pub fn into_payload(self) -> Vec<u8> {
        let mut content = self.content;
        content.drain(..self.options);
        content
    }
}

/// Returns the id of a message that calls itself confirmable, in a version that is ours.
fn confirmable(bytes: &[u8]) -> Option<MessageId> {
    match *bytes {
        [0x40..0x50, _, high, low, ..] => Some(MessageId(u16::from_be_bytes([high, low]))),
        _ => None,
    }
}

/// A message to be sent, without its type and message id.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Method or response code.
    pub code: Code,
    /// Token of the request.
    pub token: Token,
    /// Options in any order of numbers; values of one number keep their order.
    pub options: Vec<(u16, Vec<u8>)>,
    /// The payload; empty for none.
    pub payload: Vec<u8>,
}

impl Outgoing {
    /// Encodes the message; None if it is longer than [`MAX_MESSAGE`].
    pub fn encode(mut self, kind: Kind, id: MessageId) -> Option<Vec<u8>> {
        self.options.sort_by_key(|(number, _)| *number);
        let token = self.token.as_bytes();
        let options = self.options.iter().map(|(_, value)| MAX_HEAD + value.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(4 + token.len() + options + 1 + self.payload.len());
        let [high, low] = id.0.to_be_bytes();
        bytes.extend([kind.first_byte(token.len() as u8), self.code.0, high, low]);
        bytes.extend_from_slice(token);
        let mut before = 0;
        for (number, value) in &self.options {
            write_head(&mut bytes, number - before, value.len())?;
            bytes.extend_from_slice(value);
            before = *number;
        }
        if !self.payload.is_empty() {
            bytes.push(PAYLOAD_MARKER);
            bytes.extend_from_slice(&self.payload);
        }
        (bytes.len() <= MAX_MESSAGE).then_some(bytes)
    }
}

/// Bytes of the longest head of an option (RFC 7252 section 3.1).
const MAX_HEAD: usize = 5;

/// The byte between options and payload.
const PAYLOAD_MARKER: u8 = 0xff;

/// Writes the head of an option: the distance of its number from the one before, and the length of its value.
/// None if the value is longer than any message.
fn write_head(bytes: &mut Vec<u8>, delta: u16, length: usize) -> Option<()> {
    let length = u16::try_from(length).ok()?;
    let (delta, length) = (Extended::of(delta), Extended::of(length));
    bytes.push(delta.nibble() << 4 | length.nibble());
    delta.write(bytes);
    length.write(bytes);
    Some(())
}

/// A number in the head of an option: a nibble with an extension of no byte, one or two.
enum Extended {
    None(u8),
    One(u8),
    Two(u16),
}

impl Extended {
    fn of(number: u16) -> Extended {
        match number {
            0..13 => Extended::None(number as u8),
            13..269 => Extended::One((number - 13) as u8),
            269.. => Extended::Two(number - 269),
        }
    }

    fn nibble(&self) -> u8 {
        match self {
            Extended::None(number) => *number,
            Extended::One(_) => 13,
            Extended::Two(_) => 14,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Extended::None(_) => {}
            Extended::One(byte) => bytes.push(*byte),
            Extended::Two(number) => bytes.extend(number.to_be_bytes()),
        }
    }
}

/// Encodes an Empty message (RFC 7252 section 4.1): exactly four bytes.
pub fn empty(kind: Kind, id: MessageId) -> Vec<u8> {
    let [high, low] = id.0.to_be_bytes();
    vec![kind.first_byte(0), Code::EMPTY.0, high, low]
}

#[cfg(test)]
mod tests {
    use super::super::numbers::{MAX_AGE, URI_PATH};
    use super::*;
    use coap_lite::{CoapOption, MessageType, Packet};
    use proptest::prelude::*;

    fn refused(bytes: &[u8]) -> Option<(Malformed, bool)> {
        Message::parse(bytes).err().map(|refused| (refused.why, refused.reset.is_some()))
    }

    /// RFC 7252 appendix A, figures 16 to 22, as bytes.
    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        let path = |value: &str| vec![(URI_PATH, value.as_bytes().to_vec())];
        let row = |kind, code, id, token: &[u8], options, payload: &[u8], wire: &[u8]| {
            let token = Token::new(token).unwrap();
            let message = Outgoing { code, token, options, payload: payload.to_vec() };
            assert_eq!(message.clone().encode(kind, MessageId(id)).unwrap(), wire);
            let parsed = Message::parse(wire).unwrap();
            assert_eq!(
                (parsed.kind, parsed.code, parsed.id, parsed.token),
                (kind, code, MessageId(id), token)
            );
            let options: Vec<_> = parsed.options().map(|(number, value)| (number, value.to_vec())).collect();
            assert_eq!(options, message.options);
            assert_eq!(parsed.payload(), payload);
        };
        let get = Code::GET;
        let con = Kind::Confirmable;
        let non = Kind::NonConfirmable;
        let ack = Kind::Acknowledgement;
        let hot = b"22.3 C".as_slice();
        let mut request = vec![0x40, 1, 0x7d, 0x34, 0xbb];
        request.extend(b"temperature");
        row(con, get, 0x7d34, &[], path("temperature"), &[], &request);
        row(ack, Code::CONTENT, 0x7d34, &[], vec![], hot, b"\x60\x45\x7d\x34\xff22.3 C");
        let mut request = vec![0x41, 1, 0x7d, 0x35, 0x20, 0xbb];
        request.extend(b"temperature");
        row(con, get, 0x7d35, &[0x20], path("temperature"), &[], &request);
        row(ack, Code::CONTENT, 0x7d35, &[0x20], vec![], hot, b"\x61\x45\x7d\x35\x20\xff22.3 C");
        row(non, get, 0x7d40, &[0x75], path("temperature"), &[], b"\x51\x01\x7d\x40\x75\xbbtemperature");
        row(non, Code::CONTENT, 0xad7c, &[0x75], vec![], hot, b"\x51\x45\xad\x7c\x75\xff22.3 C");
        row(con, Code::CONTENT, 0xad7b, &[0x53], vec![], hot, b"\x41\x45\xad\x7b\x53\xff22.3 C");
        row(con, get, 1, &[], vec![(256, vec![7; 300])], &[], &{
            let mut wire = vec![0x40, 1, 0, 1, 0xde, 243, 0, 31];
            wire.extend([7; 300]);
            wire
        });
        row(con, get, 1, &[9; 8], vec![(MAX_AGE, vec![]), (300, vec![5])], &[], &{
            let mut wire = vec![0x48, 1, 0, 1];
            wire.extend([9; 8]);
            wire.extend([0xd0, 1, 0xe1, 0, 17, 5]);
            wire
        });
    }

    #[test]
    fn what_is_malformed_is_refused_under_its_own_name() {
        use Malformed::*;
        let table: &[(&[u8], Malformed, bool)] = &[
            (b"", TooShort, false),
            (b"\x40\x01\x00", TooShort, false),
            (b"\x00\x01\x00\x01", Version, false),
            (b"\x80\x01\x00\x01", Version, false),
            (b"\xc0\x01\x00\x01", Version, false),
            (b"\x49\x01\x00\x01123456789", TokenLength, true),
            (b"\x4f\x01\x00\x01123456789012345", TokenLength, true),
            (b"\x59\x01\x00\x01123456789", TokenLength, false),
            (b"\x48\x01\x00\x011234567", TokenLength, true),
            (b"\x40\x01\x00\x01\xff", PayloadMarker, true),
            (b"\x50\x01\x00\x01\xff", PayloadMarker, false),
            (b"\x40\x01\x00\x01\xb1\xff\xff", PayloadMarker, true),
            (b"\x40\x00\x00\x01\xffx", EmptyWithContent, true),
            (b"\x41\x00\x00\x01\x01", EmptyWithContent, true),
            (b"\x60\x00\x00\x01\x00", EmptyWithContent, false),
            (b"\x70\x00\x00\x01\x00", EmptyWithContent, false),
            (b"\x40\x20\x00\x01", Code, true),
            (b"\x50\xc0\x00\x01", Code, false),
            (b"\x40\xe1\x00\x01", Code, true),
            (b"\x60\x20\x00\x01", Code, false),
            (b"\x70\x45\x00\x01", Code, false),
            (b"\x70\x01\x00\x01", Code, false),
            // Nibbles of 15, extensions and values that are cut off, numbers that overflow.
            (b"\x40\x01\x00\x01\xf0", Option, true),
            (b"\x40\x01\x00\x01\x0f", Option, true),
            (b"\x40\x01\x00\x01\xd0", Option, true),
            (b"\x40\x01\x00\x01\xe0\x00", Option, true),
            (b"\x40\x01\x00\x01\x1d", Option, true),
            (b"\x40\x01\x00\x01\x1e\x00", Option, true),
            (b"\x40\x01\x00\x01\x12a", Option, true),
            (b"\x40\x01\x00\x01\xe0\xff\xff", Option, true),
            (b"\x40\x01\x00\x01\xe0\xfe\xf2\x10", Option, true),
            (b"\x40\x01\x00\x01\x1e\xff\xff", Option, true),
        ];
        for (bytes, why, reset) in table {
            assert_eq!(refused(bytes), Some((*why, *reset)), "{bytes:02x?}");
        }
    }

    #[test]
    fn an_option_value_that_ends_in_ff_is_no_payload_marker() {
        assert_eq!(refused(b"\x40\x01\x00\x01\xb2a\xff"), None);
        assert_eq!(Message::parse(b"\x40\x01\x00\x01\xb1\xff\xff\xff").unwrap().payload(), b"\xff");
    }

    #[test]
    fn the_highest_option_number_is_65535() {
        let message = Message::parse(b"\x40\x01\x00\x01\xe0\xfe\xf2").unwrap();
        assert_eq!(message.options().next(), Some((65535, b"".as_slice())));
    }

    #[test]
    fn cut_at_any_byte_a_message_is_refused_or_shorter_and_never_a_panic() {
        let whole = Outgoing {
            code: Code::POST,
            token: Token::new(b"12345678").unwrap(),
            options: vec![(URI_PATH, vec![b'a'; 14]), (256, vec![b't'; 300]), (292, vec![])],
            payload: b"payload".to_vec(),
        }
        .encode(Kind::Confirmable, MessageId(77))
        .unwrap();
        let mut shorter = Vec::new();
        for cut in 0..whole.len() {
            if let Ok(message) = Message::parse(&whole[..cut]) {
                shorter.push((message.options().count(), message.payload().len()));
            }
        }
        // After the token, after each option, and within the payload.
        assert_eq!(shorter, [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (3, 6)]);
    }

    #[test]
    fn a_message_above_the_limit_is_not_encoded() {
        let message =
            |size| Outgoing { code: Code::PUT, token: Token::EMPTY, options: vec![], payload: vec![0; size] };
        assert!(message(MAX_MESSAGE - 5).encode(Kind::Confirmable, MessageId(0)).is_some());
        assert!(message(MAX_MESSAGE - 4).encode(Kind::Confirmable, MessageId(0)).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn any_message_survives_the_wire(
            code in prop_oneof![1u8..32, 64u8..192],
            token in proptest::collection::vec(any::<u8>(), 0..=8),
            mut options in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..400)), 0..6),
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            options.sort_by_key(|option| option.0);
            let message = Outgoing {
                code: Code(code), token: Token::new(&token).unwrap(), options: options.clone(), payload: payload.clone(),
            };
            let wire = message.encode(Kind::NonConfirmable, MessageId(9)).unwrap();
            let parsed = Message::parse(&wire).unwrap();
            let found: Vec<_> = parsed.options().map(|(number, value)| (number, value.to_vec())).collect();
            prop_assert_eq!(found, options);
            prop_assert_eq!(parsed.token.as_bytes(), &token[..]);
            prop_assert_eq!(parsed.into_payload(), payload);
        }

        /// Holds the writer against coap-lite's.
        #[test]
        fn both_writers_of_messages_agree(
            kind in 0..4_usize,
            token in proptest::collection::vec(any::<u8>(), 0..=8),
            options in proptest::collection::vec((0..600_u16, 0..600_usize), 0..6),
            payload in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut packet = Packet::new();
            packet.header.set_version(1);
            packet.header.set_type(
                [MessageType::Confirmable, MessageType::NonConfirmable, MessageType::Acknowledgement, MessageType::Reset][kind],
            );
            packet.header.code = Code::CONTENT.0.into();
            packet.header.message_id = 0x1234;
            packet.set_token(token.clone());
            for (number, length) in &options {
                packet.add_option(CoapOption::from(*number), vec![7; *length]);
            }
            packet.payload = payload.clone();
            let message = Outgoing {
                code: Code::CONTENT,
                token: Token::new(&token).unwrap(),
                options: options.into_iter().map(|(number, length)| (number, vec![7; length])).collect(),
                payload,
            };
            let kind = [Kind::Confirmable, Kind::NonConfirmable, Kind::Acknowledgement, Kind::Reset][kind];
            prop_assert_eq!(message.encode(kind, MessageId(0x1234)), packet.to_bytes_with_limit(MAX_MESSAGE).ok());
        }
    }
}
