// Bytes to bytes against the usual way, JSON.parse and cbor-x with the same key map; values to bytes and back
// against cbor-x alone. Both ways alternate in short rounds, so that other load on the machine affects both;
// the best round of each counts. Prints a table, then JSON lines.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Decoder, Encoder } from 'cbor-x';
import { decode, decodeObject, decodeToString, encode, encodeObject, keys } from 'lowband-codec';

const ROUNDS = Number(process.env.ROUNDS ?? 300);
const ROUND_MS = 2;

const keyMap = Object.fromEntries(keys);
const cborX = {
  encoder: new Encoder({ keyMap, useRecords: false }),
  decoder: new Decoder({ keyMap, useRecords: false, int64AsNumber: true }),
};
const toUtf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

const sync = readFileSync(new URL('../../codec/tests/data/sync-medium.json', import.meta.url));
const events = Object.values(JSON.parse(sync).rooms.join)
  .flatMap(({ timeline, state }) => [...timeline.events, ...state.events])
  .map((event) => toUtf8.encode(JSON.stringify(event)));

const DIRECTIONS = [
  {
    direction: 'JSON to CBOR',
    prepare: (json) => json,
    ours: (json) => encode(json),
    usual: (json) => cborX.encoder.encode(JSON.parse(fromUtf8.decode(json))),
  },
  {
    direction: 'CBOR to JSON',
    prepare: (json) => encode(json),
    ours: (cbor) => decode(cbor),
    usual: (cbor) => toUtf8.encode(JSON.stringify(cborX.decoder.decode(cbor))),
  },
  {
    direction: 'value to CBOR',
    prepare: (json) => JSON.parse(fromUtf8.decode(json)),
    ours: (value) => encodeObject(value),
    usual: (value) => cborX.encoder.encode(value),
  },
  {
    direction: 'CBOR to value',
    prepare: (json) => encode(json),
    ours: (cbor) => decodeObject(cbor),
    usual: (cbor) => cborX.decoder.decode(cbor),
  },
];

// cbor-x reads texts with an addon in C++; without it (CBOR_NATIVE_ACCELERATION_DISABLED=true) it is as in a
// browser.
const NATIVE = process.env.CBOR_NATIVE_ACCELERATION_DISABLED === undefined;
const DOCUMENTS = [
  { document: 'sync-medium', must: [5, 5, 1, NATIVE ? 0.65 : 1], inputs: [Uint8Array.from(sync)] },
  { document: 'one event', must: [3, 3, 1, NATIVE ? 0.65 : 1], inputs: events },
];

const results = DOCUMENTS.flatMap(({ document, must, inputs }) =>
  DIRECTIONS.map(({ direction, prepare, ours, usual }, place) => {
    const prepared = inputs.map(prepare);
    same(direction, prepared, ours, usual);
    const [mine, theirs] = best([ours, usual].map((convert) => () => prepared.forEach(convert)));
    const bytes = inputs.reduce((sum, { length }) => sum + length, 0);
    return { name: `${direction}, ${document}`, must: must[place], bytes, calls: inputs.length, mine, theirs };
  }),
);

console.log(`${''.padEnd(28)}${'lowband-codec'.padStart(16)}${'the usual way'.padStart(16)}   ratio`);
for (const { name, must, bytes, calls, mine, theirs } of results) {
  const shown = (ms) => (calls === 1 ? `${(bytes / ms / 1000).toFixed(0)} MB/s` : `${((ms / calls) * 1e6).toFixed(0)} ns`);
  const ratio = (theirs / mine).toFixed(2);
  console.log(`${name.padEnd(28)}${shown(mine).padStart(16)}${shown(theirs).padStart(16)}${ratio.padStart(8)} (>= ${must})`);
}
for (const { name, mine, theirs } of results) {
  console.log(JSON.stringify({ name: `npm, ${name}: over the usual way`, value: +(theirs / mine).toFixed(3), unit: 'ratio' }));
}

/** Checks that both ways give equal results; they are warm afterwards. */
function same(direction, inputs, ours, usual) {
  for (const input of inputs) {
    const [mine, theirs] = [ours(input), usual(input)];
    assert.deepEqual(...[mine, theirs].map((made) => valueOf(direction, made)));
  }
}

function valueOf(direction, made) {
  if (direction.endsWith('to CBOR')) return JSON.parse(decodeToString(made));
  return direction.endsWith('to JSON') ? JSON.parse(fromUtf8.decode(made)) : made;
}

/** Returns the milliseconds of one call of each function, in its best round. */
function best(calls) {
  const repeats = calls.map((call) => {
    for (let begun = performance.now(); performance.now() - begun < 100 * ROUND_MS; ) call();
    const begun = performance.now();
    call();
    return Math.max(1, Math.round(ROUND_MS / (performance.now() - begun)));
  });
  const times = calls.map(() => Infinity);
  for (let round = 0; round < ROUNDS; round += 1) {
    calls.forEach((call, place) => {
      const begun = performance.now();
      for (let repeat = 0; repeat < repeats[place]; repeat += 1) call();
      times[place] = Math.min(times[place], (performance.now() - begun) / repeats[place]);
    });
  }
  return times;
}
