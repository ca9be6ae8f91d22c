// The room for captures: files in, a list of exchanges out.

import { find, make, save, say } from '../dom.ts';
import { takeDrops } from '../drop.ts';
import { count, plural, visible } from '../format.ts';
import { DetailView } from './detail_view.ts';
import { ExchangeList } from './exchange_list.ts';
import { kindOf } from './files.ts';
import type { FromWorker, Row, Summary, ToWorker } from './protocol.ts';
import { Rows } from './rows.ts';
import ReadingWorker from './worker.ts?worker&inline';

export class CaptureRoom {
  readonly #progress = find('progress', HTMLProgressElement);
  readonly #progressText = find('progress-text', HTMLSpanElement);
  readonly #cancel = find('cancel', HTMLButtonElement);
  readonly #secrets = find('secrets', HTMLInputElement);
  readonly #problem = find('capture-problem', HTMLDivElement);
  readonly #client = find('filter-client', HTMLInputElement);
  readonly #path = find('filter-path', HTMLInputElement);
  readonly #code = find('filter-code', HTMLInputElement);
  readonly #state = find('filter-state', HTMLSelectElement);

  readonly #rows = new Rows();
  readonly #list = new ExchangeList(find('exchanges', HTMLDivElement), this.#rows, (row) => this.#ask(row));
  readonly #detail: DetailView;
  readonly #worker: Worker;

  #files: readonly File[] = [];
  #adding = Promise.resolve();
  /** Numbers of the last run and of the last question: answers to earlier ones are not shown. */
  #run = 0;
  #asked = 0;
  #askedRow: Row | undefined;
  #exported = 0;
  /** The position of the exchange that is to be chosen again when the same files have been read once more. */
  #again: number | undefined;
  #summary: Summary | undefined;

  /** @param open is called with a body that is to be shown as a payload */
  constructor(module: WebAssembly.Module, open: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#detail = new DetailView(open);
    this.#worker = new ReadingWorker();
    this.#worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => this.#take(data));
    // Such an event has no message where a browser refuses to start a worker.
    this.#worker.addEventListener('error', ({ message }) => this.#fail(message || 'The worker that reads captures did not start.'));
    this.#tell({ do: 'start', module });
    this.#takeFiles();
    for (const field of [this.#client, this.#path, this.#code, this.#state]) {
      field.addEventListener('input', () => this.#filter());
    }
    this.#cancel.addEventListener('click', () => this.#tell({ do: 'cancel', run: this.#run }));
    this.#secrets.addEventListener('change', () => {
      if (this.#files.length === 0) return;
      const position = this.#askedRow?.position ?? this.#again;
      this.#read(this.#files);
      this.#again = position;
    });
    find('export', HTMLButtonElement).addEventListener('click', () => {
      const positions = this.#rows.isFiltered ? Uint32Array.from(this.#rows.shown, ({ position }) => position) : undefined;
      this.#exported += 1;
      this.#tell({ do: 'export', ask: this.#exported, positions });
    });
  }

  /** Adds files to those that are shown: a key log often comes last. Another capture replaces the first. */
  add(files: readonly File[]): void {
    // One after the other: which files are kept depends on those before.
    this.#adding = this.#adding.then(() => this.#add(files)).catch((error: unknown) => this.#fail(String(error)));
  }

  /** Reads files in place of those that are shown. */
  #read(files: readonly File[]): void {
    this.#files = files;
    this.#run += 1;
    this.#summary = undefined;
    this.#problem.hidden = true;
    this.#again = undefined;
    this.#askedRow = undefined;
    this.#asked += 1;
    this.#rows.clear();
    this.#list.clear();
    this.#detail.clear();
    find('capture-empty', HTMLElement).hidden = true;
    find('exchanges-part', HTMLElement).hidden = false;
    find('capture-files', HTMLOutputElement).textContent = files.map(({ name }) => visible(name)).join(', ');
    this.#progress.hidden = false;
    this.#progress.value = 0;
    this.#cancel.hidden = false;
    this.#showTotals();
    this.#tell({ do: 'read', run: this.#run, files, secrets: this.#secrets.checked });
  }

