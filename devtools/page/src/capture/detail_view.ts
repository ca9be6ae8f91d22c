// One exchange: its messages in time, their options, and its bodies.

import { find, make } from '../dom.ts';
import { count, plural, visible } from '../format.ts';
import { Inspector } from '../payload/inspector.ts';
import { ItemsView } from '../payload/items_view.ts';
import { JsonView } from '../payload/json_view.ts';
import { Marked } from '../payload/marked.ts';
import { Reading } from '../payload/reading.ts';
import { VirtualList } from '../virtual_list.ts';
import { milliseconds } from './exchange_list.ts';
import type { Body, Detail, Message, Row } from './protocol.ts';

/** Pixels, as in the style. */
const ROW_HEIGHT = 22;
/** The codes of requests by their names (RFC 7252 section 12.1.1, RFC 8132), and of a message without one. */
const METHODS: Readonly<Record<string, string>> = {
  '0.00': 'empty',
  '0.01': 'GET',
  '0.02': 'POST',
  '0.03': 'PUT',
  '0.04': 'DELETE',
  '0.05': 'FETCH',
  '0.06': 'PATCH',
  '0.07': 'iPATCH',
};

/** Letters of a body that is not CBOR. */
const SHOWN_LETTERS = 200_000;

export class DetailView {
  readonly #detail = find('detail', HTMLDivElement);
  readonly #title = find('detail-title', HTMLHeadingElement);
  readonly #facts = find('detail-facts', HTMLDivElement);
  readonly #messages = find('messages', HTMLDivElement);
  readonly #options = find('message-options', HTMLDivElement);
  readonly #requestButton = find('body-request', HTMLButtonElement);
  readonly #responseButton = find('body-response', HTMLButtonElement);
  readonly #itemsButton = find('body-items', HTMLButtonElement);
  readonly #jsonButton = find('body-json', HTMLButtonElement);
  readonly #open = find('open-payload', HTMLButtonElement);
  readonly #note = find('body-note', HTMLParagraphElement);
  readonly #items = find('capture-items', HTMLDivElement);
  readonly #json = find('capture-json', HTMLDivElement);
  readonly #plain = find('capture-plain', HTMLPreElement);
  readonly #inspectorBox = find('capture-inspector', HTMLElement);

  readonly #list = new VirtualList(this.#messages, ROW_HEIGHT, (row) => this.#message(row));
  readonly #marked = new Marked();
  readonly #itemsView = new ItemsView(this.#items, this.#marked);
  readonly #jsonView = new JsonView(this.#json, this.#marked);
  readonly #inspector = new Inspector(this.#inspectorBox, this.#marked);

  #shown: Detail | undefined;
  #chosen = -1;
  #reading: Reading | undefined;
  #isResponse = true;
  #asItems = true;

