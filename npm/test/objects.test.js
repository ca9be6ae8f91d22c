// Values in and out: each is what the way through JSON text gives, bytes and errors included.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { CodecError, KeyTable, decodeObject, decodeToString, encode, encodeObject, keys } from 'lowband-codec';
import { DECODE_LIMITS, ENCODE_LIMITS } from '../pkg/limits.js';
import { Draw } from './draw.js';
import { assertDecodes, assertEncodes, outcome } from './same.js';
import { decodeOptions, encodeOptions, hex, unhex, vectors } from './vectors.js';

const SYNC = JSON.parse(readFileSync(new URL('../../codec/tests/data/sync-medium.json', import.meta.url), 'utf8'));
const NAMES = [...keys].map(([name]) => name);
const OURS = new KeyTable('ours of the objects', { type: 1, toString: 2, body: 127, msgtype: 128, '': 129, __proto: 60_000 });
const DENSE = new KeyTable('dense', [...keys, ['m.mentions', 200], ['m.relates', 4000]]);

test('a sync goes both ways, without a text between', (t) => {
  const cbor = encode(JSON.stringify(SYNC));
  const stringify = t.mock.method(JSON, 'stringify');
  const parse = t.mock.method(JSON, 'parse');
  const [there, back] = [encodeObject(SYNC), decodeObject(cbor)];
  assert.equal(stringify.mock.callCount() + parse.mock.callCount(), 0);
  assert.equal(hex(there), hex(cbor));
  assert.deepEqual(back, SYNC);
  assert.deepEqual(decodeObject(cbor.buffer), SYNC);
  assert.equal(there.byteLength, there.buffer.byteLength, 'the bytes are the caller\'s own');
});

test('real bodies go both ways as their text does, by each table, also when they are cut', () => {
  const data = (name) => readFileSync(new URL(`../../codec/tests/data/${name}`, import.meta.url), 'utf8');
  const files = ['event.json', 'event-escaped.json', 'sync-small.json', 'sync-medium.json'].map(data);
  const bodies = [...files, ...data('bodies.jsonl').trimEnd().split('\n')];
  assert.ok(bodies.length > 100, `${bodies.length}`);
  const draw = new Draw(4);
  for (const [place, body] of bodies.entries()) {
    for (const table of ['v1', 'none', DENSE]) {
      const cbor = assertEncodes(JSON.parse(body), { keys: table }, `body ${place}`);
      assertDecodes(cbor, { keys: table }, `body ${place}`);
      assertDecodes(cbor.subarray(0, draw.below(cbor.length)), { keys: table }, `body ${place}, cut`);
    }
  }
});

for (const file of ['both-ways', 'json-to-cbor', 'lenient', 'refused-json']) {
  test(`${file}: values become what their text becomes`, () => {
    for (const vector of vectors(file)) {
      const { value } = outcome(() => JSON.parse(vector.json));
      if (value === undefined) continue;
      const { limits: { maxInput, ...limits } = {}, ...options } = encodeOptions(vector);
      for (const policy of ['strict', 'lenient']) assertEncodes(value, { ...options, limits, policy }, vector.name);
    }
  });
}

for (const file of ['both-ways', 'json-to-cbor', 'cbor-to-json', 'refused-cbor', 'diagnostic']) {
  test(`${file}: CBOR becomes the value of its text, also when it is cut at any byte`, () => {
    for (const vector of vectors(file)) {
      const { limits: { maxOutput, ...limits } = {}, ...options } = decodeOptions(vector);
      const cbor = unhex(vector.cbor);
      assertDecodes(cbor, { ...options, limits }, vector.name);
      for (let length = 0; length < Math.min(cbor.length, 300); length += 1) {
        assertDecodes(cbor.subarray(0, length), { ...options, limits }, `${vector.name}, ${length} bytes`);
      }
    }
  });
}

test('random values go both ways as their text does, by each table and order', () => {
  const draw = new Draw(1);
  for (let round = 0; round < 3000; round += 1) {
    const value = draw.value(NAMES);
    const table = draw.of([undefined, 'v1', 'none', OURS, DENSE]);
    const order = draw.of([undefined, undefined, 'as_written', 'bytewise', 'length_first']);
    const cbor = assertEncodes(value, { keys: table, order }, `round ${round}`);
    if (cbor !== undefined) assertDecodes(cbor, { keys: draw.of([table, table, 'none', DENSE]) }, `round ${round}`);
  }
});

