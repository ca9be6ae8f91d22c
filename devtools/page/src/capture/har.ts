// HAR files: bodies of application/cbor as a browser stored them.

import { toJson } from '../codec.ts';
import { fromBase64 } from '../inputs.ts';
import type { Body, Detail, Row } from './protocol.ts';

/** What is read of a HAR file; other programs than browsers write them as well, so nothing is certain. */
interface Entry {
  readonly startedDateTime?: string;
  readonly time?: number;
  readonly request?: {
    readonly method?: string;
    readonly url?: string;
    readonly postData?: { readonly mimeType?: string; readonly text?: string; readonly encoding?: string };
  };
  readonly response?: {
    readonly status?: number;
    readonly content?: { readonly mimeType?: string; readonly text?: string; readonly encoding?: string };
  };
}

export interface HarExchange {
  readonly row: Row;
  readonly detail: Detail;
}

const CBOR = 'application/cbor';

/** Returns the exchanges of a HAR file that have a body of CBOR. */
export function readHar(text: string): HarExchange[] {
  const parsed = JSON.parse(text.replace(/^\ufeff/, '')) as { log?: { entries?: readonly Entry[] } };
  const entries = parsed.log?.entries;
  if (!Array.isArray(entries)) throw new Error('the HAR file has no list of entries');
  return (entries as readonly Entry[]).filter(hasCbor).map(exchangeOf);
}

function hasCbor({ request, response }: Entry): boolean {
  return isCbor(request?.postData?.mimeType) || isCbor(response?.content?.mimeType);
}

function isCbor(type: string | undefined): boolean {
  return type?.split(';', 1)[0]?.trim().toLowerCase() === CBOR;
}

function exchangeOf(entry: Entry, position: number): HarExchange {
  const { request, response } = entry;
  const url = request?.url ?? '';
  const address = URL.canParse(url) ? new URL(url) : undefined;
  const bodies = { request: bodyOf(request?.postData), response: bodyOf(response?.content) };
  const up = bodies.request?.bytes?.length ?? 0;
  const down = bodies.response?.bytes?.length ?? 0;
  const status = response?.status ?? 0;
  const row: Row = {
    position,
    time: Date.parse(entry.startedDateTime ?? '') || 0,
    client: 'browser',
    method: request?.method ?? '',
    path: address?.pathname ?? url,
    code: status > 0 ? String(status) : '',
    state: status > 0 ? 'complete' : 'unanswered',
    up,
    down,
    datagrams: 0,
    repeats: 0,
    ms: typeof entry.time === 'number' ? entry.time : null,
    https: 0,
  };
  const facts: [string, string][] = [['Address', url.split('?', 1)[0] ?? ''], ['Status', row.code || 'none']];
  return { row, detail: { facts, notes: [], messages: [], ...bodies } };
}

/** The answer is base64 in what Chromium writes; a request, and what others write, is a text. */
function bodyOf(found: { mimeType?: string; text?: string; encoding?: string } | undefined): Body | undefined {
  const { mimeType, text, encoding } = found ?? {};
  if (text === undefined || text === '') return undefined;
  const kind = isCbor(mimeType) ? 'cbor' : 'text';
  if (encoding === 'base64') return { kind, bytes: fromBase64(text) };
  return kind === 'cbor' ? { kind, ...spelledBytes(text) } : { kind, bytes: utf8(text) };
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
