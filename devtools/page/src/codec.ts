// The Rust part of the page: started once, then called without waiting.

import {
  type Annotated,
  type Converted,
  annotate as annotateBytes,
  initSync,
  may_hold_secrets,
  sizes as sizesOf,
  to_cbor,
  to_json,
} from '../pkg/lowband_devtools.js';

export type { Annotated };

/** Why bytes or a text were refused, and where: an offset in bytes, for JSON in units of UTF-16 as well. */
export interface Refusal {
  readonly offset: number;
  readonly utf16?: number;
  readonly kind: string;
  readonly sentence: string;
}

/** Repairs of unclean JSON, counted by the codec's names for them. */
export type Repairs = Readonly<Record<string, number>>;

export type Conversion = { readonly bytes: Uint8Array<ArrayBuffer>; readonly repairs: Repairs } | { readonly refusal: Refusal };

export interface Sizes {
  readonly json_compact: number;
  readonly cbor: number;
  readonly cbor_without_keys: number;
}

/** The order of map keys in CBOR: as in the JSON, RFC 8949 section 4.2.1, section 4.2.3. */
export type Order = 0 | 1 | 2;

/** Starts the module: before that, nothing below may be called. */
export function start(module: WebAssembly.Module): void {
  initSync({ module });
}

export function annotate(bytes: Uint8Array, sequence: boolean, keys: boolean): Annotated {
  return annotateBytes(bytes, sequence, keys);
}

export function toCbor(json: Uint8Array, lenient: boolean, order: Order, keys: boolean): Conversion {
  return taken(to_cbor(json, lenient, order, keys));
}

export function toJson(cbor: Uint8Array, keys: boolean): Conversion {
  return taken(to_json(cbor, keys));
}

/** Returns the sizes of a JSON text; undefined if it is not JSON. */
/** Says whether a body of HTTP, of a request to this path or of its answer, may hold secrets. */
export function mayHoldSecrets(path: string, body: Uint8Array, isCbor: boolean): boolean {
  return may_hold_secrets(path, body, isCbor);
}

export function sizes(json: Uint8Array): Sizes | undefined {
  const found = sizesOf(json);
  return found === undefined ? undefined : (JSON.parse(found) as Sizes);
}

function taken(converted: Converted): Conversion {
  try {
    const error = converted.error();
    if (error !== undefined) return { refusal: JSON.parse(error) as Refusal };
    const repairs = converted.repaired() ? (JSON.parse(converted.repairs()) as Repairs) : {};
    return { bytes: Uint8Array.from(converted.bytes()), repairs };
  } finally {
    converted.free();
  }
}
