#!/usr/bin/env bash
# Versions: canonicaljson 2.0.0 (PyPI, Synapse's), another-json 0.2.0 (npm, matrix-js-sdk 43's), mautrix-go
# v0.32.0 (Go module, crypto/canonicaljson), ruma-common 0.17.1 (crates.io, matrix-rust-sdk's).
#
# Question: Matrix signs canonical JSON: the same value has to give the same bytes everywhere. Do four
# libraries agree on a string with a control character (U+000B), and on the order of the keys U+FF5E and
# U+1F600?
#
# Guess: yes, on both; signatures rest on it.
#
# What it does:
#                 U+000B               order of the keys
#   Python, Rust  \u000b               U+FF5E, U+1F600: by code point, as the specification says
#   Go            \u000B (capital B)   U+FF5E, U+1F600
#   JavaScript    \U000B (capital U)   U+1F600, U+FF5E: by UTF-16 unit
# The JavaScript text is not JSON at all: JSON.parse, of the same program, refuses it. U+007F, U+2028, \b and
# é are the same in all of them.
#
# What follows: a signature over an object with such a string or such keys, made on one side, is not verified
# on the other, and nobody did anything wrong that a user sees. Whoever checks or makes signatures on behalf
# of others (a bridge, a proxy that repacks JSON as CBOR and back) tests with U+000B to U+001F where the
# hexadecimal has a letter, and with keys beyond U+FFFF. And a CBOR codec that sorts keys to be deterministic
# sorts by bytes, not as its language compares strings.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages canonicaljson==2.0.0
npm_packages another-json@0.2.0

# The value, as JSON of ASCII alone; each program reads it and prints its canonical form.
cat >"$dir/control.json" <<'JSON'
{"a":"\u000b"}
JSON
cat >"$dir/keys.json" <<'JSON'
{"\ud83d\ude00":2,"\uff5e":1}
JSON
cat >"$dir/same.json" <<'JSON'
{"b":"\u007f\u2028\b\u00e9/","a":1}
JSON

cat >"$dir/canonical.py" <<'PY'
import json, sys, canonicaljson
with open(sys.argv[1]) as file:
    sys.stdout.buffer.write(canonicaljson.encode_canonical_json(json.load(file)))
PY
cat >"$dir/canonical.js" <<'JS'
const text = require('another-json').stringify(JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8')))
process.stdout.write(text)
try {
  JSON.parse(text)
} catch (error) {
  console.error(error.name)
}
JS
cat >"$dir/canonical.go" <<'GO'
package main

import (
	"os"

	"maunium.net/go/mautrix/crypto/canonicaljson"
)

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	if text, err = canonicaljson.CanonicalJSON(text); err != nil {
		panic(err)
	}
	os.Stdout.Write(text)
}
GO
cat >"$dir/canonical.rs" <<'RS'
fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let value: ruma_common::CanonicalJsonValue = serde_json::from_str(&text).unwrap();
    print!("{}", serde_json::to_string(&value).unwrap());
}
RS
mv "$dir/canonical.rs" "$dir/rust.rs"
mv "$dir/canonical.go" "$dir/golang.go"
go_program golang maunium.net/go/mautrix@v0.32.0
cargo_program rust 'ruma-common = { version = "=0.17.1", features = ["canonical-json"] }' 'serde_json = "1"'

for value in control keys same; do
  "$dir/venv/bin/python" "$dir/canonical.py" "$dir/$value.json" >"$dir/$value.python"
  node "$dir/canonical.js" "$dir/$value.json" >"$dir/$value.js" 2>"$dir/$value.error"
  "$dir/golang" "$dir/$value.json" >"$dir/$value.go"
  "$dir/rust" "$dir/$value.json" >"$dir/$value.rust"
done
for language in python rust; do seen '{"a":"\u000b"}' "$dir/control.$language"; done
seen '{"a":"\u000B"}' "$dir/control.go"
seen '{"a":"\U000B"}' "$dir/control.js"
seen "SyntaxError" "$dir/control.error"
for language in python rust go; do seen "$(printf '{"\xef\xbd\x9e":1,"\xf0\x9f\x98\x80":2}')" "$dir/keys.$language"; done
seen "$(printf '{"\xf0\x9f\x98\x80":2,"\xef\xbd\x9e":1}')" "$dir/keys.js"
for language in js rust go; do cmp -s "$dir/same.python" "$dir/same.$language" || seen "the same as Python's" "$dir/same.$language"; done
not_seen "SyntaxError" "$dir/same.error"
echo "as described"
