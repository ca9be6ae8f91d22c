//! A character of UTF-8 that is cut by the end of a piece.

use crate::{Error, ErrorKind};

/// The first bytes of the character; empty if none was cut.
#[derive(Clone, Debug, Default)]
pub(super) struct CutCharacter {
    bytes: [u8; 4],
    len: usize,
}

impl CutCharacter {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Keeps the last one to three bytes of a piece.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.len = 0;
        for (to, from) in self.bytes.iter_mut().zip(bytes) {
            *to = *from;
            self.len += 1;
        }
    }

    /// Adds a byte and returns the character if it is now complete. The error's offset counts from the
    /// character's first byte.
    pub(super) fn push(&mut self, byte: u8) -> Result<Option<char>, Error> {
        if let Some(free) = self.bytes.get_mut(self.len) {
            *free = byte;
            self.len += 1;
        }
        match str::from_utf8(self.bytes.get(..self.len).unwrap_or_default()) {
            Ok(text) => {
                self.len = 0;
                Ok(text.chars().next())
            }
            Err(error) if error.error_len().is_none() => Ok(None),
            Err(_) => Err(Error::new(ErrorKind::InvalidUtf8, 0)),
        }
    }
}

/// Returns the length of the first character of a text; zero for an empty text.
pub(super) fn first_len(text: &[u8]) -> usize {
    let continues = |byte: &&u8| (0x80..0xc0).contains(*byte);
    text.len().min(1) + text.iter().skip(1).take_while(continues).count()
}

/// Returns the length of the longest prefix that ends between two characters and is at most `max_len` long.
pub(super) fn floor(text: &[u8], max_len: usize) -> usize {
    let continues = |len: &usize| text.get(*len).is_some_and(|byte| (0x80..0xc0).contains(byte));
    (0..=max_len.min(text.len())).rev().find(|len| !continues(len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_whole_with_its_last_byte_and_invalid_with_the_first_wrong_one() {
        for character in ['é', '…', '𝄞'] {
            let bytes = character.to_string().into_bytes();
            for kept in 1..bytes.len() {
                let mut cut = CutCharacter::default();
                cut.keep(&bytes[..kept]);
                for byte in &bytes[kept..bytes.len() - 1] {
                    assert_eq!(cut.push(*byte), Ok(None));
                }
                let mut wrong = cut.clone();
                assert_eq!(cut.push(bytes[bytes.len() - 1]), Ok(Some(character)));
                assert_eq!(cut.len(), 0);
                assert_eq!(wrong.push(b'a'), Err(Error::new(ErrorKind::InvalidUtf8, 0)));
            }
        }
    }

    #[test]
    fn the_floor_lies_between_two_characters() {
        let text = "aé𝄞".as_bytes();
        let floors: Vec<usize> = (0..=8).map(|len| floor(text, len)).collect();
        assert_eq!(floors, [0, 1, 1, 3, 3, 3, 3, 7, 7]);
        let firsts: Vec<usize> = [0, 1, 3, 7].iter().map(|at| first_len(&text[*at..])).collect();
        assert_eq!(firsts, [1, 2, 4, 0]);
    }
}
