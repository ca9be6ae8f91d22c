// JavaScript values <-> CBOR. What is common goes straight, without a text between; anything else goes as
// JSON text through the codec, which alone refuses and repairs.

import { CodecError } from './errors.js';
import { theBytes } from './inputs.js';
import { needStart } from './module.js';
import { readValue } from './object-reader.js';
import { writeValue } from './object-writer.js';
import { decodeText, encodeText, setDecoding, setEncoding } from './one-shot.js';
import { decodeObjectSettings, encodeObjectSettings } from './options.js';
import { pointerAt } from './pointer.js';

/** @import { DecodeObjectOptions, EncodeObjectOptions } from './index.js' */

/**
 * @param {unknown} value
 * @param {EncodeObjectOptions} [options]
 */
export function encodeObject(value, options) {
  needStart();
  const settings = encodeObjectSettings(options);
  // The module checks the settings.
  setEncoding(settings);
  const cbor = writeValue(value, settings);
  if (cbor !== undefined) return cbor;
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`JSON has no form for ${typeof value}`);
  return encodeText(json, settings, (refused) => placed(refused, json));
}

/**
 * @param {Uint8Array | ArrayBuffer} cbor
 * @param {DecodeObjectOptions} [options]
 */
export function decodeObject(cbor, options) {
  needStart();
  const bytes = theBytes(cbor);
  const settings = decodeObjectSettings(options);
  setDecoding(settings);
  const value = readValue(bytes, settings);
  return value === undefined ? JSON.parse(decodeText(bytes, settings)) : value;
}

/**
 * Says where in the value the refused place is: nobody has seen the text.
 *
 * @param {Error} refused
 * @param {string} json
 */
function placed(refused, json) {
  if (!(refused instanceof CodecError)) return refused;
  const { kind, offset, message } = refused;
  const pointer = pointerAt(json, offset);
  return new CodecError(kind, offset, `${message}, at "${pointer}" in the value`, pointer);
}
