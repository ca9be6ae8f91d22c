//! Bytes that need no thought in a JSON string: no quote, no backslash, no control character (RFC 8259 section 7). Both
//! directions spend most of their time on runs of them: the end of a run is looked for 16 bytes at a time, and short runs
//! are copied in whole pieces of which the surplus is cut off again, for less than a call of `memcpy` costs.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2;

/// Bytes that are looked at in one step.
pub(crate) const STEP: usize = 16;

/// How many bytes from the start are plain.
pub(crate) fn len(bytes: &[u8]) -> usize {
    let (steps, tail) = bytes.as_chunks::<STEP>();
    let mut at = 0;
    for step in steps {
        let plain = first_special(step);
        at += plain;
        if plain < STEP {
            return at;
        }
    }
    at + tail.iter().position(|b| matches!(b, 0..0x20 | b'"' | b'\\')).unwrap_or(tail.len())
}

/// How many bytes from the start are seen to be ASCII: all of them, or fewer than there are.
pub(crate) fn ascii(bytes: &[u8]) -> usize {
    const STEP: usize = 64;
    let (steps, tail) = bytes.as_chunks::<STEP>();
    let is_ascii = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte) < 0x80;
    match steps.iter().position(|step| !is_ascii(step)) {
        Some(steps) => steps * STEP,
        None if is_ascii(tail) => bytes.len(),
        None => bytes.len() - tail.len(),
    }
}

/// Appends the first `len` bytes of a piece, which is copied whole.
#[inline(always)]
pub(crate) fn append<const N: usize>(out: &mut Vec<u8>, piece: &[u8; N], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(piece);
    out.truncate(end);
}

/// The two halves of a step as numbers, the first byte lowest.
#[inline(always)]
pub(crate) fn halves(step: &[u8; STEP]) -> [u64; 2] {
    match step.as_chunks::<8>().0 {
        [low, high] => [u64::from_le_bytes(*low), u64::from_le_bytes(*high)],
        _ => [0; 2],
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub(crate) use sse2::first_special;

/// How many of these bytes stand before the first special one; [`STEP`] if there is none. The loop has no branch: of it a
/// compiler makes a few vector instructions where the machine has them.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
#[inline(always)]
pub(crate) fn first_special(step: &[u8; STEP]) -> usize {
    let mut special = [0; STEP];
    for (special, byte) in special.iter_mut().zip(step) {
        *special = if (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\') { 0xff } else { 0 };
    }
    // Of no hit all 128 zeros are counted: sixteen bytes.
    u128::from_le_bytes(special).trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_at_every_place_among_all_other_bytes() {
        let harmless: Vec<u8> = (0x20..=0xff).filter(|b| !matches!(b, b'"' | b'\\')).collect();
        assert_eq!(len(&harmless), harmless.len());
        for special in (0..0x20).chain([b'"', b'\\']) {
            for place in 0..40 {
                let mut bytes: Vec<u8> = harmless.iter().copied().cycle().skip(place * 7).take(40).collect();
                bytes[place] = special;
                assert_eq!(len(&bytes), place, "{special:#04x}");
            }
        }
    }

    #[test]
    fn ascii_ends_before_the_first_other_byte_wherever_it_stands() {
        for length in [0, 1, 63, 64, 65, 200] {
            let mut bytes = vec![0x7f; length];
            assert_eq!(ascii(&bytes), length);
            for place in 0..length {
                bytes[place] = 0x80;
                assert!(ascii(&bytes) <= place, "{place} of {length}");
                bytes[place] = 0x7f;
            }
        }
    }
}
