// The bytes in a grid, as a hex editor shows them.

import { make } from '../dom.ts';
import { hexByte, offset } from '../format.ts';
import { VirtualList } from '../virtual_list.ts';
import type { Marked } from './marked.ts';
import type { Reading } from './reading.ts';

/** Pixels, as in the style. */
const ROW_HEIGHT = 22;
/** Narrower than this, in pixels, a row has half as many bytes. */
const WIDE = 560;

export class BytesView {
  readonly #list: VirtualList;
  #digits = 4;
  #columns = 16;

  constructor(
    readonly element: HTMLElement,
    readonly marked: Marked,
  ) {
    this.#list = new VirtualList(element, ROW_HEIGHT, (row) => this.#row(row));
    marked.takeKeys(element, () => this.#list.page);
    marked.takePointer(element);
    marked.listen((item, reveal) => {
      if (this.element.hidden) return;
      if (reveal) this.#reveal(item);
      this.#list.refresh();
    });
    new ResizeObserver(() => this.#fit()).observe(element);
  }

  show(reading: Reading): void {
    this.#digits = reading.bytes.length > 0xffff ? 6 : 4;
    this.#list.show(Math.ceil(reading.bytes.length / this.#columns));
  }

  /** Shows the marked item again after the view was hidden. */
  appear(): void {
    this.#fit();
    this.#reveal(this.marked.item);
    this.#list.refresh();
  }

  #fit(): void {
    const { clientWidth } = this.element;
    const columns = clientWidth >= WIDE ? 16 : 8;
    if (clientWidth === 0 || columns === this.#columns) return;
    this.#columns = columns;
    this.#list.resize(Math.ceil((this.marked.reading?.bytes.length ?? 0) / columns));
  }

  #reveal(item: number): void {
    const { reading } = this.marked;
    if (reading !== undefined && item >= 0) this.#list.reveal(Math.floor(reading.start(item) / this.#columns));
  }

  #row(row: number): HTMLElement {
    const { reading } = this.marked;
    const element = make('div', { class: 'row' });
    if (reading === undefined) return element;
    const start = row * this.#columns;
    const line = reading.bytes.subarray(start, start + this.#columns);
    const octets = make('span', { class: 'octets' });
    const letters = make('span', { class: 'letters', 'aria-hidden': true });
    line.forEach((byte, place) => {
      const at = start + place;
      const item = reading.atByte(at);
      const classes = this.#classes(reading, item, at);
      octets.append(make('span', { class: `${classes}${place === 8 ? ' half' : ''}`, 'data-item': item }, hexByte(byte)));
      const letter = byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '\u00b7';
      letters.append(make('span', { class: classes, 'data-item': item }, letter));
    });
    for (let place = line.length; place < this.#columns; place += 1) {
      octets.append(make('span', { class: place === 8 ? 'byte half' : 'byte' }, '  '));
    }
    element.append(make('span', { class: 'offset' }, offset(start, this.#digits)), octets, letters);
    return element;
  }

  #classes(reading: Reading, item: number, at: number): string {
    const wrong = reading.refusal !== undefined && at === Math.min(reading.refusal.offset, reading.bytes.length - 1);
    if (item < 0) return wrong ? 'byte wrong' : 'byte unread';
    const kind = reading.isKey(item) ? 'key' : reading.kind(item);
    const head = at < reading.start(item) + reading.head(item) ? ' head' : '';
    return `byte ${kind}${head}${this.marked.look(item)}${wrong ? ' wrong' : ''}`;
  }
}
