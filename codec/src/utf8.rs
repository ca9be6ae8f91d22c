//! UTF-8 (RFC 3629), checked once for a whole document: what is ASCII at a glance is passed over in blocks.

/// Bytes that are looked at in one step.
const BLOCK: usize = 64;
/// The most bytes that are left to the standard library at once.
const MAX_WINDOW: usize = 4096;

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
    let mut window = BLOCK;
    loop {
        let ascii = ascii(rest);
        rest = rest.get(ascii..).unwrap_or_default();
        // Less than a block is left, and all before it is known: so the last block of all tells.
        if rest.len() < BLOCK && bytes.last_chunk().is_some_and(is_ascii) {
            return Ok(());
        }
        // Where one block is not ASCII, the next ones are likely to be like it.
        window = if ascii == 0 { (2 * window).min(MAX_WINDOW) } else { 2 * BLOCK };
        let block = rest.get(..window).unwrap_or(rest);
        let at = bytes.len() - rest.len();
        rest = match str::from_utf8(block) {
            Ok(_) if block.len() == rest.len() => return Ok(()),
            Ok(_) => rest.get(window..).unwrap_or_default(),
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
    let blocks = bytes.as_chunks().0;
    blocks.iter().position(|block| !is_ascii(block)).unwrap_or(blocks.len()) * BLOCK
}

#[inline(always)]
fn is_ascii(block: &[u8; BLOCK]) -> bool {
    let all = block.as_chunks().0.iter().fold(0, |all, word| all | u64::from_le_bytes(*word));
    all & u64::from_le_bytes([0x80; 8]) == 0
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
                for after in [0, 1, 3, 63, 64, 130] {
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
