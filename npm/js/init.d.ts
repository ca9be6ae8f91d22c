// The public types of the entry `lowband-codec/init`.

export * from './index.js';

/**
 * The module of the package, `lowband-codec/lowband_codec.wasm`: its address, its bytes, the answer to a
 * request for it, or what was compiled of it.
 */
export type ModuleSource = string | URL | Request | Response | WebAssembly.Module | BufferSource;

/**
 * Loads and starts the module. Before it is done every other function throws an `Error`. Once one call has
 * succeeded, others change nothing; after a failure it can be called again.
 */
export function init(source: ModuleSource | Promise<ModuleSource>): Promise<void>;
