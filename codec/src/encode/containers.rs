//! The open containers, their heads and their keys: definite lengths without knowing them in advance.
//!
//! A head of one byte stands where the container opens and is patched when it closes with fewer than 24
//! values. A longer head is noted and inserted at the end, all in one pass from right to left, so that each
//! byte moves once.

use super::container_major;
use crate::cbor::{self, IMMEDIATE};
use crate::json::walk::Kind;
use crate::keys::set::{KeyBit, KeySet};
use crate::names::{Name, equal_pairs};
use crate::{Error, ErrorKind, scratch};
use std::{mem, slice};

#[derive(Debug, Default)]
pub(super) struct Containers {
    innermost: Open,
    /// The containers around the innermost one; the first entry stands for the whole text.
    outer: Vec<Open>,
    /// The keys of the open objects that have no bit in the set; those of the innermost object come last.
    names: Vec<Name>,
    long_heads: Vec<LongHead>,
    /// Bytes that all of `long_heads` will add.
    long_head_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// The table's keys that have occurred.
    known: KeySet,
    kind: Option<Kind>,
    head_at: usize,
    /// Elements or pairs so far.
    count: u64,
    /// Index in `names` of this container's first key.
    names: usize,
}

#[derive(Debug)]
struct LongHead {
    head_at: usize,
    bytes: [u8; 9],
    len: usize,
}

/// Returns the bytes that the head of a container with this count, at least [`IMMEDIATE`], will add at the
/// end.
pub(super) fn long_head_adds(count: u64) -> usize {
    let (_, len) = cbor::head(0, count);
    len - 1
}

impl Containers {
    pub(super) fn clear(&mut self) {
        self.innermost = Open::default();
        scratch::clear(&mut self.outer);
        scratch::clear(&mut self.names);
        scratch::clear(&mut self.long_heads);
        self.long_head_bytes = 0;
    }

    pub(super) fn depth(&self) -> usize {
        self.outer.len()
    }

    #[inline(always)]
    pub(super) fn open(&mut self, kind: Kind, head_at: usize) {
        let names = self.names.len();
        let open = Open { known: KeySet::default(), kind: Some(kind), head_at, count: 0, names };
        // Copied directly; `push` would copy it twice.
        self.outer.extend_from_slice(slice::from_ref(&self.innermost));
        self.innermost = open;
    }

    /// Counts a value into the innermost container.
    #[inline(always)]
    pub(super) fn count_value(&mut self) -> Option<Kind> {
        self.innermost.count += 1;
        self.innermost.kind
    }

    /// Notes a key of the table. Returns false if it has occurred before or has no bit.
    #[inline(always)]
    pub(super) fn known_key(&mut self, key: KeyBit) -> bool {
        self.innermost.known.add(key)
    }

    /// Notes a key that is not in the table.
    #[inline(always)]
    pub(super) fn key(&mut self, name: Name) {
        self.names.push(name);
    }

    /// Closes the innermost container and returns its count.
    #[inline(always)]
    pub(super) fn close(&mut self, out: &mut [u8]) -> Result<u64, Error> {
        let Some(outer) = self.outer.last() else { return Ok(0) };
        let Open { kind, head_at, count, names, .. } = mem::replace(&mut self.innermost, *outer);
        self.outer.truncate(self.outer.len() - 1);
        if self.names.len() > names {
            self.compare_names(names, out)?;
        }
        let Some(kind) = kind else { return Ok(0) };
        let major = container_major(kind);
        match out.get_mut(head_at) {
            Some(head) if count < IMMEDIATE => *head = major | count as u8,
            _ => self.note_long_head(major, head_at, count),
        }
        Ok(count)
    }

    /// Removes the names from this index on. Fails if one of them is repeated.
    fn compare_names(&mut self, from: usize, out: &[u8]) -> Result<(), Error> {
        let repeated = first_repeated(self.names.get_mut(from..).unwrap_or_default(), out);
        self.names.truncate(from);
        repeated.map_or(Ok(()), |at| Err(Error::new(ErrorKind::RepeatedKey, at)))
    }

    /// Closes all containers of a walk that ended early. Returns the offset of the first repeated name in the
    /// objects that were open.
    #[cold]
    pub(super) fn first_repeated(&mut self, out: &[u8]) -> Option<usize> {
        let mut first = None;
        while let Some(outer) = self.outer.pop() {
            let names = mem::replace(&mut self.innermost, outer).names;
            let here = first_repeated(self.names.get_mut(names..).unwrap_or_default(), out);
            first = first.into_iter().chain(here).min();
            self.names.truncate(names);
        }
        first
    }

    #[cold]
    fn note_long_head(&mut self, major: u8, head_at: usize, count: u64) {
        let (bytes, len) = cbor::head(major, count);
        self.long_heads.push(LongHead { head_at, bytes, len });
        self.long_head_bytes += len - 1;
    }

    /// Inserts the noted heads into `out`, where the item begins at `start`.
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

/// Returns the offset of the first of these names that repeats an earlier one.
#[inline(never)]
fn first_repeated(names: &mut [Name], out: &[u8]) -> Option<usize> {
    let mut repeated = None;
    equal_pairs(names, out, |_, later| {
        repeated = Some(repeated.map_or(later.at, |first: usize| first.min(later.at)));
    });
    repeated
}
