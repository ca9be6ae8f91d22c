// Fetches and starts the module: importing waits for it, so callers need not.

import init from '../pkg/lowband_codec.js';
import { started } from './module.js';

started(await init({ module_or_path: new URL('../pkg/lowband_codec_bg.wasm', import.meta.url) }));
