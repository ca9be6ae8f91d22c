//! The way back.

use super::head::{Head, Major, write_head};
use super::{
    LONGEST_TEXT, NULL, NotPacked, ONE_BYTE, Place, TABLE, TAG_BASE64, TAG_BASE64URL, TAG_TABLE, TRUE,
};
use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Unpacks a body that comes in pieces.
#[derive(Debug)]
pub struct Unpacker {
    place: Place,
    held: Vec<u8>,
    /// Bytes of the packed body before what is held.
    read: u64,
    written: usize,
    most: usize,
}

/// What stands in the place of a text or of a head.
enum Found<'b> {
    /// More has to come.
    Part,
    Text(&'static str),
    /// A sign, and bytes in base64.
    Base64(&'static str, &'b [u8], &'static GeneralPurpose),
    /// A head as it is.
    Head(&'b [u8]),
}

impl Unpacker {
    /// Makes one for a body that stands for at most so many bytes.
    pub fn new(most: usize) -> Unpacker {
        Unpacker { place: Place::default(), held: Vec::new(), read: 0, written: 0, most }
    }

    /// Takes the next piece, and writes what it stands for.
    ///
    /// # Errors
    ///
    /// The body is not a packed one, or stands for more than it may. What follows means nothing then.
    pub fn push(&mut self, piece: &[u8], cbor: &mut Vec<u8>) -> Result<(), NotPacked> {
        let begin = cbor.len();
        let outcome = if self.held.is_empty() {
            self.take(piece, begin, cbor).map(|rest| self.held.extend_from_slice(rest))
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(piece);
            self.take(&held, begin, cbor).map(<[u8]>::len).map(|rest| {
                held.drain(..held.len() - rest);
                self.held = held;
            })
        };
        self.written += cbor.len() - begin;
        outcome
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// The body breaks off within something that stands for a text, or stands for more than it may.
    pub fn finish(self, cbor: &mut Vec<u8>) -> Result<(), NotPacked> {
        if let Some(TAG_TABLE | TAG_BASE64 | TAG_BASE64URL) = self.held.first().copied() {
            return Err(NotPacked::CutOff(self.read + self.held.len() as u64));
        }
        if self.written + self.held.len() > self.most {
            return Err(NotPacked::TooLong(self.most));
        }
        cbor.extend_from_slice(&self.held);
        Ok(())
    }

    /// Returns the rest, of which more has to come.
    fn take<'b>(
        &mut self,
        mut bytes: &'b [u8],
        begin: usize,
        cbor: &mut Vec<u8>,
    ) -> Result<&'b [u8], NotPacked> {
        while !bytes.is_empty() {
            let before = bytes.len();
            if let Some(rest) = self.place.pass_on(bytes, cbor) {
                bytes = rest;
            } else if let (Place::Item, Some(TAG_TABLE | TAG_BASE64 | TAG_BASE64URL)) =
                (self.place, bytes.first().copied())
            {
                let (found, rest) = find(bytes).ok_or(NotPacked::Item(self.read))?;
                match found {
                    Found::Part => break,
                    Found::Text(text) => write(text, cbor),
                    Found::Base64(sign, base64, engine) => write_base64(sign, base64, engine, cbor),
                    Found::Head(head) => cbor.extend_from_slice(head),
                }
                bytes = rest;
            } else {
                match Head::read(bytes) {
                    Ok(None) => break,
                    Err(_malformed) => self.place = Place::Unknown,
                    Ok(Some((head, behind))) => {
                        if self.place == Place::Item && head.is_known_text() {
                            let text = head.length().and_then(|number| TABLE.get(number));
                            write(text.ok_or(NotPacked::Item(self.read))?, cbor);
                            bytes = behind;
                        } else if self.place == Place::Item && head.major == Major::Tag {
                            return Err(NotPacked::Item(self.read));
                        } else if self.place.behind(&head) {
                            cbor.extend_from_slice(bytes.get(..bytes.len() - behind.len()).unwrap_or(bytes));
                            bytes = behind;
                        }
                    }
                }
            }
            self.read += (before - bytes.len()) as u64;
            if self.written + cbor.len() - begin > self.most {
                return Err(NotPacked::TooLong(self.most));
            }
        }
        Ok(bytes)
    }
}

/// Reads what begins with one of the three tags; `None` if no packer writes that.
fn find(bytes: &[u8]) -> Option<(Found<'_>, &[u8])> {
    const PART: Option<(Found<'_>, &[u8])> = Some((Found::Part, &[]));
    let (tag, rest) = bytes.split_first()?;
    let (sign, engine) = match *tag {
        TAG_BASE64 => ("", &STANDARD_NO_PAD),
        TAG_BASE64URL => ("", &URL_SAFE_NO_PAD),
        _ => ("$", &URL_SAFE_NO_PAD),
    };
    if *tag != TAG_TABLE {
        return in_base64(sign, engine, rest);
    }
    match rest.split_first().map(|(first, rest)| (*first, rest)) {
        None => PART,
        Some((TRUE, rest)) => in_base64("!", engine, rest),
        Some((NULL, rest)) => match Head::read(rest).ok()? {
            None => PART,
            Some((head, behind)) if head.major == Major::Tag || head.is_known_text() => {
                Some((Found::Head(rest.get(..rest.len() - behind.len())?), behind))
            }
            Some(_) => None,
        },
        Some(_) => {
            let Some((head, behind)) = Head::read(rest).ok()? else { return PART };
            let further = match head.major {
                Major::Unsigned => head.length()?.checked_mul(2)?,
                Major::Negative => head.length()?.checked_mul(2)?.checked_add(1)?,
                Major::Bytes => return in_base64(sign, engine, rest),
                _ => return None,
            };
            Some((Found::Text(TABLE.get(ONE_BYTE.checked_add(further)?)?), behind))
        }
    }
}

fn in_base64<'b>(
    sign: &'static str,
    engine: &'static GeneralPurpose,
    bytes: &'b [u8],
) -> Option<(Found<'b>, &'b [u8])> {
    let Some((head, behind)) = Head::read(bytes).ok()? else { return Some((Found::Part, &[])) };
    let length = head.length().filter(|length| head.major == Major::Bytes && *length <= LONGEST_TEXT)?;
    match behind.split_at_checked(length) {
        Some((bytes, rest)) => Some((Found::Base64(sign, bytes, engine), rest)),
        None => Some((Found::Part, &[])),
    }
}

fn write(text: &str, to: &mut Vec<u8>) {
    write_head(Major::Text, text.len() as u64, to);
    to.extend_from_slice(text.as_bytes());
}

fn write_base64(sign: &str, bytes: &[u8], engine: &GeneralPurpose, to: &mut Vec<u8>) {
    let length = base64::encoded_len(bytes.len(), false).unwrap_or_default();
    write_head(Major::Text, (sign.len() + length) as u64, to);
    to.extend_from_slice(sign.as_bytes());
    let begin = to.len();
    to.resize(begin + length, 0);
    // The room is as long as what is written.
    let _written = engine.encode_slice(bytes, to.get_mut(begin..).unwrap_or_default());
}
