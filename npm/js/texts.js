// The texts of the CBOR being read, UTF-8 there, as strings of JavaScript.

const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// In a browser, texts up to this length in bytes are made here: its decoder begins too slowly.
const SHORT = 64;
/** For each length an array that the next text of this length is read into. */
const units = Array.from({ length: SHORT + 1 }, (_, length) => new Array(length).fill(0));

// Node has faster ways, which begin slowly as well: texts up to `LONG` are cut from a string that is made of
// so many bytes at once. A caller who keeps such a text keeps that string.
const { latin1Slice, utf8Slice } = waysOfNode();
const AT_ONCE = 1024;
const LONG = 256;

// Not as a literal: a bundler may write it as it is, into a page of another encoding.
const REPLACEMENT = String.fromCharCode(0xfffd);

const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);

// Kept in the module: objects would cost a fifth of the time. None of the user's code runs meanwhile.
/** @type {Uint8Array} */
let bytes = NO_BYTES;
/**
 * The CBOR being read. Reading behind its end throws a RangeError.
 *
 * @type {DataView}
 */
export let view = NO_VIEW;
// What was made at once, and of which bytes.
let some = '';
let someFrom = 0;
let someTo = 0;

/** @param {Uint8Array} cbor */
export function beginTexts(cbor) {
  bytes = cbor;
  view = new DataView(cbor.buffer, cbor.byteOffset, cbor.length);
}

export function endTexts() {
  bytes = NO_BYTES;
  view = NO_VIEW;
  some = '';
  someTo = 0;
}

/**
 * Returns a text; undefined if it is not UTF-8. Throws a RangeError if it would end behind the CBOR.
 *
 * @param {number} from
 * @param {number} to
 * @returns {string | undefined}
 */
export function textAt(from, to) {
  // Reads all of it.
  if (!isAscii(from, to)) return utf8(from, to);
  const length = to - from;
  if (latin1Slice === undefined) return length > SHORT ? utf8(from, to) : ascii(from, length);
  if (length > LONG) return latin1Slice.call(bytes, from, to);
  if (to > someTo) {
    someFrom = from;
    someTo = Math.min(from + AT_ONCE, bytes.length);
    some = latin1Slice.call(bytes, someFrom, someTo);
  }
  return some.slice(from - someFrom, to - someFrom);
}

/**
 * @param {number} from
 * @param {number} to
 */
function isAscii(from, to) {
  let all = 0;
  if (to - from < 4) {
    for (let at = from; at < to; at += 1) all |= view.getUint8(at);
  } else {
    // Four at a time; the last four may overlap those before.
    const last = to - 4;
    for (let at = from; at < last; at += 4) all |= view.getInt32(at);
    all |= view.getInt32(last);
  }
  return (all & 0x8080_8080) === 0;
}

/**
 * @param {number} from
 * @param {number} length
 */
function ascii(from, length) {
  const codes = /** @type {number[]} */ (units[length]);
  for (let place = 0; place < length; place += 1) codes[place] = view.getUint8(from + place);
  return String.fromCharCode.apply(null, codes);
}

/**
 * @param {number} from
 * @param {number} to
 */
function utf8(from, to) {
  if (utf8Slice !== undefined) {
    const text = utf8Slice.call(bytes, from, to);
    // It stands in place of what is not UTF-8.
    return text.includes(REPLACEMENT) ? undefined : text;
  }
  try {
    return fromUtf8.decode(bytes.subarray(from, to));
  } catch {
    return undefined;
  }
}

/** @typedef {(this: Uint8Array, from: number, to: number) => string} Slice */

/** @returns {{ latin1Slice?: Slice, utf8Slice?: Slice }} */
function waysOfNode() {
  const { latin1Slice, utf8Slice } = /** @type {{ Buffer?: any }} */ (globalThis).Buffer?.prototype ?? {};
  // Node does not document them, and what imitates its Buffer may have others.
  const bytes = Uint8Array.of(0x61, 0xc3, 0xa9, 0x62);
  try {
    if (latin1Slice.call(bytes, 1, 3) === '\u00c3\u00a9' && utf8Slice.call(bytes, 1, 3) === '\u00e9') return { latin1Slice, utf8Slice };
  } catch {
    // As in a browser, then.
  }
  return {};
}
