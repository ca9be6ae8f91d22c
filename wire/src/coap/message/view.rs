//! One CoAP message (RFC 7252 section 3), read where it stands: nothing is copied.

use super::{Kind, Malformed, MessageId, Token};
use crate::coap::Code;

/// A received message that is well-formed, within the bytes that hold it: [`Kind`] and code fit each other.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Type of the message.
    pub kind: Kind,
    /// Method, response code or [`Code::EMPTY`].
    pub code: Code,
    /// Id of the message, or of the one that it acknowledges or resets.
    pub id: MessageId,
    /// Token of the request; of an Empty message [`Token::EMPTY`].
    pub token: Token,
    pub(super) options: &'a [u8],
    /// The payload; empty for none.
    pub payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Reads one message, which is all of `bytes`, or says what is wrong with its form.
    pub fn parse(bytes: &'a [u8]) -> Result<View<'a>, Malformed> {
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
        // go-coap puts requests into acknowledgements, against RFC 7252 section 4.2.
        let carries = code.is_request() || code.is_response();
        if code != Code::EMPTY && (!carries || kind == Kind::Reset) {
            return Err(Malformed::Code);
        }
        let length = usize::from(first & 0xf);
        let (token, after) =
            rest.split_at_checked(length).filter(|_| length <= 8).ok_or(Malformed::TokenLength)?;
        let token = Token::new(token).ok_or(Malformed::TokenLength)?;
        let mut options = Options::of(after);
        while options.step()?.is_some() {}
        let (options, payload) = match options.rest {
            [] => (after, &[][..]),
            [_] => return Err(Malformed::PayloadMarker),
            [_, payload @ ..] => (after.get(..after.len() - payload.len() - 1).unwrap_or_default(), payload),
        };
        Ok(View { kind, code, id: MessageId(u16::from_be_bytes([high, low])), token, options, payload })
    }

    /// Returns numbers and values in the order of the message, which is that of the numbers.
    #[inline]
    pub fn options(&self) -> Options<'a> {
        Options::of(self.options)
    }
}

/// Iterates over the options of a message (RFC 7252 section 3.1).
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// At the end: empty, or the payload marker with what follows it.
    rest: &'a [u8],
    number: u16,
}

impl<'a> Options<'a> {
    /// `options` begin behind the token; they have been read to their end once.
    #[inline]
    pub(super) fn of(options: &'a [u8]) -> Options<'a> {
        Options { rest: options, number: 0 }
    }

    #[inline]
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

    #[inline]
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
    use coap_lite::Packet;
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

    /// Holds the reader against coap-lite's, which also takes versions 0 and 3, a payload marker without
    /// payload, codes that mean nothing and Empty messages that are not empty.
    fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
        match (View::parse(bytes), Packet::from_bytes(bytes)) {
            (Ok(own), Ok(other)) => {
                prop_assert_eq!(
                    (own.code.0, own.id.0),
                    (u8::from(other.header.code), other.header.message_id)
                );
                prop_assert_eq!(own.token.as_bytes(), other.get_token());
                prop_assert_eq!(own.payload, &*other.payload);
                let values =
                    other.options().flat_map(|(number, values)| values.iter().map(|v| (*number, &**v)));
                prop_assert!(own.options().eq(values));
            }
            (Ok(_), Err(error)) => prop_assert!(false, "{error:?}"),
            (Err(Malformed::TooShort | Malformed::TokenLength | Malformed::Option), other) => {
                prop_assert!(other.is_err(), "{other:?}");
            }
            (Err(_), _) => {}
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
}
