//! A finished draft with a note of each container and each key, from which the item is assembled in another
//! order or with parts omitted. The notes are walked over once and the draft is copied once.

use super::container_major;
use crate::cbor::write_head;
use crate::json::walk::Kind;
use crate::{Error, ErrorKind, Order, Policy, scratch};
use std::mem;
use std::ops::Range;

#[derive(Debug, Default)]
pub(super) struct Tape {
    /// The containers in the order in which they open, without empty ones.
    containers: Vec<Container>,
    /// Indexes in `containers` of those that are still open.
    open: Vec<usize>,
    /// The entries of the open objects; those of the innermost object come last.
    pending: Vec<Entry>,
    /// The entries of the closed objects, in the order in which they are to be written.
    entries: Vec<Entry>,
    /// Number of earlier entries of repeated keys.
    pub(super) left_out: u64,
    /// Parts still to be assembled; the next one comes last.
    todo: Vec<Todo>,
}

#[derive(Debug)]
struct Container {
    kind: Kind,
    /// Range of the draft, including the one-byte head.
    draft: Range<usize>,
    /// Index of the next container that does not lie inside this one.
    next: usize,
    count: u64,
    /// Range of an object's entries: in `pending` while it is open, then in `entries`.
    entries: Range<usize>,
}

/// A key and its value in the draft.
#[derive(Debug, Clone)]
struct Entry {
    draft: Range<usize>,
    key_end: usize,
    /// Index of the first container that opens after the key.
    container: usize,
    /// Offset in the input, for the error.
    at: usize,
}

impl Tape {
    pub(super) fn clear(&mut self) {
        scratch::clear(&mut self.containers);
        scratch::clear(&mut self.open);
        scratch::clear(&mut self.pending);
        scratch::clear(&mut self.entries);
        self.left_out = 0;
    }

    pub(super) fn open(&mut self, kind: Kind, head_at: usize) {
        let entries = self.pending.len()..0;
        self.open.push(self.containers.len());
        self.containers.push(Container { kind, draft: head_at..0, next: 0, count: 0, entries });
    }

    pub(super) fn key(&mut self, start: usize, key_end: usize, at: usize) {
        self.pending.push(Entry { draft: start..0, key_end, container: self.containers.len(), at });
    }

    /// Closes the innermost container. The entries of an object are put in order, and repeated ones dropped.
    pub(super) fn close(
        &mut self,
        draft: &[u8],
        count: u64,
        order: Order,
        policy: Policy,
    ) -> Result<(), Error> {
        let next = self.containers.len();
        let Some(container) = self.open.pop().and_then(|place| self.containers.get_mut(place)) else {
            return Ok(());
        };
        container.draft.end = draft.len();
        container.next = next;
        container.count = count;
        if container.kind == Kind::Array {
            return Ok(());
        }
        let entries = self.pending.get_mut(container.entries.start..).unwrap_or_default();
        let mut end = draft.len();
        for entry in entries.iter_mut().rev() {
            entry.draft.end = end;
            end = entry.draft.start;
        }
        let key = |entry: &Entry| draft.get(entry.draft.start..entry.key_end).unwrap_or_default();
        entries.sort_unstable_by(|a, b| key(a).cmp(key(b)).then(a.at.cmp(&b.at)));
        let start = self.entries.len();
        let mut repeated = None;
        for (place, entry) in entries.iter().enumerate() {
            match entries.get(place + 1) {
                Some(later) if key(later) == key(entry) => {
                    repeated = Some(repeated.map_or(later.at, |first: usize| first.min(later.at)));
                    self.left_out += 1;
                }
                _ => self.entries.push(entry.clone()),
            }
        }
        if let (Some(at), Policy::Strict) = (repeated, policy) {
            return Err(Error::new(ErrorKind::RepeatedKey, at));
        }
        let kept = self.entries.get_mut(start..).unwrap_or_default();
        match order {
            Order::AsWritten => kept.sort_unstable_by_key(|entry| entry.draft.start),
            Order::Bytewise => {}
            Order::LengthFirst => {
                kept.sort_unstable_by(|a, b| {
                    key(a).len().cmp(&key(b).len()).then_with(|| key(a).cmp(key(b)))
                });
            }
        }
        container.count = kept.len() as u64;
        self.pending.truncate(container.entries.start);
        container.entries = start..self.entries.len();
        Ok(())
    }

    /// Appends the item to `cbor`.
    pub(super) fn put_together(&mut self, draft: &[u8], cbor: &mut Vec<u8>) {
        let mut todo = mem::take(&mut self.todo);
        scratch::clear(&mut todo);
        todo.push(Todo::Draft { range: 0..draft.len(), container: 0 });
        while let Some(next) = todo.pop() {
            match next {
                Todo::Draft { range, container: place } => {
                    let container = self.containers.get(place).filter(|c| c.draft.start < range.end);
                    let plain = range.start..container.map_or(range.end, |c| c.draft.start);
                    cbor.extend_from_slice(draft.get(plain).unwrap_or_default());
                    let Some(container) = container else { continue };
                    write_head(cbor, container_major(container.kind), container.count);
                    todo.push(Todo::Draft {
                        range: container.draft.end..range.end,
                        container: container.next,
                    });
                    todo.push(match container.kind {
                        Kind::Object => Todo::Entries(container.entries.clone()),
                        Kind::Array => Todo::Draft {
                            range: container.draft.start + 1..container.draft.end,
                            container: place + 1,
                        },
                    });
                }
                Todo::Entries(mut places) => {
                    let Some(entry) = places.next().and_then(|place| self.entries.get(place)) else {
                        continue;
                    };
                    todo.push(Todo::Entries(places));
                    todo.push(Todo::Draft { range: entry.draft.clone(), container: entry.container });
                }
            }
        }
        self.todo = todo;
    }
}

/// A part still to be written.
#[derive(Debug)]
enum Todo {
    /// Bytes of the draft; `container` is the index of the first container that can lie inside.
    Draft { range: Range<usize>, container: usize },
    /// Entries of one object.
    Entries(Range<usize>),
}
