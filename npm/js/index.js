// The face of the package; index.d.ts says what each part takes and gives.

export { CodecError, PathError } from './errors.js';
export { KeyTable, keys } from './keys.js';
export { decode, decodeToString, encode, usesIntegerKeys } from './one-shot.js';
export { paths } from './paths.js';
export { DecodeStream, EncodeStream } from './streams.js';
