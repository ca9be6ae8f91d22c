// Errors, with a word for programs and a sentence for people.

import { buffers, codec } from './modules.js';

/** @import { Buffers } from './buffers.js' */
/** @import { ErrorKind, PathErrorKind } from './index.js' */

export class CodecError extends Error {
  /**
   * @param {ErrorKind} kind
   * @param {number} offset
   * @param {string} message
   */
  constructor(kind, offset, message) {
    super(message);
    this.kind = kind;
    this.offset = offset;
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

// On the prototype, as with the language's own errors: an own property would be shown twice. In words, as minifiers rename classes.
named(CodecError, 'CodecError');
named(PathError, 'PathError');

/**
 * @param {typeof CodecError | typeof PathError} type
 * @param {string} value
 */
function named({ prototype }, value) {
  Object.defineProperty(prototype, 'name', { value, configurable: true, writable: true });
}

/**
 * Why a call about a document, or about options, has just been refused.
 *
 * @param {{ refusal_kind(): number, refusal_message(): number, refusal_offset(): number }} module
 * @param {Buffers} itsBuffers
 */
export function refusal(module = codec, itsBuffers = buffers) {
  const kind = itsBuffers.readText(module.refusal_kind());
  const message = itsBuffers.readText(module.refusal_message());
  if (kind === '') return new RangeError(message);
  return new CodecError(/** @type {ErrorKind} */ (kind), module.refusal_offset(), message);
}

/** Why a call about a path has just been refused. */
export function pathRefusal() {
  const kind = /** @type {PathErrorKind} */ (buffers.readText(codec.refusal_kind()));
  return new PathError(kind, buffers.readText(codec.refusal_message()));
}
