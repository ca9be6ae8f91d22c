// The inputs and outputs of the package, beyond the vectors.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import {
  CodecError,
  KeyTable,
  decode,
  decodeSequence,
  decodeToString,
  diagnose,
  encode,
  keys,
  usesIntegerKeys,
} from 'lowband-codec';

const HELLO = '{"msgtype":"m.text","body":"Hello"}';
const HELLO_CBOR = 'a2181c666d2e74657874181b6548656c6c6f';

test('bytes and text give the same, and the input is left alone', () => {
  const bytes = Buffer.from(HELLO);
  assert.equal(hex(encode(HELLO)), HELLO_CBOR);
  assert.equal(hex(encode(bytes)), HELLO_CBOR);
  assert.equal(bytes.toString(), HELLO);
});

test('a result is the caller\'s own: later calls do not change it', () => {
  const first = encode('[1,2,3]');
  const second = encode('[4,5,6]');
  decode(second);
  assert.equal(hex(first), '83010203');
  assert.equal(first.byteLength, first.buffer.byteLength, 'no window on something larger');
});

test('an ArrayBuffer is as good as its bytes, also one of another realm', () => {
  for (const { buffer } of [Uint8Array.from(Buffer.from(HELLO)), runInNewContext(`Uint8Array.of(${[...Buffer.from(HELLO)]})`)]) {
    const cbor = encode(buffer);
    assert.equal(hex(cbor), HELLO_CBOR);
    assert.equal(decodeToString(cbor.buffer), HELLO);
    assert.equal(Buffer.from(decode(cbor.buffer)).toString(), HELLO);
    assert.equal(usesIntegerKeys(cbor.buffer), true);
  }
});

test('a part of a larger buffer is taken as the part', () => {
  const within = Buffer.from(`xx${HELLO}xx`);
  assert.equal(hex(encode(within.subarray(2, -2))), HELLO_CBOR);
});

test('texts of every width, short and long, become the UTF-8 that Buffer makes of them', () => {
  for (const letter of ['a', 'ü', '€', '😀', 'aü€😀']) {
    for (const length of [0, 1, 23, 24, 300, 70_000, 400_000]) {
      const text = JSON.stringify(letter.repeat(length));
      assert.equal(hex(encode(text)), hex(encode(Buffer.from(text))), `${letter} ${length}`);
      assert.equal(decodeToString(encode(text)), text, `${letter} ${length}`);
    }
  }
});

test('a lone surrogate in a string meets the policy, as its escape would', () => {
  const expected = { name: 'CodecError', kind: 'lone_surrogate', offset: 5 };
  assert.throws(() => encode('"aü\ud800b"'), { ...expected, offset: 4 });
  assert.throws(() => encode('"aü\\ud800b"'), { ...expected, offset: 4 });
  let repairs;
  const options = { policy: 'lenient', onRepairs: (made) => (repairs = made) };
  assert.equal(decodeToString(encode('"a\udc00\ud800"', options)), '"a\ufffd\ufffd"');
  assert.equal(repairs.loneSurrogates, 2);
  assert.throws(() => encode('[\ud800]', options), { kind: 'expected_value', offset: 1 });
});

test('an order is an option', () => {
  const json = '{"100":1,"":2,"b":3}';
  assert.equal(decodeToString(encode(json)), json);
  assert.equal(decodeToString(encode(json, { order: 'bytewise' })), '{"":2,"b":3,"100":1}');
  const keysOf = (order, table) => hex(encode('{"":1,"room_alias":2}', { order, keys: table }));
  assert.equal(keysOf('bytewise'), 'a21868026001');
  assert.equal(keysOf('length_first'), 'a26001186802');
});

test('a key table of one\'s own is written and read, none writes texts', () => {
  const mine = new KeyTable('mine', { 'm.mentions': 1, body: 200 });
  const json = '{"m.mentions":{},"body":"x","msgtype":"y"}';
  const cbor = encode(json, { keys: mine });
  assert.equal(hex(cbor), 'a301a018c8617867' + Buffer.from('msgtype').toString('hex') + '6179');
  assert.equal(decodeToString(cbor, { keys: mine }), json);
  assert.equal(decodeToString(cbor, { keys: 'none' }), '{"1":{},"200":"x","msgtype":"y"}');
  assert.equal(decodeToString(encode(json, { keys: 'none' }), { keys: 'none' }), json);
  assert.deepEqual([mine.title, mine.size, [...mine]], ['mine', 2, [['m.mentions', 1], ['body', 200]]]);
  assert.deepEqual([mine.integer('body'), mine.name(1), mine.name(2)], [200, 'm.mentions', undefined]);
  const larger = new KeyTable('v1 and more', [...keys, ['m.mentions', 105]]);
  assert.equal(hex(encode('{"m.mentions":{}}', { keys: larger })), 'a11869a0');
});

