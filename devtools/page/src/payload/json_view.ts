// The JSON, line by line, each word of it tied to its item.

import { make } from '../dom.ts';
import { visible } from '../format.ts';
import { VirtualList } from '../virtual_list.ts';
import type { Marked } from './marked.ts';
import type { Reading } from './reading.ts';

/** Pixels, as in the style. */
const ROW_HEIGHT = 22;
/** Letters of a line that are shown: a browser is slow with lines of a million. */
const SHOWN_LETTERS = 4000;

// A string, a number, a word, a sign, or white space.
const WORD = /"(?:[^"\\]|\\.)*"?|[-+\w.']+|[^\s]|\s+/g;

export class JsonView {
  readonly #list: VirtualList;
  /** Where each line begins, and the end of the text. */
  #lines: readonly number[] = [0];

  constructor(
    readonly element: HTMLElement,
    readonly marked: Marked,
  ) {
    this.#list = new VirtualList(element, ROW_HEIGHT, (row) => this.#row(row));
    marked.takeKeys(element, () => this.#list.page);
    marked.takePointer(element);
    marked.listen((item, reveal) => {
      const place = marked.reading?.inJson(item);
      if (reveal && place !== undefined) this.#list.reveal(this.#lineOf(place[0]));
      this.#list.refresh();
    });
  }

  show(reading: Reading): void {
    const { json } = reading;
    const lines = [0];
    for (let at = json.indexOf('\n'); at >= 0; at = json.indexOf('\n', at + 1)) lines.push(at + 1);
    lines.push(json.length + 1);
    this.#lines = lines;
    this.#list.show(json === '' ? 0 : lines.length - 1);
  }

  refresh(): void {
    this.#list.refresh();
  }

  /** The line of a place: lines are sorted by where they begin. */
  #lineOf(place: number): number {
    let [low, high] = [0, this.#lines.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#lines[middle] ?? 0) <= place) low = middle;
      else high = middle;
    }
    return low;
  }

  #row(row: number): HTMLElement {
    const { reading, item: marked } = this.marked;
    const start = this.#lines[row] ?? 0;
    const end = (this.#lines[row + 1] ?? start + 1) - 1;
    if (reading === undefined) return make('div');
    // A container is marked by whole lines: its words belong to what is inside.
    const range = marked < 0 ? undefined : reading.inJson(marked);
    const whole = range !== undefined && reading.isContainer(marked);
    const isWithin = whole && range[0] < end && range[1] > start;
    const element = make('div', { class: isWithin ? 'row within' : 'row' });
    const line = reading.json.slice(start, Math.min(end, start + SHOWN_LETTERS));
    for (const { 0: word, index } of line.matchAll(WORD)) {
      if (word.trim() === '') {
        element.append(word);
        continue;
      }
      const item = reading.atJson(start + index);
      const kind = item < 0 ? '' : reading.isKey(item) ? 'key' : reading.kind(item);
      const isMarked = item >= 0 && item === marked && (!whole || /^[[\]{}]/.test(word));
      element.append(make('span', { class: `word ${kind}${isMarked ? ' marked' : ''}`, 'data-item': item }, visible(word)));
    }
    if (end > start + SHOWN_LETTERS) {
      element.append(make('span', { class: 'more' }, ` … ${end - start - SHOWN_LETTERS} more letters`));
    }
    return element;
  }
}
