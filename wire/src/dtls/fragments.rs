//! Headers of handshake messages, or of pieces of them, in a plaintext record (RFC 6347 section 4.2.2).

/// Bytes of a header: type (1), length (3), message_seq (2), fragment offset (3), fragment length (3).
pub const HANDSHAKE_HEADER: usize = 12;

/// The header of one message or of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// HandshakeType, one of the constants in [`super::handshake`] as a rule.
    pub kind: u8,
    /// Bytes of the whole message.
    pub length: usize,
    /// Number of the message within its handshake, by its sender.
    pub message_seq: u16,
    /// Where the piece begins in the message, in bytes.
    pub offset: usize,
}

impl Fragment {
    /// Makes the header of a piece of `here` bytes.
    pub fn header(&self, here: usize) -> [u8; HANDSHAKE_HEADER] {
        let [[l0, l1, l2], [o0, o1, o2], [f0, f1, f2]] = [self.length, self.offset, here].map(|number| {
            let [_, a, b, c] = (number as u32).to_be_bytes();
            [a, b, c]
        });
        let [s0, s1] = self.message_seq.to_be_bytes();
        [self.kind, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2]
    }
}

/// Bytes that are not a message, or a message that ends beyond its record. Nothing after them can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handshake message is cut off by the end of its record")]
pub struct Malformed;

/// Iterates over the messages and pieces in the content of a record.
pub struct Fragments<'a>(&'a [u8]);

impl<'a> Fragments<'a> {
    /// Reads the content of a record of type handshake.
    pub fn new(record: &'a [u8]) -> Fragments<'a> {
        Fragments(record)
    }

    /// Returns each message or piece with its bytes, up to the first malformed one.
    pub fn bodies(mut self) -> impl Iterator<Item = (Fragment, &'a [u8])> {
        std::iter::from_fn(move || self.split_first())
    }

    fn split_first(&mut self) -> Option<(Fragment, &'a [u8])> {
        let ([kind, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2], after) =
            self.0.split_first_chunk::<HANDSHAKE_HEADER>()?;
        let [length, offset, here] = [[l0, l1, l2], [o0, o1, o2], [f0, f1, f2]]
            .map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]) as usize);
        let (body, after) = after.split_at_checked(here)?;
        self.0 = after;
        Some((Fragment { kind: *kind, length, message_seq: u16::from_be_bytes([*s0, *s1]), offset }, body))
    }
}

impl Iterator for Fragments<'_> {
    type Item = Result<Fragment, Malformed>;

    fn next(&mut self) -> Option<Result<Fragment, Malformed>> {
        if self.0.is_empty() {
            return None;
        }
        let fragment = self.split_first().map(|(fragment, _)| fragment).ok_or(Malformed);
        if fragment.is_err() {
            self.0 = &[];
        }
        Some(fragment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_of_a_record_is_seen_up_to_the_first_that_is_none() {
        let whole = [3, 0, 0, 2, 0, 7, 0, 0, 0, 0, 0, 2, 9, 9];
        let piece = [11, 1, 0, 0, 0, 8, 0, 0, 5, 0, 0, 1, 9];
        let [whole_is, piece_is] = [(3, 2, 7, 0), (11, 65_536, 8, 5)]
            .map(|(kind, length, message_seq, offset)| Ok(Fragment { kind, length, message_seq, offset }));
        let fragments = |bytes: &[u8]| Fragments::new(bytes).collect::<Vec<_>>();
        assert_eq!(fragments(&[&whole[..], &piece].concat()), [whole_is, piece_is]);
        for cut in 1..piece.len() {
            let bytes = [&whole[..], &piece[..cut]].concat();
            assert_eq!(fragments(&bytes), [whole_is, Err(Malformed)], "{cut}");
        }
        assert_eq!(fragments(&[]), []);
        let both = [&whole[..], &piece].concat();
        let bodies: Vec<_> = Fragments::new(&both).bodies().map(|(_, body)| body).collect();
        assert_eq!(bodies, [&[9, 9][..], &[9]]);
        let headers = Fragments::new(&both).bodies().map(|(fragment, body)| fragment.header(body.len()));
        assert_eq!(headers.collect::<Vec<_>>(), [&whole[..12], &piece[..12]]);
    }
}
