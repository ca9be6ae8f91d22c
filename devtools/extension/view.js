// Shows one body: the JSON text on one side, what each byte says on the other. What is chosen on one side is
// marked on both.

import { annotate } from './pkg/lowband_devtools.js';
import { isSequence } from './bodies.js';

/** Rows that are made at once; more on demand. */
const ROWS = 500;

/** Words of an item, see the module's documentation. */
const ITEM_WORDS = 8;
const NONE = 0xffffffff;

/** Characters of a text that are shown at most. */
const MAX_TEXT = 2_000_000;

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Returns true if the bytes are valid CBOR of this type from the first to the last. */
export function isValid(bytes, type) {
  const annotated = annotate(bytes, isSequence(type), true);
  try {
    return annotated.is_valid();
  } finally {
    annotated.free();
  }
}

/** Returns the nodes for a body. */
export function show(bytes, type) {
  const annotated = annotate(bytes, isSequence(type), true);
  try {
    return new Body(bytes, annotated).nodes();
  } finally {
    annotated.free();
  }
}

class Body {
  #bytes;
  #items;
  #rows;
  #json;
  #text;
  #error;
  #pre = element('pre', { tabIndex: 0 });
  #list = element('div', { className: 'items' });
  #buttons = [];

  constructor(bytes, annotated) {
    this.#bytes = bytes;
    this.#items = annotated.items();
    this.#rows = JSON.parse(annotated.describe(0, annotated.length));
    this.#text = annotated.json();
    this.#json = annotated.is_json();
    const error = annotated.error();
    this.#error = error && JSON.parse(error);
  }

  nodes() {
    this.#pre.textContent = this.#text.slice(0, MAX_TEXT);
    this.#pre.addEventListener('click', () => this.#chooseAtCaret());
    this.#addRows();
    const size = element('p', {
      textContent: `${this.#bytes.length} bytes of CBOR, ${this.#rows.length} items`,
    });
    const nodes = [size];
    if (this.#error) {
      const { offset, sentence } = this.#error;
      nodes.push(element('p', { className: 'wrong', textContent: `Byte ${offset}: ${sentence}.` }));
    } else if (!this.#json) {
      nodes.push(element('p', { className: 'wrong', textContent: 'The codec refuses this, see the notes.' }));
    }
    return [...nodes, element('div', { className: 'body' }, this.#pre, this.#list)];
  }

  #addRows() {
    const from = this.#buttons.length;
    const to = Math.min(from + ROWS, this.#rows.length);
    for (let item = from; item < to; item++) {
      const row = this.#row(item);
      this.#buttons.push(row);
      this.#list.append(row);
    }
    if (to < this.#rows.length) {
      const more = element('button', { type: 'button', textContent: `${this.#rows.length - to} more` });
      more.addEventListener('click', () => {
        more.remove();
        this.#addRows();
      });
      this.#list.append(more);
    }
  }

  #row(item) {
    const { words, preview, notes } = this.#rows[item];
    const [start, , head, depth] = this.#words(item);
    const hex = Array.from(this.#bytes.subarray(start, start + (head & 0xff)), (byte) =>
      byte.toString(16).padStart(2, '0'),
    ).join('');
    const text = `${String(start).padStart(6)}  ${hex.padEnd(6)}  ${'  '.repeat(depth)}${words}`;
    const row = element('button', { type: 'button' }, preview ? `${text} ${preview}` : text);
    for (const note of notes) {
      row.append(element('span', { className: note.refused ? 'wrong' : '', textContent: ` (${note.sentence})` }));
    }
    row.addEventListener('click', () => this.#choose(item));
    return row;
  }

  #words(item) {
    return this.#items.subarray(ITEM_WORDS * item, ITEM_WORDS * (item + 1));
  }

  /** Marks an item in the list and in the text. */
  #choose(item) {
    this.#buttons.forEach((button, place) => button.classList.toggle('marked', place === item));
    const [, , , , , from, to] = this.#words(item);
    const text = this.#text.slice(0, MAX_TEXT);
    if (from === NONE || from >= text.length) {
      this.#pre.replaceChildren(text);
      return;
    }
    const mark = element('mark', { textContent: text.slice(from, to) });
    this.#pre.replaceChildren(text.slice(0, from), mark, text.slice(to));
    mark.scrollIntoView({ block: 'nearest' });
  }

  /** Marks the innermost item at the place in the text that was clicked. */
  #chooseAtCaret() {
    const caret = document.getSelection();
    if (!caret?.isCollapsed || !this.#pre.contains(caret.anchorNode)) {
      return;
    }
    const before = document.createRange();
    before.setStart(this.#pre, 0);
    before.setEnd(caret.anchorNode, caret.anchorOffset);
    const at = before.toString().length;
    let found = -1;
    for (let item = 0; item < this.#rows.length; item++) {
      const [, , , , , from, to] = this.#words(item);
      if (from !== NONE && from <= at && at < to) {
        found = item;
      }
    }
    while (found >= this.#buttons.length) {
      this.#list.lastElementChild.remove();
      this.#addRows();
    }
    if (found >= 0) {
      this.#choose(found);
      this.#buttons[found].scrollIntoView({ block: 'nearest' });
    }
  }
}
