//! Finding a key by its name: one look at one place, for a name that the table has and for one that it has not.

use super::set::KeyBit;
use crate::names::Ends;
use std::collections::BTreeMap;

const SLOT_BITS: u32 = 9;
const SLOTS: usize = 1 << SLOT_BITS;

/// The keys of a table by their names.
#[derive(Debug, Clone)]
pub(super) struct ByName {
    /// The first key of each slot, by the top bits of its fingerprint. No two keys of v1 share one.
    slots: Box<[Entry; SLOTS]>,
    /// Keys whose slot was taken.
    crowded: BTreeMap<Vec<u8>, Entry>,
}

/// A key, with what an encoder needs at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    ends: Ends,
    pub(crate) bit: KeyBit,
    /// The integer as it stands in CBOR: the first `cbor_len` bytes.
    pub(crate) cbor: [u8; 4],
    cbor_len: u8,
    /// The last eight bits of the name's length: names of equal ends up to sixteen bytes differ in them.
    len: u8,
    /// In the table's list of keys.
    pub(super) place: u16,
}

impl Entry {
    /// Equal to none: a text of sixteen such bytes is no UTF-8, and its length is not zero.
    const EMPTY: Entry =
        Entry { ends: Ends::NOT_UTF8, bit: KeyBit::NONE, cbor: [0; 4], cbor_len: 0, len: 0, place: 0 };

    pub(super) fn new(name: &[u8], place: u16, cbor: [u8; 4], cbor_len: usize) -> Self {
        Entry {
            ends: Ends::of(name),
            bit: KeyBit::new(usize::from(place)),
            cbor,
            cbor_len: cbor_len as u8,
            len: name.len() as u8,
            place,
        }
    }

    #[inline(always)]
    pub(crate) fn cbor_len(&self) -> usize {
        usize::from(self.cbor_len)
    }
}

impl ByName {
    pub(super) fn new() -> Self {
        ByName { slots: Box::new([Entry::EMPTY; SLOTS]), crowded: BTreeMap::new() }
    }

    pub(super) fn insert(&mut self, name: &[u8], entry: Entry) {
        match self.slots.get_mut(slot(entry.ends)) {
            Some(slot) if slot.ends == Ends::NOT_UTF8 => *slot = entry,
            _ => {
                self.crowded.insert(name.to_vec(), entry);
            }
        }
    }

    /// The key that has the slot of a name of such ends and such a length, unless it has other ones. Of more than sixteen bytes the
    /// caller must compare the rest; if it is another key, the name can still be a [`ByName::crowded`] one.
    #[inline(always)]
    pub(super) fn find(&self, ends: Ends, len: usize) -> Option<&Entry> {
        self.slots.get(slot(ends)).filter(|entry| entry.ends == ends && entry.len == len as u8)
    }

    #[inline(always)]
    pub(super) fn crowded(&self, name: &[u8]) -> Option<&Entry> {
        if self.crowded.is_empty() { None } else { self.find_crowded(name) }
    }

    #[cold]
    fn find_crowded(&self, name: &[u8]) -> Option<&Entry> {
        self.crowded.get(name)
    }

    #[cfg(test)]
    pub(super) fn is_crowded(&self) -> bool {
        !self.crowded.is_empty()
    }
}

#[inline(always)]
fn slot(ends: Ends) -> usize {
    (ends.fingerprint() >> (u64::BITS - SLOT_BITS)) as usize
}
