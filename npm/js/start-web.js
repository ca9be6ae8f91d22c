// Fetches and starts the first module: the import waits, and no caller has to.

import initDocuments from '../pkg/documents.js';
import initStreams from '../pkg/streams.js';
import { started } from './modules.js';

started(await initDocuments(), () => initStreams());
