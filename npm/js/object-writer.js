// JavaScript values to CBOR, without a text between: strings, whole numbers, booleans, null, arrays and plain
// objects, within the limits. For anything else the caller takes the way through JSON text.

import { formsOf } from './key-forms.js';
import { buffers } from './module.js';
import { ENCODE_LIMITS } from '../pkg/limits.js';

/** @import { KeyForms } from './key-forms.js' */
/** @import { ObjectSettings } from './options.js' */

// CBOR's major types (RFC 8949 section 3.1) and simple values (section 3.3) as they stand in the first byte.
const UNSIGNED = 0x00;
const NEGATIVE = 0x20;
const TEXT = 0x60;
const ARRAY = 0x80;
const MAP = 0xa0;
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;

// The longest head in bytes.
const MAX_HEAD = 9;
// Texts up to this length are copied here, longer ones by the engine, which begins slowly in a browser.
const SHORT = 512;
// The stack of JavaScript is no place for more.
const MAX_DEPTH = ENCODE_LIMITS.maxDepth;

const toUtf8 = new TextEncoder();
/** Thrown, and caught here, at what has to go through JSON text. */
const AS_TEXT = Symbol('as text');

// The value being written. Kept in the module: objects would cost a fifth of the time.
let out = new Uint8Array(1024);
let at = 0;
let busy = false;
let maxOutput = 0;
/** @type {KeyForms['byName']} */
let integers;

/**
 * @param {unknown} value
 * @param {ObjectSettings} settings
 * @returns the CBOR; undefined if the value must go through JSON text
 */
export function writeValue(value, { table, order, limits }) {
  // A getter or a proxy in the value may call again.
  if (busy || order !== 0) return undefined;
  busy = true;
  try {
    at = 0;
    maxOutput = limits.maxOutput ?? ENCODE_LIMITS.maxOutput;
    integers = formsOf(table).byName;
    write(value, Math.min(limits.maxDepth ?? MAX_DEPTH, MAX_DEPTH));
    return at > maxOutput ? undefined : out.slice(0, at);
  } catch (error) {
    if (error !== AS_TEXT) throw error;
    return undefined;
  } finally {
    busy = false;
    if (out.length > buffers.keptBytes) out = new Uint8Array(1024);
  }
}

/**
 * @param {any} value
 * @param {number} depth arrays and objects that may still be opened
 * @returns {void}
 */
function write(value, depth) {
  if (at + MAX_HEAD > out.length) grow(MAX_HEAD);
  switch (typeof value) {
    case 'string':
      return writeText(value);
    case 'number':
      if (Number.isSafeInteger(value)) return value >= 0 ? writeHead(UNSIGNED, value) : writeHead(NEGATIVE, -1 - value);
      // Fractions, and the digits of larger ones, are the codec's.
      if (Number.isFinite(value)) throw AS_TEXT;
      out[at++] = NULL;
      return;
    case 'boolean':
      out[at++] = value ? TRUE : FALSE;
      return;
    case 'object':
      if (value === null) {
        out[at++] = NULL;
        return;
      }
      if (depth === 0 || typeof value.toJSON === 'function') throw AS_TEXT;
      if (Array.isArray(value)) return writeArray(value, depth - 1);
      // Some other objects are written in a way of their own, such as a boxed string.
      if (Object.getPrototypeOf(value) === Object.prototype) return writeMap(value, depth - 1);
  }
  throw AS_TEXT;
}

/**
 * @param {unknown[]} array
 * @param {number} depth
 */
function writeArray(array, depth) {
  const { length } = array;
  writeHead(ARRAY, length);
  for (let place = 0; place < length; place += 1) {
    const value = array[place];
    write(isAbsent(value) ? null : value, depth);
  }
}

/**
 * @param {Record<string, unknown>} object
 * @param {number} depth
 */
function writeMap(object, depth) {
  const names = Object.keys(object);
  const start = at;
  writeHead(MAP, names.length);
  const headEnd = at;
  let count = 0;
  for (let place = 0; place < names.length; place += 1) {
    const name = /** @type {string} */ (names[place]);
    const value = object[name];
    if (isAbsent(value)) continue;
    count += 1;
    const integer = integers.get(name);
    if (integer === undefined) {
      writeText(name);
    } else {
      if (at + MAX_HEAD > out.length) grow(MAX_HEAD);
      writeHead(UNSIGNED, integer);
    }
    write(value, depth);
  }
  if (count < names.length) {
    const end = at;
    at = start;
    writeHead(MAP, count);
    out.copyWithin(at, headEnd, end);
    at += end - headEnd;
  }
}

