// CBOR to JavaScript values, without a text between: what has a form in JSON, no key twice, within the
// limits. For anything else the caller takes the way through JSON text, which refuses it or knows better.

import { formsOf } from './key-forms.js';
import { DECODE_LIMITS } from '../pkg/limits.js';

/** @import { KeyForms } from './key-forms.js' */
/** @import { ObjectSettings } from './options.js' */

const BREAK = 0xff;
// In place of an argument (RFC 8949 section 3.2).
const INDEFINITE = 31;

// The stack of JavaScript is no place for more.
const MAX_DEPTH = DECODE_LIMITS.maxDepth;
// Keys of the table below this have a bit each, by which a repeated one is found.
const BITS = 128;

// Texts up to this length are made here, longer ones by the engine.
const SHORT = 16;
/** For each length an array that the next text of this length is read into. */
const units = Array.from({ length: SHORT + 1 }, (_, length) => new Array(length).fill(0));
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
// Node's own way is twice as fast for the texts of usual length.
const { Buffer } = /** @type {{ Buffer?: any }} */ (globalThis);
const hasBuffer = typeof Buffer?.from === 'function' && typeof Buffer.prototype.utf8Slice === 'function';

// Not as a literal: a bundler may write it as it is, into a page of another encoding.
const REPLACEMENT = String.fromCharCode(0xfffd);

/** Thrown, and caught here, at what has to go through JSON text. */
const AS_TEXT = Symbol('as text');

const NO_BYTES = new Uint8Array(0);

// The item being read. Kept in the module: objects would cost a fifth of the time. None of the user's code
// runs meanwhile.
/** @type {Uint8Array} */
let bytes = NO_BYTES;
/** @type {any} */
let buffer;
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
    bytes = cbor;
    buffer = hasBuffer ? Buffer.from(cbor.buffer, cbor.byteOffset, cbor.length) : undefined;
    at = 0;
    const value = read(Math.min(limits.maxDepth ?? MAX_DEPTH, MAX_DEPTH));
    // Behind the end all bytes are undefined, so what ends too early stands behind it now.
    return at === cbor.length ? value : undefined;
  } catch (error) {
    if (error !== AS_TEXT) throw error;
    return undefined;
  } finally {
    bytes = NO_BYTES;
    buffer = undefined;
  }
}

/**
 * @param {number} depth arrays and maps that may still be opened
 * @returns {unknown}
 */
function read(depth) {
  if (at >= bytes.length) throw AS_TEXT;
  const first = /** @type {number} */ (bytes[at++]);
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
    while (bytes[at] !== BREAK) array.push(read(depth));
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
  const count = info === INDEFINITE ? Infinity : argument(info);
  // The keys of the table that came as integers, 32 in each.
  let first = 0;
  let second = 0;
  let third = 0;
  let fourth = 0;
  for (let place = 0; place < count; place += 1) {
    const head = /** @type {number} */ (bytes[at++]);
    if (head >> 5 === 3) {
      const name = readText(head & 0x1f);
      // A text that the table has, or that is there already, as far as a property of all objects, which is
      // not there: who is right decides the codec.
      if (forms.byName.has(name) || object[name] !== undefined) throw AS_TEXT;
      object[name] = read(depth);
      continue;
    }
    if (head === BREAK && count === Infinity) return object;
    if (head >> 5 !== 0) throw AS_TEXT;
    const integer = safe(argument(head & 0x1f));
    const known = forms.byInteger[integer] ?? '';
    const name = known === '' ? String(integer) : known;
    if (known !== '' && integer < BITS) {
      const bit = 1 << (integer & 31);
      let seen = 0;
      switch (integer >> 5) {
        case 0:
          seen = first;
          first |= bit;
          break;
        case 1:
          seen = second;
          second |= bit;
          break;
        case 2:
          seen = third;
          third |= bit;
          break;
        case 3:
          seen = fourth;
          fourth |= bit;
      }
      if ((seen & bit) !== 0) throw AS_TEXT;
    } else if (object[name] !== undefined) {
      throw AS_TEXT;
    }
    object[name] = read(depth);
  }
  return object;
}

/** @param {number} info of the head of a text, which has been read */
function readText(info) {
  if (info !== INDEFINITE) return readChunk(argument(info));
  let text = '';
  while (bytes[at] !== BREAK) {
    const head = /** @type {number} */ (bytes[at++]);
    if (head >> 5 !== 3 || (head & 0x1f) === INDEFINITE) throw AS_TEXT;
    text += readChunk(argument(head & 0x1f));
  }
  at += 1;
  return text;
}

/** @param {number} length */
function readChunk(length) {
  const start = at;
  at += length;
  if (at > bytes.length) throw AS_TEXT;
  if (length <= SHORT) {
    const codes = units[length];
    let all = 0;
    for (let place = 0; place < length; place += 1) {
      const byte = /** @type {number} */ (bytes[start + place]);
      all |= byte;
      /** @type {number[]} */ (codes)[place] = byte;
    }
    if (all < 0x80) return String.fromCharCode.apply(null, /** @type {number[]} */ (codes));
  }
  if (hasBuffer) {
    const text = buffer.utf8Slice(start, at);
    // It stands in place of what is not UTF-8.
    if (text.includes(REPLACEMENT)) throw AS_TEXT;
    return text;
  }
  try {
    return fromUtf8.decode(bytes.subarray(start, at));
  } catch {
    throw AS_TEXT;
  }
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
  if (at > bytes.length) throw AS_TEXT;
  if (info === 24) return /** @type {number} */ (bytes[from]);
  if (info === 25) return number(from, 2);
  return info === 26 ? number(from, 4) : number(from, 4) * 0x1_0000_0000 + number(from + 4, 4);
}

/** @param {number} argument rounded perhaps: what is made of it would not be the nearest one then */
function safe(argument) {
  if (!Number.isSafeInteger(argument)) throw AS_TEXT;
  return argument;
}

/**
 * @param {number} from
 * @param {number} length
 */
function number(from, length) {
  let value = 0;
  for (let place = 0; place < length; place += 1) value = value * 0x100 + /** @type {number} */ (bytes[from + place]);
  return value;
}

/** @param {number} length */
function float(length) {
  if (at + length > bytes.length) throw AS_TEXT;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, length);
  at += length;
  return finite(length === 4 ? view.getFloat32(0) : view.getFloat64(0));
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
