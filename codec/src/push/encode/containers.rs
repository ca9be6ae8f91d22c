//! The open containers, and the value being skipped.

use super::PushEncoder;
use super::expect::Expect;
use crate::cbor::{BREAK, INDEFINITE, simple};
use crate::encode::container_major;
use crate::json::Cursor;
use crate::json::skip::Bits;
use crate::json::walk::Kind;
use crate::keys::set::KeySet;
use crate::push::names::Part;
use crate::{Error, ErrorKind, Repairs};
use std::mem;

/// An open array or object; the outermost one stands for the document.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The table's keys that have occurred.
    pub(super) known: KeySet,
    /// The keys that are not in the table.
    pub(super) names: Part,
    pub(super) kind: Option<Kind>,
}

/// A value that the lenient policy omits: it is walked over, and its output and its repairs are taken back.
#[derive(Debug)]
pub(super) struct Skipped {
    why: Why,
    /// Length of the output that stays.
    from: usize,
    open: Bits,
    repairs: Repairs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A container is nested too deep and becomes null.
    TooDeep,
    /// The value of a repeated key is written nowhere.
    Repeated,
}

/// Open containers in an omitted value; one more is an error, so that memory stays bounded: 128 kB.
const MAX_SKIPPED_DEPTH: usize = 1 << 20;

impl PushEncoder<'_> {
    /// Notes that another container opens. Returns true if it is skipped, or lies in one that is.
    #[cfg_attr(not(feature = "small"), inline(always))]
    pub(super) fn check_depth<const SKIPPING: bool>(
        &mut self,
        cursor: &Cursor<'_>,
        output: &[u8],
    ) -> Result<bool, Error> {
        if SKIPPING && let Some(skipped) = &self.skipped {
            return if skipped.open.len() < MAX_SKIPPED_DEPTH {
                Ok(true)
            } else {
                Err(self.error(ErrorKind::TooDeep, cursor))
            };
        }
        if self.outer.len() < self.options.limits.max_depth {
            return Ok(false);
        }
        if !self.lenient() {
            return Err(self.error(ErrorKind::TooDeep, cursor));
        }
        self.repairs.too_deep += 1;
        self.skip(Why::TooDeep, output);
        Ok(true)
    }

    fn skip(&mut self, why: Why, output: &[u8]) {
        let (from, repairs) = (output.len(), self.repairs);
        self.skipped = Some(Skipped { why, from, open: Bits::default(), repairs });
    }

    /// Handles a key that has come before in its object; nothing of it has been written.
    #[cold]
    pub(super) fn repeated_key(&mut self, at: usize, output: &[u8]) -> Result<(), Error> {
        if !self.lenient() {
            return Err(Error::new(ErrorKind::RepeatedKey, at));
        }
        self.repairs.repeated_keys += 1;
        self.skip(Why::Repeated, output);
        Ok(())
    }

    pub(super) fn empty(
        &mut self,
        kind: Kind,
        cursor: &mut Cursor<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        cursor.at += 1;
        output.push(container_major(kind));
        self.complete(output)
    }

    pub(super) fn open(&mut self, kind: Kind, output: &mut Vec<u8>) {
        match self.skipped {
            Some(_) => self.open_one::<true>(kind, output),
            None => self.open_one::<false>(kind, output),
        }
    }

    #[cfg_attr(not(feature = "small"), inline(always))]
    pub(super) fn open_one<const SKIPPING: bool>(&mut self, kind: Kind, output: &mut Vec<u8>) {
        match &mut self.skipped {
            Some(skipped) if SKIPPING => skipped.open.push(kind == Kind::Object),
            _ => {
                output.push(container_major(kind) | INDEFINITE);
                let open = Open { known: KeySet::default(), names: self.names.open(), kind: Some(kind) };
                self.outer.push(mem::replace(&mut self.innermost, open));
            }
        }
    }

    #[inline(always)]
    pub(super) fn innermost_of<const SKIPPING: bool>(&self) -> Option<Kind> {
        if SKIPPING && let Some(object) = self.skipped.as_ref().and_then(|skipped| skipped.open.last()) {
            return Some(if object { Kind::Object } else { Kind::Array });
        }
        self.innermost.kind
    }

    #[cfg_attr(not(feature = "small"), inline(always))]
    pub(super) fn close_one<const SKIPPING: bool>(&mut self, output: &mut Vec<u8>) {
        match &mut self.skipped {
            Some(skipped) if SKIPPING => skipped.open.pop(),
            _ => {
                output.push(BREAK);
                self.names.close(&self.innermost.names);
                self.innermost = self.outer.pop().unwrap_or_default();
            }
        }
    }

    pub(super) fn skipping_ends(&self) -> bool {
        self.skipped.as_ref().is_some_and(|skipped| skipped.open.len() == 0)
    }

    /// Notes that a value is complete.
    pub(super) fn complete(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(skipped) = self.skipped.take_if(|skipped| skipped.open.len() == 0) {
            output.truncate(skipped.from);
            if skipped.why == Why::TooDeep {
                output.push(simple::NULL);
            }
            self.repairs = skipped.repairs;
        }
        self.check_length(output, self.value_at)?;
        self.pause(match self.innermost_of::<true>() {
            None => Expect::Nothing,
            Some(_) => Expect::CommaOrEnd,
        })
    }

    #[inline(always)]
    pub(super) fn check_length(&self, output: &[u8], at: usize) -> Result<(), Error> {
        if output.len() > self.max_len && self.skipped.is_none() {
            return Err(Error::new(ErrorKind::OutputTooLarge, at));
        }
        Ok(())
    }

    /// Removes what this call has written of a skipped value.
    pub(super) fn pause_skipping(&mut self, output: &mut Vec<u8>) {
        if let Some(skipped) = &self.skipped {
            output.truncate(skipped.from);
        }
    }

    pub(super) fn go_on_skipping(&mut self, from: usize) {
        if let Some(skipped) = &mut self.skipped {
            skipped.from = from;
        }
    }
}