/** @param {unknown} value */
function isAbsent(value) {
  return value === undefined || typeof value === 'symbol';
}

/** @param {string} text */
function writeText(text) {
  const { length } = text;
  // A UTF-16 unit takes at most three bytes.
  if (at + MAX_HEAD + 3 * length > out.length) grow(MAX_HEAD + 3 * length);
  if (length > SHORT) return writeLongText(text);
  const bytes = out;
  let to = at + headLength(length);
  for (let place = 0; place < length; place += 1) {
    const unit = text.charCodeAt(place);
    if (unit > 0x7f) return writeRest(text, place, to);
    bytes[to++] = unit;
  }
  writeHead(TEXT, length);
  at = to;
}

/**
 * Writes a text of which the beginning has been written, as UTF-8 (RFC 3629 section 3).
 *
 * @param {string} text
 * @param {number} from
 * @param {number} to where its next byte goes
 */
function writeRest(text, from, to) {
  const { length } = text;
  const bytes = out;
  for (let place = from; place < length; place += 1) {
    let unit = text.charCodeAt(place);
    if (unit < 0x80) {
      bytes[to++] = unit;
      continue;
    }
    if (unit < 0x800) {
      bytes[to++] = 0xc0 | (unit >> 6);
    } else {
      if (unit < 0xd800 || unit > 0xdfff) {
        bytes[to++] = 0xe0 | (unit >> 12);
      } else {
        place += 1;
        // NaN at the end.
        const low = text.charCodeAt(place);
        if (unit > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) throw AS_TEXT;
        unit = 0x1_0000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
        bytes[to++] = 0xf0 | (unit >> 18);
        bytes[to++] = 0x80 | ((unit >> 12) & 0x3f);
      }
      bytes[to++] = 0x80 | ((unit >> 6) & 0x3f);
    }
    bytes[to++] = 0x80 | (unit & 0x3f);
  }
  finishText(length, to);
}

/** @param {string} text */
function writeLongText(text) {
  if (!text.isWellFormed()) throw AS_TEXT;
  const { length } = text;
  const from = at + headLength(length);
  finishText(length, from + toUtf8.encodeInto(text, out.subarray(from)).written);
}

/**
 * Writes the head of a text that has been written behind the room of a shorter head.
 *
 * @param {number} length of the text in UTF-16 units, by which the room was chosen
 * @param {number} to where its last byte ends
 */
function finishText(length, to) {
  const guess = headLength(length);
  const written = to - at - guess;
  const needed = headLength(written);
  if (needed !== guess) out.copyWithin(at + needed, at + guess, to);
  writeHead(TEXT, written);
  at += written;
}

/** @param {number} argument */
function headLength(argument) {
  if (argument < 24) return 1;
  if (argument < 0x100) return 2;
  if (argument < 0x1_0000) return 3;
  return argument < 0x1_0000_0000 ? 5 : 9;
}

/**
 * @param {number} major
 * @param {number} argument
 */
function writeHead(major, argument) {
  if (argument < 24) {
    out[at++] = major | argument;
  } else if (argument < 0x100) {
    out[at++] = major | 24;
    out[at++] = argument;
  } else if (argument < 0x1_0000) {
    out[at++] = major | 25;
    writeBytes(argument, 2);
  } else if (argument < 0x1_0000_0000) {
    out[at++] = major | 26;
    writeBytes(argument, 4);
  } else {
    out[at++] = major | 27;
    writeBytes(Math.floor(argument / 0x1_0000_0000), 4);
    writeBytes(argument, 4);
  }
}

/**
 * Writes the lowest bytes of a number, the highest of them first.
 *
 * @param {number} value
 * @param {number} count at most 4
 */
function writeBytes(value, count) {
  // An operator on bits takes the lowest 32.
  for (let shift = 8 * (count - 1); shift >= 0; shift -= 8) out[at++] = value >>> shift;
}

/** @param {number} more bytes that must have room */
function grow(more) {
  if (at > maxOutput) throw AS_TEXT;
  const larger = new Uint8Array(Math.max(2 * out.length, at + more));
  larger.set(out.subarray(0, at));
  out = larger;
}
