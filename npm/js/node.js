// The package for Node.

import './start-node.js';

export * from './index.js';
