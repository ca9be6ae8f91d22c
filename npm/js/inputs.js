// The values that callers may pass as bytes and as text.

/**
 * Returns bytes, also from another frame, which has a Uint8Array and an ArrayBuffer of its own.
 *
 * @param {Uint8Array | ArrayBuffer} bytes
 */
export function theBytes(bytes) {
  return asBytes(bytes, 'bytes must come as a Uint8Array or an ArrayBuffer');
}

/**
 * Returns the bytes of a JSON text that is not a string.
 *
 * @param {Uint8Array | ArrayBuffer} json
 */
export function theJson(json) {
  const forms = 'JSON must come as a string, a Uint8Array or an ArrayBuffer';
  return asBytes(json, `${forms}; pass JSON text: JSON.stringify(value), or call encodeObject(value)`);
}

/**
 * @param {Uint8Array | ArrayBuffer} bytes
 * @param {string} refusal
 * @returns {Uint8Array}
 */
function asBytes(bytes, refusal) {
  if (ArrayBuffer.isView(bytes) && bytes.BYTES_PER_ELEMENT === 1) return bytes;
  if (Object.prototype.toString.call(bytes) === '[object ArrayBuffer]') return new Uint8Array(bytes);
  throw new TypeError(refusal);
}

/**
 * Escapes lone surrogates, so that the policy applies to them: UTF-8 has none, and an encoder silently
 * replaces them by U+FFFD.
 *
 * @param {string} text JSON
 */
export function theText(text) {
  if (text.isWellFormed()) return text;
  return text.replace(/\p{Surrogate}/gu, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`);
}

// The limit for names, titles and paths, in UTF-16 units: no URL and no key is as long.
const MAX_TEXT = 65_536;

/**
 * Checks a text that is not JSON, in which nothing could represent a lone surrogate.
 *
 * @param {string} text
 * @param {string} what
 */
export function shortText(text, what) {
  if (typeof text !== 'string' || !text.isWellFormed()) throw new TypeError(`${what} must be a well-formed string`);
  if (text.length > MAX_TEXT) throw new RangeError(`${what} is longer than ${MAX_TEXT}`);
  return text;
}
