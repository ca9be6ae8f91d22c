// Reads captures apart from the page, so that the page stays quick.

import { Capture, initSync } from '../../pkg/lowband_devtools.js';
import { plural } from '../format.ts';
import { sort } from './files.ts';
import { type HarExchange, readHar } from './har.ts';
import type { Body, Detail, FromWorker, Message, Row, Summary, ToWorker, Totals, Unread } from './protocol.ts';

/** Bytes of a capture that are read at once: between two pieces the worker listens to the page. */
const PIECE = 1024 * 1024;
/** What the Rust part says of the packet in which a file ends. */
const CUT = 'the file ends in the middle of it';
/** The largest HAR file, in bytes: it is parsed as a whole. */
const MAX_HAR = 256 * 1024 * 1024;

/** What is shown now: a capture, whose details are made again from its file, or a HAR file, which is held. */
type Shown =
  | { readonly kind: 'capture'; readonly capture: Capture; readonly file: File; lines: Blob[]; readonly sessions: Sessions }
  | { readonly kind: 'har'; readonly exchanges: readonly HarExchange[] };

let shown: Shown | undefined;
/** The run that the page wants; another one ends at its next piece. */
let wanted = 0;

const tell = (message: FromWorker) => postMessage(message);

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  if (data.do === 'start') initSync({ module: data.module });
  else if (data.do === 'read') void read(data.run, data.files, data.secrets);
  else if (data.do === 'cancel') wanted = wanted === data.run ? 0 : wanted;
  else if (data.do === 'detail') detail(data.ask, data.position).catch((error: unknown) => tell({ is: 'no detail', ask: data.ask, why: wordsOf(error) }));
  else void exportLines(data.ask, data.positions);
});

async function read(run: number, files: readonly File[], secrets: boolean): Promise<void> {
  wanted = run;
  if (shown?.kind === 'capture') shown.capture.free();
  shown = undefined;
  try {
    const { kind, main, keyLogs, remarks } = await sort(files);
    if (wanted !== run) tellCancelled(run);
    else if (kind === 'har') await readHarFile(run, main, remarks, secrets);
    else await readCapture(run, main, keyLogs, remarks, secrets);
  } catch (error) {
    tell({ is: 'failed', run, why: wordsOf(error) });
  }
}

function wordsOf(error: unknown): string {
  // What browsers say of it is about permissions.
  if (error instanceof DOMException && error.name === 'NotReadableError') {
    return 'The file has changed since it was opened, and the browser does not read it any more: open it again.';
  }
  return error instanceof Error ? error.message : String(error);
}

/** Says that nothing was read; the page does not listen if it wants another run. */
function tellCancelled(run: number): void {
  tell({ is: 'read', run, summary: { totals: undefined, unread: [], others: {}, remarks: [] }, cancelled: true });
}

async function readHarFile(run: number, file: File, remarks: readonly string[], secrets: boolean): Promise<void> {
  if (file.size > MAX_HAR) throw new Error(`${file.name} is larger than ${MAX_HAR} bytes`);
  const text = await file.text();
  if (wanted !== run) {
    tellCancelled(run);
    return;
  }
  const exchanges = readHar(text, secrets);
  shown = { kind: 'har', exchanges };
  tell({ is: 'rows', run, rows: exchanges.map(({ row }) => row), anew: true });
  const none = exchanges.length === 0 ? ['No body in this HAR file is application/cbor.'] : [];
  const summary: Summary = { totals: undefined, unread: [], others: {}, remarks: [...remarks, ...none] };
  tell({ is: 'read', run, summary, cancelled: false });
}

async function readCapture(
  run: number,
  file: File,
  keyLogs: readonly File[],
  remarks: readonly string[],
  secrets: boolean,
): Promise<void> {
  const capture = new Capture(secrets);
  const mine = { kind: 'capture' as const, capture, file, lines: [] as Blob[], sessions: newSessions() };
  shown = mine;
  const said = [...remarks];
  for (const log of keyLogs) {
    const { unread } = JSON.parse(capture.add_secrets(new Uint8Array(await log.arrayBuffer()))) as { unread: readonly { line: number; why: string }[] };
    said.push(...unread.slice(0, 3).map(({ line, why }) => `${log.name}, line ${line}: ${why}.`));
  }
  for (let pass = 1; ; pass += 1) {
    const whole = await push(run, mine, pass);
    // Another run has begun, and the capture was given up.
    if (shown !== mine) return;
    if (whole && pass === 1 && capture.wants_another_pass()) {
      capture.rewind();
      mine.lines = [];
      mine.sessions.lines.clear();
      mine.sessions.first.clear();
      continue;
    }
    const summary = summaryOf(capture, said);
    // Where reading was cancelled a packet is cut: that is no fault of the file.
    const unread = whole ? summary.unread : summary.unread.filter(({ unread: why }) => !why.includes(CUT));
    tell({ is: 'read', run, summary: { ...summary, unread }, cancelled: !whole });
    return;
  }
}

