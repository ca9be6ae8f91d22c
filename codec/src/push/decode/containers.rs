//! The open containers, what is still to come in them, and the entry being dropped.

use super::PushDecoder;
use super::expect::Expect;
use crate::cbor::{BREAK, Reader};
use crate::decode::Kind;
use crate::keys::set::KeySet;
use crate::push::names::Part;
use crate::{Error, ErrorKind};
use std::mem;

/// An open array or map; the outermost one stands for the item.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The table's keys that have occurred as integers. The next field holds those that came as text.
    pub(super) known_integers: KeySet,
    pub(super) known_texts: KeySet,
    /// The keys that are not in the table.
    pub(super) names: Part,
    /// Elements or pairs that are not complete yet, if their number is definite.
    remaining: u64,
    definite: bool,
    pub(super) kind: Option<Kind>,
}

/// An entry that is walked over without output: the text form of its key came before it.
#[derive(Debug)]
pub(super) struct Dropped {
    /// Length of the output that stays.
    from: usize,
    /// Number of open containers around the entry.
    depth: usize,
}

impl PushDecoder<'_> {
    /// Returns true if a container was opened and a value or key must follow, false if it is empty; `None` if
    /// that is not known yet.
    #[cfg_attr(not(feature = "small"), inline(always))]
    pub(super) fn enter(
        &mut self,
        kind: Kind,
        length: Option<u64>,
        at: usize,
        reader: &mut Reader<'_>,
        output: &mut Vec<u8>,
    ) -> Result<Option<bool>, Error> {
        if self.outer.len() >= self.options.limits.max_depth {
            return Err(Error::new(ErrorKind::TooDeep, at));
        }
        output.push(kind.opening());
        let next = reader.rest().first();
        if length == Some(0) || length.is_none() && next == Some(&BREAK) {
            reader.at += usize::from(length.is_none());
            output.push(kind.closing());
            return Ok(Some(false));
        }
        let open = Open {
            remaining: length.unwrap_or_default(),
            definite: length.is_some(),
            kind: Some(kind),
            names: self.names.open(),
            ..Open::default()
        };
        self.outer.push(mem::replace(&mut self.innermost, open));
        if length.is_none() && next.is_none() {
            self.item_at = at;
            self.expect = if kind == Kind::Map { Expect::FirstKey } else { Expect::FirstElement };
            return Ok(None);
        }
        Ok(Some(true))
    }

    /// Notes that a value of the innermost container is complete. Returns whether another follows; `None` if
    /// that is not known yet. Consumes a break.
    #[inline(always)]
    pub(super) fn another(&mut self, reader: &mut Reader<'_>) -> Option<bool> {
        let open = &mut self.innermost;
        if open.definite {
            open.remaining = open.remaining.saturating_sub(1);
            return Some(open.remaining > 0);
        }
        let ends = *reader.rest().first()? == BREAK;
        reader.at += usize::from(ends);
        Some(!ends)
    }

    #[inline(always)]
    pub(super) fn close(&mut self, output: &mut Vec<u8>) {
        if let Some(kind) = self.innermost.kind {
            output.push(kind.closing());
        }
        self.names.close(&self.innermost.names);
        self.innermost = self.outer.pop().unwrap_or_default();
    }

    /// Starts dropping the entry of the next key, with the comma before it, which is already written.
    #[cold]
    pub(super) fn drop_entry(&mut self, output: &[u8]) {
        if self.dropped.is_none() {
            self.dropped = Some(Dropped { from: output.len().saturating_sub(1), depth: self.outer.len() });
        }
    }

    /// Ends dropping if the value that is now complete is the entry's.
    pub(super) fn stop_dropping(&mut self, output: &mut Vec<u8>) {
        let depth = self.outer.len();
        if let Some(dropped) = self.dropped.take_if(|dropped| dropped.depth == depth) {
            output.truncate(dropped.from);
        }
    }

    /// Removes what this call has written of a dropped entry.
    pub(super) fn pause_dropping(&mut self, output: &mut Vec<u8>) {
        if let Some(dropped) = &self.dropped {
            output.truncate(dropped.from);
        }
    }

    pub(super) fn go_on_dropping(&mut self, from: usize) {
        if let Some(dropped) = &mut self.dropped {
            dropped.from = from;
        }
    }
}
