//! The open containers, what is still to come in them, and their keys: each name once, a text
//! before an integer.

use super::Kind;
use crate::cbor::Reader;
use crate::keys::Key;
use crate::keys::set::KeySet;
use crate::names::{Name, equal_pairs};
use crate::{Error, ErrorKind, scratch};
use std::ops::Range;
use std::{mem, slice};

/// How the two forms of one key in a map, integer and text, are handled. The text's value wins (MSC3079), in
/// either order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Twins {
    /// Only notes that both forms exist: the first walk.
    #[default]
    Detect,
    /// Notes each key and cuts out the integer's entry.
    Cut,
}

#[derive(Debug, Default)]
pub(super) struct Containers {
    innermost: Open,
    /// The containers around the innermost one; the first entry stands for the whole item.
    outer: Vec<Open>,
    /// The keys of the open maps that have no bit in a set; those of the innermost map come last.
    names: Vec<Name>,
    twins: Twins,
    twins_found: bool,
    /// Ranges to be cut out of the output. One may lie inside another.
    cuts: Vec<Range<usize>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// The table's keys that have occurred as integers. `known_texts` holds those that came as text.
    known_integers: KeySet,
    known_texts: KeySet,
    /// Elements or pairs that are not complete yet, if their number is definite.
    remaining: u64,
    definite: bool,
    kind: Option<Kind>,
    /// Index in `names` of this container's first key.
    names: usize,
}

impl Containers {
    pub(super) fn start(&mut self, twins: Twins) {
        self.innermost = Open::default();
        scratch::clear(&mut self.outer);
        scratch::clear(&mut self.names);
        scratch::clear(&mut self.cuts);
        self.twins = twins;
        self.twins_found = false;
    }

    pub(super) fn twins_found(&self) -> bool {
        self.twins_found
    }

    pub(super) fn depth(&self) -> usize {
        self.outer.len()
    }

    #[inline(always)]
    pub(super) fn innermost(&self) -> Option<Kind> {
        self.innermost.kind
    }

    /// Opens a container that is not empty.
    #[inline(always)]
    pub(super) fn open(&mut self, kind: Kind, remaining: Option<u64>) {
        let open = Open {
            remaining: remaining.unwrap_or_default(),
            definite: remaining.is_some(),
            kind: Some(kind),
            names: self.names.len(),
            ..Open::default()
        };
        // Copied directly; `push` would copy it twice.
        self.outer.extend_from_slice(slice::from_ref(&self.innermost));
        self.innermost = open;
    }

    /// Notes that a value of the innermost container is complete. Returns true if another follows; consumes a
    /// break.
    #[inline(always)]
    pub(super) fn another(&mut self, reader: &mut Reader<'_>) -> Result<bool, Error> {
        if self.innermost.definite {
            self.innermost.remaining -= 1;
            Ok(self.innermost.remaining > 0)
        } else {
            Ok(!reader.at_break()?)
        }
    }

    /// Notes a key of the table, which came as an integer or as text and was written to `written`.
    #[inline(always)]
    pub(super) fn known_key(
        &mut self,
        key: &Key,
        integer: bool,
        written: Range<usize>,
        at: usize,
    ) -> Result<(), Error> {
        let Open { known_integers, known_texts, .. } = &mut self.innermost;
        let known = if integer { known_integers } else { known_texts };
        match if self.twins == Twins::Detect { known.insert(key.bit) } else { None } {
            Some(true) => Ok(()),
            Some(false) => Err(Error::new(ErrorKind::RepeatedKey, at)),
            None => {
                self.names.push(Name::new(key.ends, written, at, integer));
                Ok(())
            }
        }
    }

    /// Notes a key that is not in the table.
    #[inline(always)]
    pub(super) fn key(&mut self, name: Name) {
        self.names.push(name);
    }

    /// Closes the innermost container; its closing bracket is not written yet.
    #[inline(always)]
    pub(super) fn close(&mut self, out: &[u8]) -> Result<(), Error> {
        let Some(outer) = self.outer.pop() else { return Ok(()) };
        let Open { known_integers, known_texts, names, .. } = mem::replace(&mut self.innermost, outer);
        self.twins_found |= known_integers.meets(known_texts);
        if self.names.len() > names { self.compare_names(names, out) } else { Ok(()) }
    }

    /// Removes the names from this index on. Fails if one of them is repeated.
    fn compare_names(&mut self, from: usize, out: &[u8]) -> Result<(), Error> {
        let names = self.names.get_mut(from..).unwrap_or_default();
        let mut repeated = None;
        let mut overruled = Vec::new();
        equal_pairs(names, out, |name, other| {
            if name.integer == other.integer {
                let later = name.at.max(other.at);
                repeated = Some(repeated.map_or(later, |first: usize| first.min(later)));
            } else {
                overruled.push(if name.integer { name.written().start } else { other.written().start });
            }
        });
        if let Some(at) = repeated {
            return Err(Error::new(ErrorKind::RepeatedKey, at));
        }
        self.twins_found |= !overruled.is_empty();
        if self.twins == Twins::Cut && !overruled.is_empty() {
            names.sort_unstable_by_key(|name| name.written().start);
            overruled.sort_unstable();
            cut_entries(names, &overruled, out.len(), &mut self.cuts);
        }
        self.names.truncate(from);
        Ok(())
    }

    /// Removes from `out` the ranges that [`Twins::Cut`] has noted.
    pub(super) fn cut(&mut self, out: &mut Vec<u8>) {
        self.cuts.sort_unstable_by_key(|cut| cut.start);
        let (mut to, mut from) = (0, 0);
        for cut in &self.cuts {
            // This cut lies inside an entry that is itself cut.
            if cut.start < from {
                continue;
            }
            out.copy_within(from..cut.start, to);
            to += cut.start - from;
            from = cut.end;
        }
        out.copy_within(from.., to);
        out.truncate(to + out.len() - from);
    }
}

/// Notes the cuts of overruled entries. An entry reaches to the next one, including its comma; a cut at the
/// end of a map begins with the comma before it. At least one entry always stays: that of the text.
fn cut_entries(names: &[Name], overruled: &[usize], map_end: usize, cuts: &mut Vec<Range<usize>>) {
    let mut overruled = overruled.iter().peekable();
    let mut at_end = None;
    for (place, name) in names.iter().enumerate() {
        let start = name.written().start;
        if overruled.next_if(|overruled| **overruled == start).is_none() {
            at_end = None;
            continue;
        }
        at_end = at_end.or(Some(if place == 0 { start } else { start - 1 }));
        if let Some(next) = names.get(place + 1) {
            cuts.push(start..next.written().start);
        }
    }
    if let Some(start) = at_end {
        cuts.push(start..map_end);
    }
}
