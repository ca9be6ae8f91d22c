// Compiled only: the types say what may be called and what comes back, and refuse the rest.

import {
  CodecError,
  type ErrorKind,
  KeyTable,
  type Repairs,
  decode,
  decodeObject,
  decodeSequence,
  decodeToString,
  diagnose,
  encode,
  encodeObject,
  keys,
  paths,
  usesIntegerKeys,
} from 'lowband-codec';
import { encode as encodeInline } from 'lowband-codec/inline';
import { encode as encodeOnceStarted, init } from 'lowband-codec/init';

const cbor: Uint8Array = encode('{}');
const again: Uint8Array = encode(new Uint8Array(1), { keys: 'none', policy: 'strict', order: 'bytewise' });
const body: BodyInit = encode('{}');
const json: string = decodeToString(decode(cbor), { limits: { maxDepth: 3 } });
const here: Uint8Array = encodeInline(new ArrayBuffer(2));
export const there = init(new URL('lowband_codec.wasm', 'https://example.org')).then(() => encodeOnceStarted('1'));
init(new Uint8Array(1)).then((nothing: void) => nothing);
const texts: string[] = decodeSequence(new ArrayBuffer(0), { keys: 'none' });
const notation: string = diagnose(cbor, { pretty: true, keys: 'none', limits: { maxDepth: 3 } });
const event: { type: string } = decodeObject(new ArrayBuffer(1), { keys: 'none', limits: { maxInput: 3 } });
const item: Uint8Array = encodeObject({ type: 1 }, { order: 'bytewise', limits: { maxOutput: 3, maxDepth: 3 } });
const sees: boolean = usesIntegerKeys(again);
const own = new KeyTable('ours', { a: 1 });
const more = new KeyTable('more', [...keys, ['m.mentions', 105]]);
encode(json, { keys: own, onRepairs: (repairs: Repairs) => repairs.tooDeep.toFixed() });
const integer: number | undefined = more.integer('a');
for (const [name, value] of keys) name.concat(value.toFixed());
for (const [code, path] of paths) code.concat(path);
const segments: string[] = paths.compress(paths.expand(['7']));
const kind: ErrorKind = 'unexpected_end';

const place = (error: unknown): string | undefined => (error instanceof CodecError ? error.pointer : undefined);

function of(error: unknown): number {
  return error instanceof CodecError && error.kind === kind ? error.offset : -1;
}

// @ts-expect-error no such policy
encode('{}', { policy: 'relaxed' });
// @ts-expect-error decoding has no policy
decode(cbor, { policy: 'lenient' });
// @ts-expect-error a text is written as it is
diagnose(cbor, { pretty: 2 });
// @ts-expect-error a value has no length before it is written
encodeObject(1, { limits: { maxInput: 3 } });
// @ts-expect-error decoding has no policy
decodeObject(cbor, { policy: 'lenient' });
// @ts-expect-error CBOR is bytes
decode('a0');
// @ts-expect-error a value is not JSON text
encode({ a: 1 });
// @ts-expect-error init has to be given the module
init();
// @ts-expect-error the codec alone makes these
new CodecError();
// @ts-expect-error a word that is none
const wrong: ErrorKind = 'unexpected';

export { body, event, here, integer, item, notation, of, place, sees, segments, texts, wrong };
