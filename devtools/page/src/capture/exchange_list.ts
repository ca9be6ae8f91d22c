// The list of exchanges: a line each, with its place in time.

import { make } from '../dom.ts';
import { count, visible } from '../format.ts';
import { VirtualList } from '../virtual_list.ts';
import type { Row } from './protocol.ts';
import type { Rows } from './rows.ts';

/** Pixels, as in the style. */
const ROW_HEIGHT = 24;

export class ExchangeList {
  readonly #list: VirtualList;
  /** The chosen row, and its number among those that are shown; -1 if it is not. */
  #row: Row | undefined;
  #chosen = -1;

  /** @param choose is called with the row that was chosen */
  constructor(
    readonly element: HTMLElement,
    readonly rows: Rows,
    readonly choose: (row: Row) => void,
  ) {
    this.#list = new VirtualList(element, ROW_HEIGHT, (row) => this.#render(row));
    element.addEventListener('keydown', (event) => this.#move(event));
    element.addEventListener('click', (event) => {
      const row = event.target instanceof Element ? event.target.closest('[data-row]') : null;
      if (row instanceof HTMLElement) this.#take(Number(row.dataset['row']));
    });
  }

  /** Begins anew: other rows are shown. The chosen one stays so if it is among them. */
  begin(): void {
    this.#list.show(this.rows.shown.length);
    this.#mark(this.#row === undefined ? -1 : this.rows.shown.indexOf(this.#row));
  }

  /** Forgets which row was chosen. */
  clear(): void {
    this.#row = undefined;
    this.begin();
  }

  /** Chooses the exchange with this position, if it is shown. */
  chooseAt(position: number): void {
    const row = this.rows.shown.findIndex((shown) => shown.position === position);
    if (row >= 0) this.#take(row);
  }

  /** More rows have come. */
  grow(): void {
    this.#list.resize(this.rows.shown.length);
  }

  #move(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const last = this.rows.shown.length - 1;
    const to = {
      ArrowDown: this.#chosen + 1,
      ArrowUp: this.#chosen - 1,
      PageDown: this.#chosen + this.#list.page,
      PageUp: this.#chosen - this.#list.page,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#take(Math.min(Math.max(to, 0), last));
  }

  #take(row: number): void {
    const chosen = this.rows.shown[row];
    if (chosen === undefined) return;
    this.#row = chosen;
    this.#mark(row);
    this.choose(chosen);
  }

  #mark(row: number): void {
    this.#chosen = row;
    if (row < 0) this.element.removeAttribute('aria-activedescendant');
    else {
      this.element.setAttribute('aria-activedescendant', `exchange-${row}`);
      this.#list.reveal(row);
    }
    this.#list.refresh();
  }

  #render(number: number): HTMLElement {
    const row = this.rows.shown[number];
    if (row === undefined) return make('div');
    const isChosen = number === this.#chosen;
    const cell = (name: string, text: string) => make('span', { class: name }, text);
    // The heads of the columns, for those who hear a row.
    const unit = (words: string) => make('span', { class: 'unseen' }, ` ${words}, `);
    const answer = row.code === '' ? row.state : row.code;
    const element = make(
      'div',
      {
        id: `exchange-${number}`,
        role: 'option',
        class: `exchange ${lookOf(row)}${isChosen ? ' chosen' : ''}`,
        'aria-selected': String(isChosen),
        'aria-posinset': number + 1,
        'aria-setsize': this.#list.rows,
        'data-row': number,
      },
      cell('time', clock(row.time)),
      ' ',
      cell('client', visible(row.client)),
      ' ',
      cell('method', visible(row.method)),
      ' ',
      pathCell(visible(row.path)),
      ' ',
      cell('code', answer),
      ' ',
      cell('bytes-up number', count(row.up)),
      unit('bytes up'),
      cell('bytes-down number', count(row.down)),
      unit('down'),
      cell('datagrams number', row.datagrams === 0 ? '' : count(row.datagrams)),
      row.datagrams === 0 ? ' ' : unit(row.datagrams === 1 ? 'datagram' : 'datagrams'),
      cell('repeats number', row.repeats === 0 ? '' : count(row.repeats)),
      row.repeats === 0 ? ' ' : unit(row.repeats === 1 ? 'repeat' : 'repeats'),
      cell('ms number', row.ms === null ? '' : milliseconds(row.ms)),
      row.ms === null ? ' ' : unit('milliseconds'),
      this.#span(row),
    );
    return element;
  }

  /** Draws when the exchange began and ended, within all that was read. */
  #span({ time, ms }: Row): HTMLElement {
    const { begin, end } = this.rows;
    const whole = Math.max(end - begin, 1);
    const bar = make('i', { class: 'bar-of-time' });
    // The narrowest bar is as wide as in the style: also the last one is seen.
    bar.style.left = `min(${((time - begin) / whole) * 100}%, 100% - 3px)`;
    bar.style.width = `${((ms ?? 0) / whole) * 100}%`;
    return make('span', { class: 'span-of-time', 'aria-hidden': 'true' }, bar);
  }
}

/** What most paths begin with: narrow screens leave it out. */
const USUAL = '/_matrix/client/';

function pathCell(path: string): HTMLElement {
  if (!path.startsWith(USUAL)) return make('span', { class: 'path' }, path);
  return make('span', { class: 'path' }, make('span', { class: 'usual' }, USUAL), path.slice(USUAL.length));
}

function lookOf(row: Row): string {
  if (row.state !== 'complete') return 'open';
  return /^[45]/.test(row.code) ? 'refused-exchange' : 'answered';
}

/** Returns hours to milliseconds, in UTC as all times of captures. */
export function clock(time: number): string {
  const date = new Date(time);
  return Number.isFinite(date.getTime()) ? date.toISOString().slice(11, 23) : '';
}

export function milliseconds(ms: number): string {
  return ms >= 100 ? count(Math.round(ms)) : ms.toFixed(1);
}
