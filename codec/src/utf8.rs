//! UTF-8 (RFC 3629), checked once for a whole document: what is ASCII at a glance is passed over in blocks.

/// Bytes that are looked at in one step.
const BLOCK: usize = 64;
/// In a word, the bits that no ASCII character has.
const OTHER: u64 = u64::from_le_bytes([0x80; 8]);

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
        while let Some(0x80..) = rest.first() {
            let len = sequence(rest);
            if len == 0 {
                return Err(fault(rest, bytes.len() - rest.len()));
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        if rest.is_empty() {
            return Ok(());
        }
    }
}

/// How many bytes from the start are ASCII.
#[inline(always)]
fn ascii(bytes: &[u8]) -> usize {
    // Where there has been something else, it is seldom alone.
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
        // Some of the last word may have been looked at before: it is ASCII.
        Some(word) => bytes.len() - 8 + first(other(word)),
        None => bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len()),
    }
}

/// Not 0 if one of these bytes is no ASCII.
#[inline(always)]
fn other(word: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*word) & OTHER
}

/// Of which the first; of 0 all 64 zeros are counted, eight bytes.
#[inline(always)]
fn first(other: u64) -> usize {
    other.trailing_zeros() as usize / 8
}

/// The length of the sequence here of more than one byte (RFC 3629 section 4); 0 if it is none.
#[inline(always)]
fn sequence(bytes: &[u8]) -> usize {
    const TAIL: std::ops::RangeInclusive<u8> = 0x80..=0xbf;
    match bytes {
        [0xc2..=0xdf, a, ..] if TAIL.contains(a) => 2,
        [lead @ 0xe0..=0xef, a, b, ..] if TAIL.contains(b) => match (lead, a) {
            (0xe0, 0xa0..=0xbf) | (0xed, 0x80..=0x9f) => 3,
            (0xe1..=0xec | 0xee.., 0x80..=0xbf) => 3,
            _ => 0,
        },
        [lead @ 0xf0..=0xf4, a, b, c, ..] if TAIL.contains(b) && TAIL.contains(c) => match (lead, a) {
            (0xf0, 0x90..=0xbf) | (0xf1..=0xf3, 0x80..=0xbf) | (0xf4, 0x80..=0x8f) => 4,
            _ => 0,
        },
        _ => 0,
    }
}

/// What is wrong with the sequence here, which begins at this offset.
#[cold]
fn fault(bytes: &[u8], at: usize) -> Fault {
    // Four bytes hold every sequence as a whole.
    match str::from_utf8(bytes.get(..4).unwrap_or(bytes)) {
        Err(error) if error.error_len().is_none() => Fault::Cut(at),
        _ => Fault::Invalid(at),
    }
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
    fn every_start_of_four_bytes_is_judged_as_by_the_standard_library() {
        // Each byte at which a range begins or ends, and those beside it.
        let edges = [
            0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
            0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        for first in edges {
            for second in edges {
                for third in edges {
                    for fourth in edges {
                        let bytes = [first, second, third, fourth];
                        for len in 1..=4 {
                            assert_eq!(
                                check(&bytes[..len]),
                                expected(&bytes[..len]),
                                "{:02x?}",
                                &bytes[..len]
                            );
                        }
                    }
                }
            }
        }
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
