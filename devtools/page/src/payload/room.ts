// The room for one payload: from what was pasted to the views.

import { kindOf } from '../capture/files.ts';
import { type Order, type Refusal, type Repairs, toCbor, toJson } from '../codec.ts';
import { copy, find, make, save, say } from '../dom.ts';
import { takeDrops } from '../drop.ts';
import { base64, cArray, count, hex, plural, visible } from '../format.ts';
import { FORM_NAMES, type Form, MAX_PAYLOAD, NotOfForm, bytesOf, guess, ofFile } from '../inputs.ts';
import { BytesView } from './bytes_view.ts';
import { EXAMPLES } from './examples.ts';
import { Inspector } from './inspector.ts';
import { ItemsView } from './items_view.ts';
import { JsonView } from './json_view.ts';
import { Marked } from './marked.ts';
import { type Problem, jsonProblem, refusalProblem, repairsText } from './problem.ts';
import { Reading } from './reading.ts';
import { MAX_LINK, fromFragment, toFragment } from './share.ts';
import { Sizes } from './sizes.ts';

/** Bytes of a file that the field shows as hex. */
const SHOWN_FILE = 16_384;
/** Letters of a file's text that the field shows: browsers are slow with long ones. */
const SHOWN_TEXT = 65_536;

/** What is read instead of the field: the bytes of a file, or a text that is too long for the field. */
interface FileSource {
  readonly name: string;
  readonly content: string | Uint8Array<ArrayBuffer>;
}

const utf8 = new TextEncoder();

export class PayloadRoom {
  readonly #source = find('source', HTMLTextAreaElement);
  readonly #note = find('source-note', HTMLOutputElement);
  readonly #form = find('form', HTMLSelectElement);
  readonly #keys = find('keys', HTMLSelectElement);
  readonly #order = find('order', HTMLSelectElement);
  readonly #policy = find('policy', HTMLSelectElement);
  readonly #outcome = find('outcome', HTMLOutputElement);
  readonly #problem = find('problem', HTMLDivElement);
  readonly #editor = find('editor', HTMLTextAreaElement);
  readonly #edit = find('edit', HTMLButtonElement);
  readonly #json = find('json', HTMLDivElement);
  readonly #items = find('items', HTMLDivElement);
  readonly #bytes = find('bytes', HTMLDivElement);
  readonly #shared = find('shared', HTMLDivElement);

  readonly #marked = new Marked();
  readonly #itemsView = new ItemsView(this.#items, this.#marked);
  readonly #bytesView = new BytesView(this.#bytes, this.#marked);
  readonly #jsonView = new JsonView(this.#json, this.#marked);
  readonly #inspector = new Inspector(find('inspector', HTMLElement), this.#marked);
  readonly #sizes = new Sizes(find('sizes-rows', HTMLElement));

  #file: FileSource | undefined;
  /** The JSON that is edited, which then counts instead of what was pasted. */
  #edited: string | undefined;
  /** Whether bytes after the first item are items too. */
  #sequence = false;
  #reading: Reading | undefined;

