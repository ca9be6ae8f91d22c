// Path codes <-> paths, version 1.

import { pathRefusal } from './errors.js';
import { shortText } from './inputs.js';
import { buffers, codec, needStart } from './module.js';

/** @type {Map<string, string> | undefined} */
let byCode;

export const paths = Object.freeze({
  title: 'v1',

  get size() {
    return table().size;
  },

  /** @param {string} code */
  path: (code) => table().get(code),

  /** @param {readonly string[]} segments */
  expand(segments) {
    needStart();
    // All segments are checked before the first is passed on: segments already passed on would stay for the
    // next call.
    const texts = Array.from(segments, (segment) => shortText(segment, 'a segment'));
    for (const text of texts) codec.add_segment(buffers.writeText(text));
    const length = codec.expand();
    if (length < 0) throw pathRefusal();
    return buffers.readText(length);
  },

  /** @param {string} path */
  compress(path) {
    needStart();
    const length = codec.compress(buffers.writeText(shortText(path, 'a path')));
    if (length < 0) throw pathRefusal();
    return Array.from({ length }, (_, place) => buffers.readText(codec.segment(place)));
  },

  [Symbol.iterator]: () => table().entries(),
});

/** Requests the table when it is needed: while this file is read the module may not run yet. */
function table() {
  byCode ??= new Map(v1());
  return byCode;
}

/** @returns {Generator<readonly [string, string]>} */
function* v1() {
  needStart();
  for (let place = 0; ; place += 1) {
    const code = codec.v1_path(place);
    if (code < 0) return;
    yield [String.fromCodePoint(code), buffers.readText(codec.output_len())];
  }
}
