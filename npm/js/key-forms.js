// The entries of key tables in the forms that writing and reading need.

import { NameCache } from './name-cache.js';
import { KeyTable, keys as v1 } from './keys.js';

/** @import { DecodeOptions } from './index.js' */

/**
 * @typedef {object} KeyForms
 * @property {ReadonlyMap<string, number>} byName
 * @property {readonly string[]} byInteger the empty string where there is no name
 * @property {NameCache} cache names that the table does not have
 * @property {boolean} plain false if assigning to one of the names could do something else than add a key
 */

/** @type {WeakMap<KeyTable, KeyForms>} */
const known = new WeakMap();

/** @type {KeyForms} */
const NONE = { byName: new Map(), byInteger: [], cache: new NameCache(), plain: true };

/**
 * @param {DecodeOptions['keys']} keys checked
 * @returns {KeyForms}
 */
export function formsOf(keys) {
  if (keys === 'none') return NONE;
  const table = keys instanceof KeyTable ? keys : v1;
  let forms = known.get(table);
  if (forms === undefined) {
    forms = made(table);
    known.set(table, forms);
  }
  return forms;
}

/**
 * @param {KeyTable} table
 * @returns {KeyForms}
 */
function made(table) {
  const byName = new Map(table);
  const byInteger = new Array([...byName.values()].reduce((most, integer) => Math.max(most, integer), -1) + 1).fill('');
  for (const [name, integer] of byName) byInteger[integer] = name;
  // An empty name would look like none.
  const plain = [...byName.keys()].every((name) => name !== '' && !(name in Object.prototype));
  return { byName, byInteger, cache: new NameCache(), plain };
}
