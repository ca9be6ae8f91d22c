#!/usr/bin/env bash
# Versions: ciborium 0.2.2, minicbor 2.3.1, serde_cbor 0.11.2 (crates.io).
#
# Question: a field of type f64 holds one. Encoders write that as 01 (JavaScript's, for which 1.0 is an
# integer), f93c00 (the shortest float), or fb3ff0000000000000. Which crates read which into the field?
#
# Guess: all take f93c00, and those with serde take an integer too, as serde_json takes `1` for an f64.
#
# What it does:
#             01                                   f93c00                      fb3ff0000000000000
#   ciborium  "invalid type: integer, expected     1.0                         1.0
#             float"
#   minicbor  type mismatch                        type mismatch (F16), or     1.0
#                                                  1.0 with feature "half"
#   serde_cbor 1.0                                 1.0                         1.0
# ciborium itself writes 1.0 as f93c00, so minicbor with its default features cannot read what ciborium
# writes, and minicbor writes fb..., which everybody reads. The other way round none takes f93c00 for an
# integer field.
#
# What follows: "deterministic" and "shortest" are choices that a Rust reader may not take. A codec that keeps
# integers and floats apart (01 for `1`, a float for `1.0`) breaks fewer readers than one that writes whole
# floats as integers; and who tells others to read its CBOR by ciborium into structs says that a float field
# must tolerate integers by a type of its own (an untagged enum), and for minicbor names the feature `half`.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"

cat >"$dir/read.rs" <<'RS'
fn main() {
    for text in ["01", "f93c00", "fb3ff0000000000000"] {
        let bytes: Vec<u8> =
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
        match ciborium::from_reader::<f64, _>(&bytes[..]) {
            Ok(value) => println!("ciborium {text}: {value:?}"),
            Err(error) => println!("ciborium {text}: {error}"),
        }
        match minicbor::decode::<f64>(&bytes) {
            Ok(value) => println!("minicbor {text}: {value:?}"),
            Err(error) => println!("minicbor {text}: {}", if error.is_type_mismatch() { "type mismatch" } else { "other" }),
        }
        match serde_cbor::from_slice::<f64>(&bytes) {
            Ok(value) => println!("serde_cbor {text}: {value:?}"),
            Err(error) => println!("serde_cbor {text}: {error}"),
        }
        let whole = ciborium::from_reader::<u64, _>(&bytes[..]).is_ok();
        let others = minicbor::decode::<u64>(&bytes).is_ok() || serde_cbor::from_slice::<u64>(&bytes).is_ok();
        println!("integer field {text}: ciborium {whole}, any other {others}");
    }
    let mut bytes = Vec::new();
    ciborium::into_writer(&1.0_f64, &mut bytes).unwrap();
    println!("ciborium writes {bytes:02x?}");
    println!("minicbor writes {:02x?}", minicbor::to_vec(1.0_f64).unwrap());
}
RS
cp "$dir/read.rs" "$dir/half.rs"
cargo_program read 'ciborium = "=0.2.2"' 'serde_cbor = "=0.11.2"' 'minicbor = { version = "=2.3.1", features = ["alloc"] }'
cargo_program half 'ciborium = "=0.2.2"' 'serde_cbor = "=0.11.2"' 'minicbor = { version = "=2.3.1", features = ["alloc", "half"] }'
"$dir/read" >"$dir/read.out"
"$dir/half" >"$dir/half.out"
for line in "ciborium f93c00: 1.0" "ciborium fb3ff0000000000000: 1.0" "minicbor 01: type mismatch" \
  "minicbor f93c00: type mismatch" "minicbor fb3ff0000000000000: 1.0" "serde_cbor 01: 1.0" "serde_cbor f93c00: 1.0" \
  "serde_cbor fb3ff0000000000000: 1.0" "integer field f93c00: ciborium false, any other false" \
  "integer field 01: ciborium true, any other true" "ciborium writes [f9, 3c, 00]" \
  "minicbor writes [fb, 3f, f0, 00, 00, 00, 00, 00, 00]"; do
  seen "$line" "$dir/read.out"
done
seen "expected float" <(grep "^ciborium 01:" "$dir/read.out")
seen "minicbor f93c00: 1.0" "$dir/half.out"
seen "minicbor 01: type mismatch" "$dir/half.out"
echo "as described"
