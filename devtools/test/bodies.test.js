// The bytes behind the texts of the network log.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { bytesOf, fromBase64, isCbor, isSequence, readings } from '../extension/bodies.js';
import { annotate, initSync } from '../extension/pkg/lowband_devtools.js';

const MODULE = new URL('../extension/pkg/lowband_devtools_bg.wasm', import.meta.url);

initSync({ module: readFileSync(MODULE) });

/** Returns the text that the browser shows for bytes: what they are in UTF-8, else a letter for each. */
function shown(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return String.fromCharCode(...bytes);
  }
}

function isValid(bytes, type) {
  const annotated = annotate(bytes, isSequence(type), true);
  try {
    return annotated.is_valid();
  } finally {
    annotated.free();
  }
}

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const unhex = (digits) => new Uint8Array(Buffer.from(digits, 'hex'));

test('all bytes that may have been shown as a text are among its readings', () => {
  for (const digits of ['', '00', '7f', 'ff', '80', 'c3a9', 'e9', '63e282ac', 'c2a10200', 'a10200', 'c3', 'e9e282', 'efbbbf00']) {
    const all = readings(shown(unhex(digits))).map(hex);
    assert.ok(all.includes(digits), `${digits}: ${all}`);
  }
});

test('valid CBOR of one item is known from its text, whatever it is', () => {
  const items = [
    '00', '1818', '18e9', '19e9e9', '6161', '62c3a9', '63e282ac', 'a10200', 'a1026161', 'a10362c3a9', '80', 'bfff',
    '41e9', '42c3a9', '9f01ff', 'a1a1000102', 'c11a51ab67b0', 'c24101', 'f5', 'f93c00', 'fb3ff199999999999a', '8162c3a9',
  ];
  for (const item of items) {
    const { known, candidates } = bytesOf(shown(unhex(item)), 'application/cbor', isValid);
    assert.deepEqual([known, candidates.map(hex)], [true, [item]], item);
  }
});

test('what two readings are left of is not known', () => {
  const of = (digits, type) => {
    const { known, candidates } = bytesOf(shown(unhex(digits)), type, isValid);
    return [known, ...candidates.map(hex)];
  };
  // Both valid, in a sequence; none valid.
  assert.deepEqual(of('42e94100', 'application/cbor-seq'), [false, '42e94100', '42c3a94100']);
  assert.deepEqual(of('a2e9', 'application/cbor'), [false, 'a2e9', 'c2a2c3a9']);
  // The bytes of the text that the first one looks like: the same text, so the same answer.
  assert.deepEqual(of('c2a2c3a9', 'application/cbor'), [false, 'a2e9', 'c2a2c3a9']);
});

test('media types of CBOR', () => {
  for (const type of ['application/cbor', 'Application/CBOR; charset=x', 'application/cbor-seq', 'application/senml+cbor']) {
    assert.ok(isCbor(type), type);
  }
  for (const type of [undefined, '', 'application/json', 'text/cbor', 'application/cborx', 'application/cbor-sequence']) {
    assert.ok(!isCbor(type), type);
  }
  assert.deepEqual(['application/cbor-seq;x=1', 'application/cbor'].map(isSequence), [true, false]);
  assert.equal(hex(fromBase64('AP/DqQ==')), '00ffc3a9');
});
