#!/usr/bin/env bash
# Versions: cbor-cli 7.0.5 (npm; cbor 7.0.6), cbor2 6.3.0 (PyPI; python -m cbor2.tool), cbor-diag 1.2.0 (PyPI).
#
# Question: somebody pastes a body out of a capture into the command-line tools at hand. What do they print for a map
# with an integer key, for the same behind the self-described tag, for a byte string, and for a key as integer and
# as text?
#
# Guess: cbor2json and cbor2.tool print {"2": "a"} for the map, cbor2.tool an error or base64 for the byte string.
#
# What they do:
#                       cbor2json of cbor-cli       cbor2.tool               cbor2diag of cbor-diag
#   {2: "a"}            {}                          {"2": "a"}               {2: "a"}
#   {"b": 1, 2: "a"}    {}                          {"b": 1, "2": "a"}       {"b": 1, 2: "a"}
#   55799({2: "a"})     {"tag":55799,"value":{}}    "{2: 'a'}", one string   55799({2: "a"})
#   h'0102'             {"type":"Buffer", ...}      "\u0001\u0002", a text   h'0102'
#   {2: 1, "2": 3}      {}                          {"2": 1, "2": 3}         {2: 1, "2": 3}
# All end with status 0. cbor2json makes a Map of JavaScript of a map with any key that is no text, and
# JSON.stringify takes that for an empty object.
#
# What follows: for a protocol with integer keys, send people to a diagnostic notation (cbor-diag, or cbor2diag of
# cbor-cli) or to a tool of its own, never to "CBOR to JSON"; an empty object in a report may have been a whole body.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages cbor2==6.3.0 cbor-diag==1.2.0
npm_packages cbor-cli@7.0.5 cbor@7.0.6

number=0
show() {
  number=$((number + 1))
  python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))' "$1" >"$dir/$number.cbor"
  {
    echo "$number cbor-cli $("$dir/node_modules/.bin/cbor2json" "$dir/$number.cbor")"
    echo "$number cbor2 $("$dir/venv/bin/python" -m cbor2.tool "$dir/$number.cbor")"
    echo "$number cbor-diag $("$dir/venv/bin/python" -c 'import sys, cbor_diag; print(cbor_diag.cbor2diag(open(sys.argv[1], "rb").read(), pretty=False))' "$dir/$number.cbor")"
    echo "$number diag of cbor-cli $("$dir/node_modules/.bin/cbor2diag" "$dir/$number.cbor")"
  } >>"$dir/out" 2>&1
}
for item in a1026161 a2616201026161 d9d9f7a1026161 420102 a20201613203; do
  show "$item"
done
seen '1 cbor-cli {}' "$dir/out"
seen '1 cbor2 {"2": "a"}' "$dir/out"
seen '1 cbor-diag {2:"a"}' "$dir/out"
seen '1 diag of cbor-cli {2: "a"}' "$dir/out"
seen '2 cbor-cli {}' "$dir/out"
seen '2 cbor2 {"b": 1, "2": "a"}' "$dir/out"
seen '2 cbor-diag {"b":1,2:"a"}' "$dir/out"
seen '3 cbor-cli {"tag":55799,"value":{}}' "$dir/out"
seen "3 cbor2 \"{2: 'a'}\"" "$dir/out"
seen '3 cbor-diag 55799({2:"a"})' "$dir/out"
seen '4 cbor-cli {"type":"Buffer","data":[1,2]}' "$dir/out"
seen '4 cbor2 "\u0001\u0002"' "$dir/out"
seen "4 cbor-diag h'0102'" "$dir/out"
seen '5 cbor-cli {}' "$dir/out"
seen '5 cbor2 {"2": 1, "2": 3}' "$dir/out"
seen '5 cbor-diag {2:1,"2":3}' "$dir/out"
echo "as described"
