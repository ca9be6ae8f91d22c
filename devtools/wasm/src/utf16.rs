//! Places in a text: in bytes as Rust counts, in UTF-16 units as JavaScript does.

/// Bytes between two places that are known beforehand.
const STEP: usize = 64;

/// A text's places, in constant time each.
#[derive(Debug)]
pub(crate) struct Places {
    /// The UTF-16 units before each [`STEP`]th byte; empty if all bytes are ASCII.
    units: Vec<u32>,
}

impl Places {
    pub(crate) fn of(text: &str) -> Places {
        if text.is_ascii() {
            return Places { units: Vec::new() };
        }
        let mut before = 0;
        let units = text.as_bytes().chunks(STEP).map(|chunk| {
            let here = before;
            before += units(chunk) as u32;
            here
        });
        Places { units: units.collect() }
    }

    /// Returns the UTF-16 units before a byte.
    pub(crate) fn to_utf16(&self, text: &str, byte: usize) -> usize {
        let byte = byte.min(text.len());
        let step = byte / STEP;
        match self.units.get(step).or(self.units.last()) {
            None => byte,
            Some(before) => {
                let step = step.min(self.units.len() - 1);
                *before as usize + units(text.as_bytes().get(step * STEP..byte).unwrap_or_default())
            }
        }
    }

    /// Returns the first byte of the character that a UTF-16 unit belongs to.
    pub(crate) fn to_byte(&self, text: &str, utf16: usize) -> usize {
        if self.units.is_empty() {
            return utf16.min(text.len());
        }
        let step = self.units.partition_point(|before| *before as usize <= utf16).saturating_sub(1);
        let mut before = self.units.get(step).copied().unwrap_or_default() as usize;
        let mut at = step * STEP;
        for byte in text.as_bytes().get(at..).unwrap_or_default() {
            before += units(std::slice::from_ref(byte));
            if before > utf16 {
                return at;
            }
            at += 1;
        }
        at
    }
}

/// Returns the UTF-16 units of the characters that begin in these bytes of UTF-8.
fn units(bytes: &[u8]) -> usize {
    let of_byte = |byte: &u8| match byte {
        0x80..0xc0 => 0,
        0xf0.. => 2,
        _ => 1,
    };
    bytes.iter().map(of_byte).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_are_those_of_the_standard_library() {
        for text in ["", "abc", &"aé€😀".repeat(40), &"x".repeat(64), &format!("{}é", "x".repeat(63))] {
            let places = Places::of(text);
            for (byte, character) in text.char_indices() {
                let utf16 = text[..byte].encode_utf16().count();
                assert_eq!(places.to_utf16(text, byte), utf16, "{text}");
                assert_eq!(places.to_byte(text, utf16), byte, "{text}");
                assert_eq!(places.to_byte(text, utf16 + character.len_utf16() - 1), byte, "{text}");
            }
            let end = text.encode_utf16().count();
            assert_eq!((places.to_utf16(text, text.len()), places.to_byte(text, end)), (end, text.len()));
            assert_eq!((places.to_utf16(text, usize::MAX), places.to_byte(text, end + 9)), (end, text.len()));
        }
    }
}
