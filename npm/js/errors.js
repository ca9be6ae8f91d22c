// Errors, with a word for programs and a sentence for people.

import { ERROR_KINDS } from '../pkg/error-kinds.js';
import { buffers, codec } from './module.js';

/** @import { ErrorKind, PathErrorKind } from './index.js' */

export class CodecError extends Error {
  /**
   * @param {ErrorKind} kind
   * @param {number} offset
   * @param {string} message
   * @param {string} [pointer]
   */
  constructor(kind, offset, message, pointer) {
    super(message);
    this.kind = kind;
    this.offset = offset;
    if (pointer !== undefined) this.pointer = pointer;
  }
}

export class PathError extends Error {
  /**
   * @param {PathErrorKind} kind
   * @param {string} message
   */
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

// The name is on the prototype, as with the language's own errors: an own property would be shown twice. It
// is a literal, because minifiers rename classes.
named(CodecError, 'CodecError');
named(PathError, 'PathError');

/**
 * @param {typeof CodecError | typeof PathError} type
 * @param {string} value
 */
function named({ prototype }, value) {
  Object.defineProperty(prototype, 'name', { value, configurable: true, writable: true });
}

/** Returns why a call about a document, or about options, has just been refused. */
export function refusal() {
  const place = codec.refusal_kind();
  if (place < 0) return new RangeError(buffers.readText(codec.refusal_message()));
  const [kind, sentence] = /** @type {[ErrorKind, string]} */ (ERROR_KINDS[place]);
  const offset = codec.refusal_offset();
  return new CodecError(kind, offset, `byte ${offset}: ${sentence}`);
}

/** Returns why a call about a path has just been refused. */
export function pathRefusal() {
  const kind = /** @type {PathErrorKind} */ (buffers.readText(codec.refusal_path_kind()));
  return new PathError(kind, buffers.readText(codec.refusal_message()));
}
