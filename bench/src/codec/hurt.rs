//! Inputs made to hurt: families that grow by a number; twice that number must not cost much more than twice
//! as much.

use crate::documents::array;
use crate::ways::{self, Way};
use lowband_codec::{EncodeOptions, Order, Policy, PushOptions};

pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) size: usize,
    pub(crate) make: fn(usize) -> Vec<u8>,
    pub(crate) way: MakeWay,
}

type MakeWay = fn(&[u8]) -> Way<'_>;

/// A way, its name, and the factor by which its inputs are smaller than the family's size says.
type How = (&'static str, usize, MakeWay);

const STRICT: How = ("", 1, |json| ways::json_to_cbor(json, ways::encode_options()));
const LENIENT: How = ("_lenient", 1, |json| {
    ways::json_to_cbor(json, EncodeOptions { policy: Policy::Lenient, ..ways::encode_options() })
});
const CANONICAL: How = ("_canonical", 1, |json| {
    ways::json_to_cbor(json, EncodeOptions { order: Order::LengthFirst, ..ways::encode_options() })
});
const DECODE: How = ("", 1, ways::cbor_to_json);

const PUSH: How = ("_push", 1, |json| ways::push_json_to_cbor(json, ways::push_options(), ways::PIECE));
const PUSH_LENIENT: How =
    ("_push_lenient", 1, |json| ways::push_json_to_cbor(json, push_lenient(), ways::PIECE));
const PUSH_DECODE: How = ("_push", 1, |cbor| ways::push_cbor_to_json(cbor, ways::PIECE));

// Each byte is a call, and is cut off from what it belongs to: work that is repeated for each piece shows in
// a tenth already.
const BYTES: How = ("_push_bytes", 10, |json| ways::push_json_to_cbor(json, ways::push_options(), 1));
const BYTES_LENIENT: How =
    ("_push_bytes_lenient", 10, |json| ways::push_json_to_cbor(json, push_lenient(), 1));
const BYTES_DECODE: How = ("_push_bytes", 10, |cbor| ways::push_cbor_to_json(cbor, 1));

fn push_lenient() -> PushOptions<'static> {
    PushOptions { policy: Policy::Lenient, ..ways::push_options() }
}

