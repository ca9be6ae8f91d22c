//! One CoAP message (RFC 7252 section 3), read where it stands: nothing is copied.
//!
//! A capture has millions of messages, and most are read for their options alone: this costs a twentieth of
//! [`lowband_wire::coap::message::Message`], which owns its options. A test holds the two against each other.

use lowband_wire::coap::Code;
use lowband_wire::coap::message::{Kind, Malformed};

/// Up to eight bytes, as a token (RFC 7252 section 5.3.1) or an ETag has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Short {
    length: u8,
    bytes: [u8; 8],
}

impl Short {
    /// Makes one; None for more than eight bytes.
    pub(crate) fn new(bytes: &[u8]) -> Option<Short> {
        let mut short = Short { length: bytes.len() as u8, bytes: [0; 8] };
        short.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(short)
    }
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// A message that is well-formed: kind and code fit each other, and the options end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: Kind,
    pub(crate) code: Code,
    pub(crate) id: u16,
    pub(crate) token: Short,
    options: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message, by the rules of [`lowband_wire::coap::message::Message::parse`].
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let &[first, code, high, low, ref rest @ ..] = bytes else { return Err(Malformed::TooShort) };
        if first >> 6 != 1 {
            return Err(Malformed::Version);
        }
        let kind = match first >> 4 & 3 {
            0 => Kind::Confirmable,
            1 => Kind::NonConfirmable,
            2 => Kind::Acknowledgement,
            _ => Kind::Reset,
        };
        let code = Code(code);
        if code == Code::EMPTY && !rest.is_empty() {
            return Err(Malformed::EmptyWithContent);
        }
        let carries = code.is_request() || code.is_response();
        if code != Code::EMPTY && (!carries || kind == Kind::Reset) {
            return Err(Malformed::Code);
        }
        let length = usize::from(first & 0xf);
        let (token, after) =
            rest.split_at_checked(length).filter(|_| length <= 8).ok_or(Malformed::TokenLength)?;
        let token = Short::new(token).ok_or(Malformed::TokenLength)?;
        let mut options = Options { rest: after, number: 0 };
        while options.step()?.is_some() {}
        let (options, payload) = match options.rest {
            [] => (after, &[][..]),
            [_] => return Err(Malformed::PayloadMarker),
            [_, payload @ ..] => (after.get(..after.len() - payload.len() - 1).unwrap_or_default(), payload),
        };
        Ok(Message { kind, code, id: u16::from_be_bytes([high, low]), token, options, payload })
    }

    /// Returns numbers and values in the order of the message, which is that of the numbers.
    pub(crate) fn options(&self) -> Options<'a> {
        Options { rest: self.options, number: 0 }
    }
}

/// Iterates over the options of a message (RFC 7252 section 3.1).
#[derive(Clone, Debug)]
pub(crate) struct Options<'a> {
    /// At the end: empty, or the payload marker with what follows it.
    rest: &'a [u8],
    number: u16,
}

impl<'a> Options<'a> {
    fn step(&mut self) -> Result<Option<(u16, &'a [u8])>, Malformed> {
        const MARKER: u8 = 0xff;
        let (head, rest) = match self.rest {
            [] | [MARKER, ..] => return Ok(None),
            [head, rest @ ..] => (*head, rest),
        };
        let (delta, rest) = extended(head >> 4, rest).ok_or(Malformed::Option)?;
        let (length, rest) = extended(head & 0xf, rest).ok_or(Malformed::Option)?;
        let number = u32::from(self.number) + delta;
        self.number = u16::try_from(number).map_err(|_| Malformed::Option)?;
        let (value, rest) = rest.split_at_checked(length as usize).ok_or(Malformed::Option)?;
        self.rest = rest;
        Ok(Some((self.number, value)))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        // The message was read to its end before, so there is no error.
        self.step().ok().flatten()
    }
}

/// Reads the number of a nibble with its extension.
fn extended(nibble: u8, rest: &[u8]) -> Option<(u32, &[u8])> {
    match (nibble, rest) {
        (0..13, _) => Some((nibble.into(), rest)),
        (13, [byte, rest @ ..]) => Some((u32::from(*byte) + 13, rest)),
        (14, [high, low, rest @ ..]) => Some((u32::from(u16::from_be_bytes([*high, *low])) + 269, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::message as wire;
    use proptest::prelude::*;

    /// Bytes that are a message often enough: random ones are refused by their first.
    fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
        let head = (0x40u8..0x80, any::<u8>(), any::<u16>());
        let code = prop_oneof![Just(0u8), 1u8..5, 0x40u8..0xa5, any::<u8>()];
        let token = proptest::collection::vec(any::<u8>(), 0..9);
        let option = (0u8..16, 0u8..16, proptest::collection::vec(any::<u8>(), 0..16));
        let end = proptest::collection::vec(any::<u8>(), 0..4);
        (head, code, token, proptest::collection::vec(option, 0..4), end).prop_map(
            |((first, _, id), code, token, options, end)| {
                let mut bytes = vec![first & 0xf0 | token.len() as u8, code];
                bytes.extend(id.to_be_bytes());
                bytes.extend(token);
                for (delta, length, value) in options {
                    bytes.push(delta << 4 | length);
                    bytes.extend(value);
                }
                bytes.extend(end);
                bytes
            },
        )
    }

    fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
        match (Message::parse(bytes), wire::Message::parse(bytes)) {
            (Err(own), Err(other)) => prop_assert_eq!(own, other.why),
            (Ok(own), Ok(other)) => {
                prop_assert_eq!((own.kind, own.code, own.id), (other.kind, other.code, other.id.0));
                prop_assert_eq!(own.token.as_bytes(), other.token.as_bytes());
                prop_assert_eq!(own.payload, other.payload());
                prop_assert!(own.options().eq(other.options()));
            }
            (own, other) => prop_assert!(false, "{own:?} {other:?}"),
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn both_readers_of_messages_agree(bytes in nearly_a_message(), cut in 0usize..64) {
            agree(&bytes)?;
            agree(&bytes[..cut.min(bytes.len())])?;
        }

        #[test]
        fn both_readers_agree_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            agree(&bytes)?;
        }
    }

    #[test]
    fn more_than_eight_bytes_are_not_short() {
        assert_eq!(Short::new(&[1; 9]), None);
        assert_eq!(Short::new(&[1; 8]).unwrap().as_bytes(), [1; 8]);
    }
}
