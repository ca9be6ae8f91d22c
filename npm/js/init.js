// The package for callers who load the module themselves.

import start from '../pkg/lowband_codec.js';
import { isStarted, started } from './module.js';

export * from './index.js';

/** @import { ModuleSource } from './init.js' */

/** @param {ModuleSource | Promise<ModuleSource>} source */
export async function init(source) {
  const found = await source;
  if (typeof found !== 'string' && (typeof found !== 'object' || found === null)) {
    throw new TypeError('init takes the address of the module, its bytes, a Response or a WebAssembly.Module');
  }
  const exports = await start({ module_or_path: found });
  if (!isStarted()) started(exports);
}
