//! Bytes as hexadecimal text, as people copy it out of wire captures.

use std::fmt::{self, Write};

/// Appends bytes as hexadecimal digits in lower case.
pub(crate) fn append(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
}

/// Why a text is not hexadecimal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HexError {
    NotADigit { offset: usize },
    HalfAByte,
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HexError::NotADigit { offset } => write!(f, "no hexadecimal digit at byte {offset}"),
            HexError::HalfAByte => f.write_str("an odd number of digits"),
        }
    }
}

/// Reads hexadecimal text. White space, colons and a leading `0x` do not matter.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, HexError> {
    let (mut reader, mut bytes) = (HexReader::default(), Vec::with_capacity(text.len() / 2));
    reader.push(text, &mut bytes)?;
    reader.finish()?;
    Ok(bytes)
}

/// Reads hexadecimal text in pieces.
#[derive(Debug, Default)]
pub(crate) struct HexReader {
    offset: usize,
    /// The first digit of a byte whose second has not come.
    high: Option<u8>,
    /// Set once a character other than white space has come; holds the offset if that was a zero.
    started: Option<Option<usize>>,
}

impl HexReader {
    pub(crate) fn push(&mut self, text: &[u8], bytes: &mut Vec<u8>) -> Result<(), HexError> {
        for byte in text {
            let offset = self.offset;
            self.offset += 1;
            if byte.is_ascii_whitespace() || *byte == b':' {
                continue;
            }
            let first = *self.started.get_or_insert((*byte == b'0').then_some(offset));
            if matches!(byte, b'x' | b'X') && first.is_some_and(|zero| zero + 1 == offset) {
                self.high = None;
                continue;
            }
            let digit = digit(*byte).ok_or(HexError::NotADigit { offset })?;
            match self.high.take() {
                None => self.high = Some(digit),
                Some(high) => bytes.push((high << 4) | digit),
            }
        }
        Ok(())
    }

    pub(crate) fn finish(&self) -> Result<(), HexError> {
        if self.high.is_some() { Err(HexError::HalfAByte) } else { Ok(()) }
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_of_wire_captures_is_read() {
        for text in ["a0ff", "A0 FF\n", "0xa0ff", " 0Xa0:ff", "a0\n  ff"] {
            assert_eq!(decode(text.as_bytes()).unwrap(), [0xa0, 0xff], "{text:?}");
        }
        assert!(decode(b"").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_hexadecimal_is_refused_with_its_place() {
        assert_eq!(decode(b"a0 xy"), Err(HexError::NotADigit { offset: 3 }));
        assert_eq!(decode(b"a00x01"), Err(HexError::NotADigit { offset: 3 }));
        assert_eq!(decode(b"a0f"), Err(HexError::HalfAByte));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bytes: Vec<u8>) {
            let mut text = String::new();
            append(&bytes, &mut text);
            prop_assert_eq!(decode(text.as_bytes()).unwrap(), bytes);
        }

        #[test]
        fn pieces_are_read_as_the_whole(text in "[ \n:]{0,2}(0[xX])?[0-9a-fA-Fx: ]{0,20}", size in 1..8_usize) {
            let (mut reader, mut bytes) = (HexReader::default(), Vec::new());
            let read = text.as_bytes().chunks(size).try_for_each(|piece| reader.push(piece, &mut bytes));
            prop_assert_eq!(read.and_then(|()| reader.finish()).map(|()| bytes), decode(text.as_bytes()));
        }
    }
}
