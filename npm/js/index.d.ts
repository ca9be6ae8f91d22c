// The public types of the package. The words for errors come from the codec itself.

import type { ErrorKind } from '../pkg/error-kinds.js';

export type { ErrorKind };

/** `Uint8Array<ArrayBuffer>` where TypeScript has it (5.7), else `Uint8Array`. */
type Bytes = ReturnType<Uint8Array['slice']>;

/** Why a path cannot be mapped. The list may grow. */
export type PathErrorKind =
  | 'dot_segment'
  | 'missing_parameter'
  | 'empty'
  | 'bad_escape'
  | 'not_a_path'
  | 'looks_like_code';

/** An input was refused. */
export class CodecError extends Error {
  private constructor();
  readonly name: 'CodecError';
  /** A word for programs; `message` is the sentence for people. */
  readonly kind: ErrorKind;
  /**
   * Offset in bytes from the start of the input, for strings in UTF-8. If something is missing, the offset
   * where it should stand. Of {@link encodeObject}: in the text that `JSON.stringify` makes of the value.
   */
  readonly offset: number;
  /**
   * Of {@link encodeObject} alone: the place in the value as a JSON Pointer (RFC 6901), `/content/body`; for
   * a key, that of its object. Empty for the value itself.
   */
  readonly pointer?: string;
}

/** A path has no path code form, or Uri-Path values no path. */
export class PathError extends Error {
  private constructor();
  readonly name: 'PathError';
  readonly kind: PathErrorKind;
}

/**
 * A named table of map keys. Both sides must have agreed on it by its title: never use it with a peer
 * that did not agree.
 *
 * The module keeps each table that was made, equal ones once, and at most 32.
 */
export class KeyTable implements Iterable<[name: string, integer: number]> {
  /**
   * @param keys names with integers from 0 to 65534; neither may occur twice, and no name may be a decimal
   * number
   * @throws RangeError for keys that do not make a table, or one table too many
   */
  constructor(title: string, keys: Iterable<readonly [string, number]> | Readonly<Record<string, number>>);
  /** The title by which the two sides know the table. */
  readonly title: string;
  /** Number of names in the table. */
  readonly size: number;
  /** Returns the integer of a name; `undefined` if the table does not have it. */
  integer(name: string): number | undefined;
  /** Returns the name of an integer; `undefined` if the table does not have it. */
  name(integer: number): string | undefined;
  /** All names with their integers, in the order in which the table was made. */
  [Symbol.iterator](): IterableIterator<[name: string, integer: number]>;
}

/** Key table v1 of MSC3079: 104 names. */
export const keys: KeyTable;

/** The path codes of MSC3079, version 1: 57 paths. */
export const paths: Iterable<[code: string, path: string]> & {
  readonly title: string;
  /** Number of paths in the table. */
  readonly size: number;
  /**
   * Returns the path of a code, parameters in braces: `A` is
   * `/_matrix/client/r0/rooms/{roomId}/event/{eventId}`.
   */
  path(code: string): string | undefined;
  /**
   * Converts Uri-Path values to the path of HTTP, percent-encoded. A first value that is a path code stands
   * for its path.
   *
   * @throws {PathError} too few parameters, no value at all, or a value that is `.` or `..`
   */
  expand(segments: readonly string[]): string;
  /**
   * Converts a path of HTTP (no query) to Uri-Path values, the first of them the path code if there is one.
   *
   * @throws {PathError} not a path, a bad percent escape, a segment `.` or `..`, or a first segment that
   * looks like a code
   */
  compress(path: string): string[];
};

/** Upper bounds. */
export interface Limits {
  /** Bytes of input; default 64 MiB, at most 256 MiB. */
  readonly maxInput?: number | undefined;
  /**
   * Bytes of output, at most 512 MiB; default 256 MiB of JSON, and 64 MiB of CBOR, because that is what a
   * decoder takes. JSON to CBOR may grow 2.25 times, CBOR to JSON 8.5 times and more.
   */
  readonly maxOutput?: number | undefined;
  /**
   * Open arrays and objects; default 128, at most 65536. One more is refused; the lenient policy writes null.
   * Servers write 32 at most into what they send, see the README.
   */
  readonly maxDepth?: number | undefined;
}

export interface EncodeOptions {
  /** Names that stand in this table are written as their integer. Default `v1`. */
  readonly keys?: 'v1' | 'none' | KeyTable | undefined;
  /**
   * How JSON that is not clean is handled: repeated keys, numbers beyond 64 bits, lone surrogates, too much
   * depth. `strict`, the default, refuses; `lenient` repairs, see {@link Repairs}, and passes over a byte
   * order mark before the text.
   */
  readonly policy?: 'strict' | 'lenient' | undefined;
  /**
   * The order of a map's keys: as in the JSON (default), bytewise (RFC 8949 section 4.2.1), or shorter ones
   * first (section 4.2.3, what MSC3079 calls canonical).
   */
  readonly order?: 'as_written' | 'bytewise' | 'length_first' | undefined;
  readonly limits?: Limits | undefined;
  /** Called once after a document in which something was repaired. */
  readonly onRepairs?: ((repairs: Repairs) => void) | undefined;
}

/** Keys leave a stream before the last one is seen, so it has no order. */
export type EncodeStreamOptions = Omit<EncodeOptions, 'order'>;

export interface DecodeOptions {
  /** Integer keys of this table become their names, others their decimal text. Default `v1`. */
  readonly keys?: 'v1' | 'none' | KeyTable | undefined;
  readonly limits?: Limits | undefined;
}

