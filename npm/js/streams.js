// Documents in pieces.

import { refusal } from './errors.js';
import { theBytes, theJson, theText } from './inputs.js';
import { buffers, codec, needStart } from './module.js';
import { decodeSettings, streamSettings } from './options.js';
import { repairsOf } from './repairs.js';

/** @import { Stream } from '../pkg/lowband_codec.js' */
/** @import { DecodeOptions, EncodeStreamOptions } from './index.js' */

const HIGH_SURROGATE = /[\ud800-\udbff]$/;
const toUtf8 = new TextEncoder();

/** @extends {TransformStream<Uint8Array | ArrayBuffer | string, Uint8Array>} */
export class EncodeStream extends TransformStream {
  /** @param {EncodeStreamOptions} [options] */
  constructor(options) {
    needStart();
    const { keys, policy, limits, onRepairs } = streamSettings(options);
    const { maxInput, maxOutput, maxDepth } = limits;
    const document = new Document(codec.encoder(keys, policy, maxInput, maxOutput, maxDepth));
    // Half a character at the end of a text chunk: the next chunk may begin with the other half.
    let half = '';
    super({
      transform(chunk, controller) {
        if (typeof chunk === 'string') {
          const text = half + chunk;
          half = HIGH_SURROGATE.exec(text)?.[0] ?? '';
          document.push(toUtf8.encode(theText(text.slice(0, text.length - half.length))), controller);
        } else {
          document.push(toUtf8.encode(theText(half)), controller);
          half = '';
          document.push(theJson(chunk), controller);
        }
      },
      flush(controller) {
        document.push(toUtf8.encode(theText(half)), controller);
        const repairs = document.finish(controller);
        if (repairs !== undefined) onRepairs?.(repairs);
      },
    });
  }
}

/** @extends {TransformStream<Uint8Array | ArrayBuffer, Uint8Array>} */
export class DecodeStream extends TransformStream {
  /** @param {DecodeOptions} [options] */
  constructor(options) {
    needStart();
    const { keys, limits } = decodeSettings(options);
    const { maxInput, maxOutput, maxDepth } = limits;
    const document = new Document(codec.decoder(keys, maxInput, maxOutput, maxDepth));
    super({
      transform: (chunk, controller) => document.push(theBytes(chunk), controller),
      flush(controller) {
        document.finish(controller);
      },
    });
  }
}

/**
 * One document on its way, held by the module. When a stream is left alone, the garbage collector gives
 * its part back.
 */
class Document {
  #stream;

  /** @param {Stream | undefined} stream none if the options were refused */
  constructor(stream) {
    if (stream === undefined) throw refusal();
    this.#stream = stream;
  }

  /**
   * @param {Uint8Array} chunk
   * @param {TransformStreamDefaultController<Uint8Array>} controller
   */
  push(chunk, controller) {
    const size = codec.max_piece();
    for (let at = 0; at < chunk.length; at += size) {
      const length = buffers.writeBytes(chunk.subarray(at, at + size));
      this.#enqueue(codec.push(this.#stream, length), controller);
    }
  }

  /**
   * @param {TransformStreamDefaultController<Uint8Array>} controller
   * @returns what was repaired
   */
  finish(controller) {
    this.#enqueue(codec.finish(this.#stream), controller);
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
      // Nothing follows an error.
      this.#stream.free();
      throw refusal();
    }
    if (length > 0) controller.enqueue(buffers.readBytes(length));
  }
}