/** Reads the file once; returns false if that was cancelled. */
async function push(run: number, mine: Shown & { kind: 'capture' }, pass: number): Promise<boolean> {
  const { capture, file } = mine;
  let position = 0;
  const take = () => {
    const lines = capture.take();
    const rows: Row[] = [];
    const exchanges: string[] = [];
    for (const line of lines.split('\n')) {
      if (line.startsWith('{"session":')) {
        const session = JSON.parse(line) as SessionLine;
        mine.sessions.lines.set(session.session, session);
      }
      if (!line.startsWith('{"exchange":')) continue;
      const exchange = JSON.parse(line) as Line;
      rows.push(rowOf(exchange, position + rows.length));
      const first = mine.sessions.first.get(exchange.session) ?? Infinity;
      mine.sessions.first.set(exchange.session, Math.min(first, exchange.exchange));
      exchanges.push(line);
    }
    if (rows.length > 0) {
      // In a Blob they do not count as memory of the page.
      mine.lines.push(new Blob([`${exchanges.join('\n')}\n`]));
      tell({ is: 'rows', run, rows, anew: position === 0 });
      position += rows.length;
    }
  };
  tell({ is: 'rows', run, rows: [], anew: true });
  for (let at = 0; at < file.size; at += PIECE) {
    tell({ is: 'progress', run, done: at, all: file.size, pass });
    const bytes = new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer());
    if (shown !== mine) return false;
    if (wanted !== run) {
      capture.finish();
      take();
      return false;
    }
    capture.push(bytes);
    take();
  }
  capture.finish();
  take();
  return true;
}

/** A line of the Rust part, as far as it is used. */
interface Line {
  readonly exchange: number;
  readonly time: string;
  readonly client: string;
  readonly server: string;
  readonly session: number;
  readonly kind: string;
  readonly method: string | null;
  readonly path: string;
  readonly query: string;
  readonly code: string | null;
  readonly state: string;
  readonly bytes_up: number;
  readonly bytes_down: number;
  readonly datagrams_up: number;
  readonly datagrams_down: number;
  readonly repeats: number;
  readonly ms: number | null;
  readonly https_bytes: number;
  readonly observe: boolean;
  readonly notes: readonly string[];
  readonly messages?: readonly Message[];
}

/** A session, in a line of the Rust part. */
interface SessionLine {
  readonly session: number;
  readonly first: string;
  readonly protection: string;
  readonly keys: string;
  readonly suite: string | null;
  readonly end: string | null;
  readonly resumed: boolean;
  readonly moves: number;
  readonly handshake_bytes: number;
}

interface Sessions {
  readonly lines: Map<number, SessionLine>;
  /** The number of the first exchange of each. */
  readonly first: Map<number, number>;
}

function newSessions(): Sessions {
  return { lines: new Map(), first: new Map() };
}

/** The handshake stands before the first exchange of its session, as if it were a message. */
function handshakeOf(session: SessionLine, line: Line): Message {
  const ms = Date.parse(session.first) - Date.parse(line.time);
  return { frame: 0, ms, from: 'client', handshake: session.handshake_bytes };
}

function factsOf(session: SessionLine): [string, string][] {
  if (session.protection === 'none') return [['Protection', 'none']];
  const facts: [string, string][] = [['Suite', session.suite ?? 'unknown']];
  if (session.keys !== 'proven') facts.push(['Keys', session.keys]);
  const kind = session.resumed ? 'resumed' : 'full';
  facts.push(['Handshake', session.handshake_bytes === 0 ? 'before the capture' : `${kind}, ${plural(session.handshake_bytes, 'byte')}`]);
  if (session.moves > 0) facts.push(['Changes of address', String(session.moves)]);
  if (session.end !== null) facts.push(['End', session.end]);
  return facts;
}

