// Bytes to bytes against the usual way: JSON.parse and cbor-x with the same key map. Both ways alternate in
// short rounds, so that other load on the machine affects both; the best round of each counts. Prints a
// table, then JSON lines.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Decoder, Encoder } from 'cbor-x';
import { decode, decodeToString, encode, keys } from 'lowband-codec';

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
];

const DOCUMENTS = [
  { document: 'sync-medium', must: 5, inputs: [Uint8Array.from(sync)] },
  { document: 'one event', must: 3, inputs: events },
];

const results = DOCUMENTS.flatMap(({ document, must, inputs }) =>
  DIRECTIONS.map(({ direction, prepare, ours, usual }) => {
    const prepared = inputs.map(prepare);
    same(direction, prepared, ours, usual);
    const [mine, theirs] = best([ours, usual].map((convert) => () => prepared.forEach(convert)));
    const bytes = inputs.reduce((sum, { length }) => sum + length, 0);
    return { name: `${direction}, ${document}`, must, bytes, calls: inputs.length, mine, theirs };
  }),
);

console.log(`${''.padEnd(28)}${'lowband-codec'.padStart(16)}${'JSON + cbor-x'.padStart(16)}   ratio`);
for (const { name, must, bytes, calls, mine, theirs } of results) {
  const shown = (ms) => (calls === 1 ? `${(bytes / ms / 1000).toFixed(0)} MB/s` : `${((ms / calls) * 1e6).toFixed(0)} ns`);
  const ratio = (theirs / mine).toFixed(2);
  console.log(`${name.padEnd(28)}${shown(mine).padStart(16)}${shown(theirs).padStart(16)}${ratio.padStart(8)} (>= ${must})`);
}
for (const { name, mine, theirs } of results) {
  console.log(JSON.stringify({ name: `npm, ${name}: over JSON and cbor-x`, value: +(theirs / mine).toFixed(3), unit: 'ratio' }));
}

/** Checks that both ways give equal results; they are warm afterwards. */
function same(direction, inputs, ours, usual) {
  for (const input of inputs) {
    const [mine, theirs] = [ours(input), usual(input)];
    const values = direction === 'JSON to CBOR' ? [mine, theirs].map((cbor) => decodeToString(cbor)) : [mine, theirs].map((json) => fromUtf8.decode(json));
    assert.deepEqual(...values.map((json) => JSON.parse(json)));
  }
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
