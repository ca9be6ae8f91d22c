//! Skips one item without interpreting it: for peeking.

use super::{Head, Reader};
use crate::{Error, ErrorKind};

/// Open containers allowed; one more is an error. Equal to the default of [`crate::Limits`], and fixed so
/// that nothing is allocated.
const MAX_DEPTH: usize = 128;

/// What the walk does at an integer key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntegerKeys {
    Ignore,
    Stop,
}

/// Skips one well-formed item of any type that lies in `depth` open containers. True if it stopped at an
/// integer key.
pub(crate) fn item(reader: &mut Reader<'_>, depth: usize, integer_keys: IntegerKeys) -> Result<bool, Error> {
    let mut stack =
        Stack { open: [Open::default(); MAX_DEPTH], len: 0, max_len: MAX_DEPTH.saturating_sub(depth) };
    loop {
        let at = reader.at;
        let key_next = stack.top().is_some_and(|open| open.map && !open.value_next);
        match reader.head()? {
            Head::Unsigned(_) | Head::Negative(_) if key_next && integer_keys == IntegerKeys::Stop => {
                return Ok(true);
            }
            Head::Array(remaining) => stack.push(Open { remaining, map: false, value_next: false }, at)?,
            Head::Map(remaining) => stack.push(Open { remaining, map: true, value_next: false }, at)?,
            // A tag precedes its item and does not complete one.
            Head::Tag(_) => continue,
            Head::Break => return Err(Error::new(ErrorKind::UnexpectedBreak, at)),
            head => {
                string(reader, head)?;
                stack.item_complete();
            }
        }
        while let Some(open) = stack.top() {
            let complete = match open.remaining {
                Some(remaining) => remaining == 0,
                None => !open.value_next && reader.at_break()?,
            };
            if !complete {
                break;
            }
            stack.len -= 1;
            stack.item_complete();
        }
        if stack.len == 0 {
            return Ok(false);
        }
    }
}

/// Skips the content if the head is that of a string. The chunks of an indefinite-length string are
/// definite-length strings of the same type (RFC 8949 section 3.2.3).
fn string(reader: &mut Reader<'_>, head: Head) -> Result<(), Error> {
    match head {
        Head::Bytes(Some(len)) | Head::Text(Some(len)) => {
            reader.take(len)?;
        }
        Head::Bytes(None) | Head::Text(None) => {
            while !reader.at_break()? {
                let at = reader.at;
                match (reader.head()?, head) {
                    (Head::Text(Some(len)), Head::Text(_)) | (Head::Bytes(Some(len)), Head::Bytes(_)) => {
                        reader.take(len)?
                    }
                    _ => return Err(Error::new(ErrorKind::InvalidChunk, at)),
                };
            }
        }
        _ => {}
    }
    Ok(())
}

/// An open array or map.
#[derive(Clone, Copy, Default)]
struct Open {
    /// Elements or pairs still to come; `None` for an indefinite length.
    remaining: Option<u64>,
    map: bool,
    /// True if the map's key was read and its value comes next.
    value_next: bool,
}

struct Stack {
    open: [Open; MAX_DEPTH],
    len: usize,
    max_len: usize,
}

impl Stack {
    fn top(&self) -> Option<&Open> {
        self.open.get(self.len.checked_sub(1)?)
    }

    fn push(&mut self, open: Open, at: usize) -> Result<(), Error> {
        let free = self.open.get_mut(self.len).filter(|_| self.len < self.max_len);
        *free.ok_or(Error::new(ErrorKind::TooDeep, at))? = open;
        self.len += 1;
        Ok(())
    }

    /// Counts an item into the innermost container.
    fn item_complete(&mut self) {
        let Some(open) = self.len.checked_sub(1).and_then(|top| self.open.get_mut(top)) else { return };
        open.value_next = open.map && !open.value_next;
        if !open.value_next {
            open.remaining = open.remaining.map(|remaining| remaining.saturating_sub(1));
        }
    }
}
