// The interface of the package; index.d.ts describes each part.

export { CodecError, PathError } from './errors.js';
export { KeyTable, keys } from './keys.js';
export { decode, decodeSequence, decodeToString, diagnose, encode, usesIntegerKeys } from './one-shot.js';
export { decodeObject, encodeObject } from './objects.js';
export { paths } from './paths.js';
export { DecodeStream, EncodeStream } from './streams.js';
