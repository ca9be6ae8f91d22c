// Texts and names, which are read and written in several ways: by their length, by what is in them, and by
// whether they came before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyTable, decodeObject, encode } from 'lowband-codec';
import { Draw } from './draw.js';
import { assertDecodes, assertEncodes, outcome } from './same.js';

/** Returns a CBOR text of these bytes. */
function cborText(utf8) {
  const head = [0x79, utf8.length >> 8, utf8.length & 0xff];
  return Uint8Array.from([...head, ...utf8]);
}

test('texts of each length, of ASCII and not, alone and behind others, are those of the text', () => {
  for (let length = 0; length <= 1100; length += length < 300 ? 1 : 7) {
    const ascii = Array.from({ length }, (_, place) => String.fromCharCode(0x20 + (place % 0x5f))).join('');
    const texts = [ascii, 'x', `${ascii}\u00fc`, ascii, `\u20ac${ascii}`, ascii];
    assert.deepEqual(decodeObject(encode(JSON.stringify(ascii))), ascii);
    assert.deepEqual(decodeObject(encode(JSON.stringify(texts))), texts);
  }
});

test('characters of each kind, and halves of them, are written as the text of their value is', () => {
  const kinds = ['a', '\u007f', '\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'];
  const halves = ['\ud800', '\udbff', '\udc00', '\udfff'];
  for (const first of [...kinds, ...halves]) {
    for (const second of [...kinds, ...halves]) {
      for (const text of [first + second, `ab${first}${second}c`, `${second}a${first}`]) {
        for (const policy of ['strict', 'lenient']) assertEncodes([text, 'x'], { policy }, JSON.stringify(text));
      }
    }
  }
  for (const kind of kinds) {
    for (let length = 0; length < 600; length += length < 30 ? 1 : 11) {
      for (const text of [kind.repeat(length), 'a'.repeat(length) + kind]) assertEncodes([text, text, 'x'], {}, `${length} of ${kind}`);
    }
  }
});

test('what is not UTF-8 is refused in each place of a text of each length', () => {
  const lengths = [...Array(70).keys(), 255, 256, 257, 300].slice(1);
  for (const length of lengths) {
    for (let place = 0; place < length; place += 1) {
      const utf8 = new Uint8Array(length).fill(0x61);
      utf8[place] = [0x80, 0xc3, 0xff][place % 3];
      const { error } = outcome(() => decodeObject(cborText(utf8)));
      assert.deepEqual([error?.kind, error?.offset], ['invalid_utf8', 3 + place], `${length}, ${place}`);
    }
  }
});

test('names that come again, and names like them, are those of the text', () => {
  const draw = new Draw(3);
  const letters = ['a', 'b', '\u00fc'];
  const names = Array.from({ length: 3000 }, () => Array.from({ length: draw.below(40) }, () => draw.of(letters)).join(''));
  for (let round = 0; round < 3; round += 1) {
    for (let from = 0; from < names.length; from += 10) {
      const some = names.slice(from, from + 10);
      const value = { again: [0, 1, 2].map(() => Object.fromEntries(some.map((name, place) => [name, place]))) };
      assert.deepStrictEqual(decodeObject(encode(JSON.stringify(value))), value);
    }
  }
});

test('a name of which one byte differs is another name, also when the CBOR ends in it', () => {
  const name = 'org.matrix.msc2716.historical';
  const cbor = encode(JSON.stringify({ [name]: 1 }));
  for (let round = 0; round < 4; round += 1) assert.deepEqual(decodeObject(cbor), { [name]: 1 });
  for (let place = 0; place < name.length; place += 1) {
    const other = `${name.slice(0, place)}~${name.slice(place + 1)}`;
    assert.deepEqual(decodeObject(encode(JSON.stringify({ [other]: 1 }))), { [other]: 1 });
    assertDecodes(cbor.subarray(0, place), {}, `${place} bytes`);
  }
});

test('a name that comes again keeps nothing from the rules for keys', () => {
  const cbor = (json, keys) => encode(json, { keys });
  const listed = new KeyTable('of the names', { historical: 1 });
  for (let round = 0; round < 4; round += 1) {
    for (const keys of ['none', 'v1', listed]) {
      for (const json of ['{"historical":1}', '{"body":1,"historical":2}', '{"__proto__":1,"toString":2,"constructor":3}']) {
        for (const by of ['none', 'v1', listed]) assertDecodes(cbor(json, by), { keys }, json);
      }
      const twice = Uint8Array.from([0xa2, ...cbor('{"historical":1}', 'none').subarray(1), ...cbor('{"historical":1}', 'none').subarray(1)]);
      assertDecodes(twice, { keys }, 'the same name twice');
    }
  }
});

test('bytes may come in any array of bytes, in memory that is shared, and from the middle of a larger one', () => {
  const value = { body: 'text of some length \u00fc', at: 200, '\u20ac': [1.5, -70_000, 2 ** 40] };
  const cbor = encode(JSON.stringify(value));
  const shared = new Uint8Array(new SharedArrayBuffer(cbor.length + 2), 1, cbor.length);
  shared.set(cbor);
  const middle = new Uint8Array(cbor.length + 9).subarray(5, 5 + cbor.length);
  middle.set(cbor);
  const others = [Int8Array, Uint8ClampedArray].map((of) => new of(cbor.buffer));
  for (const bytes of [shared, middle, ...others]) assert.deepEqual(decodeObject(bytes), value);
});
