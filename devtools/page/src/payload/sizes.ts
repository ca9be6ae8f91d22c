// How large the payload is in each form.

import { sizes } from '../codec.ts';
import { make } from '../dom.ts';
import { count } from '../format.ts';

interface Row {
  readonly name: string;
  readonly bytes: number;
  /** Whether it is the form that lowband sends. */
  readonly ours?: boolean;
}

/** Lists the sizes of a JSON text that is clean; of other CBOR only its own, with `json` undefined. */
export class Sizes {
  // The text whose sizes are asked for: gzip answers later.
  #asked = 0;

  constructor(readonly rows: HTMLElement) {}

  async show(json: Uint8Array<ArrayBuffer> | undefined, cborBytes: number): Promise<void> {
    this.#asked += 1;
    const asked = this.#asked;
    const known = json === undefined ? undefined : sizes(json);
    if (json === undefined || known === undefined) {
      this.#list([{ name: 'CBOR, as it is', bytes: cborBytes, ours: true }]);
      return;
    }
    const { json_compact, cbor, cbor_without_keys } = known;
    const zipped = await gzipped(compact(json));
    if (asked !== this.#asked) return;
    const rows: Row[] = [
      { name: 'JSON', bytes: json_compact },
      { name: 'JSON, gzip', bytes: zipped },
      { name: 'CBOR, no key table', bytes: cbor_without_keys },
      { name: 'CBOR', bytes: cbor, ours: true },
    ];
    if (cborBytes !== cbor) rows.push({ name: 'CBOR, as it is', bytes: cborBytes });
    this.#list(rows);
  }

  /** Takes all sizes away. */
  clear(): void {
    this.#asked += 1;
    this.rows.replaceChildren();
  }

  #list(rows: readonly Row[]): void {
    const largest = Math.max(1, ...rows.map(({ bytes }) => bytes));
    const whole = rows[0]?.bytes ?? 1;
    this.rows.replaceChildren(
      ...rows.map(({ name, bytes, ours }) => {
        const bar = make('span', { class: 'size-bar' });
        bar.style.width = `${(bytes / largest) * 100}%`;
        return make(
          'tr',
          { class: ours === true ? 'ours' : 'other' },
          make('th', { scope: 'row' }, name),
          make('td', { class: 'size-place' }, bar),
          make('td', { class: 'number' }, count(bytes)),
          make('td', { class: 'number percent' }, `${Math.round((bytes / Math.max(1, whole)) * 100)} %`),
        );
      }),
    );
  }
}

/** Returns the JSON without white space, but with its numbers and strings as they are. */
function compact(json: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const kept = new Uint8Array(json.length);
  let length = 0;
  let inString = false;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at] ?? 0;
    if (inString) {
      kept[length++] = byte;
      if (byte === 0x5c) kept[length++] = json[++at] ?? 0;
      else if (byte === 0x22) inString = false;
    } else if (byte > 0x20) {
      kept[length++] = byte;
      inString = byte === 0x22;
    }
  }
  return kept.subarray(0, length);
}

async function gzipped(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'));
  return (await new Response(packed).arrayBuffer()).byteLength;
}