test('damaged CBOR has the verdict, or the value, of its text', () => {
  const draw = new Draw(2);
  for (let round = 0; round < 20_000; round += 1) {
    const cbor = encode(JSON.stringify(draw.value(NAMES, 2)), { policy: 'lenient' });
    for (let damage = draw.below(3); damage >= 0; damage -= 1) {
      const heads = [draw.below(256), 0xff, 0x7f, 0x9f, 0xbf, 0x18, 0x1b, 0x3b, 0xf9, 0xfb, 0x61, 0x78];
      cbor[draw.below(cbor.length)] = draw.of(heads);
    }
    assertDecodes(cbor, { keys: draw.of(['v1', 'none', OURS]) }, hex(cbor));
  }
});

test('limits and depth are those of the codec', () => {
  const nested = (depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
  const { maxDepth } = ENCODE_LIMITS;
  for (const [depth, limits] of [[maxDepth, {}], [maxDepth + 1, {}], [3, { maxDepth: 2 }], [3, { maxDepth: 3 }], [1000, { maxDepth: 1000 }]]) {
    for (const policy of ['strict', 'lenient']) assertEncodes(nested(depth), { limits, policy }, String(depth));
    assertDecodes(encode(JSON.stringify(nested(depth)), { limits: { maxDepth: 1000 } }), { limits }, String(depth));
  }
  const cbor = encode(JSON.stringify(SYNC));
  for (const maxOutput of [cbor.length, cbor.length - 1, 10_000, 0]) assertEncodes(SYNC, { limits: { maxOutput } }, `${maxOutput}`);
  for (const maxInput of [cbor.length, cbor.length - 1, 0]) assertDecodes(cbor, { limits: { maxInput } }, `${maxInput}`);
  const large = 'x'.repeat(ENCODE_LIMITS.maxOutput - 5);
  assert.equal(encodeObject(large).length, ENCODE_LIMITS.maxOutput);
  assert.throws(() => encodeObject(`${large}x`), { kind: 'output_too_large' });
  assert.throws(() => decodeObject(new Uint8Array(DECODE_LIMITS.maxInput + 1)), { kind: 'input_too_large' });
});

test('options that mean nothing are refused, also where the module is not asked', () => {
  for (const [options, error] of [
    [null, TypeError],
    [{ polcy: 'strict' }, TypeError],
    [{ keys: 'v2' }, TypeError],
    [{ limits: { maxInput: 1 } }, TypeError],
    [{ limits: { maxOutput: 600 * 2 ** 20 } }, RangeError],
  ]) {
    assert.throws(() => encodeObject(1, options), error, JSON.stringify(options));
  }
  assert.throws(() => decodeObject(Uint8Array.of(1), { limits: { maxOutput: 1 } }), TypeError);
  assert.throws(() => decodeObject(Uint8Array.of(1), { policy: 'strict' }), TypeError);
  assert.throws(() => decodeObject({}), TypeError);
});

test('what is not quite JSON is what JSON.stringify makes of it', () => {
  class Point {
    x = 1;
    #y = 2;
    get z() {
      return this.#y;
    }
  }
  const own = { ['__proto__']: 1, ['constructor']: 2, ['toString']: 3 };
  const symbol = Symbol('s');
  const bare = Object.assign(Object.create(null), { type: 1 });
  const sparse = [1, , 3];
  const json = new Date(0);
  for (const value of [
    { a: undefined, type: 1, b: () => 1, [symbol]: 2, c: symbol },
    Object.fromEntries(Array.from({ length: 300 }, (_, place) => [`k${place}`, place % 2 ? undefined : place])),
    [undefined, () => 1, symbol, sparse],
    [NaN, Infinity, -Infinity, -0, 0.1, -0.5, 1e21, 2 ** 53, -(2 ** 53), 2 ** 63, -(2 ** 63)],
    [json, { at: json }, { toJSON: () => 7 }, { toJSON: 1 }, Object.assign(() => 1, { toJSON: () => 2 })],
    [new Number(1), new String('a'), new Boolean(false)],
    [new Point(), own, bare, new Map([[1, 2]]), new Set([1]), /a/, new Uint8Array(2), new Error('x')],
    { 2: 1, 1: 2, '-1': 3, 1.5: 4, '02': 5 },
    runInNewContext('({ type: [1, { body: "x" }] })'),
    new Proxy({ type: 1 }, {}),
    new Proxy([1, 2], {}),
    ['ü'.repeat(12), 'ü'.repeat(24), 'ü'.repeat(128), '€'.repeat(40), '€'.repeat(22_000), 'x'.repeat(70_000)],
    Array.from({ length: 70_000 }, (_, place) => place),
    [[new Date(NaN)], { type: new Date(0) }],
  ]) {
    assert.ok(assertEncodes(value));
  }
  if (JSON.rawJSON !== undefined) assertEncodes([JSON.rawJSON('1')]);
  for (const nothing of [undefined, () => 1, symbol]) {
    assert.throws(() => encodeObject(nothing), /^TypeError: JSON has no form for (undefined|function|symbol)$/);
  }
  for (const wrong of [1n, [1n], { a: { b: 1n } }]) assert.throws(() => encodeObject(wrong), TypeError);
  const cycle = { a: [{}] };
  cycle.a[0].b = cycle;
  assert.throws(() => encodeObject(cycle), /^TypeError: Converting circular structure/);
});

test('a key that all objects have is a key, and changes no prototype', () => {
  const json = '{"__proto__":{"polluted":1},"constructor":2,"toString":{"__proto__":null}}';
  const value = decodeObject(encode(json));
  assert.equal(JSON.stringify(value), json);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal(value.polluted, undefined);
  const table = new KeyTable('of all objects', { ['__proto__']: 1, ['valueOf']: 2 });
  assertDecodes(unhex('a201a1020302a0'), { keys: table });
  assert.equal(JSON.stringify(decodeObject(unhex('a101a10203'), { keys: table })), '{"__proto__":{"valueOf":3}}');
});

test('whole numbers beyond those of JavaScript are rounded once', () => {
  const numbers = ['1b0020000000000001', '1b0020000000000003', '1bffffffffffffffff', '1b7ffffffffffffe00', '1b8000000000000400'];
  for (const number of [...numbers, ...numbers.map((text) => `3b${text.slice(2)}`)]) assertDecodes(unhex(number), {}, number);
  assertDecodes(unhex('a11b002000000000000103'), {}, 'a key');
  assert.equal(decodeObject(unhex('3b0020000000000001')), -(2 ** 53) - 2);
});

test('a refusal says where in the value it is', () => {
  const found = (value, options) => {
    const { error } = outcome(() => encodeObject(value, options));
    assert.ok(error instanceof CodecError);
    assert.match(error.message, /^byte \d+: .*, at ".*" in the value$/);
    return [error.kind, error.pointer];
  };
  const lone = '\ud800';
  assert.deepEqual(found(lone), ['lone_surrogate', '']);
  assert.deepEqual(found({ type: 'ü"\\', content: { 'a/b~c"': [0, [], {}, { x: lone }] } }), ['lone_surrogate', '/content/a~1b~0c"/3/x']);
  assert.deepEqual(found({ a: [], b: { [lone]: 1 } }), ['lone_surrogate', '/b']);
  assert.deepEqual(found([1, 1e20]), ['big_integer', '/1']);
  assert.deepEqual(found({ a: [[[]]] }, { limits: { maxDepth: 2 } }), ['too_deep', '/a/0']);
  assert.equal(outcome(() => encode('1e400')).error.pointer, undefined);
});

test('a lenient call repairs values too, and says so', () => {
  const told = [];
  const onRepairs = ({ bigIntegers, loneSurrogates }) => told.push([bigIntegers, loneSurrogates]);
  const cbor = encodeObject([1e20, '\ud800'], { policy: 'lenient', onRepairs });
  assert.equal(decodeToString(cbor), '[1e+20,"\ufffd"]');
  encodeObject([1], { policy: 'lenient', onRepairs });
  assert.deepEqual(told, [[1, 1]]);
});

test('a getter, a toJSON and a proxy may call the codec, or throw', () => {
  let inner;
  const value = {
    get a() {
      inner = encodeObject({ type: 'inner' });
      return 'outer';
    },
    b: new Proxy({ x: 1 }, { get: (target, name) => (encode('[1]'), target[name]) }),
  };
  assert.equal(hex(encodeObject(value)), hex(encode('{"a":"outer","b":{"x":1}}')));
  assert.equal(hex(inner), hex(encode('{"type":"inner"}')));
  const date = { toJSON: () => decodeObject(encodeObject({ at: 1 }, { keys: 'none' }), { keys: 'none' }) };
  assert.equal(hex(encodeObject([date])), hex(encode('[{"at":1}]')));
  const thrown = new Error('mine');
  const throws = { get a() { throw thrown; } };
  assert.equal(outcome(() => encodeObject(throws)).error, thrown);
  assert.equal(hex(encodeObject(['x'])), '816178', 'the next call is not disturbed');
});