/// Returns the families. The size of a family is a number of elements, of steps into the depth or of bytes;
/// it is chosen so that a call takes a million instructions or so, in which a step that is quadratic would
/// show.
pub(crate) fn families() -> Vec<Family> {
    let mut families = Vec::new();
    let mut add = |name: &str, size, make, ways: &[How]| {
        for (how, part, way) in ways {
            families.push(Family { name: format!("{name}{how}"), size: size / part, make, way: *way });
        }
    };

    let strict = [STRICT, PUSH, BYTES];
    let lenient = [LENIENT, PUSH_LENIENT, BYTES_LENIENT];
    // Both ways that an encoder has, and in pieces.
    let both = [STRICT, CANONICAL, PUSH, BYTES];
    add("json_nested_to_the_limit", 100, |n| repeat(&nested(127), n), &both);
    add("json_empty_objects", 20_000, |n| repeat("{}", n), &both);
    add("json_long_heads_at_each_level", 100, long_heads, &both);
    add("json_long_heads_side_by_side", 500, |n| repeat(&array((0..24).map(|i| i.to_string())), n), &both);
    add("json_unknown_keys", 3_000, |n| object(n, |i| format!("key{i}")), &both);
    add(
        "json_unknown_keys_of_one_fingerprint",
        3_000,
        |n| object(n, |i| format!("12345678{i:08}12345678")),
        &both,
    );
    add("json_one_key", 3_000, |n| object(n, |_| "a".to_owned()), &lenient);
    add("json_one_known_key", 3_000, |n| object(n, |_| "type".to_owned()), &lenient);
    add("json_repeats_at_each_level", 100, repeats, &lenient);
    add("json_only_escapes", 10_000, |n| text(&r"\u0041".repeat(n)), &strict);
    add("json_key_of_escapes", 10_000, |n| object(1, |_| r"\u0041".repeat(n)), &strict);
    add("json_texts_with_one_escape", 5_000, |n| repeat(r#""some text and a \n""#, n), &strict);
    add("json_lone_surrogates", 20_000, |n| text(&r"\ud800".repeat(n)), &lenient);
    add("json_one_tenth", 5_000, |n| repeat("0.1", n), &strict);
    add("json_floats_of_17_digits", 2_000, |n| floats(n, 17), &strict);
    add("json_floats_of_800_digits", 20, |n| floats(n, 800), &strict);
    add("json_integers_beyond_64_bits", 2_000, |n| repeat("123456789012345678901234567890", n), &lenient);
    add("json_one_long_number", 20_000, |n| "7".repeat(n).into(), &lenient);
    add("json_one_long_text", 200_000, |n| text(&"a".repeat(n)), &strict);
    add("json_characters_of_two_bytes", 50_000, |n| text(&"é".repeat(n)), &strict);
    add("json_white_space", 100_000, |n| format!("[{}]", " ".repeat(n)).into(), &strict);
    add("json_too_deep", 50_000, |n| format!("{}{}", "[".repeat(n), "]".repeat(n)).into(), &lenient);
    add("json_no_utf8_at_the_end", 20_000, |n| [repeat("{}", n), vec![0xff]].concat(), &strict);

    let decode = [DECODE, PUSH_DECODE, BYTES_DECODE];
    add("cbor_nested_to_the_limit", 100, |n| list(n, |_| [vec![0x81; 126], vec![0x80]].concat()), &decode);
    add("cbor_empty_maps", 20_000, |n| list(n, |_| vec![0xa0]), &decode);
    add("cbor_unknown_keys", 3_000, |n| map(n, |i| short_text(&format!("key{i}"))), &decode);
    add(
        "cbor_unknown_keys_of_one_fingerprint",
        3_000,
        |n| map(n, |i| short_text(&format!("12345678{i:06}12345678"))),
        &decode,
    );
    add("cbor_integer_keys", 3_000, |n| map(n, |i| head(0x00, 1_000 + i)), &decode);
    add("cbor_one_key", 3_000, |n| map(n, |_| short_text("a")), &decode);
    add("cbor_twins", 2_000, |n| map(2 * n, twin), &decode);
    add("cbor_twins_at_each_level", 60, twins, &decode);
    add(
        "cbor_random_doubles",
        2_000,
        |n| list(n, |i| double(f64::from_bits(mixed(i as u64) & !(1 << 62)))),
        &decode,
    );
    add("cbor_whole_doubles", 5_000, |n| list(n, |i| double(i as f64)), &decode);
    add("cbor_control_characters", 50_000, |n| [head(0x60, n), vec![1; n]].concat(), &decode);
    add("cbor_longest_key_name", 5_000, |n| list(n, |_| b"\xa1\x18\x48\x00".to_vec()), &decode);
    add("cbor_one_byte_chunks", 20_000, |n| [vec![0x7f], b"\x61a".repeat(n), vec![0xff]].concat(), &decode);
    add("cbor_empty_chunks", 20_000, |n| [vec![0x7f], vec![0x60; n], vec![0xff]].concat(), &decode);
    add("cbor_indefinite_arrays", 10_000, |n| list(n, |_| vec![0x9f, 0xff]), &decode);
    add("cbor_heads_longer_than_needed", 5_000, |n| list(n, |_| vec![0x1b, 0, 0, 0, 0, 0, 0, 0, 7]), &decode);
    add(
        "cbor_claimed_lengths",
        5_000,
        |n| [vec![0x9b, 0, 0, 1, 0, 0, 0, 0, 0], vec![0x60; n]].concat(),
        &decode,
    );
    add("cbor_tags", 20_000, |n| vec![0xc1; n], &decode);
    add(
        "cbor_no_utf8_at_the_end",
        5_000,
        |n| list(n + 1, |i| if i == n { vec![0x61, 0xff] } else { short_text("text") }),
        &decode,
    );
    families
}

fn repeat(element: &str, n: usize) -> Vec<u8> {
    array((0..n).map(|_| element.to_owned())).into()
}

fn text(content: &str) -> Vec<u8> {
    format!("\"{content}\"").into()
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Makes a hundred levels with a long head each, and `n` integers in each.
fn long_heads(n: usize) -> Vec<u8> {
    let integers = ",7".repeat(n);
    (0..100).fold("0".to_owned(), |inner, _| format!("[{inner}{integers}]")).into()
}

fn object(n: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
    let entries: Vec<String> = (0..n).map(|i| format!("\"{}\":0", name(i))).collect();
    format!("{{{}}}", entries.join(",")).into()
}

/// Makes a key twice in each of `n` levels, with something around it that has to be moved.
fn repeats(n: usize) -> Vec<u8> {
    (0..n).fold("0".to_owned(), |inner, _| format!(r#"{{"a":[1,2,3],"a":{inner},"b":"text"}}"#)).into()
}

/// Makes `n` different fractions of as many digits.
fn floats(n: usize, digits: usize) -> Vec<u8> {
    let digits = |i: usize| {
        (0..digits).map(|place| char::from(b'1' + (mixed((i + place) as u64) % 9) as u8)).collect::<String>()
    };
    array((0..n).map(|i| format!("0.{}", digits(i)))).into()
}

/// Returns a number of 64 bits that looks random (the mixer of SplitMix64).
fn mixed(i: u64) -> u64 {
    let mixed = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

/// Makes a head with an argument of four bytes.
fn head(major: u8, argument: usize) -> Vec<u8> {
    [vec![major | 26], (argument as u32).to_be_bytes().to_vec()].concat()
}

fn list(n: usize, element: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    [head(0x80, n), (0..n).flat_map(element).collect()].concat()
}

fn map(n: usize, key: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    [head(0xa0, n), (0..n).flat_map(|i| [key(i), vec![0x00]].concat()).collect()].concat()
}

/// Makes a text of less than 24 bytes.
fn short_text(content: &str) -> Vec<u8> {
    [&[0x60 | content.len() as u8], content.as_bytes()].concat()
}

/// Makes a key: every other one is the decimal text of the integer before it.
fn twin(i: usize) -> Vec<u8> {
    let integer = 1_000 + i / 2;
    if i.is_multiple_of(2) { head(0x00, integer) } else { short_text(&integer.to_string()) }
}

/// Makes `type` as integer and as text in each of `n` levels.
fn twins(n: usize) -> Vec<u8> {
    [b"\xa2\x02\x00\x64type".repeat(n), vec![0]].concat()
}

fn double(value: f64) -> Vec<u8> {
    [vec![0xfb], value.to_be_bytes().to_vec()].concat()
}
