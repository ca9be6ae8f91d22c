// The package with the module in it: no await, no file to fetch.

import './start-inline.js';

export * from './index.js';
