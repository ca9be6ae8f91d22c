// The options of a call, as the numbers that the module takes.

import { KeyTable, numberOf } from './keys.js';

/** @import { DecodeObjectOptions, DecodeOptions, DiagnoseOptions, EncodeObjectOptions } from './index.js' */
/** @import { EncodeOptions, EncodeStreamOptions, Limits, Repairs } from './index.js' */

// The indexes in these lists are the module's numbers.
const POLICIES = ['strict', 'lenient'];
const ORDERS = ['as_written', 'bytewise', 'length_first'];

/**
 * @typedef {object} Settings
 * @property {number} keys
 * @property {number} policy
 * @property {number} order
 * @property {Limits} limits
 * @property {((repairs: Repairs) => void) | undefined} onRepairs
 */

/**
 * With the key table itself: not all values go through the module.
 *
 * @typedef {Settings & { table: DecodeOptions['keys'] }} ObjectSettings
 */

/** @type {Settings} */
export const DEFAULTS = { keys: 1, policy: 0, order: 0, limits: {}, onRepairs: undefined };

/**
 * @param {EncodeOptions | undefined} options
 * @returns {Settings}
 */
export function encodeSettings(options) {
  if (options === undefined) return DEFAULTS;
  return settings(options, ['keys', 'policy', 'order', 'limits', 'onRepairs']);
}

/**
 * Keys leave a stream before the last one is seen, so it has no order.
 *
 * @param {EncodeStreamOptions | undefined} options
 * @returns {Settings}
 */
export function streamSettings(options) {
  if (options === undefined) return DEFAULTS;
  return settings(options, ['keys', 'policy', 'limits', 'onRepairs']);
}

/**
 * @param {EncodeOptions} options
 * @param {string[]} known
 * @returns {Settings}
 */
function settings(options, known) {
  check('options', options, known);
  const { policy = 'strict', order = 'as_written', onRepairs } = options;
  return {
    keys: table(options.keys),
    policy: place('policy', policy, POLICIES),
    order: place('order', order, ORDERS),
    limits: limits(options.limits),
    onRepairs,
  };
}

/**
 * @param {DecodeOptions | undefined} options
 * @returns {Settings}
 */
export function decodeSettings(options) {
  if (options === undefined) return DEFAULTS;
  check('options', options, ['keys', 'limits']);
  return {
    ...DEFAULTS,
    keys: table(options.keys),
    limits: limits(options.limits),
  };
}

// The module's own largest one: the text between is nobody's input.
const MAX_JSON = 256 * 2 ** 20;

/** @type {ObjectSettings} */
const ENCODE_OBJECT = { ...DEFAULTS, limits: { maxInput: MAX_JSON }, table: 'v1' };

/**
 * @param {EncodeObjectOptions | undefined} options
 * @returns {ObjectSettings}
 */
export function encodeObjectSettings(options) {
  if (options === undefined) return ENCODE_OBJECT;
  const found = encodeSettings(options);
  check('limits', found.limits, ['maxOutput', 'maxDepth']);
  return { ...found, limits: { ...found.limits, maxInput: MAX_JSON }, table: options.keys };
}

/** @type {ObjectSettings} */
const DECODE_OBJECT = { ...DEFAULTS, table: 'v1' };

/**
 * @param {DecodeObjectOptions | undefined} options
 * @returns {ObjectSettings}
 */
export function decodeObjectSettings(options) {
  if (options === undefined) return DECODE_OBJECT;
  const found = decodeSettings(options);
  check('limits', found.limits, ['maxInput', 'maxDepth']);
  return { ...found, table: options.keys };
}

// The default of `diagnostic::LIMITS` in the codec.
const DIAGNOSE_DEPTH = 1024;

/**
 * @param {DiagnoseOptions | undefined} options
 * @returns {Settings}
 */
export function diagnoseSettings(options = {}) {
  check('options', options, ['keys', 'limits', 'pretty']);
  const { keys, limits } = decodeSettings({ keys: options.keys, limits: options.limits });
  return { ...DEFAULTS, keys, limits: { ...limits, maxDepth: limits.maxDepth ?? DIAGNOSE_DEPTH } };
}

/** @param {EncodeOptions['keys']} keys */
function table(keys = 'v1') {
  if (keys instanceof KeyTable) return numberOf(keys);
  return place('keys', /** @type {string} */ (keys), ['none', 'v1']);
}

/**
 * @param {Limits | undefined} limits
 * @returns {Limits}
 */
function limits(limits = {}) {
  check('limits', limits, ['maxInput', 'maxOutput', 'maxDepth']);
  for (const [name, limit] of Object.entries(limits)) {
    // Values above the module's own largest one are refused by the module itself.
    if (limit !== undefined && !(Number.isInteger(limit) && limit >= 0 && limit < 2 ** 32)) {
      throw new RangeError(`${name} must be a whole number of bytes or containers, not ${limit}`);
    }
  }
  return limits;
}

/**
 * @param {string} what
 * @param {object} options
 * @param {string[]} known
 */
function check(what, options, known) {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${what} must be an object`);
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new TypeError(`${name} is not one of the ${what} ${known.join(', ')}`);
  }
}

/**
 * @param {string} what
 * @param {string} word
 * @param {string[]} words
 */
function place(what, word, words) {
  const found = words.indexOf(word);
  if (found < 0) throw new TypeError(`${what} must be one of ${words.join(', ')}, not ${String(word)}`);
  return found;
}