test('what is no key table is a RangeError, and too many are one', () => {
  for (const wrong of [{ a: 1, b: 1 }, { a: -1 }, { a: 1.5 }, { a: 65_535 }, { a: '1' }, [['a', 1], ['a', 2]], { 8: 1 }]) {
    assert.throws(() => new KeyTable('wrong', wrong), RangeError, JSON.stringify(wrong));
  }
  assert.throws(() => new KeyTable('wrong', { '\ud800': 1 }), TypeError);
  const make = (n) => new KeyTable(`table ${n}`, { a: 1 });
  for (let n = 0; n < 1000; n += 1) make(0);
  assert.throws(() => {
    for (let n = 0; n < 100; n += 1) make(n);
  }, /^RangeError: there are 32 key tables already/);
  assert.equal(make(0).integer('a'), 1, 'one that is known can still be named');
});

test('numbers are read as JavaScript reads them', () => {
  // Pseudo-random bits, equal in each run.
  let state = 1;
  const draw = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0);
  const view = new DataView(new ArrayBuffer(8));
  const texts = [];
  for (let count = 0; count < 20_000; count += 1) {
    view.setUint32(0, draw());
    view.setUint32(4, draw());
    const float = view.getFloat64(0);
    if (!Number.isFinite(float)) continue;
    texts.push(float.toExponential(), float.toExponential(draw() % 25), `${draw()}.${draw()}e${(draw() % 638) - 340}`);
  }
  // Texts near the end of the range may have been rounded beyond it.
  const finite = texts.filter((text) => Number.isFinite(Number(text)));
  const there = JSON.parse(decodeToString(encode(`[${finite.join()}]`)));
  finite.forEach((text, place) => assert.equal(there[place] + 0, Number(text) + 0, text));
  const hard = ['9007199254740993.0', '9007199254740993.00001', '2.2250738585072011e-308', '5e-324', '2e-324'];
  for (const text of [`0.${'1'.repeat(800)}`, ...hard]) {
    assert.equal(Number(decodeToString(encode(text))), Number(text), text);
  }
});

test('floats are rounded to the nearest one, whatever their digits behind the twentieth say', () => {
  const hex = (json) => Buffer.from(encode(json)).toString('hex');
  assert.equal(hex('9007199254740993.0'), 'fa5a000000', 'the even one of two');
  assert.equal(hex('9007199254740993.00000000000000000000000000000001'), 'fb4340000000000001');
  assert.equal(hex('-2.2250738585072011e-308'), 'fb800fffffffffffff');
  assert.equal(hex('5e-324'), 'fb0000000000000001');
  assert.equal(hex('[0.1,1e22,1e-7]'), '83fb3fb999999999999afb4480f0cf064dd592fb3e7ad7f29abcaf48');
  assert.throws(() => encode('1e400'), { kind: 'huge_number' });
});

test('options that mean nothing are refused before anything is done', () => {
  for (const [options, error] of [
    [null, TypeError],
    [0, TypeError],
    [{ polcy: 'lenient' }, TypeError],
    [{ policy: 'Lenient' }, TypeError],
    [{ order: 'sorted' }, TypeError],
    [{ keys: 'v2' }, TypeError],
    [{ limits: { maxinput: 1 } }, TypeError],
    [{ limits: { maxInput: -1 } }, RangeError],
    [{ limits: { maxInput: 1.5 } }, RangeError],
    [{ limits: { maxInput: 2 ** 32 } }, RangeError],
    [{ limits: { maxOutput: 600 * 2 ** 20 } }, RangeError],
    [{ limits: { maxDepth: 2 ** 20 } }, RangeError],
  ]) {
    assert.throws(() => encode('1', options), error, JSON.stringify(options));
  }
  assert.throws(() => decode(Uint8Array.of(1), { policy: 'lenient' }), TypeError);
  assert.throws(() => ['1'].map(encode), TypeError, 'an index is no options');
  assert.equal(hex(encode('1')), '01');
});

test('inputs that are neither bytes nor text are TypeErrors', () => {
  for (const wrong of [undefined, null, 1, {}, { a: 1 }, [1], new Uint16Array(1), new DataView(new ArrayBuffer(1))]) {
    assert.throws(() => encode(wrong), /^TypeError: .*; pass JSON text: JSON\.stringify\(value\), or call encodeObject\(value\)$/);
    assert.throws(() => decode(wrong), /^TypeError: bytes must come as a Uint8Array or an ArrayBuffer$/);
  }
  assert.throws(() => decode('00'), TypeError);
});

