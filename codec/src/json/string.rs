//! Strings (RFC 8259 section 7): finding their end, taking escapes apart, and writing them.

use super::Cursor;
use crate::plain::{self, STEP};
use crate::{Error, ErrorKind};

/// Reads a string below 16 bytes without escapes to its end; the cursor stands after the opening quote.
/// Returns `None`, with the cursor unmoved, for any other string and near the end of the text.
#[inline(always)]
pub(crate) fn short<'j>(cursor: &mut Cursor<'j>) -> Option<(&'j [u8; STEP], usize)> {
    let step = cursor.ahead()?;
    let len = plain::first_special(step);
    if step.get(len) != Some(&b'"') {
        return None;
    }
    cursor.at += len + 1;
    Some((step, len))
}

/// Reads such a string together with its opening quote, on which the cursor stands.
#[inline(always)]
pub(crate) fn short_quoted<'j>(cursor: &mut Cursor<'j>) -> Option<(&'j [u8; 1 + STEP], usize)> {
    let quoted: &[u8; 1 + STEP] = cursor.ahead()?;
    let len = plain::first_special(quoted.last_chunk()?);
    if quoted.get(1 + len) != Some(&b'"') {
        return None;
    }
    cursor.at += len + 2;
    Some((quoted, len))
}

/// Reads a string below 48 bytes without escapes, as most identifiers are; the cursor stands after the
/// opening quote.
#[inline(always)]
pub(crate) fn medium<'j>(cursor: &mut Cursor<'j>) -> Option<(&'j [u8; 3 * STEP], usize)> {
    let piece: &[u8; 3 * STEP] = cursor.ahead()?;
    let mut len = 0;
    for step in piece.as_chunks().0 {
        let plain = plain::first_special(step);
        len += plain;
        if plain < STEP {
            break;
        }
    }
    if piece.get(len) != Some(&b'"') {
        return None;
    }
    cursor.at += len + 1;
    Some((piece, len))
}

/// Reads a key of up to 16 bytes with its quotes and a colon directly after them; the cursor stands on the
/// opening quote, if there is one, and is left after the colon.
#[inline(always)]
pub(crate) fn short_key<'j>(cursor: &mut Cursor<'j>) -> Option<(&'j [u8; 1 + STEP], usize)> {
    let window: &[u8; 1 + STEP + 2] = cursor.ahead()?;
    let quoted: &[u8; 1 + STEP] = window.first_chunk()?;
    let len = plain::first_special(quoted.last_chunk()?);
    if quoted.first() != Some(&b'"') || window.get(1 + len..)?.first_chunk() != Some(b"\":") {
        return None;
    }
    cursor.at += len + 3;
    Some((quoted, len))
}

/// Reads a string without escapes to its end; the cursor stands after the opening quote. Returns `None`, with
/// the cursor unmoved, if there is an escape; then [`unescape`] reads the string.
pub(crate) fn simple<'j>(cursor: &mut Cursor<'j>) -> Result<Option<&'j [u8]>, Error> {
    let rest = cursor.rest();
    let len = plain::len(rest);
    match rest.get(len) {
        Some(b'"') => {
            cursor.at += len + 1;
            Ok(rest.get(..len))
        }
        Some(b'\\') => Ok(None),
        Some(_) => Err(Error::new(ErrorKind::ControlCharacter, cursor.at + len)),
        None => Err(Error::new(ErrorKind::UnexpectedEnd, cursor.at + len)),
    }
}

/// Appends the text of a string up to its closing quote; the cursor stands after the opening quote. Each lone
/// surrogate becomes U+FFFD and is noted in `lone`, which stays valid if a later error ends the reading.
pub(crate) fn unescape(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
    lone: &mut LoneSurrogates,
) -> Result<(), Error> {
    loop {
        match cursor.peek() {
            Some(b'\\') => escape(cursor, out, lone)?,
            Some(b'"') => {
                cursor.at += 1;
                return Ok(());
            }
            Some(0..0x20) => return Err(Error::new(ErrorKind::ControlCharacter, cursor.at)),
            Some(_) => plain_run(cursor, out),
            None => return Err(Error::new(ErrorKind::UnexpectedEnd, cursor.at)),
        }
    }
}

/// Appends the plain bytes at this position.
#[inline(always)]
fn plain_run(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) {
    while let Some(step) = cursor.ahead() {
        let len = plain::first_special(step);
        plain::append(out, step, len);
        cursor.at += len;
        if len < STEP {
            return;
        }
    }
    let rest = cursor.rest();
    let run = rest.get(..plain::len(rest)).unwrap_or_default();
    out.extend_from_slice(run);
    cursor.at += run.len();
}

