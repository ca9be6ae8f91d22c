//! Bytes as base64 (RFC 4648), in both alphabets, as people copy it out of logs and test vectors.

use std::fmt;

/// The characters of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// With `+` and `/`, and padding (RFC 4648 section 4).
    Standard,
    /// With `-` and `_`, without padding (RFC 4648 section 5).
    UrlSafe,
}

/// Appends bytes as base64.
pub(crate) fn append(bytes: &[u8], alphabet: Alphabet, text: &mut String) {
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3_usize.saturating_sub(three.len())));
        for place in 0..4_usize {
            if place <= three.len() {
                text.push(character((bits >> (18_usize.saturating_sub(6 * place)) & 63) as u8, alphabet));
            } else if alphabet == Alphabet::Standard {
                text.push('=');
            }
        }
    }
}

fn character(value: u8, alphabet: Alphabet) -> char {
    let character = match (value, alphabet) {
        (0..26, _) => b'A' + value,
        (26..52, _) => b'a' + (value - 26),
        (52..62, _) => b'0' + (value - 52),
        (62, Alphabet::Standard) => b'+',
        (62, Alphabet::UrlSafe) => b'-',
        (_, Alphabet::Standard) => b'/',
        (_, Alphabet::UrlSafe) => b'_',
    };
    char::from(character)
}

/// Why a text is not base64.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Base64Error {
    NotACharacter {
        offset: usize,
    },
    /// A text, or a line of it, that ends in the middle of a byte, or with bits that belong to none.
    Cut {
        offset: usize,
    },
}

impl fmt::Display for Base64Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Base64Error::NotACharacter { offset } => write!(f, "no character of base64 at byte {offset}"),
            Base64Error::Cut { offset } => write!(f, "it is cut at byte {offset}"),
        }
    }
}

/// Reads base64 text in either alphabet, with padding or without. White space does not matter, but that a
/// line may be a text of its own: what is not a multiple of four characters ends with it.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, Base64Error> {
    let (mut reader, mut bytes) = (Base64Reader::default(), Vec::with_capacity(text.len() / 4 * 3));
    reader.push(text, &mut bytes)?;
    reader.finish()?;
    Ok(bytes)
}

/// Reads base64 text in pieces.
#[derive(Debug, Default)]
pub(crate) struct Base64Reader {
    offset: usize,
    /// Bits that have not made a byte yet, and the characters of the group of four.
    bits: u32,
    characters: u8,
    padding: u8,
}

impl Base64Reader {
    pub(crate) fn push(&mut self, text: &[u8], bytes: &mut Vec<u8>) -> Result<(), Base64Error> {
        for &byte in text {
            let offset = self.offset;
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'=' if self.characters + self.padding < 4 && self.characters > 1 => {
                    self.offset += 1;
                    self.padding += 1;
                    if self.characters + self.padding == 4 {
                        self.finish()?;
                    }
                    continue;
                }
                b'\n' => {
                    self.finish()?;
                    self.offset += 1;
                    continue;
                }
                _ if byte.is_ascii_whitespace() => {
                    self.offset += 1;
                    continue;
                }
                _ => return Err(Base64Error::NotACharacter { offset }),
            };
            if self.padding > 0 {
                return Err(Base64Error::NotACharacter { offset });
            }
            self.offset += 1;
            self.bits = self.bits << 6 | u32::from(value);
            self.characters += 1;
            // The first character of four completes no byte, each other one does.
            let left = match self.characters {
                1 => continue,
                2 => 4,
                3 => 2,
                _ => 0,
            };
            bytes.push((self.bits >> left) as u8);
            self.bits &= (1 << left) - 1;
            self.characters %= 4;
        }
        Ok(())
    }

    /// Ends a text; the next one may follow.
    pub(crate) fn finish(&mut self) -> Result<(), Base64Error> {
        let padded = match (self.characters, self.padding) {
            (1, _) => false,
            (_, 0) => true,
            (characters, padding) => characters + padding == 4,
        };
        let whole = padded && self.bits == 0;
        (self.bits, self.characters, self.padding) = (0, 0, 0);
        if whole { Ok(()) } else { Err(Base64Error::Cut { offset: self.offset }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The test vectors of RFC 4648 section 10.
    const VECTORS: [(&str, &str); 7] = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];

    fn encode(bytes: &[u8], alphabet: Alphabet) -> String {
        let mut text = String::new();
        append(bytes, alphabet, &mut text);
        text
    }

    #[test]
    fn the_vectors_of_the_rfc_are_written_and_read() {
        for (bytes, text) in VECTORS {
            assert_eq!(encode(bytes.as_bytes(), Alphabet::Standard), text);
            assert_eq!(encode(bytes.as_bytes(), Alphabet::UrlSafe), text.trim_end_matches('='));
            assert_eq!(decode(text.as_bytes()).unwrap(), bytes.as_bytes());
            assert_eq!(decode(text.trim_end_matches('=').as_bytes()).unwrap(), bytes.as_bytes());
        }
        assert_eq!(encode(b"\xfb\xff", Alphabet::Standard), "+/8=");
        assert_eq!(encode(b"\xfb\xff", Alphabet::UrlSafe), "-_8");
    }

    #[test]
    fn each_line_may_be_a_text_of_its_own_and_a_text_of_several_lines() {
        assert_eq!(decode(b"Zg==\nZm8\r\nZm9v\n").unwrap(), b"ffofoo");
        assert_eq!(decode(b"Zm9v\nYmFy").unwrap(), b"foobar");
        assert_eq!(decode(b"Zg==Zg==").unwrap(), b"ff");
    }

    #[test]
    fn what_is_not_base64_is_refused_with_its_place() {
        for (text, error) in [
            ("Zm9v?", Base64Error::NotACharacter { offset: 4 }),
            ("=", Base64Error::NotACharacter { offset: 0 }),
            ("Z=", Base64Error::NotACharacter { offset: 1 }),
            ("Zg=v", Base64Error::NotACharacter { offset: 3 }),
            ("Zg===", Base64Error::NotACharacter { offset: 4 }),
            ("Zm9vZ", Base64Error::Cut { offset: 5 }),
            ("Zg=", Base64Error::Cut { offset: 3 }),
            ("Zh", Base64Error::Cut { offset: 2 }),
        ] {
            assert_eq!(decode(text.as_bytes()), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bytes: Vec<u8>, size in 1..9_usize) {
            for alphabet in [Alphabet::Standard, Alphabet::UrlSafe] {
                let text = encode(&bytes, alphabet);
                prop_assert_eq!(decode(text.as_bytes()).unwrap(), &bytes[..]);
                let (mut reader, mut read) = (Base64Reader::default(), Vec::new());
                text.as_bytes().chunks(size).try_for_each(|piece| reader.push(piece, &mut read)).unwrap();
                reader.finish().unwrap();
                prop_assert_eq!(&read, &bytes);
            }
        }
    }
}
