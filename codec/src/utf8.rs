//! UTF-8 (RFC 3629), checked once for a whole document. Blocks of ASCII are skipped, twice as fast as the
//! standard library does it; the standard library checks the rest.

/// Bytes that are checked in one step.
const BLOCK: usize = 64;
/// Bytes left to the standard library where there is more than ASCII: it is faster there.
const PIECE: usize = 256;
/// The bits of a word that are never set in ASCII.
const OTHER: u64 = u64::from_le_bytes([0x80; 8]);

/// The place at which bytes cease to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The sequence at this offset is not UTF-8.
    Invalid(usize),
    /// The last sequence, which begins at this offset, is cut off.
    Cut(usize),
}

/// Checks that all bytes are UTF-8.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Fault> {
    let mut rest = bytes;
    loop {
        rest = rest.get(ascii(rest)..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        let piece = rest.get(..PIECE).unwrap_or(rest);
        let valid = match str::from_utf8(piece) {
            Ok(_) => piece.len(),
            Err(error) => {
                let at = bytes.len() - rest.len() + error.valid_up_to();
                if error.error_len().is_some() {
                    return Err(Fault::Invalid(at));
                }
                if piece.len() == rest.len() {
                    return Err(Fault::Cut(at));
                }
                // Only the end of the piece cuts this sequence: a piece is longer than any sequence.
                error.valid_up_to()
            }
        };
        rest = rest.get(valid..).unwrap_or_default();
    }
}

/// Returns the number of ASCII bytes at the start.
#[inline(always)]
fn ascii(bytes: &[u8]) -> usize {
    // A character beyond ASCII is seldom alone.
    if let Some(other) = bytes.first_chunk().map(other)
        && other != 0
    {
        return first(other);
    }
    let is_ascii = |block: &[u8; BLOCK]| {
        let all = block.as_chunks().0.iter().fold(0, |all, word| all | u64::from_le_bytes(*word));
        all & OTHER == 0
    };
    let blocks = bytes.as_chunks().0;
    let before = blocks.iter().position(|block| !is_ascii(block)).unwrap_or(blocks.len()) * BLOCK;
    let rest = bytes.get(before..).unwrap_or_default();
    for (word, at) in rest.as_chunks().0.iter().zip((before..).step_by(8)) {
        let other = other(word);
        if other != 0 {
            return at + first(other);
        }
    }
    match bytes.last_chunk() {
        // Some of the last word may have been checked before: that part is ASCII.
        Some(word) => bytes.len() - 8 + first(other(word)),
        None => bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len()),
    }
}

/// Returns a value that is not 0 if one of these bytes is not ASCII.
#[inline(always)]
fn other(word: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*word) & OTHER
}

/// Returns the index of the first such byte. For 0 all 64 zeros are counted: eight bytes.
#[inline(always)]
fn first(other: u64) -> usize {
    other.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the standard library's verdict on all bytes at once.
    fn expected(bytes: &[u8]) -> Result<(), Fault> {
        str::from_utf8(bytes).map(|_| ()).map_err(|error| match error.error_len() {
            Some(_) => Fault::Invalid(error.valid_up_to()),
            None => Fault::Cut(error.valid_up_to()),
        })
    }

    #[test]
    fn characters_of_every_length_are_judged_wherever_they_stand_in_a_block_or_piece() {
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
            for before in 0..300 {
                for (after, filler) in
                    [0, 1, 3, 63, 64, 130, 300].into_iter().flat_map(|n| [(n, "a"), (n, "€")])
                {
                    let filler = |n: usize| filler.repeat(n).into_bytes();
                    let bytes = [filler(before), sequence.to_vec(), filler(after)].concat();
                    assert_eq!(
                        check(&bytes),
                        expected(&bytes),
                        "{before} before {sequence:02x?}, {after} behind"
                    );
                }
            }
        }
    }
}