/// The lone surrogates that [`unescape`] replaced by U+FFFD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoneSurrogates {
    pub(crate) number: u64,
    pub(crate) first: usize,
}

/// Reads one escape; the cursor stands on its backslash.
#[cfg_attr(not(feature = "small"), inline(always))]
pub(crate) fn escape(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
    lone: &mut LoneSurrogates,
) -> Result<(), Error> {
    // Homeservers escape every non-ASCII character like this; characters beyond 16 bits take two escapes.
    if let Some([_, b'u', digits @ ..]) = cursor.ahead::<6>() {
        let unit = hex(digits);
        if let Some(character) = char::from_u32(unit) {
            cursor.at += 6;
            append_character(out, character);
            return Ok(());
        }
        if let Some([_, _, _, _, _, _, b'\\', b'u', digits @ ..]) = cursor.ahead::<12>()
            && let Some(character) = pair(unit, hex(digits))
        {
            cursor.at += 12;
            append_character(out, character);
            return Ok(());
        }
    }
    other_escape(cursor, out, lone)
}

/// Returns the character of a pair of surrogates.
#[inline(always)]
fn pair(high: u32, low: u32) -> Option<char> {
    let (high, low) = (high.wrapping_sub(0xd800), low.wrapping_sub(0xdc00));
    if high < 0x400 && low < 0x400 { char::from_u32(0x10000 + (high << 10 | low)) } else { None }
}

/// Reads a short escape, a lone surrogate, an escape near the end of the text, or an invalid one.
fn other_escape(cursor: &mut Cursor<'_>, out: &mut Vec<u8>, lone: &mut LoneSurrogates) -> Result<(), Error> {
    let start = cursor.at;
    cursor.at += 1;
    let byte = match cursor.peek().ok_or_else(|| cursor.wanted(ErrorKind::InvalidEscape))? {
        byte @ (b'"' | b'\\' | b'/') => byte,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            cursor.at += 1;
            let character = character(cursor, start)?.unwrap_or_else(|| {
                lone.first = if lone.number == 0 { start } else { lone.first };
                lone.number += 1;
                char::REPLACEMENT_CHARACTER
            });
            append_character(out, character);
            return Ok(());
        }
        _ => return Err(Error::new(ErrorKind::InvalidEscape, start)),
    };
    cursor.at += 1;
    out.push(byte);
    Ok(())
}

#[inline(always)]
fn append_character(out: &mut Vec<u8>, character: char) {
    let mut utf8 = [0; 4];
    let len = character.encode_utf8(&mut utf8).len();
    plain::append(out, &utf8, len);
}

/// Reads the character of one `\uXXXX` or of a pair of them; the cursor stands after the first `u`. Returns
/// `None` for a lone surrogate; if the text ends before that is known, the end is the error.
fn character(cursor: &mut Cursor<'_>, start: usize) -> Result<Option<char>, Error> {
    let unit = unit(cursor, start)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return Ok(char::from_u32(unit));
    }
    match cursor.rest() {
        [b'\\', b'u', ..] => {}
        rest @ ([] | [b'\\']) => {
            return Err(Error::new(ErrorKind::UnexpectedEnd, cursor.at + rest.len()));
        }
        _ => return Ok(None),
    }
    let mut ahead = cursor.clone();
    ahead.at += 2;
    let low = self::unit(&mut ahead, cursor.at)?;
    let character = pair(unit, low);
    if character.is_some() {
        cursor.at = ahead.at;
    }
    Ok(character)
}

/// Reads four hexadecimal digits.
fn unit(cursor: &mut Cursor<'_>, start: usize) -> Result<u32, Error> {
    let digits = cursor.ahead().ok_or_else(|| cut_unit(cursor, start))?;
    let unit = hex(digits);
    if unit > 0xffff {
        return Err(Error::new(ErrorKind::InvalidEscape, start));
    }
    cursor.at += digits.len();
    Ok(unit)
}

/// Returns the error for fewer than four digits: the first byte that is not a digit, or else the end of the
/// text.
#[cold]
fn cut_unit(cursor: &Cursor<'_>, start: usize) -> Error {
    let rest = cursor.rest();
    match rest.iter().all(u8::is_ascii_hexdigit) {
        true => Error::new(ErrorKind::UnexpectedEnd, cursor.at + rest.len()),
        false => Error::new(ErrorKind::InvalidEscape, start),
    }
}

