// Values go as their JSON text goes.

import assert from 'node:assert/strict';
import { decodeObject, decodeToString, encode, encodeObject } from 'lowband-codec';
import { hex } from './vectors.js';

/** Returns what a call gives, or what it throws. */
export function outcome(call) {
  try {
    return { value: call() };
  } catch (error) {
    return { error };
  }
}

/** Checks that a value becomes what its text becomes, bytes and errors included; returns the bytes. */
export function assertEncodes(value, options, name) {
  const { maxInput, ...limits } = options?.limits ?? {};
  const ours = outcome(() => encodeObject(value, options));
  const text = outcome(() => encode(JSON.stringify(value), { ...options, limits: { maxInput: 2 ** 28, ...limits } }));
  assert.equal(ours.error?.name, text.error?.name, name);
  assert.deepEqual([ours.error?.kind, ours.error?.offset], [text.error?.kind, text.error?.offset], name);
  assert.equal(ours.value && hex(ours.value), text.value && hex(text.value), name);
  return ours.value;
}

/** Checks that CBOR becomes the value of its text, order of keys and errors included. */
export function assertDecodes(cbor, options, name) {
  const ours = outcome(() => decodeObject(cbor, options));
  const text = outcome(() => JSON.parse(decodeToString(cbor, options)));
  assert.deepEqual([ours.error?.kind, ours.error?.offset], [text.error?.kind, text.error?.offset], name);
  // It tells 0 from -0, and own properties from a prototype.
  assert.deepStrictEqual(ours.value, text.value, name);
  assert.equal(JSON.stringify(ours.value), JSON.stringify(text.value), `the order of keys: ${name}`);
}
