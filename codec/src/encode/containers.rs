//! The open containers, their heads and their keys: definite lengths without knowing them in advance.
//!
//! A head of one byte stands where the container opens and is patched when it closes with fewer than 24 values. A longer
//! head is noted and inserted at the end, all in one pass from right to left, so that each byte moves once.

use super::container_major;
use crate::cbor::{self, IMMEDIATE};
use crate::json::walk::Kind;
use crate::names::{Name, equal_pairs};
use crate::{Error, ErrorKind, scratch};

#[derive(Debug, Default)]
pub(super) struct Containers {
    open: Vec<Open>,
    /// The keys of the open objects that no bit stands for, those of the innermost last.
    names: Vec<Name>,
    long_heads: Vec<LongHead>,
    /// What all of `long_heads` will add.
    long_head_bytes: usize,
}

#[derive(Debug)]
struct Open {
    /// One bit for each of the table's first 128 keys that has occurred.
    known: u128,
    kind: Kind,
    head_at: usize,
    /// Elements or pairs.
    count: u64,
    /// Where its part of `names` begins.
    names: usize,
}

#[derive(Debug)]
struct LongHead {
    head_at: usize,
    bytes: [u8; 9],
    len: usize,
}

impl Containers {
    pub(super) fn clear(&mut self) {
        scratch::clear(&mut self.open);
        scratch::clear(&mut self.names);
        scratch::clear(&mut self.long_heads);
        self.long_head_bytes = 0;
    }

    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    pub(super) fn long_head_bytes(&self) -> usize {
        self.long_head_bytes
    }

    pub(super) fn open(&mut self, kind: Kind, head_at: usize) {
        self.open.push(Open { known: 0, kind, head_at, count: 0, names: self.names.len() });
    }

    /// Counts a value into the innermost container.
    pub(super) fn count_value(&mut self) -> Option<Kind> {
        let open = self.open.last_mut()?;
        open.count += 1;
        Some(open.kind)
    }

    /// Notes a key that was written to `out[start..]`; of a known one the place in its table counts.
    pub(super) fn key(
        &mut self,
        known: Option<usize>,
        out: &[u8],
        start: usize,
        at: usize,
    ) -> Result<(), Error> {
        let bit = known.and_then(|index| 1_u128.checked_shl(u32::try_from(index).ok()?));
        match (bit, self.open.last_mut()) {
            (Some(bit), Some(open)) if open.known & bit != 0 => Err(Error::new(ErrorKind::RepeatedKey, at)),
            (Some(bit), Some(open)) => {
                open.known |= bit;
                Ok(())
            }
            _ => {
                self.names.push(Name::new(out.get(start..).unwrap_or_default(), start, at, false));
                Ok(())
            }
        }
    }

    /// Closes the innermost container and returns its count.
    pub(super) fn close(&mut self, out: &mut [u8]) -> Result<u64, Error> {
        let Some(open) = self.open.pop() else { return Ok(0) };
        if let Some(names) = self.names.get_mut(open.names..).filter(|names| names.len() > 1) {
            let mut repeated = None;
            equal_pairs(names, out, |_, later| {
                repeated = Some(repeated.map_or(later.at, |first: usize| first.min(later.at)));
            });
            if let Some(at) = repeated {
                return Err(Error::new(ErrorKind::RepeatedKey, at));
            }
        }
        self.names.truncate(open.names);
        let major = container_major(open.kind);
        if open.count < IMMEDIATE {
            out.get_mut(open.head_at).into_iter().for_each(|head| *head = major | open.count as u8);
        } else {
            let (bytes, len) = cbor::head(major, open.count);
            self.long_heads.push(LongHead { head_at: open.head_at, bytes, len });
            self.long_head_bytes += len - 1;
        }
        Ok(open.count)
    }

    /// Puts the noted heads into their places in `out`, whose part from `start` on is the item.
    pub(super) fn insert_long_heads(&mut self, start: usize, out: &mut Vec<u8>) {
        self.long_heads.sort_unstable_by_key(|head| head.head_at);
        let mut from = out.len();
        let mut to = from + self.long_head_bytes;
        out.resize(to, 0);
        for head in self.long_heads.iter().rev() {
            debug_assert!(start <= head.head_at && head.head_at < from);
            let content = head.head_at + 1;
            to -= from - content;
            out.copy_within(content..from, to);
            to -= head.len;
            out.iter_mut().skip(to).zip(head.bytes).take(head.len).for_each(|(out, byte)| *out = byte);
            from = head.head_at;
        }
    }
}
