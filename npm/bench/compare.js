// Bytes to bytes against the usual way, JSON.parse and cbor-x with the same key map; values to bytes and back
// against cbor-x alone. Both ways alternate in short rounds, so that other load on the machine affects both;
// the best round of each counts. Runs in Node and in a page.

import { decode, decodeObject, decodeToString, encode, encodeObject, keys } from 'lowband-codec/inline';

const toUtf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/**
 * Returns, for a sync and its events in each direction, the bytes of JSON, the number of calls, and the
 * milliseconds of all calls by both ways.
 *
 * @param {{ Encoder: any, Decoder: any }} cborX
 * @param {Uint8Array} sync JSON
 * @param {number} rounds
 * @param {number} roundMs
 */
export function compare({ Encoder, Decoder }, sync, rounds, roundMs) {
  const keyMap = Object.fromEntries(keys);
  const encoder = new Encoder({ keyMap, useRecords: false });
  const decoder = new Decoder({ keyMap, useRecords: false, int64AsNumber: true });
  const events = Object.values(JSON.parse(fromUtf8.decode(sync)).rooms.join)
    .flatMap(({ timeline, state }) => [...timeline.events, ...state.events])
    .map((event) => toUtf8.encode(JSON.stringify(event)));
  const documents = { 'sync-medium': [sync], 'one event': events };

  const directions = {
    'JSON to CBOR': {
      prepare: (json) => json,
      ours: (json) => encode(json),
      usual: (json) => encoder.encode(JSON.parse(fromUtf8.decode(json))),
      shown: decodeToString,
    },
    'CBOR to JSON': {
      prepare: (json) => encode(json),
      ours: (cbor) => decode(cbor),
      usual: (cbor) => toUtf8.encode(JSON.stringify(decoder.decode(cbor))),
      shown: (json) => fromUtf8.decode(json),
    },
    'value to CBOR': {
      prepare: (json) => JSON.parse(fromUtf8.decode(json)),
      ours: (value) => encodeObject(value),
      usual: (value) => encoder.encode(value),
      shown: decodeToString,
    },
    'CBOR to value': {
      prepare: (json) => encode(json),
      ours: (cbor) => decodeObject(cbor),
      usual: (cbor) => decoder.decode(cbor),
      shown: JSON.stringify,
    },
  };

  return Object.entries(documents).flatMap(([document, inputs]) =>
    Object.entries(directions).map(([direction, { prepare, ours, usual, shown }]) => {
      const prepared = inputs.map(prepare);
      for (const input of prepared) {
        if (shown(ours(input)) !== shown(usual(input))) throw new Error(`${direction}: both ways give equal results`);
      }
      const [mine, theirs] = best([ours, usual].map((convert) => () => prepared.forEach(convert)), rounds, roundMs);
      const bytes = inputs.reduce((sum, { length }) => sum + length, 0);
      return { document, direction, bytes, calls: inputs.length, mine, theirs };
    }),
  );
}

/** Returns the milliseconds of one call of each function, in its best round. */
function best(calls, rounds, roundMs) {
  const repeats = calls.map((call) => {
    for (let begun = performance.now(); performance.now() - begun < 200; ) call();
    const begun = performance.now();
    for (let repeat = 0; repeat < 10; repeat += 1) call();
    return Math.max(1, Math.round((10 * roundMs) / (performance.now() - begun)));
  });
  const times = calls.map(() => Infinity);
  for (let round = 0; round < rounds; round += 1) {
    calls.forEach((call, place) => {
      const begun = performance.now();
      for (let repeat = 0; repeat < repeats[place]; repeat += 1) call();
      times[place] = Math.min(times[place], (performance.now() - begun) / repeats[place]);
    });
  }
  return times;
}
