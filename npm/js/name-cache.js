// Names that keys have had in CBOR. To make a string of a key and find it among the engine's names takes five
// times as long as to find it here.

import { view } from './texts.js';

// Lengths in bytes. Longer ones are ids, hardly the same again.
const SHORTEST = 4;
const LONGEST = 32;
const WORDS = LONGEST / 4;
// One name each. A byte of the hash says which.
const SLOTS = 256;

export class NameCache {
  #names = new Array(SLOTS).fill('');
  #lengths = new Uint8Array(SLOTS);
  // The bytes of the names.
  #words = new Int32Array(SLOTS * WORDS);
  // The hash of what was last seen in a slot: a name that comes once is not worth a place.
  #hashes = new Int32Array(SLOTS);

  /**
   * @param {number} from where a key begins in the CBOR being read
   * @param {number} to
   * @returns {string | undefined}
   */
  get(from, to) {
    const length = to - from;
    if (length < SHORTEST || length > LONGEST) return undefined;
    const hash = hashOf(from, to);
    const slot = hash >>> 24;
    if (this.#lengths[slot] !== length) return undefined;
    const last = to - 4;
    let word = slot * WORDS;
    for (let at = from; at < last; at += 4, word += 1) {
      if (this.#words[word] !== view.getInt32(at)) return undefined;
    }
    return this.#words[word] === view.getInt32(last) ? this.#names[slot] : undefined;
  }

  /**
   * @param {number} from where the key begins in the CBOR being read
   * @param {number} to
   * @param {string} name
   */
  put(from, to, name) {
    const length = to - from;
    if (length < SHORTEST || length > LONGEST) return;
    const hash = hashOf(from, to);
    const slot = hash >>> 24;
    if (this.#hashes[slot] !== hash) {
      this.#hashes[slot] = hash;
      return;
    }
    const last = to - 4;
    let word = slot * WORDS;
    for (let at = from; at < last; at += 4, word += 1) this.#words[word] = view.getInt32(at);
    this.#words[word] = view.getInt32(last);
    this.#lengths[slot] = length;
    // The string that the engine has for a name, and not the one that is a part of others.
    this.#names[slot] = Object.keys({ [name]: 0 })[0];
  }
}

/**
 * @param {number} from
 * @param {number} to at least four bytes behind
 */
function hashOf(from, to) {
  const last = to - 4;
  let hash = to - from;
  // Four bytes at a time; the last four may overlap those before.
  for (let at = from; at < last; at += 4) hash = mixed(hash, view.getInt32(at));
  return mixed(hash, view.getInt32(last));
}

/**
 * @param {number} hash
 * @param {number} word
 */
function mixed(hash, word) {
  return Math.imul(hash ^ word, 0x9e37_79b1);
}
