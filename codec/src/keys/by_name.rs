//! Finding a key by its name: one comparison in one slot, both for a name that the table has and for one that
//! it does not have.

use super::set::KeyBit;
use crate::names::Ends;
use crate::plain::STEP;

const SLOT_BITS: u32 = 9;
const SLOTS: usize = 1 << SLOT_BITS;

/// The keys of a table by their names.
#[derive(Debug, Clone)]
pub(super) struct ByName {
    /// Indexed by the top bits of a name's fingerprint. No two names of v1 share a slot.
    slots: Box<[Entry; SLOTS]>,
    /// Keys whose slot was taken.
    crowded: Vec<Entry>,
}

/// A key, with what an encoder needs at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    ends: Ends,
    pub(crate) bit: KeyBit,
    /// The integer's encoding in CBOR: the first `cbor_len` bytes.
    pub(crate) cbor: [u8; 4],
    cbor_len: u8,
    /// The low eight bits of the name's length: names of up to sixteen bytes with equal ends differ in them.
    len: u8,
    /// Index in the table's list of keys.
    pub(super) place: u16,
    /// Index in `crowded` of the next key of the same slot, or [`NONE`].
    next: u16,
}

/// Larger than any index: a table has fewer keys.
const NONE: u16 = u16::MAX;

impl Entry {
    /// An entry that equals no name: a text of sixteen such bytes is not UTF-8, and its length is not zero.
    const EMPTY: Entry = Entry {
        ends: Ends::NOT_UTF8,
        bit: KeyBit::NONE,
        cbor: [0; 4],
        cbor_len: 0,
        len: 0,
        place: 0,
        next: NONE,
    };

    pub(super) fn new(name: &[u8], place: u16, cbor: [u8; 4], cbor_len: usize) -> Self {
        Entry {
            ends: Ends::of(name),
            bit: KeyBit::new(usize::from(place)),
            cbor,
            cbor_len: cbor_len as u8,
            len: name.len() as u8,
            place,
            next: NONE,
        }
    }

    #[inline(always)]
    pub(crate) fn cbor_len(&self) -> usize {
        usize::from(self.cbor_len)
    }

    /// Returns true for a name with these ends and this length, if it has at most sixteen bytes; the rest of
    /// a longer name must still be compared.
    #[inline(always)]
    fn fits(&self, ends: Ends, len: usize) -> bool {
        self.ends == ends && self.len == len as u8
    }
}

impl ByName {
    pub(super) fn new() -> Self {
        ByName { slots: Box::new([Entry::EMPTY; SLOTS]), crowded: Vec::new() }
    }

    pub(super) fn insert(&mut self, mut entry: Entry) {
        let Some(slot) = self.slots.get_mut(slot(entry.ends)) else { return };
        if slot.ends == Ends::NOT_UTF8 {
            *slot = entry;
        } else {
            entry.next = slot.next;
            slot.next = self.crowded.len() as u16;
            self.crowded.push(entry);
        }
    }

    /// Returns the key with these ends and this length. A name of more than sixteen bytes must also satisfy
    /// `the_one`.
    #[inline(always)]
    pub(super) fn find(&self, ends: Ends, len: usize, the_one: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let entry = self.slots.get(slot(ends))?;
        if entry.fits(ends, len) && (len <= STEP || the_one(entry)) {
            return Some(entry);
        }
        if entry.next == NONE { None } else { self.find_crowded(entry, ends, len, the_one) }
    }

    #[cold]
    fn find_crowded(
        &self,
        first: &Entry,
        ends: Ends,
        len: usize,
        the_one: impl Fn(&Entry) -> bool,
    ) -> Option<&Entry> {
        let mut next = first.next;
        loop {
            let entry = self.crowded.get(usize::from(next))?;
            if entry.fits(ends, len) && (len <= STEP || the_one(entry)) {
                return Some(entry);
            }
            next = entry.next;
        }
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