/** Options of {@link encodeObject}. It has no input in bytes. */
export interface EncodeObjectOptions extends Omit<EncodeOptions, 'limits'> {
  readonly limits?: Omit<Limits, 'maxInput'> | undefined;
}

/** Options of {@link decodeObject}. It has no output in bytes. */
export interface DecodeObjectOptions extends Omit<DecodeOptions, 'limits'> {
  readonly limits?: Omit<Limits, 'maxOutput'> | undefined;
}

export interface DiagnoseOptions {
  /** Integer keys of this table have their names as comments, `/ type / 2`. Default `v1`. */
  readonly keys?: 'v1' | 'none' | KeyTable | undefined;
  /** `maxDepth` counts tags and strings of indefinite length too, and is 1024 by default. */
  readonly limits?: Limits | undefined;
  /** True for a line for each element and pair; false, the default, for one line. */
  readonly pretty?: boolean | undefined;
}

/** Repairs of a lenient conversion, counted. */
export interface Repairs {
  /** Whole numbers beyond 64 bits, written as float64. */
  readonly bigIntegers: number;
  /** Numbers beyond float64, written as null. */
  readonly hugeNumbers: number;
  /** Repeated keys, of which the last one was kept; in a stream the first, because it has left. */
  readonly repeatedKeys: number;
  /** Lone surrogates, written as U+FFFD. */
  readonly loneSurrogates: number;
  /** Arrays and objects nested too deep, written as null. */
  readonly tooDeep: number;
}

/**
 * Converts one JSON text to one CBOR item.
 *
 * @throws {CodecError} the text is not JSON, exceeds a limit, or, by the strict policy, is not clean
 */
export function encode(json: Uint8Array | ArrayBuffer | string, options?: EncodeOptions): Bytes;

/**
 * Converts one CBOR item to one JSON text, in UTF-8.
 *
 * @throws {CodecError} the item is not well-formed, has no form in JSON, holds a key twice, or
 * exceeds a limit
 */
export function decode(cbor: Uint8Array | ArrayBuffer, options?: DecodeOptions): Bytes;

/**
 * Converts like {@link decode}, and returns the JSON text as a string.
 *
 * @throws {CodecError} as {@link decode}
 */
export function decodeToString(cbor: Uint8Array | ArrayBuffer, options?: DecodeOptions): string;

/**
 * Converts a value of JavaScript to one CBOR item, the same as `encode(JSON.stringify(value), options)`, in
 * less time. So `toJSON` is called, `undefined` is left out of objects and null in arrays, as are functions
 * and symbols; NaN and the infinities are null, and minus zero is 0. Whole numbers have the digits of
 * JavaScript: from 2^53 on these are rounded, from 2^64 on the policy decides.
 *
 * @throws {CodecError} a lone surrogate, a number beyond 64 bits, a limit; with its `pointer`
 * @throws {TypeError} as `JSON.stringify`: a BigInt, a cycle; or what JSON has no form for, as `undefined`
 */
export function encodeObject(value: unknown, options?: EncodeObjectOptions): Bytes;

/**
 * Converts one CBOR item to a value of JavaScript, the same as `JSON.parse(decodeToString(cbor, options))`,
 * in less time. Whole numbers beyond 2^53 are rounded to the nearest one that JavaScript has.
 *
 * @throws {CodecError} as {@link decode}
 */
export function decodeObject(cbor: Uint8Array | ArrayBuffer, options?: DecodeObjectOptions): any;

/**
 * Converts a CBOR sequence (RFC 8742), items one behind the other and perhaps none: returns the JSON text of
 * each. `maxOutput` is for all of them together.
 *
 * @throws {CodecError} as {@link decode}, with the offset in the sequence
 */
export function decodeSequence(cbor: Uint8Array | ArrayBuffer, options?: DecodeOptions): string[];

/**
 * Returns CBOR in diagnostic notation (RFC 8949 section 8), for people: it says what JSON cannot, as byte
 * strings, tags and keys of any type. The items of a sequence (RFC 8742) are divided by commas.
 *
 * @throws {CodecError} an item is not well-formed, or exceeds a limit
 */
export function diagnose(cbor: Uint8Array | ArrayBuffer, options?: DiagnoseOptions): string;

/**
 * Returns true if any map in the item has an integer key: its sender knows a key table.
 *
 * @throws {CodecError} as {@link decode}
 */
export function usesIntegerKeys(cbor: Uint8Array | ArrayBuffer): boolean;

/**
 * {@link encode} for one JSON text in chunks, cut anywhere: `body.pipeThrough(new EncodeStream())`.
 *
 * Takes documents larger than memory, but for 16 MiB that the keys of all open objects may take
 * (`too_many_keys`). Arrays, objects and long texts leave with an indefinite length, and of repeated keys the
 * lenient policy keeps the first; else verdict, offset and content are those of {@link encode}. The stream
 * fails with a {@link CodecError}, after what was right has left.
 */
export class EncodeStream extends TransformStream<Uint8Array | ArrayBuffer | string, Bytes> {
  constructor(options?: EncodeStreamOptions);
}

/**
 * {@link decode} for one CBOR item in chunks, cut anywhere, as {@link EncodeStream} is for {@link encode}.
 */
export class DecodeStream extends TransformStream<Uint8Array | ArrayBuffer, Bytes> {
  constructor(options?: DecodeOptions);
}
