//! What each token of JSON becomes, both in one-shot and in push mode.

use crate::cbor::{self, float, major, simple, write_head};
use crate::json::number::Number;
use crate::json::walk::Kind;
use crate::plain::STEP;
use crate::{Error, ErrorKind, Policy, Repairs, plain};

pub(crate) fn container_major(kind: Kind) -> u8 {
    match kind {
        Kind::Array => major::ARRAY,
        Kind::Object => major::MAP,
    }
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write_head(out, major::TEXT, text.len() as u64);
    plain::append_text(out, text);
}

/// Writes a text of this length; its content stands after the quote.
#[inline(always)]
pub(crate) fn write_short_text(out: &mut Vec<u8>, quoted: &[u8; 1 + STEP], len: usize) {
    // The head takes the place of the quote: both are one byte.
    let head_at = out.len();
    plain::append(out, quoted, 1 + len);
    out.get_mut(head_at).into_iter().for_each(|head| *head = major::TEXT | len as u8);
}

/// Writes the head of a text that stands at the end of `out`, with one byte reserved for it.
pub(crate) fn patch_text_head(out: &mut Vec<u8>, head_at: usize) {
    let content = head_at + 1..out.len();
    let (head, len) = cbor::head(major::TEXT, content.len() as u64);
    // A head longer than one byte moves the content up by the difference.
    plain::append(out, &[0; cbor::MAX_HEAD], len - 1);
    out.copy_within(content, head_at + len);
    out.iter_mut().skip(head_at).zip(head).take(len).for_each(|(to, from)| *to = from);
}

/// Appends a number that began at this offset; the lenient policy also takes one that is too large.
#[inline(always)]
pub(crate) fn write_number(
    out: &mut Vec<u8>,
    number: Number,
    at: usize,
    policy: Policy,
    repairs: &mut Repairs,
) -> Result<(), Error> {
    match number {
        Number::Unsigned(n) => write_head(out, major::UNSIGNED, n),
        Number::Negative(n) => write_head(out, major::NEGATIVE, n),
        Number::Float(value) => return write_float(out, value, at, policy, repairs),
        Number::Big(value) => return write_big(out, value, at, policy, repairs),
    }
    Ok(())
}

#[cold]
fn write_big(
    out: &mut Vec<u8>,
    value: f64,
    at: usize,
    policy: Policy,
    repairs: &mut Repairs,
) -> Result<(), Error> {
    if policy == Policy::Strict {
        return Err(Error::new(ErrorKind::BigInteger, at));
    }
    repairs.big_integers += u64::from(value.is_finite());
    write_float(out, value, at, policy, repairs)
}

#[inline(never)]
fn write_float(
    out: &mut Vec<u8>,
    value: f64,
    at: usize,
    policy: Policy,
    repairs: &mut Repairs,
) -> Result<(), Error> {
    if value.is_finite() {
        float::write(out, value);
    } else if policy == Policy::Lenient {
        repairs.huge_numbers += 1;
        out.push(simple::NULL);
    } else {
        return Err(Error::new(ErrorKind::HugeNumber, at));
    }
    Ok(())
}
