//! Numbers out of bytes, in the byte order of the machine that wrote a file.

/// Which byte of a number stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// Returns the number of 16 bits at `at`, or None where the bytes end before it does.
    pub(crate) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let number = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            ByteOrder::Little => u16::from_le_bytes(number),
            ByteOrder::Big => u16::from_be_bytes(number),
        })
    }

    /// Returns the number of 32 bits at `at`, or None where the bytes end before it does.
    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let number = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            ByteOrder::Little => u32::from_le_bytes(number),
            ByteOrder::Big => u32::from_be_bytes(number),
        })
    }

    /// Returns the number of 64 bits with a sign at `at`, or None where the bytes end before it does.
    pub(crate) fn i64(self, bytes: &[u8], at: usize) -> Option<i64> {
        let number = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            ByteOrder::Little => i64::from_le_bytes(number),
            ByteOrder::Big => i64::from_be_bytes(number),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_either_order_and_never_beyond_the_end() {
        let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(ByteOrder::Big.u16(&bytes, 1), Some(0x0102));
        assert_eq!(ByteOrder::Little.u16(&bytes, 7), Some(0x0807));
        assert_eq!(ByteOrder::Big.u32(&bytes, 5), Some(0x0506_0708));
        assert_eq!(ByteOrder::Little.u32(&bytes, 0), Some(0x0302_0100));
        assert_eq!(ByteOrder::Big.i64(&bytes, 1), Some(0x0102_0304_0506_0708));
        assert_eq!(ByteOrder::Little.i64(&[0xff; 8], 0), Some(-1));
        assert_eq!(ByteOrder::Big.u16(&bytes, 8), None);
        assert_eq!(ByteOrder::Big.u32(&bytes, 6), None);
        assert_eq!(ByteOrder::Little.i64(&bytes, 2), None);
        assert_eq!(ByteOrder::Little.u16(&bytes, usize::MAX), None);
    }
}
