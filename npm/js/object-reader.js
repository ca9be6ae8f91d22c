// CBOR to JavaScript values, without a text between: what has a form in JSON, no key twice, within the
// limits. For anything else the caller takes the way through JSON text, which refuses it or knows better.

import { formsOf } from './key-forms.js';
import { beginTexts, endTexts, textAt, view } from './texts.js';
import { DECODE_LIMITS } from '../pkg/limits.js';

/** @import { KeyForms } from './key-forms.js' */
/** @import { ObjectSettings } from './options.js' */

const BREAK = 0xff;
// In place of an argument (RFC 8949 section 3.2).
const INDEFINITE = 31;

// The stack of JavaScript is no place for more.
const MAX_DEPTH = DECODE_LIMITS.maxDepth;

/** Thrown, and caught here, at what has to go through JSON text. */
const AS_TEXT = Symbol('as text');

// Where in the CBOR the next byte is. Kept in the module: objects would cost a fifth of the time. None of the
// user's code runs meanwhile.
let at = 0;
/** @type {KeyForms} */
let forms;

/**
 * @param {Uint8Array} cbor
 * @param {ObjectSettings} settings
 * @returns {unknown} undefined if the item must go through JSON text
 */
export function readValue(cbor, { table, limits }) {
  if (cbor.length > (limits.maxInput ?? DECODE_LIMITS.maxInput)) return undefined;
  forms = formsOf(table);
  if (!forms.plain) return undefined;
  try {
    beginTexts(cbor);
    at = 0;
    const value = read(Math.min(limits.maxDepth ?? MAX_DEPTH, MAX_DEPTH));
    return at === cbor.length ? value : undefined;
  } catch (error) {
    // A RangeError where the CBOR ends too early.
    if (error !== AS_TEXT && !(error instanceof RangeError)) throw error;
    return undefined;
  } finally {
    endTexts();
  }
}

/**
 * @param {number} depth arrays and maps that may still be opened
 * @returns {unknown}
 */
function read(depth) {
  const first = view.getUint8(at++);
  const info = first & 0x1f;
  switch (first >> 5) {
    case 0:
      return argument(info);
    case 1:
      return -1 - safe(argument(info));
    case 3:
      return readText(info);
    case 4:
      if (depth === 0) throw AS_TEXT;
      return readArray(info, depth - 1);
    case 5:
      if (depth === 0) throw AS_TEXT;
      return readMap(info, depth - 1);
    case 7:
      return readOther(first);
  }
  throw AS_TEXT;
}

/** @param {number} first */
function readOther(first) {
  switch (first) {
    case 0xf4:
      return false;
    case 0xf5:
      return true;
    case 0xf6:
      return null;
    case 0xf9:
      return half(argument(25));
    case 0xfa:
      return float(4);
    case 0xfb:
      return float(8);
  }
  throw AS_TEXT;
}

/**
 * @param {number} info
 * @param {number} depth
 */
function readArray(info, depth) {
  const array = [];
  if (info === INDEFINITE) {
    while (view.getUint8(at) !== BREAK) array.push(read(depth));
    at += 1;
  } else {
    const count = argument(info);
    for (let place = 0; place < count; place += 1) array.push(read(depth));
  }
  return array;
}

/**
 * @param {number} info
 * @param {number} depth
 */
function readMap(info, depth) {
  /** @type {Record<string, unknown>} */
  const object = {};
  const { byInteger } = forms;
  const count = info === INDEFINITE ? Infinity : argument(info);
  // The keys of the table that came as integers below 32, the usual ones.
  let seen = 0;
  for (let place = 0; place < count; place += 1) {
    const head = view.getUint8(at++);
    let name;
    if (head >> 5 === 3) {
      name = readName(head & 0x1f);
    } else if (head >> 5 === 0) {
      const integer = safe(argument(head));
      name = integer < byInteger.length ? /** @type {string} */ (byInteger[integer]) : '';
      if (name === '') {
        name = String(integer);
      } else if (integer < 32) {
        const bit = 1 << integer;
        if ((seen & bit) !== 0) throw AS_TEXT;
        seen |= bit;
        object[name] = read(depth);
        continue;
      }
    } else if (head === BREAK && count === Infinity) {
      return object;
    } else {
      throw AS_TEXT;
    }
    // It is there already, or all objects have it, which does not mean that it is there: the codec decides.
    if (object[name] !== undefined) throw AS_TEXT;
    object[name] = read(depth);
  }
  return object;
}

/** @param {number} info of the head of a key, which is a text */
function readName(info) {
  if (info === INDEFINITE) return unlisted(readText(info));
  const length = argument(info);
  const from = at;
  const known = forms.cache.get(from, from + length);
  if (known !== undefined) {
    at = from + length;
    return known;
  }
  const name = unlisted(readChunk(length));
  forms.cache.put(from, at, name);
  return name;
}

/**
 * Returns a name that came as a text. If the table has an integer for it, the codec decides who is right.
 *
 * @param {string} name
 */
function unlisted(name) {
  if (forms.byName.has(name)) throw AS_TEXT;
  return name;
}

/** @param {number} info of the head of a text, which has been read */
function readText(info) {
  if (info !== INDEFINITE) return readChunk(argument(info));
  let text = '';
  while (view.getUint8(at) !== BREAK) {
    const head = view.getUint8(at++);
    if (head >> 5 !== 3 || (head & 0x1f) === INDEFINITE) throw AS_TEXT;
    text += readChunk(argument(head & 0x1f));
  }
  at += 1;
  return text;
}

/** @param {number} length */
function readChunk(length) {
  const from = at;
  at += length;
  const text = textAt(from, at);
  if (text === undefined) throw AS_TEXT;
  return text;
}

/**
 * Reads the argument of a head (RFC 8949 section 3), up to 64 bits: as a number of JavaScript, rounded once.
 *
 * @param {number} info
 */
function argument(info) {
  if (info < 24) return info;
  if (info > 27) throw AS_TEXT;
  const from = at;
  at += 1 << (info - 24);
  if (info === 24) return view.getUint8(from);
  if (info === 25) return view.getUint16(from);
  return info === 26 ? view.getUint32(from) : view.getUint32(from) * 0x1_0000_0000 + view.getUint32(from + 4);
}

/** @param {number} argument rounded perhaps: what is made of it would not be the nearest one then */
function safe(argument) {
  if (!Number.isSafeInteger(argument)) throw AS_TEXT;
  return argument;
}

/** @param {number} length */
function float(length) {
  const from = at;
  at += length;
  return finite(length === 4 ? view.getFloat32(from) : view.getFloat64(from));
}

/** @param {number} bits of a float of half precision (RFC 8949 appendix D) */
function half(bits) {
  const fraction = bits & 0x3ff;
  const exponent = (bits >> 10) & 0x1f;
  if (exponent === 31) throw AS_TEXT;
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return finite(bits & 0x8000 ? -magnitude : magnitude);
}

/** @param {number} value */
function finite(value) {
  if (!Number.isFinite(value)) throw AS_TEXT;
  // A zero of the codec has no sign.
  return value === 0 ? 0 : value;
}