  /** @param open is called with a body that is to be shown as a payload */
  constructor(readonly open: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#messages.addEventListener('keydown', (event) => this.#move(event));
    this.#messages.addEventListener('click', (event) => {
      const row = event.target instanceof Element ? event.target.closest('[data-row]') : null;
      if (row instanceof HTMLElement) this.#choose(Number(row.dataset['row']));
    });
    const side = (isResponse: boolean) => () => {
      this.#isResponse = isResponse;
      this.#showBody();
    };
    this.#requestButton.addEventListener('click', side(false));
    this.#responseButton.addEventListener('click', side(true));
    const view = (asItems: boolean) => () => {
      this.#asItems = asItems;
      this.#showBody();
    };
    this.#itemsButton.addEventListener('click', view(true));
    this.#jsonButton.addEventListener('click', view(false));
    this.#open.addEventListener('click', () => {
      const bytes = this.#body?.bytes;
      if (bytes !== undefined) this.open(bytes);
    });
  }

  clear(): void {
    this.#detail.hidden = true;
    this.#shown = undefined;
    this.#give(undefined);
  }

  show(row: Row, detail: Detail): void {
    this.#detail.hidden = false;
    this.#shown = detail;
    this.#title.textContent = visible(`${row.method} ${row.path} ${row.code}`.trim());
    const bytes: (readonly [string, string])[] = [['Bytes', `${count(row.up)} up, ${count(row.down)} down`]];
    if (row.https > 0) bytes.push(['HTTPS with JSON, estimated', plural(row.https, 'byte')]);
    this.#facts.replaceChildren(
      make('dl', {}, ...[...bytes, ...detail.facts].map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, visible(value))))),
      ...detail.notes.map((note) => make('p', { class: 'note' }, note.replaceAll('_', ' '))),
    );
    this.#chosen = detail.messages.findIndex(({ handshake }) => handshake === undefined);
    find('messages-pane', HTMLElement).hidden = detail.messages.length === 0;
    this.#list.show(detail.messages.length);
    this.#showOptions();
    if (this.#body === undefined) this.#isResponse = detail.response !== undefined;
    this.#showBody();
  }

  get #body(): Body | undefined {
    return this.#isResponse ? this.#shown?.response : this.#shown?.request;
  }

  #move(event: KeyboardEvent): void {
    const last = (this.#shown?.messages.length ?? 0) - 1;
    const to = { ArrowDown: this.#chosen + 1, ArrowUp: this.#chosen - 1, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.#choose(Math.min(Math.max(to, 0), last));
  }

  #choose(row: number): void {
    this.#chosen = row;
    this.#list.reveal(row);
    this.#list.refresh();
    this.#messages.setAttribute('aria-activedescendant', `message-${row}`);
    this.#showOptions();
  }

  #message(number: number): HTMLElement {
    const messages = this.#shown?.messages ?? [];
    const message = messages[number];
    if (message === undefined) return make('div');
    const begin = Math.min(messages[0]?.ms ?? 0, 0);
    const whole = Math.max((messages.at(-1)?.ms ?? 0) - begin, 0.001);
    const tick = make('i', { class: 'tick' });
    tick.style.left = `${Math.min(Math.max((message.ms - begin) / whole, 0), 1) * 100}%`;
    const isHandshake = message.handshake !== undefined;
    const isUp = message.from === 'client';
    const mark = message.note === undefined ? '' : ` ${message.note}`;
    return make(
      'div',
      {
        id: `message-${number}`,
        role: 'option',
        class: `row message ${isHandshake ? 'both' : isUp ? 'up' : 'down'}${message.note === undefined ? '' : ' again'}${number === this.#chosen ? ' marked' : ''}`,
        'aria-selected': String(number === this.#chosen),
        'aria-posinset': number + 1,
        'aria-setsize': messages.length,
        'data-row': number,
      },
      make('span', { class: 'frame' }, isHandshake ? '' : `#${message.frame}`),
      ' ',
      make('span', { class: 'at number' }, `${message.ms < 0 ? '−' : '+'}${milliseconds(Math.abs(message.ms))}`),
      ' ',
      make('span', { class: 'track', 'aria-hidden': 'true' }, tick),
      ' ',
      wayOf(message),
      ' ',
      make('span', { class: 'what' }, `${whatOf(message)}${mark}`),
    );
  }

  #showOptions(): void {
    const message = this.#shown?.messages[this.#chosen];
    if (message?.options === undefined) {
      const why = message?.unread === undefined ? '' : `It could not be read: ${message.unread.replaceAll('_', ' ')}.`;
      this.#options.replaceChildren(why);
      return;
    }
    const rows = message.options.map(({ number, name, value, bytes }) =>
      make(
        'tr',
        {},
        make('th', { scope: 'row' }, name ?? `Option ${number}`),
        make('td', { class: 'number' }, String(number)),
        make('td', {}, make('code', {}, visible(bytes === undefined ? String(value) : `${value}, ${plural(bytes, 'byte')}`))),
      ),
    );
    const names = `Message ${message.id ?? ''}, token ${message.token || 'empty'}`;
    const head = make('p', { class: 'quiet' }, `${names}, ${plural(message.bytes ?? 0, 'byte')} of payload`);
    this.#options.replaceChildren(head, make('table', {}, make('tbody', {}, ...rows)));
  }

  #showBody(): void {
    const detail = this.#shown;
    if (detail === undefined) return;
    const body = this.#body;
    const press = (button: HTMLButtonElement, pressed: boolean) => button.setAttribute('aria-pressed', String(pressed));
    press(this.#requestButton, !this.#isResponse);
    press(this.#responseButton, this.#isResponse);
    press(this.#itemsButton, this.#asItems);
    press(this.#jsonButton, !this.#asItems);
    this.#requestButton.disabled = detail.request === undefined;
    this.#responseButton.disabled = detail.response === undefined;
    const bytes = body?.bytes;
    const isCbor = bytes !== undefined && body?.kind === 'cbor';
    this.#open.hidden = bytes === undefined;
    this.#items.hidden = !isCbor || !this.#asItems;
    this.#json.hidden = !isCbor || this.#asItems;
    this.#inspectorBox.hidden = !isCbor;
    this.#itemsButton.hidden = this.#jsonButton.hidden = !isCbor;
    this.#plain.hidden = isCbor || bytes === undefined;
    const remark = body?.remark ?? (body === undefined ? 'No body.' : bytes === undefined ? 'Hidden: it may hold secrets. “Show secrets” above shows it.' : '');
    this.#note.textContent = remark;
    this.#note.hidden = remark === '';
    if (!isCbor) {
      this.#give(undefined);
      this.#plain.textContent = bytes === undefined ? '' : new TextDecoder().decode(bytes).slice(0, SHOWN_LETTERS).split('\n').map(visible).join('\n');
      return;
    }
    if (this.#reading === undefined || this.#reading.bytes !== bytes) {
      const reading = new Reading(bytes, false, true);
      this.#give(reading);
      this.#itemsView.show(reading);
      this.#jsonView.show(reading);
      this.#inspector.refresh();
    } else if (this.#asItems) this.#itemsView.refresh();
    else this.#jsonView.refresh();
  }

  /** Takes another reading, and gives the memory of the last one back. */
  #give(reading: Reading | undefined): void {
    const last = this.#reading;
    this.#reading = reading;
    this.#marked.begin(reading);
    last?.free();
  }
}

/** Draws which way a message goes, and says it to those who listen. */
function wayOf({ from, handshake }: Message): HTMLElement {
  if (handshake !== undefined) return make('span', { class: 'way' }, '⇄', make('span', { class: 'unseen' }, 'both ways'));
  const [arrow, words] = from === 'client' ? ['→', 'from client'] : ['←', 'from server'];
  return make('span', { class: 'way' }, arrow, make('span', { class: 'unseen' }, words));
}

/** Returns what a message is, in the words of CoAP. */
function whatOf({ type, code, options, bytes, unread, handshake }: Message): string {
  if (handshake !== undefined) return `handshake  ${plural(handshake, 'byte')}`;
  if (unread !== undefined) return `unread: ${unread.replaceAll('_', ' ')}`;
  const block = options?.filter(({ name }) => name?.startsWith('Block')).map(({ name, value }) => `${name} ${value}`) ?? [];
  const size = bytes === undefined || bytes === 0 ? [] : [plural(bytes, 'byte')];
  return [`${type ?? ''} ${METHODS[code ?? ''] ?? code ?? ''}`.trim(), ...block, ...size].join('  ');
}
