// Documents in pieces.

import { refusal } from './errors.js';
import { theBytes, theText } from './inputs.js';
import { streamsModule } from './modules.js';
import { setDecoding, setEncoding } from './one-shot.js';
import { decodeSettings, keysFor, streamSettings } from './options.js';
import { repairsOf } from './repairs.js';

/** @import { Stream } from '../pkg/streams.js' */
/** @import { DecodeOptions, EncodeStreamOptions } from './index.js' */
/** @import { StreamsModule } from './modules.js' */

const HIGH_SURROGATE = /[\ud800-\udbff]$/;
const toUtf8 = new TextEncoder();

/** @extends {TransformStream<Uint8Array | string, Uint8Array>} */
export class EncodeStream extends TransformStream {
  /** @param {EncodeStreamOptions} [options] */
  constructor(options) {
    const settings = streamSettings(options);
    // What is wrong with them is thrown here and now.
    setEncoding(settings);
    const document = new Document(({ module, buffers }) => {
      const { policy, limits } = settings;
      const { maxInput, maxOutput, maxDepth, maxDepthLenient } = limits;
      const keys = keysFor(settings, module, buffers);
      return module.encoder(keys, policy, maxInput, maxOutput, maxDepth, maxDepthLenient);
    });
    // Half a character at the end of a text chunk: the next one may begin with the other half.
    let half = '';
    super({
      start: () => document.begin(),
      transform(chunk, controller) {
        if (typeof chunk === 'string') {
          const text = half + chunk;
          half = HIGH_SURROGATE.exec(text)?.[0] ?? '';
          document.push(toUtf8.encode(theText(text.slice(0, text.length - half.length))), controller);
        } else {
          document.push(toUtf8.encode(theText(half)), controller);
          half = '';
          document.push(chunk, controller);
        }
      },
      flush(controller) {
        document.push(toUtf8.encode(theText(half)), controller);
        const repairs = document.finish(controller);
        if (repairs !== undefined) settings.onRepairs?.(repairs);
      },
    });
  }
}

/** @extends {TransformStream<Uint8Array, Uint8Array>} */
export class DecodeStream extends TransformStream {
  /** @param {DecodeOptions} [options] */
  constructor(options) {
    const settings = decodeSettings(options);
    setDecoding(settings);
    const document = new Document(({ module, buffers }) => {
      const { maxInput, maxOutput, maxDepth } = settings.limits;
      return module.decoder(keysFor(settings, module, buffers), maxInput, maxOutput, maxDepth);
    });
    super({
      start: () => document.begin(),
      transform: (chunk, controller) => document.push(chunk, controller),
      flush(controller) {
        document.finish(controller);
      },
    });
  }
}

/** One document on its way, held by the module. When a stream is left alone, the garbage collector gives its part back. */
class Document {
  #open;
  /** @type {StreamsModule} */
  #module;
  /** @type {Stream} */
  #stream;

  /** @param {(module: StreamsModule) => Stream | undefined} open */
  constructor(open) {
    this.#open = open;
  }

  /** The stream takes no chunk before this is done. */
  async begin() {
    this.#module = await streamsModule();
    const stream = this.#open(this.#module);
    if (stream === undefined) throw this.#refusal();
    this.#stream = stream;
  }

  /**
   * @param {Uint8Array} chunk
   * @param {TransformStreamDefaultController<Uint8Array>} controller
   */
  push(chunk, controller) {
    const { module, buffers } = this.#module;
    const size = module.max_piece();
    theBytes(chunk);
    for (let at = 0; at < chunk.length; at += size) {
      const length = buffers.writeBytes(chunk.subarray(at, at + size));
      this.#enqueue(module.push(this.#stream, length), controller);
    }
  }

  /**
   * @param {TransformStreamDefaultController<Uint8Array>} controller
   * @returns what was repaired
   */
  finish(controller) {
    this.#enqueue(this.#module.module.finish(this.#stream), controller);
    const repairs = repairsOf(this.#stream);
    this.#stream.free();
    return repairs;
  }

  /**
   * @param {number} length
   * @param {TransformStreamDefaultController<Uint8Array>} controller
   */
  #enqueue(length, controller) {
    if (length < 0) {
      // Nothing comes after an error.
      this.#stream.free();
      throw this.#refusal();
    }
    if (length > 0) controller.enqueue(this.#module.buffers.readBytes(length));
  }

  #refusal() {
    return refusal(this.#module.module, this.#module.buffers);
  }
}
