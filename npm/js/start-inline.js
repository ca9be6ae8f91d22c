// Starts the module from the text that comes with the package: at once, so that importing waits for nothing.

import { initSync } from '../pkg/lowband_codec.js';
import { HEX } from '../pkg/module-hex.js';
import { started } from './module.js';

started(initSync({ module: fromHex(HEX) }));

/**
 * `Uint8Array.fromHex` does the same, but only in browsers since 2025.
 *
 * @param {string} hex
 */
function fromHex(hex) {
  const bytes = new Uint8Array(hex.length / 2);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = (digit(hex.charCodeAt(2 * at)) << 4) | digit(hex.charCodeAt(2 * at + 1));
  }
  return bytes;
}

/** @param {number} code of `0` to `9` or of `a` to `f`, whose lower four bits are 1 to 6 */
function digit(code) {
  return (code & 15) + (code > 64 ? 9 : 0);
}