  async #add(files: readonly File[]): Promise<void> {
    const isMain = async (file: File) => ['capture', 'har'].includes((await kindOf(file)) ?? '');
    const replaces = (await Promise.all(files.map(isMain))).includes(true);
    const kept: File[] = [];
    for (const file of this.#files) {
      const isNamedAlike = files.some(({ name }) => name === file.name);
      if (!isNamedAlike && !(replaces && (await isMain(file)))) kept.push(file);
    }
    this.#read([...kept, ...files]);
  }

  #take(message: FromWorker): void {
    if (message.is === 'detail') {
      if (message.ask === this.#asked && this.#askedRow !== undefined) this.#detail.show(this.#askedRow, message.detail);
    } else if (message.is === 'no detail') {
      if (message.ask === this.#asked) this.#tellRemarks([message.why]);
    } else if (message.is === 'exported') {
      if (message.ask !== this.#exported) return;
      save('exchanges.jsonl', 'application/jsonl', message.lines);
      say('Exported');
    } else if (message.run === this.#run) this.#follow(message);
  }

  /** Takes what the worker says of the present run. */
  #follow(message: Exclude<FromWorker, { is: 'detail' | 'no detail' | 'exported' }>): void {
    if (message.is === 'progress') {
      const share = message.all === 0 ? 0 : message.done / message.all;
      this.#progress.value = share;
      this.#progressText.textContent = `${Math.floor(share * 100)} %${message.pass > 1 ? ', once more with the secrets' : ''}`;
    } else if (message.is === 'rows') {
      if (message.anew) {
        this.#rows.clear();
        this.#detail.clear();
      }
      this.#rows.add(message.rows);
      if (message.anew) this.#list.clear();
      else this.#list.grow();
      this.#showTotals();
    } else if (message.is === 'read') {
      this.#summary = message.summary;
      this.#rows.sort();
      this.#list.begin();
      if (this.#again !== undefined) this.#list.chooseAt(this.#again);
      this.#end(message.cancelled ? `cancelled at ${Math.floor(this.#progress.value * 100)} %` : '');
      this.#showTotals();
      const why = message.cancelled ? [] : this.#whyNothing(message.summary);
      this.#tellRemarks([...message.summary.remarks, ...why]);
      say(`${plural(this.#rows.all, 'exchange')} read${message.cancelled ? ', then cancelled' : ''}`);
    } else this.#fail(message.why);
  }

  /** Says why there is no exchange at all: most often the key log is missing. */
  #whyNothing({ totals, unread, others }: Summary): string[] {
    // A HAR file has no totals, and its own words.
    if (this.#rows.all > 0 || totals === undefined) return [];
    const why = unread.map(({ unread: reason, count: number }) => `${count(number)} × ${reason}`);
    if (why.length > 0) {
      const isEncrypted = unread.some(({ unread: reason }) => reason.includes('key log'));
      const advice = isEncrypted
        ? ' Drop the key log of these sessions on this page as well: the file that SSLKEYLOGFILE or --key-log named when they began.'
        : '';
      return [`There is no exchange that can be read: ${why.join('; ')}.${advice}`];
    }
    const seen = Object.entries(others).map(([kind, number]) => `${count(number)} × ${kind}`);
    return [`There is no exchange in it${seen.length > 0 ? `, only ${seen.join(', ')}` : ''}.`];
  }

  #end(text: string): void {
    this.#progress.hidden = true;
    this.#cancel.hidden = true;
    this.#progressText.textContent = text;
  }

  #fail(why: string): void {
    this.#end('');
    this.#tellRemarks([why]);
    const isEmpty = this.#rows.all === 0;
    find('capture-empty', HTMLElement).hidden = !isEmpty;
    find('exchanges-part', HTMLElement).hidden = isEmpty;
  }

  #tellRemarks(remarks: readonly string[]): void {
    this.#problem.hidden = remarks.length === 0;
    this.#problem.replaceChildren(...remarks.map((remark) => make('p', {}, visible(remark))));
  }

  #ask(row: Row): void {
    this.#asked += 1;
    this.#askedRow = row;
    this.#tell({ do: 'detail', ask: this.#asked, position: row.position });
  }

  #filter(): void {
    this.#rows.filter({
      client: this.#client.value.trim(),
      path: this.#path.value.trim(),
      code: this.#code.value.trim(),
      state: this.#state.value,
    });
    this.#list.begin();
    this.#showTotals();
    say(`${count(this.#rows.shown.length)} of ${plural(this.#rows.all, 'exchange')} shown`);
  }

  #showTotals(): void {
    const sums = this.#rows.sums();
    const totals = this.#rows.isFiltered ? undefined : this.#summary?.totals;
    const of = this.#rows.isFiltered ? ` of ${count(this.#rows.all)}` : '';
    // What belongs to a session and to none of its exchanges.
    const rest = (totals?.bytes ?? 0) - sums.up - sums.down;
    const parts = [
      `${count(sums.exchanges)}${of} ${this.#rows.all === 1 ? 'exchange' : 'exchanges'}`,
      ...(totals === undefined ? [] : [plural(totals.sessions, 'session')]),
      plural(totals?.datagrams ?? sums.datagrams, 'datagram'),
      plural(sums.repeats, 'repeat'),
      `${count(sums.up)} bytes up, ${count(sums.down)} down`,
      ...(rest > 0 ? [`${count(rest)} for sessions`] : []),
    ];
    find('totals', HTMLParagraphElement).textContent = parts.join(', ');
    const ours = totals?.bytes ?? sums.up + sums.down;
    const https = totals?.https_bytes ?? sums.https;
    const largest = Math.max(ours, https, 1);
    const line = (name: string, bytes: number, look: string) => {
      const bar = make('span', { class: 'size-bar' });
      bar.style.width = `${(bytes / largest) * 100}%`;
      const share = https === 0 ? '' : `${Math.round((bytes / https) * 100)} %`;
      return make(
        'tr',
        { class: look },
        make('th', { scope: 'row' }, name),
        make('td', { class: 'size-place' }, bar),
        make('td', { class: 'number' }, count(bytes)),
        make('td', { class: 'number percent' }, share),
      );
    };
    const costs = https === 0 ? [] : [line('CoAP with CBOR', ours, 'ours'), line('HTTPS with JSON, estimated', https, 'other')];
    find('costs', HTMLElement).replaceChildren(...costs);
    this.#showUnread();
  }

  #showUnread(): void {
    const { unread = [], others = {} } = this.#summary ?? {};
    const otherKinds = Object.entries(others);
    const box = find('unread', HTMLDetailsElement);
    box.hidden = unread.length === 0 && otherKinds.length === 0;
    const number = unread.reduce((sum, { count: one }) => sum + one, 0);
    const other = otherKinds.reduce((sum, [, one]) => sum + one, 0);
    const parts = [number === 0 ? '' : `${plural(number, 'datagram')} not read`, other === 0 ? '' : `${plural(other, 'packet')} of something else`];
    find('unread-title', HTMLElement).textContent = parts.filter((part) => part !== '').join(', ');
    find('unread-list', HTMLUListElement).replaceChildren(
      ...unread.map((one) => make('li', {}, `${count(one.count)} × ${one.unread}: frame ${one.frames}`)),
      ...otherKinds.map(([kind, one]) => make('li', {}, `${count(one)} × ${kind}`)),
    );
  }

  #takeFiles(): void {
    const input = find('capture-file', HTMLInputElement);
    input.addEventListener('change', () => {
      const files = [...(input.files ?? [])];
      if (files.length > 0) this.add(files);
      input.value = '';
    });
    takeDrops(find('capture', HTMLElement), find('capture-drop', HTMLElement), (files) => {
      if (files.length > 0) this.add(files);
    });
  }

  #tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }
}
