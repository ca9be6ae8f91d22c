// One CBOR text as the lists show it: its items, each with its place in the bytes and in the JSON.

import { type Annotated, type Refusal, annotate } from '../codec.ts';

/** Words of an item in the table of the module. */
const WORDS = 8;
const NONE = 0xffff_ffff;
/** Items described at once: a list asks for each row by itself. */
const BLOCK = 128;

/** Kinds of items by their number. */
export const KINDS = [
  'unsigned', 'negative', 'bytes', 'text', 'array', 'map', 'tag', 'simple', 'float', 'float', 'float', 'break',
] as const;
export type Kind = (typeof KINDS)[number];

const ROLE_KEY = 2;
const FLAG_CUT = 1;
const FLAG_NOTES = 4;

export interface Note {
  /** The codec's word for its refusal; null if it is only a remark. */
  readonly refused: string | null;
  readonly sentence: string;
}

export interface Description {
  /** What the item is: `text of 6 bytes`, `key 2: type`. */
  readonly words: string;
  /** The value, of a string its beginning; containers have none. */
  readonly preview?: string;
  /** The name that the key table has for it. */
  readonly key?: string;
  /** The number in the head, in decimal: it may be larger than any exact number of JavaScript. */
  readonly argument?: string;
  readonly notes: readonly Note[];
}

export class Reading {
  readonly #annotated: Annotated;
  readonly #items: Uint32Array;
  readonly #described = new Map<number, readonly Description[]>();
  readonly json: string;
  readonly isJson: boolean;
  readonly refusal: Refusal | undefined;

  /** Reads bytes, as a sequence of items (RFC 8742) or as one, with the names of the key table or without. */
  constructor(
    readonly bytes: Uint8Array,
    sequence: boolean,
    keys: boolean,
  ) {
    this.#annotated = annotate(bytes, sequence, keys);
    this.#items = this.#annotated.items();
    this.json = this.#annotated.json();
    this.isJson = this.#annotated.is_json();
    const error = this.#annotated.error();
    this.refusal = error === undefined ? undefined : (JSON.parse(error) as Refusal);
  }

  /** Number of the items. */
  get length(): number {
    return this.#items.length / WORDS;
  }

  start(item: number): number {
    return this.#word(item, 0);
  }

  end(item: number): number {
    return this.#word(item, 1);
  }

  /** Bytes of the head: type and argument. */
  head(item: number): number {
    return this.#word(item, 2) & 0xff;
  }

  kind(item: number): Kind {
    return KINDS[(this.#word(item, 2) >> 8) & 0xff] ?? 'simple';
  }

  isKey(item: number): boolean {
    return ((this.#word(item, 2) >> 16) & 0xff) === ROLE_KEY;
  }

  isContainer(item: number): boolean {
    return ['array', 'map', 'tag'].includes(this.kind(item)) || this.#word(item, 7) > 0;
  }

  /** Says whether the bytes end, or go wrong, inside of the item. */
  isCut(item: number): boolean {
    return (this.#flags(item) & FLAG_CUT) !== 0;
  }

  hasNotes(item: number): boolean {
    return (this.#flags(item) & FLAG_NOTES) !== 0;
  }

  depth(item: number): number {
    return this.#word(item, 3);
  }

  /** The item around this one; -1 if there is none. */
  parent(item: number): number {
    const parent = this.#word(item, 4);
    return parent === NONE ? -1 : parent;
  }

  /** Where the item stands in the JSON, in units of UTF-16; undefined if it does not. */
  inJson(item: number): readonly [start: number, end: number] | undefined {
    const start = this.#word(item, 5);
    return start === NONE ? undefined : [start, this.#word(item, 6)];
  }

  /** Says whether the item is another one or stands inside of it. */
  isWithin(item: number, other: number): boolean {
    return item >= other && this.start(item) >= this.start(other) && this.end(item) <= this.end(other);
  }

  /** The innermost item at this byte; -1 if there is none. */
  atByte(offset: number): number {
    return this.#annotated.item_at_byte(offset);
  }

  /** The innermost item at this place in the JSON; -1 if there is none. */
  atJson(offset: number): number {
    return this.#annotated.item_at_json(offset);
  }

  describe(item: number): Description {
    const block = Math.floor(item / BLOCK);
    let found = this.#described.get(block);
    if (found === undefined) {
      const from = block * BLOCK;
      found = JSON.parse(this.#annotated.describe(from, Math.min(from + BLOCK, this.length))) as Description[];
      this.#described.set(block, found);
    }
    return found[item % BLOCK] ?? { words: '', notes: [] };
  }

  /** Returns an item in diagnostic notation (RFC 8949 section 8); all of them for -1. */
  diagnostic(item: number): string {
    return this.#annotated.diagnostic(item);
  }

  /** Number of the notes of all items. */
  get notes(): number {
    return this.#annotated.notes_length();
  }

  /** Returns the next item after this one that has notes, from the first on again; -1 if none has. */
  nextNoted(item: number): number {
    for (let step = 1; step <= this.length; step += 1) {
      const next = (item + step) % this.length;
      if (this.hasNotes(next)) return next;
    }
    return -1;
  }

  /** Gives the memory of the module back. */
  free(): void {
    this.#annotated.free();
  }

  #word(item: number, word: number): number {
    return this.#items[item * WORDS + word] ?? NONE;
  }

  #flags(item: number): number {
    return this.#word(item, 2) >>> 24;
  }
}
