// Fetches and starts the module: the import waits, and no caller has to.

import init from '../pkg/lowband_codec.js';
import { started } from './module.js';

started(await init());
