//! UTF-8 (RFC 3629), checked once for a whole document: what is ASCII at a glance is passed over in blocks.

const BLOCK: usize = 64;

/// Where bytes cease to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A sequence that begins at this offset is none.
    Invalid(usize),
    /// The last sequence, which begins at this offset, is cut off.
    Cut(usize),
}

/// Checks all bytes.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Fault> {
    let mut rest = bytes;
    loop {
        rest = rest.get(ascii(rest)..).unwrap_or_default();
        let at = bytes.len() - rest.len();
        // A block with something else in it, or the end.
        let block = rest.get(..BLOCK).unwrap_or(rest);
        rest = match str::from_utf8(block) {
            Ok(_) if block.len() == rest.len() => return Ok(()),
            Ok(_) => rest.get(BLOCK..).unwrap_or_default(),
            Err(error) if error.error_len().is_some() => {
                return Err(Fault::Invalid(at + error.valid_up_to()));
            }
            Err(error) if block.len() == rest.len() => return Err(Fault::Cut(at + error.valid_up_to())),
            // The block ends inside a character, with which the next one begins.
            Err(error) => rest.get(error.valid_up_to()..).unwrap_or_default(),
        };
    }
}

/// How many bytes from the start are ASCII, in whole blocks.
fn ascii(bytes: &[u8]) -> usize {
    let is_ascii = |block: &[u8; BLOCK]| {
        let all = block.as_chunks().0.iter().fold(0, |all, word| all | u64::from_le_bytes(*word));
        all & u64::from_le_bytes([0x80; 8]) == 0
    };
    let blocks = bytes.as_chunks().0;
    blocks.iter().position(|block| !is_ascii(block)).unwrap_or(blocks.len()) * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the standard library says of all bytes at once.
    fn expected(bytes: &[u8]) -> Result<(), Fault> {
        str::from_utf8(bytes).map(|_| ()).map_err(|error| match error.error_len() {
            Some(_) => Fault::Invalid(error.valid_up_to()),
            None => Fault::Cut(error.valid_up_to()),
        })
    }

    #[test]
    fn characters_of_every_length_are_judged_wherever_they_stand_in_a_block() {
        let sequences: [&[u8]; 10] = [
            "é".as_bytes(),
            "€".as_bytes(),
            "𝄞".as_bytes(),
            b"\x80",
            b"\xc0\xaf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xc3",
            b"\xe2\x82",
            b"\xf0\x9d\x84",
        ];
        for sequence in sequences {
            for before in 0..150 {
                for after in [0, 1, 3, 64, 130] {
                    let bytes = [vec![b'a'; before], sequence.to_vec(), vec![b'b'; after]].concat();
                    assert_eq!(check(&bytes), expected(&bytes), "{before} bytes, {sequence:02x?}, {after}");
                    let bytes =
                        ["é".repeat(before).into_bytes(), sequence.to_vec(), vec![b'b'; after]].concat();
                    assert_eq!(check(&bytes), expected(&bytes), "{before} times é, {sequence:02x?}, {after}");
                }
            }
        }
    }
}