  /** @param openCapture is called with files that are captures, and belong into another room */
  constructor(readonly openCapture: (files: readonly File[]) => void) {
    this.#source.addEventListener('input', () => {
      this.#begin();
      this.update();
    });
    for (const choice of [this.#form, this.#keys, this.#order, this.#policy]) {
      choice.addEventListener('change', () => this.update());
    }
    this.#takeFiles();
    this.#takeButtons();
    this.#takeViews();
    find('examples', HTMLUListElement).append(
      ...EXAMPLES.map(({ name, about, text }) => {
        const button = make('button', { type: 'button' }, name);
        button.addEventListener('click', () => {
          this.showText(text);
          this.#items.focus();
        });
        return make('li', {}, button, make('span', {}, about));
      }),
    );
  }

  /** Shows a text as if it had been pasted; `name` says where a long one comes from. */
  showText(text: string, name = 'text'): void {
    this.#begin();
    if (text.length > SHOWN_TEXT) this.#file = { name, content: text };
    this.#source.value = text.length > SHOWN_TEXT ? '' : text;
    this.#form.value = 'auto';
    this.update();
  }

  /** Shows bytes as those of a file. */
  showBytes(name: string, bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.length > MAX_PAYLOAD) {
      this.#tell({ title: `${name} has ${count(bytes.length)} bytes: the page shows ${count(MAX_PAYLOAD)} at most.` });
      return;
    }
    this.#begin();
    this.#file = { name, content: bytes };
    this.#source.value = bytes.length <= SHOWN_FILE ? hex(bytes, ' ') : '';
    this.update();
  }

  /** Shows the payload of the page's address, if it has one. */
  async showShared(fragment: string): Promise<void> {
    try {
      const shared = await fromFragment(fragment, MAX_PAYLOAD);
      if (shared === undefined) return;
      for (const choice of [this.#keys, this.#order, this.#policy]) {
        const wanted = shared.options[choice.id];
        // A link leaves out what is as it is at first.
        choice.selectedIndex = Math.max(0, [...choice.options].findIndex(({ value }) => value === wanted));
      }
      if (typeof shared.content === 'string') this.showText(shared.content, 'shared');
      else this.showBytes('shared', shared.content);
    } catch (error) {
      this.#tell({ title: `The link cannot be read: ${error instanceof Error ? error.message : String(error)}.` });
    }
  }

  /** Reads anew and shows what comes of it. */
  update(): void {
    this.#shared.hidden = true;
    this.#outcome.replaceChildren();
    this.#tell(undefined);
    const isEmpty = this.#file === undefined && this.#edited === undefined && this.#source.value.trim() === '';
    find('empty', HTMLElement).hidden = !isEmpty;
    find('options', HTMLElement).hidden = isEmpty;
    if (isEmpty) {
      this.#note.textContent = '';
      this.#show(undefined);
      return;
    }
    const found = this.#find();
    if (found === undefined) {
      if (this.#edited === undefined) this.#show(undefined);
      return;
    }
    const keys = this.#keys.value === 'v1';
    const reading = new Reading(found, this.#sequence, keys);
    this.#show(reading);
    if (reading.refusal !== undefined) this.#tellRefusal(reading.refusal);
  }

  /** Forgets what was chosen for the previous payload. */
  #begin(): void {
    this.#file = undefined;
    this.#sequence = false;
    this.#setEdited(undefined);
  }

  /** Returns the CBOR of what is there; undefined after telling why there is none. */
  #find(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#edited !== undefined) return this.#encode(this.#edited, this.#editor, 'edited JSON');
    const file = this.#file;
    const text = file?.content ?? this.#source.value;
    if (typeof text !== 'string') {
      this.#note.textContent = `${visible(file?.name ?? '')}, ${plural(text.length, 'byte')}`;
      return this.#reorder(text);
    }
    const field = file === undefined ? this.#source : undefined;
    const chosen = this.#form.value;
    const form = chosen === 'auto' ? guess(text) : (chosen as Form);
    const name = FORM_NAMES[form];
    const notes = [...(file === undefined ? [] : [file.name]), ...(chosen === 'auto' ? [`read as ${name}`] : [])];
    this.#note.textContent = visible(notes.join(', '));
    if (form === 'json') return this.#encode(text, field, 'JSON');
    try {
      const bytes = bytesOf(text, form);
      if (bytes.length > MAX_PAYLOAD) throw new NotOfForm(`more than ${count(MAX_PAYLOAD)} bytes are not shown`, 0);
      return this.#reorder(bytes);
    } catch (error) {
      if (!(error instanceof NotOfForm)) throw error;
      this.#tell({
        title: `This is not ${name}: character ${count(error.at + 1)}, ${error.message}.`,
        actions: field === undefined ? [] : [{ name: 'Show the character', act: () => select(field, error.at) }],
      });
      return undefined;
    }
  }

  #encode(json: string, field: HTMLTextAreaElement | undefined, what: string): Uint8Array<ArrayBuffer> | undefined {
    const text = utf8.encode(json);
    if (text.length > MAX_PAYLOAD) {
      this.#tell({ title: `The JSON has ${count(text.length)} bytes: the page shows ${count(MAX_PAYLOAD)} at most.` });
      return undefined;
    }
    const converted = toCbor(text, this.#policy.value === 'lenient', this.#chosenOrder(), this.#keys.value === 'v1');
    if ('bytes' in converted) {
      this.#tellRepairs(converted.repairs);
      return converted.bytes;
    }
    this.#tell(
      jsonProblem(json, converted.refusal, what, {
        show: field === undefined ? undefined : (at) => select(field, at),
        repair: this.#policy.value === 'lenient' ? undefined : () => this.#choose(this.#policy, 'lenient'),
      }),
    );
    return undefined;
  }

  /** Writes CBOR anew in the chosen order. */
  #reorder(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const order = this.#chosenOrder();
    if (order === 0) return bytes;
    const keys = this.#keys.value === 'v1';
    const json = toJson(bytes, keys);
    const ordered = 'bytes' in json ? toCbor(json.bytes, false, order, keys) : json;
    if (!('bytes' in ordered)) {
      this.#outcome.textContent = 'The order stays: this CBOR has no form in JSON.';
      return bytes;
    }
    const same = ordered.bytes.length === bytes.length && ordered.bytes.every((byte, at) => byte === bytes[at]);
    this.#outcome.textContent = same ? 'It is in this order already.' : `Written anew: ${plural(ordered.bytes.length, 'byte')}.`;
    return ordered.bytes;
  }

  #chosenOrder(): Order {
    return Number(this.#order.value) as Order;
  }

  #choose(choice: HTMLSelectElement, value: string): void {
    choice.value = value;
    choice.focus();
    this.update();
  }

  #show(reading: Reading | undefined): void {
    const last = this.#reading;
    this.#reading = reading;
    this.#marked.begin(reading);
    last?.free();
    find('reading', HTMLElement).hidden = reading === undefined;
    find('sizes', HTMLElement).hidden = reading === undefined;
    if (reading === undefined) {
      this.#sizes.clear();
      return;
    }
    this.#itemsView.show(reading);
    this.#bytesView.show(reading);
    this.#jsonView.show(reading);
    this.#inspector.refresh();
    const { bytes } = reading;
    find('cbor-size', HTMLOutputElement).textContent = `${plural(bytes.length, 'byte')}, ${plural(reading.length, 'item')}`;
    const next = find('next-note', HTMLButtonElement);
    next.hidden = reading.notes === 0;
    next.textContent = plural(reading.notes, 'note');
    find('json-size', HTMLOutputElement).textContent = reading.isJson ? '' : 'as far as it goes, in diagnostic notation';
    this.#edit.disabled = !reading.isJson;
    const json = reading.isJson ? toJson(bytes, this.#keys.value === 'v1') : undefined;
    void this.#sizes.show(json !== undefined && 'bytes' in json ? json.bytes : undefined, bytes.length);
  }

  #tellRepairs(repairs: Repairs): void {
    const text = repairsText(repairs);
    if (text !== '') this.#outcome.textContent = `Repaired: ${text}.`;
  }

  #tellRefusal(refusal: Refusal): void {
    const actions = [];
    if (refusal.kind === 'trailing_data') {
      actions.push({
        name: 'Read all items',
        act: () => {
          this.#sequence = true;
          this.update();
        },
      });
    }
    this.#tell(refusalProblem(refusal, actions));
  }

  #tell(problem: Problem | undefined): void {
    this.#problem.hidden = problem === undefined;
    this.#problem.replaceChildren();
    if (problem === undefined) return;
    this.#problem.append(make('p', {}, visible(problem.title)));
    if (problem.excerpt !== undefined) this.#problem.append(make('pre', {}, problem.excerpt));
    for (const { name, act } of problem.actions ?? []) {
      const button = make('button', { type: 'button' }, name);
      button.addEventListener('click', act);
      this.#problem.append(button);
    }
  }

  #takeFiles(): void {
    const file = find('file', HTMLInputElement);
    file.addEventListener('change', () => {
      void this.#read([...(file.files ?? [])]);
      file.value = '';
    });
    takeDrops(find('payload', HTMLElement), find('drop', HTMLDivElement), (files, text) => {
      if (files.length > 0) void this.#read(files);
      else if (text !== '') this.showText(text);
    });
  }

  async #read(files: readonly File[]): Promise<void> {
    const [file] = files;
    if (file === undefined) return;
    const kinds = await Promise.all(files.map(kindOf));
    if (kinds.some((kind) => kind !== undefined)) {
      this.openCapture(files);
      return;
    }
    if (file.size > MAX_PAYLOAD) {
      this.#tell({ title: `${file.name} has ${count(file.size)} bytes: the page shows ${count(MAX_PAYLOAD)} at most.` });
      return;
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    const text = isCbor(bytes) ? undefined : ofFile(bytes);
    if (text === undefined) this.showBytes(file.name, bytes);
    else this.showText(text, file.name);
    say(`${file.name} read`);
  }

  #takeButtons(): void {
    const click = (id: string, act: () => void) => find(id, HTMLButtonElement).addEventListener('click', act);
    click('clear', () => {
      this.showText('');
      this.#source.focus();
    });
    click('share', () => void this.#share());
    click('copy-link', () => void copy(find('link', HTMLInputElement).value, 'Link'));
    click('copy-json', () => {
      if (this.#reading !== undefined) void copy(this.#edited ?? this.#reading.json, 'JSON');
    });
    click('next-note', () => {
      if (this.#reading !== undefined) this.#marked.mark(this.#reading.nextNoted(this.#marked.item), true);
    });
    click('edit', () => this.#setEdited(this.#edited === undefined ? this.#reading?.json : undefined, true));
    this.#editor.addEventListener('input', () => {
      this.#edited = this.#editor.value;
      this.update();
    });
    // A choice alone does nothing: with the keyboard one passes the first ones on the way to the last.
    const form = find('copy-as', HTMLSelectElement);
    const name = () => (find('copy-cbor', HTMLButtonElement).textContent = form.value === 'save' ? 'Save' : 'Copy');
    form.addEventListener('change', name);
    name();
    click('copy-cbor', () => {
      if (this.#reading !== undefined) this.#handOut(this.#reading, form.value);
    });
  }

  #handOut(reading: Reading, form: string): void {
    const bytes = Uint8Array.from(reading.bytes);
    if (form === 'hex') void copy(hex(bytes), 'Hex');
    else if (form === 'base64') void copy(base64(bytes), 'Base64');
    else if (form === 'c') void copy(cArray(bytes), 'C array');
    else if (form === 'diagnostic') void copy(reading.diagnostic(-1), 'Diagnostic notation');
    else if (form === 'save') save('payload.cbor', 'application/cbor', bytes);
  }

  #takeViews(): void {
    const items = find('view-items', HTMLButtonElement);
    const bytes = find('view-bytes', HTMLButtonElement);
    const choose = (asBytes: boolean) => {
      items.setAttribute('aria-pressed', String(!asBytes));
      bytes.setAttribute('aria-pressed', String(asBytes));
      this.#items.hidden = asBytes;
      this.#bytes.hidden = !asBytes;
      if (asBytes) this.#bytesView.appear();
      else this.#itemsView.refresh();
    };
    items.addEventListener('click', () => choose(false));
    bytes.addEventListener('click', () => choose(true));
  }

  /** Begins or ends the editing of the JSON. */
  #setEdited(json: string | undefined, byUser = false): void {
    this.#edited = json;
    this.#editor.hidden = json === undefined;
    this.#json.hidden = json !== undefined;
    this.#edit.setAttribute('aria-pressed', String(json !== undefined));
    this.#edit.textContent = json === undefined ? 'Edit' : 'Undo the edits';
    if (json !== undefined) {
      this.#editor.value = json;
      if (byUser) this.#editor.focus();
    }
    if (byUser) this.update();
  }

  async #share(): Promise<void> {
    const content = this.#edited ?? this.#file?.content ?? this.#source.value;
    if (content.length === 0) {
      say('There is nothing to share yet');
      return;
    }
    const options: Record<string, string> = {};
    for (const choice of [this.#keys, this.#order, this.#policy]) {
      if (choice.selectedIndex !== 0) options[choice.id] = choice.value;
    }
    // A link that was made before is of another payload, or of other options.
    this.#shared.hidden = true;
    const fragment = await toFragment({ content, options });
    const link = find('link', HTMLInputElement);
    const note = find('shared-note', HTMLParagraphElement);
    this.#shared.hidden = false;
    link.hidden = fragment === undefined;
    find('copy-link', HTMLButtonElement).hidden = fragment === undefined;
    if (fragment === undefined) {
      note.textContent = `It is too long for a link: ${count(MAX_LINK)} letters at most. Send it as a file.`;
      return;
    }
    note.textContent =
      'Whoever has this link has the payload: all of it is in the part behind #. Browsers do not send that part to servers.';
    link.value = `${location.href.split('#', 1)[0]}${fragment}`;
    link.focus();
    link.select();
  }
}

/** Says whether bytes are one item, whole: a short text can be one, and letters of base64 as well. */
function isCbor(bytes: Uint8Array): boolean {
  const reading = new Reading(bytes, false, false);
  const whole = reading.refusal === undefined;
  reading.free();
  return whole;
}

/** Marks one character of a field, and scrolls there. */
function select(field: HTMLTextAreaElement, at: number): void {
  field.focus();
  field.setSelectionRange(at, Math.min(at + 1, field.value.length));
  const line = field.value.slice(0, at).split('\n').length;
  const height = parseFloat(getComputedStyle(field).lineHeight);
  field.scrollTop = Math.max(0, (line - 2) * height);
}
