// Streams give the results of whole documents, wherever the chunks are cut.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CodecError, DecodeStream, EncodeStream, KeyTable, decode, decodeToString, encode } from 'lowband-codec';
import { decodeOptions, encodeOptions, jsonBytes, unhex, vectors } from './vectors.js';

test('both-ways and json-to-cbor: a stream of JSON says the same as the document, cut anywhere', async () => {
  for (const vector of [...vectors('both-ways'), ...vectors('json-to-cbor')]) {
    const { order, ...options } = encodeOptions(vector);
    const back = decodeOptions(vector);
    const json = jsonBytes(vector);
    const whole = decodeToString(encode(json, options), back);
    for (const size of [1, 3, json.length]) {
      const cbor = await through(new EncodeStream(options), cut(json, size));
      assert.equal(decodeToString(cbor, back), whole, `${vector.name} ${size}`);
      const fromText = await through(new EncodeStream(options), cut(vector.json, size));
      assert.deepEqual(fromText, cbor, `${vector.name} ${size}`);
    }
  }
});

test('both-ways and cbor-to-json: a stream of CBOR says the same as the item, cut anywhere', async () => {
  // An integer key may have left before its text comes: see the next test.
  const twins = ({ name }) => name.startsWith('text wins');
  for (const vector of [...vectors('both-ways'), ...vectors('cbor-to-json')].filter((vector) => !twins(vector))) {
    const cbor = unhex(vector.cbor);
    for (const size of [1, 3, cbor.length]) {
      const json = await through(new DecodeStream(decodeOptions(vector)), cut(cbor, size));
      assert.equal(Buffer.from(json).toString(), vector.json, `${vector.name} ${size}`);
    }
  }
});

test('a stream drops an integer key whose text has left, and refuses the text of an integer that has', async () => {
  const [textFirst, integerFirst] = ['a26474797065020201', 'a20201647479706502'].map(unhex);
  assert.equal(Buffer.from(await through(new DecodeStream(), cut(textFirst, 1))).toString(), '{"type":2}');
  const refused = { name: 'CodecError', kind: 'repeated_key', offset: 3 };
  await assert.rejects(through(new DecodeStream(), cut(integerFirst, 1)), refused);
});

test('lenient: a stream repairs what a document has repaired, and says so', async () => {
  for (const vector of vectors('lenient').filter(({ repairs }) => !('repeated_keys' in repairs))) {
    const told = [];
    const options = { policy: 'lenient', onRepairs: (repairs) => told.push(repairs) };
    const whole = encode(jsonBytes(vector), options);
    const cbor = await through(new EncodeStream(options), cut(jsonBytes(vector), 2));
    assert.equal(decodeToString(cbor), decodeToString(whole), vector.name);
    assert.deepEqual(told[1], told[0], vector.name);
  }
});

test('lenient: of repeated keys a stream keeps the first, and what it writes can be read', async () => {
  for (const [json, expected] of [
    ['{"type":1,"type":2}', '{"type":1}'],
    ['{"a":1,"b":"x","a":[1,{"a":2}],"c":3}', '{"a":1,"b":"x","c":3}'],
  ]) {
    const told = [];
    const options = { policy: 'lenient', onRepairs: ({ repeatedKeys }) => told.push(repeatedKeys) };
    const cbor = await through(new EncodeStream(options), cut(json, 1));
    assert.equal(decodeToString(cbor), expected);
    assert.equal(Buffer.from(await through(new DecodeStream(), cut(cbor, 1))).toString(), expected);
    assert.deepEqual(told, [1]);
  }
});

for (const [file, input, stream] of [
  ['refused-json', jsonBytes, (vector) => new EncodeStream(withoutOrder(encodeOptions(vector)))],
  ['refused-cbor', ({ cbor }) => unhex(cbor), (vector) => new DecodeStream(decodeOptions(vector))],
]) {
  test(`${file}: a stream fails with the same error at the same byte, unless a CBOR key is repeated`, async () => {
    const early = ({ error }) => file === 'refused-cbor' && error === 'repeated_key';
    for (const vector of vectors(file).filter((vector) => !early(vector))) {
      for (const size of [1, 1000]) {
        const { error: kind, offset, name } = vector;
        const expected = (error) => error instanceof CodecError && error.kind === kind && error.offset === offset;
        await assert.rejects(through(stream(vector), cut(input(vector), size)), expected, `${name} ${size}`);
      }
    }
  });
}

