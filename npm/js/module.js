// The module of the package, which runs once the package has been imported, or after `init`.

import * as codec from '../pkg/lowband_codec.js';
import { Buffers } from './buffers.js';

export { codec };

/** @type {Buffers} */
export let buffers;

/**
 * Takes the exports of the started module: before that, no function of the package can be called.
 *
 * @param {{ memory: WebAssembly.Memory }} exports of the module
 */
export function started({ memory }) {
  buffers = new Buffers(memory);
}

export function isStarted() {
  return buffers !== undefined;
}

/** Each public function calls this before it calls the module. */
export function needStart() {
  if (buffers === undefined) throw new Error('lowband-codec has not started: await init(...) first');
}
