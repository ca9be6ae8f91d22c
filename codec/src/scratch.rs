//! Buffers that are kept from call to call, so that a call allocates nothing in the steady state.
//!
//! Memory that one huge document needed is given back at the next call: an encoder may live as long as its
//! process.

/// Entries that a buffer keeps: 160 kB of the largest kind.
const KEPT_ENTRIES: usize = 4096;

/// Bytes that a buffer keeps.
const KEPT_BYTES: usize = 1 << 20;

pub(crate) fn clear<T>(entries: &mut Vec<T>) {
    entries.clear();
    entries.shrink_to(KEPT_ENTRIES);
}

pub(crate) fn clear_bytes(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.shrink_to(KEPT_BYTES);
}

pub(crate) fn clear_text(text: &mut String) {
    text.clear();
    text.shrink_to(KEPT_BYTES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_buffers_are_kept_and_huge_ones_given_back() {
        let (mut entries, mut bytes, mut text) = (vec![0_u64; 100], vec![0; 1000], "a".repeat(1000));
        clear(&mut entries);
        clear_bytes(&mut bytes);
        clear_text(&mut text);
        assert_eq!((entries.capacity(), bytes.capacity(), text.capacity()), (100, 1000, 1000));
        let (mut entries, mut bytes, mut text) =
            (vec![0_u64; 1 << 20], vec![0; 1 << 22], "a".repeat(1 << 22));
        clear(&mut entries);
        clear_bytes(&mut bytes);
        clear_text(&mut text);
        assert!(entries.capacity() < 1 << 14 && bytes.capacity() < 1 << 21 && text.capacity() < 1 << 21);
    }
}