test('a large sync goes both ways in chunks, and some of it leaves before the last has come', async () => {
  const json = readFileSync(new URL('../../codec/tests/data/sync-medium.json', import.meta.url));
  const cbor = await through(new EncodeStream(), cut(json, 16_384));
  const whole = decode(encode(json));
  assert.ok(Buffer.from(decode(cbor)).equals(whole));
  assert.ok(Buffer.from(await through(new DecodeStream(), cut(cbor, 5000))).equals(whole));
  assert.deepEqual(await through(new EncodeStream(), [json]), cbor, 'one chunk is cut by the stream itself');

  const stream = new EncodeStream();
  const writer = stream.writable.getWriter();
  writer.write(json.subarray(0, 100_000)).catch(() => {});
  const { value } = await stream.readable.getReader().read();
  assert.ok(value.length > 0);
});

test('a character may be cut in two, in UTF-8 and in UTF-16, and half of one alone is a lone surrogate', async () => {
  const json = '["aü€😀"]';
  const whole = Buffer.from(await through(new EncodeStream(), [json])).toString('hex');
  const encoded = async (chunks) => Buffer.from(await through(new EncodeStream(), chunks)).toString('hex');
  assert.equal(await encoded(cut(json, 1)), whole);
  assert.equal(await encoded(cut(Buffer.from(json), 1)), whole);
  assert.equal(await encoded(['["aü€', '\ud83d', '', '\ude00"]']), whole);
  const lone = { name: 'CodecError', kind: 'lone_surrogate', offset: 1 };
  await assert.rejects(encoded(['"\ud83d', Buffer.from('"')]), lone);
  await assert.rejects(encoded(['"\ud83d', 'x"']), lone);
  await assert.rejects(encoded(['"\ud83d']), { kind: 'unexpected_end' });
});

test('streams take options of their own, side by side, and have no order', async () => {
  const ours = new KeyTable('ours of the streams', { msgtype: 7 });
  const streams = ['none', 'v1', ours].map((keys) => new EncodeStream({ keys }));
  const writers = streams.map(({ writable }) => writable.getWriter());
  const results = streams.map(({ readable }) => collect(readable));
  // Alternating, so that a disturbance by another stream would show.
  for (const letter of '{"msgtype":1}') {
    encode('[]', { policy: 'lenient' });
    for (const writer of writers) await writer.write(letter);
  }
  for (const writer of writers) await writer.close();
  const [none, v1, own] = (await Promise.all(results)).map((cbor) => Buffer.from(cbor).toString('hex'));
  assert.deepEqual([none, v1, own], ['bf676d73677479706501ff', 'bf181c01ff', 'bf0701ff']);
  assert.throws(() => new EncodeStream({ order: 'bytewise' }), TypeError);
  assert.throws(() => new DecodeStream({ policy: 'lenient' }), TypeError);
  assert.throws(() => new EncodeStream({ limits: { maxDepth: 2 ** 30 } }), RangeError);
});

test('a chunk may be an ArrayBuffer', async () => {
  const { buffer } = Uint8Array.from(Buffer.from('[1,2]'));
  const cbor = await through(new EncodeStream(), [buffer]);
  assert.deepEqual(await through(new DecodeStream(), [cbor.buffer]), new Uint8Array(buffer));
});

test('what is no chunk fails the stream', async () => {
  await assert.rejects(through(new EncodeStream(), [{ a: 1 }]), /^TypeError: .*; pass JSON text/);
  await assert.rejects(through(new DecodeStream(), ['a0']), TypeError);
});

async function through(stream, chunks) {
  return collect(ReadableStream.from(chunks).pipeThrough(stream));
}

async function collect(readable) {
  const parts = [];
  for await (const part of readable) parts.push(part);
  return Uint8Array.from(Buffer.concat(parts));
}

function* cut(input, size) {
  for (let at = 0; at < input.length; at += size) yield input.slice(at, at + size);
}

function withoutOrder({ order, ...options }) {
  return options;
}
