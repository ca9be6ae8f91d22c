// Starts the modules from the files beside this one.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { initSync as initDocuments } from '../pkg/documents.js';
import { initSync as initStreams } from '../pkg/streams.js';
import { started } from './modules.js';

/** @param {string} name */
const file = (name) => new URL(`../pkg/${name}_bg.wasm`, import.meta.url);

started(initDocuments({ module: readFileSync(file('documents')) }), async () =>
  initStreams({ module: await readFile(file('streams')) }),
);
