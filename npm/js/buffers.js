// The memory of the module: inputs are written into it, outputs copied from it.

import * as codec from '../pkg/lowband_codec.js';

const toUtf8 = new TextEncoder();
const fromUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

export class Buffers {
  /**
   * @param {WebAssembly.Memory} memory
   */
  constructor(memory) {
    this.memory = memory;
    this.keptBytes = codec.kept_bytes();
    // The whole memory. Empty once it has grown.
    this.heap = new Uint8Array(0);
    // The part for the input. Empty once the memory has grown; then it is requested again.
    this.room = new Uint8Array(0);
  }

  /**
   * Writes the input of the next call and returns its length.
   *
   * @param {Uint8Array} bytes
   */
  writeBytes(bytes) {
    const { length } = bytes;
    if (this.#makeRoom(length)) this.room.set(bytes);
    return length;
  }

  /**
   * Writes the input of the next call and returns its length.
   *
   * @param {string} text well-formed
   */
  writeText(text) {
    const { length } = text;
    // A UTF-16 unit takes at most three bytes; a long text first gets the room it needs if it is ASCII, and
    // the rest if it is not.
    if (!this.#makeRoom(length * 3 <= this.keptBytes ? length * 3 : length)) return length;
    const { read, written } = toUtf8.encodeInto(text, this.room);
    if (read === length) return written;
    const rest = toUtf8.encode(text.slice(read));
    if (this.#makeRoom(written + rest.length)) this.room.set(rest, written);
    return written + rest.length;
  }

  /**
   * Returns the output of the last call.
   *
   * @param {number} length
   */
  readBytes(length) {
    const at = codec.output();
    if (this.heap.length === 0) this.heap = new Uint8Array(this.memory.buffer);
    return this.heap.slice(at, at + length);
  }

  /**
   * Returns the output of the last call, which is UTF-8.
   *
   * @param {number} length
   */
  readText(length) {
    return fromUtf8.decode(this.#window(codec.output(), length));
  }

  /**
   * Makes room. Returns true if it holds this many bytes now; otherwise the call with this length is refused
   * as too long.
   *
   * @param {number} length
   */
  #makeRoom(length) {
    // Large room is requested each time, so that the module can give it back.
    if (length <= this.room.length && this.room.length <= this.keptBytes) return true;
    const at = codec.input(length);
    this.room = this.#window(at, at === 0 ? 0 : codec.input_len());
    return at !== 0;
  }

  /**
   * @param {number} at
   * @param {number} length
   */
  #window(at, length) {
    return new Uint8Array(this.memory.buffer, at, length);
  }
}
