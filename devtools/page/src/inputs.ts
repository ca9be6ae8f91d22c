// What people paste: bytes written as text in one of the usual ways, or JSON.

export type Form = 'hex' | 'base64' | 'c' | 'json';

export const FORM_NAMES: Readonly<Record<Form, string>> = { hex: 'hex', base64: 'base64', c: 'C array', json: 'JSON' };

/** The largest payload that the page shows, in bytes: all of it is listed item by item. */
export const MAX_PAYLOAD = 8 * 1024 * 1024;

/** A text is not of the form that it should be of. `at` is an index into it. */
export class NotOfForm extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

// None of these may try one text in many ways: a link can hold eight megabytes that were made for it.
const WHITE = /\s/;
const C_BYTE = /0[xX][0-9a-fA-F]{1,2}|\b\d{1,3}\b|'.'/g;
const C_NUMBERS = /^[\s,{}[\];]*(?:(?:0[xX][0-9a-fA-F]{1,2}|\d{1,3}|'.')(?:[uU]?)(?:[\s,{}[\];]+|$))+$/;
// What stands before the bytes, as `static const uint8_t body[4] =`.
const C_DECLARATION = /^[^={"]*=\s*/;
const C_COMMENT = /\/\*[^]*?(?:\*\/|$)|\/\/[^\n]*/g;
const C_TEXT = /^\s*(?:b?"[^"\\]*(?:\\[^][^"\\]*)*"\s*)+(?:;\s*)?$/;
const DUMP_LINE = /^\s*(?:0x)?([0-9a-fA-F]{4,16}):?[ \t]+((?:[0-9a-fA-F]{2,8}[ \t-]{1,2})*[0-9a-fA-F]{2,8})(?:[ \t][^]*)?$/;

/** Guesses the form of a text; JSON if it is of no other. */
export function guess(text: string): Form {
  const first = text.trimStart().charAt(0);
  if (isC(text)) return 'c';
  if (first === '{' || first === '[' || first === '"') return 'json';
  try {
    fromHex(text);
    return 'hex';
  } catch {
    // Of another form then.
  }
  if (/^(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)$/.test(text.trim())) return 'json';
  try {
    // Base64 may be broken into lines, but not into words.
    if (!/\S[ \t]+\S/.test(text)) {
      fromBase64(text);
      return 'base64';
    }
  } catch {
    // Of another form then.
  }
  return looksLikeHex(text) ? 'hex' : 'json';
}

/** Returns the bytes that a text stands for. */
export function bytesOf(text: string, form: Exclude<Form, 'json'>): Uint8Array<ArrayBuffer> {
  if (form === 'hex') return fromHex(text);
  return form === 'c' ? fromC(text) : fromBase64(text);
}

/** Takes pairs of digits with anything usual around them, and dumps with offsets and characters. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  const dump = fromDump(text);
  if (dump !== undefined) return dump;
  const bytes: number[] = [];
  let high = -1;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text.charAt(at);
    const digit = parseInt(letter, 16);
    if (letter === '0' && high < 0 && /[xX]/.test(text.charAt(at + 1))) at += 1;
    else if (!Number.isNaN(digit)) {
      if (high < 0) high = digit;
      else {
        bytes.push(high * 16 + digit);
        high = -1;
      }
    } else if (!WHITE.test(letter) && !":,-'h;".includes(letter)) {
      throw new NotOfForm(`${JSON.stringify(letter)} is not a digit of hex`, at);
    }
  }
  if (high >= 0) throw new NotOfForm('half a byte is left: hex has two digits a byte', text.trimEnd().length - 1);
  return Uint8Array.from(bytes);
}

/** Returns the bytes of what `xxd`, `hexdump -C` and Wireshark print; `undefined` for anything else. */
function fromDump(text: string): Uint8Array<ArrayBuffer> | undefined {
  const bytes: number[] = [];
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length === 0) return undefined;
  let begin = -1;
  for (const line of lines) {
    const [, offset, digits] = DUMP_LINE.exec(line) ?? [];
    if (offset === undefined) {
      // The last line of hexdump is the length alone.
      if (line === lines.at(-1) && parseInt(line, 16) === begin + bytes.length) break;
      return undefined;
    }
    const at = parseInt(offset, 16);
    if (begin < 0) begin = at;
    if (digits === undefined || at !== begin + bytes.length) return undefined;
    // Sixteen bytes a line at most: what follows is the column of characters.
    const pairs = digits.replace(/[ \t-]/g, '').slice(0, 32).match(/../g) ?? [];
    for (const pair of pairs) bytes.push(parseInt(pair, 16));
  }
  return Uint8Array.from(bytes);
}

/** Takes both alphabets, with padding or without, and white space anywhere. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const found = /[^A-Za-z0-9+/_=\s-]/.exec(text);
  if (found !== null) throw new NotOfForm(`${JSON.stringify(found[0])} is not a letter of base64`, found.index);
  const letters = text.replace(/[\s=]/g, '').replaceAll('-', '+').replaceAll('_', '/');
  if (letters.length % 4 === 1) throw new NotOfForm('one letter of base64 is left over', text.trimEnd().length - 1);
  return Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0));
}

function isC(text: string): boolean {
  if (/\\x[0-9a-fA-F]{2}/.test(text) && C_TEXT.test(text)) return true;
  const body = text.replace(C_COMMENT, ' ').replace(C_DECLARATION, '');
  return /0[xX]/.test(body) && body.includes(',') && C_NUMBERS.test(body);
}

/** Takes the bytes of an array as C, Rust, Go and JavaScript write it, and a string with escapes. */
function fromC(text: string): Uint8Array<ArrayBuffer> {
  if (C_TEXT.test(text)) return fromCText(text);
  const blank = (found: string) => ' '.repeat(found.length);
  const body = text.replace(C_COMMENT, blank).replace(C_DECLARATION, blank);
  const bytes: number[] = [];
  let last = 0;
  const between = (end: number) => {
    const other = /[^\s,{}[\]();uU]/.exec(body.slice(last, end));
    if (other !== null) throw new NotOfForm(`${JSON.stringify(other[0])} is not a byte of a C array`, last + other.index);
  };
  for (const { 0: word, index } of body.matchAll(C_BYTE)) {
    between(index);
    const value = word.startsWith("'") ? word.charCodeAt(1) : Number(word);
    if (value > 255) throw new NotOfForm(`${word} is more than a byte holds`, index);
    bytes.push(value);
    last = index + word.length;
  }
  between(body.length);
  if (bytes.length === 0) throw new NotOfForm('there is no byte in it', 0);
  return Uint8Array.from(bytes);
}

const C_ESCAPES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, a: 7, b: 8, f: 12, v: 11 };
const C_LETTER = /\\x([0-9a-fA-F]{1,2})|\\([0-7]{1,3})|\\([^])|([^"\\])/gu;

function fromCText(text: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  const toUtf8 = new TextEncoder();
  for (const [part] of text.matchAll(/"(?:[^"\\]|\\[^])*"/g)) {
    for (const [, hex, octal, escape, letter] of part.slice(1, -1).matchAll(C_LETTER)) {
      if (hex !== undefined) bytes.push(parseInt(hex, 16));
      else if (octal !== undefined) bytes.push(parseInt(octal, 8) & 255);
      else if (escape !== undefined) bytes.push(C_ESCAPES[escape] ?? escape.charCodeAt(0) & 255);
      else bytes.push(...toUtf8.encode(letter ?? ''));
    }
  }
  return Uint8Array.from(bytes);
}

/** Says whether a text is hex but for a few characters: then its mistake is worth telling. */
function looksLikeHex(text: string): boolean {
  const digits = text.match(/[0-9a-fA-F]/g)?.length ?? 0;
  const solid = text.replace(/\s/g, '').length;
  return solid > 8 && digits >= solid * 0.9;
}

/** Returns a file's content as it is to be read: text where it is text of a form, else bytes of CBOR. */
export function ofFile(bytes: Uint8Array<ArrayBuffer>): string | undefined {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
  // Control characters are rare in text and common in CBOR, whose short texts are UTF-8 as well.
  if (text.trim() === '' || /[\0-\x08\x0e-\x1f\x7f]/.test(text)) return undefined;
  if (guess(text) !== 'json') return text;
  return /^\s*(?:[{["]|true\s*$|false\s*$|null\s*$)/.test(text) ? text : undefined;
}
