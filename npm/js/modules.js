// The two modules of the package: one that runs once the package has been imported, and one that is fetched with the first stream.

import { Codec } from '../pkg/documents.js';
import { Streams } from '../pkg/streams.js';
import { Buffers } from './buffers.js';

/** @typedef {{ memory: WebAssembly.Memory }} Exports */

/** @type {Codec} */
export let codec;

/** @type {Buffers} */
export let buffers;

/** @type {() => Promise<Exports>} */
let fetchStreams;

/** @type {Promise<StreamsModule> | undefined} */
let streams;

/** @typedef {{ module: Streams, buffers: Buffers }} StreamsModule */

/**
 * Before this nothing of the package can be called.
 *
 * @param {Exports} exports of the first module
 * @param {() => Promise<Exports>} fetchSecond starts the second one
 */
export function started({ memory }, fetchSecond) {
  codec = new Codec();
  buffers = new Buffers(codec, memory);
  fetchStreams = fetchSecond;
}

/** The second module, which is asked for once; again if it could not be had. */
export function streamsModule() {
  streams ??= fetchStreams().then(
    ({ memory }) => {
      const module = new Streams();
      return { module, buffers: new Buffers(module, memory) };
    },
    (error) => {
      streams = undefined;
      throw error;
    },
  );
  return streams;
}