/// Returns the value of four hexadecimal digits; a number beyond all characters if one of them is not a
/// digit.
#[inline(always)]
fn hex(digits: &[u8; 4]) -> u32 {
    // A non-digit has a negative value, whose sign stays whatever is shifted in after it.
    const VALUES: [i32; 256] = {
        let mut values = [-1; 256];
        let mut rest: &mut [i32] = &mut values;
        let mut byte = 0;
        while let Some((value, others)) = rest.split_first_mut() {
            if let Some(digit) = (byte as u8 as char).to_digit(16) {
                *value = digit as i32;
            }
            byte += 1;
            rest = others;
        }
        values
    };
    let value = |digit: u8| VALUES.get(usize::from(digit)).copied().unwrap_or(-1);
    digits.iter().fold(0, |high, digit| high << 4 | value(*digit)) as u32
}

/// Appends text as the inside of a JSON string; escapes only what must be escaped. Returns false, with a part
/// written, as soon as `out` would grow beyond `max_len`.
pub(crate) fn write_escaped(text: &[u8], out: &mut Vec<u8>, max_len: usize) -> bool {
    let mut rest = text;
    loop {
        rest = escape_steps(rest, out, max_len);
        let (run, after) = rest.split_at(plain::len(rest));
        if out.len().saturating_add(run.len()) > max_len {
            return false;
        }
        out.extend_from_slice(run);
        let Some((byte, tail)) = after.split_first() else { return true };
        write_escape(*byte, out);
        rest = tail;
    }
}

/// Escapes step by step as long as each step has something to escape, not to the end. Returns the rest of the
/// text.
fn escape_steps<'t>(text: &'t [u8], out: &mut Vec<u8>, max_len: usize) -> &'t [u8] {
    let mut rest = text;
    while let Some(window) = rest.first_chunk::<{ 2 * STEP }>()
        && out.len() + STEP * LONGEST_ESCAPE <= max_len
        && let [step, _] = window.as_chunks().0
    {
        let mut special = plain::each_special(step);
        if special == 0 {
            break;
        }
        let mut from = 0;
        while special != 0 {
            let at = plain::first(special);
            append_run(window, from, at, out);
            step.get(at).into_iter().for_each(|byte| write_escape(*byte, out));
            from = at + 1;
            special &= special - 1;
        }
        append_run(window, from, STEP, out);
        rest = rest.get(STEP..).unwrap_or_default();
    }
    rest
}

/// Appends the first step of the window: short runs are not worth a call of `memcpy`.
#[inline(always)]
fn append_run(window: &[u8; 2 * STEP], from: usize, to: usize, out: &mut Vec<u8>) {
    if let Some(run) = window.get(from..).and_then(|run| run.first_chunk::<STEP>()) {
        plain::append(out, run, to - from);
    }
}

/// The longest escape in bytes: `\u001f`.
const LONGEST_ESCAPE: usize = 6;

/// Appends the escape of a byte that needs one.
#[inline(always)]
fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let hex = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Returns a text as a whole JSON string.
pub(crate) fn quote(text: &str) -> Vec<u8> {
    let mut out = vec![b'"'];
    write_escaped(text.as_bytes(), &mut out, usize::MAX);
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_beyond_the_limit_wherever_escapes_stand() {
        for distance in 1..20 {
            let text: String = (0..100).map(|i| if i % distance == 0 { '\n' } else { 'a' }).collect();
            let whole = serde_json::to_string(&text).unwrap();
            let whole = &whole.as_bytes()[1..whole.len() - 1];
            for max_len in 0..whole.len() + 10 {
                let mut out = Vec::new();
                let written = write_escaped(text.as_bytes(), &mut out, max_len);
                assert_eq!(written, max_len >= whole.len(), "{distance}, {max_len}");
                assert!(
                    out.len() < max_len + LONGEST_ESCAPE && whole.starts_with(&out),
                    "{distance}, {max_len}"
                );
            }
        }
    }

    #[test]
    fn quoting_is_undone_by_unescaping_for_every_ascii_character() {
        let text: String = (0..128_u8).map(char::from).chain("\u{2028}<>&é𝄞".chars()).collect();
        let quoted = quote(&text);
        let mut cursor = Cursor::of(&quoted);
        cursor.at = 1;
        let (mut back, mut lone) = (Vec::new(), LoneSurrogates::default());
        unescape(&mut cursor, &mut back, &mut lone).unwrap();
        assert_eq!(lone.number, 0);
        assert_eq!((back.as_slice(), cursor.at), (text.as_bytes(), quoted.len()));
    }
}
