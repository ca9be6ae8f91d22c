// Key tables: names <-> integers.

import { refusal } from './errors.js';
import { shortText } from './inputs.js';
import { buffers, codec } from './modules.js';

/** @import { Buffers } from './buffers.js' */

/**
 * What both modules offer to be told of a table.
 *
 * @typedef {object} Dictated
 * @property {(titleLength: number) => void} begin_table
 * @property {(nameLength: number, integer: number) => void} add_key
 * @property {() => number} end_table
 * @property {() => number} refusal_kind
 * @property {() => number} refusal_message
 * @property {() => number} refusal_offset
 */

/**
 * The number by which a module knows a table, after it was told of it if need be.
 *
 * @type {(table: KeyTable, module: Dictated, itsBuffers: Buffers) => number}
 */
export let numberOf;

// What `keys` is made with. The module says what stands in it when somebody asks: while this file is read it may not run yet.
/** @type {[]} */
const V1 = [];

export class KeyTable {
  #title;
  /** @type {Map<string, number> | undefined} */
  #byName;
  /** @type {Map<number, string> | undefined} */
  #byInteger;
  /** @type {Map<Dictated, number>} */
  #numbers = new Map();

  /**
   * @param {string} title
   * @param {Iterable<readonly [string, number]> | Readonly<Record<string, number>>} keys
   */
  constructor(title, keys) {
    this.#title = title;
    if (keys === V1) return;
    const entries = Symbol.iterator in keys ? [...keys] : Object.entries(keys);
    this.#numbers.set(codec, dictate(title, entries, codec, buffers));
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
    numberOf = (table, module, itsBuffers) => {
      if (table === keys) return 1;
      const number = table.#numbers.get(module) ?? dictate(table.title, table, module, itsBuffers);
      table.#numbers.set(module, number);
      return number;
    };
  }
}

export const keys = new KeyTable('v1', V1);

/** @returns {Generator<readonly [string, number]>} */
function* v1() {
  for (let place = 0; ; place += 1) {
    const integer = codec.v1_key(place);
    if (integer < 0) return;
    yield [buffers.readText(codec.output_len()), integer];
  }
}

/**
 * A module stores a table that it is told of twice only once.
 *
 * @param {string} title
 * @param {Iterable<readonly [string, number]>} entries
 * @param {Dictated} module
 * @param {Buffers} itsBuffers
 */
function dictate(title, entries, module, itsBuffers) {
  module.begin_table(itsBuffers.writeText(shortText(title, 'the title of a key table')));
  for (const [name, integer] of entries) {
    const length = itsBuffers.writeText(shortText(name, 'a name in a key table'));
    module.add_key(length, typeof integer === 'number' ? integer : NaN);
  }
  const number = module.end_table();
  if (number < 0) throw refusal(module, itsBuffers);
  return number;
}
