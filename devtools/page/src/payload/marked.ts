// The item that is marked in all views at once, by mouse or by keyboard.

import type { Reading } from './reading.ts';

type Listener = (item: number, reveal: boolean) => void;

export class Marked {
  reading: Reading | undefined;
  #item = -1;
  readonly #listeners: Listener[] = [];

  get item(): number {
    return this.#item;
  }

  /** Calls back when another item is marked; `reveal` asks to scroll there. */
  listen(listener: Listener): void {
    this.#listeners.push(listener);
  }

  /** Begins with a new reading, in which nothing is marked; or with none, before the last one is freed. */
  begin(reading: Reading | undefined): void {
    this.reading = reading;
    this.#item = -1;
  }

  /** Marks an item. A mouse marks what is seen already; keys ask to reveal it. */
  mark(item: number, reveal: boolean): void {
    if (item < 0 || (item === this.#item && !reveal)) return;
    this.#item = item;
    for (const listener of this.#listeners) listener(item, reveal);
  }

  /** Says how a row or a letter of this item looks beside the marked one. */
  look(item: number): string {
    if (item < 0 || this.#item < 0 || this.reading === undefined) return '';
    if (item === this.#item) return ' marked';
    return this.reading.isWithin(item, this.#item) ? ' within' : '';
  }

  /** Moves by a key; returns true if the key is one that moves. */
  move(key: string, page: number): boolean {
    const { reading } = this;
    if (reading === undefined || reading.length === 0) return false;
    const last = reading.length - 1;
    const item = Math.max(this.#item, 0);
    const to = {
      ArrowDown: () => Math.min(this.#item + 1, last),
      ArrowUp: () => Math.max(item - 1, 0),
      PageDown: () => Math.min(item + page, last),
      PageUp: () => Math.max(item - page, 0),
      Home: () => 0,
      End: () => last,
      ArrowLeft: () => Math.max(reading.parent(item), 0),
      ArrowRight: () => (reading.isContainer(item) ? Math.min(item + 1, last) : item),
    }[key];
    if (to === undefined) return false;
    this.mark(to(), true);
    return true;
  }

  /** Lets the keys move in this view. */
  takeKeys(view: HTMLElement, page: () => number): void {
    view.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
      if (this.move(event.key, page())) event.preventDefault();
    });
  }

  /** Marks what the pointer is over, of all that says its item in `data-item`. */
  takePointer(view: HTMLElement): void {
    const over = (event: PointerEvent | MouseEvent) => {
      const target = event.target instanceof Element ? event.target.closest('[data-item]') : null;
      if (target instanceof HTMLElement) this.mark(Number(target.dataset['item']), false);
    };
    view.addEventListener('pointermove', over);
    view.addEventListener('click', over);
  }
}
