//! Plain bytes of a JSON string: no quote, no backslash, no control character (RFC 8259 section 7). Both
//! directions spend most of their time on runs of them. The end of a run is searched 16 bytes at a time, and
//! short runs are copied in whole pieces whose surplus is cut off again, which costs less than a call of
//! `memcpy`.

// The search for this target. All variants have the same functions: `special` is not 0 if a byte of a step is
// special, and `first` returns the index of that byte; in `each_special` all bits are exact; `first_unusual`
// also stops at a byte that is not ASCII.
#[cfg_attr(all(target_arch = "wasm32", target_feature = "simd128"), path = "plain/simd128.rs")]
#[cfg_attr(all(target_arch = "wasm32", not(target_feature = "simd128")), path = "plain/words.rs")]
#[cfg_attr(all(target_arch = "x86_64", target_feature = "sse2"), path = "plain/sse2.rs")]
#[cfg_attr(
    not(any(target_arch = "wasm32", all(target_arch = "x86_64", target_feature = "sse2"))),
    path = "plain/portable.rs"
)]
mod search;

#[cfg(test)]
mod portable;
#[cfg(test)]
mod words;

use search::special;
pub(crate) use search::{each_special, first, first_unusual};

/// Bytes that are looked at in one step.
pub(crate) const STEP: usize = 16;

/// Flipping this bit turns a quote into a space and leaves control characters below [`FLIPPED_BELOW`]; all
/// other bytes stay above it. So one comparison finds both.
const FLIP: u8 = b'"' ^ b' ';
const FLIPPED_BELOW: u8 = b' ' + 1;

/// Returns the number of plain bytes at the start.
#[cfg_attr(not(feature = "small"), inline(always))]
pub(crate) fn len(bytes: &[u8]) -> usize {
    for (step, at) in bytes.as_chunks().0.iter().zip((0..).step_by(STEP)) {
        let special = special(step);
        if special != 0 {
            return at + first(special);
        }
    }
    match bytes.last_chunk() {
        // Some of the last sixteen bytes may have been checked before: those are plain.
        Some(last) => bytes.len() - STEP + first_special(last),
        None => bytes.iter().position(|b| matches!(b, 0..0x20 | b'"' | b'\\')).unwrap_or(bytes.len()),
    }
}

/// Appends the first `len` bytes of a piece, which is copied as a whole.
#[inline(always)]
pub(crate) fn append<const N: usize>(out: &mut Vec<u8>, piece: &[u8; N], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(piece);
    out.truncate(end);
}

/// Appends a text; short ones are common. On targets where a copy of unknown length is slow, it is copied in
/// two pieces of known length, which may overlap.
#[inline(always)]
pub(crate) fn append_text(out: &mut Vec<u8>, text: &[u8]) {
    // In WebAssembly such a copy is one instruction, but V8 turns it into a call out of the module.
    if cfg!(not(target_arch = "wasm32")) || text.len() > 2 * STEP {
        out.extend_from_slice(text);
    } else if !(append_ends::<STEP>(out, text) || append_ends::<8>(out, text) || append_ends::<4>(out, text))
    {
        text.iter().for_each(|byte| out.push(*byte));
    }
}

/// Appends a text of `N` to `2 * N` bytes. Returns false for a shorter one.
#[inline(always)]
fn append_ends<const N: usize>(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else { return false };
    let end = out.len() + text.len();
    out.reserve(2 * N);
    out.extend_from_slice(first);
    out.truncate(end - N);
    out.extend_from_slice(last);
    true
}

/// Returns the two halves of a step as numbers, the first byte lowest.
#[inline(always)]
pub(crate) fn halves(step: &[u8; STEP]) -> [u64; 2] {
    match step.as_chunks::<8>().0 {
        [low, high] => [u64::from_le_bytes(*low), u64::from_le_bytes(*high)],
        _ => [0; 2],
    }
}

/// Returns the number of bytes before the first special one; [`STEP`] if there is none.
#[inline(always)]
pub(crate) fn first_special(step: &[u8; STEP]) -> usize {
    first(special(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unusual_byte_is_special_or_no_ascii() {
        for byte in 0..=0xff {
            for place in 0..STEP {
                let mut step = [b'a'; STEP];
                step[place] = byte;
                let usual = matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\');
                let expected = if usual { STEP } else { place };
                assert_eq!(first_unusual(&step), expected, "{byte:#04x}");
                assert_eq!(portable::first_unusual(&step), expected, "{byte:#04x}");
                assert_eq!(words::first_unusual(&step), expected, "{byte:#04x}");
            }
        }
    }

    #[test]
    fn a_text_goes_in_two_pieces_that_may_overlap() {
        fn check<const N: usize>() {
            for len in 0..=2 * N {
                let text: Vec<u8> = (1..).take(len).collect();
                let mut out = b"before".to_vec();
                assert_eq!(append_ends::<N>(&mut out, &text), len >= N, "{len}");
                let appended = if len >= N { &text[..] } else { b"" };
                assert_eq!(out, [b"before", appended].concat(), "{N} {len}");
            }
        }
        check::<4>();
        check::<8>();
        check::<STEP>();
    }

    #[test]
    fn each_special_byte_has_one_bit() {
        let neighbours = [0x00, 0x1f, 0x20, b'!', b'"', b'#', b'[', b'\\', b']', 0x7f, 0x80, 0xff];
        for shift in 0..neighbours.len() {
            let step: [u8; STEP] =
                std::array::from_fn(|place| neighbours[place * (1 + shift) % neighbours.len()]);
            let expected = (0..STEP).filter(|place| matches!(step[*place], 0..0x20 | b'"' | b'\\'));
            let expected = expected.collect::<Vec<_>>();
            let mut bits = each_special(&step);
            let mut words = words::each_special(&step);
            let mut portable = portable::each_special(&step);
            for place in expected {
                assert_eq!(first(bits), place, "{step:02x?}");
                assert_eq!((words::first(words), portable::first(portable)), (place, place), "{step:02x?}");
                bits &= bits - 1;
                words &= words - 1;
                portable &= portable - 1;
            }
            assert_eq!((bits, words, portable), (0, 0, 0), "{step:02x?}");
        }
    }

    #[test]
    fn the_first_special_byte_is_found_at_every_place_among_all_other_bytes() {
        let harmless: Vec<u8> = (0x20..=0xff).filter(|b| !matches!(b, b'"' | b'\\')).collect();
        assert_eq!(len(&harmless), harmless.len());
        for special in (0..0x20).chain([b'"', b'\\']) {
            for place in 0..40 {
                let mut bytes: Vec<u8> = harmless.iter().copied().cycle().skip(place * 7).take(40).collect();
                bytes[place] = special;
                assert_eq!(len(&bytes), place, "{special:#04x}");
                for step in bytes.windows(STEP).filter_map(|step| step.first_chunk()) {
                    assert_eq!(portable::first(portable::special(step)), first_special(step), "{step:02x?}");
                    assert_eq!(words::first(words::special(step)), first_special(step), "{step:02x?}");
                }
            }
        }
    }
}
