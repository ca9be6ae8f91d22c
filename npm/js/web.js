// The package for browsers, with or without a bundler.

// Whoever imports this waits until the module runs; index.js is read in the meantime.
import './start-web.js';

export * from './index.js';
