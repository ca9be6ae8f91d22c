// Bytes and numbers as text.

const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

// Control characters, marks that turn the direction of what follows, and letters without a shape; but not
// those that join emoji and the letters of some scripts.
const UNSEEN = /[\0-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Returns a text of which nothing hides: what would not be seen is escaped as in JSON. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Returns two digits. */
export function hexByte(byte: number): string {
  return DIGITS[byte & 255] ?? '';
}

export function hex(bytes: Uint8Array, between = ''): string {
  return Array.from(bytes, hexByte).join(between);
}

/** Returns an offset as the lists show it: four digits, or more where it needs them. */
export function offset(at: number, digits = 4): string {
  return at.toString(16).padStart(digits, '0');
}

export function base64(bytes: Uint8Array): string {
  let letters = '';
  // The arguments of one call have a limit.
  for (let at = 0; at < bytes.length; at += 0x8000) letters += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(letters);
}

export function cArray(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 12) {
    lines.push(`  ${Array.from(bytes.subarray(at, at + 12), (byte) => `0x${hexByte(byte)},`).join(' ')}`);
  }
  return `static const unsigned char payload[${bytes.length}] = {\n${lines.join('\n')}\n};\n`;
}

const WHOLE = new Intl.NumberFormat('en');

/** Returns a whole number with its thousands apart. */
export function count(number: number): string {
  return WHOLE.format(number);
}

export function plural(number: number, word: string): string {
  return `${count(number)} ${word}${number === 1 ? '' : 's'}`;
}
