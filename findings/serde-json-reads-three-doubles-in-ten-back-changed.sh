#!/usr/bin/env bash
# Version: serde_json 1.0.154 (crates.io), its default features.
#
# Question: serde_json writes a double as the shortest decimal that means it, and reads the text again. How
# often does another double come back?
#
# Guess: seldom, less than once in a thousand, and only for numbers with a large exponent.
#
# What it does: of doubles with random bits nearly a third come back changed (29 in 100), of evenly spread
# numbers between 0 and 1 one in ten, by one or two units in the last place. The standard library's
# parse::<f64>() reads each of the same texts back as it was, and so does serde_json with its feature
# `float_roundtrip`. Short decimals (all of 0.000001 to 0.2 in steps of a millionth) are not touched.
#
# What follows: whoever turns JSON into CBOR and back with serde_json changes numbers on the way, without an
# error, and a number that goes through twice may drift: a codec switches `float_roundtrip` on, or parses the
# text of a number by the standard library, and its tests compare the bits of random doubles and not a list of
# round numbers. Cargo joins features, so a test in a workspace where some other crate asks for
# `float_roundtrip` does not show it.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"

cat >"$dir/plain.rs" <<'RS'
fn changed(values: &[f64], read: impl Fn(&str) -> f64) -> (usize, u64) {
    let mut count = 0;
    let mut most = 0;
    for value in values {
        let back = read(&serde_json::to_string(value).unwrap());
        if back.to_bits() != value.to_bits() {
            count += 1;
            most = most.max(back.to_bits().abs_diff(value.to_bits()));
        }
    }
    (count * 100 / values.len(), most)
}

fn main() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64; // xorshift: the same numbers in each run
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let bits: Vec<u64> = (0..200_000).map(|_| next()).collect();
    let any: Vec<f64> = bits.iter().map(|&b| f64::from_bits(b)).filter(|v| v.is_finite()).collect();
    let unit: Vec<f64> = bits.iter().map(|&b| (b >> 11) as f64 / (1_u64 << 53) as f64).collect();
    let short: Vec<f64> = (0..200_000).map(|n| n as f64 / 1e6).collect();
    for (name, values) in [("any", &any), ("unit", &unit), ("short", &short)] {
        let (percent, bits) = changed(values, |text| serde_json::from_str(text).unwrap());
        println!("{name}: serde_json changes {percent} of 100, by at most {bits} in the last place");
        println!("{name}: std changes {} of 100", changed(values, |text| text.parse().unwrap()).0);
    }
}
RS
cp "$dir/plain.rs" "$dir/exact.rs"
cargo_program plain 'serde_json = "=1.0.154"'
cargo_program exact 'serde_json = { version = "=1.0.154", features = ["float_roundtrip"] }'
"$dir/plain" >"$dir/plain.out"
"$dir/exact" >"$dir/exact.out"
seen "any: serde_json changes 29 of 100, by at most 2 in" "$dir/plain.out"
seen "unit: serde_json changes 10 of 100, by at most 1 in" "$dir/plain.out"
seen "short: serde_json changes 0 of 100, by at most 0 in" "$dir/plain.out"
for name in any unit short; do
  seen "$name: std changes 0 of 100" "$dir/plain.out"
  seen "$name: serde_json changes 0 of 100, by at most 0 in" "$dir/exact.out"
done
echo "as described"
