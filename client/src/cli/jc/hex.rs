//! Bytes as hexadecimal text, as people copy it out of wire captures.

use std::fmt::{self, Write};

/// Lower case, with a line end.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 1);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
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

/// White space and colons do not matter, nor does a leading `0x`.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, HexError> {
    let start = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let skipped = match text.get(start..) {
        Some([b'0', b'x' | b'X', ..]) => start + 2,
        _ => start,
    };
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (offset, byte) in text.iter().enumerate().skip(skipped) {
        if byte.is_ascii_whitespace() || *byte == b':' {
            continue;
        }
        let digit = digit(*byte).ok_or(HexError::NotADigit { offset })?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push((high << 4) | digit),
        }
    }
    if high.is_some() { Err(HexError::HalfAByte) } else { Ok(bytes) }
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
        assert_eq!(decode(b"").unwrap(), []);
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
            prop_assert_eq!(decode(encode(&bytes).as_bytes()).unwrap(), bytes);
        }
    }
}
