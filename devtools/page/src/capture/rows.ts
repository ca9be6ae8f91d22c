// The exchanges that were read, and which of them are shown.

import type { Row } from './protocol.ts';

/** What the filters ask for; an empty text asks for nothing. */
export interface Filter {
  readonly client: string;
  readonly path: string;
  readonly code: string;
  readonly state: string;
}

export interface Sums {
  readonly exchanges: number;
  readonly up: number;
  readonly down: number;
  readonly datagrams: number;
  readonly repeats: number;
  readonly https: number;
}

export class Rows {
  #all: Row[] = [];
  /** Without a filter it is the list of all. */
  #shown = this.#all;
  #filter: Filter = { client: '', path: '', code: '', state: '' };
  /** Each text once: most rows share client, method and path with others. */
  readonly #texts = new Map<string, string>();

  /** From the first row to the end of the last one, in milliseconds since 1970. */
  begin = Infinity;
  end = -Infinity;

  get shown(): readonly Row[] {
    return this.#shown;
  }

  get all(): number {
    return this.#all.length;
  }

  get isFiltered(): boolean {
    return Object.values(this.#filter).some((text) => text !== '');
  }

  clear(): void {
    this.#all = [];
    this.#shown = this.isFiltered ? [] : this.#all;
    this.#texts.clear();
    this.begin = Infinity;
    this.end = -Infinity;
  }

  add(rows: readonly Row[]): void {
    const { isFiltered } = this;
    for (const row of rows) {
      row.client = this.#once(row.client);
      row.method = this.#once(row.method);
      row.path = this.#once(row.path);
      this.#all.push(row);
      if (isFiltered && matches(row, this.#filter)) this.#shown.push(row);
      this.begin = Math.min(this.begin, row.time);
      this.end = Math.max(this.end, row.time + (row.ms ?? 0));
    }
  }

  /** Puts the rows into the order in which they began: they come in that in which they ended. */
  sort(): void {
    const earlier = (one: Row, other: Row) => one.time - other.time || one.position - other.position;
    this.#all.sort(earlier);
    if (this.isFiltered) this.#shown.sort(earlier);
  }

  filter(filter: Filter): void {
    this.#filter = filter;
    this.#shown = this.isFiltered ? this.#all.filter((row) => matches(row, filter)) : this.#all;
  }

  /** Sums over what is shown. */
  sums(): Sums {
    const sums = { exchanges: this.#shown.length, up: 0, down: 0, datagrams: 0, repeats: 0, https: 0 };
    for (const { up, down, datagrams, repeats, https } of this.#shown) {
      sums.up += up;
      sums.down += down;
      sums.datagrams += datagrams;
      sums.repeats += repeats;
      sums.https += https;
    }
    return sums;
  }

  #once(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#texts.set(text, text);
    return text;
  }
}

function matches(row: Row, { client, path, code, state }: Filter): boolean {
  if (client !== '' && !row.client.includes(client)) return false;
  if (path !== '' && !`${row.method} ${row.path}`.toLowerCase().includes(path.toLowerCase())) return false;
  if (code !== '' && !row.code.startsWith(code)) return false;
  if (state === 'repeats') return row.repeats > 0;
  if (state === 'errors') return /^[45]/.test(row.code);
  return state === '' || row.state === state;
}
