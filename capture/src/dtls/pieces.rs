//! A hello that comes in pieces (RFC 6347 section 4.2.3), put together.

use crate::ranges::Ranges;
use lowband_wire::dtls::fragments::Fragment;

/// Longest hello that is put together, in bytes. With keys of post-quantum algorithms a hello has some 2,000.
pub(super) const MAX_HELLO: usize = 1 << 14;

/// A message of which pieces are missing.
pub(super) struct Pieces {
    kind: u8,
    message_seq: u16,
    bytes: Vec<u8>,
    have: Ranges,
}

impl Pieces {
    /// Begins a message; None if it is too long to be put together.
    pub(super) fn new(fragment: &Fragment) -> Option<Pieces> {
        (fragment.length <= MAX_HELLO).then(|| Pieces {
            kind: fragment.kind,
            message_seq: fragment.message_seq,
            bytes: vec![0; fragment.length],
            have: Ranges::default(),
        })
    }

    /// Returns whether a piece belongs to this message.
    pub(super) fn fits(&self, fragment: &Fragment) -> bool {
        (self.kind, self.message_seq, self.bytes.len())
            == (fragment.kind, fragment.message_seq, fragment.length)
    }

    /// Returns how many bytes it takes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes a piece, and returns the message once it is whole.
    pub(super) fn add(&mut self, offset: usize, piece: &[u8]) -> Option<&[u8]> {
        let end = offset.checked_add(piece.len())?;
        self.bytes.get_mut(offset..end)?.copy_from_slice(piece);
        self.have.insert(offset, end);
        self.have.has(0, self.bytes.len()).then_some(self.bytes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(length: usize, offset: usize) -> Fragment {
        Fragment { kind: 1, length, message_seq: 0, offset }
    }

    #[test]
    fn a_message_in_any_order_of_pieces_is_whole_at_the_last() {
        let mut pieces = Pieces::new(&piece(5, 3)).unwrap();
        assert!(pieces.fits(&piece(5, 0)));
        assert!(!pieces.fits(&piece(6, 0)));
        assert_eq!(pieces.add(3, b"lo"), None);
        assert_eq!(pieces.add(1, b"el"), None);
        assert_eq!(pieces.add(4, b"o!"), None, "beyond its end");
        assert_eq!(pieces.add(0, b"h"), Some(b"hello".as_slice()));
    }

    #[test]
    fn a_message_that_is_too_long_is_not_begun() {
        assert_eq!(Pieces::new(&piece(MAX_HELLO, 0)).unwrap().len(), MAX_HELLO);
        assert!(Pieces::new(&piece(MAX_HELLO + 1, 0)).is_none());
    }
}
