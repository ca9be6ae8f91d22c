// Starts the module from the file beside this one.

import { readFileSync } from 'node:fs';
import { initSync } from '../pkg/lowband_codec.js';
import { started } from './module.js';

started(initSync({ module: readFileSync(new URL('../pkg/lowband_codec_bg.wasm', import.meta.url)) }));
