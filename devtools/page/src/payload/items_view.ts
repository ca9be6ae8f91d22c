// The list of the items: where each begins, its bytes, and what they mean.

import { make } from '../dom.ts';
import { hex, offset, visible } from '../format.ts';
import { VirtualList } from '../virtual_list.ts';
import type { Marked } from './marked.ts';
import type { Reading } from './reading.ts';

/** Pixels, as in the style. */
const ROW_HEIGHT = 22;
/** Bytes of an item that a row shows; the view of bytes shows all. */
const SHOWN_BYTES = 10;
/** Steps that a row is moved to the right; deeper ones stay there. */
const DEEPEST_STEP = 16;

export class ItemsView {
  readonly #list: VirtualList;
  #digits = 4;

  constructor(
    readonly element: HTMLElement,
    readonly marked: Marked,
  ) {
    this.#list = new VirtualList(element, ROW_HEIGHT, (row) => this.#row(row));
    marked.takeKeys(element, () => this.#list.page);
    marked.takePointer(element);
    marked.listen((item, reveal) => {
      if (reveal) this.#list.reveal(item);
      this.refresh();
    });
  }

  show(reading: Reading): void {
    this.#digits = reading.bytes.length > 0xffff ? 6 : 4;
    this.#list.show(reading.length + (reading.refusal === undefined ? 0 : 1));
    this.refresh();
  }

  refresh(): void {
    const { item } = this.marked;
    if (item >= 0) this.element.setAttribute('aria-activedescendant', this.#id(item));
    else this.element.removeAttribute('aria-activedescendant');
    this.#list.refresh();
  }

  /** The page has more than one list of items. */
  #id(item: number): string {
    return `${this.element.id}-${item}`;
  }

  #row(item: number): HTMLElement {
    const { reading } = this.marked;
    if (reading === undefined) return make('div');
    if (item >= reading.length) return this.#end(reading, item);
    const start = reading.start(item);
    const body = start + reading.head(item);
    const { bytes } = reading;
    // What a container holds has rows of its own.
    const content = reading.isContainer(item) ? body : reading.end(item);
    const shown = Math.min(content, start + SHOWN_BYTES);
    const { words, preview, key, notes } = reading.describe(item);
    const step = Math.min(reading.depth(item), DEEPEST_STEP);
    const kind = reading.isKey(item) ? 'key' : reading.kind(item);
    const meaning = make('span', { class: `meaning step-${step}` });
    if (key !== undefined) meaning.append(make('span', { class: 'name' }, visible(key)), ' ');
    else if (preview !== undefined) meaning.append(make('span', { class: 'value' }, visible(preview)), ' ');
    // The name stands in front already.
    const rest = key !== undefined && words.endsWith(`: ${key}`) ? words.slice(0, -key.length - 2) : words;
    // Numbers and words as `true` are their own value.
    const isValue = key === undefined && preview === undefined && !reading.isContainer(item);
    meaning.append(make('span', { class: isValue ? 'value' : 'words' }, visible(rest)));
    for (const { refused, sentence } of notes) {
      meaning.append(make('span', { class: refused === null ? 'note' : 'note refused' }, sentence));
    }
    return make(
      'div',
      {
        id: this.#id(item),
        role: 'option',
        class: `row ${kind}${this.marked.look(item)}`,
        'aria-selected': item === this.marked.item ? 'true' : 'false',
        'aria-posinset': item + 1,
        'aria-setsize': this.#list.rows,
        'data-item': item,
      },
      make('span', { class: 'offset' }, offset(start, this.#digits)),
      ' ',
      make(
        'span',
        { class: 'octets' },
        make('b', {}, hex(bytes.subarray(start, Math.min(body, shown)), ' ')),
        ` ${hex(bytes.subarray(body, shown), ' ')}${shown < content ? ' …' : ''}`,
      ),
      ' ',
      meaning,
    );
  }

  /** The last row says why reading ended. */
  #end(reading: Reading, row: number): HTMLElement {
    const at = reading.refusal?.offset ?? 0;
    const byte = reading.bytes.subarray(at, at + 1);
    return make(
      'div',
      {
        id: this.#id(row),
        role: 'option',
        class: 'row wrong',
        'aria-selected': 'false',
        'aria-posinset': row + 1,
        'aria-setsize': this.#list.rows,
      },
      make('span', { class: 'offset' }, offset(at, this.#digits)),
      ' ',
      make('span', { class: 'octets' }, make('b', {}, byte.length > 0 ? hex(byte) : 'end')),
      ' ',
      make('span', { class: 'meaning step-0' }, make('span', { class: 'note refused' }, reading.refusal?.sentence ?? '')),
    );
  }
}
