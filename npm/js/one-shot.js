// Whole documents. Each byte is copied once into the module's memory and once out of it.

import { buffers, codec, needStart } from './module.js';
import { DEFAULTS, decodeSettings, diagnoseSettings, encodeSettings } from './options.js';
import { refusal } from './errors.js';
import { repairsOf } from './repairs.js';
import { theBytes, theJson, theText } from './inputs.js';

/** @import { DecodeOptions, DiagnoseOptions, EncodeOptions } from './index.js' */
/** @import { Settings } from './options.js' */

// The settings that the module has now.
let encoding = DEFAULTS;
let decoding = DEFAULTS;

/**
 * @param {Uint8Array | ArrayBuffer | string} json
 * @param {EncodeOptions} [options]
 */
export function encode(json, options) {
  needStart();
  return encodeText(json, encodeSettings(options), (refused) => refused);
}

/**
 * @param {Uint8Array | ArrayBuffer | string} json
 * @param {Settings} settings
 * @param {(refused: Error) => Error} inWords what is thrown for a refusal
 */
export function encodeText(json, settings, inWords) {
  setEncoding(settings);
  const length = typeof json === 'string' ? buffers.writeText(theText(json)) : buffers.writeBytes(theJson(json));
  const written = codec.encode(length);
  if (written < 0) throw inWords(refusal());
  const cbor = buffers.readBytes(written);
  if (settings.onRepairs !== undefined) {
    const repairs = repairsOf(codec);
    if (repairs !== undefined) settings.onRepairs(repairs);
  }
  return cbor;
}

/**
 * @param {Uint8Array | ArrayBuffer} cbor
 * @param {DecodeOptions} [options]
 */
export function decode(cbor, options) {
  needStart();
  const written = decoded(cbor, decodeSettings(options));
  return buffers.readBytes(written);
}

/**
 * @param {Uint8Array | ArrayBuffer} cbor
 * @param {DecodeOptions} [options]
 */
export function decodeToString(cbor, options) {
  needStart();
  return decodeText(cbor, decodeSettings(options));
}

/**
 * @param {Uint8Array | ArrayBuffer} cbor
 * @param {Settings} settings
 */
export function decodeText(cbor, settings) {
  const written = decoded(cbor, settings);
  return buffers.readText(written);
}

/**
 * @param {Uint8Array | ArrayBuffer} cbor
 * @param {DecodeOptions} [options]
 */
export function decodeSequence(cbor, options) {
  needStart();
  setDecoding(decodeSettings(options));
  const written = codec.decode_sequence(buffers.writeBytes(theBytes(cbor)));
  if (written < 0) throw refusal();
  // A line end stands between the texts and in none of them.
  return written === 0 ? [] : buffers.readText(written).split('\n');
}

/**
 * @param {Uint8Array | ArrayBuffer} cbor
 * @param {DiagnoseOptions} [options]
 */
export function diagnose(cbor, options) {
  needStart();
  setDecoding(diagnoseSettings(options));
  const written = codec.diagnose(buffers.writeBytes(theBytes(cbor)), options?.pretty === true);
  if (written < 0) throw refusal();
  return buffers.readText(written);
}

/** @param {Uint8Array | ArrayBuffer} cbor */
export function usesIntegerKeys(cbor) {
  needStart();
  const answer = codec.uses_integer_keys(buffers.writeBytes(theBytes(cbor)));
  if (answer < 0) throw refusal();
  return answer === 1;
}

/**
 * @param {Uint8Array | ArrayBuffer} cbor
 * @param {Settings} settings
 */
function decoded(cbor, settings) {
  setDecoding(settings);
  const written = codec.decode(buffers.writeBytes(theBytes(cbor)));
  if (written < 0) throw refusal();
  return written;
}

/**
 * Sets how the module encodes from now on, if that differs.
 *
 * @param {Settings} settings
 */
export function setEncoding(settings) {
  if (settings === encoding) return;
  const { keys, policy, order, limits } = settings;
  const { maxInput, maxOutput, maxDepth } = limits;
  if (codec.set_encoding(keys, policy, order, maxInput, maxOutput, maxDepth) < 0) throw refusal();
  encoding = settings;
}

/**
 * Sets how the module decodes from now on, if that differs.
 *
 * @param {Settings} settings
 */
export function setDecoding(settings) {
  if (settings === decoding) return;
  const { maxInput, maxOutput, maxDepth } = settings.limits;
  if (codec.set_decoding(settings.keys, maxInput, maxOutput, maxDepth) < 0) throw refusal();
  decoding = settings;
}
