// The codec's vector files, with their words translated to those of the package.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export function vectors(file) {
  const found = JSON.parse(readFileSync(new URL(`../../codec/vectors/${file}.json`, import.meta.url), 'utf8'));
  assert.ok(found.length > 0, file);
  return found;
}

export function jsonBytes(vector) {
  return vector.json_hex === undefined ? new TextEncoder().encode(vector.json) : unhex(vector.json_hex);
}

export function encodeOptions({ keys: table, order, limits }) {
  return { keys: table, order, limits: inWords(limits) };
}

export function decodeOptions({ keys: table, limits }) {
  return { keys: table, limits: inWords(limits) };
}

/** Converts the files' snake_case to the package's camelCase. */
export function inWords(fields = {}) {
  const word = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [word(name), value]));
}

export function hex(bytes) {
  return Buffer.from(bytes).toString('hex');
}

export function unhex(text) {
  const bytes = Uint8Array.from(Buffer.from(text, 'hex'));
  assert.equal(hex(bytes), text);
  return bytes;
}