test('options hold for their call only', () => {
  const small = { limits: { maxInput: 4, maxDepth: 1 } };
  assert.throws(() => encode('[1,2]', small), { kind: 'input_too_large', offset: 4 });
  assert.throws(() => encode('[[]]', small), { kind: 'too_deep', offset: 1 });
  assert.throws(() => encode('"üü"', small), { kind: 'input_too_large', offset: 4 });
  assert.equal(hex(encode('"ü"', small)), '62c3bc');
  assert.throws(() => decode(Uint8Array.of(0x81, 0x80), small), { kind: 'too_deep', offset: 1 });
  assert.equal(hex(encode('[[1,2]]')), '81820102');
  assert.equal(decodeToString(Uint8Array.of(0x81, 0x80)), '[[]]');
});

test('a sequence is a list of JSON texts, or an error in the whole', () => {
  const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
  assert.deepEqual(decodeSequence(bytes('a10201820102600a')), ['{"type":1}', '[1,2]', '""', '10']);
  assert.deepEqual(decodeSequence(bytes('a10201').buffer, { keys: 'none' }), ['{"2":1}']);
  assert.deepEqual(decodeSequence(new Uint8Array(0)), []);
  assert.deepEqual(decodeSequence(encode('"a\\nb"')), ['"a\\nb"'], 'a line end in a text stays one text');
  assert.throws(() => decodeSequence(bytes('01024100')), { name: 'CodecError', kind: 'byte_string', offset: 2 });
  assert.throws(() => decodeSequence(bytes('018201')), { kind: 'unexpected_end', offset: 3 });
  assert.throws(() => decodeSequence(bytes('010203'), { limits: { maxInput: 2 } }), { kind: 'input_too_large' });
  assert.throws(() => decodeSequence(bytes('010203'), { limits: { maxOutput: 4 } }), { kind: 'output_too_large', offset: 2 });
  assert.throws(() => decodeSequence('01'), TypeError);
});

test('what JSON cannot say is diagnosed', () => {
  const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
  const cbor = bytes('a30242ff0003c11a514b67b0f4f97e00');
  assert.throws(() => decode(cbor), { kind: 'byte_string' });
  assert.equal(diagnose(cbor), "{/ type / 2: h'ff00', / content / 3: 1(1363896240), false: NaN}");
  assert.equal(diagnose(cbor.buffer, { keys: 'none' }), "{2: h'ff00', 3: 1(1363896240), false: NaN}");
  assert.equal(diagnose(bytes('a102820102'), { pretty: true }), '{\n  / type / 2: [\n    1,\n    2\n  ]\n}');
  assert.equal(diagnose(bytes('01f7')), '1, undefined');
  assert.equal(diagnose(new Uint8Array(0)), '');
  assert.throws(() => diagnose(bytes('8201')), { name: 'CodecError', kind: 'unexpected_end', offset: 2 });
  const deep = (depth) => bytes('81'.repeat(depth) + '00');
  assert.equal(diagnose(deep(1024)).length, 2 * 1024 + 1);
  assert.throws(() => diagnose(deep(1025)), { kind: 'too_deep', offset: 1024 });
  assert.throws(() => diagnose(deep(3), { limits: { maxDepth: 2 } }), { kind: 'too_deep', offset: 2 });
  assert.throws(() => decode(deep(129)), { kind: 'too_deep' }, 'the limits of decoding are its own');
  assert.throws(() => diagnose(cbor, { prety: true }), TypeError);
});

test('a callback may call the codec', () => {
  let inner;
  const cbor = encode('[1e400]', { policy: 'lenient', onRepairs: () => (inner = encode('[1,2,3]')) });
  assert.equal(hex(cbor), '81f6');
  assert.equal(hex(inner), '83010203');
});

test('an error is an Error with kind, offset and a sentence', () => {
  const error = thrown(() => encode('{"a":01}'));
  assert.ok(error instanceof CodecError && error instanceof Error);
  assert.deepEqual([error.name, error.kind, error.offset], ['CodecError', 'invalid_number', 5]);
  assert.equal(String(error), 'CodecError: byte 5: the number is not written as JSON wants it');
  assert.match(error.stack, /api\.test\.js/);
});

function thrown(call) {
  try {
    call();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

function hex(bytes) {
  return Buffer.from(bytes).toString('hex');
}