function rowOf(line: Line, position: number): Row {
  return {
    position,
    time: Date.parse(line.time),
    client: line.client,
    method: line.method ?? line.kind,
    path: line.path,
    code: line.code ?? '',
    state: line.state,
    up: line.bytes_up,
    down: line.bytes_down,
    datagrams: line.datagrams_up + line.datagrams_down,
    repeats: line.repeats,
    ms: line.ms,
    https: line.https_bytes,
  };
}

function summaryOf(capture: Capture, remarks: readonly string[]): Summary {
  let totals: Totals | undefined;
  const unread: Unread[] = [];
  let others: Record<string, number> = {};
  for (const line of capture.summary().split('\n')) {
    if (line === '') continue;
    const found = JSON.parse(line) as { totals?: Totals; not_coap?: Record<string, number> } & Partial<Unread>;
    if (found.totals !== undefined) totals = found.totals;
    else if (found.not_coap !== undefined) others = found.not_coap;
    else if (found.unread !== undefined) unread.push(found as Unread);
  }
  return { totals, unread, others, remarks };
}

async function detail(ask: number, position: number): Promise<void> {
  const now = shown;
  if (now === undefined) return;
  if (now.kind === 'har') {
    const exchange = now.exchanges[position];
    if (exchange !== undefined) tell({ is: 'detail', ask, detail: exchange.detail });
    return;
  }
  const { capture, file } = now;
  const places = capture.places(position);
  const parts: Blob[] = [];
  for (let place = 0; place < places.length; place += 2) {
    const from = places[place] ?? 0;
    parts.push(file.slice(from, from + (places[place + 1] ?? 0)));
  }
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  if (shown !== now) return;
  const line = JSON.parse(capture.detail(position, bytes)) as Line;
  const bodyOf = (response: boolean): Body | undefined => {
    const kind = capture.body_kind(position, response);
    if (kind === undefined) return undefined;
    const bytes = capture.body(response);
    const remark = capture.body_remark(response);
    return { kind, bytes: bytes === undefined ? undefined : Uint8Array.from(bytes), ...(remark === undefined ? {} : { remark }) };
  };
  tell({ is: 'detail', ask, detail: detailOf(line, now.sessions, bodyOf) });
}

function detailOf(line: Line, sessions: Sessions, bodyOf: (response: boolean) => Body | undefined): Detail {
  const session = sessions.lines.get(line.session);
  const facts: [string, string][] = [
    ['State', line.state],
    ['Client', line.client],
    ['Server', line.server],
    ['Session', String(line.session)],
  ];
  if (session !== undefined) facts.push(...factsOf(session));
  if (line.query !== '') facts.push(['Query', line.query]);
  if (line.observe) facts.push(['Observe', 'yes']);
  const messages = [...(line.messages ?? [])];
  const isFirst = sessions.first.get(line.session) === line.exchange;
  if (isFirst && session !== undefined && session.handshake_bytes > 0) messages.unshift(handshakeOf(session, line));
  return { facts, notes: line.notes, messages, request: bodyOf(false), response: bodyOf(true) };
}

/** Gives the lines of all exchanges, or of those with these positions, in order. */
async function exportLines(ask: number, positions: Uint32Array | undefined): Promise<void> {
  if (shown === undefined) return;
  if (shown.kind === 'har') {
    const chosen = shown.exchanges.filter(({ row }) => positions?.includes(row.position) ?? true);
    tell({ is: 'exported', ask, lines: new Blob(chosen.map(({ row }) => `${JSON.stringify(row)}\n`)) });
    return;
  }
  const { lines } = shown;
  if (positions === undefined) {
    tell({ is: 'exported', ask, lines: new Blob(lines) });
    return;
  }
  const wantedPositions = new Set(positions);
  const chosen: Blob[] = [];
  let position = 0;
  for (const part of lines) {
    const kept: string[] = [];
    for (const line of (await part.text()).split('\n')) {
      if (line === '') continue;
      if (wantedPositions.has(position)) kept.push(`${line}\n`);
      position += 1;
    }
    if (kept.length > 0) chosen.push(new Blob(kept));
  }
  tell({ is: 'exported', ask, lines: new Blob(chosen) });
}
