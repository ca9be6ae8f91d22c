//! The items of a CBOR sequence (RFC 8742): heads one after the other, and what is open.

use super::Step;
use crate::cbor::{BREAK, INDEFINITE, MAX_HEAD, major};
use crate::{Error, ErrorKind};

/// Finds where the items of a CBOR sequence end.
///
/// An item that ends here is well-formed (RFC 8949 section 3); its texts may not be UTF-8, and its keys may
/// occur twice.
#[derive(Clone, Debug)]
pub struct CborItems {
    max_depth: usize,
    /// Bytes taken so far.
    offset: usize,
    /// The bytes of a head that is not complete, and how many have come.
    head: [u8; MAX_HEAD],
    head_len: usize,
    /// Bytes of a string that are still to come.
    content: u64,
    open: Vec<Open>,
    /// True behind a tag: its content has to follow.
    tagged: bool,
    /// True inside an item.
    inside: bool,
}

/// An array, a map or a string of indefinite length that is not complete.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The major type.
    major: u8,
    /// Elements or pairs still to come; `None` for an indefinite length.
    remaining: Option<u64>,
    /// True between the key and the value of a pair.
    value_next: bool,
}

impl CborItems {
    /// Makes a search that begins before the first item. `max_depth`: arrays, maps and strings of indefinite
    /// length that may be open at once; tags cost nothing.
    pub fn new(max_depth: usize) -> CborItems {
        CborItems {
            max_depth,
            offset: 0,
            head: [0; MAX_HEAD],
            head_len: 0,
            content: 0,
            open: Vec::new(),
            tagged: false,
            inside: false,
        }
    }

    /// Takes bytes up to the end of the next item, or to the end of the piece. Call it again with the rest.
    ///
    /// # Errors
    ///
    /// An item that is not well-formed or nested too deep, with the offset from the start of the sequence.
    /// Nothing can follow it.
    pub fn push(&mut self, piece: &[u8]) -> Result<Step, Error> {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            self.inside = true;
            let ended = if self.content > 0 {
                let len = usize::try_from(self.content).unwrap_or(usize::MAX).min(rest.len());
                (self.offset, self.content) = (self.offset + len, self.content - len as u64);
                rest = rest.get(len..).unwrap_or_default();
                self.content == 0 && self.complete()
            } else {
                rest = after;
                self.offset += 1;
                self.byte_of_head(*byte)?
            };
            if ended {
                self.inside = false;
                return Ok(Step { skipped: 0, taken: piece.len() - rest.len(), ended: true });
            }
        }
        Ok(Step { skipped: 0, taken: piece.len(), ended: false })
    }

    /// Returns true inside an item: a sequence that ends here is cut.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Returns the bytes taken so far: after [`Step::ended`] the offset of the next item.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the error of a sequence that ends here, inside an item.
    pub(super) fn cut(&self) -> Error {
        Error::new(ErrorKind::UnexpectedEnd, self.offset)
    }

    /// Takes a byte of a head. Returns true if that ends the item.
    fn byte_of_head(&mut self, byte: u8) -> Result<bool, Error> {
        self.head.get_mut(self.head_len).into_iter().for_each(|place| *place = byte);
        self.head_len += 1;
        let [first, argument @ ..] = self.head;
        let width = match first & 0x1f {
            info @ 24..28 => 1_usize << (info - 24),
            _ => 0,
        };
        if self.head_len <= width {
            return Ok(false);
        }
        let at = self.offset - self.head_len;
        self.head_len = 0;
        let argument = argument.iter().take(width).fold(0, |high, byte| high << 8 | u64::from(*byte));
        let argument = match first & 0x1f {
            info @ 0..24 => Some(u64::from(info)),
            24..28 => Some(argument),
            INDEFINITE => None,
            _ => return Err(Error::new(ErrorKind::InvalidHead, at)),
        };
        self.head(first, argument, at)
    }

    /// Takes a whole head (RFC 8949 section 3). Returns true if that ends the item.
    fn head(&mut self, first: u8, argument: Option<u64>, at: usize) -> Result<bool, Error> {
        let invalid = Err(Error::new(ErrorKind::InvalidHead, at));
        let major = first & 0xe0;
        if first == BREAK {
            return self.end(at);
        }
        if let Some(around) = self.open.last()
            && matches!(around.major, major::BYTES | major::TEXT)
            && (around.major != major || argument.is_none())
        {
            // RFC 8949 section 3.2.3: strings of the same type and of definite length. A head that is none
            // at all is worse.
            let is_head = match major {
                major::OTHER => first != (major::OTHER | 24) || argument.is_some_and(|simple| simple >= 32),
                major::UNSIGNED | major::NEGATIVE | major::TAG => argument.is_some(),
                _ => true,
            };
            let kind = if is_head { ErrorKind::InvalidChunk } else { ErrorKind::InvalidHead };
            return Err(Error::new(kind, at));
        }
        match (major, argument) {
            (major::UNSIGNED | major::NEGATIVE, Some(_)) => Ok(self.complete()),
            (major::BYTES | major::TEXT, Some(0)) => Ok(self.complete()),
            (major::BYTES | major::TEXT, Some(len)) => {
                self.content = len;
                Ok(false)
            }
            (major::ARRAY | major::MAP, Some(0)) => Ok(self.complete()),
            (major::BYTES | major::TEXT | major::ARRAY | major::MAP, remaining) => {
                if self.open.len() >= self.max_depth {
                    return Err(Error::new(ErrorKind::TooDeep, at));
                }
                self.open.push(Open { major, remaining, value_next: false });
                self.tagged = false;
                Ok(false)
            }
            (major::TAG, Some(_)) => {
                self.tagged = true;
                Ok(false)
            }
            // Two-byte forms of values below 32 are not well-formed (RFC 8949 section 3.3).
            (major::OTHER, Some(0..32)) if first == (major::OTHER | 24) => invalid,
            (major::OTHER, Some(_)) => Ok(self.complete()),
            _ => invalid,
        }
    }

    /// Takes a break. Returns true if that ends the item.
    fn end(&mut self, at: usize) -> Result<bool, Error> {
        let ends = |open: &Open| open.remaining.is_none() && !open.value_next;
        if self.tagged || !self.open.last().is_some_and(ends) {
            return Err(Error::new(ErrorKind::UnexpectedBreak, at));
        }
        self.open.pop();
        Ok(self.complete())
    }

    /// Counts a complete item into the one around it. Returns true if there is none around.
    fn complete(&mut self) -> bool {
        self.tagged = false;
        while let Some(around) = self.open.last_mut() {
            if around.major == major::MAP {
                around.value_next = !around.value_next;
            }
            if !around.value_next && matches!(around.major, major::ARRAY | major::MAP) {
                around.remaining = around.remaining.map(|remaining| remaining.saturating_sub(1));
            }
            if around.value_next || around.remaining != Some(0) {
                return false;
            }
            self.open.pop();
        }
        true
    }
}
