// HAR files: bodies of application/cbor as a browser stored them.

import { mayHoldSecrets, toJson } from '../codec.ts';
import { NotOfForm, fromBase64 } from '../inputs.ts';
import type { Body, Detail, Row } from './protocol.ts';

/** An object of a HAR file. Other programs than browsers write them as well, so nothing in it is certain. */
type Found = Readonly<Record<string, unknown>>;

export interface HarExchange {
  readonly row: Row;
  readonly detail: Detail;
}

const CBOR = 'application/cbor';

/**
 * Returns the exchanges of a HAR file that have a body of CBOR.
 *
 * @param secrets whether bodies that may hold secrets are shown
 * @throws Error if it is not a HAR file
 */
export function readHar(text: string, secrets: boolean): HarExchange[] {
  const { entries } = objectOf(objectOf(parsed(text)).log);
  if (!Array.isArray(entries)) throw new Error('the HAR file has no list of entries');
  return entries.map(objectOf).filter(hasCbor).map((entry, position) => exchangeOf(entry, position, secrets));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (error) {
    throw new Error(`the HAR file is not whole: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function objectOf(found: unknown): Found {
  return typeof found === 'object' && found !== null ? (found as Found) : {};
}

function textOf(found: unknown): string {
  return typeof found === 'string' ? found : '';
}

function numberOf(found: unknown): number | undefined {
  return typeof found === 'number' && Number.isFinite(found) && found >= 0 ? found : undefined;
}

/** The bodies of an entry, as they are stored. */
function bodiesOf({ request, response }: Found): readonly [request: Found, response: Found] {
  return [objectOf(objectOf(request).postData), objectOf(objectOf(response).content)];
}

function hasCbor(entry: Found): boolean {
  return bodiesOf(entry).some(({ mimeType }) => isCbor(mimeType));
}

function isCbor(type: unknown): boolean {
  return textOf(type).split(';', 1)[0]?.trim().toLowerCase() === CBOR;
}

function exchangeOf(entry: Found, position: number, secrets: boolean): HarExchange {
  const request = objectOf(entry.request);
  // The query may hold a token.
  const url = textOf(request.url).split(/[?#]/, 1)[0] ?? '';
  const address = URL.canParse(url) ? new URL(url) : undefined;
  const path = address?.pathname ?? url;
  const [sent, got] = bodiesOf(entry).map(bodyOf);
  const status = numberOf(objectOf(entry.response).status) ?? 0;
  const row: Row = {
    position,
    time: Date.parse(textOf(entry.startedDateTime)) || 0,
    client: 'browser',
    method: textOf(request.method),
    path,
    code: status > 0 ? String(status) : '',
    state: status > 0 ? 'complete' : 'unanswered',
    up: sent?.bytes?.length ?? 0,
    down: got?.bytes?.length ?? 0,
    datagrams: 0,
    repeats: 0,
    ms: numberOf(entry.time) ?? null,
    https: 0,
  };
  const facts: [string, string][] = [['Address', address === undefined ? url : address.origin + path], ['Status', row.code || 'none']];
  const isHidden = ({ kind, bytes }: Body) => !secrets && bytes !== undefined && mayHoldSecrets(path, bytes, kind === 'cbor');
  const shown = (body: Body | undefined) => (body !== undefined && isHidden(body) ? { kind: body.kind, bytes: undefined } : body);
  return { row, detail: { facts, notes: [], messages: [], request: shown(sent), response: shown(got) } };
}

/** The answer is base64 in what Chromium writes; a request, and what others write, is a text. */
function bodyOf(found: Found): Body | undefined {
  const text = textOf(found.text);
  if (text === '') return undefined;
  const kind = isCbor(found.mimeType) ? 'cbor' : 'text';
  if (found.encoding !== 'base64') return kind === 'cbor' ? { kind, ...spelledBytes(text) } : { kind, bytes: utf8(text) };
  try {
    return { kind, bytes: fromBase64(text) };
  } catch (error) {
    if (!(error instanceof NotOfForm)) throw error;
    const remark = `This body should be base64, and is not: character ${error.at + 1}, ${error.message}. Shown as it stands.`;
    return { kind: 'text', bytes: utf8(text), remark };
  }
}

/**
 * Returns the bytes of a body that a browser wrote as a text: a letter a byte where the bytes are not UTF-8,
 * and as the text that they are otherwise, without a word of which.
 */
export function spelledBytes(text: string): Pick<Body, 'bytes' | 'remark'> {
  const asText = utf8(text);
  if (/[^\0-\xff]/.test(text)) return { bytes: asText };
  const asBytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  // Bytes that are UTF-8 would have come as their text.
  if (!/[\x80-\xff]/.test(text) || isUtf8(asBytes)) return { bytes: asText };
  const [textReads, bytesRead] = [reads(asText), reads(asBytes)];
  if (textReads !== bytesRead) return { bytes: textReads ? asText : asBytes };
  const why = textReads ? 'as both it is CBOR' : 'as neither it is CBOR';
  return {
    bytes: asBytes,
    remark: `The browser stored this body as a text, and does not say whether its letters are bytes or UTF-8; ${why}. Shown as bytes.`,
  };
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Says whether bytes are CBOR that stands for JSON: it has no tags, which letters of UTF-8 would be. */
function reads(bytes: Uint8Array): boolean {
  return 'bytes' in toJson(bytes, true);
}
