// Fetches and starts the module: importing waits for it, so callers need not.

import init from '../pkg/lowband_codec.js';
import { started } from './module.js';

started(await init());
