// All that is known of the marked item.

import { make } from '../dom.ts';
import { count, hex, plural, visible } from '../format.ts';
import type { Marked } from './marked.ts';
import type { Reading } from './reading.ts';

/** Letters of a value that are shown. */
const SHOWN_LETTERS = 600;

export class Inspector {
  constructor(
    readonly element: HTMLElement,
    readonly marked: Marked,
  ) {
    marked.listen(() => this.refresh());
    // On a narrow screen it scrolls: whoever has no mouse has to reach it for that.
    element.tabIndex = 0;
  }

  refresh(): void {
    const { reading, item } = this.marked;
    if (reading === undefined || item < 0) {
      const hint = 'Point at an item, a byte or a word of the JSON, or move with the arrow keys: all views mark the same.';
      this.element.replaceChildren(make('p', { class: 'quiet' }, hint));
      return;
    }
    const start = reading.start(item);
    const end = reading.end(item);
    const { words, key, argument, notes } = reading.describe(item);
    const last = end - start > 1 ? ` to ${count(end - 1)}` : '';
    const place = `${count(start)}${last}, from 0x${start.toString(16)}: ${plural(end - start, 'byte')}`;
    const fact = (name: string, ...value: (Node | string)[]) => make('div', {}, make('dt', {}, name), make('dd', {}, ...value));
    const facts = make(
      'dl',
      {},
      fact('Item', `${count(item + 1)} of ${count(reading.length)}`),
      fact('Bytes', place),
      fact('Head', make('code', {}, hex(reading.bytes.subarray(start, start + reading.head(item)), ' '))),
      fact('Meaning', visible(words)),
    );
    if (argument !== undefined) facts.append(fact('Argument', make('code', {}, argument)));
    if (key !== undefined) facts.append(fact('Matrix key', make('code', {}, visible(key))));
    facts.append(fact('Path', make('code', {}, visible(pathOf(reading, item)))));
    if (key === undefined && !reading.isContainer(item)) {
      facts.append(fact('Value', make('code', {}, visible(shortened(reading.diagnostic(item))))));
    }
    this.element.replaceChildren(facts);
    for (const { refused, sentence } of notes) {
      const begin = refused === null ? 'Note' : 'Refused by the codec';
      this.element.append(make('p', { class: refused === null ? 'note' : 'note refused' }, `${begin}: ${sentence}.`));
    }
    if (reading.isCut(item)) this.element.append(make('p', { class: 'note refused' }, 'It is not whole.'));
  }
}

function shortened(text: string): string {
  return text.length <= SHOWN_LETTERS ? text : `${text.slice(0, SHOWN_LETTERS)}…`;
}

/** Returns the keys and numbers that lead to an item, from the outside in. */
function pathOf(reading: Reading, item: number): string {
  const steps: string[] = [];
  for (let at = item; at > 0; ) {
    const parent = reading.parent(at);
    if (parent < 0) break;
    if (reading.kind(parent) === 'array') steps.push(`[${elementNumber(reading, parent, at)}]`);
    else if (reading.kind(parent) === 'map') steps.push(`.${keyOf(reading, reading.isKey(at) ? at : keyBefore(reading, at))}`);
    at = parent;
  }
  return steps.length === 0 ? '$' : `$${steps.reverse().join('')}`;
}

function keyOf(reading: Reading, item: number): string {
  const { key, preview } = reading.describe(item);
  return key ?? (preview ?? '?').replace(/^"([\w-]+)"$/, '$1');
}

/** The key of a value is the item that ends where it begins. */
function keyBefore(reading: Reading, item: number): number {
  for (let at = item - 1; at >= 0; at -= 1) {
    if (reading.end(at) === reading.start(item) && reading.depth(at) === reading.depth(item)) return at;
  }
  return 0;
}

function elementNumber(reading: Reading, parent: number, item: number): number {
  let number = 0;
  for (let at = parent + 1; at < item; at += 1) if (reading.parent(at) === parent) number += 1;
  return number;
}
