//! What messages are matched by: ids and tokens.

/// Matches acknowledgements and resets to messages, and reveals duplicates (RFC 7252 section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u16);

impl MessageId {
    /// Returns the id of the next message; 0 after the highest.
    #[must_use]
    pub fn next(self) -> MessageId {
        MessageId(self.0.wrapping_add(1))
    }
}

/// Matches responses to requests: 0 to 8 bytes (RFC 7252 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    length: u8,
    bytes: [u8; 8],
}

impl Token {
    /// The token of no bytes.
    pub const EMPTY: Token = Token { length: 0, bytes: [0; 8] };

    /// Makes a token from a sequence number, without leading zeros (RFC 9175 section 4.2).
    pub fn from_number(number: u64) -> Token {
        let length = 8 - number.leading_zeros() as usize / 8;
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(number.to_be_bytes().iter().skip(8 - length)) {
            *to = *from;
        }
        Token { length: length as u8, bytes }
    }
    /// Makes a token; None for more than 8 bytes.
    pub fn new(bytes: &[u8]) -> Option<Token> {
        let mut token = Token { length: bytes.len() as u8, bytes: [0; 8] };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }
    /// Returns the bytes as they stand in the message.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_from_numbers_have_no_leading_zeros() {
        for (number, bytes) in
            [(0, b"".as_slice()), (1, b"\x01"), (255, b"\xff"), (256, b"\x01\x00"), (u64::MAX, &[255; 8])]
        {
            assert_eq!(Token::from_number(number).as_bytes(), bytes);
        }
        assert_eq!(Token::new(&[0; 9]), None);
    }
}
