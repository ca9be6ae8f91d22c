// Key tables: names <-> integers.

import { refusal } from './errors.js';
import { shortText } from './inputs.js';
import { buffers, codec, needStart } from './module.js';

/**
 * The number by which the module knows a table.
 *
 * @type {(table: KeyTable) => number}
 */
export let numberOf;

// The argument with which `keys` is made. The module is asked for its content when a caller uses it: while
// this file is read the module may not run yet.
/** @type {[]} */
const V1 = [];

export class KeyTable {
  #title;
  // The number by which the module knows the table.
  #number = 1;
  /** @type {Map<string, number> | undefined} */
  #byName;
  /** @type {Map<number, string> | undefined} */
  #byInteger;

  /**
   * @param {string} title
   * @param {Iterable<readonly [string, number]> | Readonly<Record<string, number>>} keys
   */
  constructor(title, keys) {
    this.#title = title;
    if (keys === V1) return;
    const entries = Symbol.iterator in keys ? [...keys] : Object.entries(keys);
    this.#number = dictate(title, entries);
    this.#byName = new Map(entries);
  }

  get title() {
    return this.#title;
  }

  get size() {
    return this.#names().size;
  }

  /** @param {string} name */
  integer(name) {
    return this.#names().get(name);
  }

  /** @param {number} integer */
  name(integer) {
    this.#byInteger ??= new Map([...this].map(([name, of]) => [of, name]));
    return this.#byInteger.get(integer);
  }

  [Symbol.iterator]() {
    return this.#names().entries();
  }

  #names() {
    this.#byName ??= new Map(v1());
    return this.#byName;
  }

  static {
    numberOf = (table) => table.#number;
  }
}

export const keys = new KeyTable('v1', V1);

/** @returns {Generator<readonly [string, number]>} */
function* v1() {
  needStart();
  for (let place = 0; ; place += 1) {
    const integer = codec.v1_key(place);
    if (integer < 0) return;
    yield [buffers.readText(codec.output_len()), integer];
  }
}

/**
 * Passes a table to the module, which stores equal tables once.
 *
 * @param {string} title
 * @param {Iterable<readonly [string, number]>} entries
 */
function dictate(title, entries) {
  needStart();
  codec.begin_table(buffers.writeText(shortText(title, 'the title of a key table')));
  for (const [name, integer] of entries) {
    const length = buffers.writeText(shortText(name, 'a name in a key table'));
    codec.add_key(length, typeof integer === 'number' ? integer : NaN);
  }
  const number = codec.end_table();
  if (number < 0) throw refusal();
  return number;
}
