// The package for browsers, with or without a bundler.

// The importing module waits until the wasm module runs; index.js is read in the meantime.
import './start-web.js';

export * from './index.js';
