// The module's memory can only grow, so the test is that it stops growing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { EncodeStream, decode, decodeObject, encode, encodeObject } from 'lowband-codec';
import { initSync } from '../pkg/lowband_codec.js';

const MIB = 2 ** 20;
// The module has started already: this call only returns the exports.
const { memory } = initSync();
const bytes = () => memory.buffer.byteLength;

// Before the others, which leave much to collect.
test('a large value is not kept, nor the room that its CBOR took', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const held = () => (collect(), process.memoryUsage().arrayBuffers);
  const before = held();
  for (const length of [8 * MIB, 1]) assert.ok(encodeObject('x'.repeat(length)).length > length);
  assert.ok(held() < before + 2 * MIB, `${held() / MIB} MiB after ${before / MIB} MiB`);
});

test('README: a text that is kept keeps a KB of its document, and not all of it', () => {
  const collect = runInNewContext('gc');
  const held = () => (collect(), process.memoryUsage().heapUsed);
  const texts = Array.from({ length: 2000 }, (_, place) => `a text that is no longer than a hundred letters, ${place}`);
  const cbor = encode(JSON.stringify(texts));
  decodeObject(cbor);
  const before = held();
  const kept = Array.from({ length: 300 }, (_, place) => decodeObject(cbor)[place]);
  const each = (held() - before) / kept.length;
  assert.equal(kept[299], texts[299]);
  assert.ok(each < 2000, `${each} bytes each`);
});

test('documents of one size need the memory of one', () => {
  const json = Buffer.from(JSON.stringify('x'.repeat(8 * MIB)));
  const cbor = encode(json);
  decode(cbor);
  encode('1');
  const after = bytes();
  for (let round = 0; round < 20; round += 1) {
    encode(json);
    decode(cbor);
    assert.throws(() => encode(json.subarray(1)), { kind: 'expected_value' });
    // Small documents in between make the module give the large buffers back, and the next large one take
    // them again.
    encode('1');
    decode(Uint8Array.of(1));
  }
  assert.ok(bytes() <= after + 2 * 8 * MIB, `${bytes() / MIB} MiB after ${after / MIB} MiB`);
});

test('ten thousand calls, options, errors and paths leave nothing behind', () => {
  const rounds = (count) => {
    for (let round = 0; round < count; round += 1) {
      encode('{"a":[1,{"b":2}],"type":"x"}', { policy: 'lenient', order: 'bytewise', limits: { maxDepth: 9 } });
      decode(Uint8Array.of(0xa1, 0x02, 0x01), { keys: 'none' });
      assert.throws(() => encode('{"a":'));
    }
  };
  rounds(100);
  const after = bytes();
  rounds(10_000);
  assert.equal(bytes(), after);
});

test('streams that ended, well or not, leave nothing behind', async () => {
  const rounds = async (count) => {
    for (let round = 0; round < count; round += 1) {
      await text(['{"a":[1,', '2]}']);
      await assert.rejects(text(['{"a":[1,', ']}']), { kind: 'trailing_comma' });
    }
  };
  const text = async (chunks) => {
    for await (const part of ReadableStream.from(chunks).pipeThrough(new EncodeStream())) assert.ok(part.length > 0);
  };
  await rounds(20);
  const after = bytes();
  await rounds(1000);
  assert.equal(bytes(), after);
});
