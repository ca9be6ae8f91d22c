//! The open containers, what is still to come in them, and their keys: each name once, a text before an integer.

use super::Kind;
use crate::cbor::Reader;
use crate::names::{Ends, Name, equal_pairs};
use crate::{Error, ErrorKind, scratch};
use std::ops::Range;

/// What is done with the two forms of one key, integer and text, in one map. The text's value holds (MSC3079), in either
/// order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Twins {
    /// Their existence is noted: the first walk.
    #[default]
    Detect,
    /// Each key is noted, and the integer's entry gets a cut.
    Cut,
}

#[derive(Debug, Default)]
pub(super) struct Containers {
    open: Vec<Open>,
    /// The keys of the open maps that no bit stands for, those of the innermost last.
    names: Vec<Name>,
    twins: Twins,
    twins_found: bool,
    /// What is to be cut out of the output. One may lie inside another.
    cuts: Vec<Range<usize>>,
}

#[derive(Debug)]
struct Open {
    /// One bit for each of the table's first 128 keys that has occurred, as integer and as text.
    known_integers: u128,
    known_texts: u128,
    /// Elements or pairs that are not complete yet; `None` until a break.
    remaining: Option<u64>,
    kind: Kind,
    /// Where its part of `names` begins.
    names: usize,
}

impl Containers {
    pub(super) fn start(&mut self, twins: Twins) {
        scratch::clear(&mut self.open);
        scratch::clear(&mut self.names);
        scratch::clear(&mut self.cuts);
        self.twins = twins;
        self.twins_found = false;
    }

    pub(super) fn twins_found(&self) -> bool {
        self.twins_found
    }

    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    pub(super) fn innermost(&self) -> Option<Kind> {
        self.open.last().map(|open| open.kind)
    }

    /// Opens a container that is not empty.
    pub(super) fn open(&mut self, kind: Kind, remaining: Option<u64>) {
        let names = self.names.len();
        self.open.push(Open { known_integers: 0, known_texts: 0, remaining, kind, names });
    }

    /// A value of the innermost container is complete: true if another follows. A break is consumed.
    pub(super) fn another(&mut self, reader: &mut Reader<'_>) -> Result<bool, Error> {
        match self.open.last_mut().and_then(|open| open.remaining.as_mut()) {
            Some(remaining) => {
                *remaining = remaining.saturating_sub(1);
                Ok(*remaining > 0)
            }
            None => Ok(!reader.at_break()?),
        }
    }

    /// Notes a key that was written to `out[start..]`, its colon included; a bit of its own stands for it or
    /// none.
    pub(super) fn key(
        &mut self,
        bit: u128,
        integer: bool,
        out: &[u8],
        start: usize,
        at: usize,
    ) -> Result<(), Error> {
        let (Twins::Detect, 1.., Some(open)) = (self.twins, bit, self.open.last_mut()) else {
            let ends = Ends::of(out.get(start..).unwrap_or_default());
            self.names.push(Name::new(ends, start..out.len(), at, integer));
            return Ok(());
        };
        let (same, other) = match integer {
            true => (&mut open.known_integers, open.known_texts),
            false => (&mut open.known_texts, open.known_integers),
        };
        if *same & bit != 0 {
            return Err(Error::new(ErrorKind::RepeatedKey, at));
        }
        *same |= bit;
        self.twins_found |= other & bit != 0;
        Ok(())
    }

    /// Closes the innermost container, whose closing bracket is not written yet.
    pub(super) fn close(&mut self, out: &[u8]) -> Result<(), Error> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let Some(names) = self.names.get_mut(open.names..).filter(|names| names.len() > 1) else {
            self.names.truncate(open.names);
            return Ok(());
        };
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
        self.names.truncate(open.names);
        Ok(())
    }

    /// Cuts what [`Twins::Cut`] has noted out of `out`.
    pub(super) fn cut(&mut self, out: &mut Vec<u8>) {
        self.cuts.sort_unstable_by_key(|cut| cut.start);
        let (mut to, mut from) = (0, 0);
        for cut in &self.cuts {
            // One inside an entry that is cut itself.
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

/// An entry reaches to the next one, its comma included; what is cut at a map's end begins with the comma before it. There
/// is always an entry that stays: the text's.
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
