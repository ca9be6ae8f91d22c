// The vector files of the codec, which its Rust tests read as well:
// ../../codec/vectors/README.md describes them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CodecError,
  PathError,
  decode,
  decodeSequence,
  decodeToString,
  diagnose,
  encode,
  keys,
  paths,
  usesIntegerKeys,
} from 'lowband-codec';
import { decodeOptions, encodeOptions, hex, inWords, jsonBytes, unhex, vectors } from './vectors.js';

for (const file of ['both-ways', 'json-to-cbor', 'lenient']) {
  test(`${file}: JSON becomes the CBOR, from bytes and from text`, () => {
    for (const vector of vectors(file)) {
      let repairs = {};
      const options = { ...encodeOptions(vector), onRepairs: (made) => (repairs = made) };
      if (file === 'lenient') options.policy = 'lenient';
      assert.equal(hex(encode(jsonBytes(vector), options)), vector.cbor, vector.name);
      assert.deepEqual(repairs, expectedRepairs(vector), vector.name);
      assert.equal(hex(encode(vector.json, options)), vector.cbor, vector.name);
      if (Object.keys(repairs).length > 0 || vector.json.startsWith('\ufeff')) {
        assert.throws(() => encode(jsonBytes(vector)), CodecError, `strict: ${vector.name}`);
      }
    }
  });
}

for (const file of ['both-ways', 'cbor-to-json']) {
  test(`${file}: CBOR becomes the JSON, as bytes and as text`, () => {
    for (const vector of vectors(file)) {
      const cbor = unhex(vector.cbor);
      assert.equal(utf8(decode(cbor, decodeOptions(vector))), vector.json, vector.name);
      assert.equal(decodeToString(cbor, decodeOptions(vector)), vector.json, vector.name);
      if (vector.integer_keys !== undefined) {
        assert.equal(usesIntegerKeys(cbor), vector.integer_keys, vector.name);
      }
    }
  });
}

test('diagnostic: CBOR becomes the text', () => {
  for (const vector of vectors('diagnostic')) {
    assert.equal(diagnose(unhex(vector.cbor), decodeOptions(vector)), vector.text, vector.name);
  }
});

test('both-ways: items one behind the other become the texts', () => {
  const all = vectors('both-ways').filter((vector) => decodeOptions(vector).keys === undefined && !vector.limits);
  const cbor = all.map((vector) => vector.cbor).join('');
  assert.deepEqual(decodeSequence(unhex(cbor)), all.map((vector) => vector.json));
});

test('refused JSON: kind and offset, from bytes and from text', () => {
  for (const vector of vectors('refused-json')) {
    assertRefused(vector, () => encode(jsonBytes(vector), encodeOptions(vector)));
    if (vector.json !== undefined) assertRefused(vector, () => encode(vector.json, encodeOptions(vector)));
  }
});

test('refused CBOR: kind and offset', () => {
  for (const vector of vectors('refused-cbor')) {
    assertRefused(vector, () => decode(unhex(vector.cbor), decodeOptions(vector)));
    assertRefused(vector, () => decodeToString(unhex(vector.cbor), decodeOptions(vector)));
  }
});

test('each valid vector is refused when it is cut at any byte', () => {
  let cuts = 0;
  const refused = (call, length, name) => {
    assert.throws(call, { name: 'CodecError', kind: 'unexpected_end', offset: length }, name);
    cuts += 1;
  };
  for (const file of ['both-ways', 'json-to-cbor', 'cbor-to-json']) {
    for (const vector of vectors(file)) {
      const cbor = unhex(vector.cbor);
      for (let length = 0; length < cbor.length; length += 1) {
        refused(() => decode(cbor.subarray(0, length), decodeOptions(vector)), length, vector.name);
      }
      const text = Buffer.from(utf8(jsonBytes(vector)).trim());
      // The beginning of a number can be a number: `12` of `123`.
      if (/^[-0-9]/.test(text)) continue;
      for (let length = 0; length < text.length; length += 1) {
        refused(() => encode(text.subarray(0, length), encodeOptions(vector)), length, vector.name);
      }
    }
  }
  assert.ok(cuts > 20_000, String(cuts));
});

test('paths: segments and path become each other, errors by their word', () => {
  const fails = (call, { error, name }) => {
    assert.throws(call, (thrown) => thrown instanceof PathError && thrown.kind === error, name);
  };
  for (const vector of vectors('paths')) {
    const { name, segments, path, only, error } = vector;
    if (error !== undefined) {
      if (segments !== undefined) fails(() => paths.expand(segments), vector);
      else fails(() => paths.compress(path), vector);
      continue;
    }
    if (only !== 'compress') assert.equal(paths.expand(segments), path, name);
    if (only !== 'expand') assert.deepEqual(paths.compress(path), segments, name);
  }
});

test('the tables have all keys and paths that have a vector', () => {
  const named = (file) => new Set(vectors(file).map(({ name }) => name));
  const bothWays = named('both-ways');
  assert.equal([...keys].length, 104);
  for (const [name, integer] of keys) {
    assert.ok(bothWays.has(`key ${integer}: ${name}`), name);
    assert.deepEqual([keys.integer(name), keys.name(integer)], [integer, name]);
  }
  const templates = named('paths');
  assert.equal([...paths].length, 57);
  for (const [code, path] of paths) {
    assert.ok(templates.has(`code ${code}: ${path}`), code);
    assert.equal(paths.path(code), path);
  }
});

function expectedRepairs({ repairs = {} }) {
  if (Object.keys(repairs).length === 0) return {};
  const none = { bigIntegers: 0, hugeNumbers: 0, repeatedKeys: 0, loneSurrogates: 0, tooDeep: 0 };
  return { ...none, ...inWords(repairs) };
}

function assertRefused({ name, error, offset }, call) {
  assert.throws(call, (thrown) => {
    assert.ok(thrown instanceof CodecError && thrown instanceof Error, name);
    assert.deepEqual([thrown.kind, thrown.offset], [error, offset], name);
    assert.match(thrown.message, new RegExp(`^byte ${offset}: .{20}`), name);
    return true;
  });
}

function utf8(bytes) {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}
