//! Unsigned integers as values of options (RFC 7252 section 3.2).

/// Writes an unsigned integer in its shortest form (RFC 7252 section 3.2); zero has no bytes.
pub fn uint(value: u32) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip(value.leading_zeros() as usize / 8).collect()
}

/// Reads an unsigned integer, also with leading zeros; None above four bytes.
#[inline]
pub fn from_uint(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_integers_have_no_leading_zeros() {
        for (value, wire) in [(0, b"".as_slice()), (1, b"\x01"), (256, b"\x01\x00"), (u32::MAX, &[255; 4])] {
            assert_eq!(uint(value), wire);
            assert_eq!(from_uint(wire), Some(value));
        }
        assert_eq!(from_uint(&[0; 5]), None);
    }
}
